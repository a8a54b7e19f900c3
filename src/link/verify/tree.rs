//! The whole judgement of one tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::elf::Linkage;
use crate::oci::Settings;
use crate::path::{ImagePath, display_bytes};
use crate::report::{Code, Finding, Severity};
use crate::tree::{Content, InodeId};

use super::accept::{accept, policy_drafts, size_draft};
use super::finding::Target;
use super::programs::{self, Names, Weight, weight};
use super::surroundings::Surroundings;
use crate::link::draft::{Draft, Ending, ExecError};
use crate::link::files::{Files, words_of};
use crate::link::init::{self, FirstProgram};
use crate::link::kernel::exec::{LOADER_UNKNOWN, PACKED, Scene};
use crate::link::load::Loading;
use crate::link::loader::Flavour;
use crate::link::lookup::{self, CMD_NOT_EXECUTABLE, CMD_NOT_FOUND, USER_MISSING};
use crate::link::policy::Libc;
use crate::link::process::Environment;
use crate::link::script::check::Search;
use crate::link::slots::Slots;
use crate::link::subject::{Judgement, Program, Purpose, Subject, Verdict};
use crate::link::user::{Nobody, Person};

/// A file of the tree cannot be read.
pub const UNREADABLE: Code = Code("unreadable");
/// Judges a tree.
pub fn verify(subject: &Subject<'_>) -> Judgement {
    let files = Files::new(subject.tree, subject.platform.arch);
    let loaders = Slots::new(subject.tree.inode_count());
    let mut judge = Judge {
        subject,
        files: &files,
        loaders: &loaders,
        names: Names::of(subject.tree),
        path: lookup::search_path(subject.settings),
        directory: lookup::working_directory(subject.settings),
        environment: Environment::of(subject.settings),
        cwd: ImagePath::root(),
        person: Person::root(),
        first: None,
        targets: BTreeMap::new(),
        findings: Vec::new(),
        programs: Vec::new(),
        loaded: BTreeSet::new(),
    };
    if let Ok(found) = files.find(&ImagePath::root(), &judge.directory)
        && subject.tree.inode(found.id).is_directory()
    {
        judge.cwd = found.path;
    }
    judge.look_for_first();
    judge.look_for_named();
    judge.look_for_programs();
    judge.follow_scripts();
    judge.judge_targets();
    judge.judge_surroundings();
    judge.judge_size();
    let (report, accepted) = accept(subject, judge.findings);
    let mut programs = judge.programs;
    programs.sort_by(|a, b| a.path.cmp(&b.path));
    Judgement { report, programs, accepted }
}

/// What is known of one target.
#[derive(Debug, Default)]
struct Judged {
    drafts: Vec<Draft>,
    program: Option<Program>,
    /// The files that it loads.
    loads: Vec<InodeId>,
}

struct Judge<'a> {
    subject: &'a Subject<'a>,
    files: &'a Files<'a>,
    loaders: &'a Slots<Flavour>,
    names: Names<'a>,
    path: Vec<Vec<u8>>,
    directory: Vec<u8>,
    environment: Environment,
    cwd: ImagePath,
    person: Person,
    /// The start of an initramfs.
    first: Option<FirstProgram>,
    targets: BTreeMap<InodeId, Target>,
    findings: Vec<(ImagePath, Finding)>,
    programs: Vec<Program>,
    /// Every file that some program loads.
    loaded: BTreeSet<InodeId>,
}

impl<'a> Judge<'a> {
    fn look_for_named(&mut self) {
        let subject = self.subject;
        match &subject.purpose {
            Purpose::Container => {
                if let Some(settings) = subject.settings {
                    self.look_for_commands(settings);
                }
            }
            Purpose::Initramfs { init } => self.look_for_init(init),
            Purpose::Part | Purpose::Plain => {}
            Purpose::Programs(paths) => {
                for path in paths {
                    match self.files.find(&ImagePath::root(), path.as_bytes()) {
                        Ok(found) => self.raise(found.id, Weight::Found, None),
                        Err(error) => self.tell_of_path(path.clone(), Draft::error(CMD_NOT_FOUND, words_of(&error))),
                    }
                }
            }
        }
        for path in &subject.policy.programs {
            match lookup::find(self.files, "asked for", path.as_bytes(), &[], b"/") {
                Ok(named) => self.raise(named.found.id, Weight::Named, Some((named.role, named.spelled))),
                Err(fault) => self.tell_of_path(path.clone(), fault.draft),
            }
        }
    }

