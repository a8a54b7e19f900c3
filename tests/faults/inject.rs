//! Calls that fail, and what must hold afterwards.

use std::collections::BTreeMap;
use std::fs;

use crate::outside::{Answer, SAZARE, command, run};
use crate::scene::{Scene, Snapshot, Stage};

/// Calls of one kind, and how they fail.
struct Fault {
    calls: &'static [&'static str],
    errors: &'static [&'static str],
}

/// What fails. An error of `strace` as `error=…`, or an answer as `retval=…`: 0 is a file that ends too early.
const FAULTS: &[Fault] = &[
    Fault {
        calls: &["write", "pwrite64", "copy_file_range"],
        errors: &["error=ENOSPC", "error=EIO", "error=EDQUOT", "error=EINTR"],
    },
    Fault { calls: &["ftruncate", "fsync", "fdatasync", "syncfs"], errors: &["error=EIO", "error=ENOSPC"] },
    Fault {
        calls: &["rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat", "symlink", "symlinkat"],
        errors: &["error=EIO", "error=ENOSPC", "error=EDQUOT"],
    },
    Fault {
        calls: &["unlink", "unlinkat", "rmdir", "fchmod", "fchmodat", "fchownat", "utimensat"],
        errors: &["error=EIO"],
    },
    Fault { calls: &["read", "pread64"], errors: &["error=EIO", "error=EINTR", "error=ESTALE", "retval=0"] },
    Fault {
        calls: &["open", "openat", "openat2"],
        errors: &["error=EMFILE", "error=EIO", "error=ENOMEM", "error=EINTR"],
    },
    Fault { calls: &["statx", "newfstatat", "fstat"], errors: &["error=EIO", "error=ESTALE", "error=ENOMEM"] },
    Fault {
        calls: &["getdents64", "readlink", "readlinkat", "llistxattr", "lgetxattr", "flistxattr", "fstatfs", "lseek"],
        errors: &["error=EIO"],
    },
    Fault { calls: &["flock"], errors: &["error=EINTR", "error=ENOLCK", "error=EIO"] },
    Fault { calls: &["clone3", "clone"], errors: &["error=EAGAIN"] },
    Fault { calls: &["close"], errors: &["error=EIO"] },
];

/// What a healthy run does.
struct Healthy {
    before: Snapshot,
    after: Snapshot,
    out: String,
    /// How often the busiest thread makes each call.
    counts: BTreeMap<String, usize>,
}

/// What came out.
#[derive(Default)]
pub struct Tally {
    /// For each call: how many runs ended with which exit code.
    codes: BTreeMap<(String, i32), usize>,
    /// How many runs were not met by the fault.
    missed: usize,
    /// What should not have been, a line each.
    pub wrong: Vec<String>,
}

impl Tally {
    /// Prints a row for each call.
    #[expect(clippy::disallowed_macros, reason = "the figures are for whoever runs the whole of it")]
    pub fn print(&self, scene: &str) {
        let mut rows: BTreeMap<&str, BTreeMap<i32, usize>> = BTreeMap::new();
        for ((call, code), count) in &self.codes {
            *rows.entry(call).or_default().entry(*code).or_default() += count;
        }
        for (call, codes) in rows {
            let codes: Vec<String> = codes.iter().map(|(code, count)| format!("{code}: {count}")).collect();
            println!("| {scene} | {call} | {} |", codes.join(", "));
        }
        println!("| {scene} | wrong | {} |", self.wrong.len());
    }
}

/// Makes calls of a scene fail: so many of each kind for each error, or all of them.
pub fn inject(stage: &Stage, scene: &Scene, sample: Option<usize>) -> Tally {
    let kept = stage.prepare(scene);
    let healthy = healthy(stage, scene);
    let mut tally = Tally::default();
    for fault in FAULTS {
        for call in fault.calls {
            let count = healthy.counts.get(*call).copied().unwrap_or_default();
            for (turn, error) in fault.errors.iter().enumerate() {
                for number in picks(count, sample, turn, fault.errors.len()) {
                    stage.restore(&kept);
                    let (answer, met) = fail(stage, scene, call, error, number);
                    if met.is_empty() {
                        tally.missed += 1;
                        continue;
                    }
                    *tally.codes.entry(((*call).to_string(), answer.code)).or_default() += 1;
                    let name = format!("{}: {call} {error} when={number}", scene.name);
                    let wrong = wrong(stage, scene, &healthy, &answer, &met, error);
                    tally
                        .wrong
                        .extend(wrong.into_iter().map(|wrong| format!("{name}: {wrong}\n    {}", met.join("\n    "))));
                }
            }
        }
    }
    tally
}

/// Which calls of so many are to fail.
fn picks(count: usize, sample: Option<usize>, turn: usize, turns: usize) -> Vec<usize> {
    let Some(sample) = sample.filter(|sample| *sample < count) else { return (1..=count).collect() };
    // Each error takes other calls, so that together they are spread over the run.
    (0..sample).map(|at| 1 + (at * turns + turn) * count / (sample * turns)).collect()
}

