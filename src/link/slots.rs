//! A table with a slot for each inode, of which only few are ever filled.

use std::sync::OnceLock;

use crate::tree::InodeId;

/// How many slots are allocated at once.
const TOGETHER: usize = 256;

/// Slots that are each filled once, by the first thread that needs them.
pub(super) struct Slots<T>(Vec<OnceLock<Vec<OnceLock<T>>>>);

impl<T> Slots<T> {
    /// Empty slots for so many inodes.
    pub fn new(count: usize) -> Slots<T> {
        Slots(std::iter::repeat_with(OnceLock::new).take(count.div_ceil(TOGETHER)).collect())
    }

    /// The value of a slot, computed now if it is empty. `None` for an inode of another tree.
    pub fn get_or_init(&self, id: InodeId, make: impl FnOnce() -> T) -> Option<&T> {
        let together = self.0.get(id.index() / TOGETHER)?;
        let together = together.get_or_init(|| std::iter::repeat_with(OnceLock::new).take(TOGETHER).collect());
        Some(together.get(id.index() % TOGETHER)?.get_or_init(make))
    }

    /// All values, in the order of the inodes.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(OnceLock::get).flatten().filter_map(OnceLock::get)
    }

    /// The value of a slot, if it is filled.
    pub fn get(&self, id: InodeId) -> Option<&T> {
        self.0.get(id.index() / TOGETHER)?.get()?.get(id.index() % TOGETHER)?.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, Mode, Tree};

    #[test]
    fn a_place_is_filled_once() {
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        let mut here = tree.root();
        for _ in 0..400 {
            let name = crate::path::Name::new(b"d").unwrap();
            here = tree.insert_directory(here, name, Metadata::new(Mode::DIRECTORY, 0));
        }
        let (root, here) = (*tree.root(), *here);
        let slots = Slots::new(tree.inode_count());
        assert_eq!(slots.get(here), None);
        assert_eq!(slots.get_or_init(here, || 1), Some(&1));
        assert_eq!(slots.get_or_init(here, || 2), Some(&1));
        assert_eq!((slots.get(here), slots.get(root)), (Some(&1), None));
        assert_eq!(slots.iter().collect::<Vec<_>>(), [&1]);
        assert_eq!(Slots::new(1).get_or_init(here, || 1), None);
    }
}
