//! Why programs cannot be bundled.

use crate::failure::{Failure, FailureKind};
use crate::path::PathError;
use crate::platform::Platform;
use crate::recipe::RuleOrigin;
use crate::tree::{ContentError, ResolveError};

/// Why programs cannot be bundled.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A name that no directory of PATH has.
    #[error("{0}: program not found in the root's PATH: {1}")]
    NotInPath(RuleOrigin, String),
    /// A path that leads to no file.
    #[error("{0}: no such program in the root: {1}: {2}")]
    NotFound(RuleOrigin, String, #[source] ResolveError),
    /// A path that leads to something other than a regular file.
    #[error("{0}: not a program, because it is not a regular file: {1}")]
    NotAFile(RuleOrigin, String),
    /// A path that is not valid.
    #[error("{0}: {1}")]
    Path(RuleOrigin, #[source] PathError),
    /// A file cannot be read, so what the programs need is not known.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A platform whose loaders are not known.
    #[error("{0}: programs for {1} cannot be bundled: what they need is not known")]
    Platform(RuleOrigin, Platform),
    /// Several programs would be installed as one file.
    #[error("{0}: several programs would be installed as one file: {1}")]
    OneInstall(RuleOrigin, String),
}

impl Failure for BundleError {
    fn kind(&self) -> FailureKind {
        match self {
            BundleError::NotInPath(..) | BundleError::NotFound(..) | BundleError::NotAFile(..) => FailureKind::Input,
            BundleError::Path(..) | BundleError::Platform(..) | BundleError::OneInstall(..) => FailureKind::Usage,
            BundleError::Content(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            BundleError::NotInPath(..) => Some("use its path in the root".into()),
            BundleError::NotFound(..) => Some("use the path inside the root that --root selects".into()),
            BundleError::OneInstall(..) => Some("end `install-to` with `/`: then it is a directory".into()),
            BundleError::Content(error) => error.hint(),
            BundleError::NotAFile(..) | BundleError::Path(..) | BundleError::Platform(..) => None,
        }
    }
}
