//! The layers of an image over each other, as overlayfs mounts them.
//!
//! A directory over a directory is merged with it; anything else hides what is below, and so does a directory over anything
//! else (Documentation/filesystems/overlayfs.rst). Each layer was unpacked by itself before, so a path of an upper layer
//! never goes through a link of a lower one.

use std::collections::BTreeMap;

use crate::codec::tar::{FaultPaths, LayerFault, LayerMarks, LayerTree};
use crate::link::{LAYER_DIRECTORY_MODE, LAYER_HIDES_LINK, LAYER_REFUSED};
use crate::path::{ImagePath, Name, display_bytes};
use crate::platform::{ImagePlatform, Platform};
use crate::report::{Evidence, Finding, FindingSubject, Severity};
use crate::tree::{DirectoryId, Entries, InodeId, Kind, Metadata, Mode, Tree};

/// How many paths a finding names.
const EXAMPLES: usize = 5;

/// What was found while the layers of an image were merged.
#[derive(Debug, Default)]
pub(super) struct Noticed {
    /// What engines refuse, by layer.
    refused: Vec<(String, LayerFault, FaultPaths)>,
    /// Links that became directories: layer, path, target, whether an entry says so.
    hidden: Vec<(String, ImagePath, Box<[u8]>, bool)>,
    /// Directories that lost owner and mode: layer, path, what they had.
    modes: Vec<(String, ImagePath, Metadata)>,
}

/// Puts a layer over a tree.
pub(super) fn put_over(tree: &mut Tree, layer: LayerTree, name: &str, noticed: &mut Noticed) {
    let LayerTree { tree: upper, marks } = layer;
    noticed.refused.extend(marks.faults.iter().map(|(fault, paths)| (name.to_string(), *fault, paths.clone())));
    let root = tree.root();
    if tree.entries(root).is_none_or(Entries::is_empty) {
        // Nothing is below it to be merged with.
        *tree = upper;
        return;
    }
    if !marks.implied.contains(&*upper.root()) {
        *tree.meta_mut(*root) = (*upper.inode(*upper.root()).meta).clone();
    }
    let mut merge = Merge { tree, upper: &upper, marks: &marks, known: BTreeMap::new(), name, noticed };
    // A stack of our own: a layer can be thousands of directories deep.
    let mut todo = vec![(upper.root(), root, ImagePath::root())];
    while let Some((from, to, path)) = todo.pop() {
        merge.directory(from, to, &path, &mut todo);
    }
}

struct Merge<'a> {
    tree: &'a mut Tree,
    upper: &'a Tree,
    marks: &'a LayerMarks,
    /// The numbers that inodes of the layer have in the tree.
    known: BTreeMap<InodeId, InodeId>,
    name: &'a str,
    noticed: &'a mut Noticed,
}

type Todo = Vec<(DirectoryId, DirectoryId, ImagePath)>;

impl Merge<'_> {
    fn directory(&mut self, from: DirectoryId, to: DirectoryId, path: &ImagePath, todo: &mut Todo) {
        if self.marks.opaque.contains(&from) {
            self.tree.clear(to);
        }
        for name in self.marks.whiteouts.get(&from).into_iter().flatten() {
            self.tree.remove(to, name.as_bytes());
        }
        let entries: Vec<(Name, InodeId)> = self.upper.entries(*from).into_iter().flatten().collect();
        for (name, id) in entries {
            match self.upper.directory(id) {
                Some(directory) => {
                    let path = path.join(&name);
                    let below = self.under(directory, to, name, &path);
                    todo.push((directory, below, path));
                }
                None => self.other(to, name, id),
            }
        }
    }

    /// The directory of the tree that one of the layer is merged into.
    fn under(&mut self, upper: DirectoryId, parent: DirectoryId, name: Name, path: &ImagePath) -> DirectoryId {
        let meta = (*self.upper.inode(*upper).meta).clone();
        let implied = self.marks.implied.contains(&upper);
        let below = self.tree.child(parent, name.as_bytes());
        if let Some(below) = below.and_then(|below| self.tree.directory(below)) {
            let old = &self.tree.inode(*below).meta;
            if implied && (old.mode, old.uid, old.gid) != (Mode::DIRECTORY, 0, 0) && self.noticed.modes.len() < EXAMPLES
            {
                self.noticed.modes.push((self.name.to_string(), path.clone(), (**old).clone()));
            }
            // docker and podman give a directory without an entry 0755 of root; containerd leaves it as it was.
            self.tree.set_meta(*below, meta);
            return below;
        }
        if let Some(Kind::Symlink(target)) = below.map(|below| &self.tree.inode(below).kind)
            && self.noticed.hidden.len() < EXAMPLES
        {
            self.noticed.hidden.push((self.name.to_string(), path.clone(), target.clone(), !implied));
        }
        self.tree.insert_directory(parent, name, meta)
    }

    /// Anything but a directory: names that share an inode in the layer share it in the tree.
    fn other(&mut self, to: DirectoryId, name: Name, id: InodeId) {
        match self.known.get(&id) {
            Some(known) => self.tree.link(to, name, *known),
            None => {
                let own = self.tree.insert(to, name, self.upper.inode(id).clone());
                self.known.insert(id, own);
            }
        }
    }
}

