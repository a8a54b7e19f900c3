//! Image layouts: a folder with `oci-layout`, `index.json` and `blobs/` (image-spec, image-layout.md).
//!
//! # How a layout is changed
//!
//! Blobs first, each by a hard link or a rename of a whole file, then `index.json` by a rename: whoever reads sees the old
//! image or the new one, and a run that is killed leaves the old one. What was there is kept: other descriptors and keys
//! that we do not know. A lock on the folder lets one run at a time read `index.json` and replace it. The lock is a
//! courtesy among runs of this program; where the file system knows none, the last one wins.
//!
//! A blob that is there already is checked, and replaced when it is damaged.

use crate::host;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use super::error::TransportError;
use crate::digest::Verifying;
use crate::image::{Blob, BlobStore, Blobs, StoreError};
use crate::input;
use crate::oci::{self, Annotations, Descriptor, REF_NAME};
use crate::progress::{Event, Progress};
use crate::replace;

/// The largest `index.json` that is read, in bytes: some ten thousand tags.
pub(super) const INDEX_MAX: u64 = 16 << 20;

/// Whether images can be added to a folder: it is a layout, or empty, or not there yet.
pub(super) fn check(folder: &Path) -> Result<(), TransportError> {
    match fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(TransportError::Write(folder.to_path_buf(), error)),
        Ok(meta) if !meta.is_dir() => {
            return Err(TransportError::Write(folder.to_path_buf(), io::ErrorKind::NotADirectory.into()));
        }
        Ok(_) => {}
    }
    check_blobs(folder)?;
    let path = folder.join("oci-layout");
    match input::read(&path, INDEX_MAX) {
        Ok(bytes) => {
            let layout: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            match layout["imageLayoutVersion"].as_str() {
                Some("1.0.0") => Ok(()),
                Some(version) => {
                    Err(TransportError::Layout { path, fault: format!("the layout version is not 1.0.0: {version}") })
                }
                None => Err(TransportError::Layout { path, fault: "the layout version is missing".into() }),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let entries = host::names(folder).map_err(|error| TransportError::Read(folder.to_path_buf(), error))?;
            // A mount point of its own has `lost+found`; our own private folders are there and will go.
            let ours = |name: &str| name.starts_with(".sazare-") || name == "lost+found";
            let occupied = entries.iter().any(|name| !name.to_str().is_some_and(ours));
            // Another run may have begun a layout while we looked.
            let fine = !occupied || path.exists();
            if fine { Ok(()) } else { Err(TransportError::Occupied(folder.to_path_buf())) }
        }
        Err(error) => Err(TransportError::Read(path, error)),
    }
}

/// Refuses a layout whose folder of blobs is elsewhere: what is written into the layout would be written there.
pub(super) fn check_blobs(folder: &Path) -> Result<(), TransportError> {
    let there = folder.join("blobs/sha256");
    let (Ok(real), Ok(layout)) = (fs::canonicalize(&there), fs::canonicalize(folder)) else { return Ok(()) };
    if real.starts_with(layout) {
        return Ok(());
    }
    let fault = format!("blobs/sha256 is outside of the layout: {}", real.display());
    Err(TransportError::Malformed { place: folder.display().to_string(), fault })
}

/// An image whose blobs are complete inside a layout, and that the layout does not name yet.
pub(super) struct Pending {
    private: BlobStore,
    folder: PathBuf,
    /// The blobs that the layout does not have, in the private folder, with the names that they get.
    blobs: Vec<(PathBuf, String)>,
    descriptors: Vec<Descriptor>,
    obsolete: Vec<String>,
}

/// Brings the blobs of an image into a private folder of a layout, which is made when it does not exist. `descriptors` go
/// into `index.json`, in the place of those of the same name and of those named in `obsolete`.
pub(super) fn prepare(
    folder: &Path,
    store: &BlobStore,
    blobs: &[Blob],
    descriptors: Vec<Descriptor>,
    obsolete: Vec<String>,
    progress: &dyn Progress,
) -> Result<Pending, TransportError> {
    let private = BlobStore::begin(folder)?;
    check(folder)?;
    let there = folder.join("blobs/sha256");
    let mut new = Vec::new();
    for blob in blobs {
        if !is_whole(&there.join(blob.digest.hex()), &store.blob_path(&blob.digest), blob) {
            new.push((fetch(&private, store, blob, progress)?, blob.digest.hex()));
        }
    }
    Ok(Pending { private, folder: folder.to_path_buf(), blobs: new, descriptors, obsolete })
}

impl Pending {
    /// Adds the image to the layout.
    pub(super) fn publish(self) -> Result<(), TransportError> {
        let Pending { private, folder, blobs, descriptors, obsolete } = &self;
        let _lock = lock(folder)?;
        check(folder)?;
        // First of all, so that a folder with anything in it is known for a layout.
        let version = folder.join("oci-layout");
        if !version.exists() {
            put(private, &version, oci::EMPTY_LAYOUT)?;
        }
        let there = folder.join("blobs/sha256");
        fs::create_dir_all(&there).map_err(|error| TransportError::Write(there.clone(), error))?;
        for (temporary, name) in blobs {
            let to = there.join(name);
            fs::rename(temporary, &to).map_err(|error| TransportError::Write(to, error))?;
        }
        for directory in [&*there, &folder.join("blobs"), folder] {
            sync_directory(directory)?;
        }
        // From here on all blobs are on the disk under their names, so the index may name them.
        let index = folder.join("index.json");
        let updated = updated_index(&index, descriptors, obsolete)?;
        put(private, &index, &updated)?;
        sync_directory(folder)
    }
}

