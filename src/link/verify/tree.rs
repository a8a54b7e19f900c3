//! The verification of a tree, in this order: settings, targets, the check of each target, findings. No step changes the result of
//! an earlier one.

use std::collections::BTreeSet;

use crate::elf::ElfFacts;
use crate::link::draft::{Draft, Ending, PlainDraft};
use crate::link::files::Files;
use crate::link::init::FirstProgram;
use crate::link::kernel::exec::libc_of_name;
use crate::link::loader::LoaderKind;
use crate::link::subject::{Purpose, Subject, Verification};
use crate::path::ImagePath;
use crate::report::{Code, Finding, FindingSubject, Severity};
use crate::tree::{Content, ContentError, InodeId};

use super::accept::{accept, size_draft};
use super::check::Checked;
use super::context::Context;
use super::finding::Target;
use super::others::{Others, system_of};
use super::plugins::Plugins;
use super::programs;
use super::targets::Targets;
use super::whole::WholeTree;

/// It is not known how programs of the platform start.
pub const NOT_VERIFIED: Code = Code("not-verified");

/// Verifies a tree.
///
/// # Errors
/// When a file that matters cannot be read, or changes meanwhile: then nothing is known about the tree. A file for which this user
/// has no read permission is a finding instead.
pub fn verify(subject: &Subject<'_>) -> Result<Verification, ContentError> {
    let files = Files::new(subject.tree, subject.platform.arch());
    if files.arch.is_none() {
        return Ok(not_verified(subject));
    }
    let context = Context::new(subject, &files)?;
    let Targets { files: targets, drafts } = Targets::of(&context);
    let mut checked = Checked::of(&context, targets);
    let others = leave_out_others(&context, &mut checked);
    let whole = whole_tree(&context, &checked, others);
    if let Some(failure) = files.take_failure() {
        return Err(failure);
    }
    let Checked { targets, programs, .. } = checked;
    let plain = |plain: PlainDraft| {
        let path = ImagePath::parse(plain.subject.as_str().as_bytes()).unwrap_or(ImagePath::root());
        (path, subject.plain_finding(plain))
    };
    let mut findings: Vec<(ImagePath, Finding)> = drafts.into_iter().map(plain).collect();
    findings.extend(subject.found.iter().map(|found| {
        (ImagePath::parse(found.subject.as_str().as_bytes()).unwrap_or(ImagePath::root()), found.clone())
    }));
    for (id, target, drafts) in targets {
        findings.extend(drafts.into_iter().map(|draft| (target.path.clone(), finding(&context, id, &target, draft))));
    }
    findings.extend(whole.into_iter().map(plain));
    let (report, accepted) = accept(subject, findings);
    Ok(Verification { report, programs, accepted })
}

/// The result for a tree of a platform whose way to start programs is not known.
fn not_verified(subject: &Subject<'_>) -> Verification {
    let message = format!("the programs for {} are not verified: it is not known how they start", subject.platform);
    let draft = Draft::note(NOT_VERIFIED, message).fix("start the image once where it is to run");
    let note = subject.plain_finding(PlainDraft::new(FindingSubject::Path("/".into()), draft));
    let findings = subject.found.iter().cloned().chain([note]).map(|finding| (ImagePath::root(), finding)).collect();
    let (report, accepted) = accept(subject, findings);
    Verification { report, programs: Vec::new(), accepted }
}

/// Removes the programs for other systems that packages of prebuilt files contain.
fn leave_out_others(context: &Context<'_>, checked: &mut Checked) -> Others {
    let mut others = Others::default();
    let mut left_out = BTreeSet::new();
    checked.targets.retain(|(id, target, drafts)| {
        let facts = context.files.elf(*id);
        let machine = facts.map(ElfFacts::machine_name);
        let libc = facts.and_then(|facts| facts.interpreter.path()).and_then(libc_of_name);
        // If the tree has this libc, the program is not for another system.
        let libc = libc.filter(|libc| context.files.known_loaders().all(|loader| loader.libc() != Some(*libc)));
        let Some(system) = system_of(target, machine, libc, drafts) else { return true };
        left_out.insert(target.path.to_string());
        others.add(system, target.path.clone());
        false
    });
    checked.programs.retain(|program| !left_out.contains(&program.path));
    others
}

