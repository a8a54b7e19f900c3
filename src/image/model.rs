//! What an image is, wherever it came from and wherever it goes.

use crate::oci::{Annotations, Configuration, Descriptor, ImageManifest};
use crate::platform::{ImagePlatform, Platform};
use crate::reference::{Repository, Tag};

/// An image whose documents were read and checked. Its blobs are named by descriptors and lie in some `Blobs`.
#[derive(Clone, Debug)]
pub struct Image {
    /// What a tag points at: an index, or the one manifest of an image without an index.
    pub root: Descriptor,
    /// The annotations of the index; empty where there is none.
    pub index_annotations: Annotations,
    /// The image of each platform, in the order of the index.
    pub platforms: Vec<PlatformImage>,
    /// What else the index leads to, children before what names them: attestations, other artifacts, indexes in it.
    pub others: Vec<Descriptor>,
}

/// The image of one platform.
#[derive(Clone, Debug)]
pub struct PlatformImage {
    /// The platform that the config names.
    pub platform: ImagePlatform,
    /// The manifest, as its index describes it.
    pub manifest_descriptor: Descriptor,
    /// The manifest. It names exactly as many layers as the config has `diff_ids`.
    pub manifest: ImageManifest,
    /// The config.
    pub configuration: Configuration,
}

/// An image with the names it is to have where it is written.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The image. All its blobs and documents are in the store it was made in.
    pub image: Image,
    /// The repository, without which no engine can give the image its full name.
    pub name: Option<Repository>,
    /// The tags. Where there is none, `latest` is written.
    pub tags: Vec<Tag>,
}

impl PlatformImage {
    /// How large its layers are in sum, as their descriptors say, in bytes.
    pub fn layers_size(&self) -> u64 {
        self.manifest.layers().iter().fold(0, |size, layer| size.saturating_add(layer.size()))
    }
}

impl Image {
    /// The image of one platform, by its exact spelling.
    pub fn platform(&self, platform: &Platform) -> Option<&PlatformImage> {
        self.platforms.iter().find(|image| image.platform.known() == Some(platform))
    }

    /// Every blob below the root, each once, children before what names them: layers, configs, then manifests. The
    /// root comes last, when it is an index.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        let mut all: Vec<&Descriptor> = Vec::new();
        let mut add = |descriptor| {
            let digest = |descriptor: &Descriptor| descriptor.digest().to_string();
            if !all.iter().any(|known| digest(known) == digest(descriptor)) {
                all.push(descriptor);
            }
        };
        for image in &self.platforms {
            image.manifest.layers().iter().for_each(&mut add);
            add(image.manifest.config());
        }
        self.platforms.iter().for_each(|image| add(&image.manifest_descriptor));
        self.others.iter().for_each(&mut add);
        add(&self.root);
        all
    }
}
