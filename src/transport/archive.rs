//! The one archive that every engine loads: an OCI layout in a tar, with docker's `manifest.json` besides.
//!
//! docker's classic store reads only `manifest.json`, which can name one platform; everybody else reads `index.json` with
//! all of them. The bytes depend on the image only: entries sorted by name, ustar headers (made by `codec::tar::member_header`), no
//! owner, dated 1970.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::error::TransportError;
use super::layout::copy_proved;
use crate::codec::tar;
use crate::image::{Blob, BlobStore, Blobs, PlatformImage};
use crate::oci::{self, Annotations, Descriptor};
use crate::progress::Progress;

/// What goes into one archive.
pub(super) struct Contents {
    /// The blobs.
    pub blobs: Vec<Blob>,
    /// The entries of `index.json`.
    pub descriptors: Vec<Descriptor>,
    /// Docker's `manifest.json`, where an image is named there.
    pub docker: Option<Vec<u8>>,
}

/// Writes the archive. `target` is what messages call the output.
pub(super) fn write(
    contents: Contents,
    store: &BlobStore,
    target: &Path,
    writer: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<(), TransportError> {
    let failed = |error: io::Error| TransportError::Write(target.to_path_buf(), error);
    let mut members: BTreeMap<String, Member> = BTreeMap::from([
        ("blobs/".to_string(), Member::Directory),
        ("blobs/sha256/".to_string(), Member::Directory),
        (
            "index.json".to_string(),
            Member::Bytes(oci::canonical(&oci::index(contents.descriptors, &Annotations::new()))),
        ),
        ("oci-layout".to_string(), Member::Bytes(oci::EMPTY_LAYOUT.to_vec())),
    ]);
    members.extend(contents.docker.map(|bytes| ("manifest.json".to_string(), Member::Bytes(bytes))));
    members.extend(contents.blobs.into_iter().map(|blob| (blob_name(&blob), Member::Blob(blob))));
    let mut header = Vec::new();
    for (name, member) in &members {
        let size = match member {
            Member::Directory => None,
            Member::Bytes(bytes) => Some(bytes.len() as u64),
            Member::Blob(blob) => Some(blob.size),
        };
        header.clear();
        tar::member_header(&mut header, name, size);
        writer.write_all(&header).map_err(failed)?;
        match member {
            Member::Directory => {}
            Member::Bytes(bytes) => writer.write_all(bytes).map_err(failed)?,
            Member::Blob(blob) => {
                let mut reader = store.open(blob)?;
                copy_proved(&mut *reader, writer, target, blob, progress)?;
            }
        }
        writer.write_all(&tar::END[..tar::padding(size.unwrap_or(0))]).map_err(failed)?;
    }
    writer.write_all(&tar::END).map_err(failed)?;
    writer.flush().map_err(failed)
}

enum Member {
    Directory,
    Bytes(Vec<u8>),
    Blob(Blob),
}

fn blob_name(blob: &Blob) -> String {
    format!("blobs/sha256/{}", blob.digest.hex())
}

/// Docker's list of images: the paths of config and layers, and the references. Without any, it loads by its digest.
pub(super) fn docker_manifest(image: &PlatformImage, names: &[String]) -> Result<Vec<u8>, TransportError> {
    let layers: Result<Vec<String>, _> =
        image.manifest.layers().iter().map(|layer| Ok::<_, TransportError>(blob_name(&Blob::of(layer)?))).collect();
    let item = json!({
        "Config": blob_name(&Blob::of(image.manifest.config())?),
        "RepoTags": if names.is_empty() { json!(null) } else { json!(names) },
        "Layers": layers?,
    });
    Ok(oci::canonical(&[item]))
}
