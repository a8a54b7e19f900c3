//! Temporary files without a name: nothing to clean up, whatever happens.
//!
//! What is unpacked can be a thousand times as large as its archive. So all files of one [`Scratch`] have a limit in sum, and an
//! error while writing is distinguished from one of the input that is read: [`ScratchError`] names the folder.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;

use crate::failure::{Failure, FailureKind};

/// How much is unpacked at most unless the caller says otherwise, in bytes.
pub const SCRATCH_MAX: u64 = 64_000_000_000;

/// A temporary file cannot be made or written.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// The system refuses.
    #[error("cannot write temporary files in {}: {error}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// More is unpacked than may be.
    #[error("the input needs more than {limit} bytes of temporary files in {}", folder.display())]
    Limit {
        /// The folder.
        folder: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
}

impl Failure for ScratchError {
    fn kind(&self) -> FailureKind {
        match self {
            ScratchError::Io { .. } => FailureKind::Output,
            ScratchError::Limit { .. } => FailureKind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            ScratchError::Io { error, .. } => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space there; if TMPDIR selects it, set TMPDIR to another directory"
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotFound => {
                    "make it writable; if TMPDIR selects it, set TMPDIR to another directory"
                }
                _ => return None,
            },
            ScratchError::Limit { .. } => "if the input is trusted, raise the limit with --temporary-size",
        };
        Some(text.into())
    }
}

impl ScratchError {
    /// The error of a temporary file that came out of a writer as an `io::Error`; any other comes back.
    ///
    /// # Errors
    /// With the other error.
    pub fn of(error: io::Error) -> Result<ScratchError, io::Error> {
        error.downcast::<ScratchError>()
    }
}

/// The folder in which temporary files may lie. The caller names it: beside the output, where there is room.
#[derive(Clone, Debug)]
pub struct Scratch {
    space: Arc<Space>,
}

/// What the files of one folder share.
#[derive(Debug)]
struct Space {
    folder: PathBuf,
    next: AtomicU64,
    used: AtomicU64,
    limit: u64,
}

impl Space {
    /// Takes so many bytes of what is left.
    fn take(&self, count: u64) -> io::Result<()> {
        if self.used.fetch_add(count, Ordering::Relaxed).saturating_add(count) <= self.limit {
            return Ok(());
        }
        let error = ScratchError::Limit { folder: self.folder.clone(), limit: self.limit };
        Err(io::Error::new(io::ErrorKind::FileTooLarge, error))
    }

    fn failed(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        io::Error::new(kind, ScratchError::Io { folder: self.folder.clone(), error })
    }
}

impl Scratch {
    /// Temporary files are to lie in `folder`, which must exist, with at most [`SCRATCH_MAX`] bytes in sum.
    pub fn new(folder: impl Into<PathBuf>) -> Scratch {
        Scratch::with_limit(folder, SCRATCH_MAX)
    }

    /// As [`Scratch::new`], with at most `limit` bytes in sum.
    pub fn with_limit(folder: impl Into<PathBuf>, limit: u64) -> Scratch {
        let space = Space { folder: folder.into(), next: AtomicU64::new(0), used: AtomicU64::new(0), limit };
        Scratch { space: Arc::new(space) }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.space.folder
    }

    /// A new file for reading and writing that vanishes when it is closed. Its name is taken away at once, so that a
    /// killed program leaves nothing behind. (`O_TMPFILE` would do without a name, but some file systems lack it.)
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn file(&self) -> io::Result<ScratchFile> {
        let failed = |error| self.space.failed(error);
        loop {
            let number = self.space.next.fetch_add(1, Ordering::Relaxed);
            let path = self.folder().join(format!(".scratch-{}-{number}", std::process::id()));
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match retry_on_intr(|| rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)) {
                Ok(file) => {
                    std::fs::remove_file(&path).map_err(failed)?;
                    return Ok(ScratchFile { file: File::from(file), space: self.space.clone() });
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }
}

/// A temporary file that is being written. Its errors are [`ScratchError`]s.
#[derive(Debug)]
pub struct ScratchFile {
    file: File,
    space: Arc<Space>,
}

impl ScratchFile {
    /// The file, to be read.
    pub fn into_file(self) -> File {
        self.file
    }

    /// The file, to be read while it is written.
    ///
    /// # Errors
    /// When this process may have no more open files.
    pub fn reader(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Write for ScratchFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.space.take(bytes.len() as u64)?;
        self.file.write(bytes).map_err(|error| self.space.failed(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_file_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path());
        let files = [scratch.file().unwrap(), scratch.file().unwrap()];
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{files:?}");
    }

    #[test]
    fn files_share_a_limit_and_their_errors_name_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::with_limit(folder.path(), 10);
        let mut files = [scratch.file().unwrap(), scratch.file().unwrap()];
        files[0].write_all(&[0; 6]).unwrap();
        files[1].write_all(&[0; 4]).unwrap();
        let error = io::copy(&mut [0; 1].as_slice(), &mut files[0]).unwrap_err();
        let error = ScratchError::of(error).unwrap();
        assert_eq!(error.kind(), FailureKind::Input);
        assert!(error.to_string().starts_with("the input needs more than 10 bytes"), "{error}");

        let full = Scratch::new(folder.path());
        let mut file = full.file().unwrap();
        file.file = File::options().write(true).open("/dev/full").unwrap();
        let error = ScratchError::of(file.write_all(b"x").unwrap_err()).unwrap();
        assert_eq!(error.kind(), FailureKind::Output);
        assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
        assert!(error.hint().unwrap().contains("TMPDIR"));
        let gone = ScratchError::of(Scratch::new(folder.path().join("none")).file().unwrap_err()).unwrap();
        assert_eq!(gone.kind(), FailureKind::Output);
        assert!(ScratchError::of(io::Error::other("of the input")).is_err());
    }
}
