//! A tree that things are placed into, by the rules of a process inside it.

use crate::codec::whiteout::{self, Meaning};
use crate::epoch::Epoch;
use crate::path::{ImagePath, Name, PathError};
use crate::tree::{DirectoryId, Kind, Metadata, Mode, ResolveError, Tree};

/// Why something cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// The way there ends at something that is not a directory, or in a loop of links.
    #[error("cannot create {0}: {1}")]
    Way(ImagePath, ResolveError),
    /// A directory with entries is there, and would be lost.
    #[error("a directory that is not empty would be replaced: {0}")]
    Full(ImagePath),
    /// Something is at the path already that the same source put there.
    #[error("two entries of the source have the same path, because of a symlink: {0}")]
    Twice(ImagePath),
    /// A name that means a deletion in a layer.
    #[error("names that begin with `.wh.` mean deletions in a layer: {0}")]
    WhiteoutName(ImagePath),
    /// The root is a directory and nothing else.
    #[error("the root can only be a directory: /")]
    Root,
    /// The path is none.
    #[error(transparent)]
    Path(PathError),
}

impl InsertError {
    /// What to do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            InsertError::Full(path) => Some(format!(
                "if this is intended, exclude it from the earlier source with `exclude`; to remove it from a base \
                 image or for a [[path]], put {{ path = \"{path}\", type = \"remove\" }} first"
            )),
            InsertError::Twice(_) => Some("exclude one of them with `exclude`, or move both into one directory".into()),
            InsertError::Way(..) | InsertError::WhiteoutName(_) | InsertError::Root | InsertError::Path(_) => None,
        }
    }
}

/// A tree that is being staged, and the date of the build.
#[derive(Debug)]
pub(crate) struct TreeBuilder {
    pub(crate) tree: Tree,
    pub(crate) when: Epoch,
}

impl TreeBuilder {
    /// Metadata of something that the build makes: owned by root, with the date of the build as its mtime.
    pub(crate) fn meta(&self, mode: Mode) -> Metadata {
        Metadata::new(mode, self.when.seconds())
    }

    /// The directory at a path, through links; it and its parents are made where they are missing.
    pub(crate) fn directory(&mut self, path: &ImagePath) -> Result<DirectoryId, InsertError> {
        let destination = self.tree.destination(path).map_err(|error| InsertError::Way(path.clone(), error))?;
        let mut here = destination.path;
        let mut directory = destination.directory;
        for name in destination.missing {
            here = here.join(&name);
            check_name(&here, &name)?;
            let meta = self.meta(Mode::DIRECTORY);
            directory = self.tree.insert_directory(directory, name, meta);
        }
        Ok(directory)
    }

    /// Where an entry that is not a directory belongs: its directory, made where it is missing, and its name there, which
    /// is free or may be replaced.
    pub(crate) fn place(&mut self, path: &ImagePath) -> Result<(DirectoryId, Name), InsertError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(InsertError::Root) };
        check_name(path, &name)?;
        let directory = self.directory(&parent)?;
        self.check_replaceable(directory, &name, path)?;
        Ok((directory, name))
    }

    /// Whether what has this name may be replaced by something that is not a directory.
    pub(crate) fn check_replaceable(
        &self,
        directory: DirectoryId,
        name: &Name,
        path: &ImagePath,
    ) -> Result<(), InsertError> {
        let entries = self.tree.child(directory, name.as_bytes()).and_then(|id| self.tree.entries(id));
        match entries {
            Some(entries) if !entries.is_empty() => Err(InsertError::Full(path.clone())),
            Some(_) | None => Ok(()),
        }
    }

    /// The directory `name` in `directory`: the one that is there, the one that a link there leads to, or else a new one
    /// with this metadata, in place of what is there. The flag says whether it is new.
    pub(crate) fn directory_in(
        &mut self,
        directory: DirectoryId,
        name: &Name,
        path: &ImagePath,
        meta: &Metadata,
    ) -> Result<(DirectoryId, Found), InsertError> {
        check_name(path, name)?;
        if let Some(id) = self.tree.child(directory, name.as_bytes()) {
            if let Some(known) = self.tree.directory(id) {
                return Ok((known, Found::Directory));
            }
            match &self.tree.inode(id).kind {
                Kind::Symlink(_) => match self.tree.destination(path) {
                    Ok(_) => return Ok((self.directory(path)?, Found::Link)),
                    Err(error) if error.errno != crate::tree::Errno::NotADirectory => {
                        return Err(InsertError::Way(path.clone(), error));
                    }
                    // It leads to a file, so it is replaced as a file would be.
                    Err(_) => {}
                },
                Kind::Directory(_) | Kind::File(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {}
            }
        }
        Ok((self.tree.insert_directory(directory, name.clone(), meta.clone()), Found::Nothing))
    }
}

/// What was in the place of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A directory.
    Directory,
    /// A link to one.
    Link,
    /// Nothing, or something that it replaced.
    Nothing,
}

/// Whiteout names are never real files.
pub(crate) fn check_name(path: &ImagePath, name: &Name) -> Result<(), InsertError> {
    match whiteout::meaning(name) {
        Meaning::Entry => Ok(()),
        Meaning::Whiteout(_) | Meaning::Opaque | Meaning::Reserved | Meaning::Nameless => {
            Err(InsertError::WhiteoutName(path.clone()))
        }
    }
}
