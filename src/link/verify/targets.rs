//! The first step: which files must start.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::link::draft::{Draft, Ending, ExecError, PlainDraft};
use crate::link::init;
use crate::link::lookup::{self, CMD_NOT_EXECUTABLE, CMD_NOT_FOUND, USER_MISSING};
use crate::link::settings;
use crate::link::subject::Purpose;
use crate::link::user::UnknownUser;
use crate::oci::Settings;
use crate::parallel::{Threads, in_order};
use crate::path::ImagePath;
use crate::report::{CommandRole, CommandUse, FindingSubject};
use crate::tree::InodeId;

use super::context::Context;
use super::finding::Target;
use super::programs::{self, Weight, is_program, weight};

/// The files that must start, and the findings of the search for them.
pub(crate) struct Targets {
    /// First those that the image config names, then the others by path.
    pub files: Vec<(InodeId, Target)>,
    pub drafts: Vec<PlainDraft>,
}

impl Targets {
    /// Finds all of them.
    pub fn of(context: &Context<'_>) -> Targets {
        let mut search = Found { context, files: BTreeMap::new(), drafts: Vec::new() };
        search.initramfs();
        search.named();
        search.programs();
        let Found { mut files, drafts, .. } = search;
        follow_scripts(context, &mut files);
        let mut files: Vec<(InodeId, Target)> = files.into_iter().map(|((id, _), target)| (id, target)).collect();
        files.sort_by(|(_, a), (_, b)| {
            b.weight.eq(&Weight::Named).cmp(&a.weight.eq(&Weight::Named)).then(a.path.cmp(&b.path))
        });
        Targets { files, drafts }
    }
}

/// The files, by inode and by the group of names under which they start alike.
type Known = BTreeMap<(InodeId, usize), Target>;

/// The targets and findings so far.
struct Found<'a> {
    context: &'a Context<'a>,
    files: Known,
    drafts: Vec<PlainDraft>,
}

impl Found<'_> {
    /// Checks that matter for an initramfs only.
    fn initramfs(&mut self) {
        let subject = self.context.subject;
        let missing = match &subject.purpose {
            Purpose::Initramfs { init } => init::mount_points(&self.context.exec(Weight::Named), init),
            Purpose::Part => None,
            Purpose::Container | Purpose::Plain | Purpose::Programs(_) => return,
        };
        for (path, draft) in missing.into_iter().chain(init::lost(subject.tree)) {
            self.report(&path, draft);
        }
    }

    /// Adds what the image config, the caller or the policy names.
    fn named(&mut self) {
        let subject = self.context.subject;
        match &subject.purpose {
            Purpose::Container => subject.settings.into_iter().for_each(|settings| self.commands(settings)),
            Purpose::Initramfs { init } => self.init(init),
            Purpose::Part | Purpose::Plain => {}
            Purpose::Programs(paths) => {
                for path in paths {
                    match self.context.files.find(&ImagePath::root(), path.as_bytes()) {
                        Ok(found) => {
                            add(self.context, &mut self.files, found.id, &found.path, Weight::Found);
                        }
                        Err(error) => {
                            self.report(path, Draft::error(CMD_NOT_FOUND, self.context.files.words_of(&error)))
                        }
                    }
                }
            }
        }
        for path in &subject.policy.programs {
            if let Err(fault) = self.command(CommandRole::Required, path.as_bytes(), &[], b"/") {
                self.drafts.push(*fault);
            }
        }
    }

    fn commands(&mut self, settings: &Settings) {
        if let Some(unknown) = &self.context.unknown_user {
            self.unknown_user(unknown);
        }
        let context = self.context;
        let layers = context.subject.layers;
        self.drafts.extend(settings::check(settings, context.user(Weight::Named), layers, context.files));
        let commands = lookup::commands(settings);
        if commands.iter().any(|(_, word)| !word.contains(&b'/')) {
            self.drafts.extend(lookup::relative_entries(&self.context.path));
        }
        for (role, word) in commands {
            if let Err(fault) = self.command(role, &word, &self.context.path, &self.context.directory) {
                self.drafts.push(*fault);
            }
        }
    }

    fn unknown_user(&mut self, unknown: &UnknownUser) {
        let (what, name, file) = match unknown {
            UnknownUser::User(name) => ("user", name, "passwd"),
            UnknownUser::Group(name) => ("group", name, "group"),
        };
        let draft = Draft::error(USER_MISSING, format!("has no entry for the {what} that the image runs as: {name}"))
            .says(format!("unable to find {what} {name}: no matching entries in {file} file"))
            .fix(format!("add it as a [[{what}]], or use its number"));
        self.drafts.push(PlainDraft::new(FindingSubject::Path(format!("/etc/{file}")), draft));
    }

    fn init(&mut self, init: &ImagePath) {
        let Err(mut fault) = self.command(CommandRole::Init, init.as_bytes(), &[], b"/") else { return };
        let draft = &mut fault.draft;
        let words = match &self.context.first {
            Some(first) if draft.code == CMD_NOT_EXECUTABLE => {
                draft.evidence.push(first.evidence());
                first.words(&Ending::Refused(ExecError::Denied))
            }
            _ => None,
        };
        let no_root = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)";
        draft.ending = Ending::Says(words.unwrap_or_else(|| no_root.into()));
        self.drafts.push(*fault);
    }

    fn command(
        &mut self,
        role: CommandRole,
        word: &[u8],
        path: &[Vec<u8>],
        directory: &[u8],
    ) -> Result<(), Box<PlainDraft>> {
        let named = lookup::find(self.context.files, self.context.user(Weight::Named), role, word, path, directory)?;
        let added = add(self.context, &mut self.files, named.found.id, &named.found.path, Weight::Named);
        if let Some(target) = added.and_then(|(key, _)| self.files.get_mut(&key)) {
            target.roles.push(CommandUse::new(named.role, &named.spelled));
        }
        Ok(())
    }

    /// Adds every program of the tree. Each file is opened and read here, in several threads.
    fn programs(&mut self) {
        let Context { subject, files, names, path, .. } = self.context;
        if matches!(subject.purpose, Purpose::Programs(_)) {
            return;
        }
        let weigh = |id: InodeId, (): &mut ()| is_program(files, id, names, path).then_some(id);
        let take = |found: Option<InodeId>| {
            if let Some(id) = found {
                for (group, names) in self.context.names_alike(id).into_iter().enumerate() {
                    let weight = weight(&names, path);
                    add_names(&mut self.files, (id, group), names, weight);
                }
            }
            Ok::<(), std::convert::Infallible>(())
        };
        let threads = Threads::working(subject.policy.threads);
        match in_order(threads, UNDER_WAY, programs::files(subject.tree), || (), weigh, take) {
            Ok(()) => {}
        }
    }

    fn report(&mut self, path: &ImagePath, draft: Draft) {
        self.drafts.push(PlainDraft::new(FindingSubject::Path(path.to_string()), draft));
    }
}

