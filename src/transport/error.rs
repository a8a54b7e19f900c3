//! Why an image cannot be taken from a place or brought to it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::place::PlaceError;
use crate::codec::cpio::{CpioError, CpioReadError};
use crate::codec::dir::DirError;
use crate::codec::tar::TarError;
use crate::failure::{Failure, Kind};
use crate::image::StoreError;
use crate::tree::ContentError;

/// Why an image cannot be taken from a place or brought to it.
#[derive(Debug)]
pub enum TransportError {
    /// A text that names no place.
    Place(PlaceError),
    /// A blob.
    Store(StoreError),
    /// A root file system as a folder.
    Dir(DirError),
    /// A root file system in a tar.
    Tar(TarError),
    /// An initramfs that cannot be read.
    CpioRead(CpioReadError),
    /// A tree that cannot be an initramfs.
    Cpio(CpioError),
    /// A file or folder of the output cannot be written.
    Write(PathBuf, io::Error),
    /// A file or folder of the input cannot be read.
    Read(PathBuf, io::Error),
    /// An input is there and is not what it should be.
    Malformed {
        /// The layout or archive.
        place: String,
        /// What is wrong with it.
        fault: String,
    },
    /// No image of that name is there.
    NoSuchImage {
        /// The layout or archive.
        place: String,
        /// The name that was asked for.
        wanted: String,
        /// The names that are there.
        known: Vec<String>,
    },
    /// Several images are there and none was named.
    Several {
        /// The layout or archive.
        place: String,
        /// The names that are there.
        known: Vec<String>,
    },
    /// The contents of a file cannot be read.
    Content(ContentError),
    /// A folder that holds something else than a layout.
    Occupied(PathBuf),
    /// A folder that should be empty and is not.
    NotEmpty(PathBuf),
    /// A layout that is there and cannot be added to.
    Layout {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// What was asked for cannot be meant.
    Usage(String),
    /// Registries.
    Registry(String),
}

impl From<PlaceError> for TransportError {
    fn from(error: PlaceError) -> TransportError {
        TransportError::Place(error)
    }
}

impl From<DirError> for TransportError {
    fn from(error: DirError) -> TransportError {
        TransportError::Dir(error)
    }
}

impl From<TarError> for TransportError {
    fn from(error: TarError) -> TransportError {
        TransportError::Tar(error)
    }
}

impl From<StoreError> for TransportError {
    fn from(error: StoreError) -> TransportError {
        TransportError::Store(error)
    }
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

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransportError::Place(error) => error.fmt(f),
            TransportError::Store(error) => error.fmt(f),
            TransportError::Dir(error) => error.fmt(f),
            TransportError::Tar(error) => error.fmt(f),
            TransportError::CpioRead(error) => error.fmt(f),
            TransportError::Cpio(error) => error.fmt(f),
            TransportError::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            TransportError::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            TransportError::Malformed { place, fault } => write!(f, "{place}: {fault}"),
            TransportError::NoSuchImage { place, wanted, known } => {
                write!(f, "{place} contains no image {wanted:?}; it contains {}", list(known))
            }
            TransportError::Several { place, known } => {
                write!(f, "{place} contains several images; name one of them: {}", list(known))
            }
            TransportError::Occupied(path) => {
                write!(f, "the directory is neither empty nor an image layout: {}", path.display())
            }
            TransportError::Content(error) => error.fmt(f),
            TransportError::NotEmpty(path) => write!(f, "the directory is not empty: {}", path.display()),
            TransportError::Layout { path, fault } => write!(f, "cannot add to {}: {fault}", path.display()),
            TransportError::Usage(text) => f.write_str(text),
            TransportError::Registry(reference) => write!(f, "registries are not supported yet: docker://{reference}"),
        }
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TransportError::Place(error) => Some(error),
            TransportError::Store(error) => Some(error),
            TransportError::Dir(error) => Some(error),
            TransportError::Tar(error) => Some(error),
            TransportError::CpioRead(error) => Some(error),
            TransportError::Cpio(error) => Some(error),
            TransportError::Content(error) => Some(error),
            TransportError::Write(_, error) | TransportError::Read(_, error) => Some(error),
            TransportError::Malformed { .. }
            | TransportError::NoSuchImage { .. }
            | TransportError::Several { .. }
            | TransportError::Occupied(_)
            | TransportError::NotEmpty(_)
            | TransportError::Layout { .. }
            | TransportError::Usage(_)
            | TransportError::Registry(_) => None,
        }
    }
}

impl Failure for TransportError {
    fn kind(&self) -> Kind {
        match self {
            TransportError::Place(error) => error.kind(),
            TransportError::Store(error) => error.kind(),
            TransportError::Dir(error) => error.kind(),
            TransportError::Tar(error) => error.kind(),
            TransportError::CpioRead(error) => error.kind(),
            TransportError::Cpio(error) => error.kind(),
            TransportError::Content(error) => error.kind(),
            TransportError::Write(..)
            | TransportError::Occupied(_)
            | TransportError::NotEmpty(_)
            | TransportError::Layout { .. } => Kind::Output,
            TransportError::Read(..)
            | TransportError::Malformed { .. }
            | TransportError::NoSuchImage { .. }
            | TransportError::Several { .. } => Kind::Input,
            TransportError::Usage(_) | TransportError::Registry(_) => Kind::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            TransportError::Place(error) => return error.hint(),
            TransportError::Store(error) => return error.hint(),
            TransportError::Dir(error) => return error.hint(),
            TransportError::Tar(error) => return error.hint(),
            TransportError::CpioRead(error) => return error.hint(),
            TransportError::Cpio(error) => return error.hint(),
            TransportError::Content(error) => return error.hint(),
            TransportError::Write(path, error) => {
                // The same words for the same trouble, whoever met it.
                let error = io::Error::new(error.kind(), error.to_string());
                return StoreError::Write { path: path.clone(), error }.hint();
            }
            TransportError::NoSuchImage { known, .. } if known.is_empty() => return None,
            TransportError::NoSuchImage { .. } | TransportError::Several { .. } => {
                "add its tag after a colon, such as oci:DIR:TAG".into()
            }
            TransportError::Occupied(_) | TransportError::NotEmpty(_) => {
                "use another directory, or empty this one".into()
            }
            TransportError::Layout { .. } => "write to a new directory, or repair this layout".into(),
            TransportError::Registry(reference) => format!(
                "use a layout: `skopeo copy --all oci:DIR:TAG docker://{reference}` pushes; with the arguments \
                 swapped it pulls"
            ),
            TransportError::Read(..) | TransportError::Malformed { .. } | TransportError::Usage(_) => return None,
        })
    }
}
