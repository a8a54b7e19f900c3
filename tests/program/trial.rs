//! `sazare try` and `sazare doctor`: each method is really used, an unavailable one is skipped, and nothing stays behind.

#![expect(clippy::disallowed_methods, reason = "a test looks at folders and waits")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::outside::{Answer, SAZARE, checkout, command, install, missing, must, run};

const WAYS: [&str; 3] = ["namespace", "chroot", "loader"];

/// A root with a shell, a dynamic program with its loader and libraries, a script, and a directory that its owner
/// may not change.
struct Room {
    folder: TempDir,
}

impl Room {
    fn new() -> Option<Room> {
        if missing(&["/bin/busybox", "/usr/bin/python3", "ldd", "setpriv", "namespaces", "root"]) {
            return None;
        }
        let room = Room { folder: tempfile::tempdir().unwrap() };
        fs::set_permissions(room.folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let root = room.at("root");
        for folder in ["bin", "usr/bin", "etc", "closed/below", "srv", "tmp"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        copy_with_libraries("/bin/busybox", &root);
        for applet in ["sh", "cat", "sleep", "id", "pwd", "ls", "setsid", "sync"] {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        symlink("bin/busybox", root.join("init")).unwrap();
        copy_with_libraries("/usr/bin/tac", &root);
        fs::write(root.join("bin/greet"), "#!/bin/sh -e\necho \"hello $1 from $0\"\n").unwrap();
        fs::set_permissions(root.join("bin/greet"), PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(root.join("closed/below/file"), "text").unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1234:1234::/srv:/bin/sh\n").unwrap();
        fs::set_permissions(root.join("closed/below"), PermissionsExt::from_mode(0o555)).unwrap();
        fs::create_dir(room.at("tmp")).unwrap();
        fs::set_permissions(room.at("tmp"), PermissionsExt::from_mode(0o777)).unwrap();
        install(SAZARE, room.at("sazare"));
        Some(room)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `sazare try ROOT FLAGS`, with its own directory for temporary files.
    fn command(&self, flags: &[&str]) -> Command {
        self.dressed(&[], flags)
    }

    /// The same, with a command prefix.
    fn dressed(&self, before: &[&str], flags: &[&str]) -> Command {
        let sazare = self.at("sazare");
        let mut words: Vec<&std::ffi::OsStr> = before.iter().map(std::ffi::OsStr::new).collect();
        words.push(sazare.as_os_str());
        let mut command = command(words[0], &words[1..]);
        command.args(["try", "-q"]).arg(self.at("root")).args(flags).env("TMPDIR", self.at("tmp"));
        command
    }

    fn run(&self, flags: &[&str]) -> Answer {
        run(&mut self.command(flags))
    }

    #[track_caller]
    fn assert_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.at("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// Copies a program of this machine and the libraries that its own loader lists; none if it is static.
fn copy_with_libraries(program: &str, root: &Path) {
    let text = run(&mut command("ldd", [program])).out;
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    for path in paths.chain([program]) {
        let to = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        must(command("cp", ["-L", path]).arg(to));
    }
}

/// Whether a process with these words in its command line is alive.
fn alive(words: &str) -> bool {
    run(&mut command("pgrep", ["-f", words])).code == 0
}

#[test]
fn each_way_runs_programs_and_scripts_and_passes_input_and_output() {
    let Some(room) = Room::new() else { return };
    for way in WAYS {
        let answer = room.run(&["--way", way, "--", "greet", "you"]);
        assert_eq!(answer.code, 0, "{way}: {}", answer.text());
        assert!(
            answer.out.starts_with("hello you from ") && answer.out.ends_with("/bin/greet\n"),
            "{way}: {}",
            answer.out
        );
        let answer =
            room.run(&["--way", way, "--stdin", "one\ntwo\n", "--expect-stdout", "two\none", "--", "/usr/bin/tac"]);
        assert_eq!(answer.code, 0, "{way}: {}", answer.text());
        let answer = room.run(&["--way", way, "--stdin", "one\n", "--expect-stdout", "two", "--", "/usr/bin/tac"]);
        assert_eq!(
            (answer.code, answer.err.as_str()),
            (1, "error: its standard output is not the expected one: \"one\\n\"\n"),
            "{way}"
        );
        let answer = room.run(&["--way", way, "--expect-status", "7", "--", "sh", "-c", "exit 7"]);
        assert_eq!(answer.code, 0, "{way}: {}", answer.text());
        let answer = room.run(&["--way", way, "--", "sh", "-c", "exit 7"]);
        assert_eq!((answer.code, answer.err.as_str()), (1, "error: the command ended with status 7, not 0\n"), "{way}");
        // Signals from inside do not end the first process of a PID namespace (pid_namespaces(7)).
        if way != "namespace" {
            let answer = room.run(&["--way", way, "--", "sh", "-c", "kill -KILL $$"]);
            assert_eq!((answer.code, answer.err.as_str()), (1, "error: the command was ended by signal 9\n"), "{way}");
        }
        let answer = room.run(&["--way", way, "--", "/bin/absent"]);
        let words = "error: the command could not be started: execve: No such file or directory\n";
        assert_eq!((answer.code, answer.err.as_str()), (1, words), "{way}");
        room.assert_clean();
    }
}

#[test]
fn inside_the_tree_the_user_the_environment_and_the_folder_are_the_asked_ones() {
    let Some(room) = Room::new() else { return };
    let script = "id -u; pwd; echo $HOME $GREETING; ls -d /proc/self /closed/below/file; cat </dev/null";
    let flags = ["-u", "app", "-e", "GREETING=hi", "-w", "/srv", "--", "sh", "-c", script];
    for (way, expected) in [
        ("namespace", "1234\n/srv\n/srv hi\n/closed/below/file\n/proc/self\n"),
        ("chroot", "1234\n/srv\n/srv hi\n/closed/below/file\n"),
    ] {
        let answer = room.run(&[&["--way", way], flags.as_slice()].concat());
        assert_eq!(answer.out, expected, "{way}: {}", answer.err);
    }
    // The command changes only its copy.
    assert_eq!(room.run(&["--", "sh", "-c", "echo changed >/etc/passwd; echo new >/new"]).code, 0);
    assert!(fs::read_to_string(room.at("root/etc/passwd")).unwrap().starts_with("root:"));
    assert!(!room.at("root/new").exists());
    room.assert_clean();
}

#[test]
fn a_user_without_privileges_has_the_same_ways_but_chroot() {
    let Some(room) = Room::new() else { return };
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let answer = run(&mut room.dressed(&nobody, &["--format", "json", "-u", "app", "--", "sh", "-c", "id -u; pwd"]));
    assert_eq!(answer.code, 0, "{}", answer.text());
    assert!(
        answer.out.contains(r#""way": "namespace""#) && answer.out.contains(r#""stdout": "1234\n/\n""#),
        "{}",
        answer.out
    );
    let answer = run(&mut room.dressed(&nobody, &["--way", "chroot", "--", "id"]));
    let words = "error: this machine allows no way to run the command; chroot: only root may call chroot\nhint: ";
    assert_eq!(answer.code, 5);
    assert!(answer.err.starts_with(words), "{}", answer.err);
    let answer = run(&mut room.dressed(&nobody, &["--way", "loader", "--stdin", "x", "--", "/usr/bin/tac"]));
    assert_eq!((answer.code, answer.out.as_str()), (0, "x"), "{}", answer.err);
    room.assert_clean();
}

#[test]
fn a_way_that_is_forbidden_is_told_and_the_next_one_taken() {
    let Some(room) = Room::new() else { return };
    let confine = checkout().join("tests/program/confine.py");
    let confined = |calls: &str, flags: &[&str]| {
        let before = ["/usr/bin/python3", confine.to_str().unwrap(), "--refuse", calls];
        run(&mut room.dressed(&before, flags))
    };
    let json = ["--format", "json", "--stdin", "x", "--expect-stdout", "x", "--", "/usr/bin/tac"];
    for (calls, way) in [("unshare", "chroot"), ("mount", "chroot"), ("unshare,chroot", "loader")] {
        let answer = confined(calls, &json);
        assert_eq!(answer.code, 0, "{calls}: {}", answer.text());
        assert!(answer.out.contains(&format!(r#""way": "{way}""#)), "{calls}: {}", answer.out);
    }
    let answer = confined("unshare,chroot", &["--way", "namespace", "--way", "chroot", "--", "id"]);
    let words = "error: this machine allows no way to run the command; namespace: unshare(CLONE_NEWUSER): Operation not \
                 permitted; chroot: chroot: Operation not permitted\n";
    assert_eq!(answer.code, 5);
    assert!(answer.err.starts_with(words), "{}", answer.err);
    room.assert_clean();
}

#[test]
fn a_command_that_hangs_is_ended_with_its_children() {
    let Some(room) = Room::new() else { return };
    for way in WAYS {
        let mark = format!("98{}{}", std::process::id(), way.len());
        let script = format!("setsid sleep {mark} & sleep {mark}1 & (sleep {mark}2 &) ; sleep {mark}3");
        // With the method `loader` a shell finds no other applet: there one process is enough.
        let words: Vec<&str> = if way == "loader" { vec!["sleep", &mark] } else { vec!["sh", "-c", &script] };
        let start = Instant::now();
        let answer = room.run(&[["--way", way, "--timeout", "300ms", "--"].as_slice(), &words].concat());
        let message = "error: the command took too long and was ended, with all that it had started\n";
        assert_eq!((answer.code, answer.err.as_str()), (1, message), "{way}");
        assert!(start.elapsed() < Duration::from_secs(60), "{way}");
        assert!(!alive(&format!("sleep {mark}")), "{way}: something is still running");
        // When a command ends, its background processes end too.
        if way != "loader" {
            let answer = room.run(&["--way", way, "--", "sh", "-c", &format!("setsid sleep {mark}9 & exit 0")]);
            assert_eq!(answer.code, 0, "{way}: {}", answer.text());
            assert!(!alive(&format!("sleep {mark}9")), "{way}: something is still running");
        }
        room.assert_clean();
    }
}

#[test]
fn after_kill_9_the_command_is_gone_and_the_next_run_cleans_up() {
    let Some(room) = Room::new() else { return };
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    for (way, before) in [("namespace", [].as_slice()), ("chroot", &[]), ("loader", &[]), ("namespace", &nobody)] {
        let mark = format!("97{}{}{}", std::process::id(), way.len(), before.len());
        let script = format!("setsid sleep {mark} & sleep {mark}");
        let words: Vec<&str> = if way == "loader" { vec!["sleep", &mark] } else { vec!["sh", "-c", &script] };
        let flags = [["--way", way, "--"].as_slice(), &words].concat();
        let mut sazare = room.dressed(before, &flags).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        wait_until("it runs", || alive(&format!("^.*sleep {mark}$")));
        must(&mut command("kill", ["-9", &sazare.id().to_string()]));
        sazare.wait().unwrap();
        wait_until("it is gone", || !alive(&format!("sleep {mark}")));
        assert_eq!(fs::read_dir(room.at("tmp")).unwrap().count(), 1, "{way}: the copy of the killed run");
        assert_eq!(run(&mut room.dressed(before, &["--", "id"])).code, 0);
        room.assert_clean();
    }
}

#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_kind_of_place_can_be_tried() {
    let Some(room) = Room::new() else { return };
    let at = |name: &str| room.at(name).to_str().unwrap().to_owned();
    let cmd = r#"["/bin/greet", "image"]"#;
    let build = |outputs: &[&str]| {
        let mut command = command(SAZARE, ["build", "-q", "--platform", "linux/amd64", "--cmd", cmd, &at("root")]);
        must(command.args(outputs.iter().flat_map(|output| ["-o", output])));
    };
    build(&[&format!("oci:{}", at("layout")), &at("archive.tar"), &at("root.cpio.gz")]);
    must(&mut command("tar", ["-C", &at("root"), "-cf", &at("plain.tar"), "."]));
    let tried = |place: &str, words: &[&str]| {
        let answer = run(command(SAZARE, ["try", "-q", place]).args(words));
        assert_eq!(answer.code, 0, "{place}: {}", answer.text());
        answer.out
    };
    for place in [format!("oci:{}", at("layout")), at("archive.tar")] {
        assert_eq!(tried(&place, &[]), "hello image from /bin/greet\n");
    }
    for place in [at("root"), at("root.cpio.gz"), format!("tar:{}", at("plain.tar"))] {
        assert_eq!(tried(&place, &["--", "greet", "all"]), "hello all from /bin/greet\n");
    }
    let answer = run(&mut command(SAZARE, ["try", "-q", &at("root")]));
    assert_eq!(answer.code, 2, "{}", answer.text());
    assert!(
        answer.err.starts_with("error: there is nothing to run: the place names no command\nhint: "),
        "{}",
        answer.err
    );
}

#[test]
fn programs_of_another_architecture_run_by_each_way_under_an_emulator() {
    if missing(&["qemu-aarch64-static", "namespaces", "root"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("hello.tar");
    must(command(SAZARE, ["build", "-q", "--example", "-o"]).arg(&image));
    for way in WAYS {
        let mut command = command(SAZARE, ["try", "--platform", "linux/arm64", "--way", way]);
        let answer = run(command.arg(&image));
        assert_eq!(answer.code, 0, "{way}: {}", answer.text());
        assert!(answer.out.starts_with("Hello from sazare on linux/arm64.\n"), "{way}: {}", answer.out);
        assert!(answer.err.contains("an emulator stood for them"), "{way}: {}", answer.err);
    }
    let answer = run(command(SAZARE, ["try", "-q", "--platform", "linux/arm64"]).arg(&image).env("PATH", "/nowhere"));
    assert_eq!(answer.code, 5);
    assert!(
        answer.err.contains("namespace: programs for arm64 need qemu-aarch64-static, which is not in PATH"),
        "{}",
        answer.err
    );
}

#[test]
fn doctor_tells_what_is_allowed_by_doing_it() {
    if missing(&["/usr/bin/python3", "qemu-aarch64-static", "namespaces", "root"]) {
        return;
    }
    let confine = checkout().join("tests/program/confine.py");
    let report = |refused: &str| -> serde_json::Value {
        let mut command = command("/usr/bin/python3", [confine.as_os_str(), "--refuse".as_ref(), refused.as_ref()]);
        let text = must(command.args([SAZARE, "doctor", "--format", "json"]));
        serde_json::from_str(&text).unwrap()
    };
    let doctor = |refused: &str| {
        let report = report(refused);
        let ways = report["ways"].as_array().unwrap().clone();
        ways.iter()
            .map(|row| {
                format!("{} {} {}", row["platform"].as_str().unwrap(), row["way"].as_str().unwrap(), row["allowed"])
            })
            .collect::<Vec<_>>()
    };
    let expected = |platform: &str, allowed: [bool; 3]| {
        WAYS.iter().zip(allowed).map(|(way, allowed)| format!("{platform} {way} {allowed}")).collect::<Vec<_>>()
    };
    for (refused, allowed) in
        [("bpf", [true, true, true]), ("unshare", [false, true, true]), ("chroot", [true, false, true])]
    {
        assert_eq!(
            doctor(refused),
            [expected("linux/amd64", allowed), expected("linux/arm64", allowed)].concat(),
            "{refused}"
        );
    }
    for (refused, allowed) in [("bpf", true), ("ptrace", false)] {
        let needs = report(refused)["needs"].clone();
        let trace = needs.as_array().unwrap().iter().find(|need| need["verbs"] == "bundle --trace").unwrap();
        assert_eq!(trace["allowed"], allowed, "{refused}: {trace}");
    }
}
