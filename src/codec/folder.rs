//! A tree, written as a directory of this machine.
//!
//! Entries are made in the order of the tree, so every parent is a directory that was made here: no link of a foreign
//! tree is ever walked through. Directories get their mode and time last, after what they hold.
//!
//! Without privileges a directory cannot carry everything: owners, device nodes and attributes of the kernel's own
//! (file capabilities) need the superuser. What this machine refuses is left out with a note, never an error;
//! everything else is.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dev, FileType, Gid, Mode as OpenMode, Timespec, Timestamps, Uid, XattrFlags, chownat, lsetxattr,
    makedev, mknodat, utimensat,
};
use rustix::io::Errno;

use crate::failure::{Failure, FailureKind};
use crate::path::ImagePath;
use crate::progress::{Event, Progress};
use crate::tree::{Content, ContentError, DeviceNumber, Inode, InodeId, Kind, Metadata, Tree};

/// How much of a file is copied at once, in bytes.
const READ: usize = 1 << 18;

/// Who owns what is written.
#[derive(Clone, Copy)]
pub enum Owners<'a> {
    /// The user who writes.
    Writer,
    /// The owner that the tree names; only the superuser can give it.
    AsInTree,
    /// The user and group that this makes of those that the tree names.
    Mapped(&'a dyn Fn(u32, u32) -> (u32, u32)),
}

/// What is written, and how.
pub struct FolderOptions<'a> {
    /// Who owns each entry.
    pub owners: Owners<'a>,
    /// Told a path; what it answers `false` to is left out, but for the directories above what is written.
    pub wanted: &'a dyn Fn(&ImagePath) -> bool,
}

/// Why a tree cannot be written as a directory.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The contents of a file cannot be read.
    #[error(transparent)]
    Content(ContentError),
    /// The system refuses to make an entry.
    #[error("cannot write {path}: {1}", path = .0.display())]
    Write(PathBuf, #[source] io::Error),
}

impl Failure for FolderError {
    fn kind(&self) -> FailureKind {
        match self {
            FolderError::Content(error) => error.kind(),
            FolderError::Write(..) => FailureKind::Output,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            FolderError::Content(error) => error.hint(),
            FolderError::Write(..) => None,
        }
    }
}

/// Writes a tree into `folder`, which must be an empty directory of the user's own. `progress` receives how many bytes of file
/// contents were written. Gives notes about what could not be
/// carried, one line each.
///
/// # Errors
/// On the first entry that cannot be made, or whose contents cannot be read. What was written by then stays there.
pub fn write_folder(
    tree: &Tree,
    folder: &Path,
    options: &FolderOptions<'_>,
    progress: &dyn Progress,
) -> Result<Vec<String>, FolderError> {
    let mut writing = Writing {
        tree,
        folder,
        options,
        progress,
        first_names: BTreeMap::new(),
        above: Vec::new(),
        made: Vec::new(),
        lost: BTreeMap::new(),
        buffer: vec![0; READ],
    };
    for entry in tree.walk() {
        while writing.above.last().is_some_and(|(path, _)| !entry.path.starts_with(path)) {
            writing.above.pop();
        }
        let wanted = (options.wanted)(&entry.path);
        if entry.inode.is_directory() {
            writing.above.push((entry.path.clone(), false));
        }
        if wanted {
            writing.directories()?;
            writing.entry(&entry.path, entry.id, entry.inode)?;
        }
    }
    writing.finish()
}

struct Writing<'a> {
    tree: &'a Tree,
    folder: &'a Path,
    options: &'a FolderOptions<'a>,
    progress: &'a dyn Progress,
    /// Where a file with several names was written first.
    first_names: BTreeMap<InodeId, PathBuf>,
    /// The directories above the entry at hand, and whether each was made.
    above: Vec<(ImagePath, bool)>,
    /// The directories that were made, in order.
    made: Vec<(PathBuf, InodeId)>,
    /// What could not be carried: the reason, how often, and the first path.
    lost: BTreeMap<&'static str, (usize, ImagePath)>,
    buffer: Vec<u8>,
}

