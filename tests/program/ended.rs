//! How a run ends when somebody else wants it to: by a signal, or because nobody reads its output.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::killed::{files, slow};
use crate::outside::{SAZARE, checkout, command, missing, must, run};

/// How many signals each output gets.
const ROUNDS: u32 = 15;

/// A run that ends by signals, also where the tests were started with some of them ignored (`nohup`).
fn listening(args: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Command {
    let mut run = command("env", ["--default-signal=INT,TERM,HUP", SAZARE]);
    run.args(args);
    run
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long a build takes decides when the signal comes")]
fn sixty_signals_end_the_build_with_their_code_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("slow");
    slow(&recipe, 1 << 20);
    let (mut ended, mut number) = (0, 0);
    for place in ["oci:out/new/layout", "out/a.tar", "cpio:out/i-{arch}.cpio.gz", "rootfs:out/r-{arch}"] {
        let out = folder.path().join("out");
        let build = |out: &std::path::Path| {
            let _ = fs::remove_dir_all(out);
            fs::create_dir(out).unwrap();
            let mut build = listening(["build", "slow", "--no-cache", "--allow", "cmd-not-found", "-o", place]);
            build.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
            build
        };
        let started = std::time::Instant::now();
        assert!(build(&out).status().unwrap().success(), "{place}");
        let (mut window, whole) = (started.elapsed(), files(&out));
        for round in 0..ROUNDS {
            let signal = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP][number % 3];
            number += 1;
            let mut child = build(&out).spawn().unwrap();
            std::thread::sleep(window * (1 + round * 7 % ROUNDS) / ROUNDS);
            let _ = kill(Pid::from_raw(child.id() as i32), signal);
            let status = child.wait().unwrap();
            let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap();
            let name = format!("{place}: {signal} in round {round}");
            let left = files(&out);
            if code == 0 {
                assert_eq!(left, whole, "{name}");
                window = window * 9 / 10;
                continue;
            }
            ended += 1;
            assert_eq!(code, 128 + signal as i32, "{name}");
            // Nothing, or outputs that are whole: each platform has its own.
            let whole_ones: BTreeSet<String> = whole.iter().filter(|file| left.contains(*file)).cloned().collect();
            assert_eq!(left, whole_ones, "{name}");
            if place.starts_with("oci:") {
                assert!(left.is_empty() || left == whole, "{name}: half a layout");
            }
            if left.is_empty() {
                assert!(!out.join("new").exists(), "{name}: folders");
            }
        }
    }
    assert!(ended > 20, "only {ended} signals met a build");
}

/// Whether a process runs that has this word among its arguments.
fn runs(word: &str) -> bool {
    let list = run(command("ps", ["-e", "-ww", "-o", "stat=,args="]).env("COLUMNS", "1000")).out;
    list.lines().any(|line| !line.starts_with('Z') && line.split_whitespace().any(|argument| argument == word))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}");
}

/// The arguments of a run, in which a program gets this number as an argument.
type Line<'a> = &'a dyn Fn(&str) -> Vec<String>;

