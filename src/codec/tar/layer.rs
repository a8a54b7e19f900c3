//! One layer as engines unpack it: into an empty directory, as if there were no layers below.
//!
//! docker, podman and containerd mount the directories of all layers over each other afterwards. So a link of a lower layer
//! leads nothing of an upper one anywhere, and what a layer cannot do alone fails: tried with docker 20.10, podman 4.3 and
//! containerd 1.6 on overlayfs (`tests/program/stacks.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::entries::TarEntries;
use crate::path::{ImagePath, Name};
use crate::tree::{Backing, DirectoryId, InodeId, Tree};

/// How many paths are kept of one kind of fault.
const EXAMPLES: usize = 5;

/// A layer, unpacked by itself.
#[derive(Debug)]
pub struct LayerTree {
    /// What it contains.
    pub tree: Tree,
    /// What it says about the layers below.
    pub marks: LayerMarks,
}

/// What a layer says about the layers below, by the directories of its own tree.
#[derive(Debug, Default)]
pub struct LayerMarks {
    /// Names that are gone.
    pub whiteouts: BTreeMap<DirectoryId, BTreeSet<Name>>,
    /// Directories of which nothing below is left.
    pub opaque: BTreeSet<DirectoryId>,
    /// Directories that no entry names; they are there for what is in them.
    pub implied: BTreeSet<InodeId>,
    /// What engines refuse to unpack.
    pub faults: BTreeMap<LayerFault, FaultPaths>,
    /// Some name may stand twice: two entries came to the same place.
    maybe_twice: bool,
}

/// Why engines refuse a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerFault {
    /// A whiteout behind the entry of the same name.
    WhiteoutBehindEntry,
    /// An entry below a name that the layer removes.
    BelowWhiteout,
    /// A hard link to a file that only a lower layer has.
    HardLinkBelow,
    /// A whiteout that names nothing.
    NamelessWhiteout,
    /// An entry through a link whose target the layer does not have. containerd unpacks it.
    ThroughLink,
    /// A name that stands twice. containerd takes the last one.
    Twice,
}

/// Where a layer has a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPaths {
    /// The first ones.
    pub first: Vec<ImagePath>,
    /// How many there are.
    pub count: usize,
}

impl LayerMarks {
    pub(super) fn fault(&mut self, fault: LayerFault, path: &ImagePath) {
        let paths = self.faults.entry(fault).or_default();
        paths.count += 1;
        if paths.first.len() < EXAMPLES {
            paths.first.push(path.clone());
        }
    }

    /// A directory is made for what is in it.
    pub(super) fn implied(&mut self, parent: DirectoryId, name: &Name, made: DirectoryId, path: &ImagePath) {
        if self.uncover(parent, name) {
            self.fault(LayerFault::BelowWhiteout, path);
        }
        self.implied.insert(*made);
    }

    /// An entry comes to a place.
    pub(super) fn entry(&mut self, tree: &Tree, parent: DirectoryId, name: &Name) {
        self.uncover(parent, name);
        let known = tree.child(parent, name.as_bytes());
        self.maybe_twice |= known.is_some_and(|known| !self.implied.remove(&known));
    }

    /// A whiteout comes to a place.
    pub(super) fn whiteout(&mut self, tree: &Tree, parent: DirectoryId, name: Name, path: &ImagePath) {
        if tree.child(parent, name.as_bytes()).is_some() {
            self.fault(LayerFault::WhiteoutBehindEntry, path);
            return;
        }
        self.maybe_twice |= !self.whiteouts.entry(parent).or_default().insert(name);
    }

    /// An entry in the place of a whiteout takes it away: a directory is merged with the one below, as in the engines.
    fn uncover(&mut self, parent: DirectoryId, name: &Name) -> bool {
        self.whiteouts.get_mut(&parent).is_some_and(|names| names.remove(name))
    }

    /// Finds the names that stand twice, if any may. docker and podman compare the names, not where they lead.
    pub(super) fn find_twice(&mut self, backing: &Backing) -> io::Result<()> {
        if !self.maybe_twice {
            return Ok(());
        }
        let size = backing.file().metadata()?.len();
        let mut seen = BTreeSet::new();
        for entry in TarEntries::new(backing.file(), size) {
            let name = cleaned(&entry?.name).unwrap_or_default();
            if !seen.insert(name.clone())
                && let Ok(path) = ImagePath::parse(&name)
            {
                self.fault(LayerFault::Twice, &path);
            }
        }
        Ok(())
    }
}

/// A name of a layer without `.`, and without the `..` that stay inside, as engines clean it; `None` where one leads out.
pub(super) fn cleaned(name: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_as_engines_do_and_never_lead_out() {
        let clean = |name: &str| cleaned(name.as_bytes()).map(|name| String::from_utf8(name).unwrap());
        for (name, expected) in [("./a//b/", "a/b"), ("/a", "a"), ("a/../b", "b"), ("./", ""), ("a/./b", "a/b")] {
            assert_eq!(clean(name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(clean("../a").or(clean("a/../../b")), None);
    }
}
