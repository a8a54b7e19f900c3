//! What one directory holds.

use std::ffi::{CStr, OsStr};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode as OpenMode, OFlags, RawDir, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::super::whiteout::{self, Meaning};
use super::error::DirError;
use crate::parallel::Queue;
use crate::path::{ImagePath, Name, PATH_MAX};
use crate::tree::{Content, DeviceNumber, HostFile, HostFolder, Kind, Metadata, Mode, Stamp, Xattrs};

/// How many names are looked at in one go. A larger directory is shared between threads.
const PART: usize = 1024;

/// How much of a directory the system is asked for at once, in bytes.
const ENTRIES: usize = 32 << 10;

/// The largest list that is used again, in entries.
const SPARE_MAX: usize = 64;

/// Answers for a path, and whether it is a directory, whether it is left out and not descended into.
pub type Skip<'a> = dyn Fn(&ImagePath, bool) -> bool + Sync + 'a;

/// What is done about a directory that the user may not read or search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is an error.
    Fails,
    /// It becomes an empty directory that is [closed](crate::tree::Tree::close): for whoever needs only some of what is there.
    IsClosed,
}

/// What is read, and how.
pub(super) struct Source<'a> {
    root: &'a Path,
    xattrs: bool,
    times: bool,
    skip: Option<&'a Skip<'a>>,
    unreadable: Unreadable,
    /// The file system of the root.
    device: Option<u64>,
    /// Lists that can be used again.
    pub spare: SpareLists,
}

/// Lists of entries that nobody uses. Much that is kept for long is made while a listing is under source: if its list was new each time,
/// what is kept would lie in the holes that the lists leave.
#[derive(Default)]
pub(super) struct SpareLists(Mutex<Vec<Vec<DirEntry>>>);

impl SpareLists {
    fn take(&self) -> Vec<DirEntry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes a list back, unless it is a large one: most directories are small.
    pub fn give(&self, mut list: Vec<DirEntry>) {
        list.clear();
        if (1..=SPARE_MAX).contains(&list.capacity()) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(list);
        }
    }
}

/// Something to be read.
pub(super) enum Task {
    /// A directory, and whether it is on another file system than the root.
    Directory(ImagePath, bool),
    Part(Arc<Opened>, Range<usize>),
}

/// What was found in a directory, or in a part of one.
#[derive(Default)]
pub(super) struct Listing {
    /// The directory that it is in.
    pub folder: Option<Arc<HostFolder>>,
    /// Sorted by name.
    pub entries: Vec<DirEntry>,
    /// What comes after that, each by the ticket that it is to be had for.
    pub parts: Vec<usize>,
    /// What could not be included.
    pub notes: Vec<String>,
    /// The user may not read the directory, or not search it.
    pub is_closed: bool,
    /// Why nothing was looked at behind that.
    pub error: Option<DirError>,
}

/// One name.
pub(super) struct DirEntry {
    /// Where the name begins in the folder.
    pub name: u32,
    pub meta: Metadata,
    pub found: Found,
    /// Device and inode, when it has other names.
    pub link: Option<(u64, u64)>,
}

/// What has a name.
pub(super) enum Found {
    /// A directory, by the ticket that its listing is to be had for.
    Directory(usize),
    Other(Kind),
}

/// A directory with its names. It is not kept open, so that depth costs no file descriptors.
pub(super) struct Opened {
    path: ImagePath,
    folder: Arc<HostFolder>,
    /// Where each of its names begins, in the order of the names.
    names: Vec<u32>,
}

/// What a thread uses again and again.
pub(super) struct Reader<'a> {
    source: &'a Source<'a>,
    entries: Vec<MaybeUninit<u8>>,
    names: Vec<u8>,
    path: Vec<u8>,
    xattrs: Vec<u8>,
}

