//! DEFLATE streams (RFC 1951) that others can follow in the same stream.
//!
//! A compressor that knows no streams ends each of its outputs with a block that is marked as the last one. To put such
//! outputs one behind the other the mark must go, and nothing but reading the codes tells where it is: blocks say neither
//! their length nor where the next one begins. So the codes are walked, without copying anything they mean.

#![cfg(feature = "native")]

/// The longest code, in bits.
const CODE_MAX: usize = 15;

/// How many bits are looked up at once; codes that are longer are walked bit by bit.
const LOOKUP: usize = 11;

/// What a code means to the walk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// A literal, or a distance: nothing follows but its own extra bits.
    Plain,
    /// A length: a distance follows.
    Length,
    /// The end of the block.
    End,
}

/// One symbol as the walk sees it.
#[derive(Clone, Copy)]
struct Step {
    /// How many bits the code has, with the extra bits behind it; 0 where no code is.
    bits: u8,
    meaning: Meaning,
}

const NO_STEP: Step = Step { bits: 0, meaning: Meaning::Plain };

/// Takes the mark of the last block away, and ends the stream on a whole byte, so that another one can follow. `None`
/// when it is not a whole stream.
pub fn open_end(stream: &mut Vec<u8>) -> Option<()> {
    let mut bits = Bits { bytes: stream, at: 0, buffer: 0, count: 0 };
    let mut mark;
    loop {
        mark = bits.position();
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => bits.stored()?,
            1 => {
                let (literals, distances) = fixed();
                bits.block(&literals, &distances)?;
            }
            2 => {
                let (literals, distances) = bits.dynamic()?;
                bits.block(&literals, &distances)?;
            }
            _ => return None,
        }
        if last {
            break;
        }
    }
    let end = bits.position();
    if end.div_ceil(8) != stream.len() {
        return None;
    }
    stream[mark / 8] &= !(1 << (mark % 8));
    // An empty stored block: three zero bits, zeros up to a whole byte, its length and the complement.
    if !end.is_multiple_of(8) {
        *stream.last_mut()? &= (1 << (end % 8)) - 1;
    }
    if end.is_multiple_of(8) || end % 8 > 5 {
        stream.push(0);
    }
    stream.extend_from_slice(&[0, 0, 0xff, 0xff]);
    Some(())
}

/// A stream, bit by bit.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte to take into the buffer.
    at: usize,
    buffer: u64,
    /// How many bits of the buffer are valid.
    count: u32,
}

