//! An image brought to a place.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use super::archive::{self, Contents};
use super::error::TransportError;
use super::layout;
use super::naming::Names;
use super::place::Place;
use crate::digest::Digest;
use crate::image::{Blob, Finished, PlatformImage, Staging};
use crate::oci::{MediaType, REF_NAME};

/// How an image is written.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Put the manifests of the platforms into `index.json` itself, for tools that know no nested index.
    pub flat_index: bool,
    /// The platform that docker's classic store gets from an archive: `linux/amd64`, else the first, when `None`.
    pub docker_platform: Option<String>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The place, as people name it.
    pub place: String,
    /// The names under which the image stands there, each with the digest it points at.
    pub names: Vec<(String, Digest)>,
    /// The full references, such as `docker.io/you/app:v1`; none without a repository.
    pub references: Vec<String>,
    /// What the user should know, such as who cannot load it.
    pub notes: Vec<String>,
}

/// Tells before the work begins whether an image could be written to a place at all.
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
        Place::Registry(reference) => Err(TransportError::Registry(reference.clone())),
        Place::Rootfs(_) | Place::Cpio(_) | Place::Tar(_) => {
            Err(TransportError::Usage(format!("a place that holds no image: {place}")))
        }
    }
}

/// Writes an image to a place, whole or not at all. `stdout` is where `-` leads to.
///
/// The staging keeps its blobs: further places may follow.
///
/// # Errors
/// When the place cannot be written to, or holds something that is no layout.
pub fn write(
    image: &Finished,
    staging: &Staging,
    place: &Place,
    options: &WriteOptions,
    stdout: &mut dyn Write,
) -> Result<Written, TransportError> {
    check(place)?;
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
    let mut written =
        Written { place: place.to_string(), names: Vec::new(), references: names.full(), notes: Vec::new() };
    for descriptor in &descriptors {
        let name = descriptor.annotations().as_ref().and_then(|annotations| annotations.get(REF_NAME));
        written.names.push((name.cloned().unwrap_or_default(), Blob::of(descriptor)?.digest));
    }
    let archive = || -> Result<Contents<'_>, TransportError> {
        let docker = docker_image(manifests, options.docker_platform.as_deref())?;
        Ok(Contents { blobs: &blobs, descriptors: descriptors.clone(), docker, names: names.full() })
    };
    match place {
        Place::Layout { folder, .. } => {
            // A flat image takes the tag's nested index away: the tag would go on naming the old image.
            let obsolete = if options.flat_index { names.tags() } else { Vec::new() };
            layout::publish(folder, staging, &blobs, &descriptors, &obsolete)?;
        }
        Place::Archive { file, .. } => {
            publish_file(file, |mut writer| {
                archive::write(archive()?, staging, file, &mut writer)?;
                Ok(writer)
            })?;
            written.notes.extend(notes(image));
        }
        Place::Stdio => {
            archive::write(archive()?, staging, Path::new("standard output"), stdout)?;
            written.notes.extend(notes(image));
        }
        Place::Registry(_) | Place::Rootfs(_) | Place::Cpio(_) | Place::Tar(_) => {}
    }
    Ok(written)
}

/// The image that docker's classic store gets.
fn docker_image<'a>(
    images: &'a [PlatformImage],
    wanted: Option<&str>,
) -> Result<Option<&'a PlatformImage>, TransportError> {
    let find = |platform: &str| images.iter().find(|image| image.platform == platform);
    match wanted {
        Some(platform) => find(platform).map(Some).ok_or_else(|| {
            let known: Vec<&str> = images.iter().map(|image| image.platform.as_str()).collect();
            TransportError::Usage(format!(
                "the image has no platform for docker's manifest.json ({}): {platform}",
                known.join(", ")
            ))
        }),
        None => Ok(find("linux/amd64").or(images.first())),
    }
}

/// What the reader of an archive may miss.
fn notes(image: &Finished) -> Vec<String> {
    let mut notes = Vec::new();
    let mut layers = image.image.platforms.iter().flat_map(|image| image.manifest.layers());
    if layers.any(|layer| matches!(layer.media_type(), MediaType::ImageLayerZstd)) {
        notes.push("docker before version 23 loads no zstd layers".to_string());
    }
    if image.name.is_none() {
        notes.push("the image has no name, so engines load it under its digest or a name of their own".to_string());
    }
    notes
}

/// Makes a file whole or not at all. What is no regular file (a device, a pipe) is streamed to. `fill` gives back the
/// writer that it got.
pub(super) fn publish_file(
    file: &Path,
    fill: impl FnOnce(BufWriter<File>) -> Result<BufWriter<File>, TransportError>,
) -> Result<(), TransportError> {
    let failed = |error| TransportError::Write(file.to_path_buf(), error);
    // What a link leads to is replaced, not the link.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf());
    if fs::metadata(&target).is_ok_and(|meta| !meta.is_file()) {
        let writer = BufWriter::new(File::options().write(true).open(&target).map_err(failed)?);
        return fill(writer)?.flush().map_err(failed);
    }
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let desk = Staging::begin(folder)?;
    let temporary = desk.scratch_path();
    let writer = fill(BufWriter::with_capacity(1 << 20, File::create_new(&temporary).map_err(failed)?))?;
    let finished = writer.into_inner().map_err(std::io::IntoInnerError::into_error).and_then(|file| file.sync_all());
    finished.and_then(|()| fs::rename(&temporary, &target)).map_err(failed)?;
    layout::sync_directory(folder)
}
