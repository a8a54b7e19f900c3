//! Bad input, each with everything that the user sees: `tests/bad-input/NAME.txt` contains the exit code and the text.
//!
//! `SAZARE_RECORD=1 cargo test --test program bad_input` records the texts anew; read the diff before you commit it.
//! The temporary directory is written as `{dir}`, a digest as `{digest}`. After each case the output must not exist.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::outside::{Answer, SAZARE, build, checkout, command, install, missing, must, recording, run};

/// The beginning of every recipe here.
const HEAD: &str = "name = \"localhost/bad\"\ntags = [\"latest\"]\nplatforms = [\"linux/amd64\"]\n\n";

/// A directory with a recipe and a valid root.
fn room(recipe: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("root/bin")).unwrap();
    fs::copy(checkout().join("images/hello/amd64/bin/hello"), folder.path().join("root/bin/hello")).unwrap();
    fs::write(folder.path().join("recipe.toml"), format!("{HEAD}{recipe}")).unwrap();
    folder
}

/// The rest of a recipe that copies the root unchanged.
const PLAIN: &str = "[[source]]\nfrom = \"root\"\n\n[config]\nentrypoint = [\"/bin/hello\"]\n";

/// Builds the recipe in the folder.
fn built(folder: &Path) -> Answer {
    run(command(SAZARE, ["build", "--progress", "none"]).arg(folder).arg("-o").arg(folder.join("out.tar")))
}

/// Compares the result with the recorded one of this name.
fn as_kept(name: &str, folder: &Path, answer: &Answer) {
    let redacted = |text: &str| without_digests(&text.replace(folder.to_str().unwrap(), "{dir}"));
    let mut found = format!("exit {}\n{}{}", answer.code, redacted(&answer.out), redacted(&answer.err));
    if answer.code == 0 {
        // This test does not check digests and sizes, but it does check warnings.
        found = found
            .lines()
            .filter(|line| ["exit", "note", "warning"].iter().any(|word| line.starts_with(word)))
            .flat_map(|line| [line, "\n"])
            .collect();
    }
    let file = checkout().join(format!("tests/bad-input/{name}.txt"));
    if recording() {
        fs::write(&file, &found).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, kept, "the answer to bad input is another one than in {}", file.display());
    if answer.code != 0 {
        assert!(!folder.join("out.tar").exists(), "something was written");
        let debris =
            must(command("find", [folder]).args(["-mindepth", "1", "-name", "*.tmp*", "-o", "-name", ".sazare*"]));
        assert_eq!(debris, "");
    }
}

/// The text with `{digest}` for every digest: it depends on the compressor that was built in.
fn without_digests(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out += "sha256:{digest}";
        out += part.trim_start_matches(|character: char| character.is_ascii_hexdigit());
    }
    out
}

fn recipe_is_refused(name: &str, recipe: &str) {
    let folder = room(recipe);
    let answer = built(folder.path());
    assert_eq!(answer.code, 3, "{}", answer.text());
    as_kept(name, folder.path(), &answer);
}

#[test]
fn faults_of_a_recipe_are_drawn_on_their_lines_all_at_once() {
    recipe_is_refused("unknown-key", &PLAIN.replace("entrypoint", "entrypont"));
    recipe_is_refused("wrong-type", &PLAIN.replace("[\"/bin/hello\"]", "7"));
    recipe_is_refused("unknown-path-type", &format!("{PLAIN}[[path]]\npath = \"/a\"\ntype = \"dir\"\n"));
    recipe_is_refused("bad-mode", &format!("{PLAIN}[[path]]\npath = \"/a\"\ntype = \"directory\"\nmode = \"rwx\"\n"));
    recipe_is_refused("not-toml", &PLAIN.replace("]]", "]"));
    recipe_is_refused(
        "many-faults",
        &format!("{}\n[[path]]\npath = \"a/../b\"\ntype = \"char\"\nmajr = 1\n", PLAIN.replace("from", "form")),
    );
    let long = format!("{PLAIN}[[path]]\npath = \"/{}\"\ntype = \"directory\"\n", "n".repeat(4096));
    recipe_is_refused("name-of-4-kib", &long);
}

#[test]
fn a_recipe_that_is_not_utf_8_is_a_fault() {
    let folder = room(PLAIN);
    let text = [HEAD.as_bytes(), b"# \xff\n", PLAIN.as_bytes()].concat();
    fs::write(folder.path().join("recipe.toml"), text).unwrap();
    as_kept("recipe-not-utf-8", folder.path(), &built(folder.path()));
}

