//! Files that others made, hostile ones included: nothing waits, nothing goes on without end, and memory stays bounded.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use super::outside::{Answer, checkout, command, missing, must, run};

/// Runs sazare in a folder; what hangs is ended, and gives −1 or 124.
fn guarded(folder: &Path, arguments: &[&str]) -> Answer {
    let guard = ["-k", "1", "60", env!("CARGO_BIN_EXE_sazare")];
    run(command("timeout", guard.iter().chain(arguments)).current_dir(folder))
}

fn fifo(path: impl AsRef<Path>) {
    let _ = fs::remove_file(&path);
    assert!(Command::new("mkfifo").arg(path.as_ref()).status().unwrap().success());
}

/// A folder with `hello`, a source, a layout `l` of it, and the digest of one of its blobs.
fn layout(folder: &Path) -> String {
    let recipe = checkout().join("images/hello");
    let built = guarded(folder, &["build", recipe.to_str().unwrap(), "-o", "oci:l", "--no-cache", "-q"]);
    assert_eq!(built.code, 0, "{built:?}");
    built.out.trim().trim_start_matches("sha256:").to_string()
}

#[test]
fn a_fifo_in_the_place_of_a_file_never_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let recipe = checkout().join("images/hello").display().to_string();
    let build = |place: &'static str| ["build", &recipe, "-o", place, "--no-cache", "-q"].map(str::to_string);
    let refuses = |arguments: &[&str]| {
        let answer = guarded(folder.path(), arguments);
        assert!(matches!(answer.code, 3..=5), "{arguments:?}: {answer:?}");
        assert!(answer.err.contains("not a regular file"), "{arguments:?}: {answer:?}");
    };
    let digest = layout(folder.path());
    // A blob that is to be written is replaced, whatever is in its place.
    fifo(at("l/blobs/sha256").join(&digest));
    refuses(&["inspect", "oci:l"]);
    let built = guarded(folder.path(), &build("oci:l").each_ref().map(String::as_str));
    assert_eq!(built.code, 0, "{built:?}");
    assert_eq!(guarded(folder.path(), &["inspect", "oci:l"]).code, 0);
    for name in ["l/index.json", "l/oci-layout"] {
        let bytes = fs::read(at(name)).unwrap();
        fifo(at(name));
        refuses(&build("oci:l").each_ref().map(String::as_str));
        if name.ends_with("index.json") {
            refuses(&["inspect", "oci:l"]);
            refuses(&["verify", "oci:l"]);
        }
        fs::remove_file(at(name)).unwrap();
        fs::write(at(name), bytes).unwrap();
    }
    fifo(at("fifo"));
    for place in ["fifo", "oci-archive:fifo", "docker-archive:fifo", "cpio:fifo", "tar:fifo"] {
        refuses(&["inspect", place]);
    }
    refuses(&["build", "fifo", "-o", "x.tar", "--platform", "linux/amd64"]);
    refuses(&["build", &recipe, "-o", "x.tar", "--baseline", "fifo"]);
    for text in ["include = ['fifo']", "[[source]]\nfrom = 'fifo'"] {
        fs::write(at("r.toml"), format!("platforms = ['linux/amd64']\n{text}\n")).unwrap();
        refuses(&["build", "r.toml", "-o", "x.tar"]);
    }
    fs::create_dir(at("bin")).unwrap();
    fs::write(at("bin/a"), "a").unwrap();
    let links = "[[source]]\nfrom = 'bin'\n[[links]]\ntarget = '/a'\nnames-from = 'fifo'\n";
    fs::write(at("r.toml"), format!("platforms = ['linux/amd64']\n{links}")).unwrap();
    refuses(&["build", "r.toml", "-o", "x.tar"]);
    assert!(!at("x.tar").exists());
}

