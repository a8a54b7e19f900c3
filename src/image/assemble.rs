//! Layers to an image: config, manifest, index, which agree because they are made from the same values.

use super::layer::Layer;
use super::model::{Image, PlatformImage};
use super::store::{Blobs, Staging, StoreError};
use crate::epoch::Epoch;
use crate::oci::{self, Annotations, Configuration, HistoryEntry, MediaType, Settings};
use crate::platform::Platform;

/// What one platform's image is made from.
#[derive(Debug)]
pub struct Assembled<'a> {
    /// The platform.
    pub platform: &'a Platform,
    /// The image below ours, whose layers and history stay as they are.
    pub base: Option<&'a PlatformImage>,
    /// Our layers with their entry of history, in order.
    pub layers: Vec<(Layer, HistoryEntry)>,
    /// How a container is started.
    pub settings: &'a Settings,
    /// The date.
    pub created: Epoch,
    /// Annotations of the manifest.
    pub annotations: &'a Annotations,
}

/// Makes config and manifest of one platform and puts them, and the base's layers, into the staging.
///
/// # Errors
/// When they cannot be written, or a layer of the base cannot be read.
pub fn assemble(
    assembled: Assembled<'_>,
    base_blobs: Option<&dyn Blobs>,
    staging: &Staging,
) -> Result<PlatformImage, StoreError> {
    let Assembled { platform, base, layers, settings, created, annotations } = assembled;
    let mut configuration = base.map_or_else(|| Configuration::new(platform), |base| base.configuration.clone());
    let mut descriptors = Vec::new();
    if let (Some(base), Some(blobs)) = (base, base_blobs) {
        for descriptor in base.manifest.layers() {
            staging.adopt(blobs, descriptor)?;
            descriptors.push(descriptor.clone());
        }
    }
    for (layer, history) in layers {
        configuration = configuration.with_layer(&layer.diff_id, &history);
        descriptors.push(layer.descriptor);
    }
    let configuration = configuration.with_settings(settings).with_created(created);
    let config = staging.put(&configuration.to_bytes())?.descriptor(MediaType::ImageConfig);
    let manifest = oci::manifest(config, descriptors, annotations);
    let mut manifest_descriptor = staging.put(&oci::canonical(&manifest))?.descriptor(MediaType::ImageManifest);
    manifest_descriptor.set_platform(Some(oci::platform_of(platform)));
    Ok(PlatformImage { platform: platform.to_string(), manifest_descriptor, manifest, configuration })
}

/// Makes the index over the platforms' images. It is made for one platform too: a plain manifest would be used by
/// engines of every architecture.
///
/// # Errors
/// When it cannot be written.
pub fn combine(
    platforms: Vec<PlatformImage>,
    annotations: &Annotations,
    staging: &Staging,
) -> Result<Image, StoreError> {
    let children = platforms.iter().map(|image| image.manifest_descriptor.clone()).collect();
    let index = oci::index(children, annotations);
    let root = staging.put(&oci::canonical(&index))?.descriptor(MediaType::ImageIndex);
    Ok(Image { root, index_annotations: annotations.clone(), platforms })
}
