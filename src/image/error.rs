//! Why a blob cannot be read or written.

use std::io;
use std::path::{Path, PathBuf};

use crate::codec::ScratchError;
use crate::failure::{Failure, FailureKind};
use crate::oci;
use crate::private::PrivateError;

/// Why a blob cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A private folder cannot be made.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// A file or folder of the output cannot be made.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// A blob is there and cannot be read, or is not what its descriptor promises.
    #[error("cannot read {what}: {error}")]
    Read {
        /// The blob, and where it is.
        what: String,
        /// What the system or the check says.
        #[source]
        error: io::Error,
    },
    /// A blob that a document names is not there.
    #[error("{place} does not contain the blob {blob}")]
    Missing {
        /// Its digest.
        blob: String,
        /// The layout or archive.
        place: String,
    },
    /// A temporary file.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// A digest that cannot be checked.
    #[error("{0}")]
    Descriptor(String),
    /// A document that is too large to be one.
    #[error("a document of {size} bytes is larger than registries accept ({} bytes): {blob}", oci::DOCUMENT_MAX)]
    TooLarge {
        /// Its digest.
        blob: String,
        /// The size that its descriptor promises, in bytes.
        size: u64,
    },
}

impl StoreError {
    /// The error behind an `io::Error` that came out of a `BlobWriter`, and any other as one about `path`.
    pub fn from_write(path: &Path, error: io::Error) -> StoreError {
        match error.downcast::<StoreError>() {
            Ok(error) => error,
            Err(error) => StoreError::Write { path: path.to_path_buf(), error },
        }
    }
}

impl Failure for StoreError {
    fn kind(&self) -> FailureKind {
        match self {
            StoreError::Private(error) => error.kind(),
            StoreError::Scratch(error) => error.kind(),
            StoreError::Write { .. } => FailureKind::Output,
            StoreError::Read { .. }
            | StoreError::Missing { .. }
            | StoreError::Descriptor(_)
            | StoreError::TooLarge { .. } => FailureKind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            StoreError::Private(error) => return error.hint(),
            StoreError::Scratch(error) => return error.hint(),
            StoreError::Write { error, .. } => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space there, or write to another file system; the previous output is untouched"
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "temporary files are written next to the output, so that directory must be writable"
                }
                _ => return None,
            },
            StoreError::Read { error, .. } if error.kind() == io::ErrorKind::InvalidData => {
                "the blob is damaged: download the image again"
            }
            StoreError::Missing { .. } => {
                "the copy is incomplete: download the image again, with all of its \
                                         platforms"
            }
            StoreError::Read { .. } | StoreError::Descriptor(_) | StoreError::TooLarge { .. } => return None,
        };
        Some(text.to_string())
    }
}
