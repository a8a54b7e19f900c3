//! From a root descriptor to an image: its documents, read, proved and checked against each other.
//!
//! Decisions, where the specs are silent: an index may lead to indexes, four deep. What is no container image
//! (attestations, other artifacts) is left out with a note, and so is a platform whose manifest is not there: `docker
//! save` writes such indexes. When nothing is left, that is an error. The config tells the platform; an index that
//! says something else gets a note.

use std::collections::BTreeSet;

use super::error::TransportError;
use crate::image::{Blobs, Image, PlatformImage, StoreError, read_small};
use crate::oci::{self, Annotations, Configuration, Descriptor, ImageIndex, ImageManifest, MediaType};

/// How deep indexes may be nested.
const DEPTH_MAX: usize = 4;

/// How many bytes the documents of one image may have together. Hundreds of platforms fit in it.
const DOCUMENTS_MAX: u64 = 32 << 20;

/// Reads the image of a root descriptor, and tells what was left out.
pub(super) fn load(place: &str, blobs: &dyn Blobs, root: Descriptor) -> Result<(Image, Vec<String>), TransportError> {
    let mut loader = Loader {
        place,
        blobs,
        left: DOCUMENTS_MAX,
        seen: BTreeSet::new(),
        annotations: Annotations::new(),
        platforms: Vec::new(),
        notes: Vec::new(),
    };
    loader.enter(&root, 0)?;
    let Loader { annotations, platforms, notes, .. } = loader;
    if platforms.is_empty() {
        let mut fault = format!("no container image in {}", root.digest());
        notes.iter().for_each(|note| fault += &format!("; {note}"));
        return Err(TransportError::Malformed { place: place.to_string(), fault });
    }
    Ok((Image { root, index_annotations: annotations, platforms }, notes))
}

struct Loader<'a> {
    place: &'a str,
    blobs: &'a dyn Blobs,
    left: u64,
    seen: BTreeSet<String>,
    annotations: Annotations,
    platforms: Vec<PlatformImage>,
    notes: Vec<String>,
}

impl Loader<'_> {
    fn enter(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), TransportError> {
        // The same manifest again is the same image again.
        if !self.seen.insert(descriptor.digest().to_string()) {
            return Ok(());
        }
        if is_index(descriptor.media_type()) {
            if depth >= DEPTH_MAX {
                return Err(self.malformed(format!("indexes nested too deeply: {}", descriptor.digest())));
            }
            let index: ImageIndex = self.document("index", descriptor)?;
            if depth == 0 {
                self.annotations = index.annotations().clone().into_iter().flatten().collect();
            }
            for child in index.manifests() {
                match self.enter(child, depth + 1) {
                    Err(TransportError::Store(StoreError::Missing { blob, .. }))
                        if blob == child.digest().to_string() =>
                    {
                        self.notes.push(format!("{} is in the index and not there: {blob}", platform_of(child)));
                    }
                    entered => entered?,
                }
            }
            return Ok(());
        }
        if !is_manifest(descriptor.media_type()) {
            return self.leave_out(descriptor, descriptor.media_type().as_ref());
        }
        let manifest: ImageManifest = self.document("manifest", descriptor)?;
        if !is_config(manifest.config().media_type()) {
            let kind = manifest.artifact_type().as_ref().unwrap_or(manifest.config().media_type()).to_string();
            return self.leave_out(descriptor, &kind);
        }
        if descriptor.platform().as_ref().is_some_and(|platform| platform.os().to_string() == "unknown") {
            return self.leave_out(descriptor, "an attestation");
        }
        let bytes = self.bytes(manifest.config())?;
        let configuration = Configuration::parse(&bytes)
            .map_err(|error| self.malformed(format!("config {}: {error}", manifest.config().digest())))?;
        let (layers, diff_ids) = (manifest.layers().len(), configuration.diff_ids().len());
        if layers != diff_ids {
            return Err(self.malformed(format!(
                "the manifest names {layers} layers and its config {diff_ids}: {}",
                descriptor.digest()
            )));
        }
        let platform = configuration.platform();
        if descriptor.platform().is_some() && platform_of(descriptor) != platform_words(&platform) {
            let index = platform_of(descriptor);
            self.notes.push(format!("the index says {index}, the config says {platform}: {}", descriptor.digest()));
        }
        let manifest_descriptor = descriptor.clone();
        self.platforms.push(PlatformImage { platform, manifest_descriptor, manifest, configuration });
        Ok(())
    }

    fn leave_out(&mut self, descriptor: &Descriptor, kind: &str) -> Result<(), TransportError> {
        self.notes.push(format!("left out, as it is no container image but {kind}: {}", descriptor.digest()));
        Ok(())
    }

    fn document<T: serde::de::DeserializeOwned>(
        &mut self,
        kind: &str,
        descriptor: &Descriptor,
    ) -> Result<T, TransportError> {
        let bytes = self.bytes(descriptor)?;
        oci::read_document(&bytes).map_err(|error| self.malformed(format!("{kind} {}: {error}", descriptor.digest())))
    }

    fn bytes(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>, TransportError> {
        self.left = self
            .left
            .checked_sub(descriptor.size().min(oci::DOCUMENT_MAX + 1))
            .ok_or_else(|| self.malformed(format!("its documents have more than {DOCUMENTS_MAX} bytes")))?;
        Ok(read_small(self.blobs, descriptor)?)
    }

    fn malformed(&self, fault: String) -> TransportError {
        TransportError::Malformed { place: self.place.to_string(), fault }
    }
}

/// The platform of a descriptor, with arm64's default variant left out, as everybody understands it.
fn platform_of(descriptor: &Descriptor) -> String {
    let Some(platform) = descriptor.platform() else { return "a platform".into() };
    let variant = platform.variant().iter().map(|variant| format!("/{variant}")).collect::<String>();
    platform_words(&format!("{}/{}{variant}", platform.os(), platform.architecture()))
}

fn platform_words(platform: &str) -> String {
    platform.strip_suffix("arm64/v8").map_or(platform.to_string(), |os| format!("{os}arm64"))
}

/// Whether a media type is an index: OCI's, or docker's manifest list.
fn is_index(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageIndex)
        || media_type.to_string() == "application/vnd.docker.distribution.manifest.list.v2+json"
}

/// Whether a media type is an image manifest: OCI's, or docker's.
fn is_manifest(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageManifest)
        || media_type.to_string() == "application/vnd.docker.distribution.manifest.v2+json"
}

/// Whether a media type is an image config: OCI's, or docker's.
fn is_config(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageConfig)
        || media_type.to_string() == "application/vnd.docker.container.image.v1+json"
}