fn traced(stage: &Stage, scene: &Scene, options: &[&str]) -> (Answer, String) {
    let log = stage.path("log");
    let mut strace = command("strace", ["-f", "--seccomp-bpf", "-qqq", "-y", "-o"]);
    strace.arg(&log).args(options).arg(SAZARE).args(scene.run.split_whitespace());
    strace.current_dir(stage.folder()).env("TMPDIR", stage.path("w/tmp")).env("RUST_BACKTRACE", "0");
    let answer = run(&mut strace);
    (answer, fs::read(&log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default())
}

fn healthy(stage: &Stage, scene: &Scene) -> Healthy {
    let before = stage.snapshot();
    let calls: Vec<&str> = FAULTS.iter().flat_map(|fault| fault.calls).copied().collect();
    let (answer, log) = traced(stage, scene, &["-e", &format!("trace={}", calls.join(","))]);
    assert_eq!(answer.code, scene.code, "{}: {}", scene.name, answer.text());
    let mut threads: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        *threads.entry((thread, call)).or_default() += 1;
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for ((_, call), count) in threads {
        let most = counts.entry(call.to_string()).or_default();
        *most = count.max(*most);
    }
    Healthy { before, after: stage.snapshot(), out: answer.out, counts }
}

/// Runs the scene while a call fails; the lines of the calls that did.
fn fail(stage: &Stage, scene: &Scene, call: &str, error: &str, number: usize) -> (Answer, Vec<String>) {
    let inject = format!("inject={call}:{error}:when={number}");
    let (answer, log) = traced(stage, scene, &["-e", &format!("trace={call}"), "-e", &inject]);
    let met = log.lines().filter(|line| line.ends_with("(INJECTED)")).map(str::to_owned).collect();
    (answer, met)
}

/// Everything that should not be after a run in which a call failed.
fn wrong(stage: &Stage, scene: &Scene, healthy: &Healthy, answer: &Answer, met: &[String], error: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if answer.code == 127 && answer.err.contains("error while loading shared libraries") {
        return wrong; // The fault met the loader of sazare itself, before a line of it ran.
    }
    let text = answer.text();
    if !codes(scene, met, error).contains(&answer.code) {
        wrong.push(format!("exit code {}: {}", answer.code, text.trim_end()));
    }
    if text.contains("(os error") || text.contains("panicked") {
        wrong.push(format!("words that no user should see: {}", text.trim_end()));
    }
    let after = stage.snapshot();
    if answer.code == scene.code {
        if answer.out != healthy.out {
            wrong.push(format!("another answer:\n{}\n{}", healthy.out, answer.out));
        }
        let differs = difference(&healthy.after, &after);
        // A folder that could not be removed is left for the next run.
        let left = |name: &String| name.contains("/.sazare-");
        wrong.extend(
            differs
                .into_iter()
                .filter(|name| !left(name))
                .map(|name| format!("exit code 0, and another output: {name}")),
        );
    } else {
        for (path, old) in &healthy.before {
            let now = after.get(path);
            let replaced = now.is_some() && now == healthy.after.get(path);
            if now != Some(old) && !replaced {
                wrong.push(format!("not whole: {}", path.display()));
            }
        }
        for (path, now) in &after {
            let hidden = path.to_string_lossy().contains("/.sazare-");
            let of_a_layout = path.components().any(|part| part.as_os_str() == "blobs");
            let expected = Some(now) == healthy.after.get(path) || Some(now) == healthy.before.get(path);
            if !hidden && !of_a_layout && !expected {
                wrong.push(format!("half written: {}", path.display()));
            }
        }
    }
    if after.keys().any(|path| !healthy.before.contains_key(path) && !healthy.after.contains_key(path))
        || !wrong.is_empty()
    {
        wrong.extend(next_run(stage, scene, healthy));
    }
    wrong
}

/// The exit codes that are documented for a call that failed there.
fn codes(scene: &Scene, met: &[String], error: &str) -> Vec<i32> {
    // What is written may name an input.
    let writes = |line: &&String| line.contains(" write(") || line.contains("pwrite64(");
    let input = met.iter().any(|line| !writes(&line) && line.contains("fx/"));
    let output = met.iter().any(|line| writes(&line) || line.contains("w/"));
    let mut codes = vec![scene.code];
    match error {
        // A call that was interrupted is made again, and a run works with the threads that it gets.
        "error=EINTR" | "error=EAGAIN" => {}
        // A recipe that ends too early is another recipe.
        "retval=0" if met.iter().any(|line| line.contains("recipe.toml")) => codes.extend([2, 3, 4]),
        _ if input && !output => codes.push(4),
        _ => codes.extend([4, 5]),
    }
    codes
}

/// The same command again, on a healthy machine.
fn next_run(stage: &Stage, scene: &Scene, healthy: &Healthy) -> Vec<String> {
    let mut next = command(SAZARE, scene.run.split_whitespace());
    next.current_dir(stage.folder()).env("TMPDIR", stage.path("w/tmp"));
    let mut answer = run(&mut next);
    if answer.code == 5 && scene.run.contains("rootfs:") {
        // Never over what is there: somebody has to take it away first.
        let _ = fs::remove_dir_all(stage.path("w/out/r"));
        answer = run(&mut next);
    }
    if answer.code != scene.code {
        return vec![format!("the next run ends with {}: {}", answer.code, answer.text().trim_end())];
    }
    let differs = difference(&healthy.after, &stage.snapshot());
    differs.into_iter().map(|name| format!("the next run leaves another thing: {name}")).collect()
}

/// Names that differ.
fn difference(right: &Snapshot, now: &Snapshot) -> Vec<String> {
    let names = right.keys().chain(now.keys().filter(|path| !right.contains_key(*path)));
    names.filter(|path| right.get(*path) != now.get(*path)).map(|path| path.display().to_string()).collect()
}
