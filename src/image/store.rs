//! Blobs: checked whenever they are read, and seen by others only when they are whole.
//!
//! Whatever is made lies in a [`BlobStore`] first, in a private folder beside the output, so that publishing is a rename
//! or a hard link and never a half-written file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::error::StoreError;
use crate::digest::{Digest, Digesting, Verifying};
use crate::input;
use crate::oci::{self, Descriptor, MediaType};
use crate::private::PrivateFolder;
use crate::progress::{Event, Progress, Reporting};

/// The bytes that are collected before they are written.
const BUFFER: usize = 256 << 10;

/// Where blobs can be read from.
pub trait Blobs: Send + Sync {
    /// Opens a blob. The reader gives the whole blob and checks its digest and size **at its end**: who stops earlier has
    /// not checked it.
    ///
    /// # Errors
    /// When the blob is not there.
    fn open(&self, blob: &Blob) -> Result<Box<dyn Read + Send + '_>, StoreError>;

    /// Brings blobs near that will be read more than once, where they are far away. `progress` receives how much there
    /// is and how much came.
    ///
    /// # Errors
    /// When one is not there, or there is no room for it.
    fn fetch(&self, _wanted: &[Blob], _progress: &dyn Progress) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Reads a document (manifest, index or config) that is small by nature, and checks it.
///
/// # Errors
/// When the descriptor promises more than [`oci::DOCUMENT_MAX`] bytes, or the blob is missing or not the right one.
pub fn read_small(blobs: &dyn Blobs, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
    if descriptor.size() > oci::DOCUMENT_MAX {
        return Err(StoreError::TooLarge { blob: descriptor.digest().to_string(), size: descriptor.size() });
    }
    let mut bytes = Vec::new();
    let read = blobs.open(&Blob::of(descriptor)?)?.read_to_end(&mut bytes);
    read.map_err(|error| StoreError::Read { what: format!("blob {}", descriptor.digest()), error })?;
    Ok(bytes)
}

/// What identifies a blob. It exists only when the blob is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The digest.
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
}

impl Blob {
    /// The blob of a descriptor.
    ///
    /// # Errors
    /// When the digest is not SHA-256: another could not be checked.
    pub fn of(descriptor: &Descriptor) -> Result<Blob, StoreError> {
        let digest = descriptor.digest().to_string().parse();
        let digest = digest.map_err(|error| StoreError::Descriptor(format!("{error}")))?;
        Ok(Blob { digest, size: descriptor.size() })
    }

    /// The descriptor of the blob.
    pub fn descriptor(&self, media_type: MediaType) -> Descriptor {
        oci::descriptor(media_type, &self.digest, self.size)
    }
}

/// The blobs of an output that is being made. They are removed when it is dropped.
#[derive(Debug)]
pub struct BlobStore {
    private: PrivateFolder,
    blobs: PathBuf,
}

