//! The inode table and the directories over it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::content::{Content, HostFolder};
use super::entries::{DirectoryId, Entries, EntriesIter, InodeId};
use super::metadata::{Metadata, Shared, Sharing};
use crate::path::{ImagePath, Name, PathError};

/// One inode: a hard link is a second directory entry with the same [`InodeId`].
#[derive(Clone, Debug)]
pub struct Inode {
    /// Owner, mode, time, extended attributes.
    pub meta: Shared,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of file that an archive can carry.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory and its entries, sorted by bytes.
    Directory(Entries),
    /// A regular file.
    File(Content),
    /// A symbolic link and its target, as it is written in the link.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A named pipe.
    Fifo,
}

/// The number of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Which driver.
    pub major: u32,
    /// Which device of it.
    pub minor: u32,
}

/// A root file system.
#[derive(Clone, Debug)]
pub struct Tree {
    inodes: Vec<Inode>,
    /// Directories that could not be read when the tree was.
    closed: BTreeSet<InodeId>,
    sharing: Sharing,
}

/// One name in a tree.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its path.
    pub path: ImagePath,
    /// Which inode it names.
    pub id: InodeId,
    /// That inode.
    pub inode: &'a Inode,
}

impl Inode {
    /// An empty directory.
    pub fn directory(meta: Metadata) -> Inode {
        Inode { meta: meta.into(), kind: Kind::Directory(Entries::new()) }
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }
}

impl Tree {
    /// A tree that holds only its root directory.
    pub fn new(root: Metadata) -> Tree {
        Tree { inodes: vec![Inode::directory(root)], closed: BTreeSet::new(), sharing: Sharing::default() }
    }

    /// The root directory.
    pub fn root(&self) -> DirectoryId {
        DirectoryId(InodeId(0))
    }

    /// An inode. Its number must come from this tree.
    pub fn inode(&self, id: impl Into<InodeId>) -> &Inode {
        &self.inodes[id.into().index()]
    }

    /// The metadata of an inode, to change it for all its names.
    pub fn meta_mut(&mut self, id: impl Into<InodeId>) -> &mut Metadata {
        self.inodes[id.into().index()].meta.alone()
    }

    /// Gives an inode other metadata, for all its names.
    pub fn set_meta(&mut self, id: impl Into<InodeId>, meta: Metadata) {
        self.inodes[id.into().index()].meta = self.sharing.share(meta);
    }

    /// The number of an inode as that of a directory; `None` if it is something else. An inode never becomes another kind.
    pub fn directory(&self, id: InodeId) -> Option<DirectoryId> {
        self.inode(id).is_directory().then_some(DirectoryId(id))
    }

    /// How many inodes the table holds, unnamed ones included: the bound for tables that are indexed by
    /// [`InodeId::index`].
    pub fn inode_count(&self) -> usize {
        self.inodes.len()
    }

