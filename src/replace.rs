//! A file or folder that gets its name only when it is complete, and then replaces the previous one.
//!
//! Links are followed here, not by the kernel, so that the target of a link is replaced, even if it does not exist yet. In a sticky
//! folder such as `/tmp`, only links that this user or the folder's owner made are followed, because another user's link would choose
//! which file is overwritten. The kernel has the same rule for opening files (`protected_symlinks`).

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::retry_on_intr;

use crate::private::{PrivateError, PrivateFolder};

/// How many links are followed at most (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// How often a file is given its name while others do the same.
const NAMINGS_MAX: usize = 100;

/// Where a path leads to, through all links. Nothing need be at its end.
///
/// # Errors
/// When links lead in a circle, or one of them was made by another user in a sticky folder.
pub fn target(path: &Path) -> io::Result<PathBuf> {
    let mut left: Vec<OsString> = parts(path);
    let mut found = if path.is_absolute() { PathBuf::from("/") } else { PathBuf::new() };
    let mut links = 0;
    while let Some(part) = left.pop() {
        let next = found.join(&part);
        match fs::symlink_metadata(&next) {
            Ok(meta) if meta.is_symlink() => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                let folder = if found.as_os_str().is_empty() { Path::new(".") } else { &found };
                if is_planted(&meta, &fs::metadata(folder)?) {
                    let text = format!("another user made this link in a shared directory: {}", next.display());
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
                }
                let link = fs::read_link(&next)?;
                if link.is_absolute() {
                    found = PathBuf::from("/");
                }
                left.extend(parts(&link));
            }
            Ok(_) | Err(_) => found = next,
        }
    }
    Ok(if found.as_os_str().is_empty() { PathBuf::from(".") } else { found })
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.map(|part| part.as_os_str().to_owned()).rev().collect()
}

/// Whether somebody else put a link into a folder where everybody may.
fn is_planted(link: &Metadata, folder: &Metadata) -> bool {
    const STICKY_AND_OPEN: u32 = 0o1002;
    let own = rustix::process::geteuid().as_raw();
    folder.mode() & STICKY_AND_OPEN == STICKY_AND_OPEN && link.uid() != own && link.uid() != folder.uid()
}

/// Gives a new file mode and owner of the regular file that it replaces.
///
/// # Errors
/// When the mode cannot be set. An owner that this user may not set stays his own, without what only the owner could do.
pub fn keep(target: &Path, new: &Path) -> io::Result<()> {
    let Ok(old) = fs::symlink_metadata(target) else { return Ok(()) };
    if !old.is_file() {
        return Ok(());
    }
    let now = fs::symlink_metadata(new)?;
    let mut mode = old.mode() & 0o777;
    if (old.uid(), old.gid()) != (now.uid(), now.gid())
        && std::os::unix::fs::lchown(new, Some(old.uid()), Some(old.gid())).is_err()
        && std::os::unix::fs::lchown(new, None, Some(old.gid())).is_err()
    {
        // What the old group could do is not for another group.
        mode &= !0o070 | (mode & 0o007) << 3;
    }
    fs::set_permissions(new, fs::Permissions::from_mode(mode))
}

/// A small file that is to be written. Dropped, it leaves what was there as it was.
pub struct NewFile(Step);

enum Step {
    /// A regular file is replaced.
    Replace(Replacement),
    /// A pipe or device is written to.
    Stream(PathBuf),
}

struct Replacement {
    /// Holds the folder, which goes with it.
    private: PrivateFolder,
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

impl NewFile {
    /// Begins a file for `place`.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn begin(place: &Path) -> Result<NewFile, PrivateError> {
        let failed = |error| PrivateError { path: place.to_path_buf(), error };
        if fs::metadata(place).is_ok_and(|meta| !meta.is_file()) {
            return Ok(NewFile(Step::Stream(place.to_path_buf())));
        }
        let target = target(place).map_err(failed)?;
        let private = PrivateFolder::make_in(folder_of(&target))?;
        let temporary = private.new_path();
        let file = File::create_new(&temporary).map_err(failed)?;
        Ok(NewFile(Step::Replace(Replacement { private, file, temporary, target })))
    }

