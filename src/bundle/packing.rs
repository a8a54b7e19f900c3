//! Copies names of one tree into another, unchanged.

use std::collections::{BTreeMap, VecDeque};

use super::reason::{Reason, Reasons};
use crate::path::{ImagePath, display_bytes};
use crate::recipe::Matcher;
use crate::tree::{DirectoryId, Follow, Inode, InodeId, Kind, Metadata, ResolveError, Resolved, Tree};

/// A bundle that is being filled.
pub(super) struct Packing<'a> {
    root: &'a Tree,
    exclude: &'a Matcher,
    pub(super) tree: Tree,
    pub(super) reasons: Reasons,
    /// Inodes of the root that arrived: a second name of one becomes a second name again.
    arrived: BTreeMap<InodeId, InodeId>,
    /// Regular files that arrived, in order, whose needs were not looked up yet.
    fresh: VecDeque<ImagePath>,
    /// The absolute paths that must lead to a file, and to which; except for libraries, which are searched for.
    leading: Vec<(Vec<u8>, ImagePath)>,
}

impl<'a> Packing<'a> {
    pub(super) fn new(root: &'a Tree, exclude: &'a Matcher) -> Packing<'a> {
        let tree = Tree::new(Metadata::clone(&root.inode(root.root()).meta));
        let arrived = BTreeMap::from([(*root.root(), *tree.root())]);
        Packing { root, exclude, tree, reasons: Reasons::new(), arrived, fresh: VecDeque::new(), leading: Vec::new() }
    }

    /// The next file to look at.
    pub(super) fn next_fresh(&mut self) -> Option<ImagePath> {
        self.fresh.pop_front()
    }

    /// Whether a file is there because others load it, and not to be started.
    pub(super) fn is_only_loaded(&self, path: &ImagePath) -> bool {
        let Some(reasons) = self.reasons.get(path) else { return false };
        let loaded = reasons.iter().any(|reason| matches!(reason, Reason::Library { .. }));
        loaded && !reasons.contains(&Reason::Named)
    }

    /// Includes what a path leads to, with every link and directory that the lookup passes through.
    pub(super) fn include(
        &mut self,
        from: &ImagePath,
        spelled: &[u8],
        follow: Follow,
        why: &Reason,
    ) -> Result<Resolved, ResolveError> {
        let found = self.root.resolve(from, spelled, follow)?;
        let on_the_way = Reason::Link(display_bytes(spelled));
        self.left_again(from, spelled, &on_the_way);
        let last = spelled.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        for link in &found.links {
            // The link of that very name is what was asked for; others are on the way.
            let itself = link.file_name().is_some_and(|name| name.as_bytes() == last);
            self.copy(link, if itself { why } else { &on_the_way });
            if let (Some(Kind::Symlink(target)), Some(directory)) =
                (self.root.get(link).map(|id| &self.root.inode(id).kind), link.parent())
            {
                let target = target.clone();
                self.left_again(&directory, &target, &on_the_way);
            }
        }
        let taken = self.copy(&found.path, why);
        if taken.is_some() && spelled.starts_with(b"/") && !matches!(why, Reason::Library { .. } | Reason::Link(_)) {
            self.leading.push((spelled.to_vec(), found.path.clone()));
        }
        Ok(found)
    }

    /// Whether every path that was taken still leads to the same file.
    pub(super) fn leads_as_before(&self) -> bool {
        self.leading.iter().all(|(spelled, file)| {
            let found = self.tree.resolve(&ImagePath::root(), spelled, Follow::Yes);
            found.is_ok_and(|found| found.path == *file)
        })
    }

    /// Includes the directories that a path enters and leaves again with `..`: the lookup passes through them.
    fn left_again(&mut self, from: &ImagePath, spelled: &[u8], on_the_way: &Reason) {
        let parts: Vec<&[u8]> = spelled.split(|&byte| byte == b'/').collect();
        for (number, part) in parts.iter().enumerate() {
            let entered = &parts[..number];
            if *part == b".." && entered.iter().any(|part| !matches!(*part, b"" | b"." | b"..")) {
                // Shorter than the path that it is a part of, so this ends.
                let _ = self.include(from, &entered.join(&b'/'), Follow::Yes, on_the_way);
            }
        }
    }

    /// Includes one name, with the directories above it. The path must be one without links among its parents.
    pub(super) fn copy(&mut self, path: &ImagePath, why: &Reason) -> Option<InodeId> {
        let id = self.root.get(path)?;
        if path.is_root() || self.exclude.covers(path) {
            return None;
        }
        let (parent, name) = (path.parent()?, path.file_name()?);
        let directory = match self.root.get(&parent).and_then(|id| self.arrived.get(&id)) {
            Some(known) if self.tree.get(&parent) == Some(*known) => self.tree.directory(*known)?,
            _ => self.copy_directories(&parent)?,
        };
        let inode = self.root.inode(id);
        if !inode.is_directory() || *why == Reason::Made {
            let reasons = self.reasons.entry(path.clone()).or_default();
            if !reasons.contains(why) {
                reasons.push(why.clone());
            }
        }
        if let Some(known) = self.tree.child(directory, name.as_bytes()) {
            return Some(known);
        }
        if let Some(known) = self.arrived.get(&id) {
            self.tree.link(directory, name, *known);
            return Some(*known);
        }
        let kind = match &inode.kind {
            Kind::Directory(_) => Kind::Directory(Default::default()),
            kind @ (Kind::File(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo) => {
                kind.clone()
            }
        };
        if matches!(kind, Kind::File(_)) {
            self.fresh.push_back(path.clone());
        }
        let new = self.tree.insert(directory, name, Inode { meta: inode.meta.clone(), kind });
        self.arrived.insert(id, new);
        Some(new)
    }

    fn copy_directories(&mut self, path: &ImagePath) -> Option<DirectoryId> {
        let mut here = ImagePath::root();
        let mut directory = self.tree.root();
        for part in path.components() {
            let name = crate::path::Name::new(part).ok()?;
            here = here.join(&name);
            let id = self.root.get(&here)?;
            directory = match self.tree.child(directory, part) {
                Some(known) => self.tree.directory(known)?,
                None => {
                    let meta = Metadata::clone(&self.root.inode(id).meta);
                    let new = self.tree.insert_directory(directory, name, meta);
                    self.arrived.insert(id, *new);
                    new
                }
            };
        }
        Some(directory)
    }

    /// Puts an entry of our own somewhere, with the directories above it.
    pub(super) fn put(&mut self, path: &ImagePath, inode: Inode, why: Reason) -> Result<InodeId, ResolveError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(*self.tree.root()) };
        let destination = self.tree.destination(&parent)?;
        let mut directory = destination.directory;
        let mut here = destination.path;
        for name in destination.missing {
            here = here.join(&name);
            let meta = match self.root.get(&here).map(|id| self.root.inode(id)).filter(|inode| inode.is_directory()) {
                Some(inode) => Metadata::clone(&inode.meta),
                None => Metadata::new(crate::tree::Mode::DIRECTORY, 0),
            };
            directory = self.tree.insert_directory(directory, name, meta);
        }
        self.reasons.entry(here.join(&name)).or_default().push(why);
        if let Some(known) = self.tree.child(directory, name.as_bytes())
            && self.tree.inode(known).is_directory()
            && inode.is_directory()
        {
            return Ok(known);
        }
        Ok(self.tree.insert(directory, name, inode))
    }

    /// Removes a name again, with the directories above it that are then empty.
    pub(super) fn drop_name(&mut self, path: &ImagePath) {
        self.reasons.remove(path);
        let mut here = path.clone();
        while let (Some(parent), Some(name)) = (here.parent(), here.file_name()) {
            let Some(directory) = self.tree.get_directory(&parent) else { return };
            self.tree.remove(directory, name.as_bytes());
            let empty = self.tree.entries(directory).is_some_and(|entries| entries.is_empty());
            if !empty || parent.is_root() || self.reasons.contains_key(&parent) {
                return;
            }
            here = parent;
        }
    }
}