/// The findings about the tree as a whole.
fn whole_tree(context: &Context<'_>, checked: &Checked, mut others: Others) -> Vec<PlainDraft> {
    let subject = context.subject;
    let mut drafts = Vec::new();
    if !matches!(subject.purpose, Purpose::Programs(_)) {
        let glibc = context.files.known_loaders().filter_map(|loader| match loader {
            LoaderKind::Glibc(loader) => Some(loader),
            LoaderKind::Musl(_) | LoaderKind::Bionic | LoaderKind::Gcompat | LoaderKind::Unknown => None,
        });
        // Inode numbers depend on the order of files in an archive, so the contents decide.
        let glibc = glibc.max_by_key(|loader| (&loader.version, &loader.directories));
        drafts.extend(WholeTree { files: context.files, glibc, loaded: &checked.loaded }.check());
        let known = checked.loaded.iter().chain(checked.targets.iter().map(|(id, _, _)| id)).copied().collect();
        drafts.extend(Plugins::of(context.files, &known).check(&mut others));
    }
    drafts.extend(others.draft().map(|draft| (ImagePath::root(), draft)));
    let contents = programs::files(subject.tree).filter_map(|id| context.files.content(id));
    let size = contents.map(Content::size).fold(0, u64::saturating_add);
    drafts.extend(size_draft(subject.policy, size).map(|draft| (ImagePath::root(), draft)));
    drafts.into_iter().map(|(path, draft)| PlainDraft::new(FindingSubject::Path(path.to_string()), draft)).collect()
}

