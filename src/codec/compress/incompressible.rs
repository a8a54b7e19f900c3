//! Which blocks are not worth packing: packages, pictures, keys and whatever else was packed before.
//!
//! A compressor takes nearly as long for such a block as for another, and gains nothing. Only whole numbers decide, so that
//! every machine decides alike.

use std::io;

/// How many places of a block are looked at, and how many bytes at each.
const PLACES: usize = 16;
const AT_EACH: usize = 2 << 10;

/// How long the parts are that are packed for a trial: longer than DEFLATE looks back.
const TRIAL: usize = 64 << 10;

/// Whether nothing is to be gained from packing a block. `trial` packs some bytes, quickly, and says how long the result is.
///
/// In noise all bytes are equally frequent. That is looked at first, since it costs next to nothing and lets hardly anything
/// else through; what repeats in spite of it is found by the trial at the start, in the middle and at the end.
pub(super) fn is_incompressible(block: &[u8], mut trial: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<bool> {
    if block.len() < 2 * TRIAL || !is_even(block) {
        return Ok(false);
    }
    for start in [0, (block.len() - TRIAL) / 2, block.len() - TRIAL] {
        if trial(&block[start..start + TRIAL])? < TRIAL - TRIAL / 128 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether all bytes are about equally frequent. For noise the squares of their counts add up to `n²/256 + n`, give or take a
/// tenth of `n`. What gzip, bzip2, zstd and xz made was seen to have up to fourteen times that `n`; texts and programs have hundreds.
fn is_even(block: &[u8]) -> bool {
    let mut counts = [0_u64; 256];
    let step = block.len() / PLACES;
    for place in 0..PLACES {
        for &byte in &block[place * step..place * step + AT_EACH] {
            counts[usize::from(byte)] += 1;
        }
    }
    let number = (PLACES * AT_EACH) as u64;
    counts.iter().map(|count| count * count).sum::<u64>() <= number * number / 256 + 40 * number
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without any order.
    fn noise(length: usize) -> Vec<u8> {
        let mut state: u64 = 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(&mut next).take(length).collect()
    }

    fn judged(block: &[u8]) -> bool {
        let trial = |part: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            io::Write::write_all(&mut encoder, part)?;
            encoder.finish().map(|packed| packed.len())
        };
        is_incompressible(block, trial).unwrap()
    }

    #[test]
    fn what_cannot_be_packed_is_known() {
        assert!(judged(&noise(1 << 20)) && judged(&noise(2 * TRIAL)));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let letters: Vec<u8> = noise(1 << 20).iter().map(|byte| b'0' + (byte & 0x3f)).collect();
        io::Write::write_all(&mut packed, &letters).unwrap();
        assert!(!judged(&letters) && judged(&packed.finish().unwrap()));
    }

    #[test]
    fn what_repeats_or_is_short_or_uneven_is_packed() {
        assert!(!judged(&noise(TRIAL)));
        assert!(!judged(&noise(20_000).repeat(20)));
        assert!(!judged(&noise(1 << 20).iter().map(|byte| byte & 0x7f).collect::<Vec<u8>>()));
        let mut mixed = noise(1 << 20);
        mixed[1 << 19..].fill(b' ');
        assert!(!judged(&mixed));
        assert!(!judged(&[]));
    }
}
