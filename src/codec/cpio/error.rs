//! Why an initramfs cannot be read.

use std::fmt;
use std::io;

use crate::codec::scratch::ScratchError;
use crate::failure::{Failure, FailureKind};
use crate::path::PathError;

/// Why an initramfs cannot be read. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum CpioReadError {
    /// It cannot be opened or read, or a compressed piece is damaged.
    #[error("cannot read {0}: {1}")]
    Io(String, #[source] io::Error),
    /// There is no room for what is in it.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// Something in it is not what it should be; where, and what.
    #[error("cannot read {0}: {1}: {2}")]
    Malformed(String, Spot, String),
    /// An entry has a name that no root file system can hold.
    #[error("cannot read {0}: an entry has a bad name: {1}")]
    Name(String, #[source] PathError),
    /// It begins with something else than an archive.
    #[error("{1}, not an initramfs: {0}")]
    NoArchive(String, &'static str),
}

impl CpioReadError {
    /// An error of the file called `name`, or of the temporary file that it is unpacked to.
    pub(super) fn io(name: &str, error: io::Error) -> CpioReadError {
        ScratchError::of(error).map_or_else(|error| CpioReadError::Io(name.to_string(), error), CpioReadError::Scratch)
    }
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

impl Failure for CpioReadError {
    fn kind(&self) -> FailureKind {
        match self {
            CpioReadError::Scratch(error) => error.kind(),
            CpioReadError::Io(..)
            | CpioReadError::Malformed(..)
            | CpioReadError::Name(..)
            | CpioReadError::NoArchive(..) => FailureKind::Input,
        }
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
            CpioReadError::Scratch(error) => error.hint(),
            CpioReadError::NoArchive(..) => {
                Some("kernels read newc archives, uncompressed or compressed with gzip, bzip2, lzma, xz, lzop, zstd or lz4 -l".into())
            }
            CpioReadError::Io(..) | CpioReadError::Malformed(..) | CpioReadError::Name(..) => None,
        }
    }
}
