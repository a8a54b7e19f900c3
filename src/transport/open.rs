//! A place, opened: an image with its blobs, or where a tree lies.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::access::Access;
use super::blobs::{ArchiveBlobs, LayoutBlobs, WithDocuments};
use super::choose::{Choice, choose, descriptors};
use super::docker;
use super::error::TransportError;
use super::layout::{self, INDEX_MAX};
use super::load::load;
use super::members::Members;
use super::place::Place;
#[cfg(feature = "registry")]
use super::remote::{RemoteImage, open_remote};
use crate::codec::cpio::{Cpio, read_cpio};
use crate::codec::dir::{self, ScanOptions, Scanned};
use crate::codec::tar::{self, read_tar};
use crate::codec::{Scratch, ScratchError, compress};
use crate::digest::Digest;
use crate::image::{Blobs, Image};
use crate::input;
use crate::oci::{self, Annotations, CONTAINERD_NAME, Descriptor, MediaType, REF_NAME};
use crate::progress::{Progress, Reporting};
use crate::tree::Tree;

/// How much of a stream is looked at first, in bytes: a tar's header.
const BLOCK: u64 = 512;

/// What is at a place.
#[expect(clippy::large_enum_variant, reason = "there is one for each place that was named")]
pub enum Opened {
    /// An image.
    Image {
        /// Its documents, read and checked.
        image: Image,
        /// Its blobs. Each is checked while it is read.
        blobs: Box<dyn Blobs>,
        /// What was left out, and what does not fit together.
        notes: Vec<String>,
    },
    /// An initramfs: the root that a kernel would have.
    Initramfs {
        /// Its files.
        tree: Tree,
        /// What a kernel would leave out, and what is odd.
        notes: Vec<String>,
    },
    /// A root file system.
    Tree {
        /// Its files.
        tree: Tree,
        /// What could not be included.
        notes: Vec<String>,
    },
}

/// Opens a place. Standard input and compressed archives are kept in temporary files while they are read; `progress` receives
/// how much of them was read.
///
/// # Errors
/// When there is nothing, or several images and none was named, or what is there is damaged.
pub fn open(place: &Place, access: &Access<'_>, progress: &dyn Progress) -> Result<Opened, TransportError> {
    let scratch = access.scratch;
    match place {
        Place::Layout { folder, reference } => open_layout(folder, reference.as_deref()),
        Place::Archive { file, reference } => {
            let failed = |error| TransportError::Read(file.clone(), error);
            let opened = input::open(file).map_err(failed)?;
            open_archive(&file.display().to_string(), opened, reference.as_deref(), scratch, progress)
        }
        Place::Stdio => {
            let spooled = spool(&mut Reporting::new(io::stdin().lock(), progress), scratch, "standard input")?;
            open_archive("standard input", spooled, None, scratch, progress)
        }
        #[cfg(feature = "registry")]
        Place::Registry(reference) => {
            let RemoteImage { image, blobs, notes } = open_remote(reference, access)?;
            Ok(Opened::Image { image, blobs: Box::new(blobs), notes })
        }
        #[cfg(not(feature = "registry"))]
        Place::Registry(_) => Err(TransportError::NoRegistries(place.to_string())),
        Place::Rootfs(path) => {
            let Scanned { tree, notes } = dir::scan(path, &ScanOptions::ALL)?;
            Ok(Opened::Tree { tree, notes })
        }
        Place::Tar(path) => Ok(Opened::Tree { tree: read_tar(path, scratch, progress)?, notes: Vec::new() }),
        Place::Cpio(path) => {
            let Cpio { tree, notes } = read_cpio(path, scratch, progress).map_err(TransportError::CpioRead)?;
            Ok(Opened::Initramfs { tree, notes })
        }
    }
}

