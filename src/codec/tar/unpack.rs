//! Entries to a tree: what extracting the archive over a root would leave there, in memory.
//!
//! Links among the parents of an entry are followed as inside a root, so nothing can lead out of it. A later entry
//! replaces an earlier one of the same name; a directory that is there already keeps what it holds.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::entries::{TarEntries, TarEntry, TarKind};
use super::layer::{LayerFault, LayerMarks, LayerTree, cleaned};
use crate::codec::budget::Budget;
use crate::codec::compress::{self, Form};
use crate::codec::scratch::{Scratch, ScratchError};
use crate::codec::whiteout::{self, Meaning};
use crate::failure::{Failure, FailureKind};
use crate::input;
use crate::path::{ImagePath, Name, PathError, display_bytes};
use crate::progress::Progress;
use crate::tree::{Backing, Content, DirectoryId, Follow, Inode, Kind, Metadata, Mode, ResolveError, Tree};

/// What a directory without contents takes, in bytes.
const PER_DIRECTORY: usize = 200;

/// Why an archive cannot be read. Each names the archive.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It cannot be opened or read, or is not a tar.
    #[error("cannot read {0}: {1}")]
    Io(String, #[source] io::Error),
    /// There is no room for what is in it.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// An entry has a name that no image can hold.
    #[error("cannot read {0}: an entry has a bad name: {1}")]
    Name(String, #[source] PathError),
    /// An entry cannot be placed in the tree.
    #[error("cannot read {0}: cannot create {1}: {2}")]
    Place(String, String, #[source] ResolveError),
    /// A hard link to what is not there.
    #[error("cannot read {0}: {1} is a hard link to a missing file: {2}")]
    Hardlink(String, String, String),
    /// A name that layers keep for whiteouts, in a root file system.
    #[error("cannot read {0}: names that begin with `.wh.` mean deletions in a layer: {1}")]
    WhiteoutName(String, String),
}

impl TarError {
    /// An error of the archive called `name`, or of the temporary file that it is unpacked to.
    fn io(name: &str, error: io::Error) -> TarError {
        ScratchError::of(error).map_or_else(|error| TarError::Io(name.to_string(), error), TarError::Scratch)
    }
}

impl Failure for TarError {
    fn kind(&self) -> FailureKind {
        match self {
            TarError::Scratch(error) => error.kind(),
            TarError::Io(..)
            | TarError::Name(..)
            | TarError::Place(..)
            | TarError::Hardlink(..)
            | TarError::WhiteoutName(..) => FailureKind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            TarError::WhiteoutName(..) => Some(
                "a single layer is not a root file system: give the whole image as the source, such as oci:DIR".into(),
            ),
            TarError::Io(_, error) if error.kind() == io::ErrorKind::InvalidData => {
                Some("the file is damaged or not a tar archive: make it again".into())
            }
            TarError::Scratch(error) => error.hint(),
            TarError::Io(..) | TarError::Name(..) | TarError::Place(..) | TarError::Hardlink(..) => None,
        }
    }
}

/// Reads a root file system from a tar file: plain, gzip, zstd or xz, which its content shows. `progress` receives how much of a
/// compressed one was read.
///
/// # Errors
/// When it cannot be read, or is damaged, or cannot be a root file system.
pub fn read_tar(path: &Path, scratch: &Scratch, progress: &dyn Progress) -> Result<Tree, TarError> {
    let name = path.display().to_string();
    let fail = |error| TarError::Io(name.clone(), error);
    let file = input::open(path).map_err(fail)?;
    read_tar_file(file, &name, scratch, progress)
}

/// Reads a root file system from an open tar file, which messages call `name`.
///
/// # Errors
/// As [`read_tar`].
pub fn read_tar_file(file: File, name: &str, scratch: &Scratch, progress: &dyn Progress) -> Result<Tree, TarError> {
    let fail = |error| TarError::io(name, error);
    let backing = match compress::form(&file).map_err(fail)? {
        Form::Plain => Backing::seen(file, name).map_err(fail)?,
        Form::Gzip | Form::Zstd | Form::Xz => {
            let mut plain = scratch.file().map_err(fail)?;
            io::copy(&mut compress::reported(file, progress).map_err(fail)?, &mut plain).map_err(fail)?;
            Backing::new(plain.into_file(), name)
        }
    };
    unpack_root(&Arc::new(backing), name)
}

/// Unpacks a plain tar as a root file system.
fn unpack_root(backing: &Arc<Backing>, name: &str) -> Result<Tree, TarError> {
    // A tar without an entry for the root still has one.
    let mut unpack = Unpack::new(backing, name, None);
    unpack.all()?;
    Ok(unpack.tree)
}

/// Unpacks a plain tar as a layer. `below` is what the layers below make, for hard links that lead there.
///
/// # Errors
/// When the archive is damaged or an entry cannot be placed.
pub fn read_layer(backing: &Arc<Backing>, name: &str, below: &Tree) -> Result<LayerTree, TarError> {
    let mut unpack = Unpack::new(backing, name, Some(Layer { below, marks: LayerMarks::default() }));
    let root = *unpack.tree.root();
    unpack.layer.iter_mut().for_each(|layer| layer.marks.implied.extend([root]));
    unpack.all()?;
    let mut marks = unpack.layer.map(|layer| layer.marks).unwrap_or_default();
    marks.find_twice(backing).map_err(|error| TarError::Io(name.to_string(), error))?;
    Ok(LayerTree { tree: unpack.tree, marks })
}

struct Unpack<'a> {
    tree: Tree,
    backing: &'a Arc<Backing>,
    archive: &'a str,
    /// Where the archive is a layer.
    layer: Option<Layer<'a>>,
    /// What directories that no entry names may still take.
    budget: Budget,
}

struct Layer<'a> {
    below: &'a Tree,
    marks: LayerMarks,
}

