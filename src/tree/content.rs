//! What a file holds, without holding it: contents stream, only metadata is kept in memory.
//!
//! A host file is read long after it was seen. So its stamp (device, inode, size, both times) is taken when it is seen
//! and compared when it is opened and again at its end: a file that changed in between is an error, never a mixture of
//! two states in an image.
//!
//! A tree that is read more than once (verified, then written in each of its forms) keeps its files open from one reader to the
//! next, as many as the limit of open files allows: all readers then see the same file, whatever has its name by now.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::{Mode as OpenMode, OFlags};
use rustix::io::retry_on_intr;

use super::clock;
use crate::failure::{Failure, FailureKind, system_words};

/// Where the bytes of a regular file are.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory: text from a recipe, generated files.
    Bytes(Arc<[u8]>),
    /// A file of this machine.
    File(HostFile),
    /// A part of a file that stays open, such as an archive.
    Slice {
        /// The open file.
        backing: Arc<Backing>,
        /// Where the part begins, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        size: u64,
    },
}

/// A directory of this machine, with what its files have in common: a tree can have millions of them.
#[derive(Debug)]
pub struct HostFolder {
    path: Box<Path>,
    /// The names of its files, with a NUL behind each.
    names: Box<[u8]>,
    /// The device of the file that was seen first.
    device: OnceLock<u64>,
    open: OpenFiles,
}

/// Files of one folder that stay open for their next reader.
#[derive(Debug, Default)]
struct OpenFiles {
    keep: AtomicBool,
    /// By the places of their names.
    files: Mutex<BTreeMap<u32, Arc<File>>>,
}

/// How many files stay open in all folders of this process.
static OPEN: AtomicUsize = AtomicUsize::new(0);

impl OpenFiles {
    /// At most half of what this process may have open; the other half is for everything else.
    fn limit() -> usize {
        static LIMIT: OnceLock<usize> = OnceLock::new();
        *LIMIT.get_or_init(|| {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
            limit.and_then(|limit| usize::try_from(limit / 2).ok()).unwrap_or(OPEN_MAX).min(OPEN_MAX)
        })
    }

    /// The open file of a name; opened now if it is not yet, and kept if somebody reads it again. Two who ask at once get the
    /// same one.
    fn get<E>(&self, name: u32, again: bool, open: impl FnOnce() -> Result<File, E>) -> Result<Arc<File>, E> {
        let mut files = self.files();
        if !again && !self.keep.load(Ordering::Relaxed) {
            let kept = files.remove(&name);
            drop(files);
            OPEN.fetch_sub(usize::from(kept.is_some()), Ordering::Relaxed);
            return kept.map_or_else(|| open().map(Arc::new), Ok);
        }
        if let Some(file) = files.get(&name) {
            return Ok(file.clone());
        }
        let file = Arc::new(open()?);
        match OPEN.fetch_add(1, Ordering::Relaxed) < OpenFiles::limit() {
            true => drop(files.insert(name, file.clone())),
            false => drop(OPEN.fetch_sub(1, Ordering::Relaxed)),
        }
        Ok(file)
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<File>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        OPEN.fetch_sub(self.files().len(), Ordering::Relaxed);
    }
}

/// The most files that stay open, whatever the limit is: each takes memory of the kernel.
const OPEN_MAX: usize = 65_536;

/// A file of this machine as it was when it was seen.
#[derive(Clone, Debug)]
pub struct HostFile {
    folder: Arc<HostFolder>,
    inode: u64,
    size: u64,
    modified: i64,
    changed: i64,
    /// The parts of both times below a second.
    nanoseconds: [u32; 2],
    /// Where its name is among those of the folder.
    name: u32,
    /// Always `false`. By the values that it never has the compiler tells the other kinds of content and of inode, which so take
    /// no word of their own: eight bytes less for every file.
    _room: bool,
}

/// What identifies one state of a host file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the contents: seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Last change of the inode: seconds and nanoseconds.
    pub changed: (i64, i64),
}

/// What distinguishes contents from all others without reading them.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// These are the bytes.
    Bytes(&'a [u8]),
    /// What a file in this state holds from this offset on.
    Stamped(Stamp, u64),
    /// Nothing does: who wants to know must read.
    Unknown,
}

