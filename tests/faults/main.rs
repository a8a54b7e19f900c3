//! A machine that fails: each system call that a run makes fails in turn, and what the run leaves behind is checked.
//!
//! `strace` makes the Nth call of a kind fail with the error that a full disk, a broken disk, a network file system or a
//! limit would give. Whatever fails, the exit code is the documented one, a file that was there is whole (the old one or
//! the new one), the verdict is never another one than on a healthy machine, and the next run leaves nothing behind.
//!
//! `cargo test` runs a sample. This runs all of it, and prints the figures that stand in `docs/reliability.md`:
//!
//!     cargo test --test faults -- --ignored --nocapture --test-threads 2

mod inject;
mod kills;
#[path = "../program/outside.rs"]
#[expect(dead_code, reason = "shared with the other tests, which use the rest")]
mod outside;
mod scene;
mod short;

use scene::{SCENES, Stage};

/// How many calls of each kind fail in the sample for each error, spread over the run.
const SAMPLE: usize = 1;

/// Injects faults into some scenes; with a sample or all of them.
fn faults(names: &[&str], sample: Option<usize>) {
    if outside::missing(&["strace", "gcc", "skopeo"]) {
        return;
    }
    let stage = Stage::new();
    let mut wrong = Vec::new();
    for scene in SCENES.iter().filter(|scene| names.contains(&scene.name)) {
        let tally = inject::inject(&stage, scene, sample);
        tally.print(scene.name);
        wrong.extend(tally.wrong);
    }
    assert!(wrong.is_empty(), "{} faults were not met as documented:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn outputs_stay_whole_and_exit_codes_are_the_documented_ones() {
    faults(&["layout", "tar", "cpio", "rootfs"], Some(SAMPLE));
}

#[test]
fn caches_bundles_and_second_files_stay_whole() {
    faults(&["cache", "bundle", "metadata", "several"], Some(SAMPLE));
}

#[test]
fn no_verdict_changes() {
    faults(&["verify", "verify-broken", "verify-image", "inspect"], Some(SAMPLE));
}

#[test]
#[ignore = "takes a quarter of an hour: every call fails in turn"]
fn all_outputs() {
    faults(&["layout", "tar", "cpio", "rootfs", "cache", "several"], None);
}

#[test]
#[ignore = "takes a quarter of an hour: every call fails in turn"]
fn all_verdicts() {
    faults(&["verify", "verify-broken", "verify-image", "inspect", "bundle", "metadata"], None);
}
