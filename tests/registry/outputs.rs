//! Images written to registries: whole or not at all, and the same bytes as in a layout.

use std::path::Path;

use sazare::api::{ApiError, ImageBuilder};
use sazare::digest::Digest;
use sazare::failure::{Failure as _, FailureKind};
use sazare::pipeline::Outcome;
use sazare::recipe;
use sazare::transport::{Place, Written};

use crate::places::{HELLO, build, registries};
use crate::server::{Asked, Fault, Lock, Reply, Server};
use crate::settings;

/// Builds the example into a repository; gives its digest and what was noted.
fn push(server: &Server, to: &str, folder: &Path) -> Result<(Digest, Vec<String>), ApiError> {
    let (settings, _file) = settings(Some(server));
    let registries = std::sync::Arc::new(sazare::registry::Registries::new(settings));
    let recipe = recipe::read(&Path::new(HELLO).join("recipe.toml")).unwrap();
    let place = Place::for_writing(&format!("docker://{}/{to}", server.host)).unwrap();
    let builder = ImageBuilder::from_recipe(&recipe).output(place).temporary(folder).registries(registries);
    match builder.run()? {
        Outcome::Built(built) => {
            let Written::Image(written) = &built.written[0] else { panic!() };
            Ok((built.image.as_ref().unwrap().0, written.notes.clone()))
        }
        Outcome::Refused(_) => panic!("refused"),
    }
}

/// What the tags of `a/b` lead to is all there.
pub fn whole(server: &Server) -> Vec<String> {
    let state = server.state();
    let is_tag = |name: &&str| !name.contains(':');
    let tags: Vec<&str> = state.manifests.keys().filter_map(|key| key.strip_prefix("a/b/")).filter(is_tag).collect();
    let mut pending: Vec<Vec<u8>> = tags.iter().map(|tag| state.manifests[&format!("a/b/{tag}")].1.clone()).collect();
    while let Some(bytes) = pending.pop() {
        let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let list = |key: &str| document.get(key).and_then(|list| list.as_array()).cloned().unwrap_or_default();
        let digest = |value: &serde_json::Value| value["digest"].as_str().unwrap().to_string();
        for blob in list("layers").iter().chain(document.get("config")) {
            assert!(state.blobs.contains_key(&digest(blob)), "{}", digest(blob));
        }
        pending
            .extend(list("manifests").iter().map(|child| state.manifests[&format!("a/b/{}", digest(child))].1.clone()));
    }
    tags.into_iter().map(str::to_string).collect()
}

fn puts(log: &[Asked]) -> Vec<String> {
    let sends = |asked: &&Asked| matches!(asked.method.as_str(), "PUT" | "POST" | "PATCH");
    log.iter().filter(sends).map(|asked| asked.path().rsplit('/').next().unwrap().to_string()).collect()
}

#[test]
fn a_build_goes_into_a_registry_with_the_digest_of_the_layout_and_the_tag_last() {
    let folder = tempfile::tempdir().unwrap();
    let layout = build(&Path::new(HELLO).join("recipe.toml"), &folder.path().join("l"), &registries(), None).unwrap();
    for lock in [Lock::Open, Lock::Basic, Lock::Bearer(std::time::Duration::from_secs(60))] {
        let server = Server::start();
        server.state().lock = lock;
        let (digest, notes) = push(&server, "a/b:v1", folder.path()).unwrap();
        assert_eq!(digest, layout);
        assert!(notes[0].starts_with("blobs: 4 sent ("), "{notes:?}");
        assert_eq!(whole(&server), ["v1"]);
        assert_eq!(puts(&server.take_log()).last().map(String::as_str), Some("v1"));
        // Again, nothing is sent.
        let (_, notes) = push(&server, "a/b:v1", folder.path()).unwrap();
        assert_eq!(notes, ["unchanged: v1 has this digest already"]);
        assert_eq!(puts(&server.take_log()), [""; 0]);
        // Another tag of the same image needs no blob.
        let (_, notes) = push(&server, "a/b", folder.path()).unwrap();
        assert_eq!(notes, ["blobs: 0 sent (0 bytes), 0 mounted, 4 were there"]);
        assert_eq!(whole(&server), ["latest", "v1"]);
    }
}

#[test]
fn a_push_that_fails_anywhere_leaves_no_tag_and_is_an_error_of_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    push(&server, "a/b:v1", folder.path()).unwrap();
    let requests = server.take_log().len();
    let mut failures = 0;
    for number in 0..requests {
        for fault in ["403", "500", "cut"] {
            let server = Server::start();
            let mut count = 0;
            server.hook(move |_, _| {
                count += 1;
                match (count > number, fault) {
                    (false, _) => Fault::None,
                    (true, "403") => Fault::Instead(Reply::new(403)),
                    (true, "500") => Fault::Instead(Reply::new(500)),
                    (true, _) => Fault::CutBody(10),
                }
            });
            let error = match push(&server, "a/b:v1", folder.path()) {
                Ok(_) => panic!("{number} {fault}"),
                Err(error) => error,
            };
            assert_eq!(error.kind(), FailureKind::Output, "{number} {fault}: {error}");
            assert_eq!(whole(&server), [""; 0], "{number} {fault}: {error}");
            failures += 1;
        }
    }
    assert_eq!(failures, requests * 3);
    let left = std::fs::metadata(folder.path()).unwrap();
    assert!(left.is_dir());
}

#[test]
fn a_push_through_faults_that_pass_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    for fault in 0..4 {
        let server = Server::start();
        let mut count = 0;
        server.hook(move |_, _| {
            count += 1;
            match (count % 3, fault) {
                (1, 0) => Fault::Instead(Reply::new(429).with("Retry-After", "0")),
                (1, 1) => Fault::Silence,
                (1, 2) => Fault::Afterwards(Reply::new(502)),
                (1, _) => Fault::CutBody(100),
                _ => Fault::None,
            }
        });
        push(&server, "a/b:v1", folder.path()).unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert_eq!(whole(&server), ["v1"], "{fault}");
    }
}

#[test]
fn a_digest_cannot_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let error = push(&server, &format!("a/b@{}", Digest::of(b"x")), folder.path()).unwrap_err();
    assert!(error.to_string().starts_with("the digest follows from the image"), "{error}");
    assert_eq!(error.kind(), FailureKind::Usage);
}
