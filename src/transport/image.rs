//! An image prepared for a place.

use std::fs;
#[cfg(feature = "registry")]
use std::sync::Arc;

use super::archive::{self, Contents};
use super::error::TransportError;
use super::layout;
use super::naming::Names;
use super::pending::{LastStep, Pending, Renamed, Written, WrittenImage, is_stream, new_file};
use super::place::Place;
#[cfg(feature = "registry")]
use super::upload::Untagged;
#[cfg(feature = "registry")]
use crate::image::Blobs;
use crate::image::{Blob, BlobStore, Finished, PlatformImage};
use crate::oci::{MediaType, REF_NAME};
use crate::platform::{Arch, Platform};
use crate::progress::{Action, Progress, Step};
#[cfg(feature = "registry")]
use crate::reference::ImageReference;
#[cfg(feature = "registry")]
use crate::registry::Registries;

/// How an image is written.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Put the manifests of the platforms into `index.json` itself, for tools that know no nested index.
    pub flat_index: bool,
    /// The platform that docker's classic store gets from an archive: `linux/amd64`, else the first, when `None`.
    pub docker_platform: Option<Platform>,
    /// Connections to registries, for places in them.
    #[cfg(feature = "registry")]
    pub registries: Option<Arc<Registries>>,
}

/// Says before the work begins whether an image could be written to a place at all.
///
/// # Errors
/// When the place holds something else, or is none that holds images.
pub fn check(place: &Place) -> Result<(), TransportError> {
    match place {
        Place::Layout { folder, .. } => layout::check(folder),
        Place::Archive { file, .. } => match fs::metadata(file) {
            Ok(meta) if meta.is_dir() => {
                Err(TransportError::Write(file.clone(), std::io::ErrorKind::IsADirectory.into()))
            }
            _ => Ok(()),
        },
        Place::Stdio => Ok(()),
        #[cfg(feature = "registry")]
        Place::Registry(_) => Ok(()),
        #[cfg(not(feature = "registry"))]
        Place::Registry(_) => Err(TransportError::NoRegistries(place.to_string())),
        Place::Rootfs(_) | Place::Cpio(_) | Place::Tar(_) => {
            Err(TransportError::Usage(format!("not a place for images: {place}")))
        }
    }
}

/// Prepares an image for a place. The blobs stay in the store: further places may follow.
///
/// # Errors
/// When the place cannot be written to, or holds something that is not a layout.
pub fn prepare_image<'a>(
    image: &Finished,
    store: &'a BlobStore,
    place: &Place,
    options: &WriteOptions,
    progress: &dyn Progress,
) -> Result<Pending<'a>, TransportError> {
    check(place)?;
    #[cfg(feature = "registry")]
    if let Place::Registry(reference) = place {
        return prepare_remote(image, store, reference, options, progress);
    }
    let reference = match place {
        Place::Layout { reference, .. } | Place::Archive { reference, .. } => reference.as_deref(),
        Place::Stdio | Place::Registry(_) | Place::Rootfs(_) | Place::Cpio(_) | Place::Tar(_) => None,
    };
    let names = Names::of(image, reference)?;
    let descriptors = names.descriptors(image, options.flat_index)?;
    let manifests = &image.image.platforms;
    let is_manifest = |digest| manifests.iter().any(|image| image.manifest_descriptor.digest() == digest);
    let mut blobs = Vec::new();
    for descriptor in image.image.blobs() {
        let unnamed =
            options.flat_index && descriptor.digest() == image.image.root.digest() && !is_manifest(descriptor.digest());
        if !unnamed {
            blobs.push(Blob::of(descriptor)?);
        }
    }
    progress.step(Step::new(Action::Write(place.to_string())).sized(blobs.iter().map(|blob| blob.size).sum()));
    let mut written =
        WrittenImage { place: place.to_string(), names: Vec::new(), references: names.full(), notes: Vec::new() };
    for descriptor in &descriptors {
        let name = descriptor.annotations().as_ref().and_then(|annotations| annotations.get(REF_NAME));
        written.names.push((name.cloned().unwrap_or_default(), Blob::of(descriptor)?.digest));
    }
    let step = if let Place::Layout { folder, .. } = place {
        // A flat image takes the tag's nested index away: the tag would go on naming the old image.
        let obsolete = if options.flat_index { names.tags() } else { Vec::new() };
        LastStep::Layout(layout::prepare(folder, store, &blobs, descriptors, obsolete, progress)?)
    } else {
        written.notes.extend(notes(image));
        let docker = docker_image(manifests, options.docker_platform.as_ref())?;
        let docker = docker.map(|image| archive::docker_manifest(image, &names.full())).transpose()?;
        let contents = Contents { blobs, descriptors, docker };
        match place {
            Place::Archive { file, .. } if !is_stream(file) => {
                let (renamed, ()) = Renamed::new(file, |temporary| {
                    new_file(file, temporary, |mut writer| {
                        archive::write(contents, store, file, &mut writer, progress)?;
                        Ok((writer, ()))
                    })
                })?;
                LastStep::Rename(renamed)
            }
            Place::Archive { file, .. } => LastStep::Archive { contents, store, to: Some(file.clone()) },
            _ => LastStep::Archive { contents, store, to: None },
        }
    };
    Ok(Pending { step, written: Written::Image(written) })
}

