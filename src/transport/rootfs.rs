//! A tree brought to a folder.
//!
//! Decision: the folder must not be there yet, or be empty: files of another tree in it would be taken for ours. The
//! superuser gives every entry its owner; for anybody else all is his own, and that is no loss worth a note.

use std::fs;
use std::io;
use std::path::Path;

use super::error::TransportError;
use crate::codec::folder::{FolderError, FolderOptions, write_folder};
use crate::image::Staging;
use crate::tree::Tree;

/// Tells before the work begins whether a tree could be written to a folder at all.
///
/// # Errors
/// When something is there that is no empty folder.
#[expect(clippy::disallowed_methods, reason = "whether there is an entry does not depend on their order")]
pub fn check_rootfs(folder: &Path) -> Result<(), TransportError> {
    let failed = |error| TransportError::Write(folder.to_path_buf(), error);
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(TransportError::NotEmpty(folder.to_path_buf())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Writes a tree as a folder: the whole of it or nothing. Gives notes about what could not be carried, one line each.
///
/// # Errors
/// When the folder is not empty, a file cannot be read, or an entry cannot be made.
pub fn write_rootfs(tree: &Tree, folder: &Path) -> Result<Vec<String>, TransportError> {
    check_rootfs(folder)?;
    let failed = |error| TransportError::Write(folder.to_path_buf(), error);
    let target = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let above = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Beside the target, so that it appears by one rename.
    let desk = Staging::begin(above)?;
    let temporary = desk.scratch_folder().join("root");
    fs::create_dir(&temporary).map_err(failed)?;
    let options = FolderOptions { owners: rustix::process::geteuid().is_root(), wanted: &|_| true };
    let notes = write_folder(tree, &temporary, &options).map_err(|error| match error {
        FolderError::Write(path, error) => TransportError::Write(path, error),
        FolderError::Content(error) => TransportError::Content(error),
    })?;
    fs::rename(&temporary, &target).map_err(failed)?;
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Name;
    use crate::tree::{Content, Inode, Kind, Metadata, Mode};

    #[test]
    fn a_folder_is_written_whole_and_never_into_another() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        let inode =
            Inode { meta: Metadata::new(Mode::FILE, 0).into(), kind: Kind::File(Content::Bytes(b"text"[..].into())) };
        tree.insert(tree.root(), Name::new(b"a").unwrap(), inode);
        let target = folder.path().join("out");
        write_rootfs(&tree, &target).unwrap();
        assert_eq!(fs::read(target.join("a")).unwrap(), b"text");
        let error = write_rootfs(&tree, &target).unwrap_err().to_string();
        assert!(error.starts_with("the folder is not empty: "), "{error}");
        fs::remove_file(target.join("a")).unwrap();
        write_rootfs(&tree, &target).unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }
}
