//! Compressed streams written.

use std::io::{self, Write};

use super::blocks::Blocks;
use super::member::MemberWriter;
#[cfg(feature = "native")]
use super::member::no_level;

/// How much of the stream a zstd worker takes at once, in bytes. Part of what the output depends on.
#[cfg(feature = "native")]
pub(super) const ZSTD_JOB: u32 = 2 << 20;

/// How to compress what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip at level 1 to 12 (1 to 9 without the feature `native`).
    Gzip(u8),
    /// zstd at level 1 to 19.
    Zstd(u8),
}

impl Compression {
    /// What is used when nothing is asked for: smaller and faster than gzip's own level 6.
    pub const DEFAULT: Compression = Compression::Gzip(5);
}

/// Names the code that makes compressed bytes: digests of layers are promised to be the same as long as this is.
pub fn writer_id(compression: Compression) -> String {
    let gzip = if cfg!(feature = "native") { "libdeflate-1.26.1" } else { "zlib-rs" };
    match compression {
        Compression::None => "none".into(),
        Compression::Gzip(level) => format!("gzip:{gzip}:{level}:members-1MiB"),
        Compression::Zstd(level) => format!("zstd:libzstd-1.5.7:{level}"),
    }
}

/// A writer that compresses on several threads.
pub enum Compressor<W: Write + Send + 'static> {
    /// Passes everything through.
    Plain(W),
    /// One gzip member after the other.
    Gzip(Blocks<W>),
    /// One zstd frame.
    #[cfg(feature = "native")]
    Zstd(Box<zstd::Encoder<'static, W>>),
}

impl<W: Write + Send + 'static> Compressor<W> {
    /// Compresses into `out` on `jobs` threads.
    ///
    /// # Errors
    /// When this build cannot write that form (`Unsupported`), or the level does not exist (`InvalidInput`).
    pub fn new(out: W, compression: Compression, jobs: usize) -> io::Result<Compressor<W>> {
        match compression {
            Compression::None => Ok(Compressor::Plain(out)),
            Compression::Gzip(level) => Ok(Compressor::Gzip(Blocks::new(out, jobs, || MemberWriter::new(level))?)),
            Compression::Zstd(level) => Compressor::zstd(out, level, jobs),
        }
    }

    #[cfg(feature = "native")]
    fn zstd(out: W, level: u8, jobs: usize) -> io::Result<Compressor<W>> {
        if !(1..=19).contains(&level) {
            return Err(no_level("zstd", "1 to 19", level));
        }
        let mut encoder = zstd::Encoder::new(out, i32::from(level))?;
        // Never 0: without workers libzstd cuts the stream in another way.
        encoder.multithread(u32::try_from(jobs.max(1)).unwrap_or(1))?;
        // libzstd's own choice is 8 MiB at level 3, which costs 90 MB of memory on two threads and saves 0.7 % in size.
        encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(ZSTD_JOB))?;
        encoder.include_checksum(true)?;
        Ok(Compressor::Zstd(Box::new(encoder)))
    }

    #[cfg(not(feature = "native"))]
    fn zstd(_out: W, _level: u8, _jobs: usize) -> io::Result<Compressor<W>> {
        let text = "this build cannot write zstd: it was made without the feature `native`";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    /// Ends the stream and gives the inner writer back.
    ///
    /// # Errors
    /// When the inner writer fails.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Compressor::Plain(out) => Ok(out),
            Compressor::Gzip(blocks) => blocks.finish(),
            #[cfg(feature = "native")]
            Compressor::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write + Send + 'static> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Compressor::Plain(out) => out.write(bytes),
            Compressor::Gzip(blocks) => blocks.write(bytes),
            #[cfg(feature = "native")]
            Compressor::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Flushing inside the stream would change its bytes.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::codec::compress::blocks::BLOCK;
    use crate::codec::compress::form::{self, Form, reader};

    /// Text that compresses, but not to nothing.
    fn sample(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let step = |state: &mut u32| {
            *state = state.wrapping_mul(1_103_515_245).wrapping_add(12345);
            b"abcdefgh /.-\n01"[(*state >> 16) as usize % 15]
        };
        (0..length).map(|_| step(&mut state)).collect()
    }

    fn compressed(bytes: &[u8], compression: Compression, jobs: usize, chunk: usize) -> Vec<u8> {
        let mut compressor = Compressor::new(Vec::new(), compression, jobs).unwrap();
        for part in bytes.chunks(chunk.max(1)) {
            compressor.write_all(part).unwrap();
        }
        compressor.finish().unwrap()
    }

    fn forms() -> Vec<Compression> {
        let mut forms = vec![Compression::None, Compression::Gzip(1), Compression::DEFAULT, Compression::Gzip(9)];
        if cfg!(feature = "native") {
            forms.push(Compression::Zstd(3));
        }
        forms
    }

    #[test]
    fn bytes_depend_on_neither_threads_nor_write_sizes() {
        let bytes = sample(2 * BLOCK + 12345);
        for compression in forms() {
            let first = compressed(&bytes, compression, 1, bytes.len());
            assert!(compressed(&bytes, compression, 2, 1000) == first, "{compression:?}");
            assert!(compressed(&bytes, compression, 7, 70_001) == first, "{compression:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_known_by_its_content() {
        for length in [0, 1, BLOCK, 2 * BLOCK + 1] {
            let bytes = sample(length);
            for compression in forms() {
                let packed = compressed(&bytes, compression, 2, 4096);
                let form = match compression {
                    Compression::None => Form::Plain,
                    Compression::Gzip(_) => Form::Gzip,
                    Compression::Zstd(_) => Form::Zstd,
                };
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&packed).unwrap();
                assert_eq!(form::form(&file).unwrap(), form);
                let mut out = Vec::new();
                reader(file).unwrap().read_to_end(&mut out).unwrap();
                assert!(out == bytes, "{compression:?} {length}");
            }
        }
    }

    #[test]
    fn a_failing_output_is_an_error_and_no_hang() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for compression in forms() {
            let mut compressor = Compressor::new(Full(1000), compression, 2).unwrap();
            let bytes = sample(BLOCK).repeat(12);
            let result = compressor.write_all(&bytes).and_then(|()| compressor.finish().map(drop));
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull, "{compression:?}");
        }
    }

    #[test]
    fn levels_that_do_not_exist_are_refused() {
        for compression in [Compression::Gzip(0), Compression::Gzip(13)] {
            let error = Compressor::new(Vec::new(), compression, 1).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
