//! Recipe and platform to a tree. For now: whole directories, one over the other.

use std::error::Error;
use std::fmt;

use crate::codec::Scratch;
use crate::codec::dir::{DirError, ScanOptions, scan};
use crate::epoch::Epoch;
use crate::failure::{Failure, Kind};
use crate::platform::Platform;
use crate::progress::Progress;
use crate::recipe::{Output, Recipe};
use crate::tree::{Metadata, Mode, Tree};

/// What is to be staged.
pub struct Request<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The platform.
    pub platform: &'a Platform,
    /// What the tree is for.
    pub output: Output,
    /// The date of the build.
    pub when: Epoch,
    /// Where temporary files may lie.
    pub scratch: &'a Scratch,
    /// The tree of the base image.
    pub base: Option<Tree>,
    /// Who listens.
    pub progress: &'a dyn Progress,
}

/// A staged tree.
pub struct Staged {
    /// The tree.
    pub tree: Tree,
    /// What could not be taken along.
    pub notes: Vec<String>,
}

/// Why staging failed.
#[derive(Debug)]
pub struct StageError(DirError);

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StageError {}

impl Failure for StageError {
    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

/// Stages the recipe for one platform.
///
/// # Errors
/// When a source cannot be read.
pub fn stage(request: Request<'_>) -> Result<Staged, StageError> {
    let Some(source) = request.recipe.sources.first() else {
        return Ok(Staged { tree: Tree::new(Metadata::new(Mode::DIRECTORY, 0)), notes: Vec::new() });
    };
    let options = ScanOptions { xattrs: true, skip: &|_, _| false };
    let scanned = scan(&source.from.for_platform(request.platform), &options).map_err(StageError)?;
    let ids: Vec<_> = scanned.tree.walk().map(|entry| entry.id).collect();
    let mut tree = scanned.tree;
    for id in ids {
        let meta = tree.meta_mut(id);
        (meta.uid, meta.gid, meta.mtime) = (0, 0, request.when.seconds());
    }
    Ok(Staged { tree, notes: scanned.notes })
}
