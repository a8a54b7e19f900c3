//! Images in a real registry, pushed by skopeo and read by sazare.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::engines::Registry;
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
