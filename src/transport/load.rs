//! From a root descriptor to an image: its documents, read, and checked against each other.
//!
//! Decisions, where the specs are silent: an index may lead to indexes, four deep. What is not a container image
//! (attestations, other artifacts) is left out with a note, and so is a platform whose manifest is not there: `docker
//! save` writes such indexes. When nothing is left, that is an error. The platform comes from the config; an index that
//! says something else gets a note.

use std::collections::BTreeSet;

use super::error::TransportError;
use crate::image::{Blobs, Image, PlatformImage, StoreError, read_small};
use crate::oci::{self, Annotations, Configuration, Descriptor, ImageIndex, ImageManifest, MediaType};
use crate::platform::ImagePlatform;

/// How deep indexes may be nested.
const DEPTH_MAX: usize = 4;

/// How many bytes the documents of one image may have together. Hundreds of platforms fit in it.
const DOCUMENTS_MAX: u64 = 32 << 20;

/// Reads the image of a root descriptor, and says what was left out.
pub(super) fn load(place: &str, blobs: &dyn Blobs, root: Descriptor) -> Result<(Image, Vec<String>), TransportError> {
    let mut loader = Loader {
        place,
        blobs,
        left: DOCUMENTS_MAX,
        seen: BTreeSet::new(),
        annotations: Annotations::new(),
        platforms: Vec::new(),
        others: Vec::new(),
        notes: Vec::new(),
    };
    loader.enter(&root, 0)?;
    let Loader { annotations, platforms, others, notes, .. } = loader;
    if platforms.is_empty() {
        let mut fault = format!("no container image in {}", root.digest());
        notes.iter().for_each(|note| fault += &format!("; {note}"));
        return Err(TransportError::Malformed { place: place.to_string(), fault });
    }
    Ok((Image { root, index_annotations: annotations, platforms, others }, notes))
}

