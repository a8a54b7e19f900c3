//! Private temporary folders: made by one run, used by nobody else, and removed at its end.
//!
//! A folder can lie in `/tmp`, where other users may put what they like. So:
//!
//! - Its name cannot be guessed, and what is found under it afterwards is checked: it must be a directory of ours, and no link to one.
//! - The folders of dead runs are removed by the next run, but only those of the same user. All of it goes through open
//!   directories (`openat`, `unlinkat`), so that no link leads out of the folder, and no mode is changed through a link.
//! - Nothing that another user makes there can block a run: a `lock` that is not a regular file is not opened.
//!
//! # How a dead run is distinguished from a living one
//!
//! By a lock (`flock`) on the file `lock` in the folder: the kernel releases it when its holder dies, whatever the
//! cause, in whatever container. Process numbers would not do: they mean nothing across containers and are used
//! again. Between making the folder and holding the lock, another run may take the new folder for a dead one. So a lock
//! counts only while the locked file still has its name, for the run that made it (which starts again with another name) and for the one
//! that removes it; and a folder without a lock file is removed only when it is empty, so the lock file is removed last. A folder that
//! cannot be emptied keeps its lock file: the next run tries again. Where the file system cannot lock, the file gets another
//! name, and the folder stays until its own run removes it.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use crate::failure::{Failure, FailureKind};

/// How the names of private folders begin. Sixteen hexadecimal digits follow.
pub const PREFIX: &str = ".sazare-";

/// The name of the lock file.
const LOCK: &CStr = c"lock";

/// Its name where the file system cannot lock.
const UNLOCKED: &CStr = c"no-lock";

/// How a directory is opened: as itself, never through a link.
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How often the removal of a folder is tried while other threads write into it.
const REMOVALS: u32 = 10_000;

/// How often another name is tried.
const ATTEMPTS: u32 = 1000;

/// A private folder cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}", path.display())]
pub struct PrivateError {
    /// What cannot be made.
    pub path: PathBuf,
    /// What the system says.
    #[source]
    pub error: io::Error,
}

impl Failure for PrivateError {
    fn kind(&self) -> FailureKind {
        FailureKind::Output
    }

    fn hint(&self) -> Option<String> {
        let text = match self.error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space there",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "temporary files are created in that directory, so it must be writable"
            }
            _ => return None,
        };
        Some(text.into())
    }
}

/// A folder for the temporary files of this run. Dropping it removes it, and the folders above that were made for it.
#[derive(Debug)]
pub struct PrivateFolder {
    folder: Arc<Folder>,
    next: AtomicU64,
}

/// What is made and removed.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    name: CString,
    /// The folder that it is in.
    above: OwnedFd,
    directory: OwnedFd,
    lock: File,
    /// Directories that did not exist before, the deepest first. They go too, unless something is in them.
    made: Vec<PathBuf>,
}

/// The private folders of this process. One stays here until it is removed: who has given it up and waits for [`CHANGING`] does not
/// remove it any more.
static OPEN: Mutex<Vec<Arc<Folder>>> = Mutex::new(Vec::new());

/// Held by who makes a private folder, until [`OPEN`] knows it, and by who removes one: [`remove_all`] sees neither.
static CHANGING: RwLock<()> = RwLock::new(());

/// Held by who puts outputs in their places.
static IN_PLACE: RwLock<()> = RwLock::new(());

/// Until this is dropped, [`remove_all`] waits: half of what it does must not be left.
pub fn in_one_piece() -> RwLockReadGuard<'static, ()> {
    IN_PLACE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the private folders that killed runs of this user left in a folder.
pub fn remove_dead(folder: &Path) {
    if let Ok(above) = open_above(folder) {
        sweep(above.as_fd());
    }
}

/// Removes all private folders of this process, which ends now. Nothing is put in its place any more, and who wants a new folder
/// waits until the process has ended.
pub fn remove_all() {
    std::mem::forget(IN_PLACE.write().unwrap_or_else(PoisonError::into_inner));
    std::mem::forget(CHANGING.write().unwrap_or_else(PoisonError::into_inner));
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let folders = open.clone();
    drop(open);
    remove_folders(&folders);
    // Who drops one waits.
    std::mem::forget(folders);
}

