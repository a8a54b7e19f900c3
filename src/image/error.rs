//! Why a blob cannot be read or written.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Kind};
use crate::oci;

/// Why a blob cannot be read or written.
#[derive(Debug)]
pub enum StoreError {
    /// A file or folder of the output cannot be made.
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A blob is there and cannot be read, or is not what its descriptor promises.
    Read {
        /// The blob, and where it lies.
        what: String,
        /// What the system or the proof says.
        error: io::Error,
    },
    /// A blob that a document names is not there.
    Missing {
        /// Its digest.
        blob: String,
        /// The layout or archive.
        place: String,
    },
    /// A digest that cannot be checked.
    Descriptor(String),
    /// A document that is too large to be one.
    TooLarge {
        /// Its digest.
        blob: String,
        /// The size that its descriptor promises, in bytes.
        size: u64,
    },
}

impl StoreError {
    /// The error behind an `io::Error` that came out of a [`BlobWriter`](super::BlobWriter), and any other as one about `path`.
    pub fn from_write(path: &Path, error: io::Error) -> StoreError {
        match error.downcast::<StoreError>() {
            Ok(error) => error,
            Err(error) => StoreError::Write { path: path.to_path_buf(), error },
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Write { path, error } => write!(f, "cannot write {}: {error}", path.display()),
            StoreError::Read { what, error } => write!(f, "cannot read {what}: {error}"),
            StoreError::Missing { blob, place } => write!(f, "{place} does not hold the blob {blob}"),
            StoreError::Descriptor(text) => f.write_str(text),
            StoreError::TooLarge { blob, size } => write!(
                f,
                "a document of {size} bytes is larger than any registry takes ({} bytes): {blob}",
                oci::DOCUMENT_MAX
            ),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StoreError::Write { error, .. } | StoreError::Read { error, .. } => Some(error),
            StoreError::Missing { .. } | StoreError::Descriptor(_) | StoreError::TooLarge { .. } => None,
        }
    }
}

impl Failure for StoreError {
    fn kind(&self) -> Kind {
        match self {
            StoreError::Write { .. } => Kind::Output,
            StoreError::Read { .. }
            | StoreError::Missing { .. }
            | StoreError::Descriptor(_)
            | StoreError::TooLarge { .. } => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            StoreError::Write { error, .. } => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space there, or write to another file system; what was there before is untouched"
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "the output is staged in its own folder, so that folder must be writable"
                }
                _ => return None,
            },
            StoreError::Read { error, .. } if error.kind() == io::ErrorKind::InvalidData => {
                "the blob is damaged: fetch the image again"
            }
            StoreError::Missing { .. } => "the copy is incomplete: fetch the image again, with all of its platforms",
            StoreError::Read { .. } | StoreError::Descriptor(_) | StoreError::TooLarge { .. } => return None,
        };
        Some(text.to_string())
    }
}
