//! Several places in one build: what is read, found and told once, and what is left when a place fails.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::outside::{Answer, SAZARE, checkout, command, missing, must, run};

/// A root file system whose one script has an interpreter that is not there, in a place that only makes it a warning.
fn root(folder: &Path) {
    for below in ["bin", "etc", "share/sub", "dev", "proc", "sys"] {
        fs::create_dir_all(folder.join("root").join(below)).unwrap();
    }
    let hello = checkout().join("images/hello/amd64/bin/hello");
    for program in ["bin/hello", "init"] {
        fs::copy(&hello, folder.join("root").join(program)).unwrap();
    }
    for (path, text) in [("etc/a", "a"), ("share/sub/b", "b"), ("share/script", "#!/bin/gone\n")] {
        fs::write(folder.join("root").join(path), text).unwrap();
    }
    fs::set_permissions(folder.join("root/share/script"), fs::Permissions::from_mode(0o755)).unwrap();
}

const RECIPE: &str = "name = 'localhost/all'\nplatforms = ['linux/amd64', 'linux/arm64']\n[[source]]\nfrom = 'root'\n\
                      platforms = ['linux/amd64']\n[[source]]\nfrom = 'other'\nplatforms = ['linux/arm64']\n";

/// The same for arm64.
fn other(folder: &Path) {
    must(command("cp", ["-a"]).arg(folder.join("root")).arg(folder.join("other")));
    let hello = checkout().join("images/hello/arm64/bin/hello");
    for program in ["bin/hello", "init"] {
        fs::copy(&hello, folder.join("other").join(program)).unwrap();
    }
    fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
}

fn build(folder: &Path, flags: &[&str]) -> Answer {
    run(command(SAZARE, ["build", "--no-cache"]).args(flags).current_dir(folder))
}

#[test]
fn each_distinct_tree_is_staged_once_however_many_places_it_goes_to() {
    if missing(&["strace"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    fs::write(folder.path().join("root/large"), vec![b'x'; 20_000_000]).unwrap();
    let tar = folder.path().join("more.tar");
    must(command("tar", ["-cf"]).arg(&tar).arg("-C").arg(folder.path().join("root/etc")).arg("a"));
    let recipe =
        "platforms = ['linux/amd64']\n[[source]]\nfrom = 'root'\n[[source]]\nfrom = 'more.tar'\nto = '/more'\n";
    fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
    let opened = |places: &[&str]| {
        let log = folder.path().join("log");
        let mut strace = command("strace", ["-f", "-qq", "-e", "trace=openat,open", "-o"]);
        strace.arg(&log).arg(SAZARE).args(["build", "--no-cache", "recipe.toml"]);
        strace.args(places.iter().flat_map(|place| ["-o", place]));
        must(strace.current_dir(folder.path()));
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for line in fs::read_to_string(&log).unwrap().lines() {
            let path = line.split('"').nth(1).unwrap_or_default().trim_end_matches('/');
            *counts.entry(path.to_string()).or_default() += 1;
        }
        let count = |path: &str| counts.get(path).copied().unwrap_or_default();
        let paths = [
            "root",
            "root/bin",
            "root/etc",
            "root/share/sub",
            "more.tar",
            "root/etc/a",
            "root/bin/hello",
            "root/large",
        ];
        paths.map(count)
    };
    // A program is read by the verifier and for each form, and a large file in parts.
    assert_eq!(opened(&["oci:l1"]), [1; 8]);
    assert_eq!(opened(&["oci:l2", "oci:l3", "x.tar"]), [1; 8]);
    assert_eq!(opened(&["oci:l4", "rootfs:r4"]), [1; 8]);
    // The tree of an initramfs is another one.
    assert_eq!(opened(&["oci:l", "rootfs:r", "cpio:i.cpio.gz"]), [2; 8]);
}

#[test]
fn more_files_than_may_be_open_are_written_to_every_place() {
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    for number in 0..300 {
        fs::write(folder.path().join(format!("root/share/{number}")), number.to_string()).unwrap();
    }
    let places = |name: &str| format!("-o oci:{name}-l -o rootfs:{name}-r -o {name}.cpio");
    let build = |name: &str, limit: &str| {
        let flags = "build --no-cache root --platform linux/amd64 -t a:b";
        let script = format!("{limit} exec {SAZARE} {flags} {}", places(name));
        must(command("sh", ["-c", &script]).current_dir(folder.path()));
    };
    build("many", "");
    build("few", "ulimit -n 48;");
    let read = |path: &str| fs::read(folder.path().join(path)).unwrap();
    assert_eq!(read("many.cpio"), read("few.cpio"));
    assert_eq!(read("many-l/index.json"), read("few-l/index.json"));
    must(command("diff", ["-r", "many-r", "few-r"]).current_dir(folder.path()));
}

#[test]
fn one_warning_is_one_warning_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    other(folder.path());
    let places = ["-o", "oci:l", "-o", "rootfs:r-{arch}", "-o", "cpio:i-{arch}.cpio.gz", "recipe.toml"];
    let with = |flags: &[&str]| {
        for left in ["r-amd64", "r-arm64"] {
            let _ = fs::remove_dir_all(folder.path().join(left));
        }
        let answer = build(folder.path(), &[&places, flags].concat());
        assert_eq!(answer.code, 0, "{}", answer.text());
        answer
    };
    let human = with(&["--metadata-file", "made.json"]);
    let line = "warning[script-interp-missing] linux/amd64, linux/arm64 /share/script ";
    assert_eq!(human.text().matches(line).count(), 1, "{}", human.text());
    assert!(human.text().contains("\n0 errors, 1 warning, 0 notes\n"), "{}", human.text());
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let metadata = parsed(&fs::read_to_string(folder.path().join("made.json")).unwrap());
    assert_eq!(metadata["findings"].as_array().unwrap().len(), 1, "{metadata}");
    assert_eq!(parsed(&with(&["--format", "json"]).out)["findings"], metadata["findings"]);
    let sarif = parsed(&with(&["--format", "sarif"]).out);
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 1, "{sarif}");
    assert_eq!(with(&["--format", "github"]).out.lines().count(), 1);
}

