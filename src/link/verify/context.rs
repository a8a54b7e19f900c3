//! The data that every step of a verification reads and no step changes.

use std::sync::OnceLock;

use crate::link::files::Files;
use crate::link::init::FirstProgram;
use crate::link::kernel::exec::ExecContext;
use crate::link::load::{Loading, Rights};
use crate::link::lookup;
use crate::link::process::Environment;
use crate::link::script::check::Search;
use crate::link::subject::{Purpose, Subject};
use crate::link::user::{ProcessUser, UnknownUser};
use crate::path::ImagePath;
use crate::tree::{ContentError, InodeId};

use super::finding::Target;
use super::programs::{Names, Weight, expected};

/// A tree with its settings, prepared for the checks.
pub(crate) struct Context<'a> {
    pub subject: &'a Subject<'a>,
    pub files: &'a Files<'a>,
    pub names: Names<'a>,
    /// The entries of PATH.
    pub path: Vec<Vec<u8>>,
    /// The working directory, as written in the config.
    pub directory: Vec<u8>,
    /// The working directory, with links resolved.
    cwd: ImagePath,
    environment: Environment,
    /// The user that starts the programs that the image config names; root if it is unknown.
    user: ProcessUser,
    /// Why the image's user is unknown.
    pub unknown_user: Option<UnknownUser>,
    /// The start of an initramfs.
    pub first: Option<FirstProgram>,
}

impl<'a> Context<'a> {
    /// Prepares the checks from the settings.
    ///
    /// # Errors
    /// When the accounts cannot be read.
    pub fn new(subject: &'a Subject<'a>, files: &'a Files<'a>) -> Result<Context<'a>, ContentError> {
        let directory = lookup::working_directory(subject.settings);
        let found = files.find(&ImagePath::root(), &directory).ok();
        let cwd = found.filter(|found| subject.tree.inode(found.id).is_directory()).map(|found| found.path);
        let settings = subject.settings.filter(|_| subject.purpose == Purpose::Container);
        let (user, unknown_user) = match settings {
            Some(settings) => match ProcessUser::named(subject.tree, &settings.user)? {
                Ok(user) => (user, None),
                Err(unknown) => (ProcessUser::root(), Some(unknown)),
            },
            None => (ProcessUser::root(), None),
        };
        let mut context = Context {
            subject,
            files,
            names: Names::of(subject.tree),
            path: lookup::search_path(subject.settings),
            directory,
            cwd: cwd.unwrap_or(ImagePath::root()),
            environment: Environment::of(subject.settings),
            user,
            unknown_user,
            first: None,
        };
        if let Purpose::Initramfs { init } = &subject.purpose {
            context.first = Some(FirstProgram::of(&context.exec(Weight::Named), init));
        }
        Ok(context)
    }

    /// The input for the kernel's rules.
    pub fn exec(&self, weight: Weight) -> ExecContext<'_> {
        ExecContext {
            files: self.files,
            whole: self.subject.purpose.whole(),
            cwd: &self.cwd,
            user: self.user(weight),
            named: weight == Weight::Named,
        }
    }

    /// The input for the rules of a script's interpreter.
    pub fn search(&self) -> Search<'_> {
        Search { path: &self.path, directory: &self.directory }
    }

    /// The names of a file, in groups under which it starts alike: one group for each directory if its search path, or that of the
    /// environment, depends on `$ORIGIN`; otherwise one group with all names.
    pub fn names_alike(&self, id: InodeId) -> Vec<Vec<ImagePath>> {
        let names = self.names.of_inode(id);
        if names.len() > 1 && self.depends_on_origin(id, names) {
            return self.names.by_origin(id);
        }
        vec![names.to_vec()]
    }

    fn depends_on_origin(&self, id: InodeId, names: &[ImagePath]) -> bool {
        let asks = |text: &[u8]| crate::elf::contains(text, b"ORIGIN");
        let probe = self.files.probe_for(id, expected(names));
        let Some(facts) = probe.and_then(|probe| probe.elf.as_ref()) else { return false };
        let Some(dynamic) = facts.dynamic.as_ref().filter(|_| facts.interpreter.path().is_some()) else { return false };
        let paths = [&dynamic.rpath, &dynamic.runpath].into_iter().flatten();
        let needed = dynamic.needed.iter().chain(&dynamic.auxiliary).chain(&dynamic.filters);
        let environment = [&self.environment.library_path, &self.environment.preload].into_iter().flatten();
        paths.chain(needed).any(|text| asks(text)) || environment.into_iter().any(|text| asks(text))
    }

    /// The input for the rules of a program's loader.
    pub fn loading(&self, id: InodeId, target: &Target) -> Loading<'_> {
        Loading {
            files: self.files,
            environment: &self.environment,
            cwd: &self.cwd,
            user: self.user(target.weight),
            // Nothing is mounted when the first program of an initramfs starts.
            proc: !self.first.as_ref().is_some_and(|first| first.needs(id, &target.names)),
        }
    }

    /// The user that starts a program: the configured user for programs that the image config names, root for all others.
    pub fn user(&self, weight: Weight) -> &ProcessUser {
        static ROOT: OnceLock<ProcessUser> = OnceLock::new();
        match weight {
            Weight::Named => &self.user,
            Weight::Found | Weight::Elsewhere => ROOT.get_or_init(ProcessUser::root),
        }
    }

    /// Whether a program gets more rights than its caller. For root, file capabilities add nothing. For a program that the image
    /// config names, the caller is known, so a setuid or setgid bit for that very user or group adds nothing either.
    pub fn rights(&self, id: InodeId, weight: Weight) -> Rights {
        let meta = &self.subject.tree.inode(id).meta;
        let other_user = weight != Weight::Named || meta.uid != self.user.uid;
        let other_group = weight != Weight::Named || Some(&meta.gid) != self.user.gids.first();
        let bits = meta.mode.bits();
        let by_bits = (bits & 0o4000 != 0 && other_user) || (bits & 0o2010 == 0o2010 && other_group);
        let by_capability = self.user.uid != 0 && meta.xattrs.contains_key(b"security.capability".as_slice());
        if by_bits || by_capability { Rights::More } else { Rights::Caller }
    }
}