impl Stamp {
    /// Whether a change after `moment` (seconds since 1970) would surely give another stamp, as far as the stamp itself tells. A
    /// file that changes twice within one tick of its file system's clock has the same stamp after both; a kernel's clock ticks in
    /// milliseconds. Only the inode's own time counts: the other one can be set back. A time in whole seconds was not made by such
    /// a clock, but by a tool that makes images of file systems, or for a file system that counts in seconds.
    pub fn settled_at(&self, moment: i64) -> bool {
        self.changed.0 < moment.saturating_sub(2) && self.changed.1 != 0
    }

    fn of(file: &File) -> io::Result<Stamp> {
        let meta = file.metadata()?;
        Ok(Stamp {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// An open file that slices refer to, with the name to use in messages.
#[derive(Debug)]
pub struct Backing {
    file: File,
    name: String,
    /// The state it was seen in; `None` for files that nobody else can write to.
    stamp: Option<Stamp>,
}

impl Backing {
    /// Takes over an open file that nobody else can write to; `name` is what messages call it.
    pub fn new(file: File, name: impl Into<String>) -> Backing {
        Backing { file, name: name.into(), stamp: None }
    }

    /// Takes over an open file of the user's, which must not change as long as slices of it are read.
    ///
    /// # Errors
    /// When its state cannot be asked for.
    pub fn seen(file: File, name: impl Into<String>) -> io::Result<Backing> {
        let stamp = Some(Stamp::of(&file)?);
        Ok(Backing { file, name: name.into(), stamp })
    }

    fn prove(&self) -> Result<(), ContentError> {
        match &self.stamp {
            Some(stamp) => prove(&self.file, stamp, || self.name.clone()),
            None => Ok(()),
        }
    }

    /// The file, for positioned reads.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// Why contents cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The system refuses.
    #[error("cannot read {0}: {words}", words = system_words(.1))]
    Io(String, #[source] io::Error),
    /// The file is not the one that was seen.
    #[error("the file changed while it was read: {0}")]
    Changed(String),
}

impl Failure for ContentError {
    fn kind(&self) -> FailureKind {
        FailureKind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            ContentError::Io(_, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it readable for the user who builds, or exclude it with `exclude`".into())
            }
            ContentError::Io(..) => None,
            ContentError::Changed(_) => {
                Some("nothing was written; build again when no program writes to the source".into())
            }
        }
    }
}

impl HostFolder {
    /// A directory and the names of its files, each with a NUL behind it.
    pub fn new(path: &Path, names: &[u8]) -> HostFolder {
        HostFolder { path: path.into(), names: names.into(), device: OnceLock::new(), open: OpenFiles::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name that begins at a place among the names, with the NUL behind it; empty where there is none.
    pub fn name(&self, at: u32) -> &CStr {
        let names = self.names.get(at as usize..).unwrap_or_default();
        CStr::from_bytes_until_nul(names).unwrap_or_default()
    }
}

impl HostFile {
    /// The file of a folder whose name begins at `name`, as it was seen.
    pub fn new(folder: &Arc<HostFolder>, name: u32, stamp: Stamp) -> HostFile {
        if *folder.device.get_or_init(|| stamp.device) != stamp.device {
            // Something else is mounted on it, so it shares nothing with its neighbours.
            return HostFile::alone(&folder.path, OsStr::from_bytes(folder.name(name).to_bytes()), stamp);
        }
        // Parts of a second are less than one, so they fit.
        let nanoseconds = [stamp.modified.1, stamp.changed.1].map(|part| u32::try_from(part).unwrap_or_default());
        let Stamp { inode, size, modified: (modified, _), changed: (changed, _), .. } = stamp;
        HostFile { folder: folder.clone(), inode, size, modified, changed, nanoseconds, name, _room: false }
    }

    /// A file as it was seen in `directory`, of which nothing else is of interest.
    pub fn alone(directory: &Path, name: &OsStr, stamp: Stamp) -> HostFile {
        let folder = Arc::new(HostFolder::new(directory, &[name.as_bytes(), b"\0"].concat()));
        HostFile::new(&folder, 0, stamp)
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.path.join(OsStr::from_bytes(self.folder.name(self.name).to_bytes()))
    }

    /// The state it was seen in.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            device: self.folder.device.get().copied().unwrap_or_default(),
            inode: self.inode,
            size: self.size,
            modified: (self.modified, i64::from(self.nanoseconds[0])),
            changed: (self.changed, i64::from(self.nanoseconds[1])),
        }
    }

    fn open(&self) -> Result<Arc<File>, ContentError> {
        let file = self.open_unproved(false)?;
        self.prove(&file)?;
        Ok(file)
    }

    /// The open file; `again` says that it is only for a part, and the others are asked for next.
    fn open_unproved(&self, again: bool) -> Result<Arc<File>, ContentError> {
        self.folder.open.get(self.name, again, || {
            let path = self.path();
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            retry_on_intr(|| rustix::fs::open(&path, flags, OpenMode::empty()))
                .map(File::from)
                .map_err(|error| ContentError::Io(path.display().to_string(), error.into()))
        })
    }

    fn prove(&self, file: &File) -> Result<(), ContentError> {
        prove(file, &self.stamp(), || self.path().display().to_string())
    }
}

/// Proves that an open file is still in the state that was seen.
fn prove(file: &File, seen: &Stamp, name: impl Fn() -> String) -> Result<(), ContentError> {
    let now = Stamp::of(file).map_err(|error| ContentError::Io(name(), error))?;
    if now == *seen { Ok(()) } else { Err(ContentError::Changed(name())) }
}

impl Content {
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(file) => file.size,
            Content::Slice { size, .. } => *size,
        }
    }

    /// Opens the contents for reading from the start, or at positions.
    ///
    /// # Errors
    /// When a host file cannot be opened or is not the one that was seen.
    pub fn open(&self) -> Result<ContentReader<'_>, ContentError> {
        let file = match self {
            Content::File(host) => Some(host.open()?),
            Content::Bytes(_) | Content::Slice { .. } => None,
        };
        Ok(ContentReader { content: self, file, position: 0 })
    }

    /// Fills `buffer` from `offset` on, and checks that the file is still the one that was seen.
    ///
    /// # Errors
    /// When it is not, or cannot be read, or has fewer bytes there.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ContentError> {
        let reader = match self {
            // The state at the end tells of a change before the start too.
            Content::File(host) => {
                let file = host.open_unproved((buffer.len() as u64) < host.size)?;
                ContentReader { content: self, file: Some(file), position: 0 }
            }
            Content::Bytes(_) | Content::Slice { .. } => self.open()?,
        };
        if reader.read_at(buffer, offset)? < buffer.len() {
            return Err(ContentError::Changed(self.name()));
        }
        reader.prove()
    }

