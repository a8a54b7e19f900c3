//! The same recipe and contents make the same bytes: for every user, umask, time zone, language, file system, number of
//! threads and directory order. And these bytes have the digests in `tests/golden.txt`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::layout;
use crate::outside::{SAZARE, build, checkout, command, install, missing, must, recording};

/// A recipe that uses most features.
const RECIPE: &str = r#"
name      = "localhost/everything"
tags      = ["latest", "v1"]
platforms = ["linux/amd64", "linux/arm64"]
created   = "2026-01-01T00:00:00Z"

[[source]]
from    = "tree"
exclude = ["**/*.o"]

[[source]]
from  = "{arch}"
modes = "normal"

[[path]]
path = "/root"
type = "directory"
mode = "0700"

[[path]]
path         = "/bin/ping"
type         = "hardlink"
target       = "/bin/hello"

[[path]]
path = "/dev/null"
type = "char"
major = 1
minor = 3
mode = "0666"

[[path]]
path = "/usr/share/one"
type = "permissions"
uid  = 12
gid  = 34

[[path]]
path    = "/init"
type    = "symlink"
target  = "bin/hello"
outputs = ["initramfs"]

[[links]]
target = "/bin/hello"
names  = ["/bin/greet", "/usr/bin/hello"]

[[user]]
name = "app"
uid  = 10000
gid  = 10000

[[group]]
name = "app"
gid  = 10000

[config]
entrypoint = ["/bin/hello"]
env        = { B = "2", A = "1", ARCH = "{arch}" }
labels     = { z = "26", a = "1", m = "13" }

[annotations]
"org.opencontainers.image.title"  = "everything"
"org.opencontainers.image.vendor" = "nobody"
"#;

/// The parts of the tree, each independent, so that they can be made in any order.
const PARTS: usize = 8;

