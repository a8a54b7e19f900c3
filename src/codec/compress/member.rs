//! One gzip member from one block of bytes.

use std::io;
#[cfg(not(feature = "native"))]
use std::io::Write;

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

    pub fn write(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = vec![0; self.0.gzip_compress_bound(block.len())];
        let length = self.0.gzip_compress(block, &mut out).map_err(|error| io::Error::other(format!("{error:?}")))?;
        out.truncate(length);
        Ok(out)
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

    pub fn write(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        // The whole block in one call: zlib-rs makes other bytes when the same input comes in parts.
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(u32::from(self.0)));
        encoder.write_all(block)?;
        encoder.finish()
    }
}

/// Why a level is refused.
pub(super) fn no_level(form: &str, levels: &str, level: u8) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{form} has levels {levels}, not {level}"))
}