impl<'a> Source<'a> {
    pub fn new(
        root: &'a Path,
        xattrs: bool,
        times: bool,
        skip: Option<&'a Skip<'a>>,
        unreadable: Unreadable,
    ) -> Source<'a> {
        let device = rustix::fs::stat(root).map(|meta| meta.st_dev).ok();
        Source { root, xattrs, times, skip, unreadable, device, spare: SpareLists::default() }
    }

    /// Metadata of the root, through links.
    pub fn root_metadata(&self) -> Result<Metadata, DirError> {
        let fail = |error: Errno| DirError::Io(self.root.into(), error.into());
        let meta = rustix::fs::stat(self.root).map_err(fail)?;
        let path = [self.root.as_os_str().as_bytes(), b"\0"].concat();
        let mut reader = Reader::new(self);
        let xattrs =
            CStr::from_bytes_with_nul(&path).map_or(Ok(Xattrs::new()), |path| reader.xattrs(path)).map_err(fail)?;
        Ok(self.metadata(&meta, xattrs))
    }
}

impl Source<'_> {
    fn metadata(&self, meta: &Stat, xattrs: Xattrs) -> Metadata {
        let mtime = if self.times { meta.st_mtime } else { 0 };
        Metadata { mode: Mode::from_bits(meta.st_mode), uid: meta.st_uid, gid: meta.st_gid, mtime, xattrs }
    }
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a Source<'a>) -> Reader<'a> {
        Reader {
            source,
            entries: vec![MaybeUninit::uninit(); ENTRIES],
            names: Vec::new(),
            path: Vec::new(),
            xattrs: vec![0; 256],
        }
    }

    /// Reads a directory.
    pub fn directory(&mut self, path: ImagePath, mounted: bool, queue: &Queue<Task, Listing>) -> Listing {
        let host: PathBuf = self.source.root.join(OsStr::from_bytes(path.relative_bytes()));
        let file = match open(&path, &host) {
            Ok(file) => file,
            Err(error) => return self.unread(&host, error),
        };
        if let Some(kernel) = mounted.then(|| of_kernel(file.as_fd())).flatten() {
            let note = format!("{kernel} is mounted there; its contents are left out: {}", host.display());
            return Listing { notes: vec![note], ..Listing::default() };
        }
        let read = self.names(file.as_fd(), &host).map(|names| (names, file));
        let ((folder, names), file) = match read {
            Ok(read) => read,
            Err(error) => return self.unread(&host, error),
        };
        let count = names.len();
        let opened = Opened { path, folder, names };
        if count <= PART {
            return self.look_at(&opened, file.as_fd(), 0..count, queue);
        }
        let opened = Arc::new(opened);
        // What is submitted last is done first.
        let starts = (0..count).step_by(PART).rev();
        let mut parts: Vec<usize> =
            starts.map(|start| queue.submit(Task::Part(opened.clone(), start..(start + PART).min(count)))).collect();
        parts.reverse();
        Listing { parts, ..Listing::default() }
    }

    /// Looks at some of the names of a directory.
    pub fn part(&mut self, directory: &Opened, range: Range<usize>, queue: &Queue<Task, Listing>) -> Listing {
        match open(&directory.path, directory.folder.path()) {
            Ok(file) => self.look_at(directory, file.as_fd(), range, queue),
            Err(error) => self.unread(directory.folder.path(), error),
        }
    }

    /// What there is of a directory that cannot be read.
    fn unread(&self, host: &Path, error: Errno) -> Listing {
        if error == Errno::ACCESS && self.source.unreadable == Unreadable::IsClosed {
            return Listing { is_closed: true, ..Listing::default() };
        }
        Listing { error: Some(DirError::Io(host.into(), error.into())), ..Listing::default() }
    }

    /// The names in a directory, and where each begins, sorted.
    fn names(&mut self, file: BorrowedFd<'_>, host: &Path) -> Result<(Arc<HostFolder>, Vec<u32>), Errno> {
        self.names.clear();
        let mut starts = Vec::new();
        let mut entries = RawDir::new(file, &mut self.entries);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                starts.push(u32::try_from(self.names.len()).map_err(|_| Errno::OVERFLOW)?);
                self.names.extend_from_slice(entry.file_name().to_bytes_with_nul());
            }
        }
        let folder = HostFolder::new(host, &self.names);
        starts.sort_unstable_by(|a, b| folder.name(*a).cmp(folder.name(*b)));
        Ok((Arc::new(folder), starts))
    }

    fn look_at(
        &mut self,
        directory: &Opened,
        file: BorrowedFd<'_>,
        range: Range<usize>,
        queue: &Queue<Task, Listing>,
    ) -> Listing {
        let mut listing =
            Listing { folder: Some(directory.folder.clone()), entries: self.source.spare.take(), ..Listing::default() };
        for name in directory.names.get(range).unwrap_or_default() {
            match self.look(directory, file, *name, queue) {
                Ok(Ok(Some(entry))) => listing.entries.push(entry),
                Ok(Ok(None)) => {}
                Ok(Err(note)) => listing.notes.push(note),
                // It may be listed, but not searched: no name in it can be looked at.
                Err(DirError::Io(_, error))
                    if error.kind() == std::io::ErrorKind::PermissionDenied
                        && self.source.unreadable == Unreadable::IsClosed =>
                {
                    listing.is_closed = true;
                }
                Err(error) => {
                    listing.error = Some(error);
                    break;
                }
            }
        }
        listing
    }

    /// Looks at one name: what has it, nothing when it is to be skipped, or a note when it cannot be included.
    fn look(
        &mut self,
        directory: &Opened,
        file: BorrowedFd<'_>,
        place: u32,
        queue: &Queue<Task, Listing>,
    ) -> Result<Result<Option<DirEntry>, String>, DirError> {
        let Opened { path, folder, .. } = directory;
        let (host, name) = (folder.path(), folder.name(place));
        let host_name = OsStr::from_bytes(name.to_bytes());
        let host_path = || host.join(host_name);
        let fail = |error: Errno| DirError::Io(host_path(), error.into());
        let wrong = |error| DirError::Path(host_path(), error);
        let name_in_image = Name::new(name.to_bytes()).map_err(wrong)?;
        if path.as_bytes().len() + 1 + name.count_bytes() > PATH_MAX {
            // Only to have the very words.
            ImagePath::parse(path.join(&name_in_image).as_bytes()).map_err(wrong)?;
        }
        let skips = |directory| self.source.skip.is_some_and(|skip| skip(&path.join(&name_in_image), directory));
        let meta = match rustix::fs::statat(file, name, AtFlags::SYMLINK_NOFOLLOW) {
            // What is left out of a running machine may come and go.
            Err(Errno::NOENT) if skips(false) => return Ok(Ok(None)),
            meta => meta.map_err(fail)?,
        };
        let file_type = FileType::from_raw_mode(meta.st_mode);
        if skips(file_type == FileType::Directory) {
            return Ok(Ok(None));
        }
        if whiteout::meaning(&name_in_image) != Meaning::Entry {
            return Err(DirError::WhiteoutName(host_path()));
        }
        let number = DeviceNumber { major: rustix::fs::major(meta.st_rdev), minor: rustix::fs::minor(meta.st_rdev) };
        let kind = match file_type {
            FileType::Directory => None,
            FileType::RegularFile => Some(Kind::File(Content::File(HostFile::new(folder, place, stamp(&meta))))),
            FileType::Symlink => Some(Kind::Symlink(target(file, name).map_err(fail)?)),
            FileType::CharacterDevice if meta.st_rdev == 0 => return Err(DirError::OverlayWhiteout(host_path())),
            FileType::CharacterDevice => Some(Kind::CharDevice(number)),
            FileType::BlockDevice => Some(Kind::BlockDevice(number)),
            FileType::Fifo => Some(Kind::Fifo),
            FileType::Socket | FileType::Unknown => {
                let note = format!("an image cannot contain a socket; it is left out: {}", host_path().display());
                return Ok(Err(note));
            }
        };
        let xattrs = self.xattrs_of(host, name).map_err(fail)?;
        let link = (meta.st_nlink > 1 && kind.is_some()).then_some((meta.st_dev, meta.st_ino));
        let found = match kind {
            Some(kind) => Found::Other(kind),
            None => Found::Directory(
                queue.submit(Task::Directory(path.join(&name_in_image), self.source.device != Some(meta.st_dev))),
            ),
        };
        Ok(Ok(Some(DirEntry { name: place, meta: self.source.metadata(&meta, xattrs), found, link })))
    }

    fn xattrs_of(&mut self, host: &Path, name: &CStr) -> Result<Xattrs, Errno> {
        if !self.source.xattrs {
            return Ok(Xattrs::new());
        }
        let mut path = std::mem::take(&mut self.path);
        path.clear();
        path.extend_from_slice(host.as_os_str().as_bytes());
        path.push(b'/');
        path.extend_from_slice(name.to_bytes_with_nul());
        // A path with a NUL in it could not have been opened.
        let xattrs = CStr::from_bytes_with_nul(&path).map_or(Ok(Xattrs::new()), |path| self.xattrs(path));
        self.path = path;
        xattrs
    }

    /// The extended attributes of a file, of the link itself where it is one. A file system without any is not an error.
    fn xattrs(&mut self, path: &CStr) -> Result<Xattrs, Errno> {
        if !self.source.xattrs {
            return Ok(Xattrs::new());
        }
        let length = match growing(&mut self.xattrs, |buffer| rustix::fs::llistxattr(path, buffer)) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM | Errno::ACCESS) => 0,
            Err(error) => return Err(error),
        };
        let mut out = Xattrs::new();
        if length == 0 {
            return Ok(out);
        }
        let mut value = vec![0; 256];
        for name in self.xattrs[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            match growing(&mut value, |buffer| rustix::fs::lgetxattr(path, OsStr::from_bytes(name), buffer)) {
                Ok(length) => {
                    out.insert(name.into(), value[..length].into());
                }
                // Listed but not to be had: `trusted.*` without privilege, or gone since.
                Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(out)
    }
}

