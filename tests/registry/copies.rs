//! Images from place to place: the same bytes, with everything that an index leads to.

use std::path::Path;

use sazare::codec::Scratch;
use sazare::digest::Digest;
use sazare::failure::{Failure as _, FailureKind};
use sazare::pipeline::{self, BuildError, Copied, Copying};
use sazare::platform::Platform;
use sazare::progress::Silent;
use sazare::transport::{Access, Place, WriteOptions};

use crate::outputs::whole;
use crate::places::{HELLO, build, registries, serve};
use crate::server::{INDEX, Server};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn copy(from: &[&str], to: &[&str], platforms: &[&str], folder: &Path) -> Result<Copied, BuildError> {
    let registries = registries();
    let scratch = Scratch::new(folder);
    let from: Vec<Place> = from.iter().map(|text| Place::for_reading(text).unwrap()).collect();
    let to: Vec<Place> = to.iter().map(|text| Place::for_writing(text).unwrap()).collect();
    let platforms: Vec<Platform> = platforms.iter().map(|text| text.parse().unwrap()).collect();
    let mut write = WriteOptions::default();
    write.registries = Some(registries.clone());
    let access = Access::new(&scratch).with_registries(Some(&registries));
    let copying = Copying { from: &from, to: &to, platforms: &platforms, access, write: &write, temporary: folder };
    pipeline::copy(&copying, &mut std::io::sink(), &Silent)
}

/// The example with an attestation in its index, as docker makes it.
fn attested(folder: &Path) -> (Server, Digest) {
    let server = Server::start();
    let digest = build(&Path::new(HELLO).join("recipe.toml"), &folder.join("hello"), &registries(), None).unwrap();
    serve(&server, &folder.join("hello"), &digest);
    let statement = server.put_blob(b"{\"_type\":\"https://in-toto.io/Statement/v0.1\"}");
    let config = server.put_blob(
        b"{\"architecture\":\"unknown\",\"os\":\"unknown\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}",
    );
    let sizes = |digest: &Digest| server.state().blobs[&digest.to_string()].len();
    let attestation = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{}}},"layers":[{{"mediaType":"application/vnd.in-toto+json","digest":"{statement}","size":{}}}]}}"#,
        sizes(&config),
        sizes(&statement)
    );
    let named = Digest::of(attestation.as_bytes());
    let (_, index) = server.state().manifests["a/b/v1"].clone();
    let mut index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    index["manifests"].as_array_mut().unwrap().push(serde_json::json!({
        "mediaType": MANIFEST, "digest": named.to_string(), "size": attestation.len(),
        "platform": {"architecture": "unknown", "os": "unknown"},
    }));
    let index = serde_json::to_vec_pretty(&index).unwrap();
    let digest = Digest::of(&index);
    let mut state = server.state();
    state.manifests.insert(format!("a/b/{named}"), (MANIFEST.into(), attestation.into_bytes()));
    for name in [digest.to_string(), "v1".into()] {
        state.manifests.insert(format!("a/b/{name}"), (INDEX.into(), index.clone()));
    }
    drop(state);
    (server, digest)
}

#[test]
fn an_image_keeps_its_digest_and_its_attestations_through_every_kind_of_place() {
    let folder = tempfile::tempdir().unwrap();
    let (server, digest) = attested(folder.path());
    let other = Server::start();
    let text = |name: &str| folder.path().join(name).display().to_string();
    let first = format!("docker://{}/a/b:v1", server.host);
    let second = format!("docker://{}/a/b:v2", other.host);
    let (layout, archive) = (format!("oci:{}:v1", text("layout")), text("a.tar"));
    let third = format!("docker://{}/a/b:v3", other.host);
    for (from, to) in [(&first, &second), (&first, &layout), (&layout, &archive), (&archive, &third)] {
        assert_eq!(copy(&[from], &[to], &[], folder.path()).unwrap().digest, digest, "{from} {to}");
    }
    assert_eq!(whole(&other), ["v2", "v3"]);
    assert_eq!(other.state().blobs.len(), server.state().blobs.len());
    // To several places at once.
    let third = Server::start();
    let to = [format!("docker://{}/a/b:v1", third.host), format!("oci:{}:v1", text("both"))];
    let copied = copy(&[&first], &to.each_ref().map(String::as_str), &[], folder.path()).unwrap();
    assert_eq!((copied.digest, copied.written.len()), (digest, 2));
    assert_eq!(whole(&third), ["v1"]);
    assert!(folder.path().join("both/blobs/sha256").join(digest.hex()).is_file());
}

#[test]
fn one_platform_is_copied_as_its_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = attested(folder.path());
    let other = Server::start();
    let (from, to) = (format!("docker://{}/a/b:v1", server.host), format!("docker://{}/a/b", other.host));
    let copied = copy(&[&from], &[&to], &["linux/arm64"], folder.path()).unwrap();
    assert_eq!(copied.digest.to_string(), copied.image.platforms[0].manifest_descriptor.digest().to_string());
    // Its tag is the one that it had.
    assert_eq!(whole(&other), ["v1"]);
    assert_eq!(other.state().blobs.len(), 2);
    let error = copy(&[&from], &[&to], &["linux/arm64", "linux/s390x"], folder.path()).err().unwrap();
    assert_eq!(error.kind(), FailureKind::Input, "{error}");
}

#[test]
fn images_of_several_machines_become_one_index_and_doubled_platforms_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = attested(folder.path());
    let other = Server::start();
    let all = format!("docker://{}/a/b:v1", server.host);
    let layouts = ["amd64", "arm64"].map(|arch| format!("oci:{}", folder.path().join(arch).display()));
    for (layout, platform) in layouts.iter().zip(["linux/amd64", "linux/arm64"]) {
        copy(&[&all], &[layout], &[platform], folder.path()).unwrap();
    }
    let to = format!("docker://{}/a/b:both", other.host);
    let copied = copy(&[&layouts[0], &layouts[1]], &[&to], &[], folder.path()).unwrap();
    assert_eq!(whole(&other), ["both"]);
    let platforms: Vec<String> = copied.image.platforms.iter().map(|one| one.platform.to_string()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    let (_, index) = other.state().manifests["a/b/both"].clone();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["manifests"][1]["platform"]["architecture"], "arm64");
    assert!(index["manifests"][0].get("annotations").is_none(), "{index}");
    // Read back, it is one image.
    let back = format!("oci:{}:x", folder.path().join("back").display());
    assert_eq!(copy(&[&to], &[&back], &[], folder.path()).unwrap().digest, copied.digest);

    let error = copy(&[&all, &layouts[1]], &[&to], &[], folder.path()).err().unwrap();
    assert_eq!(error.to_string(), format!("two images for linux/arm64: {all} and {}", layouts[1]));
    assert_eq!(error.kind(), FailureKind::Usage);
}

#[test]
fn a_copy_that_cannot_be_read_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = attested(folder.path());
    let other = Server::start();
    let from = format!("docker://{}/a/b:v1", server.host);
    let config = server.state().blobs.keys().next().unwrap().clone();
    server.state().blobs.remove(&config);
    let layout = folder.path().join("out");
    for to in [format!("docker://{}/a/b:v1", other.host), format!("oci:{}", layout.display())] {
        assert!(copy(&[&from], &[&to], &[], folder.path()).is_err());
    }
    assert_eq!(whole(&other), [""; 0]);
    assert!(!layout.exists());
}
