//! What the readers of lz4 and lzo share: blocks that are unpacked one after the other, and copies of what a block already has.

use std::io;

/// The block that is read, and how much of it was.
#[derive(Default)]
pub(super) struct BlockBuffer {
    block: Vec<u8>,
    at: usize,
    ended: bool,
}

impl BlockBuffer {
    /// Reads on. `next` fills the block, which is empty, and says whether there was another one.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        mut next: impl FnMut(&mut Vec<u8>) -> io::Result<bool>,
    ) -> io::Result<usize> {
        while self.at == self.block.len() {
            if self.ended || buffer.is_empty() {
                return Ok(0);
            }
            self.at = 0;
            self.block.clear();
            self.ended = !next(&mut self.block)?;
        }
        let left = &self.block[self.at..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}

/// Appends `count` bytes from `distance` bytes back; `None` if there are none, or if `out` would be longer than `most`.
pub(super) fn copy_back(out: &mut Vec<u8>, distance: usize, count: usize, most: usize) -> Option<()> {
    let start = out.len().checked_sub(distance).filter(|_| distance > 0)?;
    if out.len() + count > most {
        return None;
    }
    // What is copied may reach into what is being written.
    for at in start..start + count {
        out.push(out[at]);
    }
    Some(())
}

pub(super) fn malformed(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
