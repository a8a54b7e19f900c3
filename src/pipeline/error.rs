//! Why the work ended early.

use std::path::{Path, PathBuf};

use crate::bundle::BundleError;
use crate::bundle::trace::TraceError;
use crate::codec::dir::DirError;
use crate::failure::{Failure, FailureKind, passing_on};
use crate::image::{FlattenError, LayerError, StoreError};
use crate::path::ImagePath;
use crate::platform::{ImagePlatform, Platform};
use crate::stage::StageError;
use crate::transport::TransportError;
use crate::tree::ContentError;
use crate::trial::TrialError;

/// Why the work ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Staging failed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// A layer cannot be made.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A blob cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An image cannot be merged.
    #[error(transparent)]
    Flatten(#[from] FlattenError),
    /// A place cannot be opened or written.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// One of several places cannot be written to, and others were written by then.
    #[error("{error}; these places were already written: {}", .written.join(", "))]
    Unfinished {
        /// Why.
        #[source]
        error: Box<TransportError>,
        /// The places that were written.
        written: Vec<String>,
    },
    /// An output lies in a source.
    #[error("the output {} is inside the source {}", .0.display(), .1.display())]
    OutputInSource(PathBuf, PathBuf),
    /// A place that should hold an image does not.
    #[error("not an image: {0}")]
    NoImage(String),
    /// An image does not have the platform.
    #[error("{place} has no image for {}, only for {}", list(.wanted), list(.found))]
    NoPlatform {
        /// Where the image is.
        place: String,
        /// What was wanted.
        wanted: Vec<Platform>,
        /// What is there.
        found: Vec<ImagePlatform>,
    },
    /// Two images that are put together are for the same platform.
    #[error("two images for {platform}: {} and {}", .places[0], .places[1])]
    TwoImages {
        /// The platform.
        platform: ImagePlatform,
        /// The places.
        places: [String; 2],
    },
    /// Several outputs would go into one file or folder.
    #[error("several platforms would be written to {}", .0.display())]
    OneArchive(PathBuf),
    /// A program is not in its root.
    #[error("program not found: {0}")]
    NoProgram(ImagePath),
    /// Programs cannot be bundled.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A program cannot be traced.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A root cannot be read.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A file of a tree cannot be read, so what would start is not known.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A command cannot be tried.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The programs of a root are for several platforms, or there are none.
    #[error("{}", disagreement(.place, .found))]
    NoAgreement {
        /// Where the root is.
        place: String,
        /// The platforms: each with the number of its programs and the first of them.
        found: Vec<(Platform, usize, ImagePath)>,
    },
    /// An image is for a platform whose loaders we do not know.
    #[error("platform not supported: {0}")]
    UnknownPlatform(String),
}

fn disagreement(place: &str, found: &[(Platform, usize, ImagePath)]) -> String {
    if found.is_empty() {
        return format!("no program says which platform this is for: {place}");
    }
    let each = found.iter().map(|(platform, count, first)| match count {
        1 => format!("{first} for {platform}"),
        _ => format!("{count} for {platform} ({first}, …)"),
    });
    format!("the programs are for several platforms: {}: {place}", each.collect::<Vec<_>>().join(", "))
}

fn list(platforms: &[impl ToString]) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Failure for BuildError {
    fn kind(&self) -> FailureKind {
        passing_on!(kind of self: BuildError {
                Stage, Layer, Store, Flatten, Transport, Bundle, Trace, Dir, Content, Trial
            }
            BuildError::Unfinished { error, .. } => error.kind(),
            BuildError::OutputInSource(..)
            | BuildError::OneArchive(_)
            | BuildError::NoAgreement { .. }
            | BuildError::TwoImages { .. } => FailureKind::Usage,
            BuildError::NoProgram(_)
            | BuildError::NoImage(_)
            | BuildError::NoPlatform { .. }
            | BuildError::UnknownPlatform(_) => FailureKind::Input,
        )
    }

    fn hint(&self) -> Option<String> {
        passing_on!(hint of self: BuildError {
                Stage, Layer, Store, Flatten, Transport, Bundle, Trace, Dir, Content, Trial
            }
            BuildError::Unfinished { error, .. } => error.hint(),
            BuildError::TwoImages { .. } => Some("select platforms with --platform, or copy one of the images by itself".into()),
            BuildError::OutputInSource(..) => Some(
                "write it elsewhere, so that it does not become part of the image (--cache-dir moves a cache)".into(),
            ),
            BuildError::OneArchive(file) => {
                let (stem, rest) = split_name(file);
                Some(format!("write one for each, e.g. -o cpio:{stem}-{{arch}}{rest}, or select one with --platform"))
            }
            BuildError::NoAgreement { .. } => Some(
                "name it, such as --platform linux/amd64: sazare never uses the platform of this machine".into(),
            ),
            BuildError::NoProgram(_)
            | BuildError::NoImage(_)
            | BuildError::NoPlatform { .. }
            | BuildError::UnknownPlatform(_) => None,
        )
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
