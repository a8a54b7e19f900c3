//! The private copy of the tree in which a command runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nix::unistd::Uid;

use super::error::TrialError;
use crate::codec::folder::{FolderError, FolderOptions, write_folder};
use crate::path::ImagePath;
use crate::tree::Tree;

/// The directories that runtimes make when an image has none, to mount something there.
const MOUNT_POINTS: [&str; 2] = ["proc", "dev"];

/// Writes the whole tree. The superuser gives every file its owner, so that another user finds what it would find.
pub(super) fn whole(tree: &Tree, folder: &Path) -> Result<Vec<String>, TrialError> {
    let notes = write(tree, folder, Uid::effective().is_root(), &|_| true)?;
    for name in MOUNT_POINTS {
        let place = folder.join(name);
        if let Err(error) = fs::create_dir(&place)
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(TrialError::Folder(FolderError::Write(place, error)));
        }
    }
    Ok(notes)
}

/// Writes only some paths, and the directories above them.
pub(super) fn parts(tree: &Tree, folder: &Path, paths: &BTreeSet<ImagePath>) -> Result<Vec<String>, TrialError> {
    write(tree, folder, false, &|path| paths.contains(path))
}

fn write(
    tree: &Tree,
    folder: &Path,
    owners: bool,
    wanted: &dyn Fn(&ImagePath) -> bool,
) -> Result<Vec<String>, TrialError> {
    fs::create_dir(folder).map_err(|error| TrialError::Folder(FolderError::Write(folder.to_path_buf(), error)))?;
    write_folder(tree, folder, &FolderOptions { owners, wanted }).map_err(TrialError::Folder)
}
