//! Compares the findings of the verifier with the recorded results, and writes the trees for the recording.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::link::Verification;
use crate::report::Severity;
use crate::tree::{Content, InodeId, Kind, Tree};

use super::case::Case;

/// The recorded result of a program that reached its own code.
const STARTS: &str = "starts";

/// The recorded results, by the name of the case and by the kernel or loader (`linux`, `musl 1.2.3`).
type Truths = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn recorded(group: &str) -> Truths {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/rules/{group}.txt"));
    let text = fs::read_to_string(&path).unwrap_or_default();
    let mut truths = Truths::new();
    let mut name = "";
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("    ") {
            None => name = line,
            Some(seen) => {
                let (who, words) = seen.split_once(": ").unwrap();
                let seen = truths.entry(name.into()).or_default().entry(who.into()).or_default();
                seen.insert(words.to_string());
            }
        }
    }
    truths
}

fn judge(case: &Case) -> Verification {
    case.sample.verified_image(&case.settings)
}

/// The messages of all errors. Those of execve(2) have no path, because it differs if a script is followed.
fn predicted(judgement: &Verification) -> BTreeSet<String> {
    let errors = || judgement.report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let mut words: BTreeSet<String> = errors().filter_map(|finding| finding.run_time.as_deref()).map(plain).collect();
    if words.is_empty() {
        words = errors().map(|finding| finding.code.to_string()).collect();
    }
    if words.is_empty() {
        words.insert(STARTS.into());
    }
    words
}

/// Removes the path from `exec /app: permission denied`, and from runc's `exec: "/app": permission denied: unknown (exit code 126)`.
fn plain(words: &str) -> String {
    let own = words.strip_prefix("exec: ").and_then(|rest| rest.split_once(": unknown")).map(|(words, _)| words);
    let errno = own.or(words.strip_prefix("exec ")).and_then(|rest| rest.rsplit_once(": "));
    errno.map_or_else(|| words.to_string(), |(_, errno)| format!("exec: {errno}"))
}

/// Whether a predicted line is among the recorded ones. If a program is killed and prints nothing, the signal may differ.
fn is_seen(ours: &str, seen: &BTreeSet<String>) -> bool {
    seen.contains(ours)
        || (ours.starts_with("nothing is printed: SIG")
            && seen.iter().any(|line| line.strip_prefix("killed: ").is_some_and(|signal| ours.contains(signal))))
}

fn compare(group: &str, decided_by: &[(&str, Vec<Case>)]) {
    #[expect(clippy::disallowed_methods, reason = "a test is told by the environment whether it records")]
    if let Some(folder) = std::env::var_os("SAZARE_RULES") {
        for (who, cases) in decided_by {
            for (number, case) in cases.iter().enumerate() {
                write(&PathBuf::from(&folder).join(format!("{group}/{who}/{number:03}")), case);
            }
        }
        return;
    }
    let truths = recorded(group);
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for (who, cases) in decided_by {
        for case in cases {
            names.insert(case.name.to_string());
            let Some(seen) = truths.get(case.name).and_then(|truth| truth.get(*who)) else {
                faults.push(format!("{}: nothing is recorded of {who}", case.name));
                continue;
            };
            let judgement = judge(case);
            let ours = predicted(&judgement);
            let right = match case.stricter {
                Some(_) => seen.contains(STARTS) && !ours.contains(STARTS),
                None => ours.iter().all(|line| is_seen(line, seen)),
            };
            if !right {
                let codes: Vec<&str> = judgement.report.findings.iter().map(|finding| finding.code.0).collect();
                faults.push(format!("{}\n  {who}: {seen:?}\n  ours: {ours:?} {codes:?}", case.name));
            }
        }
    }
    faults.extend(truths.keys().filter(|name| !names.contains(*name)).map(|name| format!("{name}: no case any more")));
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), names.len(), faults.join("\n"));
}

/// Writes one tree as `root/`, and how it is started as `start.json`.
fn write(folder: &Path, case: &Case) {
    let root = folder.join("root");
    fs::create_dir_all(&root).unwrap();
    write_directory(&case.sample.tree, *case.sample.tree.root(), &root, &mut BTreeMap::new());
    let settings = &case.settings;
    let start = serde_json::json!({
        "name": case.name,
        "path": settings.entrypoint[0],
        "cwd": if settings.workdir.is_empty() { "/" } else { &settings.workdir },
        "user": settings.user,
        "env": settings.env,
        "real": case.real,
    });
    fs::write(folder.join("start.json"), start.to_string()).unwrap();
}

fn write_directory(tree: &Tree, id: InodeId, to: &Path, written: &mut BTreeMap<InodeId, PathBuf>) {
    let Kind::Directory(entries) = &tree.inode(id).kind else { return };
    for (name, id) in entries {
        let to = to.join(std::str::from_utf8(name.as_bytes()).unwrap());
        let inode = tree.inode(id);
        if let Some(other) = written.get(&id) {
            fs::hard_link(other, &to).unwrap();
            continue;
        }
        match &inode.kind {
            Kind::Directory(_) => {
                fs::create_dir(&to).unwrap();
                write_directory(tree, id, &to, written);
                fs::set_permissions(&to, fs::Permissions::from_mode(inode.meta.mode.bits())).unwrap();
            }
            Kind::File(Content::Bytes(bytes)) => {
                fs::write(&to, bytes).unwrap();
                written.insert(id, to.clone());
                fs::set_permissions(&to, fs::Permissions::from_mode(inode.meta.mode.bits())).unwrap();
            }
            Kind::Symlink(target) => symlink(std::str::from_utf8(target).unwrap(), &to).unwrap(),
            other => panic!("no case has {other:?}"),
        }
    }
}

#[test]
fn the_kernel_decides_as_it_is_recorded() {
    compare("kernel", &[("linux", super::kernel::cases())]);
}

#[test]
fn scripts_are_run_as_it_is_recorded() {
    compare("script", &[("linux", super::script::cases())]);
}

#[test]
fn musl_decides_as_it_is_recorded() {
    compare("musl", &[("musl 1.2.3", super::musl::cases(false)), ("musl 1.2.5", super::musl::cases(true))]);
}

#[test]
fn glibc_decides_as_it_is_recorded() {
    compare("glibc", &[("glibc 2.36", super::glibc::cases(36)), ("glibc 2.41", super::glibc::cases(41))]);
}
