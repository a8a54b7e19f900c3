//! The private copy of the tree in which a command runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nix::unistd::Uid;

use super::error::TrialError;
use super::users::Users;
use crate::codec::folder::{FolderError, FolderOptions, Owners, write_folder};
use crate::path::ImagePath;
use crate::progress::Silent;
use crate::tree::Tree;

/// The directories that runtimes make if an image has none, to mount something there.
const MOUNT_POINTS: [&str; 2] = ["proc", "dev"];

/// Who owns the copy of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The user that the tree names.
    AsInTree,
    /// The user who is that user in a namespace.
    Inside(Users),
    /// The user who runs sazare.
    Caller,
}

/// Writes the whole tree. Gives notes about what could not be copied.
pub(super) fn whole(tree: &Tree, folder: &Path, owner: Owner) -> Result<Vec<String>, TrialError> {
    let outside = |uid: u32, gid: u32| match owner {
        Owner::Inside(users) => (users.uids.outside(uid), users.gids.outside(gid)),
        Owner::AsInTree | Owner::Caller => (uid, gid),
    };
    let owners = match owner {
        Owner::Caller => Owners::Writer,
        Owner::AsInTree => Owners::AsInTree,
        Owner::Inside(_) => Owners::Mapped(&outside),
    };
    let mut notes = write(tree, folder, owners, &|_| true)?;
    for name in MOUNT_POINTS {
        let place = folder.join(name);
        let failed = |error| TrialError::Folder(FolderError::Write(place.clone(), error));
        match fs::symlink_metadata(&place) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => notes.push(format!("/{name} is not a directory in the tree, so nothing is mounted there")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => fs::create_dir(&place).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
    }
    // The process that mounts there is the superuser of the namespace.
    if let Owner::Inside(users) = owner
        && Uid::effective().is_root()
    {
        for place in MOUNT_POINTS.map(|name| folder.join(name)) {
            let (uid, gid) = (users.uids.outside(0), users.gids.outside(0));
            let _ = std::os::unix::fs::lchown(&place, Some(uid), Some(gid));
        }
    }
    Ok(notes)
}

/// Writes only some paths, and the directories above them.
pub(super) fn parts(tree: &Tree, folder: &Path, paths: &BTreeSet<ImagePath>) -> Result<Vec<String>, TrialError> {
    write(tree, folder, Owners::Writer, &|path| paths.contains(path))
}

fn write(
    tree: &Tree,
    folder: &Path,
    owners: Owners<'_>,
    wanted: &dyn Fn(&ImagePath) -> bool,
) -> Result<Vec<String>, TrialError> {
    fs::create_dir(folder).map_err(|error| TrialError::Folder(FolderError::Write(folder.to_path_buf(), error)))?;
    let statistics = rustix::fs::statvfs(folder).map_err(|error| TrialError::System("look at TMPDIR", error.into()))?;
    if statistics.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC) {
        return Err(TrialError::NoExec(folder.parent().unwrap_or(folder).to_path_buf()));
    }
    write_folder(tree, folder, &FolderOptions { owners, wanted }, &Silent).map_err(TrialError::Folder)
}
