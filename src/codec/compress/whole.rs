//! A file compressed in one piece, as a kernel wants an initramfs: one gzip member, one zstd frame, one xz stream.
//!
//! Decisions:
//!
//! - gzip: the blocks are compressed side by side, each without what comes before it, and joined inside one member.
//!   Made by libdeflate at the level 6, this is smaller than what gzip makes with all of its 32 KiB at hand.
//! - xz: with CRC32, the only sum that a kernel knows, and one thread. The dictionary of 4 MiB keeps memory below 64 MiB
//!   here, and small where it is unpacked.

use std::io::{self, Write};

use super::blocks::Blocks;
use super::coder::{Coded, Coder};
#[cfg(feature = "native")]
use super::deflate;
use super::library::{self, LIBZSTD, LZMA_RUST2};
#[cfg(feature = "native")]
use super::writer::ZSTD_JOB;

/// How a file is compressed in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileCompression {
    /// Not at all.
    None,
    /// One gzip member.
    Gzip,
    /// One zstd frame.
    Zstd,
    /// One xz stream.
    Xz,
}

/// libdeflate's level: no larger than `gzip -6`.
#[cfg(feature = "native")]
const GZIP_LEVEL: i32 = 6;

/// The level of zlib-rs.
#[cfg(not(feature = "native"))]
const GZIP_LEVEL: u32 = 6;

/// The level of zstd.
const ZSTD_LEVEL: i32 = 3;

/// The preset and the dictionary of xz.
const XZ: (u32, u32) = (6, 4 << 20);

/// A gzip header without name and time (RFC 1952 §2.3): deflate, no flags, the system unknown.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// The end of the compressed bytes: a block with nothing in it, marked as the last one.
const DEFLATE_END: [u8; 2] = [3, 0];

impl FileCompression {
    /// The code that makes the compressed bytes: they are promised to be the same as long as this is.
    pub fn writer_id(self) -> String {
        match self {
            FileCompression::None => "none".into(),
            FileCompression::Gzip => format!("gzip:{}:{GZIP_LEVEL}:one-member", library::gzip()),
            FileCompression::Zstd => format!("zstd:libzstd-{LIBZSTD}:{ZSTD_LEVEL}"),
            FileCompression::Xz => format!("xz:lzma-rust2-{LZMA_RUST2}:{}:{}MiB", XZ.0, XZ.1 >> 20),
        }
    }
}

/// A writer that compresses into one piece.
pub enum FileCompressor<W: Write + Send + 'static> {
    /// Passes everything through.
    None(W),
    /// One gzip member.
    Gzip(Blocks<W>, flate2::Crc),
    /// One zstd frame.
    #[cfg(feature = "native")]
    Zstd(Box<zstd::Encoder<'static, W>>),
    /// One xz stream.
    Xz(Box<lzma_rust2::XzWriter<W>>),
}

impl<W: Write + Send + 'static> FileCompressor<W> {
    /// Compresses into `out` on `jobs` threads, as many as the form allows. The bytes do not depend on it.
    ///
    /// # Errors
    /// When this build cannot write that form (`Unsupported`), or `out` fails.
    pub fn new(mut out: W, form: FileCompression, jobs: usize) -> io::Result<FileCompressor<W>> {
        Ok(match form {
            FileCompression::None => FileCompressor::None(out),
            FileCompression::Gzip => {
                out.write_all(&GZIP_HEADER)?;
                FileCompressor::Gzip(Blocks::new(out, jobs, PartWriter::new)?, flate2::Crc::new())
            }
            FileCompression::Zstd => FileCompressor::zstd(out, jobs)?,
            FileCompression::Xz => {
                let mut options = lzma_rust2::XzOptions::with_preset(XZ.0);
                options.lzma_options.dict_size = XZ.1;
                options.set_check_sum_type(lzma_rust2::CheckType::Crc32);
                FileCompressor::Xz(Box::new(lzma_rust2::XzWriter::new(out, options)?))
            }
        })
    }

    #[cfg(feature = "native")]
    fn zstd(out: W, jobs: usize) -> io::Result<FileCompressor<W>> {
        let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
        // As for layers: never without workers, and with jobs of one size.
        encoder.multithread(u32::try_from(jobs.max(1)).unwrap_or(1))?;
        encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(ZSTD_JOB))?;
        encoder.include_checksum(true)?;
        Ok(FileCompressor::Zstd(Box::new(encoder)))
    }

    #[cfg(not(feature = "native"))]
    fn zstd(_out: W, _jobs: usize) -> io::Result<FileCompressor<W>> {
        let text = "this build cannot write zstd: it was built without the feature `native`";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    /// Ends the stream and gives the inner writer back.
    ///
    /// # Errors
    /// When the inner writer fails.
    pub fn finish(self) -> io::Result<W> {
        match self {
            FileCompressor::None(out) => Ok(out),
            FileCompressor::Gzip(blocks, crc) => {
                let mut out = blocks.finish()?;
                out.write_all(&DEFLATE_END)?;
                out.write_all(&crc.sum().to_le_bytes())?;
                // The size modulo 2^32, as the format has it and `Crc` counts it.
                out.write_all(&crc.amount().to_le_bytes())?;
                Ok(out)
            }
            #[cfg(feature = "native")]
            FileCompressor::Zstd(encoder) => encoder.finish().map_err(no_worker),
            FileCompressor::Xz(writer) => writer.finish(),
        }
    }
}