#[test]
fn fifos_in_the_cache_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("s")).unwrap();
    fs::write(folder.path().join("s/data"), vec![7; 100_000]).unwrap();
    let build = ["build", "s", "--platform", "linux/amd64", "-o", "x.tar", "--cache-dir", "c", "-q"];
    let first = guarded(folder.path(), &build);
    assert_eq!(first.code, 0, "{first:?}");
    let mut files = Vec::new();
    for digit in 0..16 {
        #[expect(clippy::disallowed_methods, reason = "the order changes nothing")]
        if let Ok(entries) = fs::read_dir(folder.path().join(format!("c/1/{digit:x}"))) {
            files.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    assert!(!files.is_empty());
    files.iter().for_each(fifo);
    let second = guarded(folder.path(), &build);
    assert_eq!((second.code, &second.out), (0, &first.out), "{second:?}");
    assert!(files.iter().any(|file| file.is_file()), "nothing was kept again");
}

#[test]
fn blobs_outside_of_the_layout_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    layout(folder.path());
    fs::rename(at("l/blobs"), at("elsewhere")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", at("l/blobs")).unwrap();
    let recipe = checkout().join("images/scratch-binary").display().to_string();
    for arguments in [vec!["inspect", "oci:l"], vec!["build", &recipe, "-o", "oci:l:other"]] {
        let answer = guarded(folder.path(), &arguments);
        assert!(answer.code == 4 && answer.err.contains("outside of the layout"), "{answer:?}");
    }
    // Within the layout it may be a link.
    fs::remove_file(at("l/blobs")).unwrap();
    fs::rename(at("elsewhere"), at("l/real")).unwrap();
    std::os::unix::fs::symlink("real", at("l/blobs")).unwrap();
    assert_eq!(guarded(folder.path(), &["inspect", "oci:l"]).code, 0);
}

#[test]
fn what_never_ends_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let recipe = checkout().join("images/hello").display().to_string();
    for device in ["/dev/zero", "/dev/urandom"] {
        for form in ["oci-archive:", "docker-archive:", "cpio:", "tar:", ""] {
            let answer = guarded(folder.path(), &["inspect", &format!("{form}{device}")]);
            assert!(answer.code == 4 && answer.err.contains("not a regular file"), "{form}{device}: {answer:?}");
        }
        let answer = guarded(folder.path(), &["build", &recipe, "-o", "x.tar", "--baseline", device]);
        assert!(answer.code == 4 && answer.err.contains("not a regular file"), "{answer:?}");
        let mut inspect = command("timeout", ["60", env!("CARGO_BIN_EXE_sazare"), "inspect", "-"]);
        let stream = inspect.stdin(fs::File::open(device).unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = stream.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // A regular file can be as large as one likes too.
    let mut file = fs::File::create(at("large")).unwrap();
    file.write_all(b"# ").unwrap();
    file.set_len(1 << 40).unwrap();
    fs::write(at("r.toml"), "platforms = ['linux/amd64']\ninclude = ['large']\n").unwrap();
    for arguments in [
        vec!["build", "large", "-o", "x.tar"],
        vec!["build", "r.toml", "-o", "x.tar"],
        vec!["build", &recipe, "-o", "x.tar", "--baseline", "large"],
    ] {
        let answer = guarded(folder.path(), &arguments);
        assert!(answer.err.contains("larger than 67108864 bytes"), "{arguments:?}: {answer:?}");
    }
}

#[test]
fn temporary_files_have_a_limit_that_a_flag_raises() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("s")).unwrap();
    fs::write(at("s/data"), vec![0; 3_000_000]).unwrap();
    let pack = "tar -czf s.tgz -C s . && tar -cf - -C s . | cat > s.tar && (cd s && find . | cpio -o -H newc) 2>/dev/null | gzip > s.cpio.gz";
    assert!(Command::new("sh").args(["-c", pack]).current_dir(folder.path()).status().unwrap().success());
    let built = guarded(folder.path(), &["build", "s", "--platform", "linux/amd64", "-o", "i.tar", "--no-cache", "-q"]);
    assert_eq!(built.code, 0, "{built:?}");
    for place in ["tar:s.tgz", "cpio:s.cpio.gz", "i.tar"] {
        let small = guarded(folder.path(), &["inspect", place, "--temporary-size", "1MB"]);
        assert!(small.code == 4 && small.err.contains("more than 1000000 bytes"), "{place}: {small:?}");
        assert!(small.err.contains("--temporary-size"), "{place}: {small:?}");
        let large = guarded(folder.path(), &["inspect", place, "--temporary-size", "9MB"]);
        assert_eq!(large.code, 0, "{place}: {large:?}");
    }
}

