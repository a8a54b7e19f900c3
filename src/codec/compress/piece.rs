//! One compressed piece of a file, and what comes after it. What other readers take for one stream (members or frames
//! in a row) are several pieces here, as they are for a kernel.

use std::io::{self, BufRead, Read};

use super::lz4::{self, Lz4Legacy};

/// The most memory that unpacking xz may ask for, in kB: twice what `xz -9` needs.
const XZ_MEMORY: u32 = 128 << 10;

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
    /// LZ4's legacy frames.
    Lz4(Box<Lz4Legacy<R>>),
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
                Piece::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(input, false, XZ_MEMORY)))
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
            Piece::Lz4(reader) => reader.into_inner(),
        }
    }
}

impl<R: BufRead> Read for Piece<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Piece::Gzip(decoder) => decoder.read(buffer),
            Piece::Zstd(decoder) => decoder.read(buffer),
            Piece::Xz(reader) => reader.read(buffer),
            Piece::Lz4(reader) => reader.read(buffer),
        }
    }
}