    /// Writes the file, which then has its name.
    ///
    /// # Errors
    /// When it cannot be written. What was there before is whole.
    pub fn publish(self, bytes: &[u8]) -> io::Result<()> {
        match self.0 {
            Step::Replace(Replacement { private, mut file, temporary, target }) => {
                file.write_all(bytes)?;
                keep(&target, &temporary)?;
                file.sync_all()?;
                fs::rename(&temporary, &target)?;
                drop(private);
                Ok(())
            }
            Step::Stream(place) => File::options().write(true).open(place)?.write_all(bytes),
        }
    }
}

/// Writes a whole file, or a pipe or device.
///
/// # Errors
/// When it cannot be written. A regular file that was there before is whole then.
pub fn write(place: &Path, bytes: &[u8]) -> io::Result<()> {
    match NewFile::begin(place) {
        Ok(new) => new.publish(bytes),
        Err(error) => Err(error.error),
    }
}

/// A new file in a folder that has no name yet, so nothing is left of it when its process is killed.
///
/// # Errors
/// When the file system has no such files, or the folder cannot be written to.
pub fn nameless(folder: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)))?.into())
}

/// Gives a file without a name its name. A file of that name goes first: for a moment there is none.
///
/// # Errors
/// When it cannot have that name, or `/proc` is not mounted.
pub fn name(file: &File, path: &Path) -> io::Result<()> {
    let this = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = || retry_on_intr(|| rustix::fs::linkat(CWD, &this, CWD, path, AtFlags::SYMLINK_FOLLOW));
    for _ in 0..NAMINGS_MAX {
        match link() {
            Err(rustix::io::Errno::EXIST) => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            },
            named => return Ok(named?),
        }
    }
    // Others give it the same name all the time, so there is a file.
    Ok(())
}

/// The folder that a path is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    #[test]
    fn links_are_followed_to_where_nothing_is_yet() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("d")).unwrap();
        symlink("d/new", at("dangling")).unwrap();
        symlink(at("dangling"), at("d/absolute")).unwrap();
        symlink("../loop", at("d/loop")).unwrap();
        symlink("d/loop", at("loop")).unwrap();
        assert_eq!(target(&at("dangling")).unwrap(), at("d/new"));
        assert_eq!(target(&at("d/absolute")).unwrap(), at("d/new"));
        assert_eq!(target(Path::new("a/b")).unwrap(), Path::new("a/b"));
        assert!(target(&at("loop")).is_err());
        write(&at("dangling"), b"text").unwrap();
        assert!(at("dangling").is_symlink());
        assert_eq!(fs::read(at("d/new")).unwrap(), b"text");
    }

    #[test]
    fn a_file_without_a_name_gets_it_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let Ok(mut file) = nameless(folder.path()) else { return }; // A file system that has none.
        file.write_all(b"first").unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        name(&file, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        let mut second = nameless(folder.path()).unwrap();
        second.write_all(b"second").unwrap();
        name(&second, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        fs::create_dir(folder.path().join("directory")).unwrap();
        assert!(name(&nameless(folder.path()).unwrap(), &folder.path().join("directory")).is_err());
        assert!(nameless(&path).is_err());
    }

    #[test]
    fn mode_and_owner_of_what_is_replaced_stay_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let root = rustix::process::geteuid().is_root();
        if root {
            chown(&file, Some(12345), Some(12345)).unwrap();
        }
        let before = fs::metadata(&file).unwrap();
        write(&file, b"new").unwrap();
        let meta = fs::metadata(&file).unwrap();
        assert_eq!((meta.mode(), meta.uid(), meta.gid()), (before.mode(), before.uid(), before.gid()));
        assert_ne!(meta.ino(), before.ino(), "it was not replaced as a whole");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
        // Begun and left: nothing changed.
        drop(NewFile::begin(&file).unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn in_a_sticky_folder_the_links_of_others_are_not_followed() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root can make a link of another user.
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "old").unwrap();
        symlink("victim", at("link")).unwrap();
        std::os::unix::fs::lchown(at("link"), Some(12345), Some(12345)).unwrap();
        assert_eq!(target(&at("link")).unwrap(), at("victim"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(target(&at("link")).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(write(&at("link"), b"new").is_err());
        assert_eq!(fs::read(at("victim")).unwrap(), b"old");
        symlink("victim", at("own")).unwrap();
        assert_eq!(target(&at("own")).unwrap(), at("victim"));
    }
}