/// Sends an image to a registry, all but its tags. Its blobs may lie anywhere.
///
/// # Errors
/// When it cannot be read, or the registry does not take it.
#[cfg(feature = "registry")]
pub fn prepare_remote<'a>(
    image: &Finished,
    blobs: &dyn Blobs,
    reference: &ImageReference,
    options: &WriteOptions,
    progress: &dyn Progress,
) -> Result<Pending<'a>, TransportError> {
    let place = format!("docker://{reference}");
    if options.flat_index {
        return Err(TransportError::Usage(format!("a flat index is for layouts and archives, not for {place}")));
    }
    let registries = options.registries.as_ref().ok_or_else(|| TransportError::NoRegistries(place.clone()))?;
    let names = Names::remote(image, reference)?;
    progress.step(Step::new(Action::Write(place.clone())));
    let mut untagged = Untagged::prepare(&image.image, blobs, reference, &names, registries, progress)?;
    let digest = Blob::of(&image.image.root)?.digest;
    let written = WrittenImage {
        place,
        names: names.tags().into_iter().map(|tag| (tag, digest)).collect(),
        references: names.full(),
        notes: std::mem::take(&mut untagged.notes),
    };
    Ok(Pending { step: LastStep::Registry(Box::new(untagged)), written: Written::Image(written) })
}

/// The image that docker's classic store gets.
fn docker_image<'a>(
    images: &'a [PlatformImage],
    wanted: Option<&Platform>,
) -> Result<Option<&'a PlatformImage>, TransportError> {
    let find = |platform: &Platform| images.iter().find(|image| image.platform.known() == Some(platform));
    match wanted {
        Some(platform) => find(platform).map(Some).ok_or_else(|| {
            let known: Vec<String> = images.iter().map(|image| image.platform.to_string()).collect();
            TransportError::Usage(format!(
                "the image has no platform for docker's manifest.json ({}): {platform}",
                known.join(", ")
            ))
        }),
        None => Ok(find(&Platform::new(Arch::Amd64)).or(images.first())),
    }
}

/// What the reader of an archive may miss.
fn notes(image: &Finished) -> Vec<String> {
    let mut notes = Vec::new();
    let mut layers = image.image.platforms.iter().flat_map(|image| image.manifest.layers());
    if layers.any(|layer| matches!(layer.media_type(), MediaType::ImageLayerZstd)) {
        notes.push("docker before version 23 cannot load zstd layers".to_string());
    }
    if image.name.is_none() {
        notes.push("the image has no name, so engines load it by digest or choose a name".to_string());
    }
    notes
}