/// The finding about a target. If the first program of an initramfs fails, the message is that of the kernel.
fn finding(context: &Context<'_>, id: InodeId, target: &Target, draft: Draft) -> Finding {
    let fails = draft.severity == Severity::Error;
    let first = context.first.as_ref().filter(|first| fails && first.needs(id, &target.names));
    let words = first.and_then(|first| first.words(&draft.ending));
    let refused = matches!(draft.ending, Ending::Refused(_));
    let mut finding = context.subject.finding(target, draft);
    finding.run_time = words.or(finding.run_time);
    finding.evidence.extend(first.filter(|_| refused).map(FirstProgram::evidence));
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::Linkage;
    use crate::elf::forge::Forge;
    use crate::link::sample::Sample;
    use crate::link::{Allowance, Baseline, Libc, Policy, StartVerdict};
    use crate::oci::{Healthcheck, Settings};
    use crate::platform::{Arch, Platform};
    use crate::report::{CommandRole, CommandUse};
    use crate::tree::Mode;

    const LOADER: &str = "/lib/ld-musl-x86_64.so.1";

    fn verified_with(sample: &Sample, settings: &Settings, policy: &Policy) -> Verification {
        let platform = Platform::new(Arch::Amd64);
        let subject =
            Subject { settings: Some(settings), ..Subject::new(&sample.tree, &platform, Purpose::Container, policy) };
        verify(&subject).unwrap()
    }

    fn entry(path: &str) -> Settings {
        Settings { entrypoint: vec![path.into()], ..Settings::default() }
    }

    fn verified(sample: &Sample, entrypoint: &str) -> Verification {
        verified_with(sample, &entry(entrypoint), &Policy::default())
    }

    fn codes(result: &Verification) -> Vec<&'static str> {
        result.report.findings.iter().map(|finding| finding.code.0).collect()
    }

    fn run_time(result: &Verification) -> &str {
        result.report.findings[0].run_time.as_deref().unwrap_or_default()
    }

    #[test]
    fn a_program_without_its_loader_is_one_finding_however_many_names_it_has() {
        let mut sample = Sample::new().elf("/bin/busybox", &Forge::dynamic(LOADER)).link("/bin/sh", "busybox");
        for number in 0..300 {
            sample = sample.link(&format!("/usr/bin/applet{number}"), "/bin/busybox");
        }
        let result = verified(&sample.hardlink("/sbin/init", "/bin/busybox"), "/bin/sh");
        assert_eq!(codes(&result), ["interp-missing"]);
        let finding = &result.report.findings[0];
        assert_eq!(
            format!("{} {}", finding.subject, finding.message),
            "/bin/busybox needs /lib/ld-musl-x86_64.so.1, which the image does not contain"
        );
        assert_eq!(finding.evidence[0].subject, "PT_INTERP of /bin/busybox");
        assert_eq!(finding.roles, [CommandUse::new(CommandRole::Entrypoint, b"/bin/sh")]);
        assert_eq!(finding.run_time.as_deref(), Some("exec /bin/sh: no such file or directory"));
        assert_eq!(finding.also.len(), 302);
        assert_eq!(result.programs[0].names, 303);
        assert_eq!((result.programs[0].linkage, result.programs[0].verdict), (Linkage::Dynamic, StartVerdict::Fails));
        assert_eq!(result.programs[0].libc, Some(Libc::Musl));
    }

    #[test]
    fn what_stands_at_the_loaders_path_decides() {
        let program = Forge::dynamic(LOADER);
        let other = Forge { machine: 183, ..Forge::musl(true) };
        let with = |sample: Sample| {
            let result = verified(&sample.elf("/app", &program), "/app");
            (codes(&result), run_time(&result).to_string())
        };
        let table = [
            (Sample::new().link(LOADER, "/usr/lib/libc.so"), "interp-dangling", "no such file or directory"),
            (Sample::new().link(LOADER, LOADER), "interp-dangling", "too many levels of symbolic links"),
            (Sample::new().text("/lib", 0o644, ""), "interp-missing", "not a directory"),
            (Sample::new().directory(LOADER), "interp-not-executable", "permission denied"),
            (
                Sample::new().bytes(LOADER, 0o644, &Forge::musl(true).build()),
                "interp-not-executable",
                "permission denied",
            ),
            (Sample::new().text(LOADER, 0o755, "short"), "interp-empty", "input/output error"),
            (
                Sample::new().text(LOADER, 0o755, &"not a loader, but long enough".repeat(9)),
                "interp-not-elf",
                "accessing a corrupted shared library",
            ),
            (Sample::new().elf(LOADER, &other), "interp-wrong-arch", "accessing a corrupted shared library"),
        ];
        for (sample, code, text) in table {
            assert_eq!(with(sample), (vec![code], format!("exec /app: {text}")));
        }
        let result = verified(&Sample::new().elf(LOADER, &Forge::musl(true)).elf("/app", &program), "/app");
        assert_eq!(codes(&result), Vec::<&str>::new());
        assert_eq!(result.programs[0].verdict, StartVerdict::Starts);
    }

    #[test]
    fn a_program_of_another_machine_or_system_is_named() {
        let arm = Forge { machine: 183, ..Forge::program() };
        let result = verified(&Sample::new().elf("/app", &arm), "/app");
        assert_eq!(result.report.findings[0].message, "is for arm64, and the platform is amd64");
        assert_eq!(run_time(&result), "exec /app: exec format error");
        let result = verified(&Sample::new().elf("/app", &Forge::dynamic("/system/bin/linker64")), "/app");
        assert_eq!(codes(&result), ["android-binary"]);
        assert_eq!(run_time(&result), "exec /app: no such file or directory");
        let elsewhere = Sample::new().elf("/app", &Forge::program()).elf("/usr/lib/x/prebuilt", &arm);
        let result = verified(&elsewhere, "/app");
        assert_eq!(result.report.findings[0].severity, Severity::Warning);
        assert_eq!(codes(&verified(&elsewhere.elf("/usr/bin/x", &arm), "/app")), ["wrong-arch", "wrong-arch"]);
    }

    #[test]
    fn prebuilt_programs_for_other_systems_are_one_line() {
        let arm = Forge { machine: 183, ..Forge::program() };
        let sample = Sample::new()
            .elf("/app/app", &Forge::program())
            .elf("/app/node_modules/protoc/bin/protoc-linux-aarch_64", &arm)
            .elf("/app/node_modules/x/prebuilds/android/x", &Forge::dynamic("/system/bin/linker64"))
            .elf("/app/node_modules/@esbuild/linux-x64-musl/bin/esbuild", &Forge::dynamic(LOADER));
        let result = verified(&sample, "/app/app");
        assert_eq!(codes(&result), ["other-system"]);
        let finding = &result.report.findings[0];
        assert_eq!(
            (finding.severity, finding.message.as_str()),
            (
                Severity::Note,
                "contains 3 files for other systems, which nothing here can load or start: Android (1), musl (1), arm64 (1)"
            )
        );
        assert_eq!(result.programs.len(), 1, "no rows for them");
        // Programs that the image config names or that a script starts are not left out.
        let path = "/app/node_modules/protoc/bin/protoc-linux-aarch_64";
        assert_eq!(codes(&verified(&sample, path)), ["wrong-arch", "other-system"]);
        let run = verified(&sample.text("/app/run", 0o755, &format!("#!{path}\n")), "/app/app");
        assert_eq!(codes(&run), ["wrong-arch", "other-system"]);
    }

    #[test]
    fn what_holds_another_program_is_named() {
        let mut appimage = Forge::program().build();
        appimage[8..11].copy_from_slice(b"AI\x02");
        let result = verified(&Sample::new().bytes("/app", 0o755, &appimage), "/app");
        assert_eq!(codes(&result), ["appimage"]);
        assert_eq!(result.programs[0].verdict, StartVerdict::MayFail);
        let result = verified(&Sample::new().text("/app", 0o755, "MZqFpD='\n"), "/app");
        assert!(result.report.findings[0].message.starts_with("is an Actually Portable Executable"));
    }

    #[test]
    fn scripts_pass_their_weight_to_what_they_need() {
        let sample =
            Sample::new().text("/opt/run.sh", 0o755, "#!/srv/shell -e\n").elf("/srv/shell", &Forge::dynamic(LOADER));
        let result = verified(&sample, "/opt/run.sh");
        assert_eq!(codes(&result), ["interp-missing"]);
        let finding = &result.report.findings[0];
        assert_eq!((finding.subject.as_str(), finding.severity), ("/srv/shell", Severity::Error));
        assert_eq!(result.report.findings[0].scripts, 1);
    }

    #[test]
    fn script_rules() {
        let program = Forge::program();
        let base = || {
            Sample::new().elf("/bin/sh", &program).elf("/bin/busybox", &program).link("/usr/bin/env", "/bin/busybox")
        };
        let gnu = || Sample::new().elf("/bin/sh", &program).elf("/usr/bin/env", &program);
        let code = |sample: Sample, text: &str| {
            let result = verified(&sample.text("/app", 0o755, text), "/app");
            codes(&result).first().copied().unwrap_or("starts")
        };
        for (text, busybox, coreutils) in [
            ("#!/bin/sh\n", "starts", "starts"),
            ("#!/bin/bash\n", "script-interp-missing", "script-interp-missing"),
            ("#!/bin/sh\r\n", "script-crlf", "script-crlf"),
            ("#!/bin/sh -e\r\n", "script-crlf", "script-crlf"),
            ("\u{feff}#!/bin/sh\n", "script-bom", "script-bom"),
            ("echo\n", "script-no-shebang", "script-no-shebang"),
            ("MZqFpD='\n\n", "script-no-shebang", "script-no-shebang"),
            ("#!", "script-no-shebang", "script-no-shebang"),
            ("", "script-empty", "script-empty"),
            ("#!/bin\n", "interp-not-executable", "interp-not-executable"),
            ("#!/app\n", "script-depth", "script-depth"),
            ("#!/usr/bin/env sh\n", "starts", "starts"),
            ("#!/usr/bin/env bash\n", "env-command-missing", "env-command-missing"),
            ("#!/usr/bin/env sh\r\n", "script-crlf", "script-crlf"),
            ("#!/usr/bin/env sh -e\n", "env-split", "env-split"),
            ("#!/usr/bin/env -S sh -e\n", "env-split", "starts"),
            ("#!/usr/bin/env\n", "env-loop", "env-loop"),
        ] {
            assert_eq!(code(base(), text), busybox, "busybox: {text:?}");
            assert_eq!(code(gnu(), text), coreutils, "coreutils: {text:?}");
        }
    }

    #[test]
    fn five_scripts_may_stand_behind_each_other() {
        let chain = |count: usize| {
            let mut sample = Sample::new().elf("/s0", &Forge::program());
            for number in 1..=count {
                sample = sample.text(&format!("/s{number}"), 0o755, &format!("#!/s{}\n", number - 1));
            }
            codes(&verified(&sample, &format!("/s{count}")))
        };
        assert_eq!(chain(5), Vec::<&str>::new());
        assert_eq!(chain(6), ["script-depth"]);
    }

    #[test]
    fn the_command_is_looked_up_and_must_be_allowed() {
        let sample = Sample::new().bytes("/bin/app", 0o644, &Forge::program().build()).text(
            "/etc/passwd",
            0o644,
            "app:x:10:10::/:\n",
        );
        let result = verified(&sample, "/bin/app");
        assert_eq!(codes(&result), ["cmd-not-executable"]);
        assert_eq!(run_time(&result), "exec: \"/bin/app\": permission denied: unknown (exit code 126)");
        assert_eq!(codes(&verified(&sample, "app")), ["cmd-not-found"]);
        assert_eq!(codes(&verified(&sample, "/nowhere")), ["cmd-not-found"]);
        assert_eq!(codes(&verified(&sample, "")), ["cmd-not-found"]);
        let private = Sample::new().bytes("/bin/app", 0o700, &Forge::program().build()).text(
            "/etc/passwd",
            0o644,
            "app:x:10:10::/:\n",
        );
        let as_user = |user: &str| {
            codes(&verified_with(&private, &Settings { user: user.into(), ..entry("/bin/app") }, &Policy::default()))
        };
        assert_eq!(as_user(""), Vec::<&str>::new());
        assert_eq!(as_user("app"), ["cmd-not-executable"]);
        assert_eq!(as_user("web"), ["user-missing"]);
    }

    /// The directory with the tree is removed after the targets were found: by then, everything that the checks need was read.
    #[test]
    fn what_must_start_is_opened_and_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let app = Forge { needed: vec!["liba.so".into()], calls: vec!["gone".into()], ..Forge::dynamic(LOADER) };
        let library = Forge { calls: vec!["gone2".into()], ..Forge::library("liba.so") };
        for (path, forge) in [("bin/app", &app), (&LOADER[1..], &Forge::musl(true)), ("usr/lib/liba.so", &library)] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, forge.build()).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let tree = crate::codec::dir::scan(folder.path(), &crate::codec::dir::ScanOptions::ALL).unwrap().tree;
        let (platform, policy, settings) = (Platform::new(Arch::Amd64), Policy::default(), entry("/bin/app"));
        let subject =
            Subject { settings: Some(&settings), ..Subject::new(&tree, &platform, Purpose::Container, &policy) };
        let before = verify(&subject).unwrap().report;
        assert_eq!(before.findings.len(), 2, "{before:#?}");
        let files = Files::new(&tree, Some(Arch::Amd64));
        let context = Context::new(&subject, &files).unwrap();
        let targets = Targets::of(&context).files;
        // Any file that is opened from here on cannot be read.
        std::fs::remove_dir_all(folder.path()).unwrap();
        let checked = Checked::of(&context, targets);
        let found = checked.targets.into_iter().flat_map(|(_, _, drafts)| drafts).map(|draft| draft.message);
        assert_eq!(found.collect::<Vec<_>>(), before.findings.into_iter().map(|one| one.message).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_cannot_be_read_or_changes_is_an_error_and_no_finding() {
        let app = Forge { needed: vec!["liba.so".into()], ..Forge::dynamic(LOADER) };
        let (loader, library) = (Forge::musl(true).build(), Forge::library("liba.so").build());
        let files: [(&str, &[u8]); 7] = [
            ("bin/app", &app.build()),
            (&LOADER[1..], &loader),
            ("usr/lib/liba.so", &library),
            ("bin/script", b"#!/bin/app\n"),
            ("etc/passwd", b"app:x:7:7::/:/bin/sh\n"),
            ("etc/group", b"app:x:7:\n"),
            ("etc/ld-musl-x86_64.path", b"/usr/lib\n"),
        ];
        let settings = Settings { user: "app".into(), ..entry("/bin/app") };
        let run = |broken: Option<(&str, bool)>| {
            let folder = tempfile::tempdir().unwrap();
            for (name, bytes) in files {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, bytes).unwrap();
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                std::fs::set_permissions(&path, mode).unwrap();
            }
            let tree = crate::codec::dir::scan(folder.path(), &crate::codec::dir::ScanOptions::ALL).unwrap().tree;
            match broken.map(|(name, gone)| (folder.path().join(name), gone)) {
                Some((path, true)) => std::fs::remove_file(path).unwrap(),
                // The size is the same as before.
                Some((path, false)) => {
                    std::fs::write(&path, vec![b' '; std::fs::metadata(&path).unwrap().len() as usize]).unwrap()
                }
                None => {}
            }
            let (platform, policy) = (Platform::new(Arch::Amd64), Policy::default());
            let purpose = Purpose::Container;
            verify(&Subject { settings: Some(&settings), ..Subject::new(&tree, &platform, purpose, &policy) })
        };
        assert_eq!(codes(&run(None).unwrap()), Vec::<&str>::new());
        for (name, _) in files {
            let error = run(Some((name, true))).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.ends_with(&format!("/{name}: No such file or directory")), "{name}: {error}");
            let error = run(Some((name, false))).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(
                error.starts_with("the file changed while it was read: ") && error.ends_with(name),
                "{name}: {error}"
            );
        }
    }

    #[test]
    fn a_health_check_must_start_too() {
        let test = vec!["CMD".to_string(), "/probe".to_string()];
        let settings = Settings { healthcheck: Some(Healthcheck { test, ..Healthcheck::default() }), ..entry("/app") };
        let sample = Sample::new().elf("/app", &Forge::program());
        let result = verified_with(&sample, &settings, &Policy::default());
        assert_eq!(result.report.findings[0].message, "does not exist");
        assert_eq!(result.report.findings[0].roles, [CommandUse::new(CommandRole::Healthcheck, b"/probe")]);
    }

    #[test]
    fn a_library_is_no_program_but_a_loader_is() {
        let sample = Sample::new().elf("/lib/libx.so", &Forge::library("libx.so")).elf(LOADER, &Forge::musl(true));
        assert_eq!(codes(&verified(&sample, "/lib/libx.so")), ["not-a-program"]);
        assert_eq!(codes(&verified(&sample, LOADER)), Vec::<&str>::new());
        let whole = Forge::musl(true).build();
        let cut = Sample::new().bytes(LOADER, 0o755, &whole[..whole.len() - 1]);
        assert_eq!(
            codes(&verified(&cut, LOADER)),
            ["elf-truncated"],
            "a loader that is started is checked like any program"
        );
    }

    #[test]
    fn damaged_files_are_never_taken_for_good_ones() {
        let whole = Forge::program().build();
        for length in 1..whole.len() {
            let sample = Sample::new().bytes("/app", 0o755, &whole[..length]);
            assert!(verified(&sample, "/app").report.refuses(), "{length}");
        }
        assert!(!verified(&Sample::new().bytes("/app", 0o755, &whole), "/app").report.refuses());
    }

    #[test]
    fn pages_of_arm64_are_noted() {
        let small = Forge { machine: 183, ..Forge::program() };
        let sample = Sample::new().elf("/app", &small).elf("/bin/large", &Forge { align: 0x10000, ..small.clone() });
        let platform = Platform::new(Arch::Arm64);
        let policy = Policy::default();
        let subject = Subject::new(&sample.tree, &platform, Purpose::Plain, &policy);
        let result = verify(&subject).unwrap();
        assert_eq!(codes(&result), ["page-align"]);
        assert_eq!(result.report.findings[0].severity, Severity::Note);
    }

    #[test]
    fn each_name_of_a_program_has_its_own_origin() {
        let app =
            Forge { needed: vec!["liba.so".into()], runpath: Some("$ORIGIN/../lib".into()), ..Forge::dynamic(LOADER) };
        let tree = |app: &Forge| {
            Sample::new()
                .elf(LOADER, &Forge::musl(true))
                .elf("/opt/app/lib/liba.so", &Forge::library("liba.so"))
                .elf("/opt/app/bin/app", app)
                .hardlink("/opt/app/bin/other", "/opt/app/bin/app")
                .hardlink("/usr/bin/app", "/opt/app/bin/app")
                .link("/bin/good", "/opt/app/bin/other")
                .link("/bin/bad", "/usr/bin/app")
        };
        let seen = |tree: &Sample, entrypoint: &str| {
            let result = verified(tree, entrypoint);
            let rows: Vec<String> =
                result.programs.iter().map(|one| format!("{} {} {:?}", one.path, one.names, one.verdict)).collect();
            let found: Vec<String> = result
                .report
                .findings
                .iter()
                .map(|one| format!("{} {} {}", one.severity, one.subject, one.also.join(" ")))
                .collect();
            (rows, found)
        };
        let rows = ["/opt/app/bin/app 3 Starts", "/usr/bin/app 2 Fails"].map(String::from).to_vec();
        for entrypoint in ["/bin/good", "/opt/app/bin/app", "/bin/bad", "/usr/bin/app"] {
            let findings = vec!["error /usr/bin/app /bin/bad".to_string()];
            assert_eq!(seen(&tree(&app), entrypoint), (rows.clone(), findings), "{entrypoint}");
        }
        // Outside the program directories it is not an error, and the program starts under the good name.
        let moved = Sample::new()
            .elf(LOADER, &Forge::musl(true))
            .elf("/opt/app/lib/liba.so", &Forge::library("liba.so"))
            .elf("/aaa/app", &app)
            .hardlink("/opt/app/bin/app", "/aaa/app");
        assert_eq!(seen(&moved, "/opt/app/bin/app").1, ["warning /aaa/app "]);
        // If the search path is absolute, all names are one program.
        let absolute = Forge { runpath: Some("/opt/app/lib".into()), ..app.clone() };
        let (rows, found) = seen(&tree(&absolute), "/bin/good");
        assert_eq!((rows, found), (vec!["/opt/app/bin/app 5 Starts".to_string()], Vec::new()));
    }

    #[test]
    fn a_program_that_lacks_hundreds_of_libraries_has_a_hundred_findings_and_the_number_of_the_others() {
        let needed = (0..300).map(|number| format!("lib{number}.so").into_bytes()).collect();
        let sample =
            Sample::new().elf("/app", &Forge { needed, ..Forge::dynamic(LOADER) }).elf(LOADER, &Forge::musl(true));
        let findings = verified(&sample, "/app").report.findings;
        assert_eq!(findings.iter().filter(|finding| finding.code.0 == "lib-missing").count(), 101);
        let more = "has 200 more problems of this kind, which are not listed";
        assert_eq!(findings.iter().filter(|finding| finding.message == more).count(), 1);
    }

    #[test]
    fn policy_is_kept_and_allowances_are_counted() {
        let sample = Sample::new().elf("/app", &Forge::dynamic(LOADER)).elf(LOADER, &Forge::musl(true));
        let policy = Policy { static_only: true, libc: Some(Libc::Glibc), max_size: Some(10), ..Policy::default() };
        assert_eq!(
            codes(&verified_with(&sample, &entry("/app"), &policy)),
            ["policy-static", "policy-libc", "policy-size"]
        );
        let broken = Sample::new().elf("/app", &Forge::dynamic(LOADER));
        let findings = verified(&broken, "/app").report.findings;
        let allow = vec![
            Allowance::new("interp-missing", "/app", None, |path| path.to_string() == "/app"),
            Allowance::new("lib-missing", "", Some("for later".into()), |_| true),
        ];
        let result = verified_with(&broken, &entry("/app"), &Policy { allow, ..Policy::default() });
        assert_eq!((codes(&result), result.accepted), (vec!["allow-unused"], 1));
        let policy = Policy { baseline: Baseline::of(&findings), ..Policy::default() };
        assert_eq!(codes(&verified_with(&broken, &entry("/app"), &policy)), Vec::<&str>::new());
    }

    #[test]
    fn a_mode_is_read_from_the_inode_that_all_names_share() {
        let mut sample = Sample::new().elf("/bin/app", &Forge::program()).hardlink("/bin/other", "/bin/app");
        let id = sample.tree.get(&"/bin/other".parse().unwrap()).unwrap();
        sample.tree.meta_mut(id).mode = Mode::FILE;
        assert_eq!(codes(&verified(&sample, "/bin/app")), ["cmd-not-executable"]);
    }

    #[test]
    fn a_program_with_more_rights_than_its_caller_loses_its_origin() {
        let app =
            Forge { needed: vec!["liba.so".into()], runpath: Some("$ORIGIN/../opt".into()), ..Forge::dynamic(LOADER) };
        let tree = |mode: u32| {
            Sample::new().elf(LOADER, &Forge::musl(true)).elf("/opt/liba.so", &Forge::library("liba.so")).bytes(
                "/bin/app",
                mode,
                &app.build(),
            )
        };
        assert_eq!(codes(&verified(&tree(0o755), "/bin/app")), Vec::<&str>::new());
        // Setuid to the user who starts it: the program gets no more rights.
        assert_eq!(codes(&verified(&tree(0o4755), "/bin/app")), Vec::<&str>::new());
        let set = |user: &str, mode: u32| {
            let settings = Settings { user: user.into(), ..entry("/bin/app") };
            codes(&verified_with(&tree(mode), &settings, &Policy::default()))
        };
        assert_eq!(set("7:7", 0o4755), ["origin-secure"]);
        assert_eq!(set("7:7", 0o2755), ["origin-secure"]);
        assert_eq!(set("7:7", 0o2745), Vec::<&str>::new(), "without the group's execute bit it is no set-group-ID");
        let mut capable = tree(0o755);
        let id = capable.tree.get(&"/bin/app".parse().unwrap()).unwrap();
        capable.tree.meta_mut(id).xattrs.insert((*b"security.capability").into(), [1].into());
        let as_user = |user: &str| {
            codes(&verified_with(&capable, &Settings { user: user.into(), ..entry("/bin/app") }, &Policy::default()))
        };
        assert_eq!(as_user("0"), Vec::<&str>::new());
        assert_eq!(as_user("7:7"), ["origin-secure"]);
    }

    #[test]
    fn threads_change_nothing() {
        let mut sample = Sample::new().elf(LOADER, &Forge::musl(true)).text("/bin/run", 0o755, "#!/bin/p3\n");
        for number in 0..40 {
            let needed = vec![format!("lib{number}.so").into_bytes()];
            sample = sample.elf(&format!("/bin/p{number}"), &Forge { needed, ..Forge::dynamic(LOADER) });
        }
        let with = |threads: usize| {
            let result = verified_with(&sample, &entry("/bin/run"), &Policy { threads, ..Policy::default() });
            (result.report, result.programs)
        };
        assert_eq!(with(0).0.findings.len(), 40);
        assert_eq!(with(0), with(7));
    }

    #[test]
    fn hostile_bytes_end_in_a_judgement() {
        let app = |loader: &str| Forge {
            needed: vec!["liba.so".into()],
            runpath: Some("$ORIGIN:/opt/$LIB".into()),
            calls: vec!["a".into()],
            version_needs: vec![("liba.so".into(), vec!["V_1".into()])],
            ..Forge::dynamic(loader)
        };
        let library = Forge {
            defines: vec!["a".into()],
            version_definitions: vec!["liba.so".into(), "V_1".into()],
            ..Forge::library("liba.so")
        };
        let cache = b"glibc-ld.so.cache1.1\x01\0\0\0\x20\0\0\0\x02".to_vec();
        let script = b"#!/usr/bin/env -S sh -e\n".to_vec();
        let glibc = "/lib64/ld-linux-x86-64.so.2";
        let files = [
            ("/bin/m", app(LOADER).build()),
            ("/bin/g", app(glibc).build()),
            (LOADER, Forge::musl(true).build()),
            (glibc, Forge::glibc().build()),
            ("/lib/liba.so", library.build()),
            ("/etc/ld.so.cache", cache),
            ("/etc/ld-musl-x86_64.path", b"/lib\n/opt:/usr/lib\n".to_vec()),
            ("/bin/s", script),
        ];
        // A fixed sequence of changes: the same on every machine.
        let mut state = 1u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..1500 {
            let chosen = next(files.len());
            let mut sample = Sample::new();
            for (number, (path, bytes)) in files.iter().enumerate() {
                let mut bytes = bytes.clone();
                if number == chosen {
                    for _ in 0..=next(4) {
                        let at = next(bytes.len());
                        bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'$', b'/', b'\n'][next(8)];
                    }
                    if next(8) == 0 {
                        bytes.truncate(next(bytes.len()));
                    }
                }
                sample = sample.bytes(path, 0o755, &bytes);
            }
            assert!(verified(&sample, "/bin/m").programs.len() <= 4);
        }
    }
}