fn remove_folders(folders: &[Arc<Folder>]) {
    for folder in folders {
        // Other threads still write into it.
        for _ in 0..REMOVALS {
            folder.remove();
            if matches!(std::fs::symlink_metadata(&folder.path), Err(error) if error.kind() == io::ErrorKind::NotFound)
            {
                break;
            }
            std::thread::yield_now();
        }
    }
    // One that was made for the first of them could still hold another.
    folders.iter().for_each(|folder| remove_made(&folder.made));
}

impl PrivateFolder {
    /// Makes a private folder in `folder`, which is made too when it does not exist, and removes those that killed runs of this user
    /// left there. Folders of living runs stay.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn make_in(folder: &Path) -> Result<PrivateFolder, PrivateError> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let _changing = CHANGING.read().unwrap_or_else(PoisonError::into_inner);
        let mut made = Vec::new();
        let result = make(folder, &mut made);
        match result {
            Ok((name, above, directory, lock)) => {
                let path = folder.join(OsStr::from_bytes(name.to_bytes()));
                let folder = Arc::new(Folder { path, name, above, directory, lock, made });
                let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
                open.push(Arc::clone(&folder));
                Ok(PrivateFolder { folder, next: AtomicU64::new(0) })
            }
            Err(error) => {
                remove_made(&made);
                Err(error)
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    /// Whether other runs can see that this one still uses it: on a file system without locks, nobody else ever removes it.
    pub fn is_locked(&self) -> bool {
        has_name(self.folder.directory.as_fd(), self.folder.lock.as_fd())
    }

    /// The open folder.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.folder.directory.as_fd()
    }

    /// A name for a file in it that nobody else uses.
    pub fn new_path(&self) -> PathBuf {
        self.folder.path.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _changing = CHANGING.read().unwrap_or_else(PoisonError::into_inner);
        self.folder.remove();
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|folder| !Arc::ptr_eq(folder, &self.folder));
    }
}

impl Folder {
    fn remove(&self) {
        // What cannot be removed now is removed by the next run.
        remove(self.above.as_fd(), &self.name, self.directory.as_fd());
        // Its name is gone or its content is not: then the lock may go too.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
        remove_made(&self.made);
    }
}

type Made = (CString, OwnedFd, OwnedFd, File);

/// Makes a folder with a lock, in a folder that is made too.
fn make(folder: &Path, made: &mut Vec<PathBuf>) -> Result<Made, PrivateError> {
    let fail = |path: &Path, error: Errno| PrivateError { path: path.into(), error: error.into() };
    for attempt in 0..ATTEMPTS {
        make_folders(folder, made)?;
        let above = match open_above(folder) {
            Ok(above) => above,
            // Another run made the folder too, had nothing to put into it and removed it.
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(fail(folder, error)),
        };
        if attempt == 0 {
            sweep(above.as_fd());
        }
        let name = new_name();
        match rustix::fs::mkdirat(&above, &name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST | Errno::NOENT) => continue,
            Err(error) => return Err(fail(&folder.join(OsStr::from_bytes(name.to_bytes())), error)),
        }
        match claim(above.as_fd(), &name) {
            Ok(Some((directory, lock))) => return Ok((name, above, directory, lock)),
            Ok(None) => {}
            Err(error) => {
                let _ = rustix::fs::unlinkat(&above, &name, AtFlags::REMOVEDIR);
                return Err(fail(&folder.join(OsStr::from_bytes(name.to_bytes())), error));
            }
        }
    }
    Err(fail(&folder.join(PREFIX), Errno::EXIST))
}

/// Opens the folder that private ones are made in, for reading if this user may.
fn open_above(folder: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    match retry_on_intr(|| rustix::fs::open(folder, flags | OFlags::RDONLY, Mode::empty())) {
        Err(Errno::ACCESS) => retry_on_intr(|| rustix::fs::open(folder, flags | OFlags::PATH, Mode::empty())),
        opened => opened,
    }
}

/// A name that nobody can guess: the standard library has a secret for each process.
fn new_name() -> CString {
    let number = RandomState::new().build_hasher().finish();
    // There is no NUL in it.
    CString::new(format!("{PREFIX}{number:016x}")).unwrap_or_default()
}

