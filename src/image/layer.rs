//! A tree to layers: what goes into which, and the bytes of each.
//!
//! Decisions, where the specs are silent:
//!
//! - Every layer has an entry for the root and for every parent of what it holds, before it: a parent that a layer
//!   leaves out is made by engines with the time of the day.
//! - All names of a hard-linked file go into the layer of its first name: docker and containerd cannot link to a file
//!   of another layer. The first name in the order of the tree is the file, the others are links to it.
//! - Over a base, what differs from it is written, and what is gone is whited out by name, never by an opaque mark.
//! - A layer that would hold nothing is left out, unless the image would then have none at all.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io::Write;

use super::store::{Blob, Staging, StoreError};
use crate::codec::compress::{Compression, Compressor};
use crate::codec::tar::{Body, TarWriter};
use crate::codec::whiteout;
use crate::digest::{Digest, Digesting};
use crate::failure::{Failure, Kind as FailureKind};
use crate::oci::{Descriptor, MediaType};
use crate::path::{ImagePath, Name};
use crate::progress::{Event, Progress};
use crate::tree::{Content, ContentError, Inode, InodeId, Kind, Metadata, Mode, Tree};

/// How much of a file is read at once, in bytes.
const READ: usize = 1 << 18;

/// What goes into one layer.
#[derive(Clone, Debug, Default)]
pub struct LayerPlan {
    /// Everything but the root and other parents that are needed, sorted.
    items: BTreeMap<ImagePath, Item>,
}

/// Why something is in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    /// It is in the tree.
    Entry(InodeId),
    /// It was in the base and is gone.
    Whiteout,
}

/// How layers are written.
#[derive(Clone, Copy, Debug)]
pub struct LayerOptions {
    /// The form of the blob.
    pub compression: Compression,
    /// How many threads compress. The bytes do not depend on it.
    pub jobs: usize,
}

/// A layer that was written.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The size of the uncompressed tar, in bytes.
    pub size: u64,
}

/// Why a layer cannot be made.
#[derive(Debug)]
pub enum LayerError {
    /// A file cannot be read.
    Content(ContentError),
    /// The blob cannot be written.
    Store(StoreError),
    /// This compression does not exist or is not part of this build.
    Compression(std::io::Error),
    /// A path of the base cannot be whited out: the whiteout's name would be too long.
    WhiteoutTooLong(ImagePath),
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerError::Content(error) => error.fmt(f),
            LayerError::Store(error) => error.fmt(f),
            LayerError::Compression(error) => write!(f, "cannot compress: {error}"),
            LayerError::WhiteoutTooLong(path) => {
                write!(f, "a name of more than 251 bytes cannot be removed from a base image: {path}")
            }
        }
    }
}

impl Error for LayerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LayerError::Content(error) => error.source(),
            LayerError::Store(error) => error.source(),
            LayerError::Compression(error) => Some(error),
            LayerError::WhiteoutTooLong(_) => None,
        }
    }
}

impl Failure for LayerError {
    fn kind(&self) -> FailureKind {
        match self {
            LayerError::Content(error) => error.kind(),
            LayerError::Store(error) => error.kind(),
            LayerError::Compression(_) => FailureKind::Usage,
            LayerError::WhiteoutTooLong(_) => FailureKind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            LayerError::Content(error) => error.hint(),
            LayerError::Store(error) => error.hint(),
            LayerError::Compression(_) | LayerError::WhiteoutTooLong(_) => None,
        }
    }
}

/// Decides what goes into which layer: `rules` says for each layer but the last which paths it takes, the first that
/// takes a path gets it, and the last layer gets the rest. With `base`, only what differs from it is in any layer.
///
/// Empty plans stand for layers that hold nothing; the result has one more plan than there are rules.
pub fn plan_layers(tree: &Tree, base: Option<&Tree>, rules: &[&dyn Fn(&ImagePath) -> bool]) -> Vec<LayerPlan> {
    let mut plans = vec![LayerPlan::default(); rules.len() + 1];
    let layer_of = |path: &ImagePath| rules.iter().position(|takes| takes(path)).unwrap_or(rules.len());
    let names = names_of_links(tree);
    let mut placed: BTreeMap<InodeId, usize> = BTreeMap::new();
    for (path, change) in changes(tree, base) {
        let Item::Entry(id) = change else {
            plans[layer_of(&path)].items.insert(path, Item::Whiteout);
            continue;
        };
        let Some(names) = names.get(&id) else {
            plans[layer_of(&path)].items.insert(path, change);
            continue;
        };
        // One name of a hard-linked file brings all of them.
        let layer = *placed.entry(id).or_insert_with(|| layer_of(&path));
        plans[layer].items.extend(names.iter().map(|name| (name.clone(), change)));
    }
    plans
}

