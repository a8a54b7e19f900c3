//! How a layer is compressed: the forms with their default levels, and the parts that are each compressed on their own.

use std::io;

use super::coder::{Coded, Coder};
use super::library::{self, LIBZSTD};
use super::member::{MemberWriter, no_level};

/// How much of the stream a zstd worker takes at once, in bytes. Part of what the output depends on.
#[cfg(feature = "native")]
pub(super) const ZSTD_JOB: u32 = 2 << 20;

/// The window of zstd's frames, as a power of two: 8 MiB, the most that every decoder must be able to hold (RFC 8878 §3.1.1.1.2).
const ZSTD_WINDOW: u32 = 23;

/// How to compress a layer.
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
    /// The default, the only place that decides it: smaller and faster than gzip's own level 6.
    pub const DEFAULT: Compression = Compression::Gzip(5);

    /// The default level of zstd. With long distance matching it compresses as well as plain level 3, in less time.
    pub const ZSTD_LEVEL: u8 = 2;

    /// How much is best packed at once, in bytes: more costs memory, less costs size. gzip never looks back more than
    /// 32 KiB, so that a new start now and then costs it nearly nothing; zstd finds what stood megabytes before. Part of what
    /// the output depends on.
    pub fn span(self) -> usize {
        match self {
            Compression::None | Compression::Gzip(_) => 3 << 19,
            Compression::Zstd(_) => 6 << 20,
        }
    }
}

/// Names the code that makes compressed bytes: digests of layers are promised to be the same as long as this is.
pub fn writer_id(compression: Compression) -> String {
    let span = compression.span();
    match compression {
        Compression::None => "none".into(),
        Compression::Gzip(level) => {
            format!("gzip:{}:{level}:members-{}KiB:noise-stored", library::gzip(), span >> 10)
        }
        Compression::Zstd(level) => {
            let window = (1 << ZSTD_WINDOW) >> 20;
            format!("zstd:libzstd-{LIBZSTD}:{level}:long-{window}MiB:frames-{}MiB", span >> 20)
        }
    }
}

/// Compresses one part after the other. What it makes of a part depends on that part only, and the packed parts of a
/// stream, one behind the other, are the packed stream.
pub enum Packer {
    /// Copies.
    Plain,
    /// Makes a gzip member of each part.
    Gzip(Box<dyn Coder>),
    /// Makes a zstd frame of each part.
    #[cfg(feature = "native")]
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Packer {
    /// A packer of this kind. A thread that packs needs one of its own.
    ///
    /// # Errors
    /// When this build cannot write that form (`Unsupported`), or the level does not exist (`InvalidInput`).
    pub fn new(compression: Compression) -> io::Result<Packer> {
        match compression {
            Compression::None => Ok(Packer::Plain),
            Compression::Gzip(level) => Ok(Packer::Gzip(Box::new(MemberWriter::new(level)?))),
            Compression::Zstd(level) if (1..=19).contains(&level) => Packer::zstd(level),
            Compression::Zstd(level) => Err(no_level("zstd", "1 to 19", level)),
        }
    }

    #[cfg(feature = "native")]
    fn zstd(level: u8) -> io::Result<Packer> {
        let mut compressor = zstd::bulk::Compressor::new(i32::from(level))?;
        compressor.include_checksum(true)?;
        // Libraries of one system have much in common, and lie megabytes apart: 2 % less for no more time.
        compressor.set_parameter(zstd::zstd_safe::CParameter::EnableLongDistanceMatching(true))?;
        compressor.set_parameter(zstd::zstd_safe::CParameter::WindowLog(ZSTD_WINDOW))?;
        Ok(Packer::Zstd(Box::new(compressor)))
    }

    #[cfg(not(feature = "native"))]
    fn zstd(_level: u8) -> io::Result<Packer> {
        let text = "this build cannot write zstd: it was built without the feature `native`";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    /// Packs one part into a buffer that may hold anything before.
    ///
    /// # Errors
    /// When the compressor fails, which it does for lack of memory only.
    pub fn pack(&mut self, part: &[u8], mut buffer: Vec<u8>) -> io::Result<Coded> {
        match self {
            Packer::Plain => {
                buffer.clear();
                buffer.extend_from_slice(part);
                Ok(Coded { length: buffer.len(), buffer })
            }
            Packer::Gzip(coder) => coder.code(part, buffer),
            #[cfg(feature = "native")]
            Packer::Zstd(compressor) => {
                // Room is asked for and not cleared: what is not written to costs no memory.
                buffer.clear();
                buffer.reserve(zstd::zstd_safe::compress_bound(part.len()));
                let length = compressor.compress_to_buffer(part, &mut buffer)?;
                Ok(Coded { buffer, length })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
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

    fn forms() -> Vec<(Compression, Form)> {
        let mut forms = vec![
            (Compression::None, Form::Plain),
            (Compression::Gzip(1), Form::Gzip),
            (Compression::DEFAULT, Form::Gzip),
            (Compression::Gzip(9), Form::Gzip),
        ];
        if cfg!(feature = "native") {
            forms.push((Compression::Zstd(3), Form::Zstd));
        }
        forms
    }

    #[test]
    fn what_is_made_of_a_part_depends_on_nothing_before() {
        let (part, other) = (sample(300_000), vec![7; 500_000]);
        for (compression, _) in forms() {
            let fresh = Packer::new(compression).unwrap().pack(&part, Vec::new()).unwrap();
            let mut used = Packer::new(compression).unwrap();
            let dirty = used.pack(&other, Vec::new()).unwrap().buffer;
            assert!(used.pack(&part, dirty).unwrap().bytes() == fresh.bytes(), "{compression:?}");
        }
    }

    #[test]
    fn packed_parts_one_behind_the_other_are_the_packed_stream() {
        let stream = sample(200_001);
        for length in [1, 70_000, stream.len()] {
            for (compression, form) in forms() {
                let mut packer = Packer::new(compression).unwrap();
                let mut file = tempfile::tempfile().unwrap();
                for part in stream.chunks(length).take(50) {
                    file.write_all(packer.pack(part, Vec::new()).unwrap().bytes()).unwrap();
                }
                assert_eq!(form::form(&file).unwrap(), form);
                let mut out = Vec::new();
                reader(file).unwrap().read_to_end(&mut out).unwrap();
                assert!(out == stream[..stream.len().min(50 * length)], "{compression:?} {length}");
            }
        }
    }

    #[test]
    fn the_ids_of_writers_are_made_of_what_the_bytes_depend_on_and_the_documents_say_the_same() {
        assert_eq!(writer_id(Compression::None), "none");
        assert_eq!(writer_id(Compression::Zstd(2)), "zstd:libzstd-1.5.7:2:long-8MiB:frames-6MiB");
        let gzip = writer_id(Compression::DEFAULT);
        if cfg!(feature = "native") {
            assert_eq!(gzip, "gzip:libdeflate-1.26.1:5:members-1536KiB:noise-stored");
        } else {
            assert_eq!(gzip, "gzip:zlib-rs-0.6.8:5:members-1536KiB:noise-stored");
        }
        let spans = [Compression::DEFAULT, Compression::Zstd(2)].map(|form| form.span() as f64 / 1_048_576.0);
        let promise = format!("segments of up to {} MiB (gzip) or {} MiB (zstd)", spans[0], spans[1]);
        assert!(include_str!("../../../docs/cache.md").contains(&promise), "{promise}");
    }

    #[test]
    fn levels_that_do_not_exist_are_refused() {
        for compression in [Compression::Gzip(0), Compression::Gzip(13), Compression::Zstd(0), Compression::Zstd(20)] {
            let error = Packer::new(compression).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