impl<'a> Unpack<'a> {
    fn new(backing: &'a Arc<Backing>, archive: &'a str, layer: Option<Layer<'a>>) -> Unpack<'a> {
        let tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        Unpack { tree, backing, archive, layer, budget: Budget::of_entries() }
    }

    fn all(&mut self) -> Result<(), TarError> {
        let fail = |error| TarError::Io(self.archive.to_string(), error);
        let backing = self.backing.clone();
        let size = backing.file().metadata().map_err(fail)?.len();
        for entry in TarEntries::new(backing.file(), size) {
            let entry = entry.map_err(|error| TarError::Io(self.archive.to_string(), error))?;
            self.entry(entry)?;
        }
        Ok(())
    }

    fn path(&self, name: &[u8]) -> Result<ImagePath, TarError> {
        let cleaned = self.layer.as_ref().and_then(|_| cleaned(name));
        ImagePath::parse(cleaned.as_deref().unwrap_or(name))
            .map_err(|error| TarError::Name(self.archive.to_string(), error))
    }

    fn entry(&mut self, entry: TarEntry) -> Result<(), TarError> {
        let path = self.path(&entry.name)?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            if matches!(entry.kind, TarKind::Directory) {
                let root = self.tree.root();
                if let Some(layer) = &mut self.layer {
                    layer.marks.implied.remove(&*root);
                }
                *self.tree.meta_mut(root) = entry.meta;
            }
            return Ok(());
        };
        match whiteout::meaning(&name) {
            Meaning::Entry => {}
            meaning => return self.whiteout(&parent, &path, meaning),
        }
        let directory = self.parent(&parent, &path)?;
        if let Some(layer) = &mut self.layer {
            layer.marks.entry(&self.tree, directory, &name);
        }
        let kind = match entry.kind {
            TarKind::Directory => {
                self.directory(directory, name, entry.meta);
                return Ok(());
            }
            TarKind::Hardlink(target) => return self.hardlink(directory, name, &path, &target),
            TarKind::File(offset, size) => Kind::File(Content::Slice { backing: self.backing.clone(), offset, size }),
            TarKind::Symlink(target) => Kind::Symlink(target.into()),
            TarKind::CharDevice(number) => Kind::CharDevice(number),
            TarKind::BlockDevice(number) => Kind::BlockDevice(number),
            TarKind::Fifo => Kind::Fifo,
        };
        self.tree.insert(directory, name, Inode { meta: entry.meta.into(), kind });
        Ok(())
    }

