//! One gzip member from one block of bytes.

use std::io;
#[cfg(not(feature = "native"))]
use std::io::Write;

use super::coder::{Coded, Coder};

/// Makes gzip members.
#[cfg(feature = "native")]
pub(super) struct MemberWriter(libdeflater::Compressor);

#[cfg(feature = "native")]
impl MemberWriter {
    pub fn new(level: u8) -> io::Result<MemberWriter> {
        // libdeflate has a level 0 too, which only stores.
        match libdeflater::CompressionLvl::new(i32::from(level)) {
            Ok(valid) if level > 0 => Ok(MemberWriter(libdeflater::Compressor::new(valid))),
            _ => Err(no_level("gzip", "1 to 12", level)),
        }
    }
}

#[cfg(feature = "native")]
impl Coder for MemberWriter {
    fn code(&mut self, block: &[u8], mut buffer: Vec<u8>) -> io::Result<Coded> {
        let bound = self.0.gzip_compress_bound(block.len());
        if buffer.len() < bound {
            buffer.resize(bound, 0);
        }
        let length =
            self.0.gzip_compress(block, &mut buffer).map_err(|error| io::Error::other(format!("{error:?}")))?;
        Ok(Coded { buffer, length })
    }
}

/// Makes gzip members.
#[cfg(not(feature = "native"))]
pub(super) struct MemberWriter(u8);

#[cfg(not(feature = "native"))]
impl MemberWriter {
    pub fn new(level: u8) -> io::Result<MemberWriter> {
        if (1..=9).contains(&level) { Ok(MemberWriter(level)) } else { Err(no_level("gzip", "1 to 9", level)) }
    }
}

#[cfg(not(feature = "native"))]
impl Coder for MemberWriter {
    fn code(&mut self, block: &[u8], mut buffer: Vec<u8>) -> io::Result<Coded> {
        buffer.clear();
        // The whole block in one call: zlib-rs makes other bytes when the same input comes in parts.
        let mut encoder = flate2::write::GzEncoder::new(buffer, flate2::Compression::new(u32::from(self.0)));
        encoder.write_all(block)?;
        let buffer = encoder.finish()?;
        Ok(Coded { length: buffer.len(), buffer })
    }
}

/// Why a level is refused.
pub(super) fn no_level(form: &str, levels: &str, level: u8) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{form} has levels {levels}, not {level}"))
}
