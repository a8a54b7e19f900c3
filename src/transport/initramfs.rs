//! A tree prepared as an initramfs archive.
//!
//! Decision: the ending of the file's name says how it is compressed, or the recipe does; where both speak they must
//! agree. `.cpio` alone is not compressed and any other name (`.img`) is gzip, unless the recipe says otherwise.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use super::error::TransportError;
use super::pending::{LastStep, Pending, Renamed, Written, WrittenInitramfs, is_stream, new_file};
use super::place::Place;
use crate::codec::compress::{FileCompression, FileCompressor};
use crate::codec::cpio::{CpioError, write_cpio};
use crate::codec::{Scratch, ScratchError};
use crate::digest::Digesting;
use crate::progress::{Action, Progress, Step};
use crate::tree::Tree;

/// How an archive of this name is compressed. `asked` is what the recipe says.
///
/// # Errors
/// When name and recipe contradict each other, or the name asks for a form that is not written.
pub fn archive_form(file: &Path, asked: Option<FileCompression>) -> Result<FileCompression, TransportError> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let (named, word) = match ending {
        "gz" => (FileCompression::Gzip, "gzip"),
        "zst" => (FileCompression::Zstd, "zstd"),
        "xz" => (FileCompression::Xz, "xz"),
        "cpio" => return Ok(asked.unwrap_or(FileCompression::None)),
        "lz4" | "bz2" | "lzma" | "lzo" => {
            let text = format!("an initramfs is written uncompressed or with gzip, zstd or xz: {}", file.display());
            return Err(TransportError::Usage(text));
        }
        _ => return Ok(asked.unwrap_or(FileCompression::Gzip)),
    };
    if asked.is_none_or(|asked| asked == named) {
        return Ok(named);
    }
    let text = format!("the name ends like {word}, but the recipe's `initramfs.compression` differs");
    Err(TransportError::Usage(format!("{text}: {}", file.display())))
}

/// Prepares a tree as an initramfs. What is to be written to a pipe or a device is kept in `scratch`.
///
/// # Errors
/// When the form cannot hold something in the tree, or the file cannot be written.
pub fn prepare_initramfs(
    tree: &Tree,
    file: &Path,
    form: FileCompression,
    jobs: usize,
    scratch: &Scratch,
    progress: &dyn Progress,
) -> Result<Pending<'static>, TransportError> {
    progress.step(Step::new(Action::Write(Place::Cpio(file.to_path_buf()).to_string())));
    // What goes to a stream is kept in a temporary file first, and it is that folder that can be full.
    let unwritable = if is_stream(file) { scratch.folder() } else { file };
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::Unsupported => TransportError::Usage(error.to_string()),
        _ => TransportError::Write(unwritable.to_path_buf(), error),
    };
    let fill = |writer: BufWriter<File>| {
        let mut compressor = FileCompressor::new(Digesting::new(writer), form, jobs).map_err(failed)?;
        let unpacked = write_cpio(tree, &mut compressor, progress).map_err(|error| match error {
            CpioError::Write(error) => failed(error),
            error => TransportError::Cpio(error),
        })?;
        let (writer, digest, size) = compressor.finish().map_err(failed)?.finish();
        Ok((writer, WrittenInitramfs { file: file.to_path_buf(), form, digest, size, unpacked }))
    };
    let (step, written) = if is_stream(file) {
        let kept =
            scratch.file().map_err(|error| ScratchError::of(error).map_or_else(failed, TransportError::Scratch))?;
        let (writer, written) = fill(BufWriter::new(kept.into_file()))?;
        let from = writer.into_inner().map_err(|error| failed(error.into_error()))?;
        (LastStep::Copy { from, to: file.to_path_buf() }, written)
    } else {
        let (renamed, written) = Renamed::new(file, |temporary| new_file(file, temporary, fill))?;
        (LastStep::Rename(renamed), written)
    };
    Ok(Pending { step, written: Written::Initramfs(written) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::progress::Silent;
    use crate::tree::{Metadata, Mode};

    #[test]
    fn name_and_recipe_say_how_and_must_agree() {
        let form = |name: &str, asked| archive_form(Path::new(name), asked).map_err(|error| error.to_string());
        for (name, asked, expected) in [
            ("a.cpio", None, FileCompression::None),
            ("a.cpio", Some(FileCompression::Zstd), FileCompression::Zstd),
            ("a.cpio.gz", None, FileCompression::Gzip),
            ("a.cpio.gz", Some(FileCompression::Gzip), FileCompression::Gzip),
            ("a.cpio.zst", None, FileCompression::Zstd),
            ("a.cpio.xz", None, FileCompression::Xz),
            ("a.img", None, FileCompression::Gzip),
            ("a.img", Some(FileCompression::None), FileCompression::None),
            ("initrd", Some(FileCompression::Xz), FileCompression::Xz),
        ] {
            assert_eq!(form(name, asked), Ok(expected), "{name} {asked:?}");
        }
        let expected = "the name ends like gzip, but the recipe's `initramfs.compression` differs: a.cpio.gz";
        assert_eq!(form("a.cpio.gz", Some(FileCompression::Zstd)), Err(expected.into()));
        assert_eq!(
            form("a.cpio.lz4", None),
            Err("an initramfs is written uncompressed or with gzip, zstd or xz: a.cpio.lz4".into())
        );
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.cpio");
        std::fs::write(&file, b"old").unwrap();
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, -1));
        let scratch = Scratch::new(folder.path());
        let prepare =
            |tree: &Tree, file: &Path| prepare_initramfs(tree, file, FileCompression::None, 1, &scratch, &Silent);
        let error = prepare(&tree, &file).err().unwrap();
        assert!(error.to_string().starts_with("an initramfs can store only dates from 1970"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), b"old");
        tree.meta_mut(tree.root()).mtime = 0;
        drop(prepare(&tree, &file).unwrap());
        assert_eq!(std::fs::read(&file).unwrap(), b"old");
        let pending = prepare(&tree, &file).unwrap();
        assert_eq!((std::fs::read(&file).unwrap(), pending.is_stream()), (b"old".to_vec(), false));
        let Written::Initramfs(written) = pending.publish(&mut Vec::new(), &Silent).unwrap() else { panic!() };
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!((written.size, written.unpacked, written.digest), (512, 512, Digest::of(&bytes)));
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_a_file_gets_the_bytes_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        let null = Path::new("/dev/null");
        let pending =
            prepare_initramfs(&tree, null, FileCompression::Gzip, 1, &Scratch::new(folder.path()), &Silent).unwrap();
        assert!(pending.is_stream());
        pending.publish(&mut Vec::new(), &Silent).unwrap();
    }
}