    fn look_for_commands(&mut self, settings: &Settings) {
        match Person::named(self.subject.tree, &settings.user) {
            Ok(person) => self.person = person,
            Err(nobody) => {
                let (what, name, file) = match nobody {
                    Nobody::User(name) => ("user", name, "passwd"),
                    Nobody::Group(name) => ("group", name, "group"),
                };
                let draft =
                    Draft::error(USER_MISSING, format!("has no entry for the {what} that the image runs as: {name}"))
                        .says(format!("unable to find {what} {name}: no matching entries in {file} file"))
                        .fix(format!("add it as a [[{what}]], or give its number"));
                self.tell_of_path(
                    ImagePath::parse(format!("/etc/{file}").as_bytes()).unwrap_or(ImagePath::root()),
                    draft,
                );
            }
        }
        let commands = lookup::commands(settings);
        if commands.iter().any(|(_, word)| !word.contains(&b'/'))
            && let Some(draft) = lookup::relative_elements(&self.path)
        {
            self.tell_of_path(ImagePath::root(), draft);
        }
        for (role, word) in commands {
            match lookup::find(self.files, role, &word, &self.path, &self.directory) {
                Ok(named) => self.raise(named.found.id, Weight::Named, Some((role, named.spelled))),
                Err(fault) => {
                    self.tell(display_bytes(&fault.path), ImagePath::parse(&fault.path).ok(), fault.draft);
                }
            }
        }
    }

    /// What matters for an initramfs only.
    fn look_for_first(&mut self) {
        let (mut lacking, mut first) = (None, None);
        match &self.subject.purpose {
            Purpose::Initramfs { init } => {
                let person = Person::root();
                let scene = self.scene(Weight::Named, &person);
                first = Some(FirstProgram::of(&scene, init));
                lacking = init::mount_points(&scene, init);
            }
            Purpose::Part => {}
            Purpose::Container | Purpose::Plain | Purpose::Programs(_) => return,
        }
        self.first = first;
        for (path, draft) in lacking.into_iter().chain(init::lost(self.subject.tree)) {
            self.tell_of_path(path, draft);
        }
    }

