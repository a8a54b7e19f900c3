//! An output that is complete and not in its place yet.
//!
//! What can be renamed lies in a private folder beside its place, so that the last step cannot run out of space. What is
//! written to a stream (standard output, a pipe, a device) has no such step: its bytes are copied.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use super::archive::{self, Contents};
use super::error::TransportError;
use super::layout;
#[cfg(feature = "registry")]
use super::upload::Untagged;
use crate::codec::compress::FileCompression;
use crate::digest::Digest;
use crate::image::BlobStore;
use crate::progress::{Action, Progress, Step};
use crate::replace::{self, folder_of};

/// An output that is complete and not in its place yet. Dropped, it leaves nothing behind.
#[must_use = "nothing is in its place before `publish`"]
pub struct Pending<'a> {
    pub(super) step: LastStep<'a>,
    pub(super) written: Written,
}

/// The last step.
pub(super) enum LastStep<'a> {
    /// Blobs get their names in a layout, then its index is replaced.
    Layout(layout::Pending),
    /// A file or folder is renamed.
    Rename(Renamed),
    /// A file is copied to what cannot be renamed to.
    Copy { from: File, to: PathBuf },
    /// An image in a registry gets its tags.
    #[cfg(feature = "registry")]
    Registry(Box<Untagged>),
    /// An image archive is written to what cannot be renamed to; `None` is standard output.
    Archive { contents: Contents, store: &'a BlobStore, to: Option<PathBuf> },
}

/// What was written to one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// An image in a layout or archive.
    Image(WrittenImage),
    /// An initramfs.
    Initramfs(WrittenInitramfs),
    /// A root file system as a folder.
    Rootfs(WrittenRootfs),
}

/// An image that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenImage {
    /// The place, as people name it.
    pub place: String,
    /// The names of the image there, each with the digest that it points at.
    pub names: Vec<(String, Digest)>,
    /// The full references, such as `docker.io/you/app:v1`; none without a repository.
    pub references: Vec<String>,
    /// What the user should know, such as which engine cannot load it.
    pub notes: Vec<String>,
}

/// An initramfs that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenInitramfs {
    /// The file.
    pub file: PathBuf,
    /// How it is compressed.
    pub form: FileCompression,
    /// The digest of the file.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// The size of the archive in it, in bytes.
    pub unpacked: u64,
}

/// A root file system that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenRootfs {
    /// The folder.
    pub folder: PathBuf,
    /// What this machine did not allow to be written, one line each.
    pub notes: Vec<String>,
}

impl Written {
    /// The place, as people name it.
    pub fn place(&self) -> String {
        match self {
            Written::Image(image) => image.place.clone(),
            Written::Initramfs(archive) => format!("cpio:{}", archive.file.display()),
            Written::Rootfs(root) => format!("rootfs:{}", root.folder.display()),
        }
    }
}

impl Pending<'_> {
    /// Whether the last step writes to a stream or a registry. It can fail half-way, so it should come before those that rename.
    pub fn is_stream(&self) -> bool {
        match self.step {
            LastStep::Copy { .. } | LastStep::Archive { .. } => true,
            #[cfg(feature = "registry")]
            LastStep::Registry(_) => true,
            LastStep::Layout(_) | LastStep::Rename(_) => false,
        }
    }

    /// The place, as people name it.
    pub fn place(&self) -> String {
        self.written.place()
    }

    /// Puts the output in its place. `stdout` is where `-` leads to.
    ///
    /// # Errors
    /// When the place cannot be written to, or something else is there by now.
    pub fn publish(self, stdout: &mut dyn Write, progress: &dyn Progress) -> Result<Written, TransportError> {
        if self.is_stream() {
            progress.step(Step::new(Action::Write(self.place())));
        }
        match self.step {
            LastStep::Layout(layout) => layout.publish()?,
            LastStep::Rename(renamed) => renamed.publish()?,
            #[cfg(feature = "registry")]
            LastStep::Registry(untagged) => untagged.publish()?,
            LastStep::Copy { mut from, to } => {
                let failed = |error| TransportError::Write(to.clone(), error);
                let mut stream = open_stream(&to)?;
                from.rewind().and_then(|()| io::copy(&mut from, &mut stream)).map_err(failed)?;
                stream.flush().map_err(failed)?;
            }
            LastStep::Archive { contents, store, to: Some(to) } => {
                let mut stream = BufWriter::new(open_stream(&to)?);
                archive::write(contents, store, &to, &mut stream, progress)?;
            }
            LastStep::Archive { contents, store, to: None } => {
                archive::write(contents, store, Path::new("standard output"), stdout, progress)?;
            }
        }
        Ok(self.written)
    }
}

fn open_stream(path: &Path) -> Result<File, TransportError> {
    File::options().write(true).open(path).map_err(|error| TransportError::Write(path.to_path_buf(), error))
}

/// Whether something is at a path that is not a regular file, so that it cannot be replaced with a rename.
pub(super) fn is_stream(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| !meta.is_file())
}

/// A file or folder that is complete, in a private folder beside its place.
pub(super) struct Renamed {
    /// Holds the folder, which goes with it.
    _private: BlobStore,
    temporary: PathBuf,
    target: PathBuf,
}

impl Renamed {
    /// Makes one with `fill`, which gets a path in a private folder that nothing is at yet.
    pub fn new<T>(
        place: &Path,
        fill: impl FnOnce(&Path) -> Result<T, TransportError>,
    ) -> Result<(Renamed, T), TransportError> {
        // What a link leads to is replaced, not the link.
        let target = replace::target(place).map_err(|error| TransportError::Write(place.to_path_buf(), error))?;
        let private = BlobStore::begin(folder_of(&target))?;
        let temporary = private.scratch_path();
        let result = fill(&temporary)?;
        Ok((Renamed { _private: private, temporary, target }, result))
    }

    fn publish(self) -> Result<(), TransportError> {
        let failed = |error| TransportError::Write(self.target.clone(), error);
        replace::keep(&self.target, &self.temporary).map_err(failed)?;
        fs::rename(&self.temporary, &self.target).map_err(failed)?;
        layout::sync_directory(folder_of(&self.target))
    }
}

/// Makes a regular file with `fill`, which gets a writer and gives it back. Its bytes are on the disk when this returns.
pub(super) fn new_file<T>(
    place: &Path,
    temporary: &Path,
    fill: impl FnOnce(BufWriter<File>) -> Result<(BufWriter<File>, T), TransportError>,
) -> Result<T, TransportError> {
    let failed = |error| TransportError::Write(place.to_path_buf(), error);
    let file = File::create_new(temporary).map_err(failed)?;
    let (writer, result) = fill(BufWriter::with_capacity(1 << 20, file))?;
    let finished = writer.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
    finished.map_err(failed)?;
    Ok(result)
}
