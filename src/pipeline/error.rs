//! Why a trip ended early.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::bundle::BundleError;
use crate::bundle::trace::TraceError;
use crate::codec::dir::DirError;
use crate::failure::{Failure, Kind};
use crate::image::{FlattenError, LayerError, StoreError};
use crate::path::ImagePath;
use crate::stage::StageError;
use crate::transport::TransportError;
use crate::trial::TrialError;

/// Why a trip ended early.
#[derive(Debug)]
pub enum BuildError {
    /// Staging failed.
    Stage(StageError),
    /// A layer cannot be made.
    Layer(LayerError),
    /// A blob cannot be kept.
    Store(StoreError),
    /// An image cannot be merged.
    Flatten(FlattenError),
    /// A place cannot be opened or written.
    Transport(TransportError),
    /// One of several places cannot be written to, and others were written by then.
    Unfinished {
        /// Why.
        error: Box<TransportError>,
        /// The places that were written.
        written: Vec<String>,
    },
    /// An output lies in a source.
    OutputInSource(PathBuf, PathBuf),
    /// A place that should hold an image does not.
    NoImage(String),
    /// An image does not have the platform.
    NoPlatform {
        /// Where the image is.
        place: String,
        /// What was wanted.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// The archives of several platforms would go into one file.
    OneArchive(PathBuf),
    /// A program is not in its root.
    NoProgram(ImagePath),
    /// Programs cannot be bundled.
    Bundle(BundleError),
    /// A program cannot be traced.
    Trace(TraceError),
    /// A root cannot be read.
    Dir(DirError),
    /// A command cannot be tried.
    Trial(TrialError),
    /// An image is for a platform whose loaders we do not know.
    UnknownPlatform(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Stage(error) => error.fmt(f),
            BuildError::Layer(error) => error.fmt(f),
            BuildError::Store(error) => error.fmt(f),
            BuildError::Flatten(error) => error.fmt(f),
            BuildError::Transport(error) => error.fmt(f),
            BuildError::Unfinished { error, written } => {
                write!(f, "{error}; these places were written before: {}", written.join(", "))
            }
            BuildError::OutputInSource(output, source) => {
                write!(f, "the output {} is inside the source {}", output.display(), source.display())
            }
            BuildError::NoImage(place) => write!(f, "no image found: {place}"),
            BuildError::NoPlatform { place, wanted, found } => {
                write!(f, "{place} has no image for {wanted}, only for {found}")
            }
            BuildError::NoProgram(path) => write!(f, "program not found: {path}"),
            BuildError::Bundle(error) => error.fmt(f),
            BuildError::Trace(error) => error.fmt(f),
            BuildError::Dir(error) => error.fmt(f),
            BuildError::Trial(error) => error.fmt(f),
            BuildError::OneArchive(file) => {
                write!(f, "{} can contain only one platform, but there are several", file.display())
            }
            BuildError::UnknownPlatform(platform) => {
                write!(f, "sazare does not know the loaders of this platform: {platform}")
            }
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner().and_then(|inner| inner.source())
    }
}

impl BuildError {
    /// The error of the room that it comes from.
    fn inner(&self) -> Option<&dyn Failure> {
        match self {
            BuildError::Stage(error) => Some(error),
            BuildError::Layer(error) => Some(error),
            BuildError::Store(error) => Some(error),
            BuildError::Flatten(error) => Some(error),
            BuildError::Transport(error) => Some(error),
            BuildError::Unfinished { error, .. } => Some(&**error),
            BuildError::Bundle(error) => Some(error),
            BuildError::Trace(error) => Some(error),
            BuildError::Dir(error) => Some(error),
            BuildError::Trial(error) => Some(error),
            BuildError::OutputInSource(..)
            | BuildError::OneArchive(_)
            | BuildError::NoProgram(_)
            | BuildError::NoImage(_)
            | BuildError::NoPlatform { .. }
            | BuildError::UnknownPlatform(_) => None,
        }
    }
}

impl Failure for BuildError {
    fn kind(&self) -> Kind {
        match self {
            BuildError::OutputInSource(..) | BuildError::OneArchive(_) => Kind::Usage,
            other => other.inner().map_or(Kind::Input, Failure::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            BuildError::OutputInSource(..) => {
                Some("write it to another directory: it would become a part of the image".into())
            }
            BuildError::OneArchive(file) => {
                let (stem, rest) = split_name(file);
                Some(format!(
                    "write one for each, such as -o cpio:{stem}-{{arch}}{rest}, or select one with \
                              --platform"
                ))
            }
            other => other.inner().and_then(Failure::hint),
        }
    }
}

/// A file's path up to its endings, and those: `dir/a` and `.cpio.gz`.
fn split_name(file: &Path) -> (String, String) {
    let text = file.display().to_string();
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let at = text.len() - name.len() + name.find('.').unwrap_or(name.len());
    match (text.get(..at), text.get(at..)) {
        (Some(stem), Some(rest)) => (stem.to_string(), rest.to_string()),
        _ => (text, String::new()),
    }
}

impl From<StageError> for BuildError {
    fn from(error: StageError) -> BuildError {
        BuildError::Stage(error)
    }
}

impl From<BundleError> for BuildError {
    fn from(error: BundleError) -> BuildError {
        BuildError::Bundle(error)
    }
}

impl From<TraceError> for BuildError {
    fn from(error: TraceError) -> BuildError {
        BuildError::Trace(error)
    }
}

impl From<LayerError> for BuildError {
    fn from(error: LayerError) -> BuildError {
        BuildError::Layer(error)
    }
}

impl From<StoreError> for BuildError {
    fn from(error: StoreError) -> BuildError {
        BuildError::Store(error)
    }
}

impl From<FlattenError> for BuildError {
    fn from(error: FlattenError) -> BuildError {
        BuildError::Flatten(error)
    }
}

impl From<TransportError> for BuildError {
    fn from(error: TransportError) -> BuildError {
        BuildError::Transport(error)
    }
}

impl From<DirError> for BuildError {
    fn from(error: DirError) -> BuildError {
        BuildError::Dir(error)
    }
}

impl From<TrialError> for BuildError {
    fn from(error: TrialError) -> BuildError {
        BuildError::Trial(error)
    }
}
