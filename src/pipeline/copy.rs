//! Images from place to place, unchanged; several become one index.
//!
//! An image is copied with all that its index leads to, attestations too, and keeps its digest. Where platforms are selected, or several
//! images are put together, the manifests keep their digests and get a new index. One platform alone is its manifest, without
//! an index.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use super::build::publish;
use super::error::BuildError;
use crate::digest::{Digest, Verifying};
use crate::image::{Blob, BlobStore, Blobs, Finished, Image, PlatformImage, StoreError};
use crate::oci::{self, Annotations, CONTAINERD_NAME, Descriptor, MediaType, REF_NAME};
use crate::platform::Platform;
use crate::progress::{Action, Event, Progress, Step};
use crate::reference::{Repository, Tag, split_tag};
use crate::transport::{self, Access, Opened, Place, WriteOptions, Written};

/// Images that are to be copied.
#[derive(Clone, Copy)]
pub struct Copying<'a> {
    /// Where they are. Several become one image.
    pub from: &'a [Place],
    /// Where they go to.
    pub to: &'a [Place],
    /// The platforms that are copied; all when there is none.
    pub platforms: &'a [Platform],
    /// How places are read.
    pub access: Access<'a>,
    /// How places are written.
    pub write: &'a WriteOptions,
    /// Where temporary files may lie when no place has a folder.
    pub temporary: &'a Path,
}

/// An image that was copied.
#[non_exhaustive]
pub struct Copied {
    /// The digest of what its tags name.
    pub digest: Digest,
    /// The image.
    pub image: Image,
    /// What was written, in the order of the places.
    pub written: Vec<Written>,
}

/// Copies images. `stdout` is where the place `-` leads to.
///
/// # Errors
/// When a place cannot be read or written, has no image or none of the platforms, or two images are for the same platform.
pub fn copy(copying: &Copying<'_>, stdout: &mut dyn Write, progress: &dyn Progress) -> Result<Copied, BuildError> {
    copying.to.iter().try_for_each(transport::check)?;
    let mut sources = Vec::new();
    for place in copying.from {
        progress.step(Step::new(Action::ReadPlace(place.to_string())));
        let Opened::Image { image, blobs, notes } = transport::open(place, &copying.access, progress)? else {
            return Err(BuildError::NoImage(place.to_string()));
        };
        notes.iter().for_each(|note| progress.note(note));
        sources.push((place, image, blobs));
    }
    let (name, tag) = sources.first().map(|(place, ..)| name_of(place)).unwrap_or_default();
    let mut blobs = Joined { documents: BTreeMap::new(), sources: Vec::new() };
    let image = match &sources[..] {
        [(_, image, _)] if copying.platforms.is_empty() => image.clone(),
        _ => together(copying, &sources, &mut blobs.documents)?,
    };
    blobs.sources.extend(sources.into_iter().map(|(_, _, source)| source));
    // From here on it is known what is copied. Nothing was written.

    let digest = Blob::of(&image.root)?.digest;
    let finished = Finished { image, name, tags: tag.into_iter().collect() };
    let is_local = |place: &&Place| !matches!(place, Place::Registry(_));
    let store = match copying.to.iter().find(is_local) {
        Some(_) => Some(gather(copying, &finished.image, &blobs, progress)?),
        None => None,
    };
    let mut pending = Vec::new();
    for place in copying.to {
        pending.push(match (place, &store) {
            #[cfg(feature = "registry")]
            (Place::Registry(reference), _) => {
                transport::prepare_remote(&finished, &blobs, reference, copying.write, progress)?
            }
            (place, Some(store)) => transport::prepare_image(&finished, store, place, copying.write, progress)?,
            (place, None) => return Err(BuildError::NoImage(place.to_string())),
        });
    }
    let written = publish(pending, stdout, progress)?;
    Ok(Copied { digest, image: finished.image, written })
}

/// All blobs of an image in a private folder beside the first place that has one.
fn gather(
    copying: &Copying<'_>,
    image: &Image,
    blobs: &dyn Blobs,
    progress: &dyn Progress,
) -> Result<BlobStore, BuildError> {
    let folder = copying.to.iter().find_map(Place::temporary_folder);
    let store = BlobStore::begin(folder.as_deref().unwrap_or(copying.temporary))?;
    let all = image.blobs();
    progress.event(Event::Total(all.iter().fold(0, |size, blob| size.saturating_add(blob.size()))));
    for descriptor in all {
        store.adopt(blobs, descriptor, progress)?;
    }
    Ok(store)
}

