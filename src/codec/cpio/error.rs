//! Why an initramfs cannot be read.

use std::error::Error;
use std::fmt;
use std::io;

use crate::failure::{Failure, Kind as FailureKind};
use crate::path::PathError;

/// Why an initramfs cannot be read. Each names the file.
#[derive(Debug)]
pub enum CpioReadError {
    /// It cannot be opened or read, or a compressed piece is damaged.
    Io(String, io::Error),
    /// Something in it is not what it should be; where, and what.
    Malformed(String, Spot, String),
    /// An entry has a name that no root file system can hold.
    Name(String, PathError),
    /// It begins with something else than an archive.
    NoArchive(String, &'static str),
}

/// A place in the file, or in what was unpacked from a piece of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Where the archive or the compressed piece begins in the file.
    pub piece: u64,
    /// How far behind that, after unpacking.
    pub at: u64,
    /// Whether the piece is compressed.
    pub packed: bool,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.packed {
            write!(f, "at byte {} of the data that is compressed from byte {} on", self.at, self.piece)
        } else {
            write!(f, "at byte {}", self.piece + self.at)
        }
    }
}

impl fmt::Display for CpioReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CpioReadError::Io(file, error) => write!(f, "cannot read {file}: {error}"),
            CpioReadError::Malformed(file, spot, fault) => write!(f, "cannot read {file}: {spot}: {fault}"),
            CpioReadError::Name(file, error) => write!(f, "cannot read {file}: an entry has a bad name: {error}"),
            CpioReadError::NoArchive(file, what) => write!(f, "{what}, not an initramfs: {file}"),
        }
    }
}

impl Error for CpioReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CpioReadError::Io(_, error) => Some(error),
            CpioReadError::Name(_, error) => Some(error),
            CpioReadError::Malformed(..) | CpioReadError::NoArchive(..) => None,
        }
    }
}

impl Failure for CpioReadError {
    fn kind(&self) -> FailureKind {
        FailureKind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            CpioReadError::Malformed(_, Spot { packed: true, .. }, fault) if fault.starts_with("the piece ends") => {
                Some(
                    "kernels accept only an archive that is compressed as one member: use a tool that does not \
                     make several"
                        .into(),
                )
            }
            CpioReadError::NoArchive(..) => {
                Some("kernels read newc archives, uncompressed or compressed with gzip, zstd, xz or lz4 -l".into())
            }
            CpioReadError::Io(..) | CpioReadError::Malformed(..) | CpioReadError::Name(..) => None,
        }
    }
}