#[test]
fn a_note_of_two_trees_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("root/socket")).unwrap();
    let answer = build(folder.path(), &["root", "--platform", "linux/amd64", "-o", "rootfs:r", "-o", "i.cpio"]);
    assert_eq!(answer.code, 0, "{}", answer.text());
    assert_eq!(answer.text().matches("note: linux/amd64: ").count(), 1, "{}", answer.text());
}

#[test]
fn nothing_is_in_place_when_one_of_the_outputs_cannot_be_made() {
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    // No initramfs holds a date after 2106, and this is found when it is written.
    let recipe = "platforms = ['linux/amd64']\ncreated = '2150-01-01T00:00:00Z'\n[[source]]\nfrom = 'root'\n";
    fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
    let count = || folder.path().read_dir().unwrap().count();
    let before = count();
    let places = ["-o", "oci:l", "-o", "x.tar", "-o", "rootfs:r", "-o", "cpio:i.cpio", "recipe.toml"];
    let answer = build(folder.path(), &places);
    assert_ne!(answer.code, 0, "{}", answer.text());
    assert_eq!(count(), before, "{}", answer.text());
}

#[test]
fn an_error_in_the_last_step_names_the_places_that_were_written() {
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    // A folder cannot take the name that the archive has by then.
    let answer = build(
        folder.path(),
        &["root", "--platform", "linux/amd64", "-o", "oci:l", "-o", "x.tar", "-o", "rootfs:x.tar"],
    );
    assert_eq!(answer.code, 5, "{}", answer.text());
    let text = "cannot write x.tar: Not a directory; these places were already written: oci:l, oci-archive:x.tar\n";
    assert!(answer.text().contains(text), "{}", answer.text());
    assert!(folder.path().join("x.tar").is_file() && folder.path().join("l/index.json").is_file());
}