/// The most files that are read ahead.
const UNDER_WAY: usize = 1024;

/// Adds a file that must start under the name at this path, or updates the known one. Returns its key, and whether it matters more
/// than before.
fn add(
    context: &Context<'_>,
    files: &mut Known,
    id: InodeId,
    at: &ImagePath,
    weight: Weight,
) -> Option<((InodeId, usize), bool)> {
    let groups = context.names_alike(id);
    let own = groups.iter().position(|names| names.contains(at)).unwrap_or_default();
    let names = groups.into_iter().nth(own)?;
    Some(((id, own), add_names(files, (id, own), names, weight)))
}

fn add_names(files: &mut Known, key: (InodeId, usize), names: Vec<ImagePath>, weight: Weight) -> bool {
    let Some(path) = names.first().cloned() else { return false };
    match files.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(Target { weight, path, names, roles: Vec::new(), scripts: 0 });
            true
        }
        Entry::Occupied(mut entry) => {
            let more = entry.get().weight < weight;
            entry.get_mut().weight = entry.get().weight.max(weight);
            more
        }
    }
}

/// Adds the interpreters of scripts, which matter as much as the script itself.
fn follow_scripts(context: &Context<'_>, files: &mut Known) {
    let mut pending: Vec<(InodeId, usize)> = files.keys().copied().collect();
    let mut counted = BTreeSet::new();
    while let Some(key) = pending.pop() {
        let Some((weight, path)) = files.get(&key).map(|target| (target.weight, target.path.clone())) else { continue };
        let Some(probe) = context.files.probe(key.0).filter(|probe| probe.elf.is_none()) else { continue };
        for started in context.exec(weight).script(key.0, &path, probe, &context.search()).starts {
            let Some((next, more)) = add(context, files, started.id, &started.path, weight) else { continue };
            if counted.insert((key, next))
                && let Some(target) = files.get_mut(&next)
            {
                target.scripts += 1;
            }
            if more {
                pending.push(next);
            }
        }
    }
}
