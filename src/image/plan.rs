//! What goes into which layer.
//!
//! Decisions, where the specs are silent:
//!
//! - All names of a hard-linked file go into the layer of its first name: docker and containerd cannot link to a file
//!   of another layer.
//! - Over a base, what differs from it is written, and what is gone is whited out by name, never by an opaque mark.
//! - A layer that would hold nothing is left out, unless the image would then have none at all.

use std::collections::BTreeMap;

use crate::path::ImagePath;
use crate::tree::{Inode, InodeId, Kind, Tree};

/// What goes into one layer.
#[derive(Clone, Debug)]
pub struct LayerPlan(Items);

/// What a layer holds.
#[derive(Clone, Debug)]
enum Items {
    /// The whole tree: nothing but its walk is needed to know what is in it.
    All {
        /// Whether the tree has nothing but its root.
        empty: bool,
    },
    /// These, without the root and other parents that they need.
    Some(BTreeMap<ImagePath, Item>),
}

/// Why something is in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// It is in the tree.
    Entry(InodeId),
    /// It was in the base and is gone.
    Whiteout,
}

/// Decides what goes into which layer: `rules` says for each layer but the last which paths it takes, the first that
/// takes a path gets it, and the last layer gets the rest. With `base`, only what differs from it is in any layer.
///
/// Empty plans stand for layers that hold nothing; the result has one more plan than there are rules.
pub fn plan_layers(tree: &Tree, base: Option<&Tree>, rules: &[&dyn Fn(&ImagePath) -> bool]) -> Vec<LayerPlan> {
    if base.is_none() && rules.is_empty() {
        return vec![LayerPlan(Items::All { empty: tree.walk().nth(1).is_none() })];
    }
    let mut plans = vec![BTreeMap::new(); rules.len() + 1];
    let layer_of = |path: &ImagePath| rules.iter().position(|takes| takes(path)).unwrap_or(rules.len());
    let names = names_of_links(tree);
    let mut placed: BTreeMap<InodeId, usize> = BTreeMap::new();
    for (path, change) in changes(tree, base) {
        let Item::Entry(id) = change else {
            plans[layer_of(&path)].insert(path, Item::Whiteout);
            continue;
        };
        let Some(names) = names.get(&id) else {
            plans[layer_of(&path)].insert(path, change);
            continue;
        };
        // One name of a hard-linked file brings all of them.
        let layer = *placed.entry(id).or_insert_with(|| layer_of(&path));
        plans[layer].extend(names.iter().map(|name| (name.clone(), change)));
    }
    plans.into_iter().map(|items| LayerPlan(Items::Some(items))).collect()
}

impl LayerPlan {
    /// How many bytes the regular files in it have, each counted once.
    pub fn contents(&self, tree: &Tree) -> u64 {
        let mut seen = vec![false; tree.inode_count()];
        let mut size = |id: InodeId| match &tree.inode(id).kind {
            Kind::File(content) if !std::mem::replace(&mut seen[id.index()], true) => content.size(),
            _ => 0,
        };
        match &self.0 {
            Items::All { .. } => tree.walk_ids().map(size).sum(),
            Items::Some(items) => items
                .values()
                .map(|item| match item {
                    Item::Entry(id) => size(*id),
                    Item::Whiteout => 0,
                })
                .sum(),
        }
    }

    /// Whether the layer would hold nothing.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Items::All { empty } => *empty,
            Items::Some(items) => items.is_empty(),
        }
    }

    /// Everything in the layer of this tree but the root and other parents that are needed, sorted.
    pub(super) fn items<'a>(&'a self, tree: &'a Tree) -> Box<dyn Iterator<Item = (ImagePath, Item)> + 'a> {
        match &self.0 {
            Items::All { .. } => Box::new(tree.walk().skip(1).map(|entry| (entry.path, Item::Entry(entry.id)))),
            Items::Some(items) => Box::new(items.iter().map(|(path, item)| (path.clone(), *item))),
        }
    }
}

/// The names of every inode that has more than one, sorted. Directories have one.
fn names_of_links(tree: &Tree) -> BTreeMap<InodeId, Vec<ImagePath>> {
    let linked = tree.linked();
    let mut names: BTreeMap<InodeId, Vec<ImagePath>> = BTreeMap::new();
    if linked.is_empty() {
        return names;
    }
    for entry in tree.walk().filter(|entry| linked.contains(&entry.id)) {
        names.entry(entry.id).or_default().push(entry.path);
    }
    names
}

/// What is in the tree and not the same in the base, and what is only in the base; sorted.
fn changes(tree: &Tree, base: Option<&Tree>) -> Vec<(ImagePath, Item)> {
    let Some(base) = base else {
        return tree.walk().skip(1).map(|entry| (entry.path, Item::Entry(entry.id))).collect();
    };
    let mut changes = Vec::new();
    let mut pending = vec![(ImagePath::root(), *tree.root(), Some(*base.root()))];
    while let Some((path, id, base_id)) = pending.pop() {
        let inode = tree.inode(id);
        let below = base_id.map(|id| base.inode(id));
        if !path.is_root() && !below.is_some_and(|below| is_same(inode, below)) {
            changes.push((path.clone(), Item::Entry(id)));
        }
        let Kind::Directory(entries) = &inode.kind else { continue };
        // What replaces a file by a directory hides nothing of the base that would need a whiteout.
        let base_entries = base_id.and_then(|id| base.entries(id));
        for name in base_entries.into_iter().flat_map(|entries| entries.keys()) {
            if !entries.contains_key(&name) {
                changes.push((path.join(&name), Item::Whiteout));
            }
        }
        for (name, child) in entries.iter().rev() {
            let below = base_entries.and_then(|entries| entries.get(&name));
            pending.push((path.join(&name), child, below));
        }
    }
    changes.sort_by(|a, b| a.0.cmp(&b.0));
    changes
}

/// Whether two entries are certainly the same, but for what a directory holds.
fn is_same(a: &Inode, b: &Inode) -> bool {
    let same_kind = match (&a.kind, &b.kind) {
        (Kind::Directory(_), Kind::Directory(_)) | (Kind::Fifo, Kind::Fifo) => true,
        (Kind::File(a), Kind::File(b)) => a.is_same(b),
        (Kind::Symlink(a), Kind::Symlink(b)) => a == b,
        (Kind::CharDevice(a), Kind::CharDevice(b)) | (Kind::BlockDevice(a), Kind::BlockDevice(b)) => a == b,
        (
            Kind::Directory(_)
            | Kind::File(_)
            | Kind::Symlink(_)
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_)
            | Kind::Fifo,
            _,
        ) => false,
    };
    same_kind && a.meta == b.meta
}
