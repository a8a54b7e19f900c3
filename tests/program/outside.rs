//! Runs `sazare` and other programs.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The result of a program.
#[derive(Debug)]
pub struct Answer {
    /// The exit code; −1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Answer {
    /// Both outputs, for programs that do not document which one they use.
    pub fn text(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// Runs a command to its end, with empty standard input.
pub fn run(command: &mut Command) -> Answer {
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What a program took until its end.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// The exit code; −1 if a signal ended it.
    pub code: i32,
    /// The most memory that it had at a time, in bytes.
    pub memory: u64,
    /// CPU time of all of its threads, in milliseconds.
    pub cpu: u64,
}

/// Runs a program to its end and measures it, with python3: what a child has used includes what its parent had at its start.
pub fn used(folder: &Path, program: &[&str]) -> Used {
    let script = "import os, sys\n\
                  null = os.open(os.devnull, os.O_RDWR)\n\
                  streams = [(os.POSIX_SPAWN_DUP2, null, number) for number in range(3)]\n\
                  child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=streams)\n\
                  _, status, used = os.wait4(child, 0)\n\
                  cpu = int((used.ru_utime + used.ru_stime) * 1000)\n\
                  print(os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024, cpu)\n";
    let text = must(command("/usr/bin/python3", ["-c", script]).args(program).current_dir(folder));
    let mut numbers = text.split_whitespace().map(|number| number.parse::<i64>().unwrap());
    let mut next = || numbers.next().unwrap();
    let (code, memory, cpu) = (next(), next(), next());
    Used { code: if code < 0 { -1 } else { code as i32 }, memory: memory as u64, cpu: cpu as u64 }
}

/// Runs a command that must exit with 0; returns its standard output.
pub fn must(command: &mut Command) -> String {
    let answer = run(command);
    assert_eq!(answer.code, 0, "{command:?} failed\n{}", answer.text());
    answer.out
}

/// A command with its arguments, and without the user's `SOURCE_DATE_EPOCH` and cache.
pub fn command<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_remove("SOURCE_DATE_EPOCH");
    command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command
}

/// Whether a program is missing, so that the test must return. Prints its name.
///
/// # Panics
/// With `CI=true`: there, a test that checks nothing must not look as if it had passed. What `SAZARE_TEST_WITHOUT` names
/// (separated by spaces) may be missing all the same: `.ci/run` runs the tests once more without root.
#[expect(clippy::disallowed_methods, reason = "a test may look at its surroundings")]
pub fn missing(judges: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |judge: &str| match judge {
        "root" => rustix::process::geteuid().is_root(),
        "namespaces" => run(&mut command("unshare", ["--user", "--map-root-user", "true"])).code == 0,
        file if file.starts_with('/') => Path::new(file).exists(),
        program => std::env::split_paths(&path).any(|folder| folder.join(program).is_file()),
    };
    let may_lack = std::env::var("SAZARE_TEST_WITHOUT").unwrap_or_default();
    let mut missing = judges.iter().filter(|judge| !there(judge)).peekable();
    let Some(judge) = missing.peek().copied() else { return false };
    let expected = missing.any(|judge| may_lack.split(' ').any(|lacking| lacking == *judge));
    assert!(
        expected || std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "no {judge}, and CI=true: install it (see tests/run)"
    );
    // Not with `eprintln!`: the test harness captures its output, and this must be visible.
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "{name} ... skipped: no {judge}");
    true
}

/// The root of the checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// How to start a program for an architecture (`amd64`, `arm64`) here: directly or with an emulator.
pub fn start(arch: &str, program: &Path) -> Command {
    let host = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    if arch == host { Command::new(program) } else { command(emulator(arch), [program]) }
}

/// The emulator that runs programs for an architecture on another one.
pub fn emulator(arch: &str) -> PathBuf {
    PathBuf::from(match arch {
        "amd64" => "qemu-x86_64-static",
        "arm64" => "qemu-aarch64-static",
        other => panic!("no emulator known for {other}"),
    })
}

/// Runs `sazare` with these arguments.
pub fn sazare<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Answer {
    run(&mut command(SAZARE, arguments))
}

/// The binary under test.
pub const SAZARE: &str = env!("CARGO_BIN_EXE_sazare");

/// Copies a program, to be run at its new path.
///
/// Another process copies it: if this process had the file open for writing, a child that another test starts at that
/// moment would have it open too, and the kernel does not execute a file that is open for writing.
pub fn install(program: impl AsRef<OsStr>, to: impl AsRef<OsStr>) {
    must(command("cp", [program.as_ref(), to.as_ref()]).args(["--preserve=mode"]));
}

/// Builds, which must succeed; returns the printed digest.
pub fn build<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    let out = must(command(SAZARE, ["build"]).args(arguments));
    let digest = out.trim_end().to_owned();
    assert!(digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64), "no digest on standard output: {out:?}");
    digest
}

/// Whether to record the expected texts anew (`SAZARE_RECORD=1`) instead of comparing them.
#[expect(clippy::disallowed_methods, reason = "a test may look at its surroundings")]
pub fn recording() -> bool {
    std::env::var_os("SAZARE_RECORD").is_some()
}