fn part(tree: &Path, number: usize) {
    let write = |name: &str, contents: &[u8], mode: u32| {
        let file = tree.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, contents).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    match number {
        0 => write("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644),
        1 => write("etc/shadow", b"root:*:::::::\n", 0o600),
        2 => write("usr/bin/setuid", b"#!/bin/hello\n", 0o4755),
        3 => {
            write("usr/share/one", b"two names\n", 0o644);
            fs::hard_link(tree.join("usr/share/one"), tree.join("usr/share/other")).unwrap();
        }
        4 => symlink("../usr/share/one", tree.join("link")).unwrap(),
        5 => write(&format!("usr/{}/file", "a-long-name".repeat(20)), b"long\n", 0o640),
        6 => {
            let name = OsStr::from_bytes(b"not-\xff-utf-8");
            fs::write(tree.join(name), b"bytes\n").unwrap();
            fs::set_permissions(tree.join(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        _ => write("usr/share/large", &noise(3 << 20), 0o644),
    }
}

/// Bytes that do not compress well, the same each time; enough for several blocks of a parallel compressor.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state: u64 = 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 60) as u8
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

/// The recipe and its sources in a directory, made in the order that starts at a part and steps by a number.
pub fn sources(folder: &Path, first: usize, step: usize) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
    let tree = folder.join("tree");
    fs::create_dir(&tree).unwrap();
    for at in 0..PARTS {
        part(&tree, (first + at * step) % PARTS);
    }
    fs::create_dir(tree.join("tmp")).unwrap();
    for name in ["etc", "usr", "usr/bin", "usr/share", "."] {
        fs::set_permissions(tree.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(tree.join(format!("usr/{}", "a-long-name".repeat(20))), fs::Permissions::from_mode(0o755))
        .unwrap();
    fs::set_permissions(tree.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    for arch in ["amd64", "arm64"] {
        must(command("cp", ["-r"]).arg(checkout().join("images/hello").join(arch)).arg(folder.join(arch)));
    }
}

/// The output of a build: the digest of each file in the layout, and of the archives.
fn written(folder: &Path) -> BTreeMap<String, String> {
    let list = must(
        command("sh", ["-c", "cd \"$1\" && find layout *.tar *.cpio* -type f -exec sha256sum {} +", "sh"]).arg(folder),
    );
    list.lines()
        .map(|line| line.split_once("  ").unwrap())
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect()
}

/// Builds `folder/recipe.toml` with a given command prefix; returns everything that was written.
fn outcome(
    folder: &Path,
    out: &Path,
    launcher: &[&str],
    flags: &[&str],
    surroundings: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let mut build = match launcher.split_first() {
        Some((first, rest)) => command(first, rest.iter().chain(&[out.join("sazare").to_str().unwrap()])),
        None => command(out.join("sazare"), [""; 0]),
    };
    // The user who builds must be able to read the binary and to write here.
    install(SAZARE, out.join("sazare"));
    build.args(["build", folder.to_str().unwrap(), "-o", &format!("oci:{}", out.join("layout").display())]);
    build.args(["-o", out.join("archive.tar").to_str().unwrap()]);
    for end in if cfg!(feature = "native") { ["cpio.gz", "cpio.zst"] } else { ["cpio.gz", "cpio"] } {
        build.args(["-o", &format!("cpio:{}/{{arch}}.{end}", out.display())]);
    }
    // Cached segments would hide differences.
    build.arg("--no-cache").args(flags).envs(surroundings.iter().copied());
    must(&mut build);
    written(out)
}

/// A temporary directory that every user can enter and write to.
fn open_folder(place: &str) -> TempDir {
    let folder = if place.is_empty() { tempfile::tempdir() } else { tempfile::tempdir_in(place) }.unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// Builds the reference and the case; they must agree in every file.
fn same_as_usual(folder: &Path, place: &str, launcher: &[&str], flags: &[&str], surroundings: &[(&str, &str)]) {
    let usual = open_folder("");
    sources(usual.path(), 0, 1);
    let out = open_folder("");
    let expected = outcome(usual.path(), out.path(), &[], &[], &[]);
    assert!(expected.len() > 8, "{expected:?}");
    let out = open_folder(place);
    let found = outcome(folder, out.path(), launcher, flags, surroundings);
    assert_eq!(found, expected, "{launcher:?} {flags:?} {surroundings:?}");
}

#[test]
fn any_user_makes_the_same_bytes() {
    if missing(&["root", "setpriv"]) {
        return;
    }
    let folder = open_folder("");
    sources(folder.path(), 0, 1);
    // Whoever owns the files on this machine: in the image they belong to root.
    must(command("chown", ["-R", "12345:54321"]).arg(folder.path()));
    // chown removes the setuid bit.
    fs::set_permissions(folder.path().join("tree/usr/bin/setuid"), fs::Permissions::from_mode(0o4755)).unwrap();
    let user = ["setpriv", "--reuid", "12345", "--regid", "54321", "--clear-groups"];
    same_as_usual(folder.path(), "", &user, &[], &[]);
}

#[test]
fn the_mask_for_new_files_has_no_say() {
    let folder = open_folder("");
    sources(folder.path(), 0, 1);
    for mask in ["umask 0077; exec \"$@\"", "umask 0; exec \"$@\""] {
        same_as_usual(folder.path(), "", &["sh", "-c", mask, "sh"], &[], &[]);
    }
}

#[test]
fn the_time_zone_the_language_and_an_empty_environment_have_no_say() {
    let folder = open_folder("");
    sources(folder.path(), 0, 1);
    let surroundings =
        [("TZ", "Pacific/Kiritimati"), ("LANG", "tr_TR.UTF-8"), ("LC_ALL", "tr_TR.UTF-8"), ("COLUMNS", "9")];
    same_as_usual(folder.path(), "", &[], &[], &surroundings);
    same_as_usual(folder.path(), "", &["env", "-i"], &[], &[]);
}

#[test]
fn another_file_system_and_another_time_of_the_files_make_the_same_bytes() {
    if missing(&["/dev/shm"]) {
        return;
    }
    let folder = open_folder("/dev/shm");
    sources(folder.path(), 0, 1);
    must(command("find", [folder.path()]).args(["-exec", "touch", "-h", "-d", "1999-12-31 23:59:59.123", "{}", "+"]));
    same_as_usual(folder.path(), "/dev/shm", &[], &[], &[("TMPDIR", "/dev/shm")]);
}

#[test]
fn any_number_of_threads_makes_the_same_bytes() {
    let folder = open_folder("");
    sources(folder.path(), 0, 1);
    for jobs in ["1", "2", "7", "64"] {
        same_as_usual(folder.path(), "", &[], &["--jobs", jobs], &[]);
    }
}

#[test]
fn the_order_in_which_directories_were_filled_has_no_say() {
    for (first, step) in [(3, 5), (7, 7)] {
        let folder = open_folder("");
        sources(folder.path(), first, step);
        same_as_usual(folder.path(), "", &[], &[], &[]);
    }
}

#[test]
fn a_checkout_under_another_mask_makes_the_same_image_where_modes_are_normal() {
    let usual = tempfile::tempdir().unwrap();
    let archive = usual.path().join("hello.tar");
    let digest = build([checkout().join("images/hello").to_str().unwrap(), "-o", archive.to_str().unwrap()]);
    for mode in ["u=rwX,go=", "a=rwX"] {
        let folder = tempfile::tempdir().unwrap();
        must(command("cp", ["-r"]).arg(checkout().join("images/hello/.")).arg(folder.path()));
        must(command("chmod", ["-R", mode]).arg(folder.path()));
        let archive = folder.path().join("hello.tar");
        assert_eq!(build([folder.path().to_str().unwrap(), "-o", archive.to_str().unwrap()]), digest, "{mode}");
    }
}

#[test]
fn the_example_inside_the_program_is_the_one_in_the_checkout() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let checkout = build([checkout().join("images/hello").to_str().unwrap(), "-o", &at("checkout.tar")]);
    let example = build(["--example", "-o", &at("example.tar")]);
    assert_eq!(example, checkout);
    assert_eq!(fs::read(at("example.tar")).unwrap(), fs::read(at("checkout.tar")).unwrap());
}

#[test]
fn source_date_epoch_wins_over_the_recipe_and_stands_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let mut sazare = command(SAZARE, ["build"]);
    sazare.arg(checkout().join("images/hello")).arg("-o").arg(format!("oci:{}", layout.display()));
    must(sazare.env("SOURCE_DATE_EPOCH", "1000000000"));
    for manifest in layout::manifests(&layout).values() {
        let config = layout::configuration(&layout, manifest);
        assert_eq!(config["created"], "2001-09-09T01:46:40Z");
        assert_eq!(config["history"][0]["created"], "2001-09-09T01:46:40Z");
        let list = must(command("tar", ["--utc", "-tvzf"]).arg(&layout::layers(&layout, manifest)[0]));
        assert!(list.lines().all(|line| line.contains(" 2001-09-09 01:46 ")), "{list}");
    }
}

/// The example images and their digests. kimigayo and scratch-binary use the programs of `hello`, because BusyBox changes
/// with every update of Debian.
fn digests_of_examples() -> String {
    let mut text = String::new();
    let folder = tempfile::tempdir().unwrap();
    must(command("cp", ["-r"]).arg(checkout().join("images")).arg(folder.path()));
    let images = folder.path().join("images");
    let _ = fs::remove_dir_all(images.join("kimigayo/staged"));
    for arch in ["amd64", "arm64"] {
        let hello = images.join(format!("hello/{arch}/bin/hello"));
        for place in ["kimigayo/staged/{arch}/bin/busybox", "scratch-binary/staged/{arch}/program"] {
            let file = images.join(place.replace("{arch}", arch));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::copy(&hello, file).unwrap();
        }
    }
    fs::write(images.join("kimigayo/staged/busybox.links"), "/bin/ls\n/bin/sh\n/sbin/init\n/usr/bin/awk\n").unwrap();
    for recipe in
        ["hello", "kimigayo/minimal.toml", "kimigayo/standard.toml", "kimigayo/extended.toml", "scratch-binary"]
    {
        let layout = folder.path().join(recipe.replace('/', "-"));
        let to = format!("oci:{}", layout.display());
        let digest = build([images.join(recipe).to_str().unwrap(), "--no-cache", "-o", &to]);
        // The bytes of a gzip layer depend on the built-in compressor; its contents do not.
        if cfg!(feature = "native") {
            text.push_str(&format!("{recipe} index {digest}\n"));
        }
        for (arch, manifest) in layout::manifests(&layout) {
            for layer in layout::configuration(&layout, &manifest)["rootfs"]["diff_ids"].as_array().unwrap() {
                text.push_str(&format!("{recipe} {arch} layer {}\n", layer.as_str().unwrap()));
            }
        }
    }
    text
}

#[test]
fn golden_digests_of_the_example_images() {
    let file = checkout().join("tests/golden.txt");
    let found = digests_of_examples();
    if recording() {
        fs::write(&file, found).unwrap();
        return;
    }
    let kept = fs::read_to_string(&file).unwrap();
    let expected: String = kept
        .lines()
        .filter(|line| cfg!(feature = "native") || !line.contains(" index "))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(
        found,
        expected,
        "the example images have other digests than {}; where that is meant, write them anew (see CONTRIBUTING.md)",
        file.display()
    );
}
