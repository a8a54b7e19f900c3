//! Archives of `docker save`: `manifest.json`, configs and layers, without OCI documents.
//!
//! The documents are made while reading: every layer is hashed as it lies there, and its uncompressed bytes are compared
//! with the `diff_id` in the config, which is the only digest that such an archive has.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use serde::Deserialize;

use super::blobs::{ArchiveBlobs, WithDocuments};
use super::error::TransportError;
use super::members::Members;
use super::naming::references_equal;
use crate::codec::compress::{self, Form};
use crate::digest::{Digest, Digesting};
use crate::image::{Blob, Blobs};
use crate::oci::{self, Annotations, Configuration, Descriptor, MediaType};
use crate::tree::Content;

/// One image of the archive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// The blobs of the image that is meant, and its manifest's descriptor.
pub(super) fn read(
    place: &str,
    members: &Members,
    reference: Option<&str>,
) -> Result<(Box<dyn Blobs>, Descriptor), TransportError> {
    let malformed = |fault: String| TransportError::Malformed { place: place.to_string(), fault };
    let items: Vec<Item> = serde_json::from_slice(&members.document("manifest.json")?)
        .map_err(|error| malformed(format!("manifest.json: {error}")))?;
    let item = choose(place, items, reference)?;
    let mut contents = BTreeMap::new();
    let bytes = members.document(&item.config)?;
    let config = Blob { digest: Digest::of(&bytes), size: bytes.len() as u64 };
    contents.insert(config.digest, members.file(&item.config)?.clone());
    let configuration = Configuration::parse(&bytes).map_err(|error| malformed(format!("{}: {error}", item.config)))?;
    let diff_ids = configuration.diff_ids();
    if diff_ids.len() != item.layers.len() {
        let (layers, ids) = (item.layers.len(), diff_ids.len());
        return Err(malformed(format!("manifest.json names {layers} layers and {} {ids}", item.config)));
    }
    let mut layers = Vec::new();
    for (path, diff_id) in item.layers.iter().zip(diff_ids) {
        let content = members.file(path)?;
        let failed = |error: io::Error| malformed(format!("{path}: {error}"));
        let (form, blob, found) = hash(content).map_err(failed)?;
        if found != diff_id {
            return Err(malformed(format!("{path} is not the layer in the config: expected {diff_id}, found {found}")));
        }
        let media_type = match form {
            Form::Plain => MediaType::ImageLayer,
            Form::Gzip => MediaType::ImageLayerGzip,
            Form::Zstd => MediaType::ImageLayerZstd,
            Form::Xz => {
                return Err(malformed(format!("the layer is compressed with xz, which no engine reads: {path}")));
            }
        };
        layers.push(blob.descriptor(media_type));
        contents.insert(blob.digest, content.clone());
    }
    let config = config.descriptor(MediaType::ImageConfig);
    let manifest = oci::canonical(&oci::manifest(config, layers, &Annotations::new()));
    let digest = Digest::of(&manifest);
    let root = oci::descriptor(MediaType::ImageManifest, &digest, manifest.len() as u64);
    let rest = Box::new(ArchiveBlobs { place: place.to_string(), contents });
    Ok((Box::new(WithDocuments { documents: BTreeMap::from([(digest, manifest)]), rest }), root))
}

fn choose(place: &str, mut items: Vec<Item>, reference: Option<&str>) -> Result<Item, TransportError> {
    let known = |items: &[Item]| items.iter().flat_map(|item| item.repo_tags.iter().flatten().cloned()).collect();
    let place = place.to_string();
    let position = match reference {
        None => match items.len() {
            0 => return Err(TransportError::Malformed { place, fault: "it contains no image".into() }),
            1 => 0,
            _ => return Err(TransportError::Several { place, known: known(&items) }),
        },
        Some(wanted) => {
            let tagged = |name: &str| name.rsplit_once(':').is_some_and(|(_, tag)| tag == wanted);
            let named = |item: &Item| {
                item.repo_tags.iter().flatten().any(|name| references_equal(name, wanted) || tagged(name))
            };
            let found = items.iter().position(named);
            let missing = || TransportError::NoSuchImage { place, wanted: wanted.to_string(), known: known(&items) };
            found.ok_or_else(missing)?
        }
    };
    Ok(items.swap_remove(position))
}

/// The form of a layer, its digest as it lies there, and the digest of what it unpacks to.
fn hash(content: &Content) -> io::Result<(Form, Blob, Digest)> {
    let open = || content.open().map_err(io::Error::other);
    let form = compress::form_of(&content.head(6).map_err(io::Error::other)?);
    let digest = |reader: &mut dyn Read| -> io::Result<Blob> {
        let mut sink = Digesting::new(io::sink());
        io::copy(reader, &mut sink)?;
        let (_, digest, size) = sink.finish();
        Ok(Blob { digest, size })
    };
    let blob = digest(&mut open()?)?;
    let unpacked = match form {
        Form::Plain => blob,
        Form::Gzip | Form::Zstd | Form::Xz => {
            let input = BufReader::with_capacity(1 << 16, open()?);
            digest(&mut compress::decompressed(form, input)?)?
        }
    };
    Ok((form, blob, unpacked.digest))
}
