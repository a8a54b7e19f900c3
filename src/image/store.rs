//! Blobs: proved whenever they are read, and seen by others only when they are whole.
//!
//! Whatever is made lies in a [`Staging`] first, a private folder beside the output, so that publishing is a rename
//! or a hard link and never a half-written file. The folder of a run that was killed is removed by the next run.
//!
//! # How a dead run is told from a living one
//!
//! By a lock (`flock`) on the file `lock` inside the folder: the kernel lets it go when its holder dies, whatever the
//! cause, in whatever container. Process numbers would not do: they mean nothing across containers and are used
//! again. Between making the folder and holding the lock another run may take the new folder for a dead one, and names
//! come back. So a lock counts only while the locked file still has its name, for the maker (who starts again with
//! another name) as for who removes; and a folder without a lock file is removed only when it is empty, so the lock
//! file is the last that goes. Where the file system knows no locks, everybody's folders stay.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rustix::fs::{FlockOperation, flock};

use super::error::StoreError;
use crate::digest::{Digest, Digesting, Verifying};
use crate::oci::{self, Descriptor, MediaType};

/// How the names of staging folders begin. Two numbers follow.
const PREFIX: &str = ".sazare-";

/// The bytes that are collected before they are written.
const BUFFER: usize = 256 << 10;

/// Where blobs can be read from.
pub trait Blobs: Send + Sync {
    /// Opens the blob of a descriptor. The reader gives the whole blob and proves its digest and size **at its end**:
    /// who stops earlier has no proof.
    ///
    /// # Errors
    /// When the blob is not there, or the descriptor is none that can be checked.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, StoreError>;
}

/// Reads a document (manifest, index or config) that is small by nature, and proves it.
///
/// # Errors
/// When the descriptor promises more than [`oci::DOCUMENT_MAX`] bytes, or the blob is missing or not the right one.
pub fn read_small(blobs: &dyn Blobs, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
    if descriptor.size() > oci::DOCUMENT_MAX {
        return Err(StoreError::TooLarge { blob: descriptor.digest().to_string(), size: descriptor.size() });
    }
    let mut bytes = Vec::new();
    let read = blobs.open(descriptor)?.read_to_end(&mut bytes);
    read.map_err(|error| StoreError::Read { what: format!("blob {}", descriptor.digest()), error })?;
    Ok(bytes)
}

/// What identifies a blob. It exists only when the blob is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The digest.
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
}

impl Blob {
    /// The blob of a descriptor.
    ///
    /// # Errors
    /// When the digest is not SHA-256: another could not be checked.
    pub fn of(descriptor: &Descriptor) -> Result<Blob, StoreError> {
        let digest = descriptor.digest().to_string().parse();
        let digest = digest.map_err(|error| StoreError::Descriptor(format!("{error}")))?;
        Ok(Blob { digest, size: descriptor.size() })
    }

    /// The descriptor of the blob.
    pub fn descriptor(&self, media_type: MediaType) -> Descriptor {
        oci::descriptor(media_type, &self.digest, self.size)
    }
}

/// A private folder in which an output is made. Dropping it removes the folder, and what was made for it.
#[derive(Debug)]
pub struct Staging {
    work: PathBuf,
    /// Directories that did not exist before, the deepest first. They go with the staging unless something is in them.
    made: Vec<PathBuf>,
    next: AtomicU64,
    _lock: File,
}