/// The layout's index with the new descriptors. Everything else stays, in its order.
fn updated_index(path: &Path, descriptors: &[Descriptor], obsolete: &[String]) -> Result<Vec<u8>, TransportError> {
    let fault = |fault: &str| TransportError::Layout { path: path.to_path_buf(), fault: fault.into() };
    let mut index: Value = match input::read(path, INDEX_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| fault(&format!("it is not JSON: {error}")))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => json!(oci::index(Vec::new(), &Annotations::new())),
        Err(error) => return Err(TransportError::Read(path.to_path_buf(), error)),
    };
    let Some(manifests) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
        return Err(fault("it has no list of manifests"));
    };
    let name = |descriptor: &Value| descriptor["annotations"][REF_NAME].as_str().map(str::to_string);
    let new: Vec<Value> = descriptors.iter().map(|descriptor| json!(descriptor)).collect();
    let goes = |old: &Value| {
        name(old).is_some_and(|old| obsolete.contains(&old) || new.iter().any(|new| name(new).as_ref() == Some(&old)))
    };
    let position = manifests.iter().position(goes).unwrap_or(manifests.len());
    manifests.retain(|old| !goes(old));
    manifests.splice(position..position, new.iter().cloned());
    let bytes = oci::canonical(&index);
    if bytes.len() as u64 > INDEX_MAX { Err(fault("it would be too large")) } else { Ok(bytes) }
}

/// Brings one blob into the private folder: as a link where that is possible, else as a copy.
fn fetch(
    private: &BlobStore,
    store: &BlobStore,
    blob: &Blob,
    progress: &dyn Progress,
) -> Result<PathBuf, TransportError> {
    let temporary = private.scratch_path();
    if fs::hard_link(store.blob_path(&blob.digest), &temporary).is_err() {
        // Another file system, or one without hard links.
        copy(store, blob, &temporary, progress)?;
    } else {
        progress.event(Event::Bytes(blob.size));
    }
    Ok(temporary)
}

/// Whether the file holds the blob. The same file as the staged one was checked when it was made.
fn is_whole(path: &Path, staged: &Path, blob: &Blob) -> bool {
    let Ok(file) = input::open_itself(path) else { return false };
    let Ok(meta) = file.metadata() else { return false };
    if fs::metadata(staged).is_ok_and(|staged| (staged.dev(), staged.ino()) == (meta.dev(), meta.ino())) {
        return true;
    }
    meta.len() == blob.size && io::copy(&mut Verifying::new(file, blob.digest, blob.size), &mut io::sink()).is_ok()
}

fn copy(store: &BlobStore, blob: &Blob, to: &Path, progress: &dyn Progress) -> Result<(), TransportError> {
    let mut reader = store.open(blob)?;
    let mut writer = File::create(to).map_err(|error| TransportError::Write(to.to_path_buf(), error))?;
    copy_proved(&mut *reader, &mut writer, to, blob, progress)?;
    writer.sync_all().map_err(|error| TransportError::Write(to.to_path_buf(), error))
}

/// Copies a blob, and says of an error which side it is of.
pub(super) fn copy_proved(
    reader: &mut dyn Read,
    writer: &mut dyn Write,
    to: &Path,
    blob: &Blob,
    progress: &dyn Progress,
) -> Result<(), TransportError> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(StoreError::Read { what: format!("staged blob {}", blob.digest), error }.into());
            }
        };
        writer.write_all(&buffer[..count]).map_err(|error| TransportError::Write(to.to_path_buf(), error))?;
        progress.event(Event::Bytes(count as u64));
    }
}

/// Replaces a file by one with these bytes, which are on the disk before it has the name.
fn put(private: &BlobStore, path: &Path, bytes: &[u8]) -> Result<(), TransportError> {
    let temporary = private.scratch_path();
    let write = || -> io::Result<()> {
        let mut file = File::create_new(&temporary)?;
        file.write_all(bytes)?;
        replace::keep(path, &temporary)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| TransportError::Write(path.to_path_buf(), error))
}

/// Makes names in a directory survive a crash of the machine. File systems that cannot do it promise nothing anyway.
pub(super) fn sync_directory(path: &Path) -> Result<(), TransportError> {
    match input::directory(path).and_then(|directory| directory.sync_all()) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => Ok(()),
        result => result.map_err(|error| TransportError::Write(path.to_path_buf(), error)),
    }
}

/// Waits until no other run changes the layout. `None` where the file system knows no locks.
fn lock(folder: &Path) -> Result<Option<File>, TransportError> {
    let directory = input::directory(folder).map_err(|error| TransportError::Write(folder.to_path_buf(), error))?;
    loop {
        match flock(&directory, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(Some(directory)),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Ok(None),
        }
    }
}
