//! The names in a directory, sorted by bytes, in little memory.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::slice;
use std::sync::Arc;

use super::content::HostFolder;
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

/// The number of an inode that is a directory. What adds, removes or replaces names takes it, so that no name is lost in
/// something else. [`Tree::directory`](super::Tree::directory) gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId(pub(super) InodeId);

impl std::ops::Deref for DirectoryId {
    type Target = InodeId;

    fn deref(&self) -> &InodeId {
        &self.0
    }
}

impl From<DirectoryId> for InodeId {
    fn from(directory: DirectoryId) -> InodeId {
        directory.0
    }
}

/// How many names may move aside for one that comes between them or goes. Beyond that a real map is cheaper.
const MOVES_MAX: usize = 512;

/// What a directory holds. Names cost little when they come in order, and nearly nothing when they are those of a folder of
/// this machine; in any other order they cost no more time than in a map.
#[derive(Clone, Debug, Default)]
pub struct Entries(Form);

#[derive(Clone, Debug)]
enum Form {
    /// Names that are kept for the files of the folder anyway, by where each begins.
    Folder(Arc<HostFolder>, Vec<(u32, InodeId)>),
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
            Form::Folder(_, places) => places.len(),
            Form::Row(row) => row.len(),
            Form::Map(map) => map.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has this name.
    pub fn get<N: Borrow<[u8]> + ?Sized>(&self, name: &N) -> Option<InodeId> {
        let name = name.borrow();
        match &self.0 {
            Form::Folder(folder, places) => {
                let at = places.binary_search_by(|(at, _)| folder.name(*at).to_bytes().cmp(name)).ok()?;
                places.get(at).map(|(_, id)| *id)
            }
            Form::Row(row) => find(row, name).ok().and_then(|at| row.get(at)).map(|(_, id)| *id),
            Form::Map(map) => map.get(name).copied(),
        }
    }

    /// Whether something has this name.
    pub fn contains_key(&self, name: &Name) -> bool {
        self.get(name).is_some()
    }

    /// All of it, sorted.
    pub fn iter(&self) -> EntriesIter<'_> {
        EntriesIter(match &self.0 {
            Form::Folder(folder, places) => Iter::Folder(folder, places.iter()),
            Form::Row(row) => Iter::Row(row.iter()),
            Form::Map(map) => Iter::Map(map.iter()),
        })
    }

    /// The names, sorted.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = Name> {
        self.iter().map(|(name, _)| name)
    }

    /// What the names stand for, in their order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = InodeId> {
        self.iter().map(|(_, id)| id)
    }

    /// Gives a name, in place of what had it.
    pub(super) fn insert(&mut self, name: Name, id: InodeId) {
        self.change();
        match &mut self.0 {
            Form::Row(row) => {
                let last = row.last().map(|(last, _)| last);
                let place =
                    if last.is_none_or(|last| *last < name) { Err(row.len()) } else { find(row, name.as_bytes()) };
                match place {
                    Ok(at) => row[at].1 = id,
                    Err(at) if row.len() - at > MOVES_MAX => {
                        let mut map: BTreeMap<Name, InodeId> = std::mem::take(row).into_iter().collect();
                        map.insert(name, id);
                        self.0 = Form::Map(map);
                    }
                    Err(at) => row.insert(at, (name, id)),
                }
            }
            Form::Map(map) => {
                map.insert(name, id);
            }
            Form::Folder(..) => {}
        }
    }

    /// Gives the name that begins at a place in a folder of this machine, and is one.
    pub(super) fn insert_seen(&mut self, folder: &Arc<HostFolder>, at: u32, name: Name, id: InodeId) {
        if self.is_empty() && !matches!(&self.0, Form::Folder(known, _) if Arc::ptr_eq(known, folder)) {
            self.0 = Form::Folder(folder.clone(), Vec::new());
        }
        match &mut self.0 {
            Form::Folder(known, places)
                if Arc::ptr_eq(known, folder)
                    && places.last().is_none_or(|(last, _)| folder.name(*last).to_bytes() < name.as_bytes()) =>
            {
                places.push((at, id));
            }
            Form::Folder(..) | Form::Row(_) | Form::Map(_) => self.insert(name, id),
        }
    }

    /// Makes room for so many names of a folder of this machine, and at first not for more.
    pub(super) fn expect(&mut self, folder: &Arc<HostFolder>, names: usize) {
        if self.is_empty() {
            self.0 = Form::Folder(folder.clone(), Vec::with_capacity(names));
        }
    }

    /// Takes a name away.
    pub(super) fn remove(&mut self, name: &[u8]) -> Option<InodeId> {
        self.change();
        match &mut self.0 {
            Form::Row(row) => {
                let at = find(row, name).ok()?;
                if row.len() - at > MOVES_MAX {
                    let mut map: BTreeMap<Name, InodeId> = std::mem::take(row).into_iter().collect();
                    let removed = map.remove(name);
                    self.0 = Form::Map(map);
                    return removed;
                }
                Some(row.remove(at).1)
            }
            Form::Map(map) => map.remove(name),
            Form::Folder(..) => None,
        }
    }

    /// Changes what the names stand for.
    pub(super) fn renumber(&mut self, number: impl Fn(InodeId) -> InodeId) {
        match &mut self.0 {
            Form::Folder(_, places) => places.iter_mut().for_each(|(_, id)| *id = number(*id)),
            Form::Row(row) => row.iter_mut().for_each(|(_, id)| *id = number(*id)),
            Form::Map(map) => map.values_mut().for_each(|id| *id = number(*id)),
        }
    }

    /// Lets go of the folder, so that any name can come and go.
    fn change(&mut self) {
        if let Form::Folder(..) = self.0 {
            let row = self.iter().collect();
            self.0 = Form::Row(row);
        }
    }
}