impl Staging {
    /// Makes a staging folder inside `folder`, which is made too when it does not exist, and removes what killed runs
    /// left there. Living runs are left alone. `folder` should be on the file system of the output: its own folder, or
    /// the layout itself.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn begin(folder: &Path) -> Result<Staging, StoreError> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mut made = Vec::new();
        make_folders(folder, &mut made)?;
        sweep(folder);
        // The number of this process makes collisions rare and nothing more: `mkdir` is what makes the name ours.
        let process = std::process::id();
        for attempt in 0..10_000u32 {
            let work = folder.join(format!("{PREFIX}{process}-{attempt}"));
            match fs::DirBuilder::new().mode(0o700).create(&work) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                // Another run made the folder too, had nothing to put into it and took it away.
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < 100 => {
                    make_folders(folder, &mut made)?;
                    continue;
                }
                made => made.map_err(|error| StoreError::Write { path: work.clone(), error })?,
            }
            let lock = match claim(&work) {
                Ok(Some(lock)) => lock,
                Ok(None) => continue,
                Err(error) => {
                    let _ = fs::remove_dir(&work);
                    remove_made(&made);
                    return Err(error);
                }
            };
            let staging = Staging { work, made, next: AtomicU64::new(0), _lock: lock };
            for below in ["blobs", "blobs/sha256", "tmp"] {
                let path = staging.work.join(below);
                fs::create_dir(&path).map_err(|error| StoreError::Write { path, error })?;
            }
            return Ok(staging);
        }
        let error = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(StoreError::Write { path: folder.join(format!("{PREFIX}{process}-*")), error })
    }

    /// A new blob. It is part of the staging when it is finished.
    ///
    /// # Errors
    /// When its file cannot be made.
    pub fn blob(&self) -> Result<BlobWriter, StoreError> {
        let path = self.scratch_path();
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| StoreError::Write { path: path.clone(), error })?;
        Ok(BlobWriter {
            inner: Digesting::new(BufWriter::with_capacity(BUFFER, file)),
            path,
            blobs: self.blobs_folder(),
            behind: 0,
            flusher: None,
        })
    }

    /// Stores bytes as a blob.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Blob, StoreError> {
        let mut writer = self.blob()?;
        writer.write_all(bytes).map_err(|error| StoreError::from_write(&self.work, error))?;
        writer.finish()
    }

    /// Copies a blob from elsewhere, byte for byte and proved, unless it is here already.
    ///
    /// # Errors
    /// When it cannot be read, is not what the descriptor promises, or cannot be written.
    pub fn adopt(&self, blobs: &dyn Blobs, descriptor: &Descriptor) -> Result<Blob, StoreError> {
        let blob = Blob::of(descriptor)?;
        if fs::metadata(self.blob_path(&blob.digest)).is_ok_and(|meta| meta.len() == blob.size) {
            return Ok(blob);
        }
        let mut reader = blobs.open(descriptor)?;
        let mut writer = self.blob()?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StoreError::Read { what: format!("blob {}", blob.digest), error }),
            };
            writer.write_all(&buffer[..count]).map_err(|error| StoreError::from_write(&self.work, error))?;
        }
        writer.finish()
    }

    /// Takes a blob that lies on a shelf under the name of its digest, when it proves to be the right one. Both names are of one
    /// file then: nobody writes to a blob.
    pub(super) fn take(&self, shelf: &Path, blob: &Blob) -> bool {
        let there = shelf.join(blob.digest.hex());
        let Ok(file) = File::open(&there) else { return false };
        let temporary = self.scratch_path();
        if fs::hard_link(&there, &temporary).is_err() {
            return false;
        }
        let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino(), a.len()) == (b.dev(), b.ino(), blob.size);
        let whole = matches!((file.metadata(), fs::symlink_metadata(&temporary)), (Ok(a), Ok(b)) if same(&a, &b))
            && io::copy(&mut Verifying::new(file, blob.digest, blob.size), &mut io::sink()).is_ok()
            && fs::rename(&temporary, self.blob_path(&blob.digest)).is_ok();
        if !whole {
            let _ = fs::remove_file(&temporary);
        }
        whole
    }

    /// Where a blob of this staging lies, whether it is there or not.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs_folder().join(digest.hex())
    }

    fn blobs_folder(&self) -> PathBuf {
        self.work.join("blobs/sha256")
    }

    /// A folder for temporary files of others, on the file system of the output. It goes with the staging.
    pub fn scratch_folder(&self) -> PathBuf {
        self.work.join("tmp")
    }

    /// A name for a temporary file that nobody else uses.
    pub fn scratch_path(&self) -> PathBuf {
        self.work.join("tmp").join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Blobs for Staging {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, StoreError> {
        let blob = Blob::of(descriptor)?;
        let path = self.blob_path(&blob.digest);
        match File::open(&path) {
            Ok(file) => Ok(Box::new(Verifying::new(file, blob.digest, blob.size))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing {
                blob: blob.digest.to_string(),
                place: format!("the staging folder {}", self.work.display()),
            }),
            Err(error) => Err(StoreError::Read { what: path.display().to_string(), error }),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        empty(&self.work);
        remove_made(&self.made);
    }
}

/// Removes the folders that were made for a staging, as long as nothing is in them.
fn remove_made(made: &[PathBuf]) {
    for folder in made {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

/// Removes a staging folder, whose lock is ours. The lock file goes last: who is killed in between leaves a folder that
/// can still be told from a living one.
fn empty(work: &Path) {
    for below in ["blobs", "tmp"] {
        let folder = work.join(below);
        // A copy of a tree has directories that not even their owner may change.
        if fs::remove_dir_all(&folder).is_err() {
            open_up(&folder);
            let _ = fs::remove_dir_all(&folder);
        }
    }
    let _ = fs::remove_file(work.join("lock"));
    let _ = fs::remove_dir(work);
}

/// Makes the directories below a folder changeable for their owner.
fn open_up(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    #[expect(clippy::disallowed_methods, reason = "the order in which debris is removed changes no output")]
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

/// A blob that is being written. Dropped unfinished, it is no blob, and its file goes with the staging.
pub struct BlobWriter {
    inner: Digesting<BufWriter<File>>,
    path: PathBuf,
    /// Where finished blobs lie. Not the staging itself: a layer's blob is written by a thread of its own.
    blobs: PathBuf,
    /// How much was written since the disk was told.
    behind: usize,
    flusher: Option<Flusher>,
}

impl BlobWriter {
    /// Ends the blob: written through to the disk, then named by its digest.
    ///
    /// # Errors
    /// When the last bytes cannot be written, as on a full disk.
    pub fn finish(self) -> Result<Blob, StoreError> {
        let BlobWriter { inner, path, blobs, flusher, .. } = self;
        let (writer, digest, size) = inner.finish();
        let finish = || -> io::Result<()> {
            let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
            flusher.map_or(Ok(()), Flusher::finish)?;
            file.sync_all()?;
            fs::rename(&path, blobs.join(digest.hex()))
        };
        finish().map_err(|error| StoreError::Write { path: path.clone(), error })?;
        Ok(Blob { digest, size })
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes).map_err(|error| named(&self.path, error))?;
        self.behind += count;
        if self.behind >= FLUSH {
            self.behind = 0;
            if self.flusher.is_none() {
                self.flusher = Flusher::start(self.inner.inner().get_ref());
            }
            if let Some(flusher) = &self.flusher {
                flusher.wake();
            }
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().map_err(|error| named(&self.path, error))
    }
}

/// How much is written before the disk begins with it, in bytes.
const FLUSH: usize = 8 << 20;

/// A thread that brings what was written so far to the disk, while more is made: so little is left to wait for at the end.
struct Flusher {
    wake: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Flusher {
    /// `None` when there is no thread to be had; then all is left for the end.
    fn start(file: &File) -> Option<Flusher> {
        let file = file.try_clone().ok()?;
        let (wake, woken) = sync_channel(1);
        // The system tells an error of the disk once: so the first one is kept, and tried no more.
        let work = move || woken.into_iter().try_for_each(|()| file.sync_data());
        let thread = std::thread::Builder::new().name("flush".into()).spawn(work).ok()?;
        Some(Flusher { wake, thread })
    }

    fn wake(&self) {
        // When it is not ready yet it takes what comes now along.
        let _ = self.wake.try_send(());
    }

    fn finish(self) -> io::Result<()> {
        drop(self.wake);
        self.thread.join().map_err(|_| io::Error::other("a writing thread failed"))?
    }
}

/// The same error with the file in its text: whoever reports it knows only that a writer failed.
fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), StoreError::Write { path: path.to_path_buf(), error })
}

/// Makes a folder and its parents, and notes which were not there, the deepest first.
fn make_folders(folder: &Path, made: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    match fs::create_dir(folder) {
        Ok(()) => made.insert(0, folder.to_path_buf()),
        Err(_) if folder.is_dir() => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
                return Err(StoreError::Write { path: folder.to_path_buf(), error });
            };
            make_folders(parent, made)?;
            fs::create_dir(folder).map_err(|error| StoreError::Write { path: folder.to_path_buf(), error })?;
            made.insert(0, folder.to_path_buf());
        }
        Err(error) => return Err(StoreError::Write { path: folder.to_path_buf(), error }),
    }
    Ok(())
}

/// Takes the lock of a folder that was just made. `None`: another run took the folder for a dead one.
fn claim(work: &Path) -> Result<Option<File>, StoreError> {
    let path = work.join("lock");
    let lock = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(lock) => lock,
        // Gone, or gone and made again by another run that was faster with its lock.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
            return Ok(None);
        }
        Err(error) => return Err(StoreError::Write { path, error }),
    };
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        // No locks on this file system: then nobody can take ours for dead either.
        Err(_) => return Ok(Some(lock)),
    }
    Ok(has_name(&lock, &path).then_some(lock))
}

