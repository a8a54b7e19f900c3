//! `sazare try` and `sazare doctor`: each method is really used, an unavailable one is skipped, and nothing stays behind.

#![expect(clippy::disallowed_methods, reason = "a test looks at folders and waits")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use sazare::platform::Platform;

use crate::outside::{Answer, SAZARE, checkout, command, install, missing, must, run};

const METHODS: [&str; 3] = ["namespace", "chroot", "loader"];

/// Whether the tests run as root. If not, those that need root are skipped, and the others do what they can.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The methods that this user has.
fn methods() -> Vec<&'static str> {
    METHODS.into_iter().filter(|method| *method != "chroot" || is_root()).collect()
}

/// A root with a shell, a dynamic program with its loader and libraries, a script, and a directory that its owner
/// may not change.
struct Room {
    folder: TempDir,
}

impl Drop for Room {
    fn drop(&mut self) {
        // Or it could not be removed.
        let _ = fs::set_permissions(self.at("root/closed/below"), PermissionsExt::from_mode(0o755));
    }
}

impl Room {
    /// One for tests that need root, also to become somebody else.
    fn for_root() -> Option<Room> {
        if missing(&["root", "setpriv"]) { None } else { Room::new() }
    }

    fn new() -> Option<Room> {
        if missing(&["/bin/busybox", "/usr/bin/python3", "ldd", "namespaces"]) {
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
fn each_method_runs_programs_and_scripts_and_passes_input_and_output() {
    let Some(room) = Room::new() else { return };
    for method in methods() {
        let answer = room.run(&["--method", method, "--", "greet", "you"]);
        assert_eq!(answer.code, 0, "{method}: {}", answer.text());
        assert!(
            answer.out.starts_with("hello you from ") && answer.out.ends_with("/bin/greet\n"),
            "{method}: {}",
            answer.out
        );
        let answer = room.run(&[
            "--method",
            method,
            "--stdin",
            "one\ntwo\n",
            "--expect-stdout",
            "two\none",
            "--",
            "/usr/bin/tac",
        ]);
        assert_eq!(answer.code, 0, "{method}: {}", answer.text());
        let answer =
            room.run(&["--method", method, "--stdin", "one\n", "--expect-stdout", "two", "--", "/usr/bin/tac"]);
        assert_eq!(
            (answer.code, answer.err.as_str()),
            (1, "error: unexpected standard output: \"one\\n\"\n"),
            "{method}"
        );
        let answer = room.run(&["--method", method, "--expect-status", "7", "--", "sh", "-c", "exit 7"]);
        assert_eq!(answer.code, 0, "{method}: {}", answer.text());
        let answer = room.run(&["--method", method, "--", "sh", "-c", "exit 7"]);
        assert_eq!(
            (answer.code, answer.err.as_str()),
            (1, "error: the command ended with status 7, not 0\n"),
            "{method}"
        );
        // Signals from inside do not end the first process of a PID namespace (pid_namespaces(7)).
        if method != "namespace" {
            let answer = room.run(&["--method", method, "--", "sh", "-c", "kill -KILL $$"]);
            assert_eq!(
                (answer.code, answer.err.as_str()),
                (1, "error: the command was killed by signal 9\n"),
                "{method}"
            );
        }
        let answer = room.run(&["--method", method, "--", "/bin/absent"]);
        let words = "error: the command could not be started: execve: No such file or directory\n";
        assert_eq!((answer.code, answer.err.as_str()), (1, words), "{method}");
        room.assert_clean();
    }
}

#[test]
fn inside_the_tree_the_user_the_environment_and_the_folder_are_those_that_were_asked_for() {
    let Some(room) = Room::for_root() else { return };
    let script = "id -u; pwd; echo $HOME $GREETING; ls -d /proc/self /closed/below/file; cat </dev/null";
    let flags = ["-u", "app", "-e", "GREETING=hi", "-w", "/srv", "--", "sh", "-c", script];
    for (method, expected) in [
        ("namespace", "1234\n/srv\n/srv hi\n/closed/below/file\n/proc/self\n"),
        ("chroot", "1234\n/srv\n/srv hi\n/closed/below/file\n"),
    ] {
        let answer = room.run(&[&["--method", method], flags.as_slice()].concat());
        assert_eq!(answer.out, expected, "{method}: {}", answer.err);
    }
    // The command changes only its copy.
    assert_eq!(room.run(&["--", "sh", "-c", "echo changed >/etc/passwd; echo new >/new"]).code, 0);
    assert!(fs::read_to_string(room.at("root/etc/passwd")).unwrap().starts_with("root:"));
    assert!(!room.at("root/new").exists());
    room.assert_clean();
}

#[test]
fn a_user_without_privileges_has_the_same_methods_but_chroot() {
    let Some(room) = Room::for_root() else { return };
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let answer = run(&mut room.dressed(&nobody, &["--format", "json", "-u", "app", "--", "sh", "-c", "id -u; pwd"]));
    assert_eq!(answer.code, 0, "{}", answer.text());
    assert!(
        answer.out.contains(r#""method": "namespace""#) && answer.out.contains(r#""stdout": "1234\n/\n""#),
        "{}",
        answer.out
    );
    let answer = run(&mut room.dressed(&nobody, &["--method", "chroot", "--", "id"]));
    let words = "error: this machine allows no method to run the command; chroot: only root may call chroot\nhint: ";
    assert_eq!(answer.code, 5);
    assert!(answer.err.starts_with(words), "{}", answer.err);
    let answer = run(&mut room.dressed(&nobody, &["--method", "loader", "--stdin", "x", "--", "/usr/bin/tac"]));
    assert_eq!((answer.code, answer.out.as_str()), (0, "x"), "{}", answer.err);
    room.assert_clean();
}

/// What `sazare` says where these system calls are refused to it.
fn refusing(room: &Room, before: &[&str], calls: &str, flags: &[&str]) -> Answer {
    let confine = room.at("confine.py");
    fs::copy(checkout().join("tests/program/confine.py"), &confine).unwrap();
    let words = [before, &["/usr/bin/python3", confine.to_str().unwrap(), "--refuse", calls]].concat();
    run(&mut room.dressed(&words, flags))
}

#[test]
fn a_method_that_confines_nothing_is_used_only_for_a_tree_that_is_trusted() {
    let Some(room) = Room::for_root() else { return };
    let json = ["--format", "json", "--stdin", "x", "--expect-stdout", "x", "--", "/usr/bin/tac"];
    for (calls, method) in [("unshare", "chroot"), ("mount", "chroot"), ("unshare,chroot", "loader")] {
        let answer = refusing(&room, &[], calls, &[["--trust"].as_slice(), &json].concat());
        assert_eq!(answer.code, 0, "{calls}: {}", answer.text());
        assert!(answer.out.contains(&format!(r#""method": "{method}""#)), "{calls}: {}", answer.out);
    }
    let answer = refusing(&room, &[], "unshare", &json);
    let words = "error: this machine allows no method to run the command; namespace: unshare(CLONE_NEWUSER): Operation not \
                 permitted; chroot: not used, because it confines nothing; loader: not used, because it confines nothing\n\
                 hint: if you trust the tree as you trust your own programs, add --trust; ";
    assert!(answer.code == 5 && answer.err.starts_with(words), "{}", answer.text());
    let named = ["--method", "namespace", "--method", "chroot", "--", "id"];
    let answer = refusing(&room, &[], "unshare,chroot", &named);
    let words = "error: this machine allows no method to run the command; namespace: unshare(CLONE_NEWUSER): Operation not \
                 permitted; chroot: chroot: Operation not permitted\n";
    assert!(answer.code == 5 && answer.err.starts_with(words), "{}", answer.text());
    // The name that the flag had before.
    assert_eq!(room.run(&["--way", "loader", "--stdin", "x", "--", "/usr/bin/tac"]).code, 0);
    room.assert_clean();
}

const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

#[test]
fn inside_namespaces_a_command_is_nobody_on_this_machine_and_has_no_way_out() {
    let Some(room) = Room::new() else { return };
    let script = "b=/bin/busybox; $b grep -E '^(NoNewPrivs|Seccomp|CapBnd):' /proc/self/status; \
                  $b awk '{ print $2 == 0 ? \"root outside\" : \"nobody outside\" }' /proc/self/uid_map; \
                  $b awk '{ print \"session\", $6 }' /proc/self/stat; $b grep -c : /proc/net/dev; \
                  $b grep -o 'Max processes  *[0-9]*' /proc/self/limits; umask; $b stat -c '%a %n' /dev/shm /dev/null; \
                  (echo x >/proc/sys/kernel/core_pattern) 2>/dev/null || echo 'sys is closed'; \
                  (echo h >/proc/sysrq-trigger) 2>/dev/null || echo 'sysrq is closed'; \
                  $b unshare -U true 2>/dev/null || echo 'no namespaces'; $b mount -t tmpfs none /tmp 2>/dev/null || echo 'no mounts'";
    let start = "NoNewPrivs:\t1\nSeccomp:\t2\n";
    for before in [[].as_slice(), &NOBODY].into_iter().take(if is_root() { 2 } else { 1 }) {
        let answer = run(&mut room.dressed(before, &["--", "sh", "-c", script]));
        assert_eq!(answer.code, 0, "{}", answer.text());
        let (bounding, rest) = answer.out.split_once('\n').unwrap();
        assert_eq!(bounding, "CapBnd:\t00000000a80425fb", "{}", answer.out);
        let rest = rest.strip_prefix(start).unwrap_or_else(|| panic!("{}", answer.out));
        let processes =
            if before.is_empty() && is_root() { "Max processes             2048\n" } else { "Max processes  " };
        assert!(rest.starts_with("nobody outside\nsession 1\n1\n") && rest.contains(processes), "{}", answer.out);
        let end = "\n0022\n1777 /dev/shm\n666 /dev/null\nsys is closed\nsysrq is closed\nno namespaces\nno mounts\n";
        assert!(rest.ends_with(end), "{}", answer.out);
        // Files of the tree have the owners of the tree for whoever looks from inside.
        if before.is_empty() && is_root() {
            let answer = run(&mut room.dressed(before, &["--", "/bin/busybox", "stat", "-c", "%u:%g", "/etc/passwd"]));
            assert_eq!(answer.out, "0:0\n", "{}", answer.err);
        }
    }
    let network = |flags: &[&str]| {
        let count = ["--", "/bin/busybox", "grep", "-c", ":", "/proc/net/dev"];
        room.run(&[flags, &count].concat()).out.trim().parse::<usize>().unwrap()
    };
    let of_this_machine =
        fs::read_to_string("/proc/net/dev").unwrap().lines().filter(|line| line.contains(':')).count();
    assert_eq!((network(&[]), network(&["--network"])), (1, of_this_machine));
    room.assert_clean();
}

#[test]
fn links_of_a_tree_lead_neither_devices_nor_mounts_out_of_it() {
    let Some(room) = Room::new() else { return };
    for name in ["victim/dev", "victim/proc"] {
        fs::create_dir_all(room.at(name)).unwrap();
        fs::set_permissions(room.at(name), PermissionsExt::from_mode(0o777)).unwrap();
    }
    symlink(room.at("victim/dev"), room.at("root/dev")).unwrap();
    symlink(room.at("victim/proc"), room.at("root/proc")).unwrap();
    for method in methods().into_iter().filter(|method| *method != "loader") {
        let mut command = room.command(&["--method", method, "--", "/bin/busybox", "true"]);
        let answer = run(&mut command);
        assert_eq!(answer.code, 0, "{method}: {}", answer.text());
        for name in ["victim/dev", "victim/proc"] {
            assert_eq!(fs::read_dir(room.at(name)).unwrap().count(), 0, "{method}: {name}");
        }
    }
    let mut said = command(room.at("sazare"), ["try"]);
    let answer = run(said.arg(room.at("root")).args(["--", "/bin/busybox", "true"]).env("TMPDIR", room.at("tmp")));
    let note = "/dev is not a directory in the tree, so nothing is mounted there\n";
    assert!(answer.code == 0 && answer.err.contains(note), "{}", answer.text());
    room.assert_clean();
}

#[test]
fn devices_have_the_mode_that_they_have_everywhere() {
    let Some(room) = Room::for_root() else { return };
    for method in ["namespace", "chroot"] {
        let words = ["-u", "app", "--method", method, "--", "sh", "-c", "echo x >/dev/null && echo written"];
        let answer = room.run(&words);
        assert_eq!(answer.out, "written\n", "{method}: {}", answer.err);
    }
}

/// Chains of processes in which each starts the next and ends. They end by themselves after so many steps, and say so.
const CHAINS: &str = r#"
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int width = atoi(argv[1]), steps = atoi(argv[2]), sessions = argc > 3;
    for (; width > 0; width--) {
        if (fork() != 0) continue;
        for (; steps > 0; steps--) {
            usleep(1000);
            pid_t child = fork();
            if (child > 0) _exit(0);
            if (child == 0 && sessions) setsid();
        }
        write(1, "a chain came to its end\n", 24);
        _exit(0);
    }
    for (;;) pause();
}
"#;

#[test]
fn a_command_that_starts_processes_for_ever_is_ended_with_every_method() {
    if missing(&["gcc"]) {
        return;
    }
    let Some(room) = Room::new() else { return };
    fs::write(room.at("chains.c"), CHAINS).unwrap();
    must(command("gcc", ["-static", "-O1", "-w", "-o"]).args([room.at("root/bin/chains"), room.at("chains.c")]));
    let message = "error: the command exceeded its time limit and was killed, with all its processes\n";
    let ended = |label: &str, answer: Answer| {
        assert_eq!((answer.code, answer.err.as_str(), answer.out.as_str()), (1, message, ""), "{label}");
        assert!(!alive("^/?.*bin/chains 3 3000"), "{label}: something is still running");
    };
    // So few that a machine on which they are not ended stays well.
    for sessions in [[].as_slice(), &["setsid"]] {
        let flags = |method| {
            [["--method", method, "--timeout", "300ms", "--", "/bin/chains", "3", "3000"].as_slice(), sessions].concat()
        };
        for method in methods() {
            ended(method, room.run(&flags(method)));
        }
        // Where there is no process namespace each process has to be found.
        ended("loader alone", refusing(&room, &[], "unshare", &flags("loader")));
        if is_root() {
            ended("chroot alone", refusing(&room, &[], "unshare", &flags("chroot")));
            ended("loader of a user", run(&mut room.dressed(&NOBODY, &flags("loader"))));
            ended("loader of a user alone", refusing(&room, &NOBODY, "unshare", &flags("loader")));
        }
    }
    room.assert_clean();
}

/// The control groups of runs.
fn control_groups() -> Vec<PathBuf> {
    let list = run(&mut command("find", ["/sys/fs/cgroup", "-type", "d", "-name", "sazare-*"])).out;
    list.lines().map(PathBuf::from).collect()
}

#[test]
fn a_control_group_limits_the_processes_of_root_where_one_can_be_made() {
    let Some(room) = Room::for_root() else { return };
    if fs::create_dir("/sys/fs/cgroup/pids/test-of-sazare").is_err() {
        return; // Another version, or read-only.
    }
    fs::remove_dir("/sys/fs/cgroup/pids/test-of-sazare").unwrap();
    for method in methods() {
        let mark = format!("95{}{}", std::process::id(), method.len());
        let mut sazare = room
            .dressed(&[], &["--method", method, "--", "sleep", &mark])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let member = |group: &PathBuf| {
            let pids = run(command("pgrep", ["-f"]).arg(format!("sleep {mark}$"))).out;
            let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            pids.lines().any(|pid| members.lines().any(|member| member == pid))
        };
        let mut group = None;
        wait_until("it runs in a group", || {
            group = control_groups().into_iter().find(member);
            group.is_some()
        });
        let group = group.unwrap();
        assert_eq!(fs::read_to_string(group.join("pids.max")).unwrap(), "2048\n");
        must(&mut command("kill", [&sazare.id().to_string()]));
        sazare.wait().unwrap();
        assert!(!group.exists(), "{method}: a signal leaves the group");
    }
    // Nor does a run that ends by itself leave one; after a kill the next one removes it.
    let before = control_groups();
    let mut killed = room
        .dressed(&[], &["--method", "namespace", "--", "sleep", "9001"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut left = Vec::new();
    wait_until("it runs in a group", || {
        left = control_groups().into_iter().filter(|group| !before.contains(group)).collect();
        left.iter().any(|group| fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|members| !members.is_empty()))
    });
    must(&mut command("kill", ["-9", &killed.id().to_string()]));
    killed.wait().unwrap();
    wait_until("what was left is removed", || {
        assert_eq!(room.run(&["--method", "chroot", "--", "greet", "you"]).code, 0);
        left.iter().all(|group| !group.exists())
    });
    let seen = room.at("seen");
    let trace = ["strace", "-f", "-qqq", "-e", "trace=mkdirat,unlinkat", "-o", seen.to_str().unwrap()];
    for method in methods() {
        let words: &[&str] = if method == "loader" { &["sleep", "0"] } else { &["greet", "you"] };
        assert_eq!(run(&mut room.dressed(&trace, &[&["--method", method, "--"], words].concat())).code, 0);
        let calls = fs::read_to_string(&seen).unwrap();
        let named = |call: &str| {
            let line =
                calls.lines().find(|line| line.contains(call) && line.contains("\"sazare-") && line.ends_with("= 0"));
            line.map(|line| line.split('"').nth(1).unwrap_or_default().to_string())
        };
        let made = named("mkdirat(").expect(method);
        let removed =
            calls.lines().any(|line| line.contains("unlinkat(") && line.contains(&made) && line.ends_with("= 0"));
        assert!(removed, "{method}: the group is left\n{calls}");
    }
}

#[test]
fn what_is_read_from_a_file_is_a_regular_file_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    must(&mut command("mkfifo", [at("fifo")]));
    fs::File::create(at("large")).unwrap().set_len((64 << 20) + 1).unwrap();
    fs::create_dir(at("root")).unwrap();
    for flag in ["--stdin", "--expect-stdout"] {
        for (file, words) in [
            ("/dev/zero", "not a regular file"),
            (at("fifo").as_str(), "not a regular file"),
            (at("large").as_str(), "larger than 64 MiB"),
        ] {
            let answer = run(&mut command(SAZARE, ["try", &at("root"), flag, &format!("@{file}"), "--", "/x"]));
            let expected = format!("error: cannot read {file}: {words}\n");
            assert!(answer.code == 4 && answer.err.starts_with(&expected), "{flag}: {}", answer.text());
        }
    }
}

#[test]
fn a_temporary_directory_without_programs_is_named() {
    let Some(room) = Room::for_root() else { return };
    let script = "mount -t tmpfs -o noexec none \"$TMPDIR\" && exec \"$@\"";
    let answer = run(&mut room.dressed(&["unshare", "--mount", "sh", "-c", script, "sh"], &["--", "id"]));
    let words = "error: programs cannot be executed in the temporary directory, which is mounted noexec: ";
    assert!(answer.code == 5 && answer.err.starts_with(words), "{}", answer.text());
    assert!(
        answer.err.ends_with("hint: set TMPDIR to a directory in which programs can be executed\n"),
        "{}",
        answer.err
    );
}

#[test]
fn a_command_that_hangs_is_ended_with_its_children() {
    let Some(room) = Room::new() else { return };
    for method in methods() {
        let mark = format!("98{}{}", std::process::id(), method.len());
        let script = format!("setsid sleep {mark} & sleep {mark}1 & (sleep {mark}2 &) ; sleep {mark}3");
        // Beside the tree a shell finds no other applet: there one process is enough.
        let words: Vec<&str> = if method == "loader" { vec!["sleep", &mark] } else { vec!["sh", "-c", &script] };
        let start = Instant::now();
        let answer = room.run(&[["--method", method, "--timeout", "300ms", "--"].as_slice(), &words].concat());
        let message = "error: the command exceeded its time limit and was killed, with all its processes\n";
        assert_eq!((answer.code, answer.err.as_str()), (1, message), "{method}");
        assert!(start.elapsed() < Duration::from_secs(60), "{method}");
        assert!(!alive(&format!("sleep {mark}")), "{method}: something is still running");
        // A command that ends by itself takes what it left in the background along.
        if method != "loader" {
            let answer = room.run(&["--method", method, "--", "sh", "-c", &format!("setsid sleep {mark}9 & exit 0")]);
            assert_eq!(answer.code, 0, "{method}: {}", answer.text());
            assert!(!alive(&format!("sleep {mark}9")), "{method}: something is still running");
        }
        room.assert_clean();
    }
}

#[test]
fn after_kill_9_the_command_is_gone_and_the_next_run_cleans_up() {
    let Some(room) = Room::for_root() else { return };
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    for (method, before) in [("namespace", [].as_slice()), ("chroot", &[]), ("loader", &[]), ("namespace", &nobody)] {
        let mark = format!("97{}{}{}", std::process::id(), method.len(), before.len());
        let script = format!("setsid sleep {mark} & sleep {mark}");
        let words: Vec<&str> = if method == "loader" { vec!["sleep", &mark] } else { vec!["sh", "-c", &script] };
        let flags = [["--method", method, "--"].as_slice(), &words].concat();
        let mut sazare = room.dressed(before, &flags).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        wait_until("it runs", || alive(&format!("^.*sleep {mark}$")));
        must(&mut command("kill", ["-9", &sazare.id().to_string()]));
        sazare.wait().unwrap();
        wait_until("it is gone", || !alive(&format!("sleep {mark}")));
        assert_eq!(fs::read_dir(room.at("tmp")).unwrap().count(), 1, "{method}: the copy of the killed run");
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
        answer.err.starts_with("error: there is nothing to run: the place has no command\nhint: "),
        "{}",
        answer.err
    );
}

#[test]
fn programs_of_another_architecture_run_with_each_method_under_an_emulator() {
    if missing(&["qemu-aarch64-static", "namespaces", "root"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("hello.tar");
    must(command(SAZARE, ["build", "-q", "--example", "-o"]).arg(&image));
    for method in METHODS {
        let mut command = command(SAZARE, ["try", "--platform", "linux/arm64", "--method", method]);
        let answer = run(command.arg(&image));
        assert_eq!(answer.code, 0, "{method}: {}", answer.text());
        assert!(answer.out.starts_with("Hello from sazare on linux/arm64.\n"), "{method}: {}", answer.out);
        assert!(answer.err.contains("an emulator was used instead"), "{method}: {}", answer.err);
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
fn doctor_says_what_is_allowed_by_doing_it() {
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
        let methods = report["methods"].as_array().unwrap().clone();
        methods
            .iter()
            .map(|row| {
                format!("{} {} {}", row["platform"].as_str().unwrap(), row["method"].as_str().unwrap(), row["allowed"])
            })
            .collect::<Vec<_>>()
    };
    let expected = |platform: &str, allowed: [bool; 3]| {
        METHODS
            .iter()
            .zip(allowed)
            .map(|(method, allowed)| format!("{platform} {method} {allowed}"))
            .collect::<Vec<_>>()
    };
    for (refused, allowed) in
        [("bpf", [true, true, true]), ("unshare", [false, true, true]), ("chroot", [true, false, true])]
    {
        // Debian's qemu-user-static runs the smallest program of every architecture.
        let all = Platform::verified().map(|platform| expected(&platform.to_string(), allowed)).concat();
        assert_eq!(doctor(refused), all, "{refused}");
    }
    for (refused, allowed) in [("bpf", true), ("ptrace", false)] {
        let needs = report(refused)["needs"].clone();
        let trace = needs.as_array().unwrap().iter().find(|need| need["verbs"] == "bundle --trace").unwrap();
        assert_eq!(trace["allowed"], allowed, "{refused}: {trace}");
    }
}
