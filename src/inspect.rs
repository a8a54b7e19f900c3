//! What is in a place, as data: sizes are numbers of bytes here, and `render/inspect.rs` prints them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::image::{Image, PlatformImage};
use crate::path::{ImagePath, display_bytes};
use crate::platform::Platform;
use crate::tree::{Inode, InodeId, Kind, Tree};

/// How many of the largest files are named.
const LARGEST: usize = 10;

/// How deep directories are summed up by themselves: `/usr/lib` is two.
const DEPTH: usize = 2;

/// What is in a place.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Summary {
    /// The place, as people name it.
    pub place: String,
    /// What a tag points at; absent for a root file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Annotations of the index.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Each platform.
    pub platforms: Vec<PlatformSummary>,
}

/// What is in the image of one platform, or in a root file system.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PlatformSummary {
    /// The platform. That of a root file system is the one that all of its programs are for; empty if there is none.
    pub platform: String,
    /// The image; absent for a root file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSummary>,
    /// The files.
    pub tree: TreeSummary,
    /// Every entry, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<EntrySummary>>,
}

/// The documents of one platform's image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ImageSummary {
    /// Digest of the manifest.
    pub manifest_digest: String,
    /// Digest of the config: what engines call the image's id.
    pub config_digest: String,
    /// The config, as it is.
    pub config: Map<String, Value>,
    /// Annotations of the manifest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Layers, base first.
    pub layers: Vec<LayerSummary>,
}

/// One layer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct LayerSummary {
    /// Digest of the blob.
    pub digest: String,
    /// Digest of the uncompressed tar.
    pub diff_id: String,
    /// Media type.
    pub media_type: String,
    /// Size of the blob, in bytes.
    pub size: u64,
    /// What the history says made it.
    pub created_by: String,
}

/// The files of a tree, counted.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TreeSummary {
    /// Regular files; a hard-linked one counts once.
    pub files: u64,
    /// Directories, the root included.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of hard-linked files.
    pub hardlinks: u64,
    /// Device nodes and named pipes.
    pub special: u64,
    /// The contents of all files, in bytes; hard-linked ones count once.
    pub bytes: u64,
    /// The directories of the first two levels with all that is below them, sorted by path.
    pub below: Vec<DirectorySummary>,
    /// The largest files, the largest first.
    pub largest: Vec<Largest>,
}

/// A directory with all that is below it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DirectorySummary {
    /// Its path.
    pub path: String,
    /// How deep it lies: 1 for `/usr`.
    pub depth: usize,
    /// How many entries are below it.
    pub entries: u64,
    /// The contents of the files below it, in bytes. A hard-linked file counts where its first name is.
    pub bytes: u64,
}

/// One of the largest files.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Largest {
    /// Its size in bytes.
    pub size: u64,
    /// Its path.
    pub path: String,
}

/// One entry of a tree.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct EntrySummary {
    /// Its path, escaped for display.
    pub path: String,
    /// `directory`, `file`, `hardlink`, `symlink`, `char`, `block` or `fifo`.
    pub kind: &'static str,
    /// Mode, in octal digits.
    pub mode: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last change, in seconds since 1970.
    pub mtime: i64,
    /// Size of the contents, in bytes.
    pub size: u64,
    /// Where a link leads, or the number of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Extended attributes, escaped for display.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, String>,
}

/// Sums up one platform's image or root file system; `entries` asks for every entry too.
pub fn summarise(
    image: Option<&PlatformImage>,
    by_programs: Option<&Platform>,
    tree: &Tree,
    entries: bool,
) -> PlatformSummary {
    let own = image.map(|image| image.platform.to_string());
    PlatformSummary {
        platform: own.or(by_programs.map(Platform::to_string)).unwrap_or_default(),
        image: image.map(image_summary),
        tree: tree_summary(tree),
        entries: entries.then(|| entry_summaries(tree)),
    }
}

/// Sums up a whole place.
pub fn summary(place: &str, image: Option<&Image>, platforms: Vec<PlatformSummary>) -> Summary {
    Summary {
        place: place.to_string(),
        digest: image.map(|image| image.root.digest().to_string()),
        annotations: image.map(|image| image.index_annotations.clone()).unwrap_or_default(),
        platforms,
    }
}

fn image_summary(image: &PlatformImage) -> ImageSummary {
    let config = image.configuration.as_json();
    let history = config.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    let full = |entry: &&Value| entry.get("empty_layer").and_then(Value::as_bool) != Some(true);
    let made_by: Vec<&Value> = history.iter().filter(full).collect();
    let layers = image.manifest.layers().iter().zip(image.configuration.diff_ids()).enumerate();
    ImageSummary {
        manifest_digest: image.manifest_descriptor.digest().to_string(),
        config_digest: image.manifest.config().digest().to_string(),
        config: config.clone(),
        annotations: image
            .manifest
            .annotations()
            .iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        layers: layers
            .map(|(number, (layer, diff_id))| LayerSummary {
                digest: layer.digest().to_string(),
                diff_id: diff_id.to_string(),
                media_type: layer.media_type().to_string(),
                size: layer.size(),
                created_by: made_by
                    .get(number)
                    .and_then(|entry| entry.get("created_by")?.as_str())
                    .unwrap_or_default()
                    .to_string(),
            })
            .collect(),
    }
}

