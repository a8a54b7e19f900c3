//! Images in registries as places: read, verified, and built upon.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sazare::api::{ApiError, ImageBuilder, Verifier};
use sazare::codec::Scratch;
use sazare::digest::Digest;
use sazare::failure::{Failure as _, FailureKind};
use sazare::image::{Cache, Image};
use sazare::pipeline::Outcome;
use sazare::progress::Silent;
use sazare::recipe;
use sazare::registry::Registries;
use sazare::transport::{self, Access, Opened, Place, TransportError};

use crate::server::{Fault, INDEX, Reply, Server};
use crate::{bytes, settings};

pub const HELLO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/images/hello");
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Builds a recipe into a layout; gives the digest of what its tag names.
pub fn build(
    recipe: &Path,
    layout: &Path,
    registries: &Arc<Registries>,
    cache: Option<&Path>,
) -> Result<Digest, ApiError> {
    let recipe = recipe::read(recipe).unwrap();
    let place = Place::for_writing(&format!("oci:{}", layout.display())).unwrap();
    let mut builder = ImageBuilder::from_recipe(&recipe).output(place).registries(registries.clone());
    if let Some(cache) = cache {
        builder = builder.cache(Cache::new(cache, 1 << 30, SystemTime::UNIX_EPOCH), SystemTime::UNIX_EPOCH);
    }
    match builder.run()? {
        Outcome::Built(built) => Ok(built.image.unwrap().0),
        Outcome::Refused(_) => panic!("refused"),
    }
}

pub fn registries() -> Arc<Registries> {
    let (settings, folder) = settings(None);
    std::mem::forget(folder);
    Arc::new(Registries::new(settings))
}

/// Puts all blobs of a layout into `a/b`, with what `digest` names as `v1`.
pub fn serve(server: &Server, layout: &Path, digest: &Digest) {
    let mut state = server.state();
    for blob in files(&layout.join("blobs/sha256")) {
        let bytes = fs::read(&blob).unwrap();
        let digest = Digest::of(&bytes);
        let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match (document.get("manifests").is_some(), document.get("layers").is_some()) {
            (true, _) => drop(state.manifests.insert(format!("a/b/{digest}"), (INDEX.into(), bytes))),
            (_, true) => drop(state.manifests.insert(format!("a/b/{digest}"), (MANIFEST.into(), bytes))),
            _ => drop(state.blobs.insert(digest.to_string(), bytes)),
        }
    }
    let root = state.manifests[&format!("a/b/{digest}")].clone();
    state.manifests.insert("a/b/v1".into(), root);
}

#[expect(clippy::disallowed_methods, reason = "the order of the files does not matter")]
fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Hello in a registry.
fn hello(folder: &Path) -> (Server, Digest) {
    let server = Server::start();
    let digest = build(&Path::new(HELLO).join("recipe.toml"), &folder.join("hello"), &registries(), None).unwrap();
    serve(&server, &folder.join("hello"), &digest);
    (server, digest)
}

fn open(place: &str, folder: &Path) -> Result<(Image, Vec<String>), TransportError> {
    let (scratch, registries) = (Scratch::new(folder), registries());
    let access = Access::new(&scratch).with_registries(Some(&registries));
    match transport::open(&Place::for_reading(place).unwrap(), &access, &Silent)? {
        Opened::Image { image, notes, .. } => Ok((image, notes)),
        Opened::Tree { .. } | Opened::Initramfs { .. } => panic!("{place}"),
    }
}

#[test]
fn an_image_is_the_same_as_in_a_layout() {
    let folder = tempfile::tempdir().unwrap();
    let (server, digest) = hello(folder.path());
    let (there, _) = open(&format!("oci:{}", folder.path().join("hello").display()), folder.path()).unwrap();
    for reference in [":v1".to_string(), format!("@{digest}"), format!(":other@{digest}")] {
        let (image, notes) = open(&format!("docker://{}/a/b{reference}", server.host), folder.path()).unwrap();
        assert_eq!(image.root.digest(), there.root.digest());
        let manifests = |image: &Image| image.platforms.iter().map(|one| one.manifest.clone()).collect::<Vec<_>>();
        assert_eq!(manifests(&image), manifests(&there));
        assert_eq!(notes, [""; 0]);
    }
    // No blob but the configs is read before it is wanted.
    let blobs = server.take_log().into_iter().filter(|asked| asked.path().contains("/blobs/")).count();
    assert_eq!(blobs, 3 * 2);
}

