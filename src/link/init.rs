//! The first program of an initramfs: how a kernel starts it, and what the kernel does if that fails (Linux, `init/main.c`, 6.1 to
//! 6.18).
//!
//! A kernel looks for the program that `rdinit=` names. If it does not exist, the kernel ignores the initramfs and mounts a root
//! disk; if there is none, it panics. If it exists and execve(2) fails, the kernel prints the error number and tries four other
//! programs in turn. The first one that can be executed runs instead, which hides the fault.
//!
//! Two more checks are here because they matter only for an initramfs: the archive cannot store extended attributes, and the
//! kernel's file systems need directories to be mounted on.

use std::collections::BTreeSet;

use crate::path::ImagePath;
use crate::report::{Code, Evidence};
use crate::tree::{InodeId, Tree, WalkEntry};

use super::draft::{Draft, Ending, ExecError};
use super::files::Refusal;
use super::kernel::exec::ExecContext;
use super::script::check::Search;
use super::script::first_line::SCRIPTS_MAX;

/// The initramfs has no directory to mount one of the kernel's file systems on.
pub const MOUNT_POINT_MISSING: Code = Code("mount-point-missing");
/// Extended attributes, including file capabilities, that the archive cannot store.
pub const XATTRS_LOST: Code = Code("xattrs-lost");

/// The programs that a kernel tries if the first one cannot be executed.
const FALLBACKS: [&str; 4] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];

/// The directories that an initramfs needs.
const MOUNT_POINTS: [&str; 3] = ["/dev", "/proc", "/sys"];

/// How many bytes of a script are read.
const SCRIPT_MAX: u64 = 1 << 20;

/// The start of an initramfs.
#[derive(Debug)]
pub(super) struct FirstProgram {
    init: ImagePath,
    /// Every file that execve(2) opens for it: the program, and the interpreters if it is a script.
    chain: BTreeSet<(InodeId, ImagePath)>,
    /// The fallback that would run, if there is one.
    instead: Option<&'static str>,
    /// What the kernel does with each fallback.
    fallbacks: Vec<String>,
}

impl FirstProgram {
    /// Does what a kernel would do. The context must be that of a named program.
    pub fn of(context: &ExecContext<'_>, init: &ImagePath) -> FirstProgram {
        let mut chain = BTreeSet::new();
        let _ = execve(context, init.as_bytes(), &mut chain);
        let mut first = FirstProgram { init: init.clone(), chain, instead: None, fallbacks: Vec::new() };
        for path in FALLBACKS {
            let words = match execve(context, path.as_bytes(), &mut BTreeSet::new()) {
                Ok(()) => {
                    first.instead = Some(path);
                    first.fallbacks.push(format!("{path} starts"));
                    break;
                }
                Err(ExecError::NotFound) => "error -2, which it does not print".to_string(),
                Err(error) => format!("error -{}", error.number()),
            };
            first.fallbacks.push(format!("{path}: {words}"));
        }
        first
    }

    /// Whether execve(2) opens a file with one of these names when it starts the first program.
    pub fn needs(&self, id: InodeId, names: &[ImagePath]) -> bool {
        self.chain.iter().any(|(known, path)| *known == id && names.contains(path))
    }

    /// What the kernel prints on the console for this end.
    pub fn words(&self, ending: &Ending) -> Option<String> {
        let killed =
            |status: u32| format!("Kernel panic - not syncing: Attempted to kill init! exitcode=0x{status:08x}");
        match ending {
            Ending::Silent => None,
            Ending::Refused(error) => {
                let then = match self.instead {
                    Some(path) => format!("then the kernel starts {path} instead"),
                    None => "Kernel panic - not syncing: No working init found.".to_string(),
                };
                Some(format!("Failed to execute {} (error -{}); {then}", self.init, error.number()))
            }
            Ending::Killed(_, code) => Some(killed(u32::from(*code) & 0x7f)),
            // A loader that fails exits with status 127.
            Ending::Says(text) => Some(format!("{text}; {}", killed(127 << 8))),
        }
    }

    /// The fallbacks, as evidence of a failed start.
    pub fn evidence(&self) -> Evidence {
        Evidence { subject: "what the kernel tries next".into(), detail: self.fallbacks.join(", ") }
    }
}

/// Whether execve(2) would start a program, and every file that it opens for it.
fn execve(context: &ExecContext<'_>, path: &[u8], chain: &mut BTreeSet<(InodeId, ImagePath)>) -> Result<(), ExecError> {
    let mut path = path.to_vec();
    for _ in 0..=SCRIPTS_MAX {
        let found = match context.files.open_program(context.cwd, &path, context.user) {
            Ok(found) => found,
            Err(Refusal::Path(error)) => return Err(ExecError::from(error.errno)),
            Err(Refusal::Barred(_) | Refusal::NotAFile(..) | Refusal::NotExecutable(_)) => {
                return Err(ExecError::Denied);
            }
        };
        chain.insert((found.id, found.path.clone()));
        let Some(probe) = context.files.probe(found.id) else { return Err(ExecError::Denied) };
        let (drafts, next) = match &probe.elf {
            Some(facts) => (context.start(found.id, &found.path, facts).drafts, None),
            None => {
                let script = context.script(found.id, &found.path, probe, &Search { path: &[], directory: b"/" });
                (script.drafts, script.starts.into_iter().find(|started| !started.by_env))
            }
        };
        if let Some(error) = drafts.iter().find_map(refused) {
            return Err(error);
        }
        match next {
            Some(started) => path = started.spelled,
            None => return Ok(()),
        }
    }
    Err(ExecError::Loop)
}

