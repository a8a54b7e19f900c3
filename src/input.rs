//! Opens and reads input files so that nothing waits forever and nothing is read endlessly.
//!
//! A FIFO in the place of a file would block `open` until somebody writes to it, and `/dev/zero` never ends. So every file that
//! sazare did not make itself is opened here, with O_NONBLOCK, and only if it is a regular file. Files that should be small are read
//! up to a limit, which the error names.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

/// The largest text file that is read: a recipe, a list of names, a baseline.
pub const TEXT_MAX: u64 = 64 << 20;

/// How a file is opened. A terminal must not become that of this process.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Opens a regular file. A link to one is followed.
///
/// # Errors
/// When it cannot be opened, or is a directory, FIFO, socket or device.
pub fn open(path: &Path) -> io::Result<File> {
    regular(path, FLAGS)
}

/// Opens a regular file, but not through a link.
///
/// # Errors
/// As [`open`], and when it is a link.
pub fn open_itself(path: &Path) -> io::Result<File> {
    regular(path, FLAGS | OFlags::NOFOLLOW)
}

/// Opens a directory.
///
/// # Errors
/// When it cannot be opened or is something else.
pub fn directory(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?.into())
}

/// Reads a whole regular file.
///
/// # Errors
/// As [`open`], and when it has more than `max` bytes.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is larger than {max} bytes")));
    }
    Ok(bytes)
}

/// Reads at a position until the buffer is full or the file ends, also if the system gives less at once or a signal interrupts it.
///
/// # Errors
/// When it cannot be read.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], offset + count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Whether an error is the machine's, and not one that a parser found in what it was given: the system refuses, or a file ended before
/// its length.
pub fn is_of_the_machine(error: &io::Error) -> bool {
    error.raw_os_error().is_some() || error.get_ref().is_some_and(|inner| inner.is::<Shortened>())
}

/// A file ended before its length.
#[derive(Debug, thiserror::Error)]
#[error("the file became shorter while it was read")]
pub struct Shortened;

/// What is not a regular file.
pub fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

fn regular(path: &Path, flags: OFlags) -> io::Result<File> {
    let file = match retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())) {
        // A socket, or a device that nothing drives.
        Err(Errno::NXIO | Errno::NODEV) => return Err(not_regular()),
        opened => opened?,
    };
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(file.into()),
        FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(not_regular()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), Mode::RWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        std::fs::write(at("file"), b"text").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("fifo", at("link to fifo")).unwrap();
        for name in ["fifo", "socket", "link to fifo"] {
            assert_eq!(open(&at(name)).unwrap_err().to_string(), "not a regular file", "{name}");
        }
        for device in ["/dev/zero", "/dev/null"] {
            assert_eq!(open(Path::new(device)).unwrap_err().to_string(), "not a regular file");
        }
        assert_eq!(open(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(open(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(read(&at("link"), 4).unwrap(), b"text");
        assert!(open_itself(&at("file")).is_ok() && open_itself(&at("link")).is_err());
        assert!(directory(folder.path()).is_ok() && directory(&at("fifo")).is_err());
    }

    #[test]
    fn what_is_read_has_a_bound_and_the_error_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().to_string(), "it is larger than 4 bytes");
    }
}
