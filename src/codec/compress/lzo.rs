//! lzop's format with LZO1X, as a kernel reads it: a header, then blocks of at most 256 KiB, each behind its two sizes and one
//! checksum (Linux, `lib/decompress_unlzo.c`; the stream is described in Documentation/staging/lzo.rst).

use std::io::{self, BufRead, Read};

use super::lz::{BlockBuffer, copy_back, malformed};

/// The magic.
pub(super) const MAGIC: [u8; 9] = [0x89, b'L', b'Z', b'O', 0, b'\r', b'\n', 0x1a, b'\n'];

/// The most that a block holds, in bytes.
const BLOCK: usize = 256 << 10;

/// The first version of lzop whose header has a level and a long time.
const WITH_LEVEL: u16 = 0x0940;

/// The flag of a header that names a filter.
const HAS_FILTER: u32 = 0x800;

/// Reads one lzop file.
pub struct Lzop<R> {
    input: R,
    blocks: BlockBuffer,
    begun: bool,
}

impl<R: BufRead> Lzop<R> {
    /// Reads from `input`, whose next bytes are a magic.
    pub fn new(input: R) -> Lzop<R> {
        Lzop { input, blocks: BlockBuffer::default(), begun: false }
    }

    /// The input, behind what was read.
    pub fn into_inner(self) -> R {
        self.input
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|_| malformed("it ends in the middle of its lzop data"))?;
        Ok(bytes)
    }

    /// Reads over the header.
    fn header(&mut self) -> io::Result<()> {
        if self.bytes()? != MAGIC {
            return Err(malformed("it does not begin with the magic of lzop"));
        }
        let version = u16::from_be_bytes(self.bytes()?);
        // The library's version, the version needed, the method.
        self.bytes::<5>()?;
        if version >= WITH_LEVEL {
            self.bytes::<1>()?;
        }
        if u32::from_be_bytes(self.bytes()?) & HAS_FILTER != 0 {
            self.bytes::<4>()?;
        }
        // Mode and time.
        self.bytes::<8>()?;
        if version >= WITH_LEVEL {
            self.bytes::<4>()?;
        }
        let [name] = self.bytes()?;
        // The name, and the checksum of the header.
        for _ in 0..usize::from(name) + 4 {
            self.bytes::<1>()?;
        }
        Ok(())
    }

    /// Reads the next block into an empty one; `false` at the end.
    fn next_block(&mut self, block: &mut Vec<u8>) -> io::Result<bool> {
        if !self.begun {
            self.header()?;
            self.begun = true;
        }
        let size = u32::from_be_bytes(self.bytes()?) as usize;
        if size == 0 {
            return Ok(false);
        }
        let packed_size = u32::from_be_bytes(self.bytes()?) as usize;
        if size > BLOCK || packed_size == 0 || packed_size > size {
            return Err(malformed(&format!("an lzop block of {size} bytes has {packed_size} when it is packed")));
        }
        self.bytes::<4>()?;
        let mut packed = Vec::new();
        self.input.by_ref().take(packed_size as u64).read_to_end(&mut packed)?;
        if packed.len() < packed_size {
            return Err(malformed("it ends in the middle of an lzop block"));
        }
        if packed_size == size {
            *block = packed;
            return Ok(true);
        }
        match (Unpack { rest: &packed, out: block, size }).all() {
            Some(()) if block.len() == size => Ok(true),
            Some(()) | None => Err(malformed("an lzop block is damaged")),
        }
    }
}

/// One LZO1X stream: literals, and copies of what was written before.
struct Unpack<'a> {
    rest: &'a [u8],
    out: &'a mut Vec<u8>,
    /// How many bytes it makes.
    size: usize,
}

/// What the last instruction was followed by: the meaning of a byte below 16 depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// A copy without literals.
    Copy,
    /// A copy with one to three literals.
    Literals,
    /// A run of four literals or more.
    Run,
}