/// Whether a name is one that [`new_name`] makes: nothing else is ever removed.
fn is_ours(name: &[u8]) -> bool {
    let digits = name.strip_prefix(PREFIX.as_bytes()).unwrap_or_default();
    digits.len() == 16 && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Opens a directory of this user and nobody else's.
fn open_own(above: BorrowedFd<'_>, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
    let directory = retry_on_intr(|| rustix::fs::openat(above, name, DIRECTORY | OFlags::RDONLY, Mode::empty()))?;
    let owner = rustix::fs::fstat(&directory)?.st_uid;
    Ok((owner == rustix::process::geteuid().as_raw()).then_some(directory))
}

/// Takes the lock of a folder that was just made. `None` when it is not ours any more.
fn claim(above: BorrowedFd<'_>, name: &CStr) -> Result<Option<(OwnedFd, File)>, Errno> {
    let directory = match retry_on_intr(|| rustix::fs::openat(above, name, DIRECTORY | OFlags::RDONLY, Mode::empty())) {
        Ok(directory) => directory,
        // Gone, or something else in its place.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error),
    };
    // Some file systems know one owner for all files; whoever owns the folder above could replace ours anyway.
    let owners = [rustix::process::geteuid().as_raw(), rustix::fs::fstat(above)?.st_uid];
    if !owners.contains(&rustix::fs::fstat(&directory)?.st_uid) {
        return Ok(None);
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = match retry_on_intr(|| rustix::fs::openat(&directory, LOCK, flags, Mode::RUSR | Mode::WUSR)) {
        Ok(lock) => lock,
        // The folder is gone, or another run was faster with its lock.
        Err(Errno::NOENT | Errno::EXIST) => return Ok(None),
        Err(error) => return Err(error),
    };
    match try_lock(lock.as_fd()) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        // No locks here. Other runs leave a folder alone that has something in it and no lock file.
        Err(_) => match rustix::fs::renameat(&directory, LOCK, &directory, UNLOCKED) {
            Ok(()) => return Ok(Some((directory, lock.into()))),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        },
    }
    Ok(has_name(directory.as_fd(), lock.as_fd()).then(|| (directory, lock.into())))
}

fn try_lock(lock: BorrowedFd<'_>) -> Result<(), Errno> {
    retry_on_intr(|| rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive))
}

/// Whether an open lock file is still the one of that name, not one that was removed and made again.
fn has_name(directory: BorrowedFd<'_>, lock: BorrowedFd<'_>) -> bool {
    match (rustix::fs::fstat(lock), rustix::fs::statat(directory, LOCK, AtFlags::SYMLINK_NOFOLLOW)) {
        (Ok(lock), Ok(named)) => identity(&lock) == identity(&named),
        (Ok(_) | Err(_), _) => false,
    }
}

/// Removes the private folders of dead runs. What cannot be examined or removed stays: it is not this run's work.
fn sweep(above: BorrowedFd<'_>) {
    for name in names(above).unwrap_or_default() {
        if is_ours(name.to_bytes())
            && let Ok(Some(directory)) = open_own(above, &name)
        {
            sweep_one(above, &name, directory.as_fd());
        }
    }
}

fn sweep_one(above: BorrowedFd<'_>, name: &CStr, directory: BorrowedFd<'_>) {
    match rustix::fs::statat(directory, LOCK, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {}
        // Killed before it had a lock, or just being made: empty in both cases.
        Err(Errno::NOENT) => {
            let _ = rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR);
            return;
        }
        Ok(_) | Err(_) => return,
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(lock) = retry_on_intr(|| rustix::fs::openat(directory, LOCK, flags, Mode::empty())) else { return };
    if try_lock(lock.as_fd()).is_ok() && has_name(directory, lock.as_fd()) {
        remove(above, name, directory);
    }
}

/// Removes a private folder whose lock is ours, the lock file last: who is killed in between leaves a folder that can still
/// be distinguished from a living one.
fn remove(above: BorrowedFd<'_>, name: &CStr, directory: BorrowedFd<'_>) {
    if empty(directory) {
        for lock in [LOCK, UNLOCKED] {
            let _ = rustix::fs::unlinkat(directory, lock, AtFlags::empty());
        }
        let _ = rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR);
    }
}

