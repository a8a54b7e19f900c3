//! A directory of this machine, read as a root file system.
//!
//! Only what lstat(2) shows is read: no link is followed, no file is opened (contents are opened when they are
//! needed, and proved to be still what was seen). Two names are a hard link when device and inode agree; the inode alone
//! would not do, since a root can span file systems.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode as OpenMode, OFlags, Stat};
use rustix::io::Errno;

use super::whiteout::{self, Meaning};
use crate::failure::{Failure, Kind as FailureKind};
use crate::path::{ImagePath, Name, PathError};
use crate::tree::{Content, DeviceNumber, HostFile, Inode, InodeId, Kind, Metadata, Mode, Stamp, Tree, Xattrs};

/// What to read of a directory.
pub struct ScanOptions<'a> {
    /// Read extended attributes.
    pub xattrs: bool,
    /// Told a path and whether it is a directory; what it answers `true` to is left out and not descended into.
    pub skip: &'a dyn Fn(&ImagePath, bool) -> bool,
}

/// What was read.
#[derive(Debug)]
pub struct Scanned {
    /// The directory as a tree, with the owners, modes and times that were found.
    pub tree: Tree,
    /// What could not be taken along, one line each.
    pub notes: Vec<String>,
}

/// Why a directory cannot be read as a root file system.
#[derive(Debug)]
pub enum DirError {
    /// The system refuses.
    Io(PathBuf, io::Error),
    /// A path that no image can hold.
    Path(PathBuf, PathError),
    /// A name that layers keep for whiteouts.
    WhiteoutName(PathBuf),
    /// A character device 0:0, by which overlayfs marks what is deleted.
    OverlayWhiteout(PathBuf),
}

impl fmt::Display for DirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirError::Io(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            DirError::Path(path, error) => write!(f, "cannot be in an image: {}: {error}", path.display()),
            DirError::WhiteoutName(path) => {
                write!(f, "names that begin with `.wh.` mean deletions in a layer: {}", path.display())
            }
            DirError::OverlayWhiteout(path) => {
                write!(f, "a character device 0:0 is a deletion mark of overlayfs: {}", path.display())
            }
        }
    }
}

impl Error for DirError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DirError::Io(_, error) => Some(error),
            DirError::Path(_, error) => Some(error),
            DirError::WhiteoutName(_) | DirError::OverlayWhiteout(_) => None,
        }
    }
}

impl Failure for DirError {
    fn kind(&self) -> FailureKind {
        FailureKind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            DirError::Io(_, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it readable for the user who builds, or leave it out with `exclude`".into())
            }
            DirError::Io(..) | DirError::Path(..) => None,
            DirError::WhiteoutName(_) => {
                Some("rename the file, or leave it out with `exclude`; to delete a path of a base image, use `type = \"remove\"`".into())
            }
            DirError::OverlayWhiteout(_) => {
                Some("stage the merged directory of the overlay, not its upper one, or leave it out with `exclude`".into())
            }
        }
    }
}

/// Reads the directory `root` and everything below it.
///
/// # Errors
/// On the first entry that cannot be read, or that no image could hold.
pub fn scan(root: &Path, options: &ScanOptions<'_>) -> Result<Scanned, DirError> {
    let meta = rustix::fs::stat(root).map_err(|error| DirError::Io(root.into(), error.into()))?;
    let mut scan = Scan { root, options, links: BTreeMap::new(), notes: Vec::new() };
    let mut tree = Tree::new(scan.metadata(&meta, root)?);
    // One directory is open at a time, so that depth costs no file descriptors.
    let mut pending = vec![(ImagePath::root(), tree.root())];
    while let Some((path, id)) = pending.pop() {
        scan.directory(&path, id, &mut tree, &mut pending)?;
    }
    Ok(Scanned { tree, notes: scan.notes })
}

struct Scan<'a> {
    root: &'a Path,
    options: &'a ScanOptions<'a>,
    links: BTreeMap<(u64, u64), InodeId>,
    notes: Vec<String>,
}

