//! Images in registries, as blobs that are read when they are wanted.
//!
//! A cache holds what a build needed of a registry, in pieces under the digest of their blob: pieces, so that no large blob is in
//! memory, and a blob of which some went is not fetched whole. They are put there only after the digest of the whole was proved.
//! An image that is named by its digest and is in the cache whole is opened without the registry.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::access::Access;
use super::error::TransportError;
use super::load::load;
use crate::codec::{Scratch, ScratchError};
use crate::digest::{Digest, Verifying};
use crate::image::{Blob, Blobs, Cache, Image, StoreError};
use crate::oci::{self, DOCUMENT_MAX, Descriptor, ImageIndex, ImageManifest, MediaType};
use crate::parallel::{Threads, in_order};
use crate::progress::{Event, Progress, Reporting};
use crate::reference::ImageReference;
use crate::registry::{Intent, Registries, RegistryError, RemoteRepository, Resuming};

/// How large a piece of a blob in the cache is, in bytes.
const PIECE: u64 = 4 << 20;

/// How many blobs are fetched at once.
const TOGETHER: usize = 4;

/// An image of a registry.
pub(super) struct RemoteImage {
    pub image: Image,
    pub blobs: RemoteBlobs,
    /// What was left out, and what the user should know.
    pub notes: Vec<String>,
}

/// Opens an image of a registry: its documents, and its blobs where they are.
pub(super) fn open_remote(reference: &ImageReference, access: &Access<'_>) -> Result<RemoteImage, TransportError> {
    let place = format!("docker://{reference}");
    let registries = access.registries.ok_or_else(|| TransportError::NoRegistries(place.clone()))?;
    let blobs = RemoteBlobs {
        registries: registries.clone(),
        reference: reference.clone(),
        place: place.clone(),
        repository: OnceLock::new(),
        documents: Mutex::default(),
        kinds: Mutex::default(),
        local: Mutex::default(),
        cache: access.cache.map(Cache::again),
        scratch: access.scratch.clone(),
    };
    let root = blobs.root()?;
    let (image, mut notes) = load(&place, &blobs, root)?;
    notes.extend(registries.take_notes());
    Ok(RemoteImage { image, blobs, notes })
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Registries keep it apart from blobs.
    Manifest,
    Config,
}

/// The blobs of a repository.
pub(super) struct RemoteBlobs {
    registries: Arc<Registries>,
    reference: ImageReference,
    /// What messages call it.
    place: String,
    repository: OnceLock<RemoteRepository>,
    /// The documents that were read.
    documents: Mutex<BTreeMap<Digest, Vec<u8>>>,
    /// What documents are that were named.
    kinds: Mutex<BTreeMap<Digest, Kind>>,
    /// Blobs that were fetched.
    local: Mutex<BTreeMap<Digest, Arc<File>>>,
    cache: Option<Cache>,
    scratch: Scratch,
}

impl RemoteBlobs {
    /// The repository, once something of it is needed.
    fn repository(&self) -> Result<&RemoteRepository, RegistryError> {
        if let Some(repository) = self.repository.get() {
            return Ok(repository);
        }
        let made = RemoteRepository::new(&self.registries, self.reference.repository(), &Intent::Pull)?;
        Ok(self.repository.get_or_init(|| made))
    }

    /// The descriptor of what the reference names.
    fn root(&self) -> Result<Descriptor, TransportError> {
        let kept = self.reference.digest().and_then(|digest| Some((*digest, self.kept_document(digest)?)));
        let (digest, bytes, kind) = match kept {
            Some((digest, bytes)) => (digest, bytes, String::new()),
            None => {
                let repository = self.repository()?;
                let manifest = repository.manifest(self.reference.tag(), self.reference.digest())?;
                (manifest.digest, manifest.bytes, manifest.media_type)
            }
        };
        let kind = if kind.is_empty() { kind_of(&bytes) } else { kind };
        let size = bytes.len() as u64;
        self.add_document(digest, bytes);
        Ok(oci::descriptor(MediaType::from(kind.as_str()), &digest, size))
    }