fn tree_summary(tree: &Tree) -> TreeSummary {
    let mut summary = TreeSummary::default();
    let mut seen = vec![false; tree.inode_count()];
    // The walk gives each directory before what it holds, so these are the last ones of their depth.
    let mut open: Vec<usize> = Vec::new();
    for entry in tree.walk() {
        let depth = entry.path.components().count();
        open.truncate(depth.saturating_sub(1));
        let bytes = match &entry.inode.kind {
            Kind::File(content) if !seen[entry.id.index()] => content.size(),
            Kind::Directory(_)
            | Kind::File(_)
            | Kind::Symlink(_)
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_)
            | Kind::Fifo => 0,
        };
        for directory in &open {
            summary.below[*directory].entries += 1;
            summary.below[*directory].bytes += bytes;
        }
        if entry.inode.is_directory() && (1..=DEPTH).contains(&depth) {
            open.push(summary.below.len());
            summary.below.push(DirectorySummary { path: entry.path.to_string(), depth, entries: 0, bytes: 0 });
        }
        if std::mem::replace(&mut seen[entry.id.index()], true) {
            summary.hardlinks += 1;
            continue;
        }
        match &entry.inode.kind {
            Kind::Directory(_) => summary.directories += 1,
            Kind::Symlink(_) => summary.symlinks += 1,
            Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => summary.special += 1,
            Kind::File(content) => {
                summary.files += 1;
                summary.bytes += content.size();
                summary.largest.push(Largest { size: content.size(), path: entry.path.to_string() });
                // Kept short as it grows: a tree may have a million files.
                if summary.largest.len() > 8 * LARGEST {
                    keep_largest(&mut summary.largest);
                }
            }
        }
    }
    keep_largest(&mut summary.largest);
    summary
}

fn keep_largest(largest: &mut Vec<Largest>) {
    largest.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    largest.truncate(LARGEST);
}

fn entry_summaries(tree: &Tree) -> Vec<EntrySummary> {
    let mut first_names: BTreeMap<InodeId, ImagePath> = BTreeMap::new();
    let mut entries = Vec::new();
    for entry in tree.walk() {
        let (kind, size, target) = match first_names.get(&entry.id) {
            Some(first) => ("hardlink", 0, Some(first.to_string())),
            None => describe(entry.inode),
        };
        if !entry.inode.is_directory() {
            first_names.entry(entry.id).or_insert_with(|| entry.path.clone());
        }
        let meta = &entry.inode.meta;
        entries.push(EntrySummary {
            path: entry.path.to_string(),
            kind,
            mode: meta.mode.to_string(),
            uid: meta.uid,
            gid: meta.gid,
            mtime: meta.mtime,
            size,
            target,
            xattrs: meta.xattrs.iter().map(|(name, value)| (display_bytes(name), display_bytes(value))).collect(),
        });
    }
    entries
}

fn describe(inode: &Inode) -> (&'static str, u64, Option<String>) {
    match &inode.kind {
        Kind::Directory(_) => ("directory", 0, None),
        Kind::File(content) => ("file", content.size(), None),
        Kind::Symlink(target) => ("symlink", 0, Some(display_bytes(target))),
        Kind::CharDevice(number) => ("char", 0, Some(format!("{}:{}", number.major, number.minor))),
        Kind::BlockDevice(number) => ("block", 0, Some(format!("{}:{}", number.major, number.minor))),
        Kind::Fifo => ("fifo", 0, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Name;
    use crate::tree::{Content, Metadata, Mode};

    #[test]
    fn a_hard_linked_file_counts_once() {
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        let root = tree.root();
        let name = |text: &str| Name::new(text.as_bytes()).unwrap();
        let file = Inode { meta: Metadata::new(Mode::FILE, 0).into(), kind: Kind::File(Content::Bytes([1; 7].into())) };
        let directory = Metadata::new(Mode::DIRECTORY, 0);
        let below = tree.insert_directory(root, name("d"), directory.clone());
        let deep = tree.insert_directory(below, name("e"), directory);
        let id = tree.insert(deep, name("b"), file);
        tree.link(root, name("a"), id);
        tree.link(below, name("c"), id);
        let summary = summarise(None, None, &tree, true);
        assert_eq!((summary.tree.files, summary.tree.hardlinks, summary.tree.bytes), (1, 2, 7));
        let below: Vec<_> =
            summary.tree.below.iter().map(|one| (one.path.as_str(), one.depth, one.entries, one.bytes)).collect();
        assert_eq!(below, [("/d", 1, 3, 0), ("/d/e", 2, 1, 0)]);
        assert_eq!(summary.tree.largest, [Largest { size: 7, path: "/a".into() }]);
        let lines: Vec<String> = summary
            .entries
            .unwrap()
            .iter()
            .map(|entry| format!("{} {} {:?}", entry.path, entry.kind, entry.target))
            .collect();
        let expected = [
            "/ directory None",
            "/a file None",
            "/d directory None",
            "/d/c hardlink Some(\"/a\")",
            "/d/e directory None",
            "/d/e/b hardlink Some(\"/a\")",
        ];
        assert_eq!(lines, expected);
    }
}
