//! How much memory an archive may take: bounded by its entries, not by how large they say they are.
//!
//! Names and values in an archive cost next to nothing when it is compressed, and memory when it is read. So each entry may
//! hold a little, and all of them together some more.

/// What link targets and extended attributes may take in sum, besides [`EACH`] for every entry, in bytes.
const TOGETHER: u64 = 16 << 20;

/// What each entry may take, in bytes.
const EACH: u64 = 1 << 10;

/// What is left for the entries of one archive.
#[derive(Debug)]
pub struct Budget {
    left: u64,
    each: u64,
}

/// What is too much, in words.
pub const TOO_MUCH: &str =
    "the link targets and extended attributes are too large in total (more than 16 MiB and 1 KiB for each entry)";

impl Budget {
    /// For the entries of a root file system.
    pub fn of_entries() -> Budget {
        Budget { left: TOGETHER, each: EACH }
    }

    /// For names alone, none of which is free.
    pub fn of_names() -> Budget {
        Budget { left: TOGETHER, each: 0 }
    }

    /// Takes what an entry holds; `false` when that is too much.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        let more = (bytes as u64).saturating_sub(self.each);
        let fits = more <= self.left;
        self.left = self.left.saturating_sub(more);
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_entries_are_free_and_large_ones_share() {
        let mut budget = Budget::of_entries();
        assert!((0..100_000).all(|_| budget.take(1 << 10)));
        assert!((0..256).all(|_| budget.take(65 << 10)));
        assert!(!budget.take((1 << 10) + 1));
        let mut names = Budget::of_names();
        assert!((0..4096).all(|_| names.take(4096)));
        assert!(!names.take(1));
    }
}
