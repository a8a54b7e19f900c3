//! A tree prepared as a folder.
//!
//! Decision: the folder must not be there yet, or be empty: files of another tree in it would be taken for ours. The
//! superuser gives every entry its owner; for any other user everything belongs to that user, without a note.

use crate::host;
use std::fs;
use std::io;
use std::path::Path;

use super::error::TransportError;
use super::pending::{LastStep, Pending, Renamed, Written, WrittenRootfs};
use super::place::Place;
use crate::codec::folder::{FolderError, FolderOptions, Owners, write_folder};
use crate::input;
use crate::progress::{Action, Progress, Step};
use crate::tree::Tree;

/// Says before the work begins whether a tree could be written to a folder at all.
///
/// # Errors
/// When something is there that is not an empty folder.
pub fn check_rootfs(folder: &Path) -> Result<(), TransportError> {
    let failed = |error| TransportError::Write(folder.to_path_buf(), error);
    match host::names(folder) {
        Ok(names) if names.is_empty() => Ok(()),
        Ok(_) => Err(TransportError::NotEmpty(folder.to_path_buf())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Prepares a tree as a folder.
///
/// # Errors
/// When the folder is not empty, a file cannot be read, or an entry cannot be made.
pub fn prepare_rootfs(tree: &Tree, folder: &Path, progress: &dyn Progress) -> Result<Pending<'static>, TransportError> {
    let place = Place::Rootfs(folder.to_path_buf()).to_string();
    progress.step(Step::new(Action::Write(place)).sized(tree.contents_size()));
    check_rootfs(folder)?;
    let (renamed, notes) = Renamed::new(folder, |temporary| {
        fs::create_dir(temporary).map_err(|error| TransportError::Write(folder.to_path_buf(), error))?;
        let owners = if rustix::process::geteuid().is_root() { Owners::AsInTree } else { Owners::Writer };
        let options = FolderOptions { owners, wanted: &|_| true };
        let notes = write_folder(tree, temporary, &options, progress).map_err(|error| match error {
            FolderError::Write(path, error) => TransportError::Write(path, error),
            FolderError::Content(error) => TransportError::Content(error),
        })?;
        // All of it is on the disk before it has its name.
        let synced = input::directory(temporary).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
        synced.map_err(|error| TransportError::Write(folder.to_path_buf(), error))?;
        Ok(notes)
    })?;
    let written = WrittenRootfs { folder: folder.to_path_buf(), notes };
    Ok(Pending { step: LastStep::Rename(renamed), written: Written::Rootfs(written) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Name;
    use crate::progress::Silent;
    use crate::tree::{Content, Inode, Kind, Metadata, Mode};

    #[test]
    fn a_folder_is_written_whole_and_never_into_another() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        let inode =
            Inode { meta: Metadata::new(Mode::FILE, 0).into(), kind: Kind::File(Content::Bytes(b"text"[..].into())) };
        tree.insert(tree.root(), Name::new(b"a").unwrap(), inode);
        let target = folder.path().join("out");
        let pending = prepare_rootfs(&tree, &target, &Silent).unwrap();
        assert!(!target.exists());
        pending.publish(&mut Vec::new(), &Silent).unwrap();
        assert_eq!(fs::read(target.join("a")).unwrap(), b"text");
        let error = prepare_rootfs(&tree, &target, &Silent).err().unwrap().to_string();
        assert!(error.starts_with("the directory is not empty: "), "{error}");
        fs::remove_file(target.join("a")).unwrap();
        prepare_rootfs(&tree, &target, &Silent).unwrap().publish(&mut Vec::new(), &Silent).unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }
}
