//! Compares `sazare bundle` with other programs: real programs of this machine and of others, run by engines, the kernel and
//! emulators; the trace compared with strace, the size compared with ldd's list.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sazare::bundle::trace::{Run, RunEnd, trace};
use serde_json::Value;
use tempfile::TempDir;

use crate::engines::{Docker, Store};
use crate::outside::{SAZARE, checkout, command, install, missing, must, run, sazare};

const PATCHELF: &str = "/usr/bin/patchelf";

/// A program of this machine, and how to bundle and run it.
struct Case {
    program: String,
    /// Flags of `bundle`.
    flags: Vec<String>,
    /// Arguments in the container.
    arguments: Vec<String>,
    /// Its expected output.
    says: String,
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

/// A script that imports modules with C libraries.
const SCRIPT: &str = "#!/usr/bin/python3\nimport json, sqlite3, ssl\n\
    answer = sqlite3.connect(':memory:').execute('select 6 * 7').fetchone()[0]\n\
    print(json.dumps({'answer': answer, 'tls': ssl.create_default_context().check_hostname}))\n";

fn cases(folder: &Path) -> Vec<Case> {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    fs::write(at("text"), "read from a file\n").unwrap();
    fs::write(at("script"), SCRIPT).unwrap();
    fs::set_permissions(at("script"), PermissionsExt::from_mode(0o755)).unwrap();
    let url = format!("file://{}", at("text"));
    vec![
        Case {
            program: PATCHELF.into(),
            flags: Vec::new(),
            arguments: texts(&["--version"]),
            says: must(&mut command(PATCHELF, ["--version"])),
        },
        Case {
            program: "/usr/bin/curl".into(),
            flags: texts(&["--trace", "--trace-arg", "-sS", "--trace-arg", &url]),
            arguments: texts(&["-sS", &url]),
            says: "read from a file\n".into(),
        },
        Case {
            program: "/usr/bin/git".into(),
            flags: texts(&["--trace", "--trace-arg", "init", "--trace-arg", &at("repository")]),
            arguments: texts(&["init", "-q", "/x"]),
            says: String::new(),
        },
        Case {
            program: at("script"),
            flags: texts(&["--trace"]),
            arguments: Vec::new(),
            says: "{\"answer\": 42, \"tls\": true}\n".into(),
        },
    ]
}

#[test]
fn real_programs_run_in_docker_and_podman() {
    if missing(&[PATCHELF, "/usr/bin/curl", "/usr/bin/git", "/usr/bin/python3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path());
    let mut archives = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let archive = folder.path().join(format!("{number}.tar"));
        let tag = format!("localhost/case:{number}");
        must(command(SAZARE, ["bundle", &case.program, "--tag", &tag, "-o"]).arg(&archive).args(&case.flags));
        // The verifier reports no error for the bundle.
        must(command(SAZARE, ["verify"]).arg(&archive));
        archives.push((archive, tag));
    }
    let (docker, podman) = (Docker::start(), Store::new("podman"));
    for (case, (archive, tag)) in cases.iter().zip(&archives) {
        let arguments: Vec<&str> = case.arguments.iter().map(String::as_str).collect();
        if let Some(docker) = &docker {
            must(docker.docker(&["load", "-q", "-i"]).arg(archive));
            let said = must(docker.docker(&["run", "--rm", "--network", "none", tag]).args(&arguments));
            assert_eq!(said, case.says, "{} in docker", case.program);
        }
        if let Some(podman) = &podman {
            must(podman.podman(&["load", "-q", "-i"]).arg(archive));
            let said = podman.podman_run(&[&[tag.as_str()], arguments.as_slice()].concat());
            assert_eq!(said, case.says, "{} in podman", case.program);
        }
    }
}

/// A bundle as a directory.
struct Folder {
    _folder: TempDir,
    root: PathBuf,
}

impl Folder {
    fn of(arguments: &[&str]) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        must(command(SAZARE, ["bundle", "-o"]).arg(format!("rootfs:{}", root.display())).args(arguments));
        Folder { _folder: folder, root }
    }

    /// Every path that is not a directory.
    fn names(&self) -> BTreeSet<PathBuf> {
        let list = must(command("find", [&self.root]).args(["!", "-type", "d"]));
        list.lines().map(|line| Path::new("/").join(Path::new(line).strip_prefix(&self.root).unwrap())).collect()
    }

    /// The size of its files.
    fn size(&self) -> u64 {
        let files = self.names().into_iter().map(|name| self.at(&name).symlink_metadata().unwrap());
        files.filter(|meta| meta.is_file()).map(|meta| meta.len()).sum()
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap())
    }
}