#[test]
fn signals_end_verbs_that_run_programs_with_all_that_they_started() {
    if missing(&["ps"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let root = ["bundle", "/bin/bash", "/usr/bin/sleep", "--no-cache", "-o", "rootfs:root"];
    must(command(SAZARE, root).current_dir(folder.path()));
    fs::write(at("upx"), "#!/bin/sh\nexec sleep \"$UPX_SLEEPS\"\n").unwrap();
    fs::set_permissions(at("upx"), PermissionsExt::from_mode(0o755)).unwrap();
    let hears_nothing = |number: &str| format!("trap '' INT TERM HUP; sleep {number} & sleep {number}; sleep {number}");
    let trial = |method: &'static str| {
        move |number: &str| {
            let words = ["try", "-q", "rootfs:root", "--method", method, "--", "/bin/bash", "-c"];
            words.into_iter().map(str::to_string).chain([hears_nothing(number)]).collect::<Vec<_>>()
        }
    };
    let bundle = |flags: &'static [&'static str]| {
        move |number: &str| {
            let words = ["bundle", "/usr/bin/sleep", "--no-cache", "-q", "-o", "out.tar"].iter().chain(flags);
            words.map(|word| word.replace("NUMBER", number)).collect::<Vec<_>>()
        }
    };
    let root = rustix::process::geteuid().is_root();
    let verbs: [(&str, Line<'_>); 6] = [
        ("namespace", &trial("namespace")),
        ("chroot", &trial("chroot")),
        ("loader", &trial("loader")),
        ("trace", &bundle(&["--trace", "--trace-arg", "NUMBER"])),
        ("test", &bundle(&["--test", "--test-command", "/usr/bin/sleep NUMBER", "--trust"])),
        ("compress", &bundle(&["--compress", "--upx", "./upx"])),
    ];
    let mut number = u64::from(std::process::id()) * 1_000_000;
    for (verb, line) in verbs {
        if (verb == "chroot" && !root) || (verb == "namespace" && missing(&["namespaces"])) {
            continue;
        }
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            number += 1;
            let word = number.to_string();
            let _ = fs::remove_dir_all(at("tmp"));
            fs::create_dir(at("tmp")).unwrap();
            let mut child = listening(line(&word))
                .current_dir(folder.path())
                .env("TMPDIR", at("tmp"))
                .env("UPX_SLEEPS", &word)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            wait_until(&format!("{verb}: the program does not start"), || {
                runs(&word) && run(command("ps", ["-C", "sleep", "-o", "args="]).arg("-ww")).out.contains(&word)
            });
            kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
            let status = child.wait().unwrap();
            let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap();
            assert_eq!(code, 128 + signal as i32, "{verb}: {signal}");
            // Nothing of a traced program is left either; the kernel ends it with its tracer, a moment later.
            let at_once = verb != "trace" && runs(&word);
            assert!(!at_once, "{verb}: {signal}: a program still runs");
            wait_until(&format!("{verb}: {signal}: a program still runs"), || !runs(&word));
            assert_eq!(at("tmp").read_dir().unwrap().count(), 0, "{verb}: {signal}: a private directory");
            let left = files(folder.path());
            assert!(
                left.iter().all(|file| file.starts_with("./root/") || file == "./upx"),
                "{verb}: {signal}: {left:?}"
            );
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes decides when the signal comes")]
fn signals_end_doctor_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let doctor = || {
        let mut doctor = listening(["doctor"]);
        doctor.env("TMPDIR", folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        doctor
    };
    let started = std::time::Instant::now();
    must(doctor().stdout(Stdio::piped()));
    let (mut window, mut ended) = (started.elapsed(), 0);
    for round in 0..60_u32 {
        if ended == 12 {
            return;
        }
        let signal = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP][round as usize % 3];
        let mut child = doctor().spawn().unwrap();
        std::thread::sleep(window * (1 + round % 15) / 17);
        let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
        let status = child.wait().unwrap();
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap();
        assert!(code == 0 || code == 128 + signal as i32, "{signal}: {code}");
        // How long it takes depends on the load of the machine.
        match code {
            0 => window = window * 9 / 10,
            _ => ended += 1,
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{signal} in round {round}");
    }
    panic!("only {ended} signals met it");
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    slow(&folder.path().join("slow"), 1 << 20);
    let script = "trap '' HUP; \"$0\" build slow -o a.tar --no-cache -q & build=$!; \
                  while kill -HUP $build 2>/dev/null; do sleep 0.02; done; wait $build";
    let answer = run(command("sh", ["-c", script, SAZARE]).current_dir(folder.path()));
    assert_eq!(answer.code, 0, "{}", answer.text());
    assert!(folder.path().join("a.tar").exists());
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let hello = checkout().join("images/hello");
    let hello = hello.to_str().unwrap();
    let sazare = |line: &str| {
        let line = line.replace("HELLO", hello);
        let answer = run(command("bash", ["-c", &format!("\"$0\" {line}"), SAZARE]).current_dir(folder.path()));
        (answer.code, answer.err)
    };
    assert_eq!(sazare("build HELLO -o a.tar --no-cache -q >/dev/null").0, 0);
    let formats = ["human", "json", "sarif"].map(|format| format!("verify a.tar --format {format}"));
    let lines = [
        "build HELLO -o - --no-cache -q",
        "inspect a.tar",
        "inspect a.tar --format json",
        "--help",
        "build -h",
        "--version",
    ];
    for line in lines.into_iter().map(str::to_string).chain(formats) {
        for (redirection, words) in [
            (">&-", "Bad file descriptor"),
            ("1</dev/null", "Bad file descriptor"),
            (">/dev/full", "No space left on device"),
        ] {
            let (code, err) = sazare(&format!("{line} {redirection}"));
            assert_eq!(code, 5, "{line} {redirection}: {err}");
            assert!(err.contains(&format!("cannot write standard output: {words}\n")), "{line} {redirection}: {err}");
        }
        // Nobody reads the pipe any more, for sure.
        let (code, err) =
            sazare(&format!("--version >/dev/null; mkfifo -m 600 p-$$; exec 3<>p-$$ 4>p-$$ 3<&-; \"$0\" {line} >&4"));
        assert_eq!(code, 141, "{line}: {err}");
        assert!(!err.contains("error"), "{line}: {err}");
    }
    assert_eq!(sazare("--version >/dev/null").0, 0);
}

/// No process and no thread can be started: what this user runs already is more than the limit.
#[test]
fn a_user_who_may_start_no_thread_gets_the_same_image() {
    if missing(&["setpriv"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [(Path::new(SAZARE), "sazare"), (&checkout().join("images/hello"), "hello")] {
        must(command("cp", ["-r"]).arg(from).arg(folder.path().join(to)));
    }
    must(command("chmod", ["-R", "a+rwX"]).arg(folder.path()));
    fs::write(folder.path().join("hello/amd64/large"), crate::determinism::noise(3 << 20)).unwrap();
    let build =
        "cd \"$0\" && ulimit -u 1 && exec ./sazare build hello/amd64 --platform linux/amd64 --no-cache -q -j4 $1";
    must(command("cp", ["bin/hello", "init"]).current_dir(folder.path().join("hello/amd64")));
    let flags = "--entrypoint /bin/hello -o";
    let limited = |output: &str| {
        let line =
            ["bash", "-c", build, folder.path().to_str().unwrap(), &format!("{flags} {output}")].map(str::to_owned);
        match rustix::process::geteuid().is_root() {
            // Root has no such limit.
            true => {
                let other = ["--reuid", "12345", "--regid", "12345", "--clear-groups"].map(str::to_owned);
                run(command("setpriv", other.into_iter().chain(line)).env("TMPDIR", folder.path()))
            }
            false => run(&mut command(&line[0], &line[1..])),
        }
    };
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    for output in ["a.tar", "a.tar --compression zstd", "cpio:a.cpio.gz", "cpio:a.cpio.xz"] {
        let answer = limited(output);
        assert_eq!(answer.code, 0, "{output}: {}", answer.text());
        let name = output.trim_start_matches("cpio:").split(' ').next().unwrap();
        let bytes = read(name);
        let line = format!("build hello/amd64 --platform linux/amd64 --no-cache -q {flags} {output}");
        must(command(SAZARE, line.split_whitespace()).current_dir(folder.path()));
        assert!(bytes == read(name), "{output}: other bytes");
    }
    // The one thing that needs a thread: without a worker libzstd makes other bytes.
    let answer = limited("cpio:a.cpio.zst");
    let words = "error: cannot write a.cpio.zst: libzstd cannot get memory or start a thread\n";
    assert!(answer.code == 5 && answer.err.ends_with(words), "{}", answer.text());
}
