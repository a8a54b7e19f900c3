//! The library as another program uses it: the examples, and what is an error instead of a wrong answer.

use std::path::Path;

use sazare::api::{ApiError, ImageBuilder, Verifier};
use sazare::failure::{Failure as _, FailureKind};
use sazare::pipeline::Outcome;
use sazare::platform::{Arch, Platform};
use sazare::progress::Silent;
use sazare::transport::Place;

#[path = "../examples/build.rs"]
#[expect(dead_code, reason = "the test calls what main calls")]
mod build;

#[path = "../examples/verify.rs"]
#[expect(dead_code, reason = "the test calls what main calls")]
mod verify;

/// A root file system whose program is static.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/images/hello/amd64");

fn amd64() -> Platform {
    Platform::new(Arch::Amd64)
}

#[test]
fn the_examples_build_and_verify() {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("oci:{}", folder.path().join("layout").display());
    let digest = build::build(ROOT, "linux/amd64", &place).unwrap();
    let index = std::fs::read_to_string(folder.path().join("layout/index.json")).unwrap();
    assert!(index.contains(&digest), "{digest}: {index}");
    assert_eq!(verify::verify(ROOT, "linux/amd64").unwrap().findings, []);
    assert!(verify::verify(ROOT, "linux/arm64").unwrap().refuses());
    assert!(build::build(ROOT, "linux/arm64", &place).unwrap_err().to_string().starts_with("refused: "));
}

#[test]
fn a_stream_and_a_folder_are_outputs_too() {
    let folder = tempfile::tempdir().unwrap();
    let builder = || ImageBuilder::from_folder(ROOT).platform(amd64()).entrypoint(["/bin/hello"]);
    let mut stream = Vec::new();
    let outcome = builder().output(Place::Stdio).temporary(folder.path()).run_with(&mut stream, &Silent).unwrap();
    assert!(matches!(outcome, Outcome::Built(_)) && stream.len() > 1024);
    let root = folder.path().join("a/root-{arch}");
    builder().output(Place::Rootfs(root)).run().unwrap();
    assert!(folder.path().join("a/root-amd64/bin/hello").is_file());
    let left: Vec<_> = sorted(folder.path());
    assert_eq!(left, ["a"]);
}

#[expect(clippy::disallowed_methods, reason = "the names are sorted")]
fn sorted(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn what_is_missing_is_an_error() {
    let builder = || ImageBuilder::from_folder(ROOT).platform(amd64());
    let refused = |outcome: Result<Outcome, ApiError>| {
        let Err(error) = outcome else { panic!("it was built") };
        assert_eq!(error.kind(), FailureKind::Usage, "{error}");
        error
    };
    assert!(matches!(refused(builder().run()), ApiError::NoOutput));
    assert!(matches!(refused(builder().output(Place::Stdio).run()), ApiError::NoStream));
    let no_folder = builder().output(Place::Stdio).run_with(&mut Vec::new(), &Silent);
    assert!(matches!(refused(no_folder), ApiError::NoTemporary(Place::Stdio)));
    assert!(matches!(
        refused(ImageBuilder::from_folder(ROOT).output(Place::Stdio).run_with(&mut Vec::new(), &Silent)),
        ApiError::Parts(_)
    ));
    // A verification for no platform would find nothing.
    assert!(matches!(Verifier::new(Place::Rootfs(ROOT.into())).run(), Err(ApiError::NoPlatform(_))));
    let archive = Verifier::new(Place::Cpio("a.cpio".into())).platform(amd64()).run();
    assert!(matches!(archive, Err(ApiError::NoTemporary(_))));
}