#[test]
fn absurd_platforms_are_named() {
    let folder = room(PLAIN);
    let recipe = fs::read_to_string(folder.path().join("recipe.toml")).unwrap();
    for (name, platform) in [("absurd-platform", "toaster/6502"), ("platform-with-a-typo", "linux/arm46")] {
        fs::write(folder.path().join("recipe.toml"), recipe.replace("linux/amd64", platform)).unwrap();
        as_kept(name, folder.path(), &built(folder.path()));
    }
    fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
    let mut build = command(SAZARE, ["build", "--platform", "toaster/6502"]);
    let answer = run(build.arg(folder.path()).arg("-o").arg(folder.path().join("out.tar")));
    as_kept("absurd-platform-flag", folder.path(), &answer);
}

#[test]
fn places_that_are_not_there_or_not_understood_are_named() {
    let folder = room(PLAIN);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let cases: [(&str, &[&str]); 5] = [
        ("no-recipe", &["build", &at("nothing"), "-o", &at("out.tar")]),
        ("no-output", &["build", &at("")]),
        ("output-not-understood", &["build", &at(""), "-o", &at("out.zip")]),
        ("output-below-a-file", &["build", "--progress", "none", &at(""), "-o", &at("recipe.toml/out.tar")]),
        ("verify-nothing", &["verify", &at("nothing.tar")]),
    ];
    for (name, arguments) in cases {
        as_kept(name, folder.path(), &run(&mut command(SAZARE, arguments)));
    }
}

#[test]
fn a_missing_source_is_named() {
    let folder = room(&PLAIN.replace("\"root\"", "\"rot\""));
    as_kept("missing-source", folder.path(), &built(folder.path()));
    let folder = room(&format!("{PLAIN}[[path]]\npath = \"/a\"\ntype = \"file\"\nsource = \"missing\"\n"));
    as_kept("missing-file", folder.path(), &built(folder.path()));
    let folder = room(&format!("{PLAIN}[[links]]\ntarget = \"/bin/hello\"\nnames-from = \"missing.links\"\n"));
    as_kept("missing-links", folder.path(), &built(folder.path()));
}

#[test]
fn a_source_that_changes_while_it_is_read_is_an_error() {
    let folder = room(PLAIN);
    // This file is read first, for long enough that the other file changes after it was scanned.
    fs::File::create(folder.path().join("root/before")).unwrap().set_len(128 << 20).unwrap();
    let file = folder.path().join("root/growing");
    fs::write(&file, "log\n").unwrap();
    let stop = AtomicBool::new(false);
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::File::options().append(true).open(&file).unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.write_all(b"one more line\n").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let answer = built(folder.path());
        stop.store(true, Ordering::Relaxed);
        answer
    });
    as_kept("source-changes", folder.path(), &answer);
}

#[test]
fn a_socket_has_no_place_in_an_image_and_is_not_lost_in_silence() {
    let folder = room(PLAIN);
    let _socket = UnixListener::bind(folder.path().join("root/socket")).unwrap();
    as_kept("socket", folder.path(), &built(folder.path()));
}

#[test]
fn a_whiteout_name_in_a_source_is_an_error() {
    let folder = room(PLAIN);
    fs::write(folder.path().join("root/.wh.gone"), "").unwrap();
    as_kept("whiteout-name", folder.path(), &built(folder.path()));
    let folder = room(&format!("{PLAIN}[[path]]\npath = \"/etc/.wh.gone\"\ntype = \"empty-file\"\n"));
    as_kept("whiteout-name-in-recipe", folder.path(), &built(folder.path()));
}

#[test]
fn names_that_are_not_utf_8_are_kept_as_they_are() {
    let folder = room(PLAIN);
    let name = OsStr::from_bytes(b"caf\xe9");
    fs::write(folder.path().join("root").join(name), "").unwrap();
    let layout = folder.path().join("layout");
    build([folder.path().to_str().unwrap(), "-o", &format!("oci:{}", layout.display())]);
    let manifest = &crate::layout::manifests(&layout)["amd64"];
    let layer = &crate::layout::layers(&layout, manifest)[0];
    let list = must(command("tar", ["--quoting-style=escape", "-tzf"]).arg(layer));
    assert!(list.lines().any(|line| line == "caf\\351"), "{list}");
}

#[test]
fn a_loop_of_links_is_kept_and_an_entry_point_behind_it_is_refused() {
    let folder = room(&PLAIN.replace("/bin/hello", "/loop/hello"));
    symlink("ring", folder.path().join("root/loop")).unwrap();
    symlink("loop", folder.path().join("root/ring")).unwrap();
    as_kept("entry-point-in-a-loop", folder.path(), &built(folder.path()));
    fs::write(folder.path().join("recipe.toml"), format!("{HEAD}{PLAIN}")).unwrap();
    assert_eq!(built(folder.path()).code, 0, "a loop that nobody enters is no fault");
}