impl Bits<'_> {
    /// How many bits were taken.
    fn position(&self) -> usize {
        8 * self.at - self.count as usize
    }

    /// Fills the buffer to at least 56 bits, as long as there are bytes.
    fn refill(&mut self) {
        if let Some(next) = self.bytes.get(self.at..self.at + 8).and_then(|next| next.try_into().ok()) {
            self.buffer |= u64::from_le_bytes(next) << self.count;
            let whole = (63 - self.count) / 8;
            self.at += whole as usize;
            self.count += 8 * whole;
            return;
        }
        while self.count <= 56 && self.at < self.bytes.len() {
            self.buffer |= u64::from(self.bytes[self.at]) << self.count;
            self.at += 1;
            self.count += 8;
        }
    }

    /// Drops bits that are in the buffer.
    fn skip(&mut self, bits: u32) -> Option<()> {
        self.count = self.count.checked_sub(bits)?;
        // Above the valid bits there may be some of the next byte; the next refill brings the same ones again.
        self.buffer >>= bits;
        Some(())
    }

    /// At most 16 bits.
    fn take(&mut self, bits: u32) -> Option<u32> {
        self.refill();
        let value = (self.buffer & ((1 << bits) - 1)) as u32;
        self.skip(bits)?;
        Some(value)
    }

    fn stored(&mut self) -> Option<()> {
        let start = self.position().div_ceil(8);
        let length = usize::from(u16::from_le_bytes(self.bytes.get(start..start + 2)?.try_into().ok()?));
        let end = start + 4 + length;
        if end > self.bytes.len() {
            return None;
        }
        (self.at, self.buffer, self.count) = (end, 0, 0);
        Some(())
    }

    /// Walks to the end of a block.
    fn block(&mut self, literals: &Codes, distances: &Codes) -> Option<()> {
        loop {
            // A length and its distance have at most 48 bits with all that follows them.
            if self.count < 48 {
                self.refill();
            }
            match self.step(literals)? {
                Meaning::Plain => {}
                Meaning::End => return Some(()),
                Meaning::Length => {
                    self.step(distances)?;
                }
            }
        }
    }

    fn step(&mut self, codes: &Codes) -> Option<Meaning> {
        let step = codes.short[(self.buffer & ((1 << LOOKUP) - 1)) as usize];
        let step = if step.bits == 0 { codes.long(self.buffer)? } else { step };
        self.skip(u32::from(step.bits))?;
        Some(step.meaning)
    }

    /// The codes that come before a block (RFC 1951 §3.2.7).
    fn dynamic(&mut self) -> Option<(Codes, Codes)> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let literals = self.take(5)? as usize + 257;
        let distances = self.take(5)? as usize + 1;
        let count = self.take(4)? as usize + 4;
        let mut lengths = [0; 19];
        for place in &ORDER[..count] {
            lengths[*place] = self.take(3)? as u8;
        }
        let codes = LengthCodes::new(&lengths);
        let mut lengths = Vec::with_capacity(literals + distances);
        while lengths.len() < literals + distances {
            self.refill();
            let (symbol, bits) = codes.find(self.buffer)?;
            self.skip(bits)?;
            let (length, times) = match symbol {
                16 => (*lengths.last()?, 3 + self.take(2)?),
                17 => (0, 3 + self.take(3)?),
                18 => (0, 11 + self.take(7)?),
                length => (length, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times as usize));
        }
        let (literals, distances) = lengths.get(..literals + distances)?.split_at(literals);
        Some((Codes::new(literals, literal), Codes::new(distances, distance)))
    }
}