impl BlobStore {
    /// Makes a private folder for blobs in `folder`, which is made too when it does not exist. `folder` should be on the
    /// file system of the output: its own folder, or the layout itself.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn begin(folder: &Path) -> Result<BlobStore, StoreError> {
        let private = PrivateFolder::make_in(folder)?;
        let blobs = private.path().join("blobs");
        fs::create_dir(&blobs).map_err(|error| StoreError::Write { path: blobs.clone(), error })?;
        Ok(BlobStore { private, blobs })
    }

    /// A new blob. It is part of the store when it is finished.
    ///
    /// # Errors
    /// When its file cannot be made.
    pub fn blob(&self) -> Result<BlobWriter, StoreError> {
        let path = self.scratch_path();
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| StoreError::Write { path: path.clone(), error })?;
        Ok(BlobWriter {
            inner: Digesting::new(BufWriter::with_capacity(BUFFER, file)),
            path,
            blobs: self.blobs.clone(),
            behind: 0,
            flusher: None,
        })
    }

    /// Stores bytes as a blob.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Blob, StoreError> {
        let mut writer = self.blob()?;
        writer.write_all(bytes).map_err(|error| StoreError::from_write(&self.blobs, error))?;
        writer.finish()
    }

    /// Copies a blob from elsewhere, byte for byte, and checks it, unless it is here already.
    ///
    /// # Errors
    /// When it cannot be read, is not what the descriptor promises, or cannot be written.
    pub fn adopt(
        &self,
        blobs: &dyn Blobs,
        descriptor: &Descriptor,
        progress: &dyn Progress,
    ) -> Result<Blob, StoreError> {
        let blob = Blob::of(descriptor)?;
        if fs::metadata(self.blob_path(&blob.digest)).is_ok_and(|meta| meta.len() == blob.size) {
            progress.event(Event::Bytes(blob.size));
            return Ok(blob);
        }
        let mut reader = Reporting::new(blobs.open(&blob)?, progress);
        let mut writer = self.blob()?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StoreError::Read { what: format!("blob {}", blob.digest), error }),
            };
            writer.write_all(&buffer[..count]).map_err(|error| StoreError::from_write(&self.blobs, error))?;
        }
        writer.finish()
    }

    /// Links a blob of another folder, where its name is its digest, if its bytes are the right ones. Both names are of one
    /// file then: nobody writes to a blob.
    pub(super) fn copy_from(&self, folder: &Path, blob: &Blob) -> bool {
        let there = folder.join(blob.digest.hex());
        let Ok(file) = input::open_itself(&there) else { return false };
        let temporary = self.scratch_path();
        if fs::hard_link(&there, &temporary).is_err() {
            return false;
        }
        let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino(), a.len()) == (b.dev(), b.ino(), blob.size);
        let whole = matches!((file.metadata(), fs::symlink_metadata(&temporary)), (Ok(a), Ok(b)) if same(&a, &b))
            && io::copy(&mut Verifying::new(file, blob.digest, blob.size), &mut io::sink()).is_ok()
            && fs::rename(&temporary, self.blob_path(&blob.digest)).is_ok();
        if !whole {
            let _ = fs::remove_file(&temporary);
        }
        whole
    }

    /// Where a blob of this store lies, whether it is there or not.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    /// A folder for other temporary files, on the file system of the output. It is removed with the blobs.
    pub fn scratch_folder(&self) -> PathBuf {
        self.private.path().to_path_buf()
    }

    /// A name for a temporary file that nobody else uses.
    pub fn scratch_path(&self) -> PathBuf {
        self.private.new_path()
    }
}

impl Blobs for BlobStore {
    fn open(&self, blob: &Blob) -> Result<Box<dyn Read + Send + '_>, StoreError> {
        let path = self.blob_path(&blob.digest);
        match input::open_itself(&path) {
            Ok(file) => Ok(Box::new(Verifying::new(file, blob.digest, blob.size))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing {
                blob: blob.digest.to_string(),
                place: format!("the temporary folder {}", self.blobs.display()),
            }),
            Err(error) => Err(StoreError::Read { what: path.display().to_string(), error }),
        }
    }
}

/// A blob that is being written. Dropped unfinished, it is not a blob, and its file goes with the store.
pub struct BlobWriter {
    inner: Digesting<BufWriter<File>>,
    path: PathBuf,
    /// Where finished blobs lie. Not the store itself: a layer's blob is written by a thread of its own.
    blobs: PathBuf,
    /// How much was written since the disk was told.
    behind: usize,
    flusher: Option<Flusher>,
}

impl BlobWriter {
    /// Ends the blob: written through to the disk, then named by its digest.
    ///
    /// # Errors
    /// When the last bytes cannot be written, as on a full disk.
    pub fn finish(self) -> Result<Blob, StoreError> {
        let BlobWriter { inner, path, blobs, flusher, .. } = self;
        let (writer, digest, size) = inner.finish();
        let finish = || -> io::Result<()> {
            let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
            flusher.map_or(Ok(()), Flusher::finish)?;
            file.sync_all()?;
            fs::rename(&path, blobs.join(digest.hex()))
        };
        finish().map_err(|error| StoreError::Write { path: path.clone(), error })?;
        Ok(Blob { digest, size })
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes).map_err(|error| named(&self.path, error))?;
        self.behind += count;
        if self.behind >= FLUSH {
            self.behind = 0;
            if self.flusher.is_none() {
                self.flusher = Flusher::start(self.inner.inner().get_ref());
            }
            if let Some(flusher) = &self.flusher {
                flusher.wake();
            }
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().map_err(|error| named(&self.path, error))
    }
}

