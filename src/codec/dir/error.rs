//! Why a directory cannot be read.

use std::io;
use std::path::PathBuf;

use crate::failure::{Failure, FailureKind};
use crate::path::PathError;

/// Why a directory cannot be read as a root file system.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The system refuses.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Io(PathBuf, #[source] io::Error),
    /// A directory that this user may not read, and in which a program looks for its files.
    #[error("cannot read {}: Permission denied", .0.display())]
    Closed(PathBuf),
    /// A path that no image can hold.
    #[error("cannot be in an image: {}: {}", .0.display(), .1)]
    Path(PathBuf, #[source] PathError),
    /// A name that layers reserve for whiteouts.
    #[error("names that begin with `.wh.` mean deletions in a layer: {}", .0.display())]
    WhiteoutName(PathBuf),
    /// A character device 0:0, with which overlayfs marks what is deleted.
    #[error("a character device 0:0 is a whiteout of overlayfs: {}", .0.display())]
    OverlayWhiteout(PathBuf),
}

impl Failure for DirError {
    fn kind(&self) -> FailureKind {
        FailureKind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            DirError::Io(_, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it readable for the user who builds, or exclude it with `exclude`".into())
            }
            DirError::Closed(_) => Some(
                "a program searches this directory: make it readable, or run sazare as a user who can read it".into(),
            ),
            DirError::Io(..) | DirError::Path(..) => None,
            DirError::WhiteoutName(_) => Some(
                "rename the file, or exclude it with `exclude`; to delete a path of a base image, use `type \
                      = \"remove\"`"
                    .into(),
            ),
            DirError::OverlayWhiteout(_) => {
                Some("use the merged directory of the overlay, not its upper one, or exclude it with `exclude`".into())
            }
        }
    }
}
