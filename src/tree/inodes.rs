//! The inode table and the directories over it.

use std::collections::BTreeMap;

use super::content::Content;
use super::metadata::Metadata;
use crate::path::{ImagePath, Name};

/// The number of an inode within its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(u32);

/// One inode: a hard link is a second directory entry with the same [`InodeId`].
#[derive(Clone, Debug)]
pub struct Inode {
    /// Owner, mode, time, extended attributes.
    pub meta: Metadata,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of file that an archive can carry.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory and its entries, sorted by bytes.
    Directory(BTreeMap<Name, InodeId>),
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
        Inode { meta, kind: Kind::Directory(BTreeMap::new()) }
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }
}

impl Tree {
    /// A tree that holds only its root directory.
    pub fn new(root: Metadata) -> Tree {
        Tree { inodes: vec![Inode::directory(root)] }
    }

    /// The root directory.
    pub fn root(&self) -> InodeId {
        InodeId(0)
    }

    /// An inode. Its number must come from this tree.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0 as usize]
    }

    /// The metadata of an inode, to change it for all its names.
    pub fn meta_mut(&mut self, id: InodeId) -> &mut Metadata {
        &mut self.inodes[id.0 as usize].meta
    }

    /// How many inodes the table holds, unnamed ones included: the bound for tables that are indexed by
    /// [`InodeId::index`].
    pub fn inode_count(&self) -> usize {
        self.inodes.len()
    }

    /// The entries of a directory; `None` for anything else.
    pub fn entries(&self, id: InodeId) -> Option<&BTreeMap<Name, InodeId>> {
        match &self.inode(id).kind {
            Kind::Directory(entries) => Some(entries),
            Kind::File(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => None,
        }
    }

    /// The entry `name` of a directory.
    pub fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        self.entries(directory)?.get(name).copied()
    }

    /// The inode at a path, following no link at all.
    pub fn get(&self, path: &ImagePath) -> Option<InodeId> {
        path.components().try_fold(self.root(), |directory, name| self.child(directory, name))
    }

    /// Adds an inode under a name, in place of what had that name. `directory` must be a directory of this tree.
    pub fn insert(&mut self, directory: InodeId, name: Name, inode: Inode) -> InodeId {
        let number = u32::try_from(self.inodes.len()).expect("a tree holds fewer than 2^32 inodes");
        self.inodes.push(inode);
        self.link(directory, name, InodeId(number));
        InodeId(number)
    }

    /// Gives an inode one more name, in place of what had that name. `directory` must be a directory of this tree, and
    /// `target` must not be one, or the tree would have a loop.
    pub fn link(&mut self, directory: InodeId, name: Name, target: InodeId) {
        if let Some(entries) = self.entries_mut(directory) {
            entries.insert(name, target);
        }
    }

    /// Gives a regular file other contents, for all its names. Anything else stays as it is.
    pub fn fill(&mut self, id: InodeId, contents: Content) {
        if let Kind::File(old) = &mut self.inodes[id.0 as usize].kind {
            *old = contents;
        }
    }

    /// Takes a name away, with everything below it.
    pub fn remove(&mut self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        self.entries_mut(directory)?.remove(name)
    }

    /// Takes all names of a directory away.
    pub fn clear(&mut self, directory: InodeId) {
        if let Some(entries) = self.entries_mut(directory) {
            entries.clear();
        }
    }

    /// Every name, the root first, each directory before what it holds, siblings sorted by bytes.
    pub fn walk(&self) -> Walk<'_> {
        Walk { tree: self, pending: vec![(ImagePath::root(), self.root())] }
    }

    /// How many names each inode has, by [`InodeId::index`].
    pub fn name_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.inodes.len()];
        for entry in self.walk() {
            counts[entry.id.index()] += 1;
        }
        counts
    }

    fn entries_mut(&mut self, id: InodeId) -> Option<&mut BTreeMap<Name, InodeId>> {
        match &mut self.inodes[id.0 as usize].kind {
            Kind::Directory(entries) => Some(entries),
            Kind::File(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => None,
        }
    }
}

impl InodeId {
    /// The number, as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The iterator of [`Tree::walk`].
pub struct Walk<'a> {
    tree: &'a Tree,
    pending: Vec<(ImagePath, InodeId)>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (path, id) = self.pending.pop()?;
        let inode = self.tree.inode(id);
        if let Kind::Directory(entries) = &inode.kind {
            self.pending.extend(entries.iter().rev().map(|(name, id)| (path.join(name), *id)));
        }
        Some(Entry { path, id, inode })
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
        Inode { meta: Metadata::new(Mode::FILE, 0), kind: Kind::File(Content::Bytes([].into())) }
    }

    #[test]
    fn a_walk_is_sorted_and_a_hard_link_is_two_names_of_one_inode() {
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        let root = tree.root();
        let z = tree.insert(root, name("z"), file());
        let a = tree.insert(root, name("a"), Inode::directory(Metadata::new(Mode::DIRECTORY, 0)));
        tree.insert(root, name("a-b"), file());
        tree.link(a, name("y"), z);
        let paths: Vec<String> = tree.walk().map(|entry| entry.path.to_string()).collect();
        assert_eq!(paths, ["/", "/a", "/a/y", "/a-b", "/z"]);
        assert_eq!(tree.get(&"/a/y".parse().unwrap()), Some(z));
        assert_eq!(tree.name_counts()[z.index()], 2);
        tree.meta_mut(z).uid = 7;
        assert_eq!(tree.inode(tree.get(&"/z".parse().unwrap()).unwrap()).meta.uid, 7);
        tree.remove(root, b"a");
        assert_eq!(tree.name_counts()[z.index()], 1);
    }
}