/// The platforms that are copied, of all images, under a new index; a single one by itself.
fn together(
    copying: &Copying<'_>,
    sources: &[(&Place, Image, Box<dyn Blobs>)],
    documents: &mut BTreeMap<Digest, Vec<u8>>,
) -> Result<Image, BuildError> {
    let mut chosen: Vec<(&Place, PlatformImage)> = Vec::new();
    for (place, image, _) in sources {
        for platform in &image.platforms {
            let is_wanted = |wanted: &Platform| platform.platform.known() == Some(wanted);
            if !copying.platforms.is_empty() && !copying.platforms.iter().any(is_wanted) {
                continue;
            }
            if let Some((other, _)) = chosen.iter().find(|(_, known)| known.platform == platform.platform) {
                return Err(BuildError::TwoImages {
                    platform: platform.platform.clone(),
                    places: [other.to_string(), place.to_string()],
                });
            }
            let mut platform = platform.clone();
            platform.manifest_descriptor = listed(&platform);
            chosen.push((place, platform));
        }
    }
    let has = |wanted: &&Platform| chosen.iter().any(|(_, image)| image.platform.known() == Some(*wanted));
    let missing: Vec<Platform> = copying.platforms.iter().filter(|wanted| !has(wanted)).cloned().collect();
    if !missing.is_empty() {
        return Err(BuildError::NoPlatform {
            place: copying.from.iter().map(Place::to_string).collect::<Vec<_>>().join(", "),
            wanted: missing,
            found: sources.iter().flat_map(|(_, image, _)| &image.platforms).map(|one| one.platform.clone()).collect(),
        });
    }
    let platforms: Vec<PlatformImage> = chosen.into_iter().map(|(_, image)| image).collect();
    if let [only] = &platforms[..] {
        let root = only.manifest_descriptor.clone();
        return Ok(Image { root, index_annotations: Annotations::new(), platforms, others: Vec::new() });
    }
    let annotations = match sources {
        [(_, image, _)] => image.index_annotations.clone(),
        _ => Annotations::new(),
    };
    let children = platforms.iter().map(|image| image.manifest_descriptor.clone()).collect();
    let index = oci::canonical(&oci::index(children, &annotations));
    let digest = Digest::of(&index);
    let root = oci::descriptor(MediaType::ImageIndex, &digest, index.len() as u64);
    documents.insert(digest, index);
    Ok(Image { root, index_annotations: annotations, platforms, others: Vec::new() })
}

/// The descriptor of a manifest as an index has it: with its platform, and without the names of a layout.
fn listed(image: &PlatformImage) -> Descriptor {
    let mut descriptor = image.manifest_descriptor.clone();
    if descriptor.platform().is_none() {
        descriptor.set_platform(image.platform.known().map(oci::platform_of));
    }
    let mut annotations = descriptor.annotations().clone().unwrap_or_default();
    annotations.retain(|key, _| key != REF_NAME && key != CONTAINERD_NAME);
    descriptor.set_annotations(Some(annotations).filter(|annotations| !annotations.is_empty()));
    descriptor
}

/// What an image is called where it is.
fn name_of(place: &Place) -> (Option<Repository>, Option<Tag>) {
    match place {
        Place::Registry(reference) => (Some(reference.repository().clone()), reference.tag().cloned()),
        Place::Layout { reference: Some(text), .. } | Place::Archive { reference: Some(text), .. } => {
            match (text.parse(), split_tag(text)) {
                (Ok(tag), _) => (None, Some(tag)),
                (Err(_), (name, tag)) => (name.parse().ok(), tag.and_then(|tag| tag.parse().ok())),
            }
        }
        _ => (None, None),
    }
}

/// The blobs of several places, and the documents that were made of theirs.
struct Joined {
    documents: BTreeMap<Digest, Vec<u8>>,
    sources: Vec<Box<dyn Blobs>>,
}

impl Blobs for Joined {
    fn open(&self, blob: &Blob) -> Result<Box<dyn Read + Send + '_>, StoreError> {
        if let Some(bytes) = self.documents.get(&blob.digest) {
            return Ok(Box::new(Verifying::new(bytes.as_slice(), blob.digest, blob.size)));
        }
        let mut missing = None;
        for source in &self.sources {
            match source.open(blob) {
                Err(error @ StoreError::Missing { .. }) => missing = missing.or(Some(error)),
                opened => return opened,
            }
        }
        Err(missing.unwrap_or_else(|| StoreError::Missing { blob: blob.digest.to_string(), place: "no place".into() }))
    }
}
