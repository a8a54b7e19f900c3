//! An image on its way into a registry: everything but its tags first.
//!
//! Blobs, then the manifests of the platforms under their digests: nobody sees them. The tags come last, when all else is there, so a
//! tag never names what is not whole. Where a tag has the digest already, nothing is sent: also a repository whose tags cannot be
//! changed takes the same image twice.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::TransportError;
use super::load::is_document;
use super::naming::Names;
use crate::image::{Blob, Blobs, Image, read_small};
use crate::oci::{BASE_NAME, Descriptor};
use crate::parallel::{Threads, in_order};
use crate::progress::{Event, Progress};
use crate::reference::{ImageReference, Repository, Tag};
use crate::registry::{BlobSource, Intent, PushedBlob, Registries, RegistryError, RemoteRepository};

/// How many blobs are sent at once.
const TOGETHER: usize = 4;

/// An image that is in a registry whole, and has no tag there yet.
pub(super) struct Untagged {
    repository: RemoteRepository,
    root: Vec<u8>,
    media_type: String,
    /// The tags that do not have it yet.
    tags: Vec<Tag>,
    /// What the user may want to know.
    pub notes: Vec<String>,
}

/// How many blobs came to be there how.
#[derive(Default)]
struct Count {
    sent: usize,
    bytes: u64,
    mounted: usize,
    present: usize,
}

impl Untagged {
    /// Sends an image, unless its tags have it.
    pub fn prepare(
        image: &Image,
        blobs: &dyn Blobs,
        reference: &ImageReference,
        names: &Names,
        registries: &Arc<Registries>,
        progress: &dyn Progress,
    ) -> Result<Untagged, TransportError> {
        let failed = TransportError::Push;
        let repository = RemoteRepository::new(registries, reference.repository(), &Intent::Push(bases(image)));
        let repository = repository.map_err(failed)?;
        let root = Blob::of(&image.root)?;
        let (mut tags, mut notes) = (Vec::new(), Vec::new());
        for tag in names.tag_list() {
            match repository.tag_digest(tag).map_err(failed)? {
                Some(digest) if digest == root.digest => {
                    notes.push(format!("unchanged: {tag} has this digest already"))
                }
                _ => tags.push(tag.clone()),
            }
        }
        let media_type = image.root.media_type().to_string();
        let mut untagged = Untagged { repository, root: read_small(blobs, &image.root)?, media_type, tags, notes };
        if !untagged.tags.is_empty() {
            let all = image.blobs();
            let (documents, contents): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|one| is_document(one.media_type()));
            let contents = contents.into_iter().map(Blob::of).collect::<Result<Vec<_>, _>>()?;
            let count = untagged.send(blobs, contents, progress)?;
            for child in documents.into_iter().filter(|child| child.digest() != image.root.digest()) {
                untagged.put(blobs, child)?;
            }
            untagged.notes.push(count.to_string());
        }
        untagged.notes.extend(registries.take_notes());
        Ok(untagged)
    }

    /// Sends blobs, several at once, the large ones first.
    fn send(&self, blobs: &dyn Blobs, mut wanted: Vec<Blob>, progress: &dyn Progress) -> Result<Count, TransportError> {
        progress.event(Event::Total(wanted.iter().fold(0, |size, blob| size.saturating_add(blob.size))));
        wanted.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let threads = Threads::working(TOGETHER.min(wanted.len()));
        let mut count = Count::default();
        let work = |blob: Blob, (): &mut ()| (blob, push(&self.repository, blobs, &blob, progress));
        in_order(
            threads,
            usize::MAX,
            wanted,
            || (),
            work,
            |(blob, pushed)| {
                match pushed.map_err(TransportError::Push)? {
                    PushedBlob::Present => count.present += 1,
                    PushedBlob::Mounted => count.mounted += 1,
                    PushedBlob::Sent => {
                        count.sent += 1;
                        count.bytes += blob.size;
                    }
                }
                Ok::<(), TransportError>(())
            },
        )?;
        Ok(count)
    }

    fn put(&self, blobs: &dyn Blobs, child: &Descriptor) -> Result<(), TransportError> {
        let bytes = read_small(blobs, child)?;
        let put = self.repository.put_manifest(&bytes, child.media_type().as_ref(), &[]);
        put.map(drop).map_err(TransportError::Push)
    }

    /// Gives it its tags.
    pub fn publish(self) -> Result<(), TransportError> {
        if self.tags.is_empty() {
            return Ok(());
        }
        let put = self.repository.put_manifest(&self.root, &self.media_type, &self.tags);
        put.map(drop).map_err(TransportError::Push)
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Count { sent, bytes, mounted, present } = self;
        write!(f, "blobs: {sent} sent ({bytes} bytes), {mounted} mounted, {present} were there")
    }
}

/// The repositories that the image says it stands on.
fn bases(image: &Image) -> Vec<Repository> {
    let mut bases = Vec::new();
    for platform in &image.platforms {
        let name = platform.manifest.annotations().as_ref().and_then(|annotations| annotations.get(BASE_NAME));
        let reference = name.and_then(|name| name.parse::<ImageReference>().ok());
        if let Some(base) = reference.map(|reference| reference.repository().clone())
            && !bases.contains(&base)
        {
            bases.push(base);
        }
    }
    bases
}

fn push(
    repository: &RemoteRepository,
    blobs: &dyn Blobs,
    blob: &Blob,
    progress: &dyn Progress,
) -> Result<PushedBlob, RegistryError> {
    // What is sent again after a break is not counted again.
    let high = AtomicU64::new(0);
    let open = |from: u64| -> io::Result<Box<dyn Read + Send + '_>> {
        let mut reader = blobs.open(blob).map_err(io::Error::other)?;
        if io::copy(&mut (&mut reader).take(from), &mut io::sink())? < from {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Box::new(Counting { inner: reader, at: from, high: &high, progress }))
    };
    let pushed = repository.push_blob(&BlobSource { digest: blob.digest, size: blob.size, open: &open })?;
    progress.event(Event::Bytes(blob.size.saturating_sub(high.load(Ordering::Relaxed))));
    Ok(pushed)
}

/// A reader that reports bytes the first time they are read.
struct Counting<'a> {
    inner: Box<dyn Read + Send + 'a>,
    at: u64,
    high: &'a AtomicU64,
    progress: &'a dyn Progress,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at += count as u64;
        let before = self.high.fetch_max(self.at, Ordering::Relaxed);
        self.progress.event(Event::Bytes(self.at.saturating_sub(before)));
        Ok(count)
    }
}