#[test]
fn a_full_temporary_directory_is_not_the_fault_of_the_input() {
    if missing(&["root", "mount"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("s")).unwrap();
    fs::create_dir(at("t")).unwrap();
    fs::write(at("s/data"), vec![0; 3_000_000]).unwrap();
    let data = "tar -czf s.tgz -C s . && (cd s && find . | cpio -o -H newc) 2>/dev/null | gzip > s.cpio.gz && \
                cp s.tgz data.tar.gz && echo 2.0 > debian-binary && ar rc s.deb debian-binary data.tar.gz";
    assert!(Command::new("sh").args(["-c", data]).current_dir(folder.path()).status().unwrap().success());
    let built = guarded(folder.path(), &["build", "s", "--platform", "linux/amd64", "-o", "i.tar", "--no-cache", "-q"]);
    assert_eq!(built.code, 0, "{built:?}");
    fs::write(at("deb.toml"), "platforms = ['linux/amd64']\n[[source]]\nfrom = 's.deb'\n").unwrap();
    // Whoever may mount gets a small file system of his own for the run.
    let small = "mount -t tmpfs -o size=1M none t && TMPDIR=$PWD/t exec \"$@\"";
    // A package is unpacked beside the output.
    let deb = "build deb.toml -o t/o.tar --no-cache";
    for line in ["inspect tar:s.tgz", "inspect cpio:s.cpio.gz", "inspect i.tar", "verify i.tar --write-baseline b", deb]
    {
        let arguments = ["-m", "sh", "-c", small, "sh", env!("CARGO_BIN_EXE_sazare")];
        let answer = run(command("unshare", arguments.into_iter().chain(line.split(' '))).current_dir(folder.path()));
        if answer.err.contains("unshare") || answer.err.contains("mount:") {
            return; // No mounts in this container.
        }
        assert_eq!(answer.code, 5, "{line}: {answer:?}");
        let parts = ["cannot write temporary files in ", &format!("{}/t/", folder.path().display()), "TMPDIR"];
        let parts = if line == deb { &["cannot write ", "t/", "No space left on device"] } else { &parts };
        for part in parts {
            assert!(answer.err.contains(part), "{line}: {answer:?}");
        }
    }
}

/// A folder with a source of one file.
fn source() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("s")).unwrap();
    fs::write(folder.path().join("s/data"), "data").unwrap();
    folder
}

const BUILD: [&str; 6] = ["build", "s", "--platform", "linux/amd64", "--no-cache", "-q"];

