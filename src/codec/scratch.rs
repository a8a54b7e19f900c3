//! Temporary files without a name: nothing to clean up, whatever happens.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};

/// The folder in which temporary files may lie. The caller names it: beside the output, where there is room.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    next: AtomicU64,
}

impl Scratch {
    /// Temporary files are to lie in `folder`, which must exist.
    pub fn new(folder: impl Into<PathBuf>) -> Scratch {
        Scratch { folder: folder.into(), next: AtomicU64::new(0) }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new file for reading and writing that vanishes when it is closed. Its name is taken away at once, so that a
    /// killed program leaves nothing behind. (`O_TMPFILE` would do without a name, but some file systems lack it.)
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn file(&self) -> io::Result<File> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.join(format!(".scratch-{}-{number}", std::process::id()));
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => {
                    std::fs::remove_file(&path)?;
                    return Ok(File::from(file));
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
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
}
