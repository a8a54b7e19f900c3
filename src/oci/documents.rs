//! Descriptors, manifests and indexes.

use std::collections::BTreeMap;

use oci_spec::image::{
    Arch as OciArch, Descriptor, DescriptorBuilder, ImageIndex, ImageIndexBuilder, ImageManifest, ImageManifestBuilder,
    MediaType, Os, PlatformBuilder, SCHEMA_VERSION, Sha256Digest,
};
use serde::de::DeserializeOwned;

use crate::digest::Digest;
use crate::platform::Platform;

/// Annotations, sorted.
pub type Annotations = BTreeMap<String, String>;

/// The annotation by which skopeo, podman and buildah find a tag in `index.json`.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation by which containerd, docker's containerd store and podman name what they load.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The annotation that names the image whose layers are the lowest.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// The annotation with the digest of that image.
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// The whole `oci-layout` file. The version is exactly this, also for image-spec 1.1: containerd compares it.
pub const EMPTY_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The largest document that is read, in bytes. Registries refuse manifests of more than 4 MiB.
pub const DOCUMENT_MAX: u64 = 4 << 20;

/// Why bytes are not the document they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DocumentError(String);

/// Reads a manifest or an index.
///
/// # Errors
/// When the bytes are no such document.
pub fn read_document<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    serde_json::from_slice(bytes).map_err(|error| DocumentError(error.to_string()))
}

/// A descriptor of bytes that were hashed.
pub fn descriptor(media_type: MediaType, digest: &Digest, size: u64) -> Descriptor {
    let digest: Sha256Digest = digest.hex().parse().expect("64 hexadecimal digits are a SHA-256 digest");
    DescriptorBuilder::default()
        .media_type(media_type)
        .digest(digest)
        .size(size)
        .build()
        .expect("a descriptor needs a type, a digest and a size")
}

/// The manifest of one image.
pub fn manifest(config: Descriptor, layers: Vec<Descriptor>, annotations: &Annotations) -> ImageManifest {
    let mut manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers)
        .build()
        .expect("a manifest needs a version, a config and layers");
    if !annotations.is_empty() {
        manifest.set_annotations(Some(annotations.clone().into_iter().collect()));
    }
    manifest
}

/// An index of manifests.
pub fn index(manifests: Vec<Descriptor>, annotations: &Annotations) -> ImageIndex {
    let mut index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build()
        .expect("an index needs a version and manifests");
    if !annotations.is_empty() {
        index.set_annotations(Some(annotations.clone().into_iter().collect()));
    }
    index
}

/// The `platform` object of a descriptor in an index.
pub fn platform_of(platform: &Platform) -> oci_spec::image::Platform {
    let architecture = OciArch::from(platform.architecture());
    let mut builder = PlatformBuilder::default().os(Os::from(platform.os())).architecture(architecture);
    if let Some(variant) = platform.variant() {
        builder = builder.variant(variant);
    }
    builder.build().expect("a platform needs a system and an architecture")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::canonical;
    use crate::platform::Arch;

    #[test]
    fn documents_are_the_same_bytes_every_time() {
        let annotations: Annotations = (0..20).map(|n| (format!("key{n}"), "value".to_string())).collect();
        let document = || {
            let mut child = descriptor(MediaType::ImageManifest, &Digest::of(b"x"), 1);
            child.set_platform(Some(platform_of(&Platform::new(Arch::Arm64))));
            canonical(&index(vec![child], &annotations))
        };
        let first = document();
        assert!((0..20).all(|_| document() == first));
        let text = String::from_utf8(first).unwrap();
        assert!(text.contains(r#""platform":{"architecture":"arm64","os":"linux"}"#), "{text}");
    }
}
