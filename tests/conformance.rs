//! The loader models against the real loaders: for every program of a root, the map from needed name to path, what is
//! missing, and the set of unresolved symbols must be equal.
//!
//! In the normal run the root is this machine, when it is a Debian-like amd64 system with glibc: a few dozen of its
//! programs are traced by its own loader. The whole comparison runs on roots made by `tests/conformance/roots.sh`:
//!
//! ```text
//! SAZARE_ROOTS=FOLDER cargo test --test conformance -- --ignored --nocapture
//! ```
//!
//! It enters each root by chroot(2), so it needs to be root; arm64 roots are run by `qemu-aarch64-static`.
//!
//! Known exceptions, all of them limits of the oracle and told by name when they occur: set-user-id and set-group-id
//! programs, which glibc refuses to trace (2.36) or runs instead of tracing (2.41).

#![expect(clippy::disallowed_macros, reason = "a test says what it skipped and how much it compared")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sazare::codec::dir::{ScanOptions, scan};
use sazare::link::Closures;
use sazare::path::ImagePath;
use sazare::platform::{Arch, Platform};
use sazare::tree::{Kind, Tree};

/// What a loader makes of one program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Trace {
    /// Needed name to path; without the loader itself, which each loader prints in its own way.
    found: BTreeMap<String, String>,
    missing: BTreeSet<String>,
    unresolved: BTreeSet<(String, String)>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_loader(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|base| base.starts_with("ld-"))
}

/// What we say; `None` when it is no program that starts.
fn ours(closures: &Closures<'_>, program: &ImagePath) -> Option<Trace> {
    let closure = closures.of(program)?;
    let loader = closure.loader?.to_string();
    Some(Trace {
        found: closure
            .libraries
            .iter()
            .map(|(name, path)| (text(name), text(path)))
            .filter(|(name, path)| !is_loader(name) && !is_loader(path) && *path != loader)
            .collect(),
        missing: closure.missing.iter().map(|(name, _)| text(name)).collect(),
        unresolved: closure.unresolved.iter().map(|(file, name)| (text(file), text(name))).collect(),
    })
}

/// What glibc's loader says (`ldd -r`): `None` when it does not trace the program.
fn glibc(root: &Path, emulator: Option<&str>, program: &str) -> Option<Trace> {
    let variables = ["LD_TRACE_LOADED_OBJECTS=1", "LD_WARN=yes", "LD_BIND_NOW=1"];
    let mut command = enter(root);
    match emulator {
        Some(emulator) => {
            command.arg(emulator);
            for variable in variables {
                command.args(["-E", variable]);
            }
            command.arg(program);
        }
        // The variables must not reach the program that enters the root.
        None => {
            command.args(["/usr/bin/env"]).args(variables).arg(program);
        }
    }
    let lines = output(&mut command);
    let mut trace = Trace::default();
    for line in lines.lines() {
        if let Some((name, path)) = line.trim().split_once(" => ") {
            match path.split_once(" (0x") {
                Some((path, _)) if !is_loader(name) => trace.found.insert(name.into(), path.into()),
                None if path == "not found" => {
                    trace.missing.insert(name.into());
                    None
                }
                Some(_) | None => None,
            };
        } else if let Some(rest) = line.strip_prefix("undefined symbol: ") {
            if let Some((name, file)) = rest.split_once('\t') {
                let name = name.split(',').next().unwrap_or(name);
                trace.unresolved.insert((file.trim_matches(['(', ')']).into(), name.into()));
            }
        } else if let Some(rest) = line.strip_prefix("symbol ")
            && let (Some((name, _)), Some((_, file))) = (rest.split_once(", version"), rest.split_once("reference\t("))
        {
            trace.unresolved.insert((file.trim_end_matches(')').into(), name.into()));
        }
    }
    lines.contains(" (0x").then_some(trace)
}

/// What musl's loader says (`ldd`).
fn musl(root: &Path, emulator: Option<&str>, arch: Arch, program: &str) -> Trace {
    let loader = arch.facts().musl_loader;
    let lines = output(enter(root).args(emulator).args([loader, "--list", program]));
    let mut trace = Trace::default();
    for line in lines.lines() {
        if let Some(rest) = line.strip_prefix("Error loading shared library ") {
            trace.missing.insert(rest.split(": ").next().unwrap_or(rest).into());
        } else if let Some(rest) = line.strip_prefix("Error relocating ") {
            let mut parts = rest.split(": ");
            if let (Some(file), Some(name), Some("symbol not found")) = (parts.next(), parts.next(), parts.next()) {
                trace.unresolved.insert((file.into(), name.into()));
            }
        } else if let Some((name, path)) = line.trim().split_once(" => ")
            && let Some((path, _)) = path.split_once(" (0x")
            && !is_loader(path)
        {
            trace.found.insert(name.into(), path.into());
        }
    }
    trace
}