#[test]
fn a_verdict_is_the_same_through_broken_connections() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = hello(folder.path());
    server.hook(|asked, before| match asked.method.as_str() {
        "GET" if before % 3 == 0 => Fault::Cut(50),
        "GET" if before % 3 == 1 => Fault::Instead(Reply::new(503)),
        _ => Fault::None,
    });
    let place = Place::for_reading(&format!("docker://{}/a/b:v1", server.host)).unwrap();
    let verify = || Verifier::new(place.clone()).registries(registries()).temporary(folder.path()).run();
    let checked = verify().unwrap();
    assert_eq!((checked.report.findings.len(), checked.verdicts.len()), (0, 2));
    // Without registries there is nothing to ask.
    let error = Verifier::new(place.clone()).temporary(folder.path()).run().err().unwrap();
    assert_eq!(error.to_string(), format!("no access to registries: {place}"));
}

#[test]
fn what_is_missing_or_damaged_is_an_error_of_the_input() {
    let folder = tempfile::tempdir().unwrap();
    let (server, digest) = hello(folder.path());
    let place = format!("docker://{}/a/b:v1", server.host);
    let error = open(&place.replace("v1", "v2"), folder.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("{0} does not have {0}/a/b:v2", server.host));
    assert_eq!(error.kind(), FailureKind::Input);

    // A platform that is listed and not there is left out, as in a layout.
    let (whole, _) = open(&place, folder.path()).unwrap();
    let arm64 = whole.platforms[1].manifest_descriptor.digest().to_string();
    let kept = server.state().manifests.remove(&format!("a/b/{arm64}")).unwrap();
    let (image, notes) = open(&place, folder.path()).unwrap();
    assert_eq!(image.platforms.len(), 1);
    assert_eq!(notes, [format!("linux/arm64 is listed in the index but missing: {arm64}")]);
    server.state().manifests.insert(format!("a/b/{arm64}"), kept);

    let verify = || {
        let place = Place::for_reading(&place).unwrap();
        Verifier::new(place).registries(registries()).temporary(folder.path()).run().err().unwrap()
    };
    let layer = whole.platforms[0].manifest.layers()[0].digest().to_string();
    let good = server.state().blobs.remove(&layer).unwrap();
    let error = verify();
    assert_eq!(error.to_string(), format!("{place} does not contain the blob {layer}"));
    assert_eq!(error.kind(), FailureKind::Input);
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    server.state().blobs.insert(layer.clone(), bad);
    let error = verify();
    assert!(error.to_string().contains("digest mismatch"), "{error}");
    assert_eq!(error.kind(), FailureKind::Input);
    // A digest beside a tag is the one that counts.
    let other = format!("{place}@{}", Digest::of(b"other"));
    assert!(open(&other, folder.path()).unwrap_err().to_string().contains("does not have"), "{digest}");
    // What is no image says so.
    server.state().manifests.insert("a/b/v3".into(), ("application/json".into(), b"{}".to_vec()));
    let error = open(&place.replace("v1", "v3"), folder.path()).unwrap_err();
    assert_eq!(error.kind(), FailureKind::Input, "{error}");
}

/// A base image of two platforms with a file of 9 MiB, and a recipe that puts a file on it.
fn based(folder: &Path) -> (Server, PathBuf, usize) {
    let server = Server::start();
    let big = bytes(9 << 20);
    for arch in ["amd64", "arm64"] {
        let root = folder.join("root").join(arch);
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::copy(Path::new(HELLO).join(arch).join("bin/hello"), root.join("bin/hello")).unwrap();
        fs::write(root.join("big"), &big).unwrap();
    }
    let platforms = "platforms = [\"linux/amd64\", \"linux/arm64\"]\n";
    fs::write(folder.join("base.toml"), format!("{platforms}[[source]]\nfrom = \"root/{{arch}}\"\n")).unwrap();
    let digest = build(&folder.join("base.toml"), &folder.join("base"), &registries(), None).unwrap();
    serve(&server, &folder.join("base"), &digest);
    let recipe = format!(
        "{platforms}[[source]]\nfrom = \"docker://{}/a/b:v1@{digest}\"\n[[path]]\npath = \"/etc/x\"\ntype = \"file\"\ntext = \"x\"\n",
        server.host
    );
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
    server.take_log();
    (server, folder.join("recipe.toml"), big.len())
}