impl Noticed {
    /// The findings about the image of a platform.
    pub(super) fn findings(self, platform: &ImagePlatform) -> Vec<Finding> {
        let platforms: Vec<Platform> = platform.known().into_iter().cloned().collect();
        let finding = |code, severity, path: &ImagePath, message: String, evidence, fix: &str| Finding {
            platforms: platforms.clone(),
            evidence,
            fix: Some(fix.to_string()),
            ..Finding::new(code, severity, FindingSubject::Path(path.to_string()), message)
        };
        let mut findings = Vec::new();
        for (layer, fault, paths) in &self.refused {
            let Some(first) = paths.first.first() else { continue };
            let (severity, words, why) = words_of(*fault);
            let more = paths.first[1..].iter().map(|path| because(path, "likewise"));
            let mut evidence = vec![because(layer, why)];
            evidence.extend(more);
            if paths.count > paths.first.len() {
                evidence.push(because(layer, &format!("{} such entries", paths.count)));
            }
            let fix = "build that layer again, with a tool that writes each name once, after what it needs";
            findings.push(finding(LAYER_REFUSED, severity, first, words.to_string(), evidence, fix));
        }
        for (layer, path, target, named) in &self.hidden {
            let target = display_bytes(target);
            let severity = if *named { Severity::Note } else { Severity::Warning };
            let message = format!("is a directory in an upper layer, which hides the link to {target} below it");
            let detail =
                if *named { "has an entry for the directory" } else { "has entries below it, and none for itself" };
            let fix = format!("put these files below {target} in that layer");
            findings.push(finding(LAYER_HIDES_LINK, severity, path, message, vec![because(layer, detail)], &fix));
        }
        for (layer, path, old) in &self.modes {
            let message =
                "gets owner 0:0 and mode 0755 in docker and podman, because a layer has no entry for it".into();
            let below = format!("{} {}:{}, which containerd keeps", old.mode, old.uid, old.gid);
            let evidence = vec![because(layer, "has entries below it only"), because("the layer below", &below)];
            let fix = "build that layer again with an entry for the directory";
            findings.push(finding(LAYER_DIRECTORY_MODE, Severity::Warning, path, message, evidence, fix));
        }
        findings
    }
}

fn because(subject: impl ToString, detail: &str) -> Evidence {
    Evidence { subject: subject.to_string(), detail: detail.to_string() }
}

/// How severe a fault is, what it is, and what engines say of it.
fn words_of(fault: LayerFault) -> (Severity, &'static str, &'static str) {
    const ALL: &str = "docker, podman and containerd cannot unpack it";
    const SOME: &str = "docker and podman cannot unpack it";
    match fault {
        LayerFault::WhiteoutBehindEntry => (Severity::Error, "removes a file that the same layer adds before", ALL),
        LayerFault::BelowWhiteout => (Severity::Error, "lies below a name that the same layer removes", ALL),
        LayerFault::HardLinkBelow => (Severity::Error, "is a hard link to a file of a lower layer", ALL),
        LayerFault::NamelessWhiteout => (Severity::Error, "is a whiteout that names no file", ALL),
        LayerFault::ThroughLink => {
            (Severity::Warning, "lies behind a link whose target is not in the same layer", SOME)
        }
        LayerFault::Twice => (Severity::Warning, "stands twice in one layer", SOME),
    }
}
