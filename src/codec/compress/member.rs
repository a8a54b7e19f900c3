//! One gzip member from one block of bytes.

use std::io;
#[cfg(not(feature = "native"))]
use std::io::Write;

use super::coder::{Coded, Coder};
use super::incompressible::is_incompressible;

/// Makes gzip members: of noise such as hold it as it is.
pub(super) struct MemberWriter {
    packing: Deflater,
    /// For trials.
    quick: Deflater,
    storing: Deflater,
    /// Where trials end.
    trial: Vec<u8>,
}

impl MemberWriter {
    pub fn new(level: u8) -> io::Result<MemberWriter> {
        if !(1..=LEVELS).contains(&level) {
            return Err(no_level("gzip", &format!("1 to {LEVELS}"), level));
        }
        Ok(MemberWriter {
            packing: Deflater::new(level)?,
            quick: Deflater::new(1)?,
            storing: Deflater::new(0)?,
            trial: Vec::new(),
        })
    }
}

impl Coder for MemberWriter {
    fn code(&mut self, block: &[u8], buffer: Vec<u8>) -> io::Result<Coded> {
        let (quick, room) = (&mut self.quick, &mut self.trial);
        let noise = is_incompressible(block, |part| {
            let coded = quick.member(part, std::mem::take(room))?;
            *room = coded.buffer;
            Ok(coded.length)
        })?;
        if noise { self.storing.member(block, buffer) } else { self.packing.member(block, buffer) }
    }
}

/// The highest level.
#[cfg(feature = "native")]
const LEVELS: u8 = 12;

/// The highest level.
#[cfg(not(feature = "native"))]
const LEVELS: u8 = 9;

/// Makes members at one level; 0 stores.
#[cfg(feature = "native")]
struct Deflater(libdeflater::Compressor);

#[cfg(feature = "native")]
impl Deflater {
    fn new(level: u8) -> io::Result<Deflater> {
        let level = libdeflater::CompressionLvl::new(i32::from(level));
        let level = level.map_err(|error| io::Error::other(format!("{error:?}")))?;
        Ok(Deflater(libdeflater::Compressor::new(level)))
    }

    fn member(&mut self, block: &[u8], mut buffer: Vec<u8>) -> io::Result<Coded> {
        let bound = self.0.gzip_compress_bound(block.len());
        if buffer.len() < bound {
            buffer.resize(bound, 0);
        }
        let length =
            self.0.gzip_compress(block, &mut buffer).map_err(|error| io::Error::other(format!("{error:?}")))?;
        Ok(Coded { buffer, length })
    }
}

/// Makes members at one level; 0 stores.
#[cfg(not(feature = "native"))]
struct Deflater(u8);

#[cfg(not(feature = "native"))]
impl Deflater {
    fn new(level: u8) -> io::Result<Deflater> {
        Ok(Deflater(level))
    }

    fn member(&mut self, block: &[u8], mut buffer: Vec<u8>) -> io::Result<Coded> {
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
    io::Error::new(io::ErrorKind::InvalidInput, format!("{form} has the levels {levels}, not {level}"))
}
