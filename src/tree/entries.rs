//! The names in a directory, sorted by bytes, in little memory.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::slice;

use crate::path::Name;

/// The number of an inode within its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub(super) u32);

impl InodeId {
    /// The number, as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// How many names may move aside for one that comes between them or goes. Beyond that a real map is cheaper.
const MOVES_MAX: usize = 512;

/// What a directory holds. In order, names cost nothing but their own room; in any other order, no more time than in
/// a map.
#[derive(Clone, Debug, Default)]
pub struct Entries(Form);

#[derive(Clone, Debug)]
enum Form {
    Row(Vec<(Name, InodeId)>),
    Map(BTreeMap<Name, InodeId>),
}

impl Default for Form {
    fn default() -> Form {
        Form::Row(Vec::new())
    }
}

impl Entries {
    /// Nothing.
    pub fn new() -> Entries {
        Entries::default()
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Row(row) => row.len(),
            Form::Map(map) => map.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has this name.
    pub fn get<N: Borrow<[u8]> + ?Sized>(&self, name: &N) -> Option<&InodeId> {
        let name = name.borrow();
        match &self.0 {
            Form::Row(row) => find(row, name).ok().and_then(|at| row.get(at)).map(|(_, id)| id),
            Form::Map(map) => map.get(name),
        }
    }

    /// Whether something has this name.
    pub fn contains_key(&self, name: &Name) -> bool {
        self.get(name).is_some()
    }

    /// All of it, sorted.
    pub fn iter(&self) -> EntriesIter<'_> {
        match &self.0 {
            Form::Row(row) => EntriesIter::Row(row.iter()),
            Form::Map(map) => EntriesIter::Map(map.iter()),
        }
    }

    /// The names, sorted.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Name> {
        self.iter().map(|(name, _)| name)
    }

    /// What the names stand for, in their order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &InodeId> {
        self.iter().map(|(_, id)| id)
    }

    /// Gives a name, in place of what had it.
    pub(super) fn insert(&mut self, name: Name, id: InodeId) {
        match &mut self.0 {
            Form::Row(row) => {
                let last = row.last().map(|(last, _)| last);
                let place =
                    if last.is_none_or(|last| *last < name) { Err(row.len()) } else { find(row, name.as_bytes()) };
                match place {
                    Ok(at) => row[at].1 = id,
                    Err(at) if row.len() - at > MOVES_MAX => {
                        self.as_map().insert(name, id);
                    }
                    Err(at) => row.insert(at, (name, id)),
                }
            }
            Form::Map(map) => {
                map.insert(name, id);
            }
        }
    }

    /// Takes a name away.
    pub(super) fn remove(&mut self, name: &[u8]) -> Option<InodeId> {
        match &mut self.0 {
            Form::Row(row) => {
                let at = find(row, name).ok()?;
                if row.len() - at > MOVES_MAX {
                    return self.as_map().remove(name);
                }
                Some(row.remove(at).1)
            }
            Form::Map(map) => map.remove(name),
        }
    }

    /// Changes what the names stand for.
    pub(super) fn renumber(&mut self, number: impl Fn(InodeId) -> InodeId) {
        match &mut self.0 {
            Form::Row(row) => row.iter_mut().for_each(|(_, id)| *id = number(*id)),
            Form::Map(map) => map.values_mut().for_each(|id| *id = number(*id)),
        }
    }

    /// Makes room for so many more names, and not for more.
    pub(super) fn reserve(&mut self, more: usize) {
        if let Form::Row(row) = &mut self.0 {
            row.reserve_exact(more);
        }
    }

    fn as_map(&mut self) -> &mut BTreeMap<Name, InodeId> {
        if let Form::Row(row) = &mut self.0 {
            self.0 = Form::Map(std::mem::take(row).into_iter().collect());
        }
        match &mut self.0 {
            Form::Map(map) => map,
            Form::Row(_) => unreachable!("it was made a map just now"),
        }
    }
}

fn find(row: &[(Name, InodeId)], name: &[u8]) -> Result<usize, usize> {
    row.binary_search_by(|(known, _)| known.as_bytes().cmp(name))
}

impl<'a> IntoIterator for &'a Entries {
    type Item = (&'a Name, &'a InodeId);
    type IntoIter = EntriesIter<'a>;

    fn into_iter(self) -> EntriesIter<'a> {
        self.iter()
    }
}

/// The iterator of [`Entries::iter`].
#[derive(Clone, Debug)]
pub enum EntriesIter<'a> {
    /// Over a row.
    Row(slice::Iter<'a, (Name, InodeId)>),
    /// Over a map.
    Map(btree_map::Iter<'a, Name, InodeId>),
}

impl<'a> Iterator for EntriesIter<'a> {
    type Item = (&'a Name, &'a InodeId);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            EntriesIter::Row(row) => row.next().map(|(name, id)| (name, id)),
            EntriesIter::Map(map) => map.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            EntriesIter::Row(row) => row.size_hint(),
            EntriesIter::Map(map) => map.size_hint(),
        }
    }
}

impl DoubleEndedIterator for EntriesIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            EntriesIter::Row(row) => row.next_back().map(|(name, id)| (name, id)),
            EntriesIter::Map(map) => map.next_back(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Inode, Kind, Metadata, Mode, Tree};

    /// The numbers from 0 on in an order that is far from sorted.
    fn shuffled(count: u32) -> impl Iterator<Item = u32> {
        (0..count).map(move |number| (number * 7919) % count)
    }

    #[test]
    fn names_are_sorted_in_whatever_order_they_come_and_go() {
        let count = 5000;
        let name = |number: u32| Name::new(format!("{number:05}").as_bytes()).unwrap();
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        let root = tree.root();
        let ids: BTreeMap<u32, InodeId> = shuffled(count)
            .map(|number| {
                let inode = Inode { meta: Metadata::new(Mode::FILE, i64::from(number)), kind: Kind::Fifo };
                (number, tree.insert(root, name(number), inode))
            })
            .collect();
        assert_eq!(ids.len(), count as usize);
        let mut sorted = Entries::new();
        for number in 0..count {
            sorted.insert(name(number), ids[&number]);
        }
        assert!(matches!(sorted.0, Form::Row(_)));
        assert!(matches!(tree.entries(root).unwrap().0, Form::Map(_)));
        assert!(tree.entries(root).unwrap().iter().eq(sorted.iter()));
        assert!(tree.entries(root).unwrap().iter().rev().eq(sorted.iter().rev()));
        for number in shuffled(count).take(4000) {
            assert_eq!(sorted.remove(name(number).as_bytes()), Some(ids[&number]));
            assert_eq!(sorted.get(name(number).as_bytes()), None);
        }
        assert_eq!((sorted.len(), sorted.iter().count()), (1000, 1000));
        assert!(sorted.keys().is_sorted());
    }
}