fn refused(draft: &Draft) -> Option<ExecError> {
    match draft.ending {
        Ending::Refused(error) if draft.severity == crate::report::Severity::Error => Some(error),
        Ending::Refused(_) | Ending::Silent | Ending::Killed(..) | Ending::Says(_) => None,
    }
}

/// The directories that an initramfs lacks and that its first program, if it is a script, does not make itself; with the path
/// for the finding.
pub(super) fn mount_points(context: &ExecContext<'_>, init: &ImagePath) -> Option<(ImagePath, Draft)> {
    let root = ImagePath::root();
    let script = script(context, init);
    let missing: Vec<(&str, String)> = MOUNT_POINTS
        .into_iter()
        .filter(|path| !makes(&script, path))
        .filter_map(|path| match context.files.find(&root, path.as_bytes()) {
            Ok(found) if context.files.tree.inode(found.id).is_directory() => None,
            Ok(_) => Some((path, "not a directory".to_string())),
            Err(error) => Some((path, context.files.words_of(&error))),
        })
        .collect();
    let (first, _) = *missing.first().as_ref()?;
    let names: Vec<&str> = missing.iter().map(|(path, _)| *path).collect();
    let draft = Draft::warning(
        MOUNT_POINT_MISSING,
        format!("has no directory to mount the kernel's file systems on: {}", names.join(", ")),
    )
    .says(format!("mount: mounting {} on {first} failed: No such file or directory", file_system(first)))
    .fix(format!("add it: [[path]] path = \"{first}\", type = \"directory\""));
    let draft = missing.iter().fold(draft, |draft, (path, words)| draft.because(*path, words.clone()));
    Some((root, draft))
}

/// The text of the first program; empty if it is not a script.
fn script(context: &ExecContext<'_>, init: &ImagePath) -> Vec<u8> {
    let Ok(found) = context.files.find(&ImagePath::root(), init.as_bytes()) else { return Vec::new() };
    let text = context.files.head(found.id, SCRIPT_MAX).unwrap_or_default();
    if text.starts_with(b"#!") { text } else { Vec::new() }
}

/// Whether a script has a line that makes a directory, as Debian's `/init` has: `[ -d /sys ] || mkdir /sys`.
fn makes(script: &[u8], path: &str) -> bool {
    let word = |line: &[u8], word: &[u8]| {
        line.split(|byte| byte.is_ascii_whitespace() || b";&|\"'".contains(byte)).any(|found| found == word)
    };
    script.split(|byte| *byte == b'\n').any(|line| word(line, b"mkdir") && word(line, path.as_bytes()))
}

fn file_system(mount_point: &str) -> &'static str {
    match mount_point {
        "/dev" => "devtmpfs",
        "/proc" => "proc",
        _ => "sysfs",
    }
}