fn enter(root: &Path) -> Command {
    if root == Path::new("/") {
        return Command::new("/usr/bin/env");
    }
    let mut command = Command::new("chroot");
    command.arg(root);
    command
}

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    text(&output.stdout) + &text(&output.stderr)
}

/// The ELF programs of a tree that are dynamic, each by its first name, without set-id ones.
fn programs(tree: &Tree) -> (Vec<ImagePath>, usize) {
    let mut seen = BTreeSet::new();
    let (mut programs, mut set_id) = (Vec::new(), 0);
    for entry in tree.walk() {
        let Kind::File(content) = &entry.inode.kind else { continue };
        if !entry.inode.meta.mode.any_execute() || content.head(4).unwrap() != b"\x7fELF" || !seen.insert(entry.id) {
            continue;
        }
        if entry.inode.meta.mode.bits() & 0o6000 != 0 {
            set_id += 1;
        } else {
            programs.push(entry.path);
        }
    }
    (programs, set_id)
}

/// How many programs were compared.
fn compare(tree: &Tree, arch: Arch, most: usize, oracle: impl Fn(&str) -> Option<Trace>) -> usize {
    let closures = Closures::new(tree, &Platform::new(arch));
    let mut compared = 0;
    for program in programs(tree).0 {
        let Some(ours) = ours(&closures, &program) else { continue };
        let Some(theirs) = oracle(&program.to_string()) else { continue };
        assert_eq!(ours, theirs, "{program}: left is what we say, right the loader");
        compared += 1;
        if compared == most {
            break;
        }
    }
    compared
}

#[test]
fn the_programs_of_this_machine_are_loaded_as_its_loader_loads_them() {
    if !Path::new("/lib64/ld-linux-x86-64.so.2").exists() || !Path::new("/etc/debian_version").exists() {
        println!("skipped: this machine is no Debian of amd64");
        return;
    }
    // The directories that its loader could look into, and a few dozen programs; nothing else of the machine is read.
    let skip = |path: &ImagePath, directory: bool| {
        let path = path.to_string();
        let within = |folder: &str| path == folder || path.starts_with(&format!("{folder}/"));
        let libraries = ["/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"];
        let library = libraries.into_iter().any(within);
        let wanted = ["/usr", "/usr/lib", "/lib", "/lib64", "/bin", "/usr/bin", "/etc", "/etc/ld.so.cache"];
        let program = path.starts_with("/usr/bin/") || path.starts_with("/bin/");
        !(wanted.contains(&path.as_str()) || program || (library && (directory || path.contains(".so"))))
    };
    let scanned = scan(Path::new("/"), &ScanOptions { xattrs: false, skip: &skip }).unwrap();
    let compared = compare(&scanned.tree, Arch::Amd64, 40, |program| glibc(Path::new("/"), None, program));
    assert!(compared >= 10, "only {compared} programs could be compared");
}

#[test]
#[ignore = "needs the roots of tests/conformance/roots.sh, and to be root"]
fn every_program_of_the_roots_is_loaded_as_the_real_loaders_load_it() {
    #[expect(clippy::disallowed_methods, reason = "where the roots are is the caller's to say")]
    let folder = PathBuf::from(std::env::var_os("SAZARE_ROOTS").expect("SAZARE_ROOTS names the folder with the roots"));
    for (name, arch, most) in [
        ("glibc-bookworm-amd64", Arch::Amd64, 300),
        ("glibc-trixie-amd64", Arch::Amd64, 250),
        ("glibc-bookworm-arm64", Arch::Arm64, 300),
        ("glibc-trixie-arm64", Arch::Arm64, 250),
        ("musl-bookworm-amd64", Arch::Amd64, 60),
        ("musl-trixie-amd64", Arch::Amd64, 60),
    ] {
        let root = folder.join(name);
        let emulator = (arch == Arch::Arm64).then_some("/usr/bin/qemu-aarch64-static");
        if let Some(emulator) = emulator {
            let inside = root.join("usr/bin/qemu-aarch64-static");
            std::fs::copy(emulator, &inside).expect("qemu-aarch64-static of Debian's qemu-user-static");
            std::fs::set_permissions(&inside, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let scanned = scan(&root, &ScanOptions { xattrs: false, skip: &|_, _| false }).unwrap();
        let compared = compare(&scanned.tree, arch, usize::MAX, |program| {
            if name.starts_with("musl") {
                Some(musl(&root, emulator, arch, program))
            } else {
                glibc(&root, emulator, program)
            }
        });
        println!("{name}: {compared} programs equal, {} set-id programs left out", programs(&scanned.tree).1);
        assert!(compared >= most, "{name}: only {compared} programs could be compared");
    }
}