struct Loader<'a> {
    place: &'a str,
    blobs: &'a dyn Blobs,
    left: u64,
    seen: BTreeSet<String>,
    annotations: Annotations,
    platforms: Vec<PlatformImage>,
    others: Vec<Descriptor>,
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
                return Err(self.malformed(format!("indexes are nested too deeply: {}", descriptor.digest())));
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
                        self.notes.push(format!("{} is listed in the index but missing: {blob}", platform_of(child)));
                    }
                    entered => entered?,
                }
            }
            if depth > 0 {
                self.others.push(descriptor.clone());
            }
            return Ok(());
        }
        if !is_manifest(descriptor.media_type()) {
            self.others.push(descriptor.clone());
            return self.leave_out(descriptor, descriptor.media_type().as_ref());
        }
        let manifest: ImageManifest = self.document("manifest", descriptor)?;
        if !is_config(manifest.config().media_type()) {
            self.keep_other(&manifest, descriptor);
            let kind = manifest.artifact_type().as_ref().unwrap_or(manifest.config().media_type()).to_string();
            return self.leave_out(descriptor, &kind);
        }
        if descriptor.platform().as_ref().is_some_and(|platform| platform.os().to_string() == "unknown") {
            self.keep_other(&manifest, descriptor);
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
        let platform = ImagePlatform::new(&platform);
        self.platforms.push(PlatformImage { platform, manifest_descriptor, manifest, configuration });
        Ok(())
    }

    /// Remembers what is not an image, for who copies all of it.
    fn keep_other(&mut self, manifest: &ImageManifest, descriptor: &Descriptor) {
        self.others.extend(manifest.layers().iter().cloned());
        self.others.extend([manifest.config().clone(), descriptor.clone()]);
    }

    fn leave_out(&mut self, descriptor: &Descriptor, kind: &str) -> Result<(), TransportError> {
        self.notes.push(format!("left out, because it is not a container image but {kind}: {}", descriptor.digest()));
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
            .ok_or_else(|| self.malformed(format!("its documents are larger than {DOCUMENTS_MAX} bytes")))?;
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

/// Whether a media type is that of a manifest or an index, which registries keep apart from blobs.
#[cfg(feature = "registry")]
pub(super) fn is_document(media_type: &MediaType) -> bool {
    is_index(media_type) || is_manifest(media_type)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;
    use crate::digest::{Digest, Verifying};
    use crate::image::Blob;
    use crate::platform::Platform;

    /// Blobs in memory.
    #[derive(Default)]
    struct Memory(BTreeMap<Digest, Vec<u8>>);

    impl Memory {
        fn put(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Descriptor {
            let digest = Digest::of(&bytes);
            let descriptor = oci::descriptor(media_type, &digest, bytes.len() as u64);
            self.0.insert(digest, bytes);
            descriptor
        }

        fn manifest(&mut self, platform: &str, layers: usize) -> Descriptor {
            let config = Configuration::new(&platform.parse::<Platform>().unwrap()).to_bytes();
            let config = self.put(MediaType::ImageConfig, config);
            let layer = oci::descriptor(MediaType::ImageLayer, &Digest::of(b""), 0);
            let manifest = oci::manifest(config, vec![layer; layers], &Annotations::new());
            self.put(MediaType::ImageManifest, oci::canonical(&manifest))
        }

        fn index(&mut self, children: Vec<Descriptor>) -> Descriptor {
            let annotations = Annotations::from([("a".to_string(), "b".to_string())]);
            self.put(MediaType::ImageIndex, oci::canonical(&oci::index(children, &annotations)))
        }

        fn load(&self, root: &Descriptor) -> Result<(Image, Vec<String>), String> {
            load("x", self, root.clone()).map_err(|error| error.to_string())
        }
    }

    impl Blobs for Memory {
        fn open(&self, blob: &Blob) -> Result<Box<dyn Read + Send + '_>, StoreError> {
            let bytes = self
                .0
                .get(&blob.digest)
                .ok_or_else(|| StoreError::Missing { blob: blob.digest.to_string(), place: "memory".into() })?;
            Ok(Box::new(Verifying::new(bytes.as_slice(), blob.digest, blob.size)))
        }
    }

    fn on(mut descriptor: Descriptor, platform: &str) -> Descriptor {
        descriptor.set_platform(Some(oci::platform_of(&platform.parse().unwrap())));
        descriptor
    }

    #[test]
    fn an_image_is_an_index_of_platforms_or_one_manifest() {
        let mut memory = Memory::default();
        let children = vec![
            on(memory.manifest("linux/amd64", 0), "linux/amd64"),
            on(memory.manifest("arm64", 0), "linux/arm64/v8"),
        ];
        let root = memory.index(children.clone());
        let (image, notes) = memory.load(&root).unwrap();
        let platforms: Vec<String> = image.platforms.iter().map(|image| image.platform.to_string()).collect();
        assert_eq!((platforms, notes), (vec!["linux/amd64".to_string(), "linux/arm64".to_string()], vec![]));
        assert_eq!(image.index_annotations["a"], "b");
        assert_eq!(image.blobs().len(), 5);
        let (image, _) = memory.load(&children[0]).unwrap();
        assert_eq!((image.platforms.len(), image.root == children[0]), (1, true));
        let nested = memory.index(vec![root]);
        assert_eq!(memory.load(&nested).unwrap().0.platforms.len(), 2);
    }

    #[test]
    fn documents_that_disagree_are_told() {
        let mut memory = Memory::default();
        let lying = on(memory.manifest("amd64", 0), "arm64");
        let root = memory.index(vec![lying.clone()]);
        let (_, notes) = memory.load(&root).unwrap();
        let expected = format!("the index says linux/arm64, the config says linux/amd64: {}", lying.digest());
        assert_eq!(notes, [expected]);
        let wrong = memory.manifest("amd64", 2);
        let error = memory.load(&wrong).unwrap_err();
        assert_eq!(error, format!("x: the manifest names 2 layers and its config 0: {}", wrong.digest()));
    }

    #[test]
    fn what_is_no_container_image_is_left_out_with_a_note() {
        let mut memory = Memory::default();
        let config = memory.put(MediaType::EmptyJSON, b"{}".to_vec());
        let manifest = oci::manifest(config, Vec::new(), &Annotations::new());
        let artifact = memory.put(MediaType::ImageManifest, oci::canonical(&manifest));
        let other = memory.put(MediaType::Other("text/plain".into()), b"hello".to_vec());
        let image = on(memory.manifest("amd64", 0), "amd64");
        let root = memory.index(vec![artifact.clone(), other.clone(), image]);
        let (image, notes) = memory.load(&root).unwrap();
        assert_eq!(image.platforms.len(), 1);
        let left_out = |kind: &str, descriptor: &Descriptor| {
            format!("left out, because it is not a container image but {kind}: {}", descriptor.digest())
        };
        let expected = [left_out("application/vnd.oci.empty.v1+json", &artifact), left_out("text/plain", &other)];
        assert_eq!(notes, expected);
        let error = memory.load(&artifact).unwrap_err();
        assert_eq!(error, format!("x: no container image in {}; {}", artifact.digest(), expected[0]));
    }

    #[test]
    fn absurd_nesting_and_damaged_documents_are_errors() {
        let mut memory = Memory::default();
        let mut root = memory.manifest("amd64", 0);
        for depth in 0..=DEPTH_MAX {
            root = memory.index(vec![root]);
            assert_eq!(memory.load(&root).is_ok(), depth < DEPTH_MAX, "{depth}");
        }
        let bad = memory.put(MediaType::ImageManifest, b"{".to_vec());
        assert!(memory.load(&bad).unwrap_err().starts_with(&format!("x: manifest {}: EOF", bad.digest())));
        let mut huge = memory.manifest("amd64", 0);
        huge.set_size(oci::DOCUMENT_MAX + 1);
        assert!(memory.load(&huge).unwrap_err().contains("larger than registries accept"));
        let absent = oci::descriptor(MediaType::ImageManifest, &Digest::of(b"absent"), 1);
        assert!(memory.load(&absent).unwrap_err().starts_with("memory does not contain the blob"));
    }

    #[test]
    fn the_documents_of_one_image_have_a_limit_together() {
        let mut memory = Memory::default();
        let padding = " ".repeat(oci::DOCUMENT_MAX as usize - 100_000);
        let children: Vec<Descriptor> = (0..9)
            .map(|number| {
                memory.put(
                    MediaType::ImageIndex,
                    format!(r#"{{"schemaVersion":2,"n":{number},"manifests":[]}}{padding}"#).into(),
                )
            })
            .collect();
        let root = memory.index(children);
        assert!(memory.load(&root).unwrap_err().contains("larger than 33554432 bytes"));
    }
}
