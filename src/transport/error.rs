//! Why an image cannot be read from a place or written to it.

use std::io;
use std::path::PathBuf;

use super::place::PlaceError;
use crate::codec::ScratchError;
use crate::codec::cpio::{CpioError, CpioReadError};
use crate::codec::dir::DirError;
use crate::codec::tar::TarError;
use crate::failure::{Failure, FailureKind, passing_on};
use crate::image::StoreError;
#[cfg(feature = "registry")]
use crate::registry::RegistryError;
use crate::tree::ContentError;

/// Why an image cannot be read from a place or written to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A text that is not a place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A blob.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A temporary file.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// A root file system as a folder.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A root file system in a tar.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// An initramfs that cannot be read.
    #[error(transparent)]
    CpioRead(CpioReadError),
    /// A tree that cannot be an initramfs.
    #[error(transparent)]
    Cpio(CpioError),
    /// A file or folder of the output cannot be written.
    #[error("cannot write {}: {}", .0.display(), .1)]
    Write(PathBuf, #[source] io::Error),
    /// A file or folder of the input cannot be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Read(PathBuf, #[source] io::Error),
    /// An input is there and is not what it should be.
    #[error("{place}: {fault}")]
    Malformed {
        /// The layout or archive.
        place: String,
        /// What is wrong with it.
        fault: String,
    },
    /// No image of that name is there.
    #[error("{place} has no image {wanted:?}; it has {}", list(.known))]
    NoSuchImage {
        /// The layout or archive.
        place: String,
        /// The name that was asked for.
        wanted: String,
        /// The names that are there.
        known: Vec<String>,
    },
    /// Several images are there and none was named.
    #[error("{place} has several images, and none was selected: {}", list(.known))]
    Several {
        /// The layout or archive.
        place: String,
        /// The names that are there.
        known: Vec<String>,
    },
    /// The contents of a file cannot be read.
    #[error(transparent)]
    Content(ContentError),
    /// A folder that holds something else than a layout.
    #[error("the directory is not empty and not an image layout: {}", .0.display())]
    Occupied(PathBuf),
    /// A folder that should be empty and is not.
    #[error("the directory is not empty: {}", .0.display())]
    NotEmpty(PathBuf),
    /// A layout that is there and cannot be added to.
    #[error("cannot add to {}: {fault}", .path.display())]
    Layout {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// An impossible combination was asked for.
    #[error("{0}")]
    Usage(String),
    /// A registry does not have what it is asked for, or does not give it.
    #[cfg(feature = "registry")]
    #[error(transparent)]
    Pull(#[from] RegistryError),
    /// Who called has no registries to open it with, or they are not part of this build.
    #[error("no access to registries: {0}")]
    NoRegistries(String),
    /// A registry does not take what is sent to it.
    #[cfg(feature = "registry")]
    #[error(transparent)]
    Push(RegistryError),
}

/// Names for a sentence: `a, b and 3 more`.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) if names.is_empty() => "no image at all".to_string(),
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

impl Failure for TransportError {
    fn kind(&self) -> FailureKind {
        passing_on!(kind of self: TransportError { Place, Store, Scratch, Dir, Tar, CpioRead, Cpio, Content }
            TransportError::Write(..)
            | TransportError::Occupied(_)
            | TransportError::NotEmpty(_)
            | TransportError::Layout { .. } => FailureKind::Output,
            TransportError::Read(..)
            | TransportError::Malformed { .. }
            | TransportError::NoSuchImage { .. }
            | TransportError::Several { .. } => FailureKind::Input,
            TransportError::Usage(_) | TransportError::NoRegistries(_) => FailureKind::Usage,
            #[cfg(feature = "registry")]
            TransportError::Pull(error) => error.kind(),
            #[cfg(feature = "registry")]
            TransportError::Push(_) => FailureKind::Output,
        )
    }

    fn hint(&self) -> Option<String> {
        passing_on!(hint of self: TransportError { Place, Store, Scratch, Dir, Tar, CpioRead, Cpio, Content }
            TransportError::Write(path, error) => {
                // The same hint for the same error, wherever it was met.
                let error = io::Error::new(error.kind(), error.to_string());
                StoreError::Write { path: path.clone(), error }.hint()
            }
            TransportError::NoSuchImage { known, .. } if known.is_empty() => None,
            TransportError::NoSuchImage { .. } | TransportError::Several { .. } => {
                Some("select one of them after a colon, e.g. oci:DIR:TAG".into())
            }
            TransportError::Occupied(_) | TransportError::NotEmpty(_) => {
                Some("use another directory, or empty this one".into())
            }
            TransportError::Layout { .. } => Some("write to a new directory, or repair this layout".into()),
            TransportError::NoRegistries(_) => Some("this build of sazare or its caller cannot speak to registries".into()),
            #[cfg(feature = "registry")]
            TransportError::Pull(error) | TransportError::Push(error) => error.hint(),
            TransportError::Read(..) | TransportError::Malformed { .. } | TransportError::Usage(_) => None,
        )
    }
}