/// Removes each file in turn: then the program must not start any more.
fn every_file_is_needed(bundle: &Folder, mut works: impl FnMut() -> bool) {
    assert!(works(), "the whole bundle");
    let names = bundle.names();
    assert!(names.len() > 2, "{names:?}");
    let aside = bundle.root.with_extension("aside");
    for name in names {
        let file = bundle.at(&name);
        fs::rename(&file, &aside).unwrap();
        assert!(!works(), "{} is not needed", name.display());
        fs::rename(&aside, &file).unwrap();
    }
    assert!(works(), "the whole bundle again");
}

#[test]
fn every_file_of_a_static_bundle_is_needed() {
    if missing(&["root", "chroot", PATCHELF, "/usr/bin/curl"]) {
        return;
    }
    for program in [PATCHELF, "/usr/bin/curl"] {
        let bundle = Folder::of(&[program]);
        every_file_is_needed(&bundle, || run(command("chroot", [&bundle.root]).args([program, "--version"])).code == 0);
    }
}

#[test]
fn a_library_that_only_the_cache_knows_gets_a_cache_of_its_own() {
    if missing(&["root", "chroot", "gcc", "ldconfig"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (root, source) = (folder.path().join("root"), folder.path().join("x.c"));
    // A small root made from a bundle, with a library outside the loader's default directories.
    must(command(SAZARE, ["bundle", "/bin/true", "-o"]).arg(format!("rootfs:{}", root.display())));
    fs::create_dir_all(root.join("srv/odd")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(&source, "int answer(void) { return 42; }").unwrap();
    let library = root.join("srv/odd/libanswer.so.1");
    must(command("gcc", ["-shared", "-Wl,-soname,libanswer.so.1", "-o"]).arg(&library).arg(&source));
    fs::write(&source, "int answer(void); int main(void) { return answer() != 42; }").unwrap();
    must(command("gcc", ["-o"]).arg(root.join("srv/ask")).arg(&source).arg(&library));
    fs::write(root.join("etc/ld.so.conf"), "/srv/odd\n").unwrap();
    must(command("ldconfig", ["-r"]).arg(&root));
    let bundle = Folder::of(&["/srv/ask", "--root", root.to_str().unwrap()]);
    assert!(bundle.names().contains(Path::new("/etc/ld.so.cache")), "{:?}", bundle.names());
    assert!(fs::metadata(bundle.at(Path::new("/etc/ld.so.cache"))).unwrap().len() < 200);
    every_file_is_needed(&bundle, || run(command("chroot", [&bundle.root]).arg("/srv/ask")).code == 0);
}

#[test]
fn a_musl_program_is_bundled_on_a_glibc_machine() {
    if missing(&["root", "chroot", "musl-gcc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("lib.c"), "int answer(void) { return 42; }").unwrap();
    must(command("musl-gcc", ["-shared", "-fPIC", "-o"]).args([at("libanswer.so"), at("lib.c")]));
    fs::write(at("main.c"), "int answer(void); int main(void) { return answer() != 42; }").unwrap();
    let program = at("main");
    must(command("musl-gcc", ["-Wl,-rpath,$ORIGIN", "-o"]).args([&program, &at("main.c"), &at("libanswer.so")]));
    let bundle = Folder::of(&[program.to_str().unwrap()]);
    every_file_is_needed(&bundle, || run(command("chroot", [&bundle.root]).arg(&program)).code == 0);
}

/// The directory with the roots for arm64; `None` if they cannot be downloaded.
fn arm64_roots() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("arm64-roots");
    if missing(&["apt-get", "dpkg-deb", "pip3", "python3"]) {
        return None;
    }
    let answer = run(command(checkout().join("tests/program/arm64-roots"), [&folder]).env("TMPDIR", "/tmp"));
    if answer.code != 0 {
        let _ = writeln!(std::io::stderr(), "{}", answer.text());
    }
    if missing(&[folder.join("complete").to_str().unwrap()]) { None } else { Some(folder) }
}

#[test]
fn programs_of_another_architecture_are_bundled_from_their_own_root() {
    if missing(&["qemu-aarch64-static"]) {
        return;
    }
    let Some(roots) = arm64_roots() else { return };
    let formatted = ("int main(  ){ }\n", "int main() {}\n");
    for (root, program, arguments, input, output) in [
        ("glibc", PATCHELF, &["--version"][..], "", "patchelf 0.18.0\n"),
        ("musl", "/opt/clang_format/data/bin/clang-format", &[], formatted.0, formatted.1),
    ] {
        let bundle = Folder::of(&[program, "--root", roots.join(root).to_str().unwrap()]);
        let stdin = bundle.root.with_extension("stdin");
        fs::write(&stdin, input).unwrap();
        every_file_is_needed(&bundle, || {
            let mut emulated = Command::new("qemu-aarch64-static");
            emulated.arg("-L").arg(&bundle.root).arg(bundle.at(Path::new(program))).args(arguments);
            let answer = emulated.stdin(fs::File::open(&stdin).unwrap()).output().unwrap();
            answer.status.success() && String::from_utf8_lossy(&answer.stdout) == output
        });
    }
}

/// The files that `ldd` lists, and the program itself: the usual way to copy by hand.
fn size_by_ldd(program: &str) -> u64 {
    let said = must(&mut command("ldd", [program]));
    let words = said.split_whitespace().filter(|word| word.starts_with('/'));
    let files: BTreeSet<PathBuf> = words.chain([program]).map(|path| fs::canonicalize(path).unwrap()).collect();
    files.iter().map(|file| fs::metadata(file).unwrap().len()).sum()
}

#[test]
fn a_bundle_is_never_larger_than_what_ldd_names() {
    if missing(&["ldd", PATCHELF]) {
        return;
    }
    for program in [PATCHELF, "/usr/bin/curl", "/usr/bin/git", "/usr/bin/python3"] {
        if Path::new(program).exists() {
            let (ours, by_hand) = (Folder::of(&[program]).size(), size_by_ldd(program));
            assert!(ours * 100 <= by_hand * 102, "{program}: {ours} bytes, and {by_hand} by ldd");
        }
    }
}

/// The files and directories that strace reports as used with success, without links.
fn by_strace(folder: &Path, program: &[&str]) -> BTreeSet<PathBuf> {
    let log = folder.join("log");
    let calls = "trace=open,openat,openat2,execve,execveat,stat,lstat,newfstatat,statx,access,faccessat,faccessat2,\
                 statfs,readlink,readlinkat,chdir,getxattr,lgetxattr,listxattr";
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-s", "9999", "-y", "-e", calls, "-e", "status=successful", "-o"]).arg(&log);
    must(strace.args(program).current_dir(folder));
    let text = fs::read_to_string(log).unwrap();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        // NUMBER call(AT_FDCWD</folder>, "path", …) = 0
        let Some((head, rest)) = line.split_once('"') else { continue };
        let Some((path, tail)) = rest.split_once('"') else { continue };
        let base = head
            .rsplit_once('<')
            .and_then(|(_, base)| base.split_once('>'))
            .map_or(folder, |(base, _)| Path::new(base));
        let path = base.join(path);
        let link = head.contains("lstat(") || head.contains("readlink") || tail.contains("NOFOLLOW");
        let of_kernel = ["/proc", "/sys", "/dev"].iter().any(|kernel| path.starts_with(kernel));
        if of_kernel || rest.starts_with('"') {
            continue;
        }
        let place = if link {
            path.parent()
                .and_then(|parent| fs::canonicalize(parent).ok())
                .map(|parent| parent.join(path.file_name().unwrap_or_default()))
        } else {
            fs::canonicalize(&path).ok()
        };
        seen.extend(place);
    }
    seen
}

/// The paths that `--trace` added to a bundle.
fn by_trace(folder: &Path, program: &[&str]) -> BTreeSet<PathBuf> {
    let mut bundle = command(SAZARE, ["bundle", program[0], "--trace", "--format", "json", "-q", "-o"]);
    bundle.arg(format!("rootfs:{}", folder.join("out").display())).current_dir(folder);
    for argument in &program[1..] {
        bundle.args(["--trace-arg", argument]);
    }
    let said: Value = serde_json::from_str(&must(&mut bundle)).unwrap();
    let files = said["bundled"][0]["files"].as_array().unwrap();
    let traced = files
        .iter()
        .filter(|file| file["because"].as_array().unwrap().iter().any(|because| because["kind"] == "traced"));
    traced.map(|file| PathBuf::from(file["path"].as_str().unwrap())).collect()
}

#[test]
fn the_trace_sees_what_strace_sees() {
    if missing(&["strace", "/usr/bin/git", "/usr/bin/python3", "/usr/bin/curl"]) {
        return;
    }
    let programs: [&[&str]; 10] = [
        &["/usr/bin/git", "--version"],
        &["/usr/bin/python3", "-c", "import json, ssl, sqlite3, decimal"],
        &["/usr/bin/curl", "--version"],
        &["/bin/sh", "-c", "cd /usr; ls . > /dev/null; cat share/common-licenses/BSD > /dev/null & wait"],
        &["/usr/bin/perl", "-e", "use strict; use File::Spec; print 1"],
        &["/usr/bin/find", "/usr/share/common-licenses", "-name", "GPL*"],
        &["/bin/tar", "-cf", "/dev/null", "-C", "/usr/share", "common-licenses"],
        &["/usr/bin/awk", "BEGIN { while ((getline line < \"/etc/passwd\") > 0) count++; print count }"],
        &["/bin/bash", "-c", "(readlink /usr/bin/awk; test -e /etc/hosts); exec grep -c root /etc/passwd"],
        &["/usr/bin/env", "LC_ALL=C", "sort", "/etc/passwd"],
    ];
    for program in programs {
        let folder = tempfile::tempdir().unwrap();
        let (theirs, ours) = (by_strace(folder.path(), program), by_trace(folder.path(), program));
        // A directory needs no reason of its own in a bundle; and the second run finds a changed directory.
        let is_file = |path: &&PathBuf| !path.is_dir() && !path.starts_with(folder.path());
        let only_theirs: Vec<_> = theirs.iter().filter(is_file).filter(|path| !ours.contains(*path)).collect();
        // A followed symlink is reported with its target.
        let led =
            |path: &&PathBuf| path.is_symlink() && fs::canonicalize(path).is_ok_and(|file| theirs.contains(&file));
        let only_ours: Vec<_> =
            ours.iter().filter(is_file).filter(|path| !theirs.contains(*path) && !led(path)).collect();
        assert!(
            only_theirs.is_empty() && only_ours.is_empty(),
            "{program:?}\nstrace: {only_theirs:?}\nours: {only_ours:?}"
        );
        assert!(ours.len() > 2, "{program:?}: {ours:?}");
    }
}

#[test]
fn a_bundle_that_could_not_start_is_refused() {
    if missing(&[PATCHELF]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = format!("rootfs:{}", folder.path().join("out").display());
    let answer = sazare(["bundle", PATCHELF, "--exclude", "**/libstdc++*", "-o", &place]);
    assert_eq!(answer.code, 1, "{}", answer.text());
    assert!(answer.err.contains("error[lib-missing]") && answer.err.contains("refused: nothing was written"));
    assert!(!folder.path().join("out").exists());
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out/x"), "").unwrap();
    let answer = sazare(["bundle", PATCHELF, "-o", &place]);
    assert!(answer.code == 5 && answer.err.contains("the directory is not empty"), "{}", answer.text());
}

/// A command line of somebody who is not root.
fn as_ordinary_user(words: &[&str]) -> Command {
    let mut line = vec!["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"];
    if !rustix::process::geteuid().is_root() {
        line.clear();
    }
    line.extend(words);
    command(line[0], &line[1..])
}

#[test]
fn an_ordinary_user_bundles_and_verifies_programs_beside_directories_that_he_cannot_read() {
    if missing(&[PATCHELF, "setpriv"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mode = |name: &str, mode| fs::set_permissions(at(name), PermissionsExt::from_mode(mode)).unwrap();
    mode("", 0o777);
    install(SAZARE, at("sazare"));
    // README's own lines, on this machine: its /root is closed.
    let temporary = |command: &mut Command| run(command.env("TMPDIR", folder.path()).env_remove("XDG_CACHE_HOME"));
    let bundle = |words: &[&str]| temporary(&mut as_ordinary_user(&[&[&at("sazare"), "bundle"], words].concat()));
    let answer = bundle(&["patchelf", "--no-cache", "-o", &at("patchelf.tar")]);
    assert_eq!(answer.code, 0, "{}", answer.text());
    let verify = |words: &[&str]| temporary(&mut as_ordinary_user(&[&[&at("sazare"), "verify"], words].concat()));
    assert_eq!(verify(&[PATCHELF]).code, 0);
    // A root with closed directories in which nobody looks.
    let root = at("root");
    must(
        command(SAZARE, ["bundle", PATCHELF, "--mkdir", "/opt/closed", "--mkdir", "/opt/listed", "-o"])
            .arg(format!("rootfs:{root}")),
    );
    fs::write(at("root/opt/closed/file"), "").unwrap();
    fs::write(at("root/opt/listed/file"), "").unwrap();
    mode("root/opt/closed", 0);
    mode("root/opt/listed", 0o444);
    let out = format!("rootfs:{}", at("out"));
    let answer =
        bundle(&[PATCHELF, "--root", &root, "--include", "/opt/closed/*.dat", "--include", "/opt/listed", "-o", &out]);
    assert_eq!(answer.code, 0, "{}", answer.text());
    for note in [
        "cannot read /opt/closed, so /opt/closed/*.dat includes nothing there",
        "cannot read /opt/listed, so its contents are not included",
    ] {
        assert!(answer.err.contains(note), "{note} in {}", answer.err);
    }
    // The program's own search leads there: whether it finds something is not known.
    must(command(PATCHELF, ["--set-rpath", "/opt/closed/lib"]).arg(format!("{root}{PATCHELF}")));
    let answer = bundle(&[PATCHELF, "--root", &root, "-o", &at("searched.tar")]);
    let words = format!("cannot read {root}/opt/closed: Permission denied\n");
    assert!(answer.code == 4 && answer.err.contains(&words), "{}", answer.text());
    let answer = verify(&["--root", &root, &format!("{root}{PATCHELF}")]);
    assert!(answer.code == 4 && answer.err.contains(&words), "{}", answer.text());
    mode("root/opt/closed", 0o755);
    mode("root/opt/listed", 0o755);
    // The same where programs and libraries usually are not: what is there is found, and a closed directory is named.
    must(
        command("sh", ["-c", "mkdir -p srv/deep/lib && mv usr/lib/*/libstdc++.so.6* srv/deep/lib"]).current_dir(&root),
    );
    let searched = ["--root", root.as_str(), &format!("{root}{PATCHELF}")];
    let missing = verify(&searched);
    assert!(missing.code == 1 && missing.out.contains("error[lib-missing]"), "{}", missing.text());
    must(command(PATCHELF, ["--set-rpath", "/srv/deep/lib"]).arg(format!("{root}{PATCHELF}")));
    let answer = verify(&searched);
    assert_eq!(answer.code, 0, "{}", answer.text());
    mode("root/srv/deep", 0);
    let answer = verify(&searched);
    let words = format!("cannot read {root}/srv/deep: Permission denied\n");
    assert!(answer.code == 4 && answer.err.contains(&words), "{}", answer.text());
    let answer = bundle(&[PATCHELF, "--root", &root, "-o", &at("searched.tar")]);
    assert!(answer.code == 4 && answer.err.contains(&words), "{}", answer.text());
    mode("root/srv/deep", 0o755);
}

#[test]
fn a_command_line_of_magicpak_works() {
    if missing(&["root", "chroot", PATCHELF, "busybox"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle");
    let tail =
        ["--test", "--install-to", "/bin/", "--mkdir", "/tmp", "-i", "/etc/hosts", "-e", "/etc/hosts", "--cc", "cc"];
    // As in its examples: dynamic analysis, a test, another path.
    let line = |extra: &[&str]| {
        let mut line = command(SAZARE, ["bundle", PATCHELF]);
        line.arg(&out).args(["--dynamic", "--dynamic-arg", "--help"]).args(tail).args(extra);
        run(&mut line)
    };
    let answer = line(&["--test-command", "/bin/patchelf --version", "--test-stdout", "something else"]);
    assert!(answer.code == 1 && answer.err.contains("instead of \"something else\""), "{}", answer.text());
    let answer = line(&["--test-command", "exit 3 #"]);
    assert!(answer.code == 1 && answer.err.contains("the test ended with status 3"), "{}", answer.text());
    assert!(!out.exists());
    let answer = line(&["--test-command", "patchelf --version | cut -d ' ' -f 1", "--test-stdout", "patchelf"]);
    assert_eq!(answer.code, 0, "{}", answer.text());
    for (path, there) in [("bin/patchelf", true), ("usr/bin/patchelf", false), ("tmp", true), ("etc/hosts", false)] {
        assert_eq!(out.join(path).exists(), there, "{path}");
    }
    must(command("chroot", [&out]).args(["/bin/patchelf", "--version"]));
}

#[test]
fn a_bundle_from_another_root_is_tested_unconfined_only_if_it_is_trusted() {
    if missing(&[PATCHELF, "/usr/bin/python3", "root", "chroot"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = Folder::of(&[PATCHELF]);
    let test = |flags: &[&str], name: &str| {
        let confine = checkout().join("tests/program/confine.py");
        let mut line =
            command("/usr/bin/python3", [confine.to_str().unwrap(), "--refuse", "unshare", SAZARE, "bundle"]);
        line.args([PATCHELF, "--test", "--test-command", "patchelf --version"]).args(flags);
        run(line.arg("-o").arg(folder.path().join(name)))
    };
    let root = root.root.to_str().unwrap();
    let answer = test(&["--root", root], "foreign.tar");
    let words = "chroot: not used, because it confines nothing";
    assert!(answer.code == 5 && answer.err.contains(words), "{}", answer.text());
    assert_eq!(test(&["--root", root, "--trust"], "trusted.tar").code, 0);
    assert_eq!(test(&[], "own.tar").code, 0);
}

#[test]
fn programs_are_packed_with_upx_after_they_were_verified() {
    if missing(&[PATCHELF]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = format!("rootfs:{}", folder.path().join("out").display());
    let answer = sazare(["bundle", PATCHELF, "-c", "--upx", "/nowhere/upx", "-o", &out]);
    let expected = "error: --compress needs UPX, and this program does not exist: /nowhere/upx\n";
    assert!(answer.code == 2 && answer.err.contains(expected), "{}", answer.text());
    // Debian 12 has no UPX: this script replaces it, with UPX's command line.
    let upx = folder.path().join("upx");
    fs::write(
        &upx,
        "#!/bin/sh\n[ \"$1 $2 $3\" = '--best --no-progress -o' ] && { cat \"$5\"; echo packed; } > \"$4\"\n",
    )
    .unwrap();
    fs::set_permissions(&upx, PermissionsExt::from_mode(0o755)).unwrap();
    let answer = sazare(["bundle", PATCHELF, "-c", "--upx", upx.to_str().unwrap(), "--upx-arg=--best", "-o", &out]);
    assert_eq!(answer.code, 0, "{}", answer.text());
    let (packed, plain) = (fs::read(folder.path().join("out/usr/bin/patchelf")).unwrap(), fs::read(PATCHELF).unwrap());
    assert_eq!(packed, [plain.as_slice(), b"packed\n"].concat());
    let other = format!("{out}-2");
    let answer = sazare(["bundle", PATCHELF, "-c", "--upx", "/bin/false", "-o", &other]);
    assert!(answer.code == 2 && answer.err.contains("UPX cannot pack /usr/bin/patchelf: "), "{}", answer.text());
}

#[test]
fn an_image_says_why_a_file_is_in_it() {
    if missing(&[PATCHELF]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("x.tar");
    must(command(SAZARE, ["bundle", PATCHELF, "--include", "/etc/debian_version", "-o"]).arg(&image));
    let why = |path: &str| must(command(SAZARE, ["inspect", "--why", path]).arg(&image));
    assert_eq!(why("/etc/debian_version"), "/etc/debian_version\n  included by /etc/debian_version\n");
    assert_eq!(why(PATCHELF), format!("{PATCHELF}\n  requested by name\n"));
    let said = why("/lib64");
    assert!(said.contains("is a link on the way to /lib64/ld-linux"), "{said}");
    let answer = run(command(SAZARE, ["inspect", "--why", "/nothing"]).arg(&image));
    assert!(answer.code == 4 && answer.err.contains("/nothing in "), "{}", answer.text());
}

#[test]
fn a_recipe_bundles_out_of_an_image() {
    if missing(&["root", "chroot", PATCHELF]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    must(command(SAZARE, ["bundle", PATCHELF, "/bin/true", "-o"]).arg(format!("oci:{}", at("base").display())));
    let platform = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };
    let recipe = format!(
        "name = 'localhost/small'\nplatforms = ['{platform}']\n[bundle]\nroot = 'oci:base'\nprograms = ['true']\n\
         [[path]]\npath = '/etc/motd'\ntype = 'file'\ntext = 'small'\n"
    );
    fs::write(at("recipe.toml"), recipe).unwrap();
    let out = format!("rootfs:{}", at("out").display());
    must(command(SAZARE, ["build"]).arg(at("recipe.toml")).args(["-o", &out]));
    assert!(at("out/etc/motd").exists() && !at("out/usr/bin/patchelf").exists());
    must(command("chroot", [at("out")]).arg("true"));
}

/// The shortest of three runs.
#[expect(clippy::disallowed_methods, reason = "a test may look at the clock")]
fn shortest(mut work: impl FnMut()) -> Duration {
    let time = |_| {
        let begin = Instant::now();
        work();
        begin.elapsed()
    };
    (0..3).map(time).min().unwrap_or_default()
}

#[test]
fn a_trace_adds_less_than_five_times_the_time_of_a_run() {
    if missing(&["/usr/bin/python3", "/usr/bin/git"]) {
        return;
    }
    let imports = "import json, ssl, sqlite3, email, asyncio, unittest";
    let checkout = checkout().to_str().unwrap();
    let programs: [(&str, &[&str]); 3] = [
        ("/usr/bin/python3", &["-c", imports]),
        ("/usr/bin/git", &["-c", "safe.directory=*", "-C", checkout, "log", "-n", "20", "--stat"]),
        ("/bin/sh", &["-c", "for i in 1 2 3 4 5 6 7 8 9; do cat /etc/passwd | grep -c root; done"]),
    ];
    for (program, arguments) in programs {
        let alone = shortest(|| {
            must(&mut command(program, arguments));
        });
        let words = texts(arguments);
        let mut seen = 0;
        let traced = shortest(|| {
            let run = Run {
                program: Path::new(program),
                arguments: &words,
                environment: &[b"PATH=/usr/bin:/bin".to_vec()],
                folder: Path::new("/"),
                stdin: None,
                limit: Duration::from_secs(120),
                shown: false,
            };
            let trace = trace(&run).unwrap();
            assert_eq!(trace.ended, RunEnd::Status(0), "{program}");
            seen = trace.seen.len();
        });
        let _ = writeln!(std::io::stderr(), "{program}: {alone:?} alone, {traced:?} traced, {seen} paths");
        assert!(traced < alone * 6, "{program}: {alone:?} alone, {traced:?} traced");
    }
}
