//! Images in a real registry, pushed by skopeo and read by sazare.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::engines::{Registry, Store};
use crate::outside::{checkout, command, missing, must, run};

/// `sazare` as a command that a test may change.
fn sazare(arguments: &[&str]) -> Command {
    command(env!("CARGO_BIN_EXE_sazare"), arguments)
}

/// Pushes the example with skopeo; gives its place and digest.
fn hello(registry: &Registry, folder: &Path) -> (String, String) {
    let layout = format!("oci:{}", folder.join("layout").display());
    let digest = must(&mut sazare(&["build", checkout().join("images/hello").to_str().unwrap(), "-o", &layout]));
    let place = format!("docker://{}/some/hello:v1", registry.host);
    must(&mut command(
        "skopeo",
        ["copy", "-q", "--all", "--dest-tls-verify=false", &format!("{layout}:latest"), &place],
    ));
    (place, digest.trim().to_string())
}

#[test]
fn a_pushed_image_is_verified_inspected_tried_bundled_and_built_upon() {
    let Some(registry) = Registry::start() else { return };
    if missing(&["skopeo"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, digest) = hello(&registry, folder.path());
    let verified = must(&mut sazare(&["verify", &place]));
    assert!(verified.contains("linux/amd64: 1 program, it starts"), "{verified}");
    let seen = must(&mut sazare(&["inspect", "--format", "json", &place]));
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["digest"], digest.as_str());
    let tried = run(&mut sazare(&["try", "--trust", &place, "--platform", "linux/amd64"]));
    assert_eq!((tried.code, tried.out.lines().next()), (0, Some("Hello from sazare on linux/amd64.")), "{}", tried.err);
    let out = folder.path().join("out");
    let bundled = format!("rootfs:{}", out.display());
    must(&mut sazare(&["bundle", "/bin/hello", "--root", &place, "--platform", "linux/arm64", "-o", &bundled]));
    assert!(out.join("bin/hello").is_file());

    let recipe = folder.path().join("recipe.toml");
    let text = |from: &str| {
        format!(
            "platforms = [\"linux/amd64\"]\n[[source]]\nfrom = \"{from}\"\n[[path]]\npath = \"/x\"\ntype = \"directory\"\n"
        )
    };
    fs::write(&recipe, text(&format!("{place}@{digest}"))).unwrap();
    let archive = folder.path().join("built.tar");
    let build = |more: &[&str]| {
        let arguments = ["build", recipe.to_str().unwrap(), "-o", archive.to_str().unwrap()];
        let mut command = sazare(&arguments);
        command.args(more).env("XDG_CACHE_HOME", folder.path().join("cache"));
        command
    };
    let built = must(&mut build(&[]));
    assert_eq!(must(&mut build(&["--offline"])), built);
    let answer = run(&mut build(&["--offline", "--no-cache"]));
    assert_eq!(answer.code, 4);
    assert!(answer.err.contains("was not asked, because of --offline"), "{}", answer.err);
    fs::write(&recipe, text(&place)).unwrap();
    let answer = run(&mut build(&[]));
    assert_eq!(answer.code, 3);
    assert!(answer.err.contains("an image in a registry needs its digest"), "{}", answer.err);
}

#[test]
fn what_a_registry_does_not_have_and_one_that_is_not_there_are_errors_with_code_4() {
    let Some(registry) = Registry::start() else { return };
    let host = registry.host.clone();
    let answer = run(&mut sazare(&["verify", &format!("docker://{host}/none:v1")]));
    assert_eq!(
        (answer.code, answer.err.as_str()),
        (4, format!("reading docker://{host}/none:v1\nerror: {host} does not have {host}/none:v1\n").as_str())
    );
    drop(registry);
    let answer = run(&mut sazare(&["verify", &format!("docker://{host}/none:v1")]));
    assert_eq!(answer.code, 4);
    assert!(answer.err.contains(&format!("error: no answer from {host}: ")), "{}", answer.err);
    let answer = run(&mut sazare(&["verify", "docker://X/y"]));
    assert_eq!(answer.code, 2, "{}", answer.err);
}