impl Scan<'_> {
    fn directory(
        &mut self,
        path: &ImagePath,
        id: InodeId,
        tree: &mut Tree,
        pending: &mut Vec<(ImagePath, InodeId)>,
    ) -> Result<(), DirError> {
        let host: Arc<Path> = self.root.join(OsStr::from_bytes(path.relative_bytes())).into();
        let fail = |error: Errno| DirError::Io(host.to_path_buf(), error.into());
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if !path.is_root() {
            flags |= OFlags::NOFOLLOW;
        }
        let directory = rustix::fs::open(&*host, flags, OpenMode::empty()).map_err(fail)?;
        let mut names: Vec<Box<CStr>> = Vec::new();
        for entry in Dir::read_from(&directory).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().into());
            }
        }
        names.sort();
        for name in names {
            let host_name = OsStr::from_bytes(name.to_bytes());
            let host_path = || host.join(host_name);
            let wrong = |error| DirError::Path(host_path(), error);
            let name_in_image = Name::new(name.to_bytes()).map_err(wrong)?;
            let path = ImagePath::parse(path.join(&name_in_image).as_bytes()).map_err(wrong)?;
            let meta = rustix::fs::statat(&directory, &*name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| DirError::Io(host_path(), error.into()))?;
            let file_type = FileType::from_raw_mode(meta.st_mode);
            if (self.options.skip)(&path, file_type == FileType::Directory) {
                continue;
            }
            if whiteout::meaning(&name_in_image) != Meaning::Entry {
                return Err(DirError::WhiteoutName(host_path()));
            }
            let key = (meta.st_dev, meta.st_ino);
            if meta.st_nlink > 1
                && let Some(first) = self.links.get(&key)
            {
                tree.link(id, name_in_image, *first);
                continue;
            }
            let number =
                DeviceNumber { major: rustix::fs::major(meta.st_rdev), minor: rustix::fs::minor(meta.st_rdev) };
            let kind = match file_type {
                FileType::Directory => Kind::Directory(BTreeMap::new()),
                FileType::RegularFile => {
                    Kind::File(Content::File(HostFile::new(host.clone(), host_name, stamp(&meta))))
                }
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(&directory, &*name, Vec::new())
                        .map_err(|error| DirError::Io(host_path(), error.into()))?;
                    Kind::Symlink(target.as_bytes().into())
                }
                FileType::CharacterDevice if meta.st_rdev == 0 => return Err(DirError::OverlayWhiteout(host_path())),
                FileType::CharacterDevice => Kind::CharDevice(number),
                FileType::BlockDevice => Kind::BlockDevice(number),
                FileType::Fifo => Kind::Fifo,
                FileType::Socket | FileType::Unknown => {
                    self.notes
                        .push(format!("a socket cannot be in an image and is left out: {}", host_path().display()));
                    continue;
                }
            };
            let is_directory = matches!(kind, Kind::Directory(_));
            let inode = Inode { meta: self.metadata(&meta, &host_path())?, kind };
            let child = tree.insert(id, name_in_image, inode);
            if is_directory {
                pending.push((path, child));
            } else if meta.st_nlink > 1 {
                self.links.insert(key, child);
            }
        }
        Ok(())
    }

    fn metadata(&self, meta: &Stat, path: &Path) -> Result<Metadata, DirError> {
        Ok(Metadata {
            mode: Mode::from_bits(meta.st_mode),
            uid: meta.st_uid,
            gid: meta.st_gid,
            mtime: meta.st_mtime,
            xattrs: if self.options.xattrs { xattrs(path)? } else { Xattrs::new() },
        })
    }
}

fn stamp(meta: &Stat) -> Stamp {
    Stamp {
        device: meta.st_dev,
        inode: meta.st_ino,
        size: u64::try_from(meta.st_size).unwrap_or_default(),
        modified: (meta.st_mtime, i64::try_from(meta.st_mtime_nsec).unwrap_or_default()),
        changed: (meta.st_ctime, i64::try_from(meta.st_ctime_nsec).unwrap_or_default()),
    }
}

/// The extended attributes of a file, of the link itself where it is one. A file system without any is no error.
fn xattrs(path: &Path) -> Result<Xattrs, DirError> {
    let fail = |error: Errno| DirError::Io(path.into(), error.into());
    let names = match growing(|buffer| rustix::fs::llistxattr(path, buffer)) {
        Ok(names) => names,
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM | Errno::ACCESS) => return Ok(Xattrs::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut out = Xattrs::new();
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        match growing(|buffer| rustix::fs::lgetxattr(path, OsStr::from_bytes(name), buffer)) {
            Ok(value) => {
                out.insert(name.into(), value.into());
            }
            // Listed but not to be had: `trusted.*` without privilege, or gone since.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(fail(error)),
        }
    }
    Ok(out)
}

/// Calls `read` with a buffer that is large enough, however often it takes.
fn growing(mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 256];
    loop {
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    fn options() -> ScanOptions<'static> {
        ScanOptions { xattrs: true, skip: &|_, _| false }
    }

    #[test]
    fn a_directory_becomes_a_sorted_tree_with_hard_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("b/c")).unwrap();
        std::fs::write(at("b/file"), "text").unwrap();
        std::fs::hard_link(at("b/file"), at("a")).unwrap();
        std::fs::set_permissions(at("a"), PermissionsExt::from_mode(0o4751)).unwrap();
        symlink("b/nowhere", at("link")).unwrap();
        std::fs::write(folder.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let scanned = scan(folder.path(), &options()).unwrap();
        let tree = scanned.tree;
        let paths: Vec<String> = tree.walk().map(|entry| entry.path.to_string()).collect();
        assert_eq!(paths, ["/", "/a", "/b", "/b/c", "/b/file", "/link", "/\\xff"]);
        let id = |path: &str| tree.get(&path.parse().unwrap()).unwrap();
        assert_eq!(id("/a"), id("/b/file"));
        assert_eq!(tree.inode(id("/a")).meta.mode.to_string(), "4751");
        assert!(matches!(&tree.inode(id("/link")).kind, Kind::Symlink(target) if &**target == b"b/nowhere"));
        assert!(
            scanned.notes[0].starts_with("a socket cannot be in an image and is left out: "),
            "{:?}",
            scanned.notes
        );
    }

    #[test]
    fn what_is_skipped_is_not_even_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/.wh.x")).unwrap();
        std::fs::write(folder.path().join("b"), "").unwrap();
        let skip = |path: &ImagePath, directory: bool| directory && path.as_bytes() == b"/a";
        let tree = scan(folder.path(), &ScanOptions { xattrs: false, skip: &skip }).unwrap().tree;
        assert_eq!(tree.walk().count(), 2);
        let error = scan(folder.path(), &options()).unwrap_err();
        assert!(error.to_string().starts_with("names that begin with `.wh.` mean deletions in a layer: "), "{error}");
    }

    #[test]
    fn deep_trees_cost_no_file_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let mut path = folder.path().to_path_buf();
        for _ in 0..1500 {
            path.push("d");
        }
        std::fs::create_dir_all(&path).unwrap();
        assert_eq!(scan(folder.path(), &options()).unwrap().tree.walk().count(), 1501);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = scan(Path::new("/nonexistent/x"), &options()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nonexistent/x: No such file or directory (os error 2)");
    }
}