impl Unpack<'_> {
    /// `None` when it is damaged.
    fn all(mut self) -> Option<()> {
        let mut before = Before::Copy;
        // The first byte can be a run of literals of its own kind.
        if let Some(count) = self.rest.first()?.checked_sub(17).filter(|count| *count > 0) {
            self.byte()?;
            self.literals(usize::from(count))?;
            before = if count < 4 { Before::Literals } else { Before::Run };
        }
        loop {
            let byte = self.byte()?;
            let low = usize::from(byte);
            let literals = match (byte, before) {
                (0..=15, Before::Copy) => {
                    let count = self.length(low, 15)? + 3;
                    self.literals(count)?;
                    before = Before::Run;
                    continue;
                }
                (0..=15, Before::Literals | Before::Run) => {
                    let (least, count) = if before == Before::Run { (2049, 3) } else { (1, 2) };
                    let distance = (usize::from(self.byte()?) << 2) + (low >> 2) + least;
                    self.copy(distance, count)?;
                    low & 3
                }
                (16..=31, _) => {
                    let count = self.length(low & 7, 7)? + 2;
                    let word = self.word()?;
                    let distance = ((low & 8) << 11) + (word >> 2);
                    if distance == 0 {
                        return Some(());
                    }
                    self.copy(distance + 16384, count)?;
                    word & 3
                }
                (32..=63, _) => {
                    let count = self.length(low & 31, 31)? + 2;
                    let word = self.word()?;
                    self.copy((word >> 2) + 1, count)?;
                    word & 3
                }
                (64..=255, _) => {
                    let count = if byte < 128 { 3 + (low >> 5 & 1) } else { 5 + (low >> 5 & 3) };
                    let distance = (usize::from(self.byte()?) << 3) + (low >> 2 & 7) + 1;
                    self.copy(distance, count)?;
                    low & 3
                }
            };
            self.literals(literals)?;
            before = if literals == 0 { Before::Copy } else { Before::Literals };
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, after) = self.rest.split_first()?;
        self.rest = after;
        Some(*first)
    }

    fn word(&mut self) -> Option<usize> {
        Some(usize::from(u16::from_le_bytes([self.byte()?, self.byte()?])))
    }

    /// A length: some bits, and if they are zero, `full` and the bytes behind them, as long as these are zero too.
    fn length(&mut self, bits: usize, full: usize) -> Option<usize> {
        if bits > 0 {
            return Some(bits);
        }
        let mut length = full;
        loop {
            match self.byte()? {
                0 => length += 255,
                last => return Some(length + usize::from(last)),
            }
        }
    }

    fn literals(&mut self, count: usize) -> Option<()> {
        let (literals, after) = self.rest.split_at_checked(count)?;
        if self.out.len() + count > self.size {
            return None;
        }
        self.out.extend_from_slice(literals);
        self.rest = after;
        Some(())
    }

    fn copy(&mut self, distance: usize, count: usize) -> Option<()> {
        copy_back(self.out, distance, count, self.size)
    }
}

impl<R: BufRead> Read for Lzop<R> {
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

    /// A file of lzop's with these blocks: size, and packed bytes.
    fn file(blocks: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = [MAGIC.as_slice(), &[0x10, 0x30, 0x20, 0x80, 0x09, 0x40, 1, 5]].concat();
        bytes.extend([0; 4 + 8 + 4]);
        bytes.extend([1, b'n', 0, 0, 0, 0]);
        for (size, packed) in blocks {
            bytes.extend(size.to_be_bytes());
            bytes.extend((packed.len() as u32).to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend(*packed);
        }
        bytes.extend([0; 4]);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        Lzop::new(bytes).read_to_end(&mut out).map(|_| out).map_err(|error| error.to_string())
    }

    #[test]
    fn literals_and_copies_that_reach_into_themselves() {
        // "abc", then nine bytes from three back, then the end.
        let block = [17 + 3, b'a', b'b', b'c', 32 + 7, 2 << 2, 0, 17, 0, 0];
        assert_eq!(read(&file(&[(12, &block)])), Ok(b"abcabcabcabc".to_vec()));
        // A block that was not packed, and one that is read after it.
        assert_eq!(read(&file(&[(3, b"xyz"), (12, &block)])), Ok(b"xyzabcabcabcabc".to_vec()));
        // A long copy: 31, and a byte of zero, and 20 more.
        let long = [17 + 1, b'z', 32, 0, 20, 0, 0, 17, 0, 0];
        assert_eq!(read(&file(&[(309, &long)])), Ok(vec![b'z'; 309]));
        // What comes behind it stays.
        let bytes = [file(&[(3, b"xyz")]), b"behind".to_vec()].concat();
        let mut lzop = Lzop::new(&*bytes);
        io::copy(&mut lzop, &mut io::sink()).unwrap();
        assert_eq!(lzop.into_inner(), b"behind");
    }

    #[test]
    fn damage_is_told_and_memory_is_bounded() {
        let block = [17 + 3, b'a', b'b', b'c', 32 + 7, 2 << 2, 0, 17, 0, 0];
        for (size, packed) in
            [(13, &block[..]), (11, &block), (12, &block[..9]), (12, &block[..5]), (12, b"\x14ab\x27")]
        {
            assert_eq!(read(&file(&[(size, packed)])), Err("an lzop block is damaged".into()), "{size} {packed:?}");
        }
        // A copy from before the beginning.
        let far = [17 + 3, b'a', b'b', b'c', 32 + 7, 9 << 2, 0, 17, 0, 0];
        assert_eq!(read(&file(&[(12, &far)])), Err("an lzop block is damaged".into()));
        assert!(read(&file(&[(BLOCK as u32 + 1, b"x")])).unwrap_err().contains("an lzop block of 262145 bytes"));
        assert!(read(&file(&[(1, b"xy")])).unwrap_err().contains("has 2 when it is packed"));
        assert_eq!(read(&MAGIC), Err("it ends in the middle of its lzop data".into()));
    }
}