/// The codes of blocks that bring none (RFC 1951 §3.2.6).
fn fixed() -> (Codes, Codes) {
    let mut lengths = [8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    (Codes::new(&lengths, literal), Codes::new(&[5; 30], distance))
}

/// A literal, a length or the end, and how many extra bits follow.
fn literal(symbol: usize) -> (Meaning, u8) {
    match symbol {
        0..=255 => (Meaning::Plain, 0),
        256 => (Meaning::End, 0),
        257..=264 | 285.. => (Meaning::Length, 0),
        265..=284 => (Meaning::Length, ((symbol - 261) / 4) as u8),
    }
}

fn distance(symbol: usize) -> (Meaning, u8) {
    (Meaning::Plain, (symbol / 2).saturating_sub(1) as u8)
}

/// The codes of one alphabet.
struct Codes {
    /// By the next [`LOOKUP`] bits.
    short: Vec<Step>,
    /// How many codes there are of each length.
    counts: [u32; CODE_MAX + 1],
    /// All of them in the order of their codes.
    sorted: Vec<Step>,
}

impl Codes {
    fn new(lengths: &[u8], meaning: fn(usize) -> (Meaning, u8)) -> Codes {
        let mut codes = Codes { short: vec![NO_STEP; 1 << LOOKUP], counts: [0; CODE_MAX + 1], sorted: Vec::new() };
        let mut code = 0_usize;
        for length in 1..=CODE_MAX {
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, own)| usize::from(**own) == length) {
                let (meaning, extra) = meaning(symbol);
                let step = Step { bits: length as u8 + extra, meaning };
                codes.counts[length] += 1;
                codes.sorted.push(step);
                if length <= LOOKUP {
                    let first = code.reverse_bits() >> (usize::BITS as usize - length);
                    codes.short.iter_mut().skip(first).step_by(1 << length).for_each(|place| *place = step);
                }
                code += 1;
            }
            code <<= 1;
        }
        codes
    }

    /// The code that the next bits begin with, of any length.
    fn long(&self, bits: u64) -> Option<Step> {
        let (mut code, mut first, mut index) = (0_u32, 0_u32, 0_u32);
        for length in 1..=CODE_MAX {
            code |= (bits >> (length - 1)) as u32 & 1;
            let count = self.counts[length];
            if code < first + count {
                return self.sorted.get((index + code.checked_sub(first)?) as usize).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// The codes of code lengths: at most seven bits, and symbols that matter.
struct LengthCodes([(u8, u8); 128]);

impl LengthCodes {
    fn new(lengths: &[u8; 19]) -> LengthCodes {
        let mut table = [(0, 0); 128];
        let mut code = 0_usize;
        for length in 1..=7 {
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, own)| usize::from(**own) == length) {
                let first = code.reverse_bits() >> (usize::BITS as usize - length);
                table.iter_mut().skip(first).step_by(1 << length).for_each(|at| *at = (symbol as u8, length as u8));
                code += 1;
            }
            code <<= 1;
        }
        LengthCodes(table)
    }

    fn find(&self, bits: u64) -> Option<(u8, u32)> {
        let (symbol, length) = self.0[(bits & 127) as usize];
        (length > 0).then_some((symbol, u32::from(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// Bytes of every kind: noise, text, runs, and words that come again.
    fn sample(kind: usize, length: usize) -> Vec<u8> {
        let mut state = kind as u32 + 1;
        let mut step = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        match kind % 4 {
            0 => (0..length).map(|_| step() as u8).collect(),
            1 => (0..length).map(|_| b"abcdefgh /.-\n01"[step() as usize % 15]).collect(),
            2 => vec![7; length],
            _ => (0..length).map(|at| (step() % 3 * (at as u32 / 50_000 + 1)) as u8).collect(),
        }
    }

    fn deflated(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn opened_streams_join_into_one() {
        let mut joined = Vec::new();
        let mut expected = Vec::new();
        for kind in 0..4 {
            for (length, level) in [(0, 6), (1, 6), (9, 1), (1000, 6), (100_000, 1), (150_000, 6), (70_000, 0)] {
                let bytes = sample(kind, length);
                let mut stream = deflated(&bytes, level);
                open_end(&mut stream).unwrap();
                joined.extend_from_slice(&stream);
                expected.extend_from_slice(&bytes);
            }
        }
        joined.extend_from_slice(&[3, 0]);
        let mut found = Vec::new();
        flate2::read::DeflateDecoder::new(joined.as_slice()).read_to_end(&mut found).unwrap();
        assert!(found == expected);
    }

    #[test]
    #[cfg(feature = "native")]
    fn the_streams_of_libdeflate_are_understood_at_every_level() {
        for kind in 0..4 {
            for level in [1, 2, 6, 9, 12] {
                let bytes = sample(kind, 150_000);
                let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).unwrap());
                let mut stream = vec![0; compressor.deflate_compress_bound(bytes.len())];
                let length = compressor.deflate_compress(&bytes, &mut stream).unwrap();
                stream.truncate(length);
                open_end(&mut stream).unwrap();
                stream.extend_from_slice(&[3, 0]);
                let mut found = Vec::new();
                flate2::read::DeflateDecoder::new(stream.as_slice()).read_to_end(&mut found).unwrap();
                assert!(found == bytes, "{kind} {level}");
            }
        }
    }

    #[test]
    fn what_is_no_whole_stream_is_refused() {
        let stream = deflated(&sample(1, 1500), 6);
        for length in 0..stream.len() {
            assert!(open_end(&mut stream[..length].to_vec()).is_none(), "{length}");
        }
        assert!(open_end(&mut [stream.as_slice(), b"x"].concat()).is_none());
        assert!(open_end(&mut vec![7]).is_none());
    }
}
