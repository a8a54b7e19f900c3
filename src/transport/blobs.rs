//! Blobs where they lie: in a layout, in an archive, or in memory when we made them ourselves.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::digest::{Digest, Verifying};
use crate::image::{Blob, Blobs, StoreError};
use crate::input;
use crate::tree::Content;

/// The blobs of a layout.
pub(super) struct LayoutBlobs {
    /// The folder.
    pub folder: PathBuf,
}

impl Blobs for LayoutBlobs {
    fn open(&self, blob: &Blob) -> Result<Box<dyn Read + Send + '_>, StoreError> {
        let path = self.folder.join("blobs/sha256").join(blob.digest.hex());
        match input::open(&path) {
            Ok(file) => Ok(Box::new(Verifying::new(file, blob.digest, blob.size))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(missing(blob, self.folder.display().to_string()))
            }
            Err(error) => Err(StoreError::Read { what: path.display().to_string(), error }),
        }
    }
}

/// The blobs of an archive, as slices of it.
pub(super) struct ArchiveBlobs {
    /// What messages call the archive.
    pub place: String,
    /// Where each blob lies.
    pub contents: BTreeMap<Digest, Content>,
}

impl Blobs for ArchiveBlobs {
    fn open(&self, blob: &Blob) -> Result<Box<dyn Read + Send + '_>, StoreError> {
        let content = self.contents.get(&blob.digest).ok_or_else(|| missing(blob, self.place.clone()))?;
        let reader = content.open().map_err(|error| StoreError::Read {
            what: format!("blob {} of {}", blob.digest, self.place),
            error: io::Error::other(error),
        })?;
        Ok(Box::new(Verifying::new(reader, blob.digest, blob.size)))
    }
}

/// Documents that were made while reading, such as the index that a flat layout lacks, before the blobs that are there.
pub(super) struct WithDocuments {
    /// The documents.
    pub documents: BTreeMap<Digest, Vec<u8>>,
    /// The blobs.
    pub rest: Box<dyn Blobs>,
}

impl Blobs for WithDocuments {
    fn open(&self, blob: &Blob) -> Result<Box<dyn Read + Send + '_>, StoreError> {
        match self.documents.get(&blob.digest) {
            Some(bytes) => Ok(Box::new(Verifying::new(bytes.as_slice(), blob.digest, blob.size))),
            None => self.rest.open(blob),
        }
    }
}

fn missing(blob: &Blob, place: String) -> StoreError {
    StoreError::Missing { blob: blob.digest.to_string(), place }
}