    fn look_for_init(&mut self, init: &ImagePath) {
        match lookup::find(self.files, "init", init.as_bytes(), &[], b"/") {
            Ok(named) => self.raise(named.found.id, Weight::Named, Some((named.role, named.spelled))),
            Err(fault) => {
                let mut draft = fault.draft;
                let words = match &self.first {
                    Some(first) if draft.code == CMD_NOT_EXECUTABLE => {
                        draft.evidence.push(first.evidence());
                        first.words(&Ending::Refused(ExecError::Denied))
                    }
                    _ => None,
                };
                let no_root = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)";
                draft.ending = Ending::Says(words.unwrap_or_else(|| no_root.into()));
                self.tell_of_path(init.clone(), draft);
            }
        }
    }

    fn look_for_programs(&mut self) {
        if matches!(self.subject.purpose, Purpose::Programs(_)) {
            return;
        }
        for id in programs::files(self.subject.tree) {
            if let Some(weight) = weight(self.files, id, &self.names, &self.path) {
                self.raise(id, weight, None);
            }
        }
    }

    /// Notes that a file must start; whether that matters more than before.
    fn raise(&mut self, id: InodeId, weight: Weight, role: Option<(&'static str, Vec<u8>)>) {
        let Some(path) = self.names.of_inode(id).first().cloned() else { return };
        let target = self.targets.entry(id).or_insert(Target { weight, path, roles: Vec::new(), scripts: 0 });
        target.weight = target.weight.max(weight);
        target.roles.extend(role);
    }

    /// What a script needs must start as surely as the script itself.
    fn follow_scripts(&mut self) {
        let mut pending: Vec<InodeId> = self.targets.keys().copied().collect();
        let mut counted = BTreeSet::new();
        while let Some(id) = pending.pop() {
            let Some(weight) = self.targets.get(&id).map(|target| target.weight) else { continue };
            let Some(probe) = self.files.probe(id).filter(|probe| probe.elf.is_none()) else { continue };
            let person = self.person_for(weight).clone();
            let search = Search { path: &self.path, directory: &self.directory };
            let starts = self.scene(weight, &person).script(id, probe, &search).starts;
            for next in starts.into_iter().map(|started| started.id) {
                let before = self.targets.get(&next).map(|target| target.weight);
                self.raise(next, weight, None);
                if counted.insert((id, next))
                    && let Some(target) = self.targets.get_mut(&next)
                {
                    target.scripts += 1;
                }
                if before.is_none_or(|before| before < weight) {
                    pending.push(next);
                }
            }
        }
    }

    fn judge_targets(&mut self) {
        let mut targets: Vec<(InodeId, Target)> =
            self.targets.iter().map(|(id, target)| (*id, target.clone())).collect();
        targets.sort_by(|(_, a), (_, b)| {
            b.weight.eq(&Weight::Named).cmp(&a.weight.eq(&Weight::Named)).then(a.path.cmp(&b.path))
        });
        let judged = self.judge_all(&targets);
        for ((id, target), judged) in targets.iter().zip(judged) {
            self.programs.extend(judged.program);
            self.loaded.extend(judged.loads);
            for draft in judged.drafts {
                let fails = draft.severity == Severity::Error;
                let first = self.first.as_ref().filter(|first| fails && first.needs(*id));
                let words = first.and_then(|first| first.words(&draft.ending));
                let refused = matches!(draft.ending, Ending::Refused(_));
                let mut finding = self.subject.finding(self.names.of_inode(*id), target, draft);
                finding.run_time = words.or(finding.run_time);
                finding.evidence.extend(first.filter(|_| refused).map(FirstProgram::evidence));
                self.findings.push((target.path.clone(), finding));
            }
        }
    }

    /// Judges each target; several threads take them in turn, and the results keep their order.
    fn judge_all(&self, targets: &[(InodeId, Target)]) -> Vec<Judged> {
        let next = AtomicUsize::new(0);
        let slots: Vec<OnceLock<Judged>> = std::iter::repeat_with(OnceLock::new).take(targets.len()).collect();
        let work = || {
            while let Some((at, (id, target))) = {
                let at = next.fetch_add(1, Ordering::Relaxed);
                targets.get(at).map(|target| (at, target))
            } {
                if let Some(slot) = slots.get(at) {
                    let _ = slot.set(self.judge_one(*id, target));
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.subject.policy.threads.min(targets.len()) {
                scope.spawn(work);
            }
            work();
        });
        slots.into_iter().map(|slot| slot.into_inner().unwrap_or_default()).collect()
    }

    fn judge_one(&self, id: InodeId, target: &Target) -> Judged {
        let mut judged = Judged::default();
        let Some(probe) = self.files.probe(id) else { return judged };
        let person = self.person_for(target.weight);
        if let Some(error) = &probe.error {
            let draft = Draft::error(UNREADABLE, format!("cannot be judged: {error}"));
            judged.drafts.push(draft.fix("make it readable and keep it as it is while it is judged"));
        } else if target.weight == Weight::Named && !person.may_execute(&self.subject.tree.inode(id).meta) {
            judged.drafts.push(self.not_for_this_person(id, person));
        } else if let Some(facts) = &probe.elf {
            let start = self.scene(target.weight, person).start(id, &target.path, facts);
            judged.drafts = start.drafts;
            let mut demand = None;
            if let Some((loader, flavour)) = &start.loader {
                let loading = self.loading(id, person);
                if let Some(loaded) = loading.load_twice(id, &target.path, loader, flavour, self.is_privileged(id)) {
                    judged.loads = loaded.objects.iter().map(|object| object.id).collect();
                    judged.drafts.extend(loaded.drafts);
                    demand = loaded.demand;
                }
            }
            judged.program = self.listed(id, target, start.linkage, start.libc, probe.size, &judged.drafts);
            if let Some(program) = &mut judged.program {
                program.needs_glibc = demand;
            }
            judged.drafts.extend(policy_drafts(self.subject.policy, start.linkage, start.libc));
        } else {
            let search = Search { path: &self.path, directory: &self.directory };
            judged.drafts = self.scene(target.weight, person).script(id, probe, &search).drafts;
        }
        judged
    }

    /// Whether a program gets more rights than who starts it. File capabilities give root nothing that it has not.
    fn is_privileged(&self, id: InodeId) -> bool {
        let meta = &self.subject.tree.inode(id).meta;
        meta.mode.bits() & 0o6000 != 0
            || (self.person.uid != 0 && meta.xattrs.contains_key(b"security.capability".as_slice()))
    }

    fn not_for_this_person(&self, id: InodeId, person: &Person) -> Draft {
        let meta = &self.subject.tree.inode(id).meta;
        Draft::error(CMD_NOT_EXECUTABLE, format!("may not be executed by uid {}", person.uid))
            .refused(ExecError::Denied)
            .because("mode and owner", format!("{} {}:{}", meta.mode, meta.uid, meta.gid))
            .fix("give it an execute bit for that user, or run the image as its owner")
    }

    fn listed(
        &self,
        id: InodeId,
        target: &Target,
        linkage: Linkage,
        libc: Option<Libc>,
        size: u64,
        drafts: &[Draft],
    ) -> Option<Program> {
        let word = match linkage {
            Linkage::Static => "static",
            Linkage::StaticPie | Linkage::StaticPieLikely => "static-pie",
            Linkage::Dynamic => "dynamic",
            Linkage::Foreign => "foreign",
            Linkage::Object | Linkage::SharedObject => return None,
        };
        let worst = drafts.iter().map(|draft| draft.severity).max();
        let unknown = [PACKED, LOADER_UNKNOWN];
        let verdict = match worst {
            Some(Severity::Error) => Verdict::Fails,
            _ if drafts.iter().any(|draft| unknown.contains(&draft.code)) => Verdict::Unknown,
            Some(Severity::Warning) => Verdict::MayFail,
            _ if linkage == Linkage::StaticPieLikely => Verdict::MayFail,
            Some(Severity::Note) | None => Verdict::Starts,
        };
        Some(Program {
            path: target.path.to_string(),
            names: self.names.of_inode(id).len(),
            linkage: word,
            libc,
            size,
            verdict,
            needs_glibc: None,
        })
    }

    /// What no single program is judged by, told once for the tree.
    fn judge_surroundings(&mut self) {
        if matches!(self.subject.purpose, Purpose::Programs(_)) {
            return;
        }
        let glibc = self.loaders.iter().find_map(|loader| match loader {
            Flavour::Glibc(loader) => Some(loader),
            Flavour::Musl(_) | Flavour::Bionic | Flavour::Gcompat | Flavour::Unknown => None,
        });
        let drafts = Surroundings { files: self.files, glibc, loaded: &self.loaded }.judge();
        for (path, draft) in drafts {
            self.tell_of_path(path, draft);
        }
    }

    fn judge_size(&mut self) {
        let tree = self.subject.tree;
        let contents = programs::files(tree).filter_map(|id| self.files.content(id));
        let size = contents.map(Content::size).fold(0, u64::saturating_add);
        if let Some(draft) = size_draft(self.subject.policy, size) {
            self.tell_of_path(ImagePath::root(), draft);
        }
    }

    fn tell(&mut self, shown: String, path: Option<ImagePath>, draft: Draft) {
        let finding = self.subject.plain_finding(shown, draft);
        self.findings.push((path.unwrap_or(ImagePath::root()), finding));
    }

    fn scene<'s>(&'s self, weight: Weight, person: &'s Person) -> Scene<'s> {
        Scene {
            files: self.files,
            whole: self.subject.purpose.whole(),
            cwd: &self.cwd,
            person,
            named: weight == Weight::Named,
            loaders: self.loaders,
        }
    }

    fn loading<'s>(&'s self, id: InodeId, person: &'s Person) -> Loading<'s> {
        Loading {
            files: self.files,
            environment: &self.environment,
            cwd: &self.cwd,
            person,
            // Nothing is mounted when the first program of an initramfs starts.
            proc: !self.first.as_ref().is_some_and(|first| first.needs(id)),
        }
    }

    /// Who starts it: what the image names is started by its user, the rest by whom one may expect to be allowed.
    fn person_for(&self, weight: Weight) -> &Person {
        static ROOT: OnceLock<Person> = OnceLock::new();
        match weight {
            Weight::Named => &self.person,
            Weight::Found | Weight::Elsewhere => ROOT.get_or_init(Person::root),
        }
    }

    fn tell_of_path(&mut self, path: ImagePath, draft: Draft) {
        self.tell(path.to_string(), Some(path), draft);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::link::sample::Sample;
    use crate::link::{Allowance, Baseline, Policy};
    use crate::oci::Healthcheck;
    use crate::platform::{Arch, Platform};
    use crate::tree::Mode;

    const LOADER: &str = "/lib/ld-musl-x86_64.so.1";

    fn judge_with(sample: &Sample, settings: &Settings, policy: &Policy) -> Judgement {
        let platform = Platform::new(Arch::Amd64);
        let subject = Subject {
            tree: &sample.tree,
            platform: &platform,
            settings: Some(settings),
            purpose: Purpose::Container,
            policy,
        };
        verify(&subject)
    }

    fn entry(path: &str) -> Settings {
        Settings { entrypoint: vec![path.into()], ..Settings::default() }
    }

    fn judge(sample: &Sample, entrypoint: &str) -> Judgement {
        judge_with(sample, &entry(entrypoint), &Policy::default())
    }

    fn codes(judgement: &Judgement) -> Vec<&'static str> {
        judgement.report.findings.iter().map(|finding| finding.code.0).collect()
    }

    fn run_time(judgement: &Judgement) -> &str {
        judgement.report.findings[0].run_time.as_deref().unwrap_or_default()
    }

    #[test]
    fn a_program_without_its_loader_is_one_finding_however_many_names_it_has() {
        let mut sample = Sample::new().elf("/bin/busybox", &Forge::dynamic(LOADER)).link("/bin/sh", "busybox");
        for number in 0..300 {
            sample = sample.link(&format!("/usr/bin/applet{number}"), "/bin/busybox");
        }
        let judgement = judge(&sample.hardlink("/sbin/init", "/bin/busybox"), "/bin/sh");
        assert_eq!(codes(&judgement), ["interp-missing"]);
        let finding = &judgement.report.findings[0];
        assert_eq!(
            format!("{} {}", finding.path, finding.message),
            "/bin/busybox needs /lib/ld-musl-x86_64.so.1, which the image does not contain"
        );
        assert_eq!(finding.evidence[0].subject, "PT_INTERP of /bin/busybox");
        assert_eq!(finding.evidence[0].detail, "302 links point at it, the entry point /bin/sh among them");
        assert_eq!(finding.run_time.as_deref(), Some("exec /bin/sh: no such file or directory"));
        assert_eq!(finding.also.len(), 302);
        assert_eq!(judgement.programs[0].names, 303);
        assert_eq!((judgement.programs[0].linkage, judgement.programs[0].verdict), ("dynamic", Verdict::Fails));
        assert_eq!(judgement.programs[0].libc, Some(Libc::Musl));
    }

    #[test]
    fn what_stands_at_the_loaders_path_decides() {
        let program = Forge::dynamic(LOADER);
        let other = Forge { machine: 183, ..Forge::musl(true) };
        let with = |sample: Sample| {
            let judgement = judge(&sample.elf("/app", &program), "/app");
            (codes(&judgement), run_time(&judgement).to_string())
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
        let judgement = judge(&Sample::new().elf(LOADER, &Forge::musl(true)).elf("/app", &program), "/app");
        assert_eq!(codes(&judgement), Vec::<&str>::new());
        assert_eq!(judgement.programs[0].verdict, Verdict::Starts);
    }

    #[test]
    fn a_program_of_another_machine_or_system_is_named() {
        let arm = Forge { machine: 183, ..Forge::program() };
        let judgement = judge(&Sample::new().elf("/app", &arm), "/app");
        assert_eq!(judgement.report.findings[0].message, "is for arm64, and the platform is amd64");
        assert_eq!(run_time(&judgement), "exec /app: exec format error");
        let judgement = judge(&Sample::new().elf("/app", &Forge::dynamic("/system/bin/linker64")), "/app");
        assert_eq!(codes(&judgement), ["android-binary"]);
        assert_eq!(run_time(&judgement), "exec /app: no such file or directory");
        let elsewhere = Sample::new().elf("/app", &Forge::program()).elf("/usr/lib/x/prebuilt", &arm);
        let judgement = judge(&elsewhere, "/app");
        assert_eq!(judgement.report.findings[0].severity, Severity::Warning);
        assert_eq!(codes(&judge(&elsewhere.elf("/usr/bin/x", &arm), "/app")), ["wrong-arch", "wrong-arch"]);
    }

    #[test]
    fn scripts_pass_their_weight_to_what_they_need() {
        let sample =
            Sample::new().text("/opt/run.sh", 0o755, "#!/srv/shell -e\n").elf("/srv/shell", &Forge::dynamic(LOADER));
        let judgement = judge(&sample, "/opt/run.sh");
        assert_eq!(codes(&judgement), ["interp-missing"]);
        let finding = &judgement.report.findings[0];
        assert_eq!((finding.path.as_str(), finding.severity), ("/srv/shell", Severity::Error));
        assert_eq!(finding.evidence[0].detail, "1 script is run by it");
    }

    #[test]
    fn script_rules() {
        let program = Forge::program();
        let base = || {
            Sample::new().elf("/bin/sh", &program).elf("/bin/busybox", &program).link("/usr/bin/env", "/bin/busybox")
        };
        let gnu = || Sample::new().elf("/bin/sh", &program).elf("/usr/bin/env", &program);
        let code = |sample: Sample, text: &str| {
            let judgement = judge(&sample.text("/app", 0o755, text), "/app");
            codes(&judgement).first().copied().unwrap_or("starts")
        };
        for (text, busybox, coreutils) in [
            ("#!/bin/sh\n", "starts", "starts"),
            ("#!/bin/bash\n", "script-interp-missing", "script-interp-missing"),
            ("#!/bin/sh\r\n", "script-crlf", "script-crlf"),
            ("#!/bin/sh -e\r\n", "starts", "starts"),
            ("\u{feff}#!/bin/sh\n", "script-bom", "script-bom"),
            ("echo\n", "script-no-shebang", "script-no-shebang"),
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
            codes(&judge(&sample, &format!("/s{count}")))
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
        let judgement = judge(&sample, "/bin/app");
        assert_eq!(codes(&judgement), ["cmd-not-executable"]);
        assert_eq!(run_time(&judgement), "exec: \"/bin/app\": permission denied: unknown (exit code 126)");
        assert_eq!(codes(&judge(&sample, "app")), ["cmd-not-found"]);
        assert_eq!(codes(&judge(&sample, "/nowhere")), ["cmd-not-found"]);
        assert_eq!(codes(&judge(&sample, "")), ["cmd-not-found"]);
        let private = Sample::new().bytes("/bin/app", 0o700, &Forge::program().build()).text(
            "/etc/passwd",
            0o644,
            "app:x:10:10::/:\n",
        );
        let as_user = |user: &str| {
            codes(&judge_with(&private, &Settings { user: user.into(), ..entry("/bin/app") }, &Policy::default()))
        };
        assert_eq!(as_user(""), Vec::<&str>::new());
        assert_eq!(as_user("app"), ["cmd-not-executable"]);
        assert_eq!(as_user("web"), ["user-missing"]);
    }

    #[test]
    fn a_health_check_must_start_too() {
        let test = vec!["CMD".to_string(), "/probe".to_string()];
        let settings = Settings { healthcheck: Some(Healthcheck { test, ..Healthcheck::default() }), ..entry("/app") };
        let sample = Sample::new().elf("/app", &Forge::program());
        let judgement = judge_with(&sample, &settings, &Policy::default());
        assert_eq!(judgement.report.findings[0].message, "is the health check, and there is no such file");
    }

    #[test]
    fn a_library_is_no_program_but_a_loader_is() {
        let sample = Sample::new().elf("/lib/libx.so", &Forge::library("libx.so")).elf(LOADER, &Forge::musl(true));
        assert_eq!(codes(&judge(&sample, "/lib/libx.so")), ["not-a-program"]);
        assert_eq!(codes(&judge(&sample, LOADER)), Vec::<&str>::new());
        let whole = Forge::musl(true).build();
        let cut = Sample::new().bytes(LOADER, 0o755, &whole[..whole.len() - 1]);
        assert_eq!(codes(&judge(&cut, LOADER)), ["elf-truncated"], "a loader that is started is judged as any program");
    }

    #[test]
    fn damaged_files_are_never_taken_for_good_ones() {
        let whole = Forge::program().build();
        for length in 1..whole.len() {
            let sample = Sample::new().bytes("/app", 0o755, &whole[..length]);
            assert!(judge(&sample, "/app").report.refuses(), "{length}");
        }
        assert!(!judge(&Sample::new().bytes("/app", 0o755, &whole), "/app").report.refuses());
    }

    #[test]
    fn pages_of_arm64_are_noted() {
        let small = Forge { machine: 183, ..Forge::program() };
        let sample = Sample::new().elf("/app", &small).elf("/bin/large", &Forge { align: 0x10000, ..small.clone() });
        let platform = Platform::new(Arch::Arm64);
        let policy = Policy::default();
        let subject = Subject {
            tree: &sample.tree,
            platform: &platform,
            settings: None,
            purpose: Purpose::Plain,
            policy: &policy,
        };
        let judgement = verify(&subject);
        assert_eq!(codes(&judgement), ["arm64-page-align"]);
        assert_eq!(judgement.report.findings[0].severity, Severity::Note);
    }

    #[test]
    fn policy_is_kept_and_allowances_are_counted() {
        let sample = Sample::new().elf("/app", &Forge::dynamic(LOADER)).elf(LOADER, &Forge::musl(true));
        let policy = Policy { static_only: true, libc: Some(Libc::Glibc), max_size: Some(10), ..Policy::default() };
        assert_eq!(
            codes(&judge_with(&sample, &entry("/app"), &policy)),
            ["policy-static", "policy-libc", "policy-size"]
        );
        let broken = Sample::new().elf("/app", &Forge::dynamic(LOADER));
        let findings = judge(&broken, "/app").report.findings;
        let allow = vec![
            Allowance::new("interp-missing", "/app", None, |path| path.to_string() == "/app"),
            Allowance::new("lib-missing", "", Some("for later".into()), |_| true),
        ];
        let judgement = judge_with(&broken, &entry("/app"), &Policy { allow, ..Policy::default() });
        assert_eq!((codes(&judgement), judgement.accepted), (vec!["allow-unused"], 1));
        let policy = Policy { baseline: Baseline::of(&findings), ..Policy::default() };
        assert_eq!(codes(&judge_with(&broken, &entry("/app"), &policy)), Vec::<&str>::new());
    }

    #[test]
    fn a_mode_is_read_from_the_inode_that_all_names_share() {
        let mut sample = Sample::new().elf("/bin/app", &Forge::program()).hardlink("/bin/other", "/bin/app");
        let id = sample.tree.get(&"/bin/other".parse().unwrap()).unwrap();
        sample.tree.meta_mut(id).mode = Mode::FILE;
        assert_eq!(codes(&judge(&sample, "/bin/app")), ["cmd-not-executable"]);
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
        assert_eq!(codes(&judge(&tree(0o755), "/bin/app")), Vec::<&str>::new());
        assert_eq!(codes(&judge(&tree(0o4755), "/bin/app")), ["origin-secure"]);
        let mut capable = tree(0o755);
        let id = capable.tree.get(&"/bin/app".parse().unwrap()).unwrap();
        capable.tree.meta_mut(id).xattrs.insert((*b"security.capability").into(), [1].into());
        let as_user = |user: &str| {
            codes(&judge_with(&capable, &Settings { user: user.into(), ..entry("/bin/app") }, &Policy::default()))
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
            let judgement = judge_with(&sample, &entry("/bin/run"), &Policy { threads, ..Policy::default() });
            (judgement.report, judgement.programs)
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
            assert!(judge(&sample, "/bin/m").programs.len() <= 4);
        }
    }
}