    /// Says whether somebody reads these contents after the next reader. See [`crate::tree::Tree::keep_open`].
    pub(super) fn keep_open(&self, keep: bool) {
        if let Content::File(host) = self {
            host.folder.open.keep.store(keep, Ordering::Relaxed);
        }
    }

    /// What distinguishes these contents from all others without reading them.
    pub fn origin(&self) -> Origin<'_> {
        match self {
            Content::Bytes(bytes) => Origin::Bytes(bytes),
            Content::File(file) => Origin::Stamped(file.stamp(), 0),
            Content::Slice { backing, offset, .. } => {
                backing.stamp.map_or(Origin::Unknown, |stamp| Origin::Stamped(stamp, *offset))
            }
        }
    }

    /// Whether the times of the file are those of its kernel's clock. See `tree::clock`.
    pub fn is_clocked(&self) -> bool {
        match self {
            Content::Bytes(_) => false,
            Content::File(host) => clock::is_clocked(host.folder.path()),
            Content::Slice { backing, .. } => clock::is_file_clocked(&backing.file),
        }
    }

    /// Brings what was written to the file's file system to the disk. See `tree::clock`.
    pub fn is_written_back(&self) -> bool {
        match self {
            Content::Bytes(_) => true,
            Content::File(host) => clock::written_back(host.folder.path()),
            Content::Slice { backing, .. } => rustix::fs::syncfs(&backing.file).is_ok(),
        }
    }

    /// All of it, for the small files that must be understood (passwd, scripts). At most `limit` bytes are read.
    ///
    /// # Errors
    /// As [`Content::open`] and [`ContentReader::read_at`].
    pub fn head(&self, limit: u64) -> Result<Vec<u8>, ContentError> {
        let mut bytes = vec![0; self.size().min(limit) as usize];
        let count = self.open()?.read_at(&mut bytes, 0)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Whether both are certainly the same bytes, known without reading: the same memory, file state or slice.
    pub fn is_same(&self, other: &Content) -> bool {
        match (self, other) {
            (Content::Bytes(a), Content::Bytes(b)) => a == b,
            (Content::File(a), Content::File(b)) => a.stamp() == b.stamp(),
            (
                Content::Slice { backing: a, offset: a_offset, size: a_size },
                Content::Slice { backing: b, offset: b_offset, size: b_size },
            ) => Arc::ptr_eq(a, b) && a_offset == b_offset && a_size == b_size,
            (Content::Bytes(_) | Content::File(_) | Content::Slice { .. }, _) => false,
        }
    }

    /// What messages call it.
    fn name(&self) -> String {
        match self {
            Content::Bytes(_) => "text of the recipe".into(),
            Content::File(host) => host.path().display().to_string(),
            Content::Slice { backing, .. } => backing.name.clone(),
        }
    }
}

