//! Layers to an image: config, manifest, index, which agree because they are made from the same values.

use super::error::StoreError;
use super::layer::Layer;
use super::model::{Image, PlatformImage};
use super::store::{BlobStore, Blobs};
use crate::epoch::Epoch;
use crate::oci::{self, Annotations, Configuration, Descriptor, HistoryEntry, MediaType, Settings};
use crate::platform::Platform;
use crate::progress::Progress;

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

/// Makes config and manifest of one platform and puts them, and the base's layers, into the store.
///
/// # Errors
/// When they cannot be written, or a layer of the base cannot be read.
pub fn assemble(
    assembled: Assembled<'_>,
    base_blobs: Option<&dyn Blobs>,
    store: &BlobStore,
    progress: &dyn Progress,
) -> Result<PlatformImage, StoreError> {
    let Assembled { platform, base, layers, settings, created, annotations } = assembled;
    let mut configuration = base.map_or_else(|| Configuration::new(platform), |base| base.configuration.clone());
    let mut descriptors = Vec::new();
    if let (Some(base), Some(blobs)) = (base, base_blobs) {
        for descriptor in base.manifest.layers() {
            store.adopt(blobs, descriptor, progress)?;
            descriptors.push(in_oci_words(descriptor));
        }
    }
    for (layer, history) in layers {
        configuration = configuration.with_layer(&layer.diff_id, &history);
        descriptors.push(layer.descriptor);
    }
    let configuration = configuration.with_settings(settings).with_created(created);
    let config = store.put(&configuration.to_bytes())?.descriptor(MediaType::ImageConfig);
    let manifest = oci::manifest(config, descriptors, annotations);
    let mut manifest_descriptor = store.put(&oci::canonical(&manifest))?.descriptor(MediaType::ImageManifest);
    manifest_descriptor.set_platform(Some(oci::platform_of(platform)));
    Ok(PlatformImage { platform: platform.clone().into(), manifest_descriptor, manifest, configuration })
}

/// The descriptor of a base's layer, with OCI's word for what docker calls otherwise: the bytes are the same, and an OCI
/// manifest with docker's words in it is found by nobody. A layer that is here is no longer one to fetch from elsewhere.
fn in_oci_words(descriptor: &Descriptor) -> Descriptor {
    let mut descriptor = descriptor.clone();
    let word = match descriptor.media_type().as_ref() {
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" => MediaType::ImageLayerGzip,
        "application/vnd.docker.image.rootfs.diff.tar.zstd"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd" => MediaType::ImageLayerZstd,
        "application/vnd.docker.image.rootfs.diff.tar" | "application/vnd.oci.image.layer.nondistributable.v1.tar" => {
            MediaType::ImageLayer
        }
        _ => return descriptor,
    };
    descriptor.set_media_type(word);
    descriptor.set_urls(None);
    descriptor
}

/// Makes the index over the platforms' images. It is made for one platform too: a plain manifest would be used by
/// engines of every architecture.
///
/// # Errors
/// When it cannot be written.
pub fn combine(
    platforms: Vec<PlatformImage>,
    annotations: &Annotations,
    store: &BlobStore,
) -> Result<Image, StoreError> {
    let children = platforms.iter().map(|image| image.manifest_descriptor.clone()).collect();
    let index = oci::index(children, annotations);
    let root = store.put(&oci::canonical(&index))?.descriptor(MediaType::ImageIndex);
    Ok(Image { root, index_annotations: annotations.clone(), platforms, others: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_a_base_that_docker_made_get_the_words_of_oci() {
        let layer = |word: &str| {
            let media_type = MediaType::from(word);
            let mut descriptor = oci::descriptor(media_type, &crate::digest::Digest::of(b"x"), 1);
            descriptor.set_urls(Some(vec!["https://example.org/x".into()]));
            in_oci_words(&descriptor)
        };
        for word in ["docker.image.rootfs.diff.tar.gzip", "oci.image.layer.nondistributable.v1.tar+gzip"] {
            let descriptor = layer(&format!("application/vnd.{word}"));
            assert_eq!((descriptor.media_type(), descriptor.urls()), (&MediaType::ImageLayerGzip, &None), "{word}");
        }
        let zstd = layer("application/vnd.oci.image.layer.v1.tar+zstd");
        assert_eq!((zstd.media_type(), zstd.urls().is_some()), (&MediaType::ImageLayerZstd, true));
    }
}