    /// The entries of a directory; `None` for anything else.
    pub fn entries(&self, id: impl Into<InodeId>) -> Option<&Entries> {
        match &self.inode(id).kind {
            Kind::Directory(entries) => Some(entries),
            Kind::File(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => None,
        }
    }

    /// Says of a directory that what it holds could not be read: a lookup in it ends with `EACCES`, not with `ENOENT`.
    pub fn close(&mut self, directory: DirectoryId) {
        self.closed.insert(*directory);
    }

    /// Whether what a directory holds could not be read.
    pub fn is_closed(&self, directory: impl Into<InodeId>) -> bool {
        self.closed.contains(&directory.into())
    }

    /// The entry `name` of a directory.
    pub fn child(&self, directory: impl Into<InodeId>, name: &[u8]) -> Option<InodeId> {
        self.entries(directory)?.get(name)
    }

    /// The inode at a path, following no link at all.
    pub fn get(&self, path: &ImagePath) -> Option<InodeId> {
        path.components().try_fold(*self.root(), |directory, name| self.child(directory, name))
    }

    /// The directory at a path, following no link at all.
    pub fn get_directory(&self, path: &ImagePath) -> Option<DirectoryId> {
        self.directory(self.get(path)?)
    }

    /// Adds an inode under a name, in place of what had that name.
    pub fn insert(&mut self, directory: DirectoryId, name: Name, inode: Inode) -> InodeId {
        let Inode { meta, kind } = inode;
        let meta = self.sharing.share_too(meta);
        let id = self.push(Inode { meta, kind });
        self.link(directory, name, id);
        id
    }

    /// Adds an empty directory under a name, in place of what had that name.
    pub fn insert_directory(&mut self, directory: DirectoryId, name: Name, meta: Metadata) -> DirectoryId {
        DirectoryId(self.insert(directory, name, Inode::directory(meta)))
    }

    /// Adds an empty directory that has no name yet.
    pub fn add_directory(&mut self, meta: Metadata) -> DirectoryId {
        DirectoryId(self.add(meta, Kind::Directory(Entries::new())))
    }

    /// Adds an inode that has no name yet.
    pub fn add(&mut self, meta: Metadata, kind: Kind) -> InodeId {
        let meta = self.sharing.share(meta);
        self.push(Inode { meta, kind })
    }

    fn push(&mut self, inode: Inode) -> InodeId {
        let number = u32::try_from(self.inodes.len()).expect("a tree has fewer than 2^32 inodes");
        self.inodes.push(inode);
        InodeId(number)
    }

    /// As [`Tree::link`], under the name that begins at a place in a folder of this machine, which the files of the folder
    /// keep anyway.
    ///
    /// # Errors
    /// When it is not a name.
    pub fn link_seen(
        &mut self,
        directory: DirectoryId,
        folder: &Arc<HostFolder>,
        at: u32,
        target: InodeId,
    ) -> Result<(), PathError> {
        let name = Name::new(folder.name(at).to_bytes())?;
        self.entries_mut(directory).insert_seen(folder, at, name, target);
        Ok(())
    }

    /// Makes room in an empty directory for so many names of a folder of this machine.
    pub fn expect(&mut self, directory: DirectoryId, folder: &Arc<HostFolder>, names: usize) {
        self.entries_mut(directory).expect(folder, names);
    }

    /// Gives an inode one more name, in place of what had that name. `target` must not be a directory that has a name already,
    /// or the tree would have a loop.
    pub fn link(&mut self, directory: DirectoryId, name: Name, target: InodeId) {
        self.entries_mut(directory).insert(name, target);
    }

    /// The contents of a regular file, to change them for all its names; `None` for anything else.
    pub fn content_mut(&mut self, id: InodeId) -> Option<&mut Content> {
        match &mut self.inodes[id.index()].kind {
            Kind::File(content) => Some(content),
            Kind::Directory(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => None,
        }
    }

    /// Says whether the files of the tree are read again after their next reader. As long as they are, those that are opened
    /// stay open, up to half of the files that this process may have open (65,536 at most); more than that are opened again.
    pub fn keep_open(&self, keep: bool) {
        for inode in &self.inodes {
            if let Kind::File(content) = &inode.kind {
                content.keep_open(keep);
            }
        }
    }

    /// Takes a name away, with everything below it.
    pub fn remove(&mut self, directory: DirectoryId, name: &[u8]) -> Option<InodeId> {
        self.entries_mut(directory).remove(name)
    }

    /// Takes all names of a directory away.
    pub fn clear(&mut self, directory: DirectoryId) {
        *self.entries_mut(directory) = Entries::new();
    }

    /// Every name, the root first, each directory before what it holds, siblings sorted by bytes.
    pub fn walk(&self) -> Walk<'_> {
        self.walk_from(ImagePath::root(), *self.root())
    }

    /// The same for what has this path, and all below.
    pub fn walk_from(&self, path: ImagePath, id: InodeId) -> Walk<'_> {
        Walk { tree: self, path, inside: false, first: Some(id), open: Vec::new() }
    }

