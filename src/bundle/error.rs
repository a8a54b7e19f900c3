//! Why programs cannot be bundled.

use std::error::Error;
use std::fmt;

use crate::failure::{Failure, Kind};
use crate::path::PathError;
use crate::recipe::Origin;
use crate::tree::ResolveError;

/// Why programs cannot be bundled.
#[derive(Debug)]
pub enum BundleError {
    /// A name that no directory of PATH has.
    NotInPath(Origin, String),
    /// A path that leads to no file.
    NotFound(Origin, String, ResolveError),
    /// A path that leads to something that is no regular file.
    NotAFile(Origin, String),
    /// A path that none is.
    Path(Origin, PathError),
    /// Several programs would be installed as one file.
    OneInstall(Origin, String),
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BundleError::NotInPath(origin, name) => {
                write!(f, "{origin}: no directory of the root's PATH has such a program: {name}")
            }
            BundleError::NotFound(origin, path, error) => {
                write!(f, "{origin}: no such program in the root: {path}: {error}")
            }
            BundleError::NotAFile(origin, path) => write!(f, "{origin}: no regular file, so no program: {path}"),
            BundleError::Path(origin, error) => write!(f, "{origin}: {error}"),
            BundleError::OneInstall(origin, path) => {
                write!(f, "{origin}: several programs would be installed as one file: {path}")
            }
        }
    }
}

impl Error for BundleError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            BundleError::NotFound(_, _, error) => Some(error),
            BundleError::Path(_, error) => Some(error),
            BundleError::NotInPath(..) | BundleError::NotAFile(..) | BundleError::OneInstall(..) => None,
        }
    }
}

impl Failure for BundleError {
    fn kind(&self) -> Kind {
        match self {
            BundleError::NotInPath(..) | BundleError::NotFound(..) | BundleError::NotAFile(..) => Kind::Input,
            BundleError::Path(..) | BundleError::OneInstall(..) => Kind::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            BundleError::NotInPath(..) => Some("name it by its path in the root".into()),
            BundleError::NotFound(..) => Some("paths are those inside the root; `--root` names it".into()),
            BundleError::OneInstall(..) => Some("end `install-to` with `/`: then it is a directory".into()),
            BundleError::NotAFile(..) | BundleError::Path(..) => None,
        }
    }
}