/// How much is written before the disk begins with it, in bytes.
const FLUSH: usize = 8 << 20;

/// A thread that brings what was written so far to the disk, while more is made: so little is left to wait for at the end.
struct Flusher {
    wake: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Flusher {
    /// `None` when there is no thread to be had; then all is left for the end.
    fn start(file: &File) -> Option<Flusher> {
        let file = file.try_clone().ok()?;
        let (wake, woken) = sync_channel(1);
        // The system tells an error of the disk once: so the first one is kept, and tried no more.
        let work = move || woken.into_iter().try_for_each(|()| file.sync_data());
        let thread = std::thread::Builder::new().name("flush".into()).spawn(work).ok()?;
        Some(Flusher { wake, thread })
    }

    fn wake(&self) {
        // When it is not ready yet it takes what comes now along.
        let _ = self.wake.try_send(());
    }

    fn finish(self) -> io::Result<()> {
        drop(self.wake);
        self.thread.join().map_err(|_| io::Error::other("a writing thread failed"))?
    }
}

/// The same error with the file in its text: whoever reports it knows only that a writer failed.
fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), StoreError::Write { path: path.to_path_buf(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, FailureKind};
    use crate::progress::Silent;

    #[test]
    fn a_blob_is_named_by_its_digest_and_proved_when_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::begin(folder.path()).unwrap();
        let blob = store.put(b"abc").unwrap();
        assert_eq!(blob, Blob { digest: Digest::of(b"abc"), size: 3 });
        let descriptor = blob.descriptor(MediaType::ImageConfig);
        assert_eq!(read_small(&store, &descriptor).unwrap(), b"abc");
        fs::write(store.blob_path(&blob.digest), b"abd").unwrap();
        let error = read_small(&store, &descriptor).unwrap_err();
        assert!(error.to_string().starts_with("cannot read blob sha256:ba7816bf"), "{error}");
        assert!(error.to_string().contains("digest mismatch"), "{error}");
        assert_eq!(error.kind(), FailureKind::Input);
    }

    #[test]
    fn a_blob_from_elsewhere_is_taken_only_when_it_is_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (BlobStore::begin(folder.path()).unwrap(), BlobStore::begin(folder.path()).unwrap());
        let blob = from.put(b"abc").unwrap();
        let descriptor = blob.descriptor(MediaType::ImageConfig);
        assert_eq!(to.adopt(&from, &descriptor, &Silent).unwrap(), blob);
        let other = from.put(b"xyz").unwrap();
        fs::write(from.blob_path(&other.digest), b"xyzz").unwrap();
        let error = to.adopt(&from, &other.descriptor(MediaType::ImageConfig), &Silent).unwrap_err();
        assert!(error.to_string().contains("longer than the expected 3 bytes"), "{error}");
        assert!(!to.blob_path(&other.digest).exists());
    }

    #[test]
    fn an_absent_blob_and_an_absurd_document_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::begin(folder.path()).unwrap();
        let digest = Digest::of(b"x");
        let error = read_small(&store, &oci::descriptor(MediaType::ImageConfig, &digest, 1)).unwrap_err();
        assert!(error.to_string().ends_with(&format!("does not contain the blob {digest}")), "{error}");
        let error = read_small(&store, &oci::descriptor(MediaType::ImageConfig, &digest, u64::MAX)).unwrap_err();
        assert!(error.to_string().starts_with("a document of 18446744073709551615 bytes is larger"), "{error}");
    }

    #[test]
    fn nothing_is_left_when_nothing_was_published() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::begin(&folder.path().join("a/b")).unwrap();
        store.put(b"abc").unwrap();
        drop(store);
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn an_error_while_writing_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a file");
        fs::write(&path, b"").unwrap();
        let error = BlobStore::begin(&path).unwrap_err();
        assert!(error.to_string().contains("a file"), "{error}");
        assert_eq!(error.kind(), FailureKind::Output);
        let full = named(Path::new("/out/x"), io::Error::from(io::ErrorKind::StorageFull));
        let error = StoreError::from_write(Path::new("/elsewhere"), full);
        assert_eq!(error.to_string(), "cannot write /out/x: no storage space");
        assert!(error.hint().unwrap().starts_with("free some space"));
    }
}