impl Writing<'_> {
    /// Where an entry lies.
    fn place(&self, path: &ImagePath) -> PathBuf {
        self.folder.join(OsStr::from_bytes(path.relative_bytes()))
    }

    /// Makes the directories above that were not made yet, open for the user who writes.
    fn directories(&mut self) -> Result<(), FolderError> {
        for index in 0..self.above.len() {
            let (path, done) = &self.above[index];
            if *done {
                continue;
            }
            let place = self.place(path);
            let Some(id) = self.tree.get(path) else { continue };
            if !path.is_root() {
                fs::DirBuilder::new().mode(0o700).create(&place).map_err(|error| failed(&place, error))?;
            }
            self.made.push((place, id));
            self.above[index].1 = true;
        }
        Ok(())
    }

    fn entry(&mut self, path: &ImagePath, id: InodeId, inode: &Inode) -> Result<(), FolderError> {
        let place = self.place(path);
        if let Some(first) = self.first_names.get(&id) {
            return fs::hard_link(first, &place).map_err(|error| failed(&place, error));
        }
        match &inode.kind {
            Kind::Directory(_) => return Ok(()),
            Kind::File(content) => self.file(&place, content)?,
            Kind::Symlink(target) => {
                let target = OsStr::from_bytes(target);
                std::os::unix::fs::symlink(target, &place).map_err(|error| failed(&place, error))?;
            }
            Kind::CharDevice(number) => {
                if !self.device(path, &place, FileType::CharacterDevice, *number)? {
                    return Ok(());
                }
            }
            Kind::BlockDevice(number) => {
                if !self.device(path, &place, FileType::BlockDevice, *number)? {
                    return Ok(());
                }
            }
            Kind::Fifo => {
                mknodat(CWD, &place, FileType::Fifo, OpenMode::RUSR | OpenMode::WUSR, 0)
                    .map_err(|error| failed(&place, error.into()))?;
            }
        }
        self.dress(path, &place, &inode.meta, matches!(inode.kind, Kind::Symlink(_)))?;
        self.first_names.insert(id, place);
        Ok(())
    }

    fn file(&mut self, place: &Path, content: &Content) -> Result<(), FolderError> {
        let mut reader = content.open().map_err(FolderError::Content)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(place)
            .map_err(|error| failed(place, error))?;
        loop {
            let count = reader.read_next(&mut self.buffer).map_err(FolderError::Content)?;
            if count == 0 {
                return Ok(());
            }
            file.write_all(&self.buffer[..count]).map_err(|error| failed(place, error))?;
            self.progress.event(Event::Bytes(count as u64));
        }
    }

    /// Makes a device node; `false` when this user may not.
    fn device(
        &mut self,
        path: &ImagePath,
        place: &Path,
        kind: FileType,
        number: DeviceNumber,
    ) -> Result<bool, FolderError> {
        let device: Dev = makedev(number.major, number.minor);
        match mknodat(CWD, place, kind, OpenMode::RUSR | OpenMode::WUSR, device) {
            Ok(()) => Ok(true),
            Err(Errno::PERM | Errno::ACCESS) => {
                self.lose("device nodes, which only root can create", path);
                Ok(false)
            }
            Err(error) => Err(failed(place, error.into())),
        }
    }

    /// Gives an entry its owner, attributes, mode and time, in this order: a change of owner takes special bits and
    /// capabilities away.
    fn dress(&mut self, path: &ImagePath, place: &Path, meta: &Metadata, link: bool) -> Result<(), FolderError> {
        let owner = match self.options.owners {
            Owners::Writer => None,
            Owners::AsInTree => Some((meta.uid, meta.gid)),
            Owners::Mapped(map) => Some(map(meta.uid, meta.gid)),
        };
        if let Some((uid, gid)) = owner {
            match chownat(CWD, place, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(()) => {}
                Err(Errno::PERM | Errno::INVAL) => self.lose("owners, which only root can set", path),
                Err(error) => return Err(failed(place, error.into())),
            }
        }
        for (name, value) in &meta.xattrs {
            match lsetxattr(place, OsStr::from_bytes(name), value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP | Errno::INVAL) => {
                    self.lose("extended attributes, which this user or file system cannot set", path);
                }
                Err(error) => return Err(failed(place, error.into())),
            }
        }
        if !link {
            let mode = fs::Permissions::from_mode(meta.mode.bits());
            fs::set_permissions(place, mode).map_err(|error| failed(place, error))?;
        }
        let time = Timespec { tv_sec: meta.mtime, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, place, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| failed(place, error.into()))
    }

    fn lose(&mut self, what: &'static str, path: &ImagePath) {
        self.lost.entry(what).or_insert_with(|| (0, path.clone())).0 += 1;
    }

    /// Dresses the directories, the deepest first.
    fn finish(mut self) -> Result<Vec<String>, FolderError> {
        while let Some((place, id)) = self.made.pop() {
            let path = place.strip_prefix(self.folder).unwrap_or(&place).as_os_str().as_bytes();
            let path = ImagePath::parse(path).unwrap_or_else(|_| ImagePath::root());
            self.dress(&path, &place, &self.tree.inode(id).meta, false)?;
        }
        let line = |(what, (count, first)): (&str, (usize, ImagePath))| match count {
            1 => format!("left out: {what}: {first}"),
            count => format!("left out: {what}: {first} and {} more", count - 1),
        };
        Ok(self.lost.into_iter().map(line).collect())
    }
}

