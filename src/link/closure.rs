//! What one program would load: for bundles, and for the tests against the real loaders.

use crate::path::ImagePath;
use crate::platform::Platform;
use crate::tree::{ContentError, InodeId, Resolved, Tree};

use super::files::Files;
use super::kernel::exec::ExecContext;
use super::load::{Loading, Rights};
use super::loader::LoaderKind;
use super::process::{Environment, Loaded};
use super::user::ProcessUser;

/// The programs of one tree. Facts about libraries are kept, so use one value for all programs of a tree.
pub struct Closures<'t> {
    files: Files<'t>,
}

/// What a dynamic program would load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// The file of its loader, with links resolved.
    pub loader: Option<ImagePath>,
    /// Needed names, each with the path at which the loader finds it, as the loader spells it; in loading order.
    pub libraries: Vec<(Vec<u8>, Vec<u8>)>,
    /// Needed names that the loader does not find, each with the object that needs it.
    pub missing: Vec<(Vec<u8>, Vec<u8>)>,
    /// Symbols that are needed at start and that no object defines: the object that needs it, and the name.
    pub unresolved: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'t> Closures<'t> {
    /// The programs of a tree, for a platform.
    pub fn new(tree: &'t Tree, platform: &Platform) -> Closures<'t> {
        Closures { files: Files::new(tree, platform.arch()) }
    }

    /// The files of the tree, as programs see them.
    pub(super) fn files(&self) -> &Files<'t> {
        &self.files
    }

    /// The first error with which a file of these programs could not be read: then no answer is reliable. A second call gives `None`.
    pub fn take_failure(&self) -> Option<ContentError> {
        self.files.take_failure()
    }

    /// The directories that these programs search and that could not be read when the tree was read: what is in them may
    /// change every answer.
    pub fn closed(&self) -> Vec<ImagePath> {
        self.files.closed()
    }

    /// What the program at a path would load if root starts it from `/` with an empty environment. `None` if it is not a program
    /// of this platform that could start, or if the rules of its loader are not known. A static program has an empty closure.
    pub fn of(&self, path: &ImagePath) -> Option<Closure> {
        let (start, id, at) = self.start(path)?;
        let Some((loader, kind)) = &start else { return Some(Closure::default()) };
        let loaded = self.run(id, &at, loader, kind)?;
        Some(Closure {
            loader: Some(loader.path.clone()),
            libraries: loaded.resolved,
            missing: loaded.missing,
            unresolved: loaded.unresolved.into_iter().collect(),
        })
    }

    /// Like [`Closures::of`], but with the loader and all details; `None` for static programs too.
    pub(super) fn load(&self, path: &ImagePath) -> Option<(&LoaderKind, Loaded)> {
        let (start, id, at) = self.start(path)?;
        let (loader, kind) = start?;
        Some((kind, self.run(id, &at, &loader, kind)?))
    }

    #[expect(clippy::type_complexity, reason = "a file's loader, its number and its path: taken apart at once")]
    pub(super) fn start(&self, path: &ImagePath) -> Option<(Option<(Resolved, &LoaderKind)>, InodeId, ImagePath)> {
        let (root, user) = (ImagePath::root(), ProcessUser::root());
        let found = self.files.find(&root, path.as_bytes()).ok()?;
        let facts = self.files.elf(found.id)?;
        let context = ExecContext { files: &self.files, whole: "the tree", cwd: &root, user: &user, named: true };
        let start = context.start(found.id, &found.path, facts);
        if start.drafts.iter().any(|draft| draft.severity == crate::report::Severity::Error) {
            return None;
        }
        let loader = start.loader.map(|(loader, _)| loader);
        let kind = loader.as_ref().and_then(|loader| self.files.loader(loader.id));
        Some((loader.zip(kind), found.id, found.path))
    }

    fn run(&self, id: InodeId, path: &ImagePath, loader: &Resolved, kind: &LoaderKind) -> Option<Loaded> {
        let (root, user, environment) = (ImagePath::root(), ProcessUser::root(), Environment::default());
        let loading = Loading { files: &self.files, environment: &environment, cwd: &root, user: &user, proc: true };
        loading.load(id, path, loader, kind, Rights::Caller)
    }
}