/// How often each blob was asked for.
fn blobs(server: &Server) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for asked in server.take_log().iter().filter(|asked| asked.path().contains("/blobs/")) {
        *counts.entry(asked.path().to_string()).or_default() += 1;
    }
    counts
}

#[test]
fn a_base_is_fetched_once_and_then_comes_from_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let (server, recipe, size) = based(folder.path());
    let cache = folder.path().join("cache");
    let first = build(&recipe, &folder.path().join("first"), &registries(), Some(&cache)).unwrap();
    let counts = blobs(&server);
    assert!(
        counts.values().filter(|count| **count > 1).count() <= 2,
        "only configs are read for each platform: {counts:?}"
    );
    let layers = |layout: &str| {
        let place = format!("oci:{}", folder.path().join(layout).display());
        let (image, _) = open(&place, folder.path()).unwrap();
        image
            .platforms
            .iter()
            .map(|one| (one.manifest.annotations().clone(), one.manifest.layers()[0].clone()))
            .collect::<Vec<_>>()
    };
    for ((annotations, made), (_, base)) in layers("first").into_iter().zip(layers("base")) {
        assert_eq!(made, base, "the layer of the base is unchanged");
        let annotations = annotations.unwrap();
        assert_eq!(annotations["org.opencontainers.image.base.name"], format!("{}/a/b:v1", server.host));
        assert!(annotations["org.opencontainers.image.base.digest"].starts_with("sha256:"));
    }

    // From here on nothing is asked for, even if it may not be.
    let (mut offline, _folder) = settings(None);
    offline.offline = true;
    let offline = Arc::new(Registries::new(offline));
    let second = build(&recipe, &folder.path().join("second"), &offline, Some(&cache)).unwrap();
    assert_eq!(second, first);
    assert_eq!(server.take_log().len(), 0);
    let error = build(&recipe, &folder.path().join("third"), &offline, None).unwrap_err();
    assert!(error.to_string().ends_with("because of --offline"), "{error}");

    // Of a blob that the cache has only the beginning of, the rest is fetched.
    let mut pieces: Vec<PathBuf> = (0..16)
        .map(|digit| cache.join(format!("1/{digit:x}")))
        .filter(|path| path.is_dir())
        .flat_map(|path| files(&path))
        .collect();
    pieces.retain(|path| fs::metadata(path).unwrap().len() == (4 << 20) + 32);
    assert!(pieces.len() >= 2 * (size >> 22), "{}", pieces.len());
    fs::remove_file(&pieces[0]).unwrap();
    let again = build(&recipe, &folder.path().join("again"), &registries(), Some(&cache)).unwrap();
    assert_eq!(again, first);
    assert!(blobs(&server).values().sum::<usize>() <= 1);
}

#[test]
fn a_damaged_base_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (server, recipe, _) = based(folder.path());
    let cache = folder.path().join("cache");
    server.hook(|asked, _| match asked.method.as_str() {
        "GET" if asked.path().contains("/blobs/") => Fault::Changed(|mut reply| {
            if reply.body.len() > 1 << 20 {
                reply.body[9 << 20] ^= 1;
            }
            reply
        }),
        _ => Fault::None,
    });
    let error = build(&recipe, &folder.path().join("out"), &registries(), Some(&cache)).unwrap_err();
    assert!(error.to_string().contains("digest mismatch"), "{error}");
    assert_eq!(error.kind(), FailureKind::Input);
    assert!(!folder.path().join("out").exists());
    server.hook(|_, _| Fault::None);
    let good = build(&recipe, &folder.path().join("out"), &registries(), Some(&cache)).unwrap();
    assert_eq!(build(&recipe, &folder.path().join("other"), &registries(), None).unwrap(), good);
}