fn find(row: &[(Name, InodeId)], name: &[u8]) -> Result<usize, usize> {
    row.binary_search_by(|(known, _)| known.as_bytes().cmp(name))
}

impl<'a> IntoIterator for &'a Entries {
    type Item = (Name, InodeId);
    type IntoIter = EntriesIter<'a>;

    fn into_iter(self) -> EntriesIter<'a> {
        self.iter()
    }
}

/// The iterator of [`Entries::iter`].
#[derive(Clone, Debug)]
pub struct EntriesIter<'a>(Iter<'a>);

#[derive(Clone, Debug)]
enum Iter<'a> {
    Folder(&'a HostFolder, slice::Iter<'a, (u32, InodeId)>),
    Row(slice::Iter<'a, (Name, InodeId)>),
    Map(btree_map::Iter<'a, Name, InodeId>),
}

impl EntriesIter<'_> {
    /// The next inode, when its name does not matter.
    pub(super) fn next_id(&mut self) -> Option<InodeId> {
        match &mut self.0 {
            Iter::Folder(_, places) => places.next().map(|(_, id)| *id),
            Iter::Row(row) => row.next().map(|(_, id)| *id),
            Iter::Map(map) => map.next().map(|(_, id)| *id),
        }
    }
}

impl Iterator for EntriesIter<'_> {
    type Item = (Name, InodeId);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Iter::Folder(folder, places) => {
                places.next().map(|(at, id)| (Name::known(folder.name(*at).to_bytes()), *id))
            }
            Iter::Row(row) => row.next().map(|(name, id)| (name.clone(), *id)),
            Iter::Map(map) => map.next().map(|(name, id)| (name.clone(), *id)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Iter::Folder(_, places) => places.size_hint(),
            Iter::Row(row) => row.size_hint(),
            Iter::Map(map) => map.size_hint(),
        }
    }
}

impl DoubleEndedIterator for EntriesIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Iter::Folder(folder, places) => {
                places.next_back().map(|(at, id)| (Name::known(folder.name(*at).to_bytes()), *id))
            }
            Iter::Row(row) => row.next_back().map(|(name, id)| (name.clone(), *id)),
            Iter::Map(map) => map.next_back().map(|(name, id)| (name.clone(), *id)),
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
                let inode = Inode { meta: Metadata::new(Mode::FILE, i64::from(number)).into(), kind: Kind::Fifo };
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
        assert!(tree.entries(root).unwrap().values().eq(sorted.keys().filter_map(|name| sorted.get(&name))));
        for number in shuffled(count).take(4000) {
            assert_eq!(sorted.remove(name(number).as_bytes()), Some(ids[&number]));
            assert_eq!(sorted.get(name(number).as_bytes()), None);
        }
        assert_eq!((sorted.len(), sorted.iter().count()), (1000, 1000));
        assert!(sorted.keys().is_sorted());
    }

    #[test]
    fn names_of_a_folder_are_those_of_any_other_directory() {
        let names: Vec<String> = shuffled(3000).map(|number| format!("{number:05}")).collect();
        let folder =
            Arc::new(HostFolder::new(std::path::Path::new("/a"), format!("{}\0", names.join("\0")).as_bytes()));
        let mut starts: Vec<(String, u32)> = names.iter().cloned().zip((0..).step_by(6)).collect();
        starts.sort();
        let (mut seen, mut plain) = (Entries::new(), Entries::new());
        seen.expect(&folder, starts.len());
        for ((name, at), number) in starts.iter().zip(0..) {
            let name = Name::new(name.as_bytes()).unwrap();
            seen.insert_seen(&folder, *at, name.clone(), InodeId(number));
            plain.insert(name, InodeId(number));
        }
        assert!(matches!(seen.0, Form::Folder(..)));
        for entries in [&mut seen, &mut plain] {
            entries.renumber(|id| InodeId(id.0 + 1));
            assert_eq!(entries.get(b"02999".as_slice()), Some(InodeId(3000)));
            assert_eq!(entries.get(b"03000".as_slice()), None);
        }
        assert!(seen.iter().eq(plain.iter()) && seen.iter().rev().eq(plain.iter().rev()));
        for entries in [&mut seen, &mut plain] {
            assert_eq!(entries.remove(b"00001"), Some(InodeId(2)));
            entries.insert(Name::new(b"00000").unwrap(), InodeId(7));
            entries.insert(Name::new(b"x").unwrap(), InodeId(8));
        }
        assert!(seen.iter().eq(plain.iter()));
        // One that comes too late, or from elsewhere, is a name like any other.
        let mut late = Entries::new();
        late.insert_seen(&folder, 6, Name::new(names[1].as_bytes()).unwrap(), InodeId(1));
        let other = Arc::new(HostFolder::new(std::path::Path::new("/b"), b"!\0"));
        late.insert_seen(&other, 0, Name::new(b"!").unwrap(), InodeId(2));
        assert!(late.values().eq([InodeId(2), InodeId(1)]));
    }
}