    /// The inode of every name, in the order of [`Tree::walk`].
    pub fn walk_ids(&self) -> impl Iterator<Item = InodeId> + '_ {
        let mut open: Vec<EntriesIter<'_>> = self.entries(self.root()).map(Entries::iter).into_iter().collect();
        std::iter::once(*self.root()).chain(std::iter::from_fn(move || {
            loop {
                match open.last_mut()?.next_id() {
                    Some(id) => {
                        open.extend(self.entries(id).map(Entries::iter));
                        return Some(id);
                    }
                    None => open.pop(),
                };
            }
        }))
    }

    /// Every name but the root's, which is none; in no order that means anything.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        let directories = self.inodes.iter().filter_map(|inode| match &inode.kind {
            Kind::Directory(entries) => Some(entries),
            Kind::File(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => None,
        });
        directories.flat_map(Entries::keys)
    }

    /// Every inode, the root first, unnamed ones included.
    pub fn ids(&self) -> impl Iterator<Item = InodeId> + use<> {
        (0..self.inodes.len() as u32).map(InodeId)
    }

    /// How many names each inode has, by [`InodeId::index`].
    pub fn name_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.inodes.len()];
        for id in self.walk_ids() {
            counts[id.index()] += 1;
        }
        counts
    }

    /// The inodes that have more than one name.
    pub fn linked(&self) -> BTreeSet<InodeId> {
        let mut seen = InodeSet::of(self);
        self.walk_ids().filter(|id| !seen.is_new(*id)).collect()
    }

    /// How large the regular files are in sum, each counted once, in bytes.
    pub fn contents_size(&self) -> u64 {
        let mut seen = InodeSet::of(self);
        let files = self.walk_ids().filter(|id| seen.is_new(*id)).map(|id| match &self.inode(id).kind {
            Kind::File(content) => content.size(),
            Kind::Directory(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => 0,
        });
        files.fold(0, u64::saturating_add)
    }

    /// Numbers the inodes anew, in the order of their first names. Those that have none go.
    pub fn tidy(&mut self) {
        const UNNAMED: u32 = u32::MAX;
        let mut numbers = Table::new(self.inodes.len(), UNNAMED);
        let mut next = 0;
        for id in self.walk_ids() {
            let number = numbers.at(id.index());
            if *number == UNNAMED {
                *number = next;
                next += 1;
            }
        }
        let named = next as usize;
        for at in 0..self.inodes.len() {
            let number = numbers.at(at);
            if *number == UNNAMED {
                *number = next;
                next += 1;
            }
        }
        let closed = self.closed.iter().map(|id| InodeId(numbers.get(id.index())));
        self.closed = closed.filter(|id| id.index() < named).collect();
        for inode in &mut self.inodes {
            if let Kind::Directory(entries) = &mut inode.kind {
                entries.renumber(|id| InodeId(numbers.get(id.index())));
            }
        }
        for at in 0..self.inodes.len() {
            // Each exchange brings one inode to where it belongs.
            while numbers.get(at) as usize != at {
                let to = numbers.get(at) as usize;
                self.inodes.swap(at, to);
                let there = std::mem::replace(numbers.at(to), to as u32);
                *numbers.at(at) = there;
            }
        }
        self.inodes.truncate(named);
        self.inodes.shrink_to_fit();
    }

    fn entries_mut(&mut self, id: DirectoryId) -> &mut Entries {
        match &mut self.inodes[id.index()].kind {
            Kind::Directory(entries) => entries,
            Kind::File(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {
                unreachable!("a directory's number is that of another tree")
            }
        }
    }
}

/// Which inodes of a tree came by: a bit for each.
pub struct InodeSet(Vec<u64>);

impl InodeSet {
    /// None of the tree's yet.
    pub fn of(tree: &Tree) -> InodeSet {
        InodeSet(vec![0; tree.inodes.len().div_ceil(64)])
    }

    /// Whether this one, which must be of the tree, comes for the first time.
    pub fn is_new(&mut self, id: InodeId) -> bool {
        let (word, bit) = (&mut self.0[id.index() / 64], 1 << (id.index() % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

/// A number for each inode, in pieces. An allocator takes a large block that is freed for a sign that more of them will come,
/// keeps them from then on, and everything that is made later needs more memory: so there is none.
struct Table(Vec<Vec<u32>>);

impl Table {
    const PIECE: usize = 1 << 14;

    fn new(count: usize, number: u32) -> Table {
        Table(vec![vec![number; Table::PIECE]; count.div_ceil(Table::PIECE)])
    }

    fn get(&self, index: usize) -> u32 {
        self.0[index / Table::PIECE][index % Table::PIECE]
    }

    fn at(&mut self, index: usize) -> &mut u32 {
        &mut self.0[index / Table::PIECE][index % Table::PIECE]
    }
}

/// The iterator of [`Tree::walk`]. Who needs few of the paths takes steps instead.
pub struct Walk<'a> {
    tree: &'a Tree,
    /// Where it is: at the last of the open directories, or at something in it that is none.
    path: ImagePath,
    inside: bool,
    /// Where it begins, until it has.
    first: Option<InodeId>,
    /// What is left of each directory on the way, from the root on.
    open: Vec<EntriesIter<'a>>,
}

/// One name, with a path that is only lent.
pub struct WalkEntry<'w, 'a> {
    /// Its path.
    pub path: &'w ImagePath,
    /// Which inode it names.
    pub id: InodeId,
    /// That inode.
    pub inode: &'a Inode,
}

impl<'a> Walk<'a> {
    /// The next name.
    pub fn step(&mut self) -> Option<WalkEntry<'_, 'a>> {
        let id = match self.first.take() {
            Some(first) => first,
            None => loop {
                if std::mem::take(&mut self.inside) {
                    self.path.pop();
                }
                match self.open.last_mut()?.next() {
                    Some((name, id)) => {
                        self.path.push(&name);
                        break id;
                    }
                    None => {
                        self.open.pop();
                        self.path.pop();
                    }
                }
            },
        };
        let inode = self.tree.inode(id);
        match &inode.kind {
            Kind::Directory(entries) => self.open.push(entries.iter()),
            Kind::File(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {
                self.inside = true
            }
        }
        Some(WalkEntry { path: &self.path, id, inode })
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        self.step().map(|WalkEntry { path, id, inode }| Entry { path: path.clone(), id, inode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Mode;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    fn file() -> Inode {
        Inode { meta: Metadata::new(Mode::FILE, 0).into(), kind: Kind::File(Content::Bytes([].into())) }
    }

    #[test]
    fn a_walk_is_sorted_and_a_hard_link_is_two_names_of_one_inode() {
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        let root = tree.root();
        let z = tree.insert(root, name("z"), file());
        let a = tree.insert_directory(root, name("a"), Metadata::new(Mode::DIRECTORY, 0));
        tree.insert(root, name("a-b"), file());
        tree.link(a, name("y"), z);
        let paths: Vec<String> = tree.walk().map(|entry| entry.path.to_string()).collect();
        assert_eq!(paths, ["/", "/a", "/a/y", "/a-b", "/z"]);
        assert_eq!(tree.get(&"/a/y".parse().unwrap()), Some(z));
        assert_eq!(tree.name_counts()[z.index()], 2);
        assert_eq!(tree.linked(), BTreeSet::from([z]));
        tree.meta_mut(z).uid = 7;
        assert_eq!(tree.inode(tree.get(&"/z".parse().unwrap()).unwrap()).meta.uid, 7);
        tree.remove(root, b"a");
        assert_eq!(tree.name_counts()[z.index()], 1);
    }

    #[test]
    fn an_inode_is_small() {
        // A tree has up to millions of them: what makes one larger must be worth it.
        assert!(size_of::<Inode>() <= 64, "{}", size_of::<Inode>());
    }

    #[test]
    fn tidying_changes_numbers_only() {
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        let root = tree.root();
        let z = tree.insert(root, name("z"), file());
        let gone = tree.insert(root, name("gone"), file());
        let b = tree.insert_directory(root, name("b"), Metadata::new(Mode::DIRECTORY, 1));
        tree.insert(b, name("y"), Inode { meta: Metadata::new(Mode::FILE, 2).into(), kind: Kind::Fifo });
        tree.link(b, name("x"), z);
        tree.insert(root, name("a"), Inode { meta: Metadata::new(Mode::FILE, 3).into(), kind: Kind::Fifo });
        assert_eq!(tree.remove(root, b"gone"), Some(gone));
        tree.tidy();
        let seen: Vec<(String, usize, i64)> =
            tree.walk().map(|entry| (entry.path.to_string(), entry.id.index(), entry.inode.meta.mtime)).collect();
        let seen: Vec<(&str, usize, i64)> = seen.iter().map(|(path, id, time)| (path.as_str(), *id, *time)).collect();
        assert_eq!(seen, [("/", 0, 0), ("/a", 1, 3), ("/b", 2, 1), ("/b/x", 3, 0), ("/b/y", 4, 2), ("/z", 3, 0)]);
        assert_eq!(tree.inode_count(), 5);
    }
}
