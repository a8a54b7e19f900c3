//! Why a directory cannot be read.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::failure::{Failure, Kind as FailureKind};
use crate::path::PathError;

/// Why a directory cannot be read as a root file system.
#[derive(Debug)]
pub enum DirError {
    /// The system refuses.
    Io(PathBuf, io::Error),
    /// A path that no image can hold.
    Path(PathBuf, PathError),
    /// A name that layers keep for whiteouts.
    WhiteoutName(PathBuf),
    /// A character device 0:0, by which overlayfs marks what is deleted.
    OverlayWhiteout(PathBuf),
}

impl fmt::Display for DirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirError::Io(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            DirError::Path(path, error) => write!(f, "cannot be in an image: {}: {error}", path.display()),
            DirError::WhiteoutName(path) => {
                write!(f, "names that begin with `.wh.` mean deletions in a layer: {}", path.display())
            }
            DirError::OverlayWhiteout(path) => {
                write!(f, "a character device 0:0 is a deletion mark of overlayfs: {}", path.display())
            }
        }
    }
}

impl Error for DirError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DirError::Io(_, error) => Some(error),
            DirError::Path(_, error) => Some(error),
            DirError::WhiteoutName(_) | DirError::OverlayWhiteout(_) => None,
        }
    }
}

impl Failure for DirError {
    fn kind(&self) -> FailureKind {
        FailureKind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            DirError::Io(_, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it readable for the user who builds, or leave it out with `exclude`".into())
            }
            DirError::Io(..) | DirError::Path(..) => None,
            DirError::WhiteoutName(_) => {
                Some("rename the file, or leave it out with `exclude`; to delete a path of a base image, use `type = \"remove\"`".into())
            }
            DirError::OverlayWhiteout(_) => {
                Some("stage the merged directory of the overlay, not its upper one, or leave it out with `exclude`".into())
            }
        }
    }
}