/// Whether an open lock file is still the one of that name, not one that was removed and made again.
fn has_name(lock: &File, path: &Path) -> bool {
    let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
    match (lock.metadata(), fs::symlink_metadata(path)) {
        (Ok(lock), Ok(named)) => identity(lock) == identity(named),
        (Ok(_) | Err(_), _) => false,
    }
}

/// Removes the staging folders of dead runs. What cannot be looked at or removed stays: it is not this run's work.
fn sweep(folder: &Path) {
    #[expect(clippy::disallowed_methods, reason = "the order in which debris is removed changes no output")]
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && entry.file_name().to_str().is_some_and(is_staging_name) {
            sweep_one(&entry.path());
        }
    }
}

/// Whether a name is `.sazare-<number>-<number>`: nothing else is ever removed.
fn is_staging_name(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    numbers.is_some_and(|(process, attempt)| number(process) && number(attempt))
}

fn sweep_one(work: &Path) {
    let path = work.join("lock");
    let Ok(lock) = OpenOptions::new().write(true).open(&path) else {
        // Killed before it had a lock, or just being made: empty in both cases.
        let _ = fs::remove_dir(work);
        return;
    };
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && has_name(&lock, &path) {
        empty(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, Kind};

    fn names(folder: &Path) -> Vec<String> {
        #[expect(clippy::disallowed_methods, reason = "the test sorts")]
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_blob_is_named_by_its_digest_and_proved_when_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::begin(folder.path()).unwrap();
        let blob = staging.put(b"abc").unwrap();
        assert_eq!(blob, Blob { digest: Digest::of(b"abc"), size: 3 });
        let descriptor = blob.descriptor(MediaType::ImageConfig);
        assert_eq!(read_small(&staging, &descriptor).unwrap(), b"abc");
        fs::write(staging.blob_path(&blob.digest), b"abd").unwrap();
        let error = read_small(&staging, &descriptor).unwrap_err();
        assert!(error.to_string().starts_with("cannot read blob sha256:ba7816bf"), "{error}");
        assert!(error.to_string().contains("digest mismatch"), "{error}");
        assert_eq!(error.kind(), Kind::Input);
    }

    #[test]
    fn a_blob_from_elsewhere_is_taken_only_when_it_is_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (Staging::begin(folder.path()).unwrap(), Staging::begin(folder.path()).unwrap());
        let blob = from.put(b"abc").unwrap();
        let descriptor = blob.descriptor(MediaType::ImageConfig);
        assert_eq!(to.adopt(&from, &descriptor).unwrap(), blob);
        let other = from.put(b"xyz").unwrap();
        fs::write(from.blob_path(&other.digest), b"xyzz").unwrap();
        let error = to.adopt(&from, &other.descriptor(MediaType::ImageConfig)).unwrap_err();
        assert!(error.to_string().contains("longer than the 3 bytes promised"), "{error}");
        assert!(!to.blob_path(&other.digest).exists());
    }

    #[test]
    fn an_absent_blob_and_an_absurd_document_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::begin(folder.path()).unwrap();
        let digest = Digest::of(b"x");
        let error = read_small(&staging, &oci::descriptor(MediaType::ImageConfig, &digest, 1)).unwrap_err();
        assert!(error.to_string().ends_with(&format!("does not hold the blob {digest}")), "{error}");
        let error = read_small(&staging, &oci::descriptor(MediaType::ImageConfig, &digest, u64::MAX)).unwrap_err();
        assert!(error.to_string().starts_with("a document of 18446744073709551615 bytes is larger"), "{error}");
    }

    #[test]
    fn nothing_is_left_when_nothing_was_published() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::begin(&folder.path().join("a/b")).unwrap();
        staging.put(b"abc").unwrap();
        drop(staging);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn the_next_run_removes_what_dead_runs_left_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let living = Staging::begin(path).unwrap();
        let living_name = living.work.file_name().unwrap().to_str().unwrap().to_string();
        for dead in [".sazare-1-0", ".sazare-1-1", ".sazare-notes", ".sazare-1-", ".sazare-2-0"] {
            fs::create_dir(path.join(dead)).unwrap();
        }
        fs::write(path.join(".sazare-1-0/lock"), b"").unwrap();
        fs::create_dir(path.join(".sazare-1-0/blobs")).unwrap();
        fs::write(path.join(".sazare-1-0/blobs/x"), b"x").unwrap();
        fs::write(path.join(".sazare-2-0/somebody's"), b"").unwrap();
        fs::write(path.join(".sazare-3-0"), b"a file").unwrap();
        drop(Staging::begin(path).unwrap());
        let mut expected = [".sazare-1-", ".sazare-2-0", ".sazare-3-0", ".sazare-notes", &living_name];
        expected.sort_unstable();
        assert_eq!(names(path), expected);
        living.put(b"still alive").unwrap();
    }

    #[test]
    fn many_runs_at_once_never_take_each_other_for_dead() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..60 {
                        let staging = Staging::begin(&folder.path().join("a")).unwrap();
                        staging.put(b"abc").unwrap();
                        assert!(staging.blob_path(&Digest::of(b"abc")).exists());
                    }
                });
            }
        });
        // The folder itself goes only with the run that made it.
        let rest = folder.path().join("a");
        assert!(!rest.exists() || names(&rest).is_empty());
    }

    #[test]
    fn an_error_while_writing_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a file");
        fs::write(&path, b"").unwrap();
        let error = Staging::begin(&path).unwrap_err();
        assert!(error.to_string().contains("a file"), "{error}");
        assert_eq!(error.kind(), Kind::Output);
        let full = named(Path::new("/out/x"), io::Error::from(io::ErrorKind::StorageFull));
        let error = StoreError::from_write(Path::new("/elsewhere"), full);
        assert_eq!(error.to_string(), "cannot write /out/x: no storage space");
        assert!(error.hint().unwrap().starts_with("free some space"));
    }
}
