//! What all compressors of single blocks have in common.

use std::io;

/// What compresses one block after the other. What it makes depends on the block only.
pub trait Coder: Send + 'static {
    /// The compressed form of a block, in a buffer that may hold anything before.
    fn code(&mut self, block: &[u8], buffer: Vec<u8>) -> io::Result<Coded>;
}

/// A block's compressed form, at the start of a buffer that may be longer: so the buffer is not cleared before it is
/// used again.
pub struct Coded {
    /// The buffer.
    pub buffer: Vec<u8>,
    /// How many of its bytes count.
    pub length: usize,
}

impl Coded {
    /// The compressed form.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}