    /// A name that speaks of the layers below.
    fn whiteout(&mut self, parent: &ImagePath, path: &ImagePath, meaning: Meaning) -> Result<(), TarError> {
        if self.layer.is_none() {
            return Err(TarError::WhiteoutName(self.archive.to_string(), path.to_string()));
        }
        let directory = self.parent(parent, path)?;
        let Some(Layer { marks, .. }) = &mut self.layer else { return Ok(()) };
        match meaning {
            Meaning::Whiteout(hidden) => marks.whiteout(&self.tree, directory, hidden, path),
            // overlayfs has no opaque root.
            Meaning::Opaque if directory != self.tree.root() => marks.opaque.extend([directory]),
            Meaning::Nameless => marks.fault(LayerFault::NamelessWhiteout, path),
            Meaning::Opaque | Meaning::Reserved | Meaning::Entry => {}
        }
        Ok(())
    }

    /// The directory that a new entry belongs into, made where it is missing: as engines make it, 0755 of root.
    fn parent(&mut self, parent: &ImagePath, path: &ImagePath) -> Result<DirectoryId, TarError> {
        let destination = self
            .tree
            .destination(parent)
            .map_err(|error| TarError::Place(self.archive.to_string(), path.to_string(), error))?;
        if !self.budget.take(destination.missing.len() * PER_DIRECTORY) {
            let fault = format!("too many directories that are not entries of their own: {path}");
            return Err(TarError::Io(self.archive.to_string(), io::Error::new(io::ErrorKind::InvalidData, fault)));
        }
        if let (Some(layer), Some(first)) = (&mut self.layer, destination.missing.first())
            && leads_to_missing(&self.tree, parent, destination.missing.len(), first)
        {
            layer.marks.fault(LayerFault::ThroughLink, path);
        }
        Ok(destination.missing.into_iter().fold(destination.directory, |directory, name| {
            let id = self.tree.insert_directory(directory, name.clone(), Metadata::new(Mode::DIRECTORY, 0));
            if let Some(layer) = &mut self.layer {
                layer.marks.implied(directory, &name, id, path);
            }
            id
        }))
    }

    fn directory(&mut self, directory: DirectoryId, name: Name, meta: Metadata) {
        match self.tree.child(directory, name.as_bytes()).filter(|id| self.tree.inode(*id).is_directory()) {
            Some(id) => *self.tree.meta_mut(id) = meta,
            None => {
                self.tree.insert_directory(directory, name, meta);
            }
        }
    }

    fn hardlink(
        &mut self,
        directory: DirectoryId,
        name: Name,
        path: &ImagePath,
        target: &[u8],
    ) -> Result<(), TarError> {
        let missing = || TarError::Hardlink(self.archive.to_string(), path.to_string(), display_bytes(target));
        let target_path = self.path(target)?;
        let resolve = |tree: &Tree| tree.resolve(&ImagePath::root(), target_path.as_bytes(), Follow::No);
        match (resolve(&self.tree), &mut self.layer) {
            (Ok(found), _) if !self.tree.inode(found.id).is_directory() => self.tree.link(directory, name, found.id),
            (Err(_), Some(layer)) => {
                let found = resolve(layer.below).map_err(|_| missing())?;
                let inode = layer.below.inode(found.id).clone();
                if inode.is_directory() {
                    return Err(missing());
                }
                // No engine has the file at hand here. What others would make of it is a file of the same contents.
                layer.marks.fault(LayerFault::HardLinkBelow, path);
                self.tree.insert(directory, name, inode);
            }
            (Ok(_) | Err(_), _) => return Err(missing()),
        }
        Ok(())
    }
}