impl LayerPlan {
    /// Whether the layer would hold nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// The names of every inode that has more than one, sorted. Directories have one.
fn names_of_links(tree: &Tree) -> BTreeMap<InodeId, Vec<ImagePath>> {
    let counts = tree.name_counts();
    let mut names: BTreeMap<InodeId, Vec<ImagePath>> = BTreeMap::new();
    if counts.iter().all(|count| *count < 2) {
        return names;
    }
    for entry in tree.walk().filter(|entry| counts[entry.id.index()] > 1) {
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
    let mut pending = vec![(ImagePath::root(), tree.root(), Some(base.root()))];
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
            if !entries.contains_key(name) {
                changes.push((path.join(name), Item::Whiteout));
            }
        }
        for (name, child) in entries.iter().rev() {
            let below = base_entries.and_then(|entries| entries.get(name)).copied();
            pending.push((path.join(name), *child, below));
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

/// Writes one layer into the staging, in one pass: read, tar, hash, compress, hash, write.
///
/// # Errors
/// When a file cannot be read or changed since it was seen, or the blob cannot be written.
pub fn write_layer(
    tree: &Tree,
    plan: &LayerPlan,
    staging: &Staging,
    options: &LayerOptions,
    progress: &dyn Progress,
) -> Result<Layer, LayerError> {
    let compressor = Compressor::new(staging.blob().map_err(LayerError::Store)?, options.compression, options.jobs)
        .map_err(LayerError::Compression)?;
    let mut writing = Writing {
        tree,
        tar: TarWriter::new(Digesting::new(compressor)),
        first_names: BTreeMap::new(),
        above: Vec::new(),
        buffer: vec![0; READ],
        progress,
    };
    let fail = |error| LayerError::Store(StoreError::from_write(&staging.scratch_folder(), error));
    writing.entry(&ImagePath::root(), tree.root())?;
    for (path, item) in &plan.items {
        writing.parents(path)?;
        match item {
            Item::Entry(id) => writing.entry(path, *id)?,
            Item::Whiteout => writing.whiteout(path)?,
        }
    }
    let (compressor, diff_id, size) = writing.tar.finish().map_err(fail)?.finish();
    let Blob { digest, size: stored } = compressor.finish().map_err(fail)?.finish().map_err(LayerError::Store)?;
    let media_type = match options.compression {
        Compression::None => MediaType::ImageLayer,
        Compression::Gzip(_) => MediaType::ImageLayerGzip,
        Compression::Zstd(_) => MediaType::ImageLayerZstd,
    };
    Ok(Layer { descriptor: crate::oci::descriptor(media_type, &digest, stored), diff_id, size })
}

struct Writing<'a, W: Write> {
    tree: &'a Tree,
    tar: TarWriter<W>,
    /// The name under which a file with several names was written.
    first_names: BTreeMap<InodeId, ImagePath>,
    /// The directories that are written and still open, from the root's child on: the parents of the last entry.
    above: Vec<ImagePath>,
    buffer: Vec<u8>,
    progress: &'a dyn Progress,
}

impl<W: Write> Writing<'_, W> {
    /// Writes the parents of `path` that were not written yet.
    fn parents(&mut self, path: &ImagePath) -> Result<(), LayerError> {
        while self.above.last().is_some_and(|directory| !path.starts_with(directory)) {
            self.above.pop();
        }
        if self.above.last() == path.parent().as_ref() {
            return Ok(());
        }
        let mut here = ImagePath::root();
        let mut id = self.tree.root();
        let depth = path.components().count();
        for part in path.components().take(depth.saturating_sub(1)) {
            let (Ok(name), Some(child)) = (Name::new(part), self.tree.child(id, part)) else { break };
            here = here.join(&name);
            id = child;
            if !self.above.contains(&here) {
                self.entry(&here, id)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &ImagePath, id: InodeId) -> Result<(), LayerError> {
        let inode = self.tree.inode(id);
        if let Some(first) = self.first_names.get(&id) {
            return self.tar.entry(path, &inode.meta, Body::Hardlink(first)).map_err(write_failed);
        }
        let body = match &inode.kind {
            Kind::Directory(_) => {
                if !path.is_root() {
                    self.above.push(path.clone());
                }
                Body::Directory
            }
            Kind::File(content) => {
                self.first_names.insert(id, path.clone());
                return self.file(path, &inode.meta, content);
            }
            Kind::Symlink(target) => Body::Symlink(target),
            Kind::CharDevice(number) => Body::CharDevice(*number),
            Kind::BlockDevice(number) => Body::BlockDevice(*number),
            Kind::Fifo => Body::Fifo,
        };
        if !inode.is_directory() {
            self.first_names.insert(id, path.clone());
        }
        self.tar.entry(path, &inode.meta, body).map_err(write_failed)
    }

    fn file(&mut self, path: &ImagePath, meta: &Metadata, content: &Content) -> Result<(), LayerError> {
        let mut reader = content.open().map_err(LayerError::Content)?;
        self.tar.entry(path, meta, Body::File(content.size())).map_err(write_failed)?;
        loop {
            let count = reader.read_next(&mut self.buffer).map_err(LayerError::Content)?;
            if count == 0 {
                return Ok(());
            }
            self.tar.contents(&self.buffer[..count]).map_err(write_failed)?;
            self.progress.event(Event::Read(count as u64));
        }
    }

    fn whiteout(&mut self, path: &ImagePath) -> Result<(), LayerError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let mark = whiteout::of(&name).ok_or_else(|| LayerError::WhiteoutTooLong(path.clone()))?;
        let time = self.tree.inode(self.tree.root()).meta.mtime;
        self.tar.entry(&parent.join(&mark), &Metadata::new(Mode::FILE, time), Body::File(0)).map_err(write_failed)
    }
}

/// A write error, which names its file when it came from the staging.
fn write_failed(error: std::io::Error) -> LayerError {
    LayerError::Store(StoreError::from_write(std::path::Path::new("a layer"), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn tree(lines: &[&str]) -> Tree {
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        extend(&mut tree, lines);
        tree
    }

    /// Adds `dir/`, `file=text`, `name => hard link`, and removes `-path`.
    fn extend(tree: &mut Tree, lines: &[&str]) {
        for line in lines {
            let place = |tree: &Tree, path: &str| {
                let path: ImagePath = path.parse().unwrap();
                (tree.get(&path.parent().unwrap()).unwrap(), path.file_name().unwrap())
            };
            if let Some(path) = line.strip_prefix('-') {
                let (directory, name) = place(tree, path);
                tree.remove(directory, name.as_bytes());
            } else if let Some((path, target)) = line.split_once(" => ") {
                let (directory, name) = place(tree, path);
                let target = tree.get(&target.parse().unwrap()).unwrap();
                tree.link(directory, name, target);
            } else {
                let (path, kind) = match line.split_once('=') {
                    Some((path, text)) => (path, Kind::File(Content::Bytes(text.as_bytes().into()))),
                    None => (*line, Kind::Directory(BTreeMap::new())),
                };
                let (directory, name) = place(tree, path);
                tree.insert(directory, name, Inode { meta: Metadata::new(Mode::FILE, 0), kind });
            }
        }
    }

    fn names(tree: &Tree, plan: &LayerPlan) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::begin(folder.path()).unwrap();
        let options = LayerOptions { compression: Compression::None, jobs: 1 };
        let layer = write_layer(tree, plan, &staging, &options, &Silent).unwrap();
        assert_eq!(layer.descriptor.digest().to_string(), layer.diff_id.to_string());
        let bytes = std::fs::read(staging.blob_path(&layer.diff_id)).unwrap();
        assert_eq!(bytes.len() as u64, layer.size);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let name = |entry: tar::Entry<'_, &[u8]>| {
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            match entry.link_name_bytes() {
                Some(target) => format!("{path} => {}", String::from_utf8_lossy(&target)),
                None => path,
            }
        };
        archive.entries().unwrap().map(|entry| name(entry.unwrap())).collect()
    }

    #[test]
    fn one_layer_holds_every_parent_before_its_children() {
        let tree = tree(&["usr/", "usr/bin/", "usr/bin/b=1", "usr/bin/a => usr/bin/b", "z=1", "usr-x=1"]);
        let plans = plan_layers(&tree, None, &[]);
        let expected = ["./", "usr/", "usr/bin/", "usr/bin/a", "usr/bin/b => usr/bin/a", "usr-x", "z"];
        assert_eq!(names(&tree, &plans[0]), expected);
    }

    #[test]
    fn layers_split_by_path_and_keep_hard_links_together() {
        let tree = tree(&["lib/", "lib/x=1", "lib/y=2", "bin/", "bin/x => lib/x", "bin/z=3"]);
        let lib = |path: &ImagePath| path.as_bytes().starts_with(b"/lib");
        let plans = plan_layers(&tree, None, &[&lib]);
        assert_eq!(names(&tree, &plans[0]), ["./", "lib/", "lib/y"]);
        assert_eq!(names(&tree, &plans[1]), ["./", "bin/", "bin/x", "bin/z", "lib/", "lib/x => bin/x"]);
    }

    #[test]
    fn over_a_base_only_differences_are_written() {
        let base = tree(&["etc/", "etc/a=1", "etc/b=1", "opt/", "opt/x=1", "was-dir/", "was-dir/y=1", "linked=1"]);
        let mut tree = base.clone();
        extend(&mut tree, &["-etc/a", "etc/c=1", "-opt", "-was-dir", "was-dir=1", "also => linked"]);
        let plans = plan_layers(&tree, Some(&base), &[]);
        let expected = ["./", "also", "etc/", "etc/.wh.a", "etc/c", "linked => also", ".wh.opt", "was-dir"];
        assert_eq!(names(&tree, &plans[0]), expected);
        assert!(plan_layers(&base, Some(&base), &[])[0].is_empty());
    }
}
