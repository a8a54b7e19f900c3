//! Compares sazare's loader models with the real loaders: for every program of a root, the map from needed name to path,
//! the missing libraries and the unresolved symbols must be equal.
//!
//! `tests/program/roots` makes the roots: Debian's minbase of two releases, and two versions of musl with builds from PyPI
//! and npm, each for both architectures. The test enters them with chroot(2), which needs root; QEMU runs programs for the
//! other architecture. If that is not possible, this machine's own programs are compared.
//!
//! No program is left out: setuid and setgid programs, which a loader does not trace, are traced on a mount that ignores
//! these bits.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use sazare::codec::dir::{ScanOptions, scan};
use sazare::link::{Closures, Policy, Purpose, StartVerdict, Subject, Verification, verify};
use sazare::path::ImagePath;
use sazare::platform::{Abi, Arch, Platform};
use sazare::report::Severity;
use sazare::tree::{Kind, Metadata, Mode, Tree};

use crate::outside::{Answer, checkout, command, install, missing, run};
use crate::refusal::musl_busybox;

/// The correct findings in a minbase that was unpacked and not configured: code, path, reason.
pub const FINDINGS: [(&str, &str, &str); 1] = [(
    "script-interp-missing",
    "/usr/share/doc/mawk/examples/decl.awk",
    "the link /usr/bin/awk is made by mawk's postinst",
)];

/// What a loader reports for one program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Needed name to path; without the loader itself, which each loader prints in its own way.
    pub found: BTreeMap<String, String>,
    pub missing: BTreeSet<String>,
    pub unresolved: BTreeSet<(String, String)>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_loader(name: &str) -> bool {
    let starts = ["ld-", "ld64.so.", "ld.so."];
    name.rsplit('/').next().is_some_and(|base| starts.iter().any(|start| base.starts_with(start)))
}

/// What sazare reports; `None` if it is not a program that starts.
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

/// What glibc's loader reports (`ldd -r`).
pub fn glibc(root: &Root, program: &str) -> Trace {
    let variables = ["LD_TRACE_LOADED_OBJECTS=1", "LD_WARN=yes", "LD_BIND_NOW=1"];
    let mut command = root.enter(program);
    match &root.emulator {
        Some(emulator) => {
            command.arg(emulator);
            for variable in variables {
                command.args(["-E", variable]);
            }
            command.arg(program);
        }
        // The variables must not reach the program that enters the root.
        None => {
            command.arg("/usr/bin/env").args(variables).arg(program);
        }
    }
    let lines = run(&mut command).text();
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
    trace
}