/// Whether the first of the missing directories of a path is missing at the end of a link, not of the path itself.
fn leads_to_missing(tree: &Tree, path: &ImagePath, missing: usize, first: &Name) -> bool {
    let names: Vec<&[u8]> = path.components().collect();
    let Some(there) = names.len().checked_sub(missing) else { return true };
    let mut above = Vec::new();
    for name in &names[..there] {
        above.push(b'/');
        above.extend_from_slice(name);
    }
    above.push(b'/');
    let found = tree.resolve(&ImagePath::root(), &above, Follow::Yes);
    names[there] != first.as_bytes() || !found.is_ok_and(|found| tree.child(found.id, names[there]).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::io::Write as _;

    /// A layer or root from lines: `dir/`, `file=text`, `link -> target`, `name => hard link target`.
    fn archive(lines: &[&str]) -> File {
        let mut builder = tar::Builder::new(tempfile::tempfile().unwrap());
        for line in lines {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o755);
            let (path, text, link) = if let Some((path, target)) = line.split_once(" => ") {
                header.set_entry_type(tar::EntryType::Link);
                (path, "", Some(target))
            } else if let Some((path, target)) = line.split_once(" -> ") {
                header.set_entry_type(tar::EntryType::Symlink);
                (path, "", Some(target))
            } else if let Some((path, text)) = line.split_once('=') {
                (path, text, None)
            } else {
                header.set_entry_type(tar::EntryType::Directory);
                (*line, "", None)
            };
            let bytes = header.as_old_mut();
            bytes.name[..path.len()].copy_from_slice(path.as_bytes());
            if let Some(link) = link {
                bytes.linkname[..link.len()].copy_from_slice(link.as_bytes());
            }
            header.set_size(text.len() as u64);
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn root_of(lines: &[&str]) -> Result<Tree, String> {
        let backing = Arc::new(Backing::new(archive(lines), "x.tar"));
        unpack_root(&backing, "x.tar").map_err(|error| error.to_string())
    }

    fn listing(tree: &Tree) -> Vec<String> {
        tree.walk()
            .skip(1)
            .map(|entry| match &entry.inode.kind {
                Kind::File(content) => {
                    format!("{}={}", entry.path, String::from_utf8(content.head(99).unwrap()).unwrap())
                }
                Kind::Symlink(target) => format!("{} -> {}", entry.path, display_bytes(target)),
                _ => entry.path.to_string(),
            })
            .collect()
    }

    #[test]
    fn links_among_parents_are_followed_inside_the_root() {
        let lines = ["usr/", "usr/lib/", "lib -> /usr/lib", "lib/x=1", "up -> ../../..", "up/etc/y=2", "hard => lib/x"];
        let tree = root_of(&lines).unwrap();
        assert_eq!(
            listing(&tree),
            ["/etc", "/etc/y=2", "/hard=1", "/lib -> /usr/lib", "/up -> ../../..", "/usr", "/usr/lib", "/usr/lib/x=1"]
        );
    }

    #[test]
    fn hostile_and_mistaken_archives_are_refused_by_name() {
        let refused = |lines: &[&str]| root_of(lines).unwrap_err();
        assert_eq!(
            refused(&["../x=1"]),
            "cannot read x.tar: an entry has a bad name: `..` is not allowed in a path in an image: ../x"
        );
        assert_eq!(refused(&["a => b"]), "cannot read x.tar: /a is a hard link to a missing file: b");
        assert_eq!(refused(&["a=1", "a/b=1"]), "cannot read x.tar: cannot create /a/b: not a directory: /a");
        assert_eq!(
            refused(&["a/.wh.b="]),
            "cannot read x.tar: names that begin with `.wh.` mean deletions in a layer: /a/.wh.b"
        );
        assert!(refused(&["l -> l", "l/x=1"]).starts_with("cannot read x.tar: cannot create /l/x: too many levels"));
    }

    #[test]
    fn compressed_archives_are_told_apart_by_content() {
        let mut plain = Vec::new();
        let file = archive(&["a=1"]);
        use std::os::unix::fs::FileExt as _;
        plain.resize(file.metadata().unwrap().len() as usize, 0);
        file.read_exact_at(&mut plain, 0).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        for bytes in [plain.clone(), gzip.finish().unwrap()] {
            std::fs::write(&path, &bytes).unwrap();
            let tree = read_tar(&path, &Scratch::new(folder.path()), &Silent).unwrap();
            assert_eq!(listing(&tree), ["/a=1"]);
        }
        std::fs::write(&path, b"\x1f\x8b\x08garbage").unwrap();
        let error = read_tar(&path, &Scratch::new(folder.path()), &Silent).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot read {}: ", path.display())), "{error}");
        assert_eq!(error.kind(), FailureKind::Input);
    }
}