#[test]
fn a_build_is_pushed_and_read_by_skopeo_and_podman_with_the_same_digest() {
    let Some(registry) = Registry::start() else { return };
    if missing(&["skopeo"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let hello = checkout().join("images/hello");
    let place = format!("docker://{}/you/hello:v1", registry.host);
    let build = |place: &str| run(&mut sazare(&["build", hello.to_str().unwrap(), "-o", place]));
    let first = build(&place);
    assert_eq!(first.code, 0, "{}", first.err);
    let digest = first.out.trim();
    let seen = must(&mut command("skopeo", ["inspect", "--format", "{{.Digest}}", "--tls-verify=false", &place]));
    assert_eq!(seen.trim(), digest);
    let back = format!("oci:{}:v1", folder.path().join("back").display());
    must(&mut command("skopeo", ["copy", "-q", "--all", "--src-tls-verify=false", &place, &back]));
    let index = fs::read_to_string(folder.path().join("back/index.json")).unwrap();
    assert!(index.contains(digest), "{index}");
    let again = build(&place);
    assert_eq!((again.code, again.out.trim()), (0, digest));
    assert!(again.err.contains("unchanged: v1 has this digest already"), "{}", again.err);
    let answer = build(&format!("docker://{}/you/hello@{digest}", registry.host));
    assert_eq!(answer.code, 2, "{}", answer.err);
    if let Some(store) = Store::new("podman") {
        let image = format!("{}/you/hello:v1", registry.host);
        must(&mut store.podman(&["pull", "-q", "--tls-verify=false", &image]));
        let said = must(&mut store.podman(&["image", "inspect", "--format", "{{.Digest}}", &image]));
        assert!(said.trim().starts_with("sha256:"), "{said}");
    }
    let host = registry.host.clone();
    drop(registry);
    let answer = build(&format!("docker://{host}/you/hello:v2"));
    assert_eq!(answer.code, 5, "{}", answer.err);
}

#[test]
fn the_push_in_the_readme_is_real() {
    if !cfg!(feature = "native") {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let readme = fs::read_to_string(checkout().join("README.md")).unwrap();
    let command_line = "$ sazare build images/hello -o docker://127.0.0.1:5000/hello:latest\n";
    let (_, after) = readme.split_once(command_line).unwrap();
    let printed = after.split("```").next().unwrap().replace("127.0.0.1:5000", &registry.host);
    let place = format!("docker://{}/hello:latest", registry.host);
    let answer = run(sazare(&["--progress", "none", "build", "images/hello", "-o", &place]).current_dir(checkout()));
    assert_eq!(format!("{}{}", answer.err, answer.out), printed);
}

#[test]
fn an_image_is_copied_out_and_in_with_the_same_digest_as_by_skopeo() {
    let Some(registry) = Registry::start() else { return };
    if missing(&["skopeo"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, digest) = hello(&registry, folder.path());
    let other = format!("docker://{}/other/name:v2", registry.host);
    let copied = must(&mut sazare(&["copy", &place, &other]));
    assert_eq!(copied.trim(), digest);
    let seen = must(&mut command("skopeo", ["inspect", "--format", "{{.Digest}}", "--tls-verify=false", &other]));
    assert_eq!(seen.trim(), digest);
    let back = format!("oci:{}:v2", folder.path().join("back").display());
    let answer = must(&mut sazare(&["copy", "--format", "json", &other, "-o", &back]));
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["digest"], digest.as_str());
    assert_eq!(answer["platforms"].as_array().unwrap().len(), 2);
    let raw = must(&mut command("skopeo", ["inspect", "--raw", &back]));
    assert_eq!(sazare::digest::Digest::of(raw.as_bytes()).to_string(), digest);
    let archive = folder.path().join("one.tar");
    must(&mut sazare(&["copy", &other, archive.to_str().unwrap(), "--platform", "linux/arm64"]));
    let seen = must(&mut sazare(&["verify", archive.to_str().unwrap()]));
    assert!(seen.contains("linux/arm64: 1 program, it starts") && !seen.contains("amd64"), "{seen}");
    let answer = run(&mut sazare(&["copy", &place]));
    assert_eq!(answer.code, 2, "{}", answer.err);
}
