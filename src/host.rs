//! What is at a path of this machine. An error of the machine never counts as "does not exist".
//!
//! `Path::exists` and similar functions return false if a disk or a server does not respond. Here only the errors that mean "there
//! is no such file" do; every other error is returned.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::retry_on_intr;

/// What is at a path, behind links; `None` where nothing is.
///
/// # Errors
/// When the system cannot say.
pub fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a directory is at a path.
///
/// # Errors
/// When the system cannot say.
pub fn is_directory(path: &Path) -> io::Result<bool> {
    Ok(metadata(path)?.is_some_and(|metadata| metadata.is_dir()))
}

/// Whether a regular file is at a path.
///
/// # Errors
/// When the system cannot say.
pub fn is_file(path: &Path) -> io::Result<bool> {
    Ok(metadata(path)?.is_some_and(|metadata| metadata.is_file()))
}

/// The names in a directory, sorted. `std::fs::ReadDir` panics when the directory cannot be closed; this does not.
///
/// # Errors
/// When it cannot be read.
pub fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for entry in Dir::new(retry_on_intr(|| rustix::fs::open(folder, flags, Mode::empty()))?)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(OsString::from_vec(entry.file_name().to_bytes().to_vec()));
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_that_nothing_is_there_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(is_file(&file).unwrap() && !is_directory(&file).unwrap() && is_directory(folder.path()).unwrap());
        assert!(metadata(&folder.path().join("absent")).unwrap().is_none());
        assert!(metadata(&file.join("below")).unwrap().is_none());
        let long = folder.path().join("x".repeat(300));
        assert!(metadata(&long).is_err() && is_file(&long).is_err() && is_directory(&long).is_err());
        assert_eq!(names(folder.path()).unwrap(), ["file"]);
        assert!(names(&file).is_err());
    }
}