/// Extended attributes that the archive cannot store, with the first path that has any.
pub(super) fn lost(tree: &Tree) -> Option<(ImagePath, Draft)> {
    let mut walk = tree.walk();
    let mut carriers = std::iter::from_fn(|| {
        while let Some(WalkEntry { path, inode, .. }) = walk.step() {
            if !inode.meta.xattrs.is_empty() {
                return Some((path.clone(), inode));
            }
        }
        None
    });
    let (path, first) = carriers.next()?;
    let what = match first.meta.xattrs.contains_key(b"security.capability".as_slice()) {
        true => "has file capabilities, which an initramfs cannot hold",
        false => "has extended attributes, which an initramfs cannot hold",
    };
    let more = match carriers.count() {
        0 => String::new(),
        1 => "; so has 1 other file".to_string(),
        more => format!("; so have {more} other files"),
    };
    let names = first.meta.xattrs.keys().map(|name| crate::path::display_bytes(name));
    let draft = Draft::warning(XATTRS_LOST, format!("{what}{more}"))
        .because(path.to_string(), names.collect::<Vec<_>>().join(", "))
        .fix("drop them explicitly (`xattrs = \"drop\"` at the source), or let /init set them (setcap, setfattr)");
    Some((path, draft))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::link::sample::Sample;
    use crate::link::{Purpose, Verification};

    fn verified(sample: &Sample) -> Verification {
        sample.verified(Purpose::Initramfs { init: "/init".parse().unwrap() })
    }

    /// An initramfs with the directories that it needs.
    fn base() -> Sample {
        Sample::new().directory("/dev").directory("/proc").directory("/sys")
    }

    #[track_caller]
    fn assert_ends(sample: &Sample, code: &str, words: &str) {
        let result = verified(sample);
        let [finding] = result.report.findings.as_slice() else { panic!("{:#?}", result.report.findings) };
        assert_eq!((finding.code.0, finding.run_time.as_deref().unwrap_or_default()), (code, words));
    }

    const PANIC: &str = "Failed to execute /init (error -2); Kernel panic - not syncing: No working init found.";

    #[test]
    fn a_first_program_that_is_refused_ends_in_a_panic() {
        let android = Forge::dynamic("/system/bin/linker64");
        assert_ends(&base().elf("/init", &android), "android-binary", PANIC);
        let script = base().text("/init", 0o755, "#!/bin/busybox sh\n");
        assert_ends(&script.elf("/bin/busybox", &Forge::dynamic("/lib/ld-musl-x86_64.so.1")), "interp-missing", PANIC);
        let denied = "Failed to execute /init (error -13); Kernel panic - not syncing: No working init found.";
        assert_ends(&base().text("/init", 0o644, "#!/bin/sh\n"), "cmd-not-executable", denied);
        let no_root = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)";
        assert_ends(&base(), "cmd-not-found", no_root);
    }

    #[test]
    fn a_fallback_that_hides_the_fault_is_told() {
        let sample = base().text("/init", 0o755, "#!/bin/sh\r\n").elf("/bin/sh", &Forge::program());
        let sample = sample.text("/etc/init", 0o644, "");
        assert_ends(
            &sample,
            "script-crlf",
            "Failed to execute /init (error -2); then the kernel starts /bin/sh instead",
        );
        let result = verified(&sample);
        let evidence = result.report.findings[0].evidence.last().unwrap();
        let tried = "/sbin/init: error -2, which it does not print, /etc/init: error -13, /bin/init: error -2, which it does not print, \
                     /bin/sh starts";
        assert_eq!((evidence.subject.as_str(), evidence.detail.as_str()), ("what the kernel tries next", tried));
    }

    #[test]
    fn a_first_program_that_dies_later_ends_in_a_panic_too() {
        let musl = "/lib/ld-musl-x86_64.so.1";
        let init = Forge { needed: vec!["libabsent.so".into()], ..Forge::dynamic(musl) };
        let sample = base().elf(musl, &Forge::musl(true)).elf("/init", &init);
        let result = verified(&sample);
        let words = result.report.findings[0].run_time.clone().unwrap();
        assert!(
            words.ends_with("; Kernel panic - not syncing: Attempted to kill init! exitcode=0x00007f00"),
            "{words}"
        );
    }

    #[test]
    fn missing_mount_points_are_a_warning() {
        let sample = Sample::new().elf("/init", &Forge::program()).directory("/dev").text("/sys", 0o644, "");
        let result = verified(&sample);
        let [finding] = result.report.findings.as_slice() else { panic!("{:#?}", result.report.findings) };
        assert_eq!((finding.code, finding.severity), (MOUNT_POINT_MISSING, crate::report::Severity::Warning));
        assert_eq!(finding.message, "has no directory to mount the kernel's file systems on: /proc, /sys");
        let evidence: Vec<String> =
            finding.evidence.iter().map(|line| format!("{}: {}", line.subject, line.detail)).collect();
        assert_eq!(evidence, ["/proc: absent", "/sys: not a directory"]);
    }

    #[test]
    fn a_script_that_makes_its_mount_points_needs_none() {
        let script = "#!/bin/sh\n[ -d /dev ] || mkdir -m 0755 /dev; mkdir -p \"/proc\" /run\n# mkdir /system\n";
        let sample = Sample::new().elf("/bin/sh", &Forge::program()).text("/init", 0o755, script);
        let result = verified(&sample);
        let [finding] = result.report.findings.as_slice() else { panic!("{:#?}", result.report.findings) };
        assert_eq!(finding.message, "has no directory to mount the kernel's file systems on: /sys");
    }

    #[test]
    fn attributes_that_are_lost_are_a_warning_also_in_a_part() {
        let mut sample = base().elf("/init", &Forge::program()).text("/a", 0o644, "");
        for (path, name) in [("/init", "security.capability"), ("/a", "user.x")] {
            let id = sample.tree.get(&path.parse().unwrap()).unwrap();
            sample.tree.meta_mut(id).xattrs.insert(name.as_bytes().into(), Box::from(*b"1"));
        }
        let whole = verified(&sample).report.findings;
        let [finding] = whole.as_slice() else { panic!("{whole:#?}") };
        assert_eq!((finding.code, finding.subject.as_str()), (XATTRS_LOST, "/a"));
        assert_eq!(finding.message, "has extended attributes, which an initramfs cannot hold; so has 1 other file");
        assert_eq!(sample.verified(Purpose::Part).report.findings, whole);
    }
}
