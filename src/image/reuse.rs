//! What need not be made again: by this build for another platform, or by earlier builds.
//!
//! Two questions are asked of each segment of a layer. *Is it one that was seen before?* is answered without reading it, by its
//! key: names, metadata, and the states of its files (device, inode, size, both times to the nanosecond). A state counts only
//! when it was old enough to be no other's ([`crate::tree::Stamp::settled_at`]) and its file system has a clock
//! ([`Content::is_clocked`]). *What are these bytes packed?* is answered by
//! their digest: so a tree that was copied, or checked out again, is read and hashed but not packed again.
//!
//! The outline of a layer says of each segment what its key and its digest were, and where the digest of the whole tar stood behind
//! it. As long as the segments are those of the outline, nothing of them is read.
//!
//! What comes out never depends on any of this; only the time it takes does.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::cache::Cache;
use super::segment::Segment;
use super::store::{Blob, BlobStore};
use crate::codec::compress::{Coded, Compression, writer_id};
use crate::digest::{Digest, Hasher, HasherState};
use crate::input;
use crate::tree::{Content, writeback_seconds};

/// What was made before, and may be used again.
pub struct Reuse<'a> {
    cache: Option<&'a Cache>,
    /// When the build began, in seconds since 1970.
    began: i64,
    /// What did not change since then is on the disk, in seconds since 1970.
    written: i64,
    /// Where blobs of earlier builds lie, named by their digests.
    stores: Vec<PathBuf>,
    /// Whether another layer may ask for what this build packs.
    shared: bool,
    memory: Mutex<Memory>,
}

/// What this build knows.
#[derive(Default)]
struct Memory {
    /// Of each device whether the times of its files are to be believed.
    clocked: BTreeMap<u64, bool>,
    /// Of each device whether all that was written to it is on the disk.
    written_back: BTreeMap<u64, bool>,
    /// The digest of each segment, by its key.
    digests: BTreeMap<Digest, Digest>,
    /// Where this build put a segment, by its digest.
    places: BTreeMap<Digest, Place>,
    /// What whole layers became, by their keys.
    layers: Vec<(Vec<Digest>, Packed)>,
}

/// A part of a blob of this build.
#[derive(Clone)]
struct Place {
    blob: Arc<File>,
    offset: u64,
    length: usize,
}

/// A layer that was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// The blob.
    pub blob: Blob,
    /// The digest of the tar.
    pub diff_id: Digest,
    /// The size of the tar, in bytes.
    pub size: u64,
}

/// One segment of a layer that was packed.
#[derive(Clone)]
pub(super) struct Record {
    /// What distinguishes it from all others without reading it.
    pub key: Option<Digest>,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The state of the tar's hash after it.
    pub after: HasherState,
}

/// How a layer was packed, segment by segment.
pub(super) struct Outline {
    pub packed: Packed,
    pub records: Vec<Record>,
}

