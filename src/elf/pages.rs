//! Bounded, positioned reading: each block is read once and kept.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::tree::{Content, ContentError, ContentReader};

/// Bytes read at once. ELF header, program headers, interpreter and notes usually fit into the first block.
const BLOCK: u64 = 4096;

/// The most blocks that are kept before all are dropped: 1 MiB.
const BLOCKS_MAX: usize = 256;

/// The contents of one file, of which only the needed parts are read.
pub struct Pages<'a> {
    reader: ContentReader<'a>,
    size: u64,
    blocks: RefCell<BTreeMap<u64, Box<[u8]>>>,
}

impl<'a> Pages<'a> {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`Content::open`].
    pub fn open(content: &'a Content) -> Result<Pages<'a>, ContentError> {
        Ok(Pages { reader: content.open()?, size: content.size(), blocks: RefCell::new(BTreeMap::new()) })
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// `length` bytes from `offset` on, or fewer if the file ends before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, ContentError> {
        let end = offset.saturating_add(length as u64).min(self.size);
        if offset >= end {
            return Ok(Vec::new());
        }
        // Tables are not kept: the kept blocks are for strings and headers.
        if end - offset > 4 * BLOCK {
            return self.read_past(offset, (end - offset) as usize);
        }
        let mut out = Vec::with_capacity((end - offset) as usize);
        let mut position = offset;
        while position < end {
            let start = position - position % BLOCK;
            let stop = (start + BLOCK).min(end);
            let mut blocks = self.blocks.borrow_mut();
            if !blocks.contains_key(&start) {
                if blocks.len() >= BLOCKS_MAX {
                    blocks.clear();
                }
                blocks.insert(start, self.read_past(start, BLOCK as usize)?.into());
            }
            let wanted = (position - start) as usize..(stop - start) as usize;
            match blocks.get(&start).and_then(|block| block.get(wanted)) {
                Some(part) => out.extend_from_slice(part),
                None => break,
            }
            position = stop;
        }
        Ok(out)
    }

    /// Checks that the file has not changed since it was first seen, so that everything read is of one state.
    ///
    /// # Errors
    /// When it changed, or cannot be examined.
    pub fn prove(&self) -> Result<(), ContentError> {
        self.reader.prove()
    }

    fn read_past(&self, offset: u64, length: usize) -> Result<Vec<u8>, ContentError> {
        let mut bytes = vec![0; length.min(usize::try_from(self.size.saturating_sub(offset)).unwrap_or(length))];
        let count = self.reader.read_at(&mut bytes, offset)?;
        bytes.truncate(count);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cross_blocks_and_stop_at_the_end() {
        let bytes: Vec<u8> = (0..10_000u32).map(|number| (number % 251) as u8 + 1).collect();
        let content = Content::Bytes(bytes.clone().into());
        let pages = Pages::open(&content).unwrap();
        assert_eq!(pages.read(4000, 200).unwrap(), bytes[4000..4200]);
        assert_eq!(pages.read(9990, 4096).unwrap(), bytes[9990..]);
        assert_eq!(pages.read(0, 10_000).unwrap(), bytes);
        assert!(pages.read(u64::MAX, 8).unwrap().is_empty());
        assert!(pages.read(10_000, 8).unwrap().is_empty());
    }
}
