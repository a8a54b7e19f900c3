//! Builds that are killed or interrupted at random moments, while others write into the same layout and use the same cache.
//!
//! Each worker has tags of its own, so what a tag must be is known: after a build that ended well it is that build's image, after one that
//! was ended it is that image or the one before. From time to time all workers stop: then every blob is what its name says, every
//! tag can be read, and nothing is left of the builds that were ended. Killed ones are cleaned up by the next run,
//! interrupted ones by themselves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::scope;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::outside::{SAZARE, checkout, command, missing, must};

/// How many builds run at a time.
const WORKERS: usize = 4;

/// The sources, which share some of their files.
const SOURCES: usize = 3;

/// The tags of each worker. The last one is an index without nesting, which umoci can read.
const TAGS: usize = 3;

/// After how many ended builds all stop and everything is checked.
const BETWEEN_CHECKS: usize = 100;

/// A layout, a cache, archives, and what is built into them.
struct Scene(tempfile::TempDir);

/// What came of the builds.
#[derive(Default)]
struct Ended {
    by_signal: usize,
    well: usize,
}

/// Numbers that look random (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

impl Scene {
    fn new() -> Scene {
        let scene = Scene(tempfile::tempdir().unwrap());
        let mut dice = Dice(88_172_645_463_325_252);
        let noise: Vec<u8> = (0..2 << 20).map(|_| dice.below(256) as u8).collect();
        for source in 0..SOURCES {
            let root = scene.at(&format!("source-{source}"));
            must(command("cp", ["-r"]).arg(checkout().join("images/hello/amd64")).arg(&root));
            fs::write(root.join("same"), &noise[..1 << 20]).unwrap();
            fs::write(root.join("own"), &noise[source * 1000..(1 << 20) + source * 1000]).unwrap();
        }
        for folder in ["out", "tmp"] {
            fs::create_dir(scene.at(folder)).unwrap();
        }
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A build of a source into a tag of a layout, and sometimes into an archive too.
    fn build(&self, source: usize, layout: &str, tag: &str, archive: Option<&str>) -> Command {
        let place = format!("oci:{layout}:{tag}");
        // Also where the tests were started with the signal ignored.
        let mut build = command("env", ["--default-signal=INT", SAZARE, "build", "-q", "--platform", "linux/amd64"]);
        build.args(["--entrypoint", "/bin/hello"]);
        build.args([&format!("source-{source}"), "-o", &place, "--cache-dir", "cache"]);
        build.args(archive.into_iter().flat_map(|archive| ["-o", archive]));
        build.args(tag.ends_with("flat").then_some("--flat-index"));
        build.current_dir(self.0.path()).env("TMPDIR", self.at("tmp"));
        build.stdout(Stdio::null()).stderr(Stdio::null());
        build
    }

    /// The digest that each tag has in a layout.
    fn tags(&self, layout: &str) -> BTreeMap<String, String> {
        let index = fs::read(self.at(layout).join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_string();
        let manifests = index["manifests"].as_array().unwrap().iter();
        manifests
            .map(|manifest| {
                (text(&manifest["annotations"]["org.opencontainers.image.ref.name"]), text(&manifest["digest"]))
            })
            .collect()
    }

    /// What each source becomes, nested and flat.
    fn expected(&self) -> Vec<[String; 2]> {
        let digest = |source| {
            ["nested", "flat"].map(|tag| {
                assert!(self.build(source, "pristine", tag, None).status().unwrap().success());
                self.tags("pristine")[tag].clone()
            })
        };
        (0..SOURCES).map(digest).collect()
    }

    /// Everything that should not lie there: private folders, and in the cache what has no name of its own.
    fn left(&self) -> String {
        let script = "find . -name '.sazare-*'; find tmp -mindepth 1; \
                      find cache -type f | grep -vE '^cache/1/[0-9a-f]/[0-9a-f]{64}$|^cache/CACHEDIR.TAG$'; true";
        must(command("sh", ["-c", script]).current_dir(self.0.path()))
    }

    /// The archives that have their names.
    fn archives(&self) -> String {
        must(command("find", ["out", "-maxdepth", "1", "-name", "*.tar"]).current_dir(self.0.path()))
    }

    /// Everything in the layout is what its name says, and every tag can be read.
    fn check(&self) {
        let proved = "cd layout/blobs/sha256 && sha256sum * | awk '$1 != $2 { print; exit 1 }'";
        must(command("sh", ["-c", proved]).current_dir(self.0.path()));
        for tag in self.tags("layout").keys() {
            must(command(SAZARE, ["inspect", &format!("oci:layout:{tag}")]).current_dir(self.0.path()));
        }
        for archive in self.archives().lines() {
            must(command(SAZARE, ["inspect", archive]).current_dir(self.0.path()));
        }
    }

    /// Other programs read every tag and archive.
    fn check_outside(&self) {
        let copy = format!("dir:{}", self.at("copy").display());
        for tag in self.tags("layout").keys() {
            let from = format!("oci:layout:{tag}");
            must(command("skopeo", ["copy", "-q", "--all", &from, &copy]).current_dir(self.0.path()));
            if tag.ends_with("flat") {
                let image = ["unpack", "--rootless", "--image", &from["oci:".len()..], "unpacked"];
                must(command("umoci", image).current_dir(self.0.path()));
                must(command("chmod", ["-R", "u+rwX", "unpacked"]).current_dir(self.0.path()));
                fs::remove_dir_all(self.at("unpacked")).unwrap();
            }
        }
        for archive in self.archives().lines() {
            let from = format!("oci-archive:{archive}");
            must(command("skopeo", ["copy", "-q", "--all", &from, &copy]).current_dir(self.0.path()));
        }
    }
}

/// One worker: builds into its tags until so many of its builds were ended by a signal.
#[expect(clippy::disallowed_methods, reason = "how long a build takes decides when to end it")]
fn work(scene: &Scene, worker: usize, signal: Signal, count: usize, seed: u64, expected: &[[String; 2]]) -> Ended {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (seed << 8) ^ worker as u64);
    let (mut ended, mut window) = (Ended::default(), Duration::from_millis(300));
    while ended.by_signal < count {
        let number = dice.below(TAGS as u64) as usize;
        let flat = number == TAGS - 1;
        let tag = if flat { format!("{worker}-flat") } else { format!("{worker}-{number}") };
        let source = dice.below(SOURCES as u64) as usize;
        let archive = format!("out/{worker}.tar");
        let archive = (dice.below(4) == 0).then_some(archive.as_str());
        let before = scene.tags("layout")[&tag].clone();
        let started = Instant::now();
        let mut child = scene.build(source, "layout", &tag, archive).spawn().unwrap();
        std::thread::sleep(window * u32::try_from(dice.below(1000)).unwrap() / 1000);
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let status = child.wait().unwrap();
        let now = scene.tags("layout")[&tag].clone();
        let new = &expected[source][usize::from(flat)];
        if status.signal() == Some(signal as i32) {
            ended.by_signal += 1;
            window = window * 21 / 20;
            assert!(now == before || now == *new, "tag {tag} is neither the old nor the new image");
        } else {
            assert!(status.success(), "a build ended with {status}");
            ended.well += 1;
            window = (window * 19 / 20).min(started.elapsed() * 2);
            assert_eq!(now, *new, "tag {tag} is not the image that was built");
        }
    }
    ended
}

/// Ends so many builds with a signal.
fn end(scene: &Scene, signal: Signal, count: usize, expected: &[[String; 2]]) -> Ended {
    let mut all = Ended::default();
    let mut round = 0;
    while all.by_signal < count {
        round += 1;
        let now = BETWEEN_CHECKS.min(count - all.by_signal);
        scope(|scope| {
            let share = |worker| now / WORKERS + usize::from(worker < now % WORKERS);
            let workers: Vec<_> = (0..WORKERS)
                .map(|worker| scope.spawn(move || work(scene, worker, signal, share(worker), round, expected)))
                .collect();
            for worker in workers {
                let ended = worker.join().unwrap();
                all.by_signal += ended.by_signal;
                all.well += ended.well;
            }
        });
        scene.check();
        if signal == Signal::SIGKILL {
            let next = scene.build(0, "layout", "0-0", Some("out/next.tar")).status().unwrap();
            assert!(next.success(), "the next build fails");
        }
        assert_eq!(scene.left(), "", "{signal} left something");
    }
    all
}

#[expect(clippy::disallowed_macros, reason = "the figures are for whoever runs all of it")]
fn kills(killed: usize, interrupted: usize) {
    if missing(&["skopeo", "umoci"]) {
        return;
    }
    let scene = Scene::new();
    let expected = scene.expected();
    for worker in 0..WORKERS {
        for tag in ["0", "1", "flat"] {
            assert!(scene.build(0, "layout", &format!("{worker}-{tag}"), None).status().unwrap().success());
        }
    }
    for (signal, count) in [(Signal::SIGKILL, killed), (Signal::SIGINT, interrupted)] {
        let ended = end(&scene, signal, count, &expected);
        println!(
            "| {signal} | {} builds ended by it, {} ended well | nothing lost, nothing left |",
            ended.by_signal, ended.well
        );
    }
    scene.check_outside();
}

#[test]
fn builds_of_one_layout_and_one_cache_are_ended_at_random_moments() {
    kills(60, 20);
}

#[test]
#[ignore = "takes some minutes: 2,000 kills and 500 interrupts"]
fn all_kills() {
    kills(2000, 500);
}

/// Shows that the check sees what it should.
#[test]
fn the_check_of_killed_builds_sees_a_damaged_blob_and_what_is_left() {
    if missing(&["skopeo"]) {
        return;
    }
    let scene = Scene::new();
    assert!(scene.build(0, "layout", "0-0", None).status().unwrap().success());
    assert_eq!(scene.left(), "");
    scene.check();
    fs::write(scene.at("cache/1/new-1"), "half").unwrap();
    fs::create_dir(scene.at("layout/.sazare-0123456789abcdef")).unwrap();
    assert_eq!(scene.left().lines().count(), 2, "{}", scene.left());
    let damage = "cd layout/blobs/sha256 && for blob in *; do echo more >> $blob; break; done";
    must(command("sh", ["-c", damage]).current_dir(scene.0.path()));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scene.check())).is_err());
}