fn open_layout(folder: &Path, reference: Option<&str>) -> Result<Opened, TransportError> {
    let path = folder.join("index.json");
    let bytes = input::read(&path, INDEX_MAX).map_err(|error| TransportError::Read(path, error))?;
    layout::check_blobs(folder)?;
    let blobs = Box::new(LayoutBlobs { folder: folder.to_path_buf() });
    open_oci(&folder.display().to_string(), &bytes, blobs, reference)
}

fn open_archive(
    name: &str,
    file: File,
    reference: Option<&str>,
    scratch: &Scratch,
    progress: &dyn Progress,
) -> Result<Opened, TransportError> {
    let failed = |error| TransportError::Read(name.into(), error);
    let file = match compress::form(&file).map_err(failed)? {
        compress::Form::Plain => file,
        compress::Form::Gzip | compress::Form::Zstd | compress::Form::Xz => {
            spool(&mut *compress::reported(file, progress).map_err(failed)?, scratch, name)?
        }
    };
    let size = file.metadata().map_err(failed)?.len();
    let members = Members::read(name, file, size)?;
    // The OCI side says more: digests, annotations, all platforms.
    if members.has("index.json") {
        let blobs = Box::new(ArchiveBlobs { place: name.to_string(), contents: members.blobs() });
        return open_oci(name, &members.document("index.json")?, blobs, reference);
    }
    if !members.has("manifest.json") {
        let fault = "it contains neither index.json nor manifest.json, so it is not an image archive".into();
        return Err(TransportError::Malformed { place: name.to_string(), fault });
    }
    let (blobs, root) = docker::read(name, &members, reference)?;
    let (image, notes) = load(name, &*blobs, root)?;
    Ok(Opened::Image { image, blobs, notes })
}

fn open_oci(
    name: &str,
    index: &[u8],
    blobs: Box<dyn Blobs>,
    reference: Option<&str>,
) -> Result<Opened, TransportError> {
    let (root, blobs): (_, Box<dyn Blobs>) = match choose(name, &descriptors(name, index)?, reference)? {
        Choice::Root(root) => (*root, blobs),
        Choice::Platforms(mut manifests) => {
            // Without the names that they have in a layout: the index that a nested layout would hold.
            manifests.iter_mut().for_each(unname);
            let index = oci::canonical(&oci::index(manifests, &Annotations::new()));
            let digest = Digest::of(&index);
            let root = oci::descriptor(MediaType::ImageIndex, &digest, index.len() as u64);
            (root, Box::new(WithDocuments { documents: BTreeMap::from([(digest, index)]), rest: blobs }))
        }
    };
    let (image, notes) = load(name, &*blobs, root)?;
    Ok(Opened::Image { image, blobs, notes })
}

fn unname(descriptor: &mut Descriptor) {
    let mut annotations = descriptor.annotations().clone().unwrap_or_default();
    annotations.retain(|key, _| key != REF_NAME && key != CONTAINERD_NAME);
    descriptor.set_annotations(Some(annotations).filter(|annotations| !annotations.is_empty()));
}

/// Keeps a stream in a file without a name. Of what is not an archive only the first block is kept: that says what is wrong, and
/// the rest may never end.
fn spool(reader: &mut dyn Read, scratch: &Scratch, name: &str) -> Result<File, TransportError> {
    let unreadable = |error| TransportError::Read(name.into(), error);
    let unwritable = |error| ScratchError::of(error).map_or_else(unreadable, TransportError::Scratch);
    let mut file = scratch.file().map_err(unwritable)?;
    let mut buffer = Vec::with_capacity(256 << 10);
    reader.take(BLOCK).read_to_end(&mut buffer).map_err(unreadable)?;
    io::Write::write_all(&mut file, &buffer).map_err(unwritable)?;
    if compress::form_of(&buffer) == compress::Form::Plain && !tar::begins_archive(&buffer) {
        return Ok(file.into_file());
    }
    buffer.resize(buffer.capacity(), 0);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(file.into_file()),
            Ok(count) => io::Write::write_all(&mut file, &buffer[..count]).map_err(unwritable)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
}