/// What musl's loader reports (`ldd`).
pub fn musl(root: &Root, program: &str) -> Trace {
    let lines = run(root.enter(program).args(&root.emulator).args([root.abi.musl_loader, "--list", program])).text();
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

/// The ELF programs of a tree, each by its first name.
fn programs(tree: &Tree) -> Vec<ImagePath> {
    let mut seen = BTreeSet::new();
    let mut programs = Vec::new();
    for entry in tree.walk() {
        let Kind::File(content) = &entry.inode.kind else { continue };
        let executable = entry.inode.meta.mode.any_execute();
        if executable && content.head(4).unwrap() == b"\x7fELF" && seen.insert(entry.id) {
            programs.push(entry.path);
        }
    }
    programs
}

/// Files that a root has for the tests only.
fn is_emulator(path: &ImagePath, _directory: bool) -> bool {
    path.as_bytes().starts_with(b"/usr/bin/qemu-")
}

/// One root that was made for this test.
pub struct Root {
    pub folder: PathBuf,
    arch: Arch,
    abi: &'static Abi,
    /// The emulator inside, if the architecture is not this machine's.
    emulator: Option<String>,
    tree: Tree,
}

impl Root {
    /// A root by its name, such as `glibc` of `bookworm` for amd64; `None` if it cannot be made or entered.
    pub fn find(libc: &str, suite: &str, arch: Arch) -> Option<Root> {
        static MADE: Once = Once::new();
        let roots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("roots");
        let tools = ["root", "apt-get", "dpkg-deb", "python3", "bsdtar", "x86_64-linux-gnu-ld", "aarch64-linux-gnu-ld"];
        if missing(&tools) || missing(&["qemu-aarch64-static", "pip3", "unshare"]) {
            return None;
        }
        MADE.call_once(|| {
            let answer = run(&mut command(checkout().join("tests/program/roots"), [&roots]));
            if answer.code != 0 {
                let _ = writeln!(std::io::stderr(), "{}", answer.text());
            }
        });
        let folder = roots.join(format!("{libc}-{suite}-{}", arch.facts().oci));
        if missing(&[folder.to_str().unwrap()]) {
            return None;
        }
        Some(Root::at(folder, arch, arch.facts().abi()))
    }

    /// A root in a folder.
    pub fn at(folder: PathBuf, arch: Arch, abi: &'static Abi) -> Root {
        let emulator = (arch != Arch::Amd64).then(|| format!("/usr/bin/qemu-{}-static", arch.facts().qemu));
        let mut root = Root { folder, arch, abi, emulator, tree: Tree::new(Metadata::new(Mode::DIRECTORY, 0)) };
        root.look();
        root
    }

    /// Scans its current contents.
    fn look(&mut self) {
        self.tree = scan(&self.folder, &ScanOptions { xattrs: false, skip: Some(&is_emulator), ..ScanOptions::ALL })
            .unwrap()
            .tree;
    }

    fn is_set_id(&self, program: &str) -> bool {
        let id = self.tree.get(&program.parse().unwrap()).unwrap();
        self.tree.inode(id).meta.mode.bits() & 0o6000 != 0
    }

    /// How to run a program inside.
    fn enter(&self, program: &str) -> Command {
        if self.folder == Path::new("/") {
            return Command::new("/usr/bin/env");
        }
        if !self.is_set_id(program) {
            return command("chroot", [&self.folder]);
        }
        let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,nosuid \"$1\" && exec chroot \"$@\"";
        let mut command = command("unshare", ["--mount", "sh", "-c", script, "sh"]);
        command.arg(&self.folder);
        command
    }

    /// How many programs were compared.
    fn compare(&self, most: usize, oracle: impl Fn(&str) -> Option<Trace>) -> usize {
        let mut compared = 0;
        self.each(most, oracle, |program, ours, theirs| {
            assert_eq!(ours, theirs, "{program}: left is what we say, right the loader");
            compared += 1;
        });
        compared
    }

    /// What we say and what the loader says, for each program.
    pub fn each(&self, most: usize, oracle: impl Fn(&str) -> Option<Trace>, mut take: impl FnMut(&str, Trace, Trace)) {
        let closures = Closures::new(&self.tree, &Platform::new(self.arch));
        let mut compared = 0;
        for program in programs(&self.tree) {
            let Some(ours) = ours(&closures, &program) else { continue };
            let Some(theirs) = oracle(&program.to_string()) else { continue };
            take(&program.to_string(), ours, theirs);
            compared += 1;
            if compared == most {
                break;
            }
        }
    }

    /// Runs a program inside, with `/proc` mounted: loaders read the program's path from it.
    fn start(&self, program: &str, argument: &str) -> Answer {
        let script = "mkdir -p \"$1/proc\" && mount --bind /proc \"$1/proc\" && exec chroot \"$@\"";
        let mut command = command("unshare", ["--mount", "sh", "-c", script, "sh"]);
        run(command.arg(&self.folder).args(&self.emulator).args([program, argument]))
    }

    /// Compares all or some programs of the root.
    pub fn judge(&self, purpose: Purpose) -> Verification {
        let (platform, mut policy) = (Platform::new(self.arch), Policy::default());
        policy.threads = 2;
        verify(&Subject::new(&self.tree, &platform, purpose, &policy)).unwrap()
    }
}

#[test]
fn the_programs_of_this_machine_are_loaded_as_its_loader_loads_them() {
    if missing(&["/lib64/ld-linux-x86-64.so.2", "/etc/debian_version"]) {
        return;
    }
    // The directories that its loader could search, and a few dozen programs; nothing else of the machine is read.
    let skip = |path: &ImagePath, directory: bool| {
        let path = path.to_string();
        let within = |folder: &str| path == folder || path.starts_with(&format!("{folder}/"));
        let libraries = ["/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"];
        let library = libraries.into_iter().any(within);
        let wanted = ["/usr", "/usr/lib", "/lib", "/lib64", "/bin", "/usr/bin", "/etc", "/etc/ld.so.cache"];
        let program = path.starts_with("/usr/bin/") || path.starts_with("/bin/");
        !(wanted.contains(&path.as_str()) || program || (library && (directory || path.contains(".so"))))
    };
    let tree =
        scan(Path::new("/"), &ScanOptions { xattrs: false, skip: Some(&skip), ..ScanOptions::ALL }).unwrap().tree;
    let (arch, abi) = (Arch::Amd64, Arch::Amd64.facts().abi());
    let root = Root { folder: "/".into(), arch, abi, emulator: None, tree };
    let compared = root.compare(40, |program| (!root.is_set_id(program)).then(|| glibc(&root, program)));
    assert!(compared >= 10, "only {compared} programs could be compared");
}

/// Compares every program of a minbase, and checks for false alarms.
fn minbase(suite: &str, arch: Arch) {
    let Some(root) = Root::find("glibc", suite, arch) else { return };
    let compared = root.compare(usize::MAX, |program| Some(glibc(&root, program)));
    assert!(compared > 250, "only {compared} programs could be compared");
    let judgement = root.judge(Purpose::Plain);
    for finding in judgement.report.findings {
        let known = |(code, path, _): &(&str, &str, &str)| finding.code.0 == *code && finding.subject.as_str() == *path;
        assert!(finding.severity != Severity::Error && FINDINGS.iter().any(known), "{finding:#?}");
    }
    let starts = judgement.programs.iter().filter(|program| program.verdict == StartVerdict::Starts).count();
    assert!(starts >= compared, "{starts} programs are said to start, and {compared} were compared");
}

#[test]
fn minbase_of_bookworm_for_amd64_is_loaded_as_its_loader_loads_it() {
    minbase("bookworm", Arch::Amd64);
}

#[test]
fn minbase_of_bookworm_for_arm64_is_loaded_as_its_loader_loads_it() {
    minbase("bookworm", Arch::Arm64);
}

#[test]
fn minbase_of_trixie_for_amd64_is_loaded_as_its_loader_loads_it() {
    minbase("trixie", Arch::Amd64);
}

#[test]
fn minbase_of_trixie_for_arm64_is_loaded_as_its_loader_loads_it() {
    minbase("trixie", Arch::Arm64);
}

/// Compares every program under musl, and starts the ones that other projects built for it.
fn under_musl(suite: &str, arch: Arch) {
    let Some(mut root) = Root::find("musl", suite, arch) else { return };
    let Some(busybox) = musl_busybox() else { return };
    let name = if arch == Arch::Arm64 { "busybox-arm64" } else { "busybox" };
    install(busybox.join(name), root.folder.join("programs/busybox"));
    root.look();
    let compared = root.compare(usize::MAX, |program| Some(musl(&root, program)));
    assert!(compared > 70, "only {compared} programs could be compared");
    let built = programs(&root.tree).into_iter().filter(|program| program.to_string().starts_with("/opt/")).collect();
    let mut started = 0;
    for program in root.judge(Purpose::Programs(built)).programs {
        let answer = root.start(&program.path, "--version");
        let starts = matches!(program.verdict, StartVerdict::Starts | StartVerdict::MayFail);
        assert_eq!(starts, answer.code == 0, "{program:?}: it ends with {}\n{}", answer.code, answer.text());
        started += usize::from(starts);
    }
    assert!(started >= 6, "{started} programs were started");
}

#[test]
fn programs_under_musl_1_2_3_on_amd64_are_loaded_as_musl_loads_them() {
    under_musl("bookworm", Arch::Amd64);
}

#[test]
fn programs_under_musl_1_2_3_on_arm64_are_loaded_as_musl_loads_them() {
    under_musl("bookworm", Arch::Arm64);
}

#[test]
fn programs_under_musl_1_2_5_on_amd64_are_loaded_as_musl_loads_them() {
    under_musl("trixie", Arch::Amd64);
}

#[test]
fn programs_under_musl_1_2_5_on_arm64_are_loaded_as_musl_loads_them() {
    under_musl("trixie", Arch::Arm64);
}
