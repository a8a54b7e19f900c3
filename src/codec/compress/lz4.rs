//! LZ4's legacy frames, the only LZ4 form that a kernel reads: a magic, then blocks of at most 8 MiB, each behind its
//! compressed size (`lz4 -l`; lz4_Frame_format.md, "Legacy frame").

use std::io::{self, BufRead, Read};

use super::lz::{BlockBuffer, copy_back, malformed};

/// The magic.
pub(super) const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// The most that a block holds, in bytes.
const BLOCK: usize = 8 << 20;

/// The most that a block of that size can have when it is compressed, in bytes (`LZ4_compressBound`).
const PACKED: usize = BLOCK + BLOCK / 255 + 16;

/// Reads legacy frames to the end of the input.
pub struct Lz4Legacy<R> {
    input: R,
    blocks: BlockBuffer,
    begun: bool,
}

impl<R: BufRead> Lz4Legacy<R> {
    /// Reads from `input`, whose next bytes are a magic.
    pub fn new(input: R) -> Lz4Legacy<R> {
        Lz4Legacy { input, blocks: BlockBuffer::default(), begun: false }
    }

    /// The input, behind what was read.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// Reads the next block into an empty one; `false` at the end.
    fn next_block(&mut self, block: &mut Vec<u8>) -> io::Result<bool> {
        let mut word = [0; 4];
        loop {
            let Some(size) = self.word(&mut word)? else { return Ok(false) };
            if word == MAGIC {
                self.begun = true;
                continue;
            }
            if !self.begun {
                return Err(malformed("it does not begin with the magic of lz4's legacy format"));
            }
            // Zeros fill up what comes before another archive.
            if size == 0 {
                return Ok(false);
            }
            if size > PACKED {
                return Err(malformed(&format!("an lz4 block has {size} bytes, more than the maximum")));
            }
            let mut packed = Vec::new();
            self.input.by_ref().take(size as u64).read_to_end(&mut packed)?;
            if packed.len() < size {
                return Err(malformed("it ends in the middle of an lz4 block"));
            }
            unpack(&packed, block).ok_or_else(|| malformed("an lz4 block is damaged"))?;
            return Ok(true);
        }
    }

    /// Four bytes, as a number too; `None` at the end of the input.
    fn word(&mut self, word: &mut [u8; 4]) -> io::Result<Option<usize>> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.input.read_exact(word)?;
        Ok(Some(u32::from_le_bytes(*word) as usize))
    }
}

/// One block (lz4_Block_format.md): literals, and copies of what was written before. `None` when it is damaged.
fn unpack(packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = packed;
    loop {
        let token = byte(&mut rest)?;
        let count = length(&mut rest, token >> 4)?;
        let (literals, after) = rest.split_at_checked(count)?;
        if out.len() + count > BLOCK {
            return None;
        }
        out.extend_from_slice(literals);
        rest = after;
        // The last sequence has no copy.
        if rest.is_empty() {
            return Some(());
        }
        let offset = usize::from(u16::from_le_bytes([byte(&mut rest)?, byte(&mut rest)?]));
        let count = length(&mut rest, token & 15)? + 4;
        copy_back(out, offset, count, BLOCK)?;
    }
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

/// A length: four bits, and while they or the bytes behind them are full, one more byte.
fn length(rest: &mut &[u8], nibble: u8) -> Option<usize> {
    let mut length = usize::from(nibble);
    let mut full = nibble == 15;
    while full {
        let more = byte(rest)?;
        length += usize::from(more);
        full = more == 255;
    }
    Some(length)
}

impl<R: BufRead> Read for Lz4Legacy<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut blocks = std::mem::take(&mut self.blocks);
        let read = blocks.read(buffer, |block| self.next_block(block));
        self.blocks = blocks;
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(blocks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for block in blocks {
            bytes.extend_from_slice(&(block.len() as u32).to_le_bytes());
            bytes.extend_from_slice(block);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        Lz4Legacy::new(bytes).read_to_end(&mut out).map(|_| out).map_err(|error| error.to_string())
    }

    #[test]
    fn literals_and_copies_that_reach_into_themselves() {
        // "abc", then nine bytes from three back, then "x".
        let block = b"\x35abc\x03\x00\x10x";
        assert_eq!(read(&frame(&[block])), Ok(b"abcabcabcabcx".to_vec()));
        // A second frame may follow, and zeros end it.
        let bytes = [frame(&[block]), frame(&[b"\x10y"]), vec![0; 4]].concat();
        assert_eq!(read(&bytes), Ok(b"abcabcabcabcxy".to_vec()));
        let long = [b"\xf0\xff\x01".as_slice(), &[b'z'; 271]].concat();
        assert_eq!(read(&frame(&[&long])), Ok(vec![b'z'; 271]));
    }

    #[test]
    fn damage_is_told_and_memory_is_bounded() {
        for block in [b"\x35ab".as_slice(), b"\x35abc\x04\x00\x10x", b"\x35abc\x00\x00\x10x", b"\xf0\xff", b"\x14a\x01"]
        {
            assert_eq!(read(&frame(&[block])), Err("an lz4 block is damaged".into()), "{block:?}");
        }
        // A copy of more than a block may hold.
        let bomb = [b"\x1fa\x01\x00".as_slice(), &[255; 40_000], &[0]].concat();
        assert_eq!(read(&frame(&[&bomb])), Err("an lz4 block is damaged".into()));
        let huge = [MAGIC.as_slice(), &[0xff; 4]].concat();
        assert_eq!(read(&huge), Err("an lz4 block has 4294967295 bytes, more than the maximum".into()));
        assert_eq!(read(&frame(&[b"\x10y"])[..9]), Err("it ends in the middle of an lz4 block".into()));
    }
}