/// libzstd calls it a lack of memory, too, when it may not start its worker. Without one it would make other bytes.
#[cfg(feature = "native")]
fn no_worker(error: io::Error) -> io::Error {
    if error.to_string().starts_with("Allocation error") {
        return io::Error::new(io::ErrorKind::OutOfMemory, "libzstd cannot get memory or start a thread");
    }
    error
}

impl<W: Write + Send + 'static> Write for FileCompressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            FileCompressor::None(out) => out.write(bytes),
            FileCompressor::Gzip(blocks, crc) => {
                let count = blocks.write(bytes)?;
                crc.update(&bytes[..count]);
                Ok(count)
            }
            #[cfg(feature = "native")]
            FileCompressor::Zstd(encoder) => encoder.write(bytes).map_err(no_worker),
            FileCompressor::Xz(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Flushing inside the stream would change its bytes.
        Ok(())
    }
}

/// Makes parts of a DEFLATE stream that end on a whole byte, and that another part can follow.
#[cfg(feature = "native")]
struct PartWriter(libdeflater::Compressor);

#[cfg(feature = "native")]
impl PartWriter {
    fn new() -> io::Result<PartWriter> {
        let level = libdeflater::CompressionLvl::new(GZIP_LEVEL).unwrap_or_default();
        Ok(PartWriter(libdeflater::Compressor::new(level)))
    }
}

#[cfg(feature = "native")]
impl Coder for PartWriter {
    fn code(&mut self, block: &[u8], mut buffer: Vec<u8>) -> io::Result<Coded> {
        buffer.resize(self.0.deflate_compress_bound(block.len()), 0);
        let length =
            self.0.deflate_compress(block, &mut buffer).map_err(|error| io::Error::other(format!("{error:?}")))?;
        buffer.truncate(length);
        deflate::open_end(&mut buffer)
            .ok_or_else(|| io::Error::other("a compressor did not produce a DEFLATE stream"))?;
        Ok(Coded { length: buffer.len(), buffer })
    }
}

/// Makes parts of a DEFLATE stream that end on a whole byte, and that another part can follow.
#[cfg(not(feature = "native"))]
struct PartWriter;

#[cfg(not(feature = "native"))]
impl PartWriter {
    fn new() -> io::Result<PartWriter> {
        Ok(PartWriter)
    }
}

#[cfg(not(feature = "native"))]
impl Coder for PartWriter {
    fn code(&mut self, block: &[u8], mut buffer: Vec<u8>) -> io::Result<Coded> {
        let mut deflate = flate2::Compress::new(flate2::Compression::new(GZIP_LEVEL), false);
        // All in one call: zlib-rs makes other bytes when the same input comes in parts. Room for what does not shrink.
        buffer.clear();
        buffer.reserve(block.len() + block.len() / 8 + 64);
        deflate.compress_vec(block, &mut buffer, flate2::FlushCompress::Sync)?;
        if deflate.total_in() != block.len() as u64 || !buffer.ends_with(&[0, 0, 0xff, 0xff]) {
            return Err(io::Error::other("a compressed block does not fit"));
        }
        Ok(Coded { length: buffer.len(), buffer })
    }
}

#[cfg(test)]
mod tests {
    use super::super::blocks::BLOCK;
    use super::super::form::{decompressed, form_of};
    use super::*;
    use std::io::Read as _;

    fn sample(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut step = || {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12345);
            b"abcdefgh /.-\n01"[(state >> 16) as usize % 15]
        };
        (0..length).map(|_| step()).collect()
    }

    fn compressed(bytes: &[u8], form: FileCompression, jobs: usize, chunk: usize) -> Vec<u8> {
        let mut compressor = FileCompressor::new(Vec::new(), form, jobs).unwrap();
        for part in bytes.chunks(chunk.max(1)) {
            compressor.write_all(part).unwrap();
        }
        compressor.finish().unwrap()
    }

    fn forms() -> Vec<FileCompression> {
        let mut forms = vec![FileCompression::None, FileCompression::Gzip, FileCompression::Xz];
        if cfg!(feature = "native") {
            forms.push(FileCompression::Zstd);
        }
        forms
    }

    #[test]
    fn bytes_depend_on_neither_threads_nor_write_sizes() {
        for form in forms() {
            // xz has no threads, and takes its time.
            let bytes = sample(if form == FileCompression::Xz { 100_000 } else { BLOCK + 12345 });
            let first = compressed(&bytes, form, 1, bytes.len());
            assert!(compressed(&bytes, form, 3, 70_001) == first, "{form:?}");
        }
    }

    #[test]
    fn gzip_is_one_member_whatever_its_size() {
        for length in [0, 1, BLOCK, BLOCK + 1] {
            let bytes = sample(length);
            let packed = compressed(&bytes, FileCompression::Gzip, 2, 4096);
            // A decoder that knows one member only, and its input must be used up.
            let mut decoder = flate2::bufread::GzDecoder::new(packed.as_slice());
            let mut out = Vec::new();
            decoder.read_to_end(&mut out).unwrap();
            assert!(out == bytes && decoder.into_inner().is_empty(), "{length}");
        }
    }

    #[test]
    fn every_form_is_read_back() {
        let bytes = sample(100_000);
        for form in forms() {
            let packed = compressed(&bytes, form, 2, 4096);
            let mut out = Vec::new();
            decompressed(form_of(&packed), packed.as_slice()).unwrap().read_to_end(&mut out).unwrap();
            assert!(out == bytes, "{form:?}");
            assert!(!form.writer_id().is_empty());
        }
    }
}