impl<'a> Reuse<'a> {
    /// For a build that `began` then, before any source was looked at. `stores` are folders with the blobs of earlier builds;
    /// `layers` is how many layers this build makes at most.
    pub fn new(cache: Option<&'a Cache>, began: SystemTime, stores: Vec<PathBuf>, layers: usize) -> Reuse<'a> {
        let began = began.duration_since(UNIX_EPOCH).ok().and_then(|began| i64::try_from(began.as_secs()).ok());
        let began = began.unwrap_or(i64::MIN);
        let written = began.saturating_sub(writeback_seconds());
        Reuse { cache, began, written, stores, shared: layers > 1, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Every change of it is one insertion, so what a thread that panicked leaves is whole.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is worth to know the digests of segments of this kind.
    pub(super) fn is_worth_it(&self, compression: Compression) -> bool {
        compression != Compression::None && (self.shared || self.cache.is_some())
    }

    /// What distinguishes a segment from all others without reading it, where the states of its files can be believed.
    pub(super) fn key(&self, segment: &Segment<'_>) -> Option<Digest> {
        segment.key(&|content, stamp| {
            stamp.settled_at(self.began)
                && self.is_clocked(content, stamp.device)
                && (stamp.changed.0 < self.written || self.is_written_back(content, stamp.device))
        })
    }

    /// Makes sure, once for each device, that what is read from now on cannot change without another time.
    fn is_written_back(&self, content: &Content, device: u64) -> bool {
        *self.memory().written_back.entry(device).or_insert_with(|| content.is_written_back())
    }

    fn is_clocked(&self, content: &Content, device: u64) -> bool {
        *self.memory().clocked.entry(device).or_insert_with(|| content.is_clocked())
    }

    /// The layer of this build that had all of these keys.
    pub(super) fn layer(&self, keys: &[Option<Digest>]) -> Option<Packed> {
        let keys: Vec<Digest> = keys.iter().copied().collect::<Option<_>>()?;
        let memory = self.memory();
        memory.layers.iter().find(|(known, _)| *known == keys).map(|(_, packed)| *packed)
    }

    /// Whether this build has made a layer yet.
    pub(super) fn has_layers(&self) -> bool {
        !self.memory().layers.is_empty()
    }

    /// The digest of the segment with this key.
    pub(super) fn digest(&self, key: &Digest) -> Option<Digest> {
        self.memory().digests.get(key).copied()
    }

    /// The bytes of this digest, packed; the buffer comes back when they are not there.
    pub(super) fn packed(
        &self,
        digest: &Digest,
        compression: Compression,
        mut buffer: Vec<u8>,
    ) -> Result<Coded, Vec<u8>> {
        let place = self.memory().places.get(digest).cloned();
        if let Some(place) = place {
            if buffer.len() < place.length {
                buffer.resize(place.length, 0);
            }
            if place.blob.read_exact_at(&mut buffer[..place.length], place.offset).is_ok() {
                return Ok(Coded { buffer, length: place.length });
            }
        }
        match self.cache {
            Some(cache) => cache.get(&name_of("segment", compression, digest.as_bytes()), buffer),
            None => Err(buffer),
        }
    }

    /// Keeps packed bytes for other builds.
    pub(super) fn keep(&self, digest: &Digest, compression: Compression, packed: &[u8]) {
        if let Some(cache) = self.cache {
            cache.put(&name_of("segment", compression, digest.as_bytes()), packed);
        }
    }

    /// How the layer of this name was packed the last time.
    pub(super) fn outline(&self, layer: &str, compression: Compression) -> Option<Outline> {
        let bytes = self.cache?.get(&name_of("outline", compression, layer.as_bytes()), Vec::new()).ok()?;
        let outline = Outline::parse(bytes.bytes())?;
        let mut memory = self.memory();
        for record in &outline.records {
            memory.digests.extend(record.key.map(|key| (key, record.digest)));
        }
        Some(outline)
    }

    /// Remembers how a layer was packed: for this build, and for others.
    pub(super) fn remember(
        &self,
        layer: &str,
        compression: Compression,
        outline: &Outline,
        blob: &Path,
        lengths: &[usize],
    ) {
        if let Some(cache) = self.cache {
            cache.put(&name_of("outline", compression, layer.as_bytes()), &outline.to_bytes());
        }
        let mut memory = self.memory();
        for record in &outline.records {
            memory.digests.extend(record.key.map(|key| (key, record.digest)));
        }
        let keys: Option<Vec<Digest>> = outline.records.iter().map(|record| record.key).collect();
        memory.layers.extend(keys.map(|keys| (keys, outline.packed)));
        if let (true, Ok(blob)) = (self.shared, input::open_itself(blob)) {
            let (blob, mut offset) = (Arc::new(blob), 0);
            for (record, &length) in outline.records.iter().zip(lengths) {
                memory.places.entry(record.digest).or_insert_with(|| Place { blob: blob.clone(), offset, length });
                offset += length as u64;
            }
        }
    }

    /// Takes the blob of an earlier build into the store, when one of the stores still holds it and its digest is right.
    pub(super) fn take(&self, blob: &Blob, store: &BlobStore) -> bool {
        self.stores.iter().any(|folder| store.copy_from(folder, blob))
    }
}

/// The name of something in the cache.
fn name_of(kind: &str, compression: Compression, what: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    for part in [kind.as_bytes(), writer_id(compression).as_bytes(), what] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finish()
}

impl Outline {
    /// Whether the segments with these keys are the whole layer.
    pub fn is(&self, keys: &[Option<Digest>]) -> bool {
        keys.len() == self.records.len()
            && keys.iter().zip(&self.records).all(|(key, record)| key.is_some() && *key == record.key)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let Packed { blob, diff_id, size } = &self.packed;
        out.extend_from_slice(blob.digest.as_bytes());
        out.extend_from_slice(&blob.size.to_le_bytes());
        out.extend_from_slice(diff_id.as_bytes());
        out.extend_from_slice(&size.to_le_bytes());
        for record in &self.records {
            // No key is a digest of something, so zeros say that there is none.
            out.extend_from_slice(record.key.as_ref().map_or(&[0; 32], Digest::as_bytes).as_slice());
            out.extend_from_slice(record.digest.as_bytes());
            out.extend_from_slice(record.after.as_bytes());
        }
        out
    }

    fn parse(mut bytes: &[u8]) -> Option<Outline> {
        let digest = |bytes: &mut &[u8]| take(bytes).map(Digest::from_bytes);
        let number = |bytes: &mut &[u8]| take(bytes).map(u64::from_le_bytes);
        let blob = Blob { digest: digest(&mut bytes)?, size: number(&mut bytes)? };
        let packed = Packed { blob, diff_id: digest(&mut bytes)?, size: number(&mut bytes)? };
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let key = take(&mut bytes)?;
            let key = (key != [0; 32]).then(|| Digest::from_bytes(key));
            let record = Record { key, digest: digest(&mut bytes)?, after: HasherState::from_bytes(take(&mut bytes)?) };
            // Another version of the library may put its state down in another form.
            Hasher::resume(&record.after)?;
            records.push(record);
        }
        Some(Outline { packed, records })
    }
}

/// The next bytes.
fn take<const COUNT: usize>(bytes: &mut &[u8]) -> Option<[u8; COUNT]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}