#[test]
fn what_is_replaced_keeps_its_mode_and_links_to_nothing_are_written_through() {
    let folder = source();
    let at = |name: &str| folder.path().join(name);
    let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o7777;
    let built = || {
        let places = ["-o", "a.tar", "-o", "oci:l", "-o", "link.tar", "--metadata-file", "m.json"];
        let answer = guarded(folder.path(), &[&BUILD, places.as_slice()].concat());
        assert_eq!(answer.code, 0, "{answer:?}");
    };
    symlink("real.tar", at("link.tar")).unwrap();
    built();
    assert!(at("link.tar").is_symlink() && at("real.tar").is_file());
    for name in ["a.tar", "l/index.json", "real.tar", "m.json"] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    built();
    for name in ["a.tar", "l/index.json", "real.tar", "m.json"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    symlink("b", at("a")).unwrap();
    symlink("a", at("b")).unwrap();
    let answer = guarded(folder.path(), &[&BUILD, ["-o", "a"].as_slice()].concat());
    assert!(answer.code != 0 && at("a").is_symlink(), "{answer:?}");
}

#[test]
fn caches_and_metadata_files_in_a_source_are_refused() {
    let folder = source();
    for flags in [["--cache-dir", "s/cache"], ["--metadata-file", "s/m.json"]] {
        let build = ["build", "s", "--platform", "linux/amd64", "-q", "-o", "a.tar"];
        let answer = guarded(folder.path(), &[&build, flags.as_slice()].concat());
        assert!(answer.code == 2 && answer.err.contains("is inside the source"), "{flags:?}: {answer:?}");
    }
    assert!(!folder.path().join("a.tar").exists());
}

#[test]
fn a_metadata_file_that_cannot_be_written_leaves_everything_as_it_was() {
    if missing(&["strace"]) {
        return;
    }
    let folder = source();
    let at = |name: &str| folder.path().join(name);
    // Where the file cannot be made, no output is put in its place.
    fs::write(at("file"), "").unwrap();
    let answer =
        guarded(folder.path(), &[&BUILD, ["-o", "a.tar", "--metadata-file", "file/m.json"].as_slice()].concat());
    assert!(answer.code == 5 && !at("a.tar").exists(), "{answer:?}");
    // Where its rename fails, the old one is whole.
    fs::write(at("m.json"), "old").unwrap();
    let binary = env!("CARGO_BIN_EXE_sazare");
    let inject =
        ["-f", "-qqq", "-o", "/dev/null", "-e", "trace=rename", "-e", "inject=rename:error=EIO:when=2+", binary];
    let arguments = inject.iter().chain(&BUILD).chain(&["-o", "a.tar", "--metadata-file", "m.json"]);
    let answer = run(command("strace", arguments).current_dir(folder.path()));
    assert!(answer.code != 0 && fs::read(at("m.json")).unwrap() == b"old", "{answer:?}");
    // What was written by then is said, also when only the report cannot be written.
    let _ = fs::remove_file(at("a.tar"));
    let only_it = [&inject[..6], &["-e", "inject=rename:error=EIO:when=LAST", binary]].concat();
    let renames = run(command("strace", ["-f", "-qqq", "-e", "trace=rename", binary].iter().chain(&BUILD))
        .args(["-o", "a.tar", "--metadata-file", "m.json"])
        .current_dir(folder.path()));
    let last = renames.err.matches("rename(").count().to_string();
    fs::write(at("m.json"), "old").unwrap();
    let only_it = only_it.iter().map(|word| word.replace("LAST", &last));
    let answer = run(command("strace", only_it.chain(BUILD.iter().map(|word| word.to_string())))
        .args(["-o", "a.tar", "--metadata-file", "m.json"])
        .current_dir(folder.path()));
    let words =
        "error: cannot write m.json: Input/output error; these places were already written: oci-archive:a.tar\n";
    assert!(answer.code == 5 && answer.err.ends_with(words), "{answer:?}");
    assert!(at("a.tar").exists() && fs::read(at("m.json")).unwrap() == b"old");
    let line = [binary].iter().chain(&BUILD).chain(&["-o", "a.tar"]).copied().collect::<Vec<_>>().join(" ");
    let answer = run(command("sh", ["-c", &format!("{line} > /dev/full")]).current_dir(folder.path()));
    let words =
        "cannot write standard output: No space left on device; these places were already written: oci-archive:a.tar";
    assert!(answer.code == 5 && answer.err.contains(words), "{answer:?}");
    let verify = ["verify", "rootfs:s", "--platform", "linux/amd64", "--write-baseline", "m.json"];
    let answer = run(command("strace", inject[..7].iter().chain(&["inject=rename:error=EIO", binary]).chain(&verify))
        .current_dir(folder.path()));
    assert!(answer.code == 5 && fs::read(at("m.json")).unwrap() == b"old", "{answer:?}");
}

#[test]
fn a_man_page_is_written_whole_or_not_at_all() {
    if missing(&["strace"]) {
        return;
    }
    let folder = source();
    let man = folder.path().join("man");
    fs::create_dir(&man).unwrap();
    fs::write(man.join("sazare.1"), "old").unwrap();
    let full = ["-f", "-qqq", "-o", "/dev/null", "-e", "trace=write", "-e", "inject=write:error=ENOSPC:when=3+"];
    let answer = run(command("strace", full)
        .args([env!("CARGO_BIN_EXE_sazare"), "generate", "man", "man"])
        .current_dir(folder.path()));
    assert_eq!(answer.code, 5, "{answer:?}");
    assert_eq!(fs::read(man.join("sazare.1")).unwrap(), b"old");
    assert_eq!(man.read_dir().unwrap().count(), 1, "something else is left");
    let answer = guarded(folder.path(), &["generate", "man", "man"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(fs::read(man.join("sazare.1")).unwrap().len() > 1000 && man.join("sazare-build.1").exists());
}

#[test]
fn a_directory_is_on_the_disk_before_it_has_its_name() {
    if missing(&["strace"]) {
        return;
    }
    let folder = source();
    let trace =
        ["-f", "-qqq", "-e", "trace=syncfs,rename,renameat,renameat2", "-o", "seen", env!("CARGO_BIN_EXE_sazare")];
    let arguments = trace.iter().chain(&BUILD).chain(&["-o", "rootfs:r"]);
    let answer = run(command("strace", arguments).current_dir(folder.path()));
    assert_eq!(answer.code, 0, "{answer:?}");
    let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
    let (synced, named) = (seen.find("syncfs("), seen.find("\"r\")").or(seen.find("/r\")")));
    assert!(synced.is_some() && synced < named, "{seen}");
}

/// The private folders that are left in a folder.
#[expect(clippy::disallowed_methods, reason = "the order changes nothing")]
fn left(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with(".sazare-")).count()
}

#[test]
fn a_failed_lock_or_few_open_files_leave_nothing_behind() {
    if missing(&["strace"]) {
        return;
    }
    let folder = source();
    let build = [&BUILD, ["-o", "oci:l"].as_slice()].concat();
    for fault in ["EINTR:when=1", "ENOLCK:when=1", "EIO:when=1", "ENOLCK"] {
        let inject = format!("inject=flock:error={fault}");
        let strace =
            ["-f", "-qqq", "-o", "/dev/null", "-e", "trace=flock", "-e", &inject, env!("CARGO_BIN_EXE_sazare")];
        let answer = run(command("strace", strace.iter().chain(&build)).current_dir(folder.path()));
        assert_eq!(answer.code, 0, "{fault}: {answer:?}");
        assert_eq!(left(&folder.path().join("l")), 0, "{fault}");
    }
    for files in 4..12 {
        let line = format!("ulimit -n {files}; exec \"$0\" {} -o a.tar", BUILD.join(" "));
        run(command("bash", ["-c", &line, env!("CARGO_BIN_EXE_sazare")]).current_dir(folder.path()));
        let answer = guarded(folder.path(), &[&BUILD, ["-o", "a.tar"].as_slice()].concat());
        assert_eq!((answer.code, left(folder.path())), (0, 0), "{files} open files: {answer:?}");
    }
}

/// Every read of an archive, of a program and of its loader fails in turn: while it is found out what a path is, and while it is verified.
#[test]
fn a_read_error_is_never_taken_for_what_a_file_is() {
    if missing(&["strace", "gcc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("m.c"), "int main(void) { return 0; }\n").unwrap();
    must(command("gcc", ["m.c", "-o", "prog"]).current_dir(folder.path()));
    let sazare = env!("CARGO_BIN_EXE_sazare");
    let bundle = |output: &str| {
        let program = at("prog").to_str().unwrap().to_owned();
        must(command(sazare, ["bundle", &program, "--no-cache", "-q", "-o", output]).current_dir(folder.path()));
    };
    bundle("rootfs:root");
    bundle("image.tar");
    must(command("sh", ["-c", "tar -cf root.tar -C root . && gzip -k root.tar"]).current_dir(folder.path()));
    let loader = must(command("find", ["root", "-name", "ld-linux*", "-type", "f"]).current_dir(folder.path()));
    let platform = ["--platform", "linux/amd64"];
    let inside = format!("root{}", at("prog").display());
    for (read, arguments) in [
        ("image.tar", ["verify", "image.tar"].as_slice()),
        ("image.tar", &["inspect", "image.tar"]),
        ("root.tar", &["verify", "root.tar", platform[0], platform[1]]),
        ("root.tar.gz", &["verify", "root.tar.gz", platform[0], platform[1]]),
        (loader.trim(), &["verify", "rootfs:root", platform[0], platform[1]]),
        (&inside, &["verify", "--root", "root", &inside]),
    ] {
        let traced = |inject: &str| {
            let trace =
                ["-f", "--seccomp-bpf", "-qqq", "-o", "seen", "-P", read, "-e", "trace=pread64", "-e", inject, sazare];
            let answer = run(command("strace", trace).args(arguments).current_dir(folder.path()));
            let seen = fs::read_to_string(at("seen")).unwrap();
            (answer, seen.matches("(INJECTED)").count())
        };
        let healthy = traced("inject=pread64:error=EIO:when=9999").0;
        assert_eq!(healthy.code, 0, "{arguments:?}: {}", healthy.text());
        let mut met = 0;
        for number in 1..=16 {
            for error in ["error=EIO", "error=EINTR", "retval=0"] {
                let (answer, injected) = traced(&format!("inject=pread64:{error}:when={number}"));
                met += injected;
                let name = format!("{arguments:?}: read {number} of {read}: {error}");
                match error {
                    _ if injected == 0 => {}
                    "error=EINTR" => {
                        assert_eq!((answer.code, &answer.out), (0, &healthy.out), "{name}: {}", answer.err)
                    }
                    // A file that ends too early may be what it is all the same.
                    "retval=0" if answer.code == 0 => assert_eq!(answer.out, healthy.out, "{name}"),
                    _ => assert_eq!(answer.code, 4, "{name}: {}", answer.text()),
                }
            }
        }
        assert!(met > 0, "{arguments:?}: {read} is not read");
    }
}