/// Contents being read.
pub struct ContentReader<'a> {
    content: &'a Content,
    file: Option<Arc<File>>,
    position: u64,
}

impl ContentReader<'_> {
    /// Fills `buffer` from `offset` on; fewer bytes only at the end of the contents.
    ///
    /// # Errors
    /// When the system refuses, or a file is shorter than it was.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ContentError> {
        let left = self.content.size().saturating_sub(offset);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..wanted];
        let result = match self.content {
            Content::Bytes(bytes) => {
                let start = offset.min(bytes.len() as u64) as usize;
                buffer.copy_from_slice(&bytes[start..start + wanted]);
                Ok(())
            }
            Content::File(_) => match &self.file {
                Some(file) => file.read_exact_at(buffer, offset),
                None => Ok(()),
            },
            Content::Slice { backing, offset: start, .. } => backing.file.read_exact_at(buffer, start + offset),
        };
        match result {
            Ok(()) => Ok(wanted),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ContentError::Changed(self.content.name()))
            }
            Err(error) => Err(ContentError::Io(self.content.name(), error)),
        }
    }

    /// The next bytes; 0 at the end, where a file of the user's is checked to be still the one that was seen.
    ///
    /// # Errors
    /// As [`ContentReader::read_at`], and when the file changed while it was read.
    pub fn read_next(&mut self, buffer: &mut [u8]) -> Result<usize, ContentError> {
        let count = self.read_at(buffer, self.position)?;
        self.position += count as u64;
        if count == 0 && !buffer.is_empty() {
            self.prove()?;
        }
        Ok(count)
    }

    /// Proves that a file of the user's is still the one that was seen.
    ///
    /// # Errors
    /// When it is not, or cannot be examined.
    pub fn prove(&self) -> Result<(), ContentError> {
        match (self.content, &self.file) {
            (Content::File(host), Some(file)) => host.prove(file),
            (Content::Slice { backing, .. }, _) => backing.prove(),
            (Content::File(_) | Content::Bytes(_), _) => Ok(()),
        }
    }
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_next(buffer).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn seen(path: &Path) -> Content {
        let stamp = Stamp::of(&File::open(path).unwrap()).unwrap();
        Content::File(HostFile::alone(path.parent().unwrap(), path.file_name().unwrap(), stamp))
    }

    #[test]
    fn the_three_kinds_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"xxhello").unwrap();
        let slice =
            Content::Slice { backing: Arc::new(Backing::new(File::open(&path).unwrap(), "a")), offset: 2, size: 5 };
        std::fs::write(folder.path().join("other"), b"hello").unwrap();
        for content in [Content::Bytes(Arc::from(*b"hello")), slice, seen(&folder.path().join("other"))] {
            let mut text = String::new();
            content.open().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!((text.as_str(), content.size()), ("hello", 5));
            let mut middle = [0; 9];
            assert_eq!(content.open().unwrap().read_at(&mut middle, 3).unwrap(), 2);
            assert_eq!(&middle[..2], b"lo");
            assert_eq!(content.head(4).unwrap(), b"hell");
        }
    }

    #[test]
    fn files_of_one_folder_keep_their_own_names_and_states() {
        let folder = Arc::new(HostFolder::new(Path::new("/a"), b"one\0two\0"));
        let stamp = |device, inode| Stamp { device, inode, size: 3, modified: (1, 999_999_999), changed: (-2, 7) };
        let files = [HostFile::new(&folder, 0, stamp(5, 1)), HostFile::new(&folder, 4, stamp(5, 2))];
        let mounted = HostFile::new(&folder, 4, stamp(6, 1));
        assert_eq!(files[0].stamp(), stamp(5, 1));
        assert_eq!(files[1].stamp(), stamp(5, 2));
        assert_eq!(mounted.stamp(), stamp(6, 1));
        assert_eq!(
            [&files[0], &files[1], &mounted].map(HostFile::path),
            ["/a/one", "/a/two", "/a/two"].map(PathBuf::from)
        );
    }

    #[test]
    fn only_a_state_with_a_time_of_a_clock_that_is_over_is_settled() {
        let stamp = |seconds, part| Stamp { device: 1, inode: 1, size: 1, modified: (0, 0), changed: (seconds, part) };
        assert!(stamp(97, 1).settled_at(100));
        assert!(!stamp(98, 1).settled_at(100) && !stamp(200, 1).settled_at(100));
        assert!(!stamp(97, 0).settled_at(100));
        assert!(!stamp(97, 1).settled_at(i64::MIN));
        // A file that no clock of a disk made.
        let stamp = Stamp::of(&File::open("/proc/self/status").unwrap()).unwrap();
        let file = Content::File(HostFile::alone(Path::new("/proc/self"), OsStr::new("status"), stamp));
        assert!(!file.is_clocked() && !Content::Bytes([].into()).is_clocked());
    }

    #[test]
    fn a_file_stays_open_until_its_last_reader_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![1; 100]).unwrap();
        let content = seen(&path);
        content.keep_open(true);
        let first = content.open().unwrap().file.clone().unwrap();
        // From now on nothing has its name.
        std::fs::rename(&path, folder.path().join("other")).unwrap();
        assert!(matches!(content.open(), Err(ContentError::Changed(_))), "the inode's own time is another one");
        let Content::File(host) = &content else { panic!("a file") };
        let again = host.open_unproved(false).unwrap();
        assert!(Arc::ptr_eq(&first, &again) && host.folder.open.files().len() == 1);
        content.keep_open(false);
        assert!(Arc::ptr_eq(&first, &host.open_unproved(false).unwrap()) && host.folder.open.files().is_empty());
        assert!(host.open_unproved(false).is_err());
        // A large file is read in parts.
        let content = seen(&folder.path().join("other"));
        let Content::File(host) = &content else { panic!("a file") };
        content.read_exact_at(&mut [0; 60], 40).unwrap();
        assert_eq!(host.folder.open.files().len(), 1);
        content.read_exact_at(&mut [0; 100], 0).unwrap();
        assert_eq!(host.folder.open.files().len(), 0);
    }

    #[test]
    fn a_file_that_changes_is_an_error_at_open_and_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![1; 100]).unwrap();
        let content = seen(&path);
        let mut reader = content.open().unwrap();
        assert_eq!(reader.read_next(&mut [0; 60]).unwrap(), 60);
        File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        assert_eq!(reader.read_next(&mut [0; 60]).unwrap(), 40);
        assert!(matches!(reader.read_next(&mut [0; 60]), Err(ContentError::Changed(_))));
        assert!(matches!(content.open(), Err(ContentError::Changed(_))));
        let content = seen(&path);
        content.read_exact_at(&mut [0; 50], 54).unwrap();
        assert!(matches!(content.read_exact_at(&mut [0; 50], 55), Err(ContentError::Changed(_))));
        let reader = content.open().unwrap();
        File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
        assert!(matches!(reader.read_at(&mut [0; 60], 0), Err(ContentError::Changed(_))));
        assert!(matches!(content.read_exact_at(&mut [0; 5], 0), Err(ContentError::Changed(_))));
    }
}