#[test]
fn a_hard_link_across_sources_is_two_files() {
    let folder = room(&format!("[[source]]\nfrom = \"other\"\nto = \"/other\"\n\n{PLAIN}"));
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::hard_link(folder.path().join("root/bin/hello"), folder.path().join("other/hello")).unwrap();
    let layout = folder.path().join("layout");
    build([folder.path().to_str().unwrap(), "-o", &format!("oci:{}", layout.display())]);
    let manifest = &crate::layout::manifests(&layout)["amd64"];
    let list = must(command("tar", ["-tvzf"]).arg(&crate::layout::layers(&layout, manifest)[0]));
    let files = list.lines().filter(|line| line.starts_with('-') && line.ends_with("/hello")).count();
    assert_eq!(files, 2, "{list}");
}

#[test]
fn a_hard_link_to_nothing_is_named() {
    let folder = room(&format!("{PLAIN}[[path]]\npath = \"/a\"\ntype = \"hardlink\"\ntarget = \"/b\"\n"));
    as_kept("hard-link-to-nothing", folder.path(), &built(folder.path()));
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    if missing(&["root", "setpriv"]) {
        return;
    }
    let folder = room(PLAIN);
    fs::write(folder.path().join("root/secret"), "secret").unwrap();
    fs::set_permissions(folder.path().join("root/secret"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    install(SAZARE, folder.path().join("sazare"));
    let mut build = command("setpriv", ["--reuid", "12345", "--regid", "12345", "--clear-groups"]);
    build
        .arg(folder.path().join("sazare"))
        .arg("build")
        .arg(folder.path())
        .arg("-o")
        .arg(folder.path().join("out.tar"));
    as_kept("unreadable-file", folder.path(), &run(&mut build));
}

#[test]
fn a_corrupt_archive_is_named() {
    let folder = room(&PLAIN.replace("\"root\"", "\"root.tar.gz\""));
    let at = |name: &str| folder.path().join(name);
    must(
        command("tar", ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-C"])
            .arg(at("root"))
            .arg("-czf")
            .arg(at("root.tar.gz"))
            .arg("."),
    );
    let whole = fs::read(at("root.tar.gz")).unwrap();
    fs::write(at("root.tar.gz"), &whole[..whole.len() - 20]).unwrap();
    as_kept("truncated-gzip", folder.path(), &built(folder.path()));
    let mut flipped = whole.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1; // inside the checksum
    fs::write(at("root.tar.gz"), flipped).unwrap();
    as_kept("corrupt-gzip", folder.path(), &built(folder.path()));
    fs::write(at("root.tar.gz"), "this is no archive, though its name says so\n".repeat(40)).unwrap();
    as_kept("no-archive", folder.path(), &built(folder.path()));

    fs::write(at("recipe.toml"), format!("{HEAD}{}", PLAIN.replace("\"root\"", "\"root.tar\""))).unwrap();
    must(
        command("tar", ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-C"])
            .arg(at("root"))
            .arg("-cf")
            .arg(at("root.tar"))
            .arg("."),
    );
    let mut tar = fs::read(at("root.tar")).unwrap();
    tar[512 + 100] = b'9'; // the mode of the second entry: its header sum is wrong now
    fs::write(at("root.tar"), &tar).unwrap();
    as_kept("corrupt-tar", folder.path(), &built(folder.path()));
}

#[test]
fn a_layout_with_a_changed_byte_is_refused_by_whatever_reads_it() {
    let folder = room(PLAIN);
    let layout = folder.path().join("layout");
    build([folder.path().to_str().unwrap(), "-o", &format!("oci:{}", layout.display())]);
    let manifest = &crate::layout::manifests(&layout)["amd64"];
    let layer = &crate::layout::layers(&layout, manifest)[0];
    let mut bytes = fs::read(layer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(layer, bytes).unwrap();
    as_kept(
        "layout-with-a-changed-layer",
        folder.path(),
        &run(command(SAZARE, ["verify", "--progress", "none"]).arg(&layout)),
    );
    fs::write(folder.path().join("recipe.toml"), format!("{HEAD}{}", PLAIN.replace("\"root\"", "\"oci:layout\"")))
        .unwrap();
    as_kept("base-with-a-changed-layer", folder.path(), &built(folder.path()));
    fs::remove_file(layer).unwrap();
    as_kept(
        "layout-without-its-layer",
        folder.path(),
        &run(command(SAZARE, ["verify", "--progress", "none"]).arg(&layout)),
    );
    fs::write(layout.join("index.json"), "{").unwrap();
    as_kept(
        "layout-with-a-broken-index",
        folder.path(),
        &run(command(SAZARE, ["verify", "--progress", "none"]).arg(&layout)),
    );
}

#[test]
fn an_entry_point_that_cannot_be_executed_is_refused() {
    let folder = room(&PLAIN.replace("/bin/hello", "hello-world"));
    as_kept("entry-point-not-found", folder.path(), &built(folder.path()));

    let folder = room(PLAIN);
    fs::set_permissions(folder.path().join("root/bin/hello"), fs::Permissions::from_mode(0o644)).unwrap();
    as_kept("entry-point-not-executable", folder.path(), &built(folder.path()));

    let folder = room(PLAIN);
    fs::copy(checkout().join("images/hello/arm64/bin/hello"), folder.path().join("root/bin/hello")).unwrap();
    as_kept("entry-point-of-another-architecture", folder.path(), &built(folder.path()));

    let folder = room(PLAIN);
    fs::write(folder.path().join("root/bin/hello"), "#!/bin/sh\r\necho hello\r\n").unwrap();
    as_kept("entry-point-with-windows-line-ends", folder.path(), &built(folder.path()));

    let folder = room(PLAIN);
    fs::write(folder.path().join("root/bin/hello"), "#!/bin/bash\necho hello\n").unwrap();
    as_kept("entry-point-without-its-interpreter", folder.path(), &built(folder.path()));
}

/// A flag follows the rule of the recipe's key, with the same words.
#[test]
fn settings_that_engines_refuse_are_refused_in_flags_and_recipes_alike() {
    for (key, value, flag, words) in [
        ("workdir", "'app'", ["--workdir", "app"], "not an absolute path: \"app\""),
        ("stop-signal", "'SIGFOO'", ["--stop-signal", "SIGFOO"], "not a signal: \"SIGFOO\""),
        ("expose", "['abc']", ["--expose", "abc"], "not a port: \"abc\""),
        ("volumes", "['/etc/..']", ["--volume", "/etc/.."], "a volume cannot be mounted at the root: \"/etc/..\""),
        ("user", "'a:b:c'", ["--user", "a:b:c"], "not a user: \"a:b:c\""),
        ("user", "'0:2147483648'", ["--user", "0:2147483648"], "the number of a user or group is too large"),
    ] {
        let by_recipe = built(room(&format!("{PLAIN}{key} = {value}\n")).path());
        let folder = room(PLAIN);
        let by_flag = run(command(SAZARE, ["build", "--progress", "none"])
            .args(flag)
            .arg(folder.path())
            .arg("-o")
            .arg(folder.path().join("out.tar")));
        assert!(by_recipe.err.contains(words), "{key}: {}", by_recipe.err);
        assert!(by_flag.err.contains(&format!("{}: {words}", flag[0])), "{key}: {}", by_flag.err);
        assert_eq!((by_recipe.code, by_flag.code), (3, 2), "{key}");
        assert!(!folder.path().join("out.tar").exists());
    }
}

#[test]
fn words_of_a_flag_are_split_as_a_shell_splits_them() {
    let folder = room(PLAIN);
    let built = |cmd: &str| {
        let output = folder.path().join("layout");
        let answer = run(command(SAZARE, ["build", "--progress", "none", "--cmd", cmd, "--allow", "cmd-not-found"])
            .arg(folder.path())
            .arg("-o")
            .arg(format!("oci:{}", output.display())));
        (answer.code, answer.err, must(command(SAZARE, ["inspect", "--format", "json"]).arg(&output)))
    };
    let (code, _, shown) = built("sh -c 'a  b' \"c d\"");
    let shown: String = shown.split_whitespace().collect();
    assert_eq!(code, 0);
    assert!(shown.contains("[\"sh\",\"-c\",\"ab\",\"cd\"]"), "{shown}");
    let answer = run(command(SAZARE, ["build", "--cmd", "sh -c 'a"]).arg(folder.path()).arg("-o").arg("x.tar"));
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("--cmd has a quote that is not closed: sh -c 'a"), "{}", answer.err);
}

/// As it is after a chroot: the kernel's own file systems are still mounted below the root.
#[test]
fn what_a_kernel_shows_below_a_root_is_left_out() {
    if missing(&["namespaces"]) {
        return;
    }
    let folder = room(PLAIN);
    let proc = folder.path().join("root/proc");
    fs::create_dir(&proc).unwrap();
    let output = folder.path().join("layout");
    let mut build = command("unshare", ["--user", "--map-root-user", "--pid", "--fork"]);
    build.arg(format!("--mount-proc={}", proc.display())).args([SAZARE, "build", "--progress", "none"]);
    let answer = run(build.arg(folder.path()).arg("-o").arg(format!("oci:{}", output.display())));
    assert_eq!(answer.code, 0, "{}", answer.text());
    let note = format!("proc is mounted there; its contents are left out: {}", proc.display());
    assert!(answer.err.contains(&note), "{}", answer.err);
    let shown = must(command(SAZARE, ["inspect", "--format", "json"]).arg(&output));
    assert!(!shown.contains("cpuinfo") && !shown.contains("/proc/"), "{shown}");
}