/// The file systems that show what a kernel holds, and no file of anybody (linux/magic.h).
const OF_KERNEL: [(u32, &str); 12] = [
    (0x0000_9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x0000_1cd1, "devpts"),
    (0x1980_0202, "mqueue"),
    (0x6265_6570, "configfs"),
    (0x4249_4e4d, "binfmt_misc"),
];

/// Which of them a directory is on.
fn of_kernel(directory: BorrowedFd<'_>) -> Option<&'static str> {
    // The field's type differs between architectures; magic numbers are of 32 bits (statfs(2)).
    let found = rustix::fs::fstatfs(directory).ok()?.f_type as u32;
    OF_KERNEL.iter().find(|(magic, _)| *magic == found).map(|(_, name)| *name)
}

fn open(path: &ImagePath, host: &Path) -> Result<OwnedFd, Errno> {
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if !path.is_root() {
        flags |= OFlags::NOFOLLOW;
    }
    retry_on_intr(|| rustix::fs::open(host, flags, OpenMode::empty()))
}

/// What a link says.
fn target(directory: BorrowedFd<'_>, name: &CStr) -> Result<Box<[u8]>, Errno> {
    Ok(rustix::fs::readlinkat(directory, name, Vec::new())?.as_bytes().into())
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

/// Calls `read` with a buffer that is large enough, however often it takes. Gives how much of it was filled.
fn growing(buffer: &mut Vec<u8>, mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match read(buffer) {
            Err(Errno::RANGE) if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            done => return done,
        }
    }
}