/// Removes everything in a folder but the lock; whether nothing is left. Folders in folders are moved up before they are emptied, so
/// depth costs neither stack nor file descriptors.
fn empty(top: BorrowedFd<'_>) -> bool {
    let Ok(mut pending) = names(top) else { return false };
    pending.retain(|name| ![LOCK, UNLOCKED].contains(&name.as_c_str()));
    let (mut moved, mut clean) = (0u64, true);
    while let Some(name) = pending.pop() {
        match unlink(top, &name) {
            Ok(true) => continue,
            Ok(false) => {}
            Err(_) => {
                clean = false;
                continue;
            }
        }
        let Ok(directory) = open_changeable(top, &name) else {
            clean = false;
            continue;
        };
        for below in names(directory.as_fd()).unwrap_or_default() {
            if unlink(directory.as_fd(), &below) == Ok(false) {
                // A directory can only be moved by who may write to it.
                let _ = open_changeable(directory.as_fd(), &below);
                moved += 1;
                let Ok(up) = CString::new(format!("moved-{moved}")) else { continue };
                if rustix::fs::renameat(&directory, &below, top, &up).is_ok() {
                    pending.push(up);
                }
            }
        }
        clean &= rustix::fs::unlinkat(top, &name, AtFlags::REMOVEDIR).is_ok();
    }
    clean
}

/// Removes a file, or an empty directory. `false` for a directory that is not empty.
fn unlink(directory: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => Ok(false),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Opens a directory that its owner may change. A copy of a tree has some that not even their owner may.
fn open_changeable(above: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    // This needs no rights on the directory itself, and the link in /proc leads to the very directory that is open.
    let handle = retry_on_intr(|| rustix::fs::openat(above, name, DIRECTORY | OFlags::PATH, Mode::empty()))?;
    if rustix::fs::fstat(&handle)?.st_mode & 0o700 != 0o700 {
        let _ = rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU);
    }
    retry_on_intr(|| {
        rustix::fs::openat(&handle, c".", OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    })
}

/// The names in a directory.
fn names(directory: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Makes a folder and its parents, and notes which did not exist, the deepest first.
fn make_folders(folder: &Path, made: &mut Vec<PathBuf>) -> Result<(), PrivateError> {
    let fail = |error| PrivateError { path: folder.to_path_buf(), error };
    let missing = match make_folder(folder, made) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => error,
        done => return done.map_err(fail),
    };
    let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Err(fail(missing));
    };
    make_folders(parent, made)?;
    make_folder(folder, made).map_err(fail)
}

/// Makes one folder, unless there is one.
fn make_folder(folder: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    let error = match std::fs::create_dir(folder) {
        Ok(()) => {
            made.insert(0, folder.to_path_buf());
            return Ok(());
        }
        Err(error) => error,
    };
    match std::fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Err(stat) if error.kind() == io::ErrorKind::AlreadyExists && stat.kind() != io::ErrorKind::NotFound => {
            Err(stat)
        }
        Ok(_) | Err(_) => Err(error),
    }
}