    /// Keeps a document in memory. What an index lists are manifests, and what a manifest names is a config.
    fn add_document(&self, digest: Digest, bytes: Vec<u8>) {
        let digest_of = |descriptor: &Descriptor| descriptor.digest().to_string().parse().ok();
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(index) = oci::read_document::<ImageIndex>(&bytes) {
            let digests = index.manifests().iter().filter_map(digest_of);
            kinds.extend(digests.map(|digest| (digest, Kind::Manifest)));
        } else if let Ok(manifest) = oci::read_document::<ImageManifest>(&bytes) {
            kinds.extend(digest_of(manifest.config()).map(|digest| (digest, Kind::Config)));
        }
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, bytes);
    }

    fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// A document that the registry has.
    fn remote_document(&self, blob: &Blob, kind: Kind) -> Result<Vec<u8>, StoreError> {
        let Blob { digest, size } = blob;
        let failed = |error| self.failed(blob, error);
        let repository = self.repository().map_err(failed)?;
        match kind {
            Kind::Manifest => Ok(repository.manifest(None, Some(digest)).map_err(failed)?.bytes),
            Kind::Config => {
                let mut bytes = Vec::new();
                repository
                    .blob(digest, *size)
                    .map_err(failed)?
                    .read_to_end(&mut bytes)
                    .map_err(|error| self.unreadable(blob, error))?;
                Ok(bytes)
            }
        }
    }

    /// A document that the cache has. It is hashed: the cache knows names, not contents.
    fn kept_document(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = self.piece(digest, 0)?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// A piece of a blob that the cache has.
    fn piece(&self, digest: &Digest, number: u64) -> Option<Vec<u8>> {
        let kept = self.cache.as_ref()?.get(&name_of(digest, number), Vec::new()).ok()?;
        Some(kept.bytes().to_vec())
    }

    fn failed(&self, blob: &Blob, error: RegistryError) -> StoreError {
        if error.is_not_found() {
            return StoreError::Missing { blob: blob.digest.to_string(), place: self.place.clone() };
        }
        self.unreadable(blob, io::Error::other(error))
    }

    fn unreadable(&self, blob: &Blob, error: io::Error) -> StoreError {
        match ScratchError::of(error) {
            Ok(error) => StoreError::Scratch(error),
            Err(error) => StoreError::Read { what: format!("blob {} of {}", blob.digest, self.place), error },
        }
    }

    /// Fetches a blob into a temporary file, and then into the cache.
    fn keep(&self, blob: &Blob, progress: &dyn Progress) -> Result<(), StoreError> {
        let failed = |error| self.unreadable(blob, error);
        let mut file = self.scratch.file().map_err(failed)?;
        io::copy(&mut Reporting::new(self.open(blob)?, progress), &mut file).map_err(failed)?;
        let file = file.into_file();
        if let Some(cache) = &self.cache {
            let mut piece = Vec::new();
            for number in 0..blob.size.div_ceil(PIECE) {
                let length = PIECE.min(blob.size - number * PIECE);
                piece.resize(length as usize, 0);
                file.read_exact_at(&mut piece, number * PIECE).map_err(failed)?;
                cache.put(&name_of(&blob.digest, number), &piece);
            }
        }
        self.local.lock().unwrap_or_else(PoisonError::into_inner).insert(blob.digest, Arc::new(file));
        Ok(())
    }
}

/// The name of a piece in the cache.
fn name_of(digest: &Digest, number: u64) -> Digest {
    Digest::of(format!("piece {number} of {PIECE} bytes of the blob {digest}").as_bytes())
}

/// What a document is by its own words.
fn kind_of(bytes: &[u8]) -> String {
    let document: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    match document.get("mediaType").and_then(|kind| kind.as_str()) {
        Some(kind) => kind.to_string(),
        None if document.get("manifests").is_some() => MediaType::ImageIndex.to_string(),
        None => MediaType::ImageManifest.to_string(),
    }
}

