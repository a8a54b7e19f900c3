//! The library as another program uses it: the examples, and what is an error instead of a wrong answer.

use std::path::Path;
use std::sync::Mutex;

use sazare::api::{ApiError, ImageBuilder, Verifier};
use sazare::failure::{Failure as _, FailureKind};
use sazare::pipeline::{BuildError, Outcome};
use sazare::platform::{Arch, Platform};
use sazare::progress::{Action, Event, Progress, Silent};
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
    // Without a platform the programs decide; a verification for none would find nothing.
    let checked = Verifier::new(Place::Rootfs(ROOT.into())).run().unwrap();
    assert_eq!(checked.verdicts[0].platform, amd64());
    let nothing = tempfile::tempdir().unwrap();
    let unknown = Verifier::new(Place::Rootfs(nothing.path().into())).run();
    assert!(matches!(unknown, Err(ApiError::Build(BuildError::NoAgreement { .. }))));
    let archive = Verifier::new(Place::Cpio("a.cpio".into())).platform(amd64()).run();
    assert!(matches!(archive, Err(ApiError::NoTemporary(_))));
}

/// What was reported: each step, or part of one, that has a total, with its total and the bytes that came.
#[derive(Default)]
struct Reported(Mutex<Vec<(Option<Action>, u64, u64)>>);

impl Progress for Reported {
    fn event(&self, event: Event) {
        let mut parts = self.0.lock().unwrap();
        match event {
            Event::Step(step) => parts.push((Some(step.action), step.bytes.unwrap_or(0), 0)),
            Event::Total(total) => {
                let action = parts.last().unwrap().0.clone();
                parts.push((action, total, 0));
            }
            Event::Bytes(bytes) => parts.last_mut().unwrap().2 += bytes,
            _ => {}
        }
    }
}

impl Reported {
    /// The totals of an action's parts, each of which was reached.
    fn totals(&self, wanted: impl Fn(&Action) -> bool) -> Vec<u64> {
        let parts = self.0.lock().unwrap();
        let parts = parts.iter().filter(|(action, total, _)| *total > 0 && action.as_ref().is_some_and(&wanted));
        let reached = |(action, total, bytes): &(Option<Action>, u64, u64)| {
            assert_eq!(total, bytes, "{action:?}");
            *total
        };
        parts.map(reached).collect()
    }
}

#[test]
fn copying_and_reading_report_every_byte_of_what_they_announce() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let place = |text: String| Place::for_writing(&text).unwrap();
    let reads = |action: &Action| matches!(action, Action::ReadPlace(_));
    let built = |builder: ImageBuilder| {
        let reported = Reported::default();
        assert!(matches!(builder.run_with(&mut Vec::new(), &reported).unwrap(), Outcome::Built(_)));
        reported
    };
    let hello = || ImageBuilder::from_folder(ROOT).platform(amd64()).entrypoint(["/bin/hello"]);
    let size = std::fs::metadata(Path::new(ROOT).join("bin/hello")).unwrap().len();
    let outputs = hello().output(Place::Rootfs(at("root").into())).output(place(at("image.tar")));
    let writes = built(outputs).totals(|action| matches!(action, Action::Write(place) if place.starts_with("rootfs:")));
    assert_eq!(writes, [size]);

    // A base image: its layer is read, and then copied.
    let source = "[[source]]\nfrom = \"oci-archive:image.tar\"\n";
    let recipe = format!("name = \"a\"\nplatforms = [\"linux/amd64\"]\n{source}[config]\nworkdir = \"/\"\n");
    std::fs::write(at("recipe.toml"), recipe).unwrap();
    let recipe = sazare::recipe::read(Path::new(&at("recipe.toml"))).unwrap();
    let reported = built(ImageBuilder::from_recipe(&recipe).output(place(format!("oci:{}", at("layout")))));
    let layer = reported.totals(|action| matches!(action, Action::CopyBase));
    assert_eq!((layer.len(), reported.totals(reads)), (1, layer.clone()));

    // A compressed archive is read once, then the layer in it.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &std::fs::read(at("image.tar")).unwrap()).unwrap();
    let gzip = gzip.finish().unwrap();
    std::fs::write(at("image.tar.gz"), &gzip).unwrap();
    let reported = Reported::default();
    let archive = Place::for_reading(&format!("oci-archive:{}", at("image.tar.gz"))).unwrap();
    Verifier::new(archive).temporary(folder.path()).run_with(&reported).unwrap();
    assert_eq!(reported.totals(reads), [gzip.len() as u64, layer[0]]);
}