/// Removes the folders that were made for a private one, as long as nothing is in them.
fn remove_made(made: &[PathBuf]) {
    for folder in made {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    const DEAD: [&str; 3] = [".sazare-0000000000000001", ".sazare-0000000000000002", ".sazare-00000000000000ff"];

    fn listed(folder: &Path) -> Vec<String> {
        let folder = rustix::fs::open(folder, DIRECTORY, Mode::empty()).unwrap();
        let mut names: Vec<String> =
            names(folder.as_fd()).unwrap().into_iter().map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What a killed run leaves.
    fn dead(folder: &Path, name: &str) -> PathBuf {
        let dead = folder.join(name);
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("lock"), b"").unwrap();
        dead
    }

    #[test]
    fn it_is_private_and_goes_with_what_was_made_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let private = PrivateFolder::make_in(&folder.path().join("a/b")).unwrap();
        assert_eq!(fs::metadata(private.path()).unwrap().mode() & 0o777, 0o700);
        let files = [private.new_path(), private.new_path()];
        assert_ne!(files[0], files[1]);
        fs::write(&files[0], b"abc").unwrap();
        drop(private);
        assert_eq!(listed(folder.path()), [""; 0]);
    }

    #[test]
    fn names_cannot_be_guessed() {
        let names: std::collections::BTreeSet<CString> = (0..1000).map(|_| new_name()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| is_ours(name.to_bytes())));
        for name in [".sazare-1-0", ".sazare-", ".sazare-0000000000000g01", ".sazare-00000000000000011", "sazare"] {
            assert!(!is_ours(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_next_run_removes_what_dead_runs_left_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let living = PrivateFolder::make_in(path).unwrap();
        let deep = dead(path, DEAD[0]).join("blobs/sha256/x/y/z");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), b"x").unwrap();
        for folder in ["blobs/sha256/x/y", "blobs/sha256/x", "blobs"] {
            fs::set_permissions(path.join(DEAD[0]).join(folder), PermissionsExt::from_mode(0o500)).unwrap();
        }
        // Killed before it had a lock: empty, and not empty.
        fs::create_dir(path.join(DEAD[1])).unwrap();
        fs::create_dir(path.join(DEAD[2])).unwrap();
        fs::write(path.join(DEAD[2]).join("somebody's"), b"").unwrap();
        fs::create_dir(path.join(".sazare-notes")).unwrap();
        fs::write(path.join(".sazare-0000000000000003"), b"a file").unwrap();
        drop(PrivateFolder::make_in(path).unwrap());
        let living_name = living.path().file_name().unwrap().to_str().unwrap();
        let mut expected = [".sazare-0000000000000003", DEAD[2], ".sazare-notes", living_name];
        expected.sort_unstable();
        assert_eq!(listed(path), expected);
        fs::write(living.new_path(), b"still alive").unwrap();
    }

    #[test]
    fn what_lies_in_a_dead_folder_leads_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), b"x").unwrap();
        fs::set_permissions(&outside, PermissionsExt::from_mode(0o555)).unwrap();
        let dead = dead(folder.path(), DEAD[0]);
        fs::create_dir(dead.join("tmp")).unwrap();
        for link in ["blobs", "tmp/link"] {
            symlink(&outside, dead.join(link)).unwrap();
        }
        symlink(outside.join("precious"), dead.join("tmp/file")).unwrap();
        // A link in the place of a folder, too.
        symlink(&outside, folder.path().join(DEAD[1])).unwrap();
        drop(PrivateFolder::make_in(folder.path()).unwrap());
        assert_eq!(listed(folder.path()), [DEAD[1], "outside"]);
        assert_eq!(listed(&outside), ["precious"]);
        assert_eq!(fs::metadata(&outside).unwrap().mode() & 0o777, 0o555);
    }

    #[test]
    fn a_lock_that_is_not_a_regular_file_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        for (name, number) in DEAD.iter().zip(0..) {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), b"").unwrap();
            match number {
                0 => rustix::fs::mkfifoat(rustix::fs::CWD, path.join("lock"), Mode::RUSR | Mode::WUSR).unwrap(),
                1 => symlink(&target, path.join("lock")).unwrap(),
                _ => fs::create_dir(path.join("lock")).unwrap(),
            }
        }
        drop(PrivateFolder::make_in(folder.path()).unwrap());
        assert_eq!(listed(folder.path()), DEAD);
    }

    #[test]
    fn the_folder_of_another_user_is_not_touched() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root can make one.
        }
        let folder = tempfile::tempdir().unwrap();
        let dead = dead(folder.path(), DEAD[0]);
        std::os::unix::fs::chown(&dead, Some(12345), None).unwrap();
        fs::create_dir(folder.path().join(DEAD[1])).unwrap();
        std::os::unix::fs::chown(folder.path().join(DEAD[1]), Some(12345), None).unwrap();
        drop(PrivateFolder::make_in(folder.path()).unwrap());
        assert_eq!(listed(folder.path()), DEAD[..2]);
        // And it is not taken for one that was just made.
        let above = open_above(folder.path()).unwrap();
        assert!(claim(above.as_fd(), &CString::new(DEAD[1]).unwrap()).unwrap().is_none());
    }

    #[test]
    fn a_folder_that_cannot_be_emptied_keeps_its_lock_for_the_next_run() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root can make a file that root cannot remove.
        }
        let folder = tempfile::tempdir().unwrap();
        let dead = dead(folder.path(), DEAD[0]);
        fs::create_dir(dead.join("busy")).unwrap();
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "none"]).arg(dead.join("busy")).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            return; // No mounts in this container.
        }
        fs::write(dead.join("other"), b"").unwrap();
        drop(PrivateFolder::make_in(folder.path()).unwrap());
        assert_eq!(listed(&dead), ["busy", "lock"]);
        std::process::Command::new("umount").arg(dead.join("busy")).status().unwrap();
        drop(PrivateFolder::make_in(folder.path()).unwrap());
        assert_eq!(listed(folder.path()), [""; 0]);
    }

    #[test]
    fn what_was_made_for_one_folder_goes_also_if_it_holds_another() {
        let above = tempfile::tempdir().unwrap();
        let (first, second) = (above.path().join("a/b"), above.path().join("a"));
        let folders = [&first, &first, &second].map(|path| PrivateFolder::make_in(path).unwrap());
        remove_folders(&folders.each_ref().map(|folder| folder.folder.clone()));
        assert_eq!(listed(above.path()), [""; 0]);
    }

    #[test]
    fn where_nothing_can_be_locked_a_folder_is_left_to_its_own_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DEAD[0]);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("no-lock"), b"").unwrap();
        drop(PrivateFolder::make_in(folder.path()).unwrap());
        assert_eq!(listed(&path), ["no-lock"]);
        let (above, directory) = (open_above(folder.path()).unwrap(), open_above(&path).unwrap());
        remove(above.as_fd(), &CString::new(DEAD[0]).unwrap(), directory.as_fd());
        assert_eq!(listed(folder.path()), [""; 0]);
    }

    #[test]
    fn depth_costs_no_file_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let private = PrivateFolder::make_in(folder.path()).unwrap();
        let deep: PathBuf = std::iter::repeat_n("d", 1900).collect();
        fs::create_dir_all(private.path().join(deep)).unwrap();
        drop(private);
        assert_eq!(listed(folder.path()), [""; 0]);
    }

    #[test]
    fn many_runs_at_once_and_hostile_neighbours_never_take_a_living_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let runs: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..60 {
                            let private = PrivateFolder::make_in(&path).unwrap();
                            let file = private.new_path();
                            fs::write(&file, b"abc").unwrap();
                            assert!(file.exists());
                        }
                    })
                })
                .collect();
            // Puts in place of what it finds: a link, a file, a FIFO.
            scope.spawn(|| {
                for number in 0u64.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = path.join(format!("{PREFIX}{:016x}", number % 40));
                    match number % 3 {
                        0 => drop(symlink("/", &name)),
                        1 => drop(fs::write(&name, b"")),
                        _ => drop(rustix::fs::mkfifoat(rustix::fs::CWD, &name, Mode::RWXU)),
                    }
                    drop(fs::remove_file(&name));
                }
            });
            for run in runs {
                run.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        // The folder itself goes only with the run that made it.
        assert!(!path.exists() || listed(&path).is_empty());
    }

    #[test]
    fn another_user_in_a_shared_folder_neither_stops_a_run_nor_leads_it_elsewhere() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root can be two users.
        }
        // Makes what looks like the folders of dead runs, and exchanges their parts for links and FIFOs while they are examined.
        const HOSTILE: &str = "while [ -e go ]; do echo >> rounds; for n in 1 2 3 4; do p=.sazare-000000000000000$n; \
            mkdir -p $p/blobs/x $p/tmp; mkfifo $p/lock || : > $p/lock; : > $p/blobs/x/y; mv $p/blobs $p/b; ln -s \"$1\" $p/blobs; \
            rm -f $p/lock; : > $p/lock; mv $p gone$n; ln -s \"$1\" $p; rm -rf $p gone$n; done; done";
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = outside.path().join("victim");
        fs::create_dir_all(victim.join("tmp/deep")).unwrap();
        fs::create_dir_all(victim.join("blobs")).unwrap();
        fs::write(victim.join("lock"), b"").unwrap();
        fs::write(victim.join("tmp/deep/precious"), b"x").unwrap();
        fs::set_permissions(&victim, PermissionsExt::from_mode(0o755)).unwrap();
        fs::set_permissions(victim.join("tmp"), PermissionsExt::from_mode(0o711)).unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o1777)).unwrap();
        fs::write(folder.path().join("go"), b"").unwrap();
        let mut hostile = std::process::Command::new("sh");
        hostile.args(["-c", HOSTILE, "sh"]).arg(&victim).current_dir(folder.path());
        std::os::unix::process::CommandExt::uid(&mut hostile, 12345);
        let mut hostile = hostile.stderr(std::process::Stdio::null()).spawn().unwrap();
        // So often, and until the other user has had some turns too: on a busy machine that is later.
        let turns = || fs::read(folder.path().join("rounds")).map_or(0, |rounds| rounds.len());
        for round in 0..40_000 {
            if round >= 400 && turns() > 10 {
                break;
            }
            // One of its own that a killed run left is removed all the same.
            let own = dead(folder.path(), &format!("{PREFIX}{round:016x}").replace("-000", "-fff"));
            fs::create_dir_all(own.join("blobs/x")).unwrap();
            let private = PrivateFolder::make_in(folder.path()).unwrap();
            fs::write(private.new_path(), b"abc").unwrap();
            assert!(!own.exists(), "round {round}");
        }
        fs::remove_file(folder.path().join("go")).unwrap();
        assert!(hostile.wait().unwrap().success());
        assert!(turns() > 10);
        assert_eq!(fs::read(victim.join("tmp/deep/precious")).unwrap(), b"x");
        assert_eq!(listed(&victim), ["blobs", "lock", "tmp"]);
        assert_eq!(fs::metadata(victim.join("tmp")).unwrap().mode() & 0o777, 0o711);
        assert!(listed(folder.path()).iter().all(|name| !name.starts_with(".sazare-fff")));
    }

    #[test]
    fn what_looks_like_a_dead_folder_of_another_user_is_left_alone() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root can make a folder of another user.
        }
        let folder = tempfile::tempdir().unwrap();
        let [own, other] = [DEAD[0], DEAD[1]].map(|name| dead(folder.path(), name));
        fs::write(other.join("file"), b"theirs").unwrap();
        std::os::unix::fs::chown(&other, Some(12345), Some(12345)).unwrap();
        drop(PrivateFolder::make_in(folder.path()).unwrap());
        assert!(!own.exists());
        assert_eq!(fs::read(other.join("file")).unwrap(), b"theirs");
    }

    /// Run by the next test in a process of its own.
    #[test]
    #[ignore = "ends its process"]
    #[expect(
        clippy::disallowed_methods,
        reason = "a process of its own, which is told where to work and ends in the middle of it"
    )]
    fn ends_while_a_folder_is_removed() {
        let private = PrivateFolder::make_in(Path::new(&std::env::var_os("FOLDER").unwrap())).unwrap();
        let files: Vec<PathBuf> = (0..5_000).map(|_| private.new_path()).collect();
        files.iter().for_each(|file| fs::write(file, "").unwrap());
        std::thread::spawn(move || drop(private));
        while files.iter().all(|file| file.exists()) {}
        remove_all();
        std::process::exit(0);
    }

    #[test]
    fn a_folder_that_is_being_removed_when_the_process_ends_goes_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "private::tests::ends_while_a_folder_is_removed", "--ignored"]);
        let child = child.env("FOLDER", folder.path()).output().unwrap();
        assert!(child.status.success(), "{child:?}");
        assert_eq!(listed(folder.path()), [""; 0]);
    }

    #[test]
    fn an_error_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a file");
        fs::write(&path, b"").unwrap();
        let error = PrivateFolder::make_in(&path).unwrap_err();
        assert!(error.to_string().contains("a file"), "{error}");
        assert_eq!(error.kind(), FailureKind::Output);
    }
}