fn failed(place: &Path, error: io::Error) -> FolderError {
    FolderError::Write(place.to_path_buf(), error)
}

#[cfg(test)]
mod tests {
    use super::super::dir::{ScanOptions, scan};
    use super::*;
    use crate::progress::Silent;
    use crate::tree::Mode;

    fn sample() -> Tree {
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 1));
        let mut add = |path: &str, mode: u32, kind: Kind| {
            let path: ImagePath = path.parse().unwrap();
            let directory = tree.get_directory(&path.parent().unwrap()).unwrap();
            let inode = Inode { meta: Metadata::new(Mode::from_bits(mode), 1_000_000_000).into(), kind };
            tree.insert(directory, path.file_name().unwrap(), inode);
        };
        add("/bin", 0o555, Kind::Directory(Default::default()));
        add("/bin/tool", 0o4755, Kind::File(Content::Bytes(b"contents".as_slice().into())));
        add("/bin/link", 0o777, Kind::Symlink(b"tool".as_slice().into()));
        add("/var", 0o755, Kind::Directory(Default::default()));
        add("/var/pipe", 0o600, Kind::Fifo);
        let (bin, tool) =
            (tree.get_directory(&"/bin".parse().unwrap()).unwrap(), tree.get(&"/bin/tool".parse().unwrap()).unwrap());
        tree.link(bin, crate::path::Name::new(b"same").unwrap(), tool);
        tree
    }

    fn listing(tree: &Tree) -> Vec<String> {
        let line = |entry: crate::tree::Entry<'_>| {
            let Inode { meta, kind } = entry.inode;
            let what = match kind {
                Kind::Directory(_) => "directory".to_string(),
                Kind::File(content) => format!("{:?}", content.head(100).unwrap()),
                Kind::Symlink(target) => format!("-> {}", crate::path::display_bytes(target)),
                Kind::CharDevice(_) | Kind::BlockDevice(_) => "device".to_string(),
                Kind::Fifo => "fifo".to_string(),
            };
            format!("{} {} {} {what} {:?}", entry.path, meta.mode, meta.mtime, entry.id)
        };
        tree.walk().skip(1).map(line).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let options = FolderOptions { owners: Owners::Writer, wanted: &|_| true };
        assert_eq!(write_folder(&sample(), folder.path(), &options, &Silent).unwrap(), Vec::<String>::new());
        let read = scan(folder.path(), &ScanOptions::ALL).unwrap().tree;
        let without_numbers = |tree: &Tree| -> Vec<String> {
            listing(tree).iter().map(|line| line.rsplit_once(' ').unwrap().0.to_string()).collect()
        };
        assert_eq!(without_numbers(&read), without_numbers(&sample()));
        assert_eq!(read.get(&"/bin/same".parse().unwrap()), read.get(&"/bin/tool".parse().unwrap()));
    }

    #[test]
    fn only_what_is_wanted_is_written_and_the_directories_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let options = FolderOptions { owners: Owners::Writer, wanted: &|path| path.as_bytes() == b"/bin/link" };
        write_folder(&sample(), folder.path(), &options, &Silent).unwrap();
        let read = scan(folder.path(), &ScanOptions::ALL).unwrap().tree;
        let paths: Vec<String> = read.walk().map(|entry| entry.path.to_string()).collect();
        assert_eq!(paths, ["/", "/bin", "/bin/link"]);
    }

    #[test]
    fn a_file_that_changed_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        fs::write(folder.path().join("in/file"), "one").unwrap();
        let tree = scan(&folder.path().join("in"), &ScanOptions::ALL).unwrap().tree;
        fs::write(folder.path().join("in/file"), "another").unwrap();
        let options = FolderOptions { owners: Owners::Writer, wanted: &|_| true };
        let error = write_folder(&tree, &folder.path().join("out"), &options, &Silent).unwrap_err().to_string();
        assert!(error.starts_with("the file changed while it was read: "), "{error}");
    }
}
