//! One compressed piece of a file, and what comes after it. What other readers take for one stream (members or frames
//! in a row) are several pieces here, as they are for a kernel.

use std::io::{self, BufRead, Read};

use super::lz4::{self, Lz4Legacy};
use super::lzo::{self, Lzop};

/// The largest dictionary that xz and lzma may ask for, in bytes: twice that of `xz -9`.
pub(crate) const DICTIONARY_MAX: u64 = 128 << 20;

/// The most memory that unpacking them may ask for, in kB: such a dictionary, and tables.
const LZMA_MEMORY: u32 = (DICTIONARY_MAX >> 10) as u32 + 2048;

/// One compressed piece being read.
pub enum Piece<R: BufRead> {
    /// A gzip member.
    Gzip(Box<flate2::bufread::GzDecoder<R>>),
    /// A zstd frame.
    #[cfg(feature = "native")]
    Zstd(Box<zstd::Decoder<'static, R>>),
    /// A zstd frame.
    #[cfg(not(feature = "native"))]
    Zstd(Box<ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    /// An xz stream.
    Xz(Box<lzma_rust2::XzReader<R>>),
    /// A stream of lzma's own format, without a container.
    Lzma(Box<lzma_rust2::LzmaReader<Bytewise<R>>>),
    /// A bzip2 stream.
    Bzip2(Box<bzip2::bufread::BzDecoder<R>>),
    /// LZ4's legacy frames.
    Lz4(Box<Lz4Legacy<R>>),
    /// An lzop file.
    Lzo(Box<Lzop<R>>),
}

/// Gives one byte at a time: the reader of lzma keeps what it was given, and what comes after the piece would be lost.
pub struct Bytewise<R>(R);

impl<R: BufRead> Read for Bytewise<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (Some(to), Some(byte)) = (buffer.first_mut(), self.0.fill_buf()?.first()) else { return Ok(0) };
        *to = *byte;
        self.0.consume(1);
        Ok(1)
    }
}

impl<R: BufRead> Piece<R> {
    /// Unpacks the piece that `input` stands at and that begins with the bytes `start`. `None` when these are no magic
    /// that we know: the input is lost then.
    ///
    /// # Errors
    /// When the piece does not even begin as it should.
    pub fn new(input: R, start: &[u8]) -> io::Result<Option<Piece<R>>> {
        Ok(Some(match start {
            [0x1f, 0x8b, ..] => Piece::Gzip(Box::new(flate2::bufread::GzDecoder::new(input))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Piece::zstd(input)?,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
                Piece::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(input, false, LZMA_MEMORY)))
            }
            [0x5d, 0, 0, ..] => {
                Piece::Lzma(Box::new(lzma_rust2::LzmaReader::new_mem_limit(Bytewise(input), LZMA_MEMORY, None)?))
            }
            [b'B', b'Z', b'h', ..] => Piece::Bzip2(Box::new(bzip2::bufread::BzDecoder::new(input))),
            start if start.starts_with(&lzo::MAGIC[..start.len().min(6)]) && start.len() >= 4 => {
                Piece::Lzo(Box::new(Lzop::new(input)))
            }
            start if start.starts_with(&lz4::MAGIC) => Piece::Lz4(Box::new(Lz4Legacy::new(input))),
            _ => return Ok(None),
        }))
    }

    #[cfg(feature = "native")]
    fn zstd(input: R) -> io::Result<Piece<R>> {
        Ok(Piece::Zstd(Box::new(zstd::Decoder::with_buffer(input)?.single_frame())))
    }

    #[cfg(not(feature = "native"))]
    fn zstd(input: R) -> io::Result<Piece<R>> {
        Ok(Piece::Zstd(Box::new(ruzstd::decoding::StreamingDecoder::new(input).map_err(io::Error::other)?)))
    }

    /// The input, behind the piece when it was read to its end.
    pub fn into_inner(self) -> R {
        match self {
            Piece::Gzip(decoder) => decoder.into_inner(),
            #[cfg(feature = "native")]
            Piece::Zstd(decoder) => decoder.finish(),
            #[cfg(not(feature = "native"))]
            Piece::Zstd(decoder) => decoder.into_inner(),
            Piece::Xz(reader) => reader.into_inner(),
            Piece::Lzma(reader) => reader.into_inner().0,
            Piece::Bzip2(decoder) => decoder.into_inner(),
            Piece::Lz4(reader) => reader.into_inner(),
            Piece::Lzo(reader) => reader.into_inner(),
        }
    }
}

impl<R: BufRead> Read for Piece<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Piece::Gzip(decoder) => decoder.read(buffer),
            Piece::Zstd(decoder) => decoder.read(buffer),
            Piece::Xz(reader) => reader.read(buffer),
            Piece::Lzma(reader) => reader.read(buffer),
            Piece::Bzip2(decoder) => decoder.read(buffer),
            Piece::Lz4(reader) => reader.read(buffer),
            Piece::Lzo(reader) => reader.read(buffer),
        }
    }
}