impl Blobs for RemoteBlobs {
    fn open(&self, blob: &Blob) -> Result<Box<dyn Read + Send + '_>, StoreError> {
        let Blob { digest, size } = *blob;
        let kind = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).copied();
        if let Some(kind) = kind.filter(|_| size <= DOCUMENT_MAX)
            && self.document(&digest).is_none()
        {
            let bytes = match self.kept_document(&digest) {
                Some(bytes) => bytes,
                None => self.remote_document(blob, kind)?,
            };
            self.add_document(digest, bytes);
        }
        if let Some(bytes) = self.document(&digest) {
            return Ok(Box::new(Verifying::new(io::Cursor::new(bytes), digest, size)));
        }
        if let Some(file) = self.local.lock().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            return Ok(Box::new(Verifying::new(FileReader { file: file.clone(), at: 0 }, digest, size)));
        }
        let mut pieces = Pieces { blobs: self, blob: *blob, at: 0, piece: io::Cursor::default(), rest: None };
        // What is not there is known before anything is read.
        pieces.fill().map_err(|error| match error.downcast::<RegistryError>() {
            Ok(error) => self.failed(blob, error),
            Err(error) => self.unreadable(blob, error),
        })?;
        Ok(Box::new(Verifying::new(pieces, digest, size)))
    }

    fn fetch(&self, wanted: &[Blob], progress: &dyn Progress) -> Result<(), StoreError> {
        let mut distinct: Vec<Blob> = Vec::new();
        for blob in wanted {
            let known = |other: &Blob| other.digest == blob.digest;
            let is_here = self.local.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&blob.digest);
            if !is_here && !distinct.iter().any(known) {
                distinct.push(*blob);
            }
        }
        progress.event(Event::Total(distinct.iter().fold(0_u64, |size, blob| size.saturating_add(blob.size))));
        // Large ones first: they take the longest.
        distinct.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let threads = Threads::working(TOGETHER.min(distinct.len()));
        in_order(threads, usize::MAX, distinct, || (), |blob, ()| self.keep(&blob, progress), |kept| kept)?;
        if let Some(cache) = &self.cache {
            for (digest, bytes) in &*self.documents.lock().unwrap_or_else(PoisonError::into_inner) {
                cache.put(&name_of(digest, 0), bytes);
            }
            cache.trim();
        }
        Ok(())
    }
}

/// A blob of which the cache has the first pieces, or all, or none.
struct Pieces<'a> {
    blobs: &'a RemoteBlobs,
    blob: Blob,
    at: u64,
    piece: io::Cursor<Vec<u8>>,
    rest: Option<Resuming>,
}

impl Pieces<'_> {
    /// Finds the next bytes; afterwards there is a piece or the rest, unless it is the end.
    fn fill(&mut self) -> io::Result<()> {
        let Pieces { blobs, blob, at, .. } = self;
        if *at >= blob.size || self.rest.is_some() || self.piece.position() < self.piece.get_ref().len() as u64 {
            return Ok(());
        }
        let length = PIECE.min(blob.size - *at);
        match blobs.piece(&blob.digest, *at / PIECE).filter(|piece| piece.len() as u64 == length) {
            Some(piece) => self.piece = io::Cursor::new(piece),
            None => {
                let repository = blobs.repository().map_err(io::Error::other)?;
                self.rest = Some(repository.blob_from(&blob.digest, blob.size, *at).map_err(io::Error::other)?);
            }
        }
        Ok(())
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let count = match &mut self.rest {
            Some(rest) => rest.read(buffer)?,
            None => self.piece.read(buffer)?,
        };
        self.at += count as u64;
        Ok(count)
    }
}

/// A file that several read at once.
struct FileReader {
    file: Arc<File>,
    at: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
