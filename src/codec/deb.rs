//! Debian packages: an `ar` archive whose member `data.tar*` is a root file system (deb(5)).

use std::fs::File;
use std::io::{self, Read};

use super::compress;
use super::scratch::{Scratch, ScratchError};
use super::tar::{TarError, read_tar_file};
use crate::failure::{Failure, FailureKind, passing_on};
use crate::input;
use crate::progress::{Event, Progress, Reporting, Silent};
use crate::tree::Tree;

const MAGIC: &[u8; 8] = b"!<arch>\n";

/// Why a package cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// It cannot be read, or is not a package.
    #[error("cannot read {0}: {1}")]
    Io(String, #[source] io::Error),
    /// There is no room for what is in it.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// Its `data.tar` cannot be read.
    #[error(transparent)]
    Data(TarError),
}

impl Failure for DebError {
    fn kind(&self) -> FailureKind {
        passing_on!(kind of self: DebError { Scratch, Data }
            DebError::Io(..) => FailureKind::Input,
        )
    }

    fn hint(&self) -> Option<String> {
        passing_on!(hint of self: DebError { Scratch, Data }
            DebError::Io(..) => None,
        )
    }
}

/// Whether a file begins as a package does.
///
/// # Errors
/// When it cannot be read.
pub fn is_deb(file: &File) -> io::Result<bool> {
    let mut start = [0; MAGIC.len()];
    let count = input::read_at(file, &mut start, 0)?;
    Ok(start[..count] == *MAGIC)
}

/// Reads what an open package would install. Its maintainer scripts are not run, by nature: nothing is executed here.
/// Messages call it `name`. `progress` receives the size of its data, and how much of it was read.
///
/// # Errors
/// When the file cannot be read or is not a Debian package.
pub fn read_deb(file: File, name: &str, scratch: &Scratch, progress: &dyn Progress) -> Result<Tree, DebError> {
    let fail =
        |error| ScratchError::of(error).map_or_else(|error| DebError::Io(name.to_string(), error), DebError::Scratch);
    let (member, offset, size) = data_member(&file).map_err(fail)?;
    let mut start = [0; 6];
    let count = input::read_at(&file, &mut start, offset).map_err(fail)?;
    progress.event(Event::Total(size));
    let input = io::BufReader::new(Reporting::new(Part { file: &file, at: offset, left: size }, progress));
    let mut plain = scratch.file().map_err(fail)?;
    let mut data = compress::decompressed(compress::form_of(&start[..count]), input).map_err(fail)?;
    io::copy(&mut data, &mut plain).map_err(fail)?;
    read_tar_file(plain.into_file(), &format!("{name} ({member})"), scratch, &Silent).map_err(DebError::Data)
}

/// Name, offset and size of the member that holds the files.
fn data_member(file: &File) -> io::Result<(String, u64, u64)> {
    let malformed = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_string());
    let size = file.metadata()?.len();
    let mut magic = [0; 8];
    let count = input::read_at(file, &mut magic, 0)?;
    if count < magic.len() || magic != *MAGIC {
        return Err(malformed("not a Debian package"));
    }
    let mut at = MAGIC.len() as u64;
    while at < size {
        let mut header = [0; 60];
        if input::read_at(file, &mut header, at)? < header.len() {
            return Err(malformed("the package is truncated"));
        }
        let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&header[range]).trim().to_string();
        let length: u64 = text(48..58).parse().map_err(|_| malformed("a member's size is not a number"))?;
        let body = at + 60;
        let end =
            body.checked_add(length).filter(|end| *end <= size).ok_or_else(|| malformed("the package is truncated"))?;
        let name = text(0..16).trim_end_matches('/').to_string();
        if name.starts_with("data.tar") {
            return Ok((name, body, length));
        }
        // Members start at even offsets.
        at = end + end % 2;
    }
    Err(malformed("not a Debian package: it has no member data.tar"))
}

/// A part of a file, as a stream.
struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = input::read_at(self.file, &mut buffer[..wanted], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for (name, bytes) in members {
            out.extend_from_slice(
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", bytes.len()).as_bytes(),
            );
            out.extend_from_slice(bytes);
            if bytes.len() % 2 == 1 {
                out.push(b'\n');
            }
        }
        out
    }

    /// Adds up what is reported: the size, and what was read of it.
    #[derive(Default)]
    struct Sum(std::sync::Mutex<(u64, u64)>);

    impl Progress for Sum {
        fn event(&self, event: Event) {
            let mut sum = self.0.lock().unwrap();
            match event {
                Event::Total(bytes) => sum.0 += bytes,
                Event::Bytes(bytes) => sum.1 += bytes,
                _ => {}
            }
        }
    }

    fn read(bytes: &[u8]) -> Result<Tree, String> {
        reported(bytes, &Silent)
    }

    fn reported(bytes: &[u8], progress: &dyn Progress) -> Result<Tree, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.deb");
        std::fs::write(&path, bytes).unwrap();
        let prefix = format!("{}/", folder.path().display());
        let name = path.display().to_string();
        read_deb(File::open(&path).unwrap(), &name, &Scratch::new(folder.path()), progress)
            .map_err(|error| error.to_string().replace(&prefix, ""))
    }

    #[test]
    fn the_data_of_a_package_is_its_root() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        header.set_mode(0o755);
        builder.append_data(&mut header, "./usr/bin/x", b"1".as_slice()).unwrap();
        let data = builder.into_inner().unwrap();
        let sum = Sum::default();
        let members: [(&str, &[u8]); 3] = [("debian-binary", b"2.0\n"), ("control.tar", b"odd"), ("data.tar", &data)];
        let tree = reported(&package(&members), &sum).unwrap();
        assert!(tree.get(&"/usr/bin/x".parse().unwrap()).is_some());
        assert_eq!(*sum.0.lock().unwrap(), (data.len() as u64, data.len() as u64));
    }

    #[test]
    fn what_is_no_package_is_refused_by_name() {
        assert_eq!(read(b"hello").unwrap_err(), "cannot read p.deb: not a Debian package");
        assert_eq!(
            read(&package(&[("debian-binary", b"2.0\n")])).unwrap_err(),
            "cannot read p.deb: not a Debian package: it has no member data.tar"
        );
        let cut = package(&[("data.tar", &[0; 100])]);
        assert_eq!(read(&cut[..120]).unwrap_err(), "cannot read p.deb: the package is truncated");
    }
}
