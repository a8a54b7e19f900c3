//! What the loader of a program loads, by the rules of that loader.

use crate::path::ImagePath;
use crate::tree::{InodeId, Resolved};

use super::draft::{Draft, Ending};
use super::glibc::load::Glibc;
use super::loader::LoaderKind;
use super::musl::load::Musl;
use super::process::{Depth, Environment, Loaded, ORIGIN_SECURE, Process, listed};

/// Whether a program gets more rights than its caller: setuid, setgid or file capabilities (`AT_SECURE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    Caller,
    More,
}

/// What loading depends on, apart from the program and its loader.
pub(super) struct Loading<'a> {
    pub files: &'a super::files::Files<'a>,
    pub environment: &'a Environment,
    pub cwd: &'a ImagePath,
    pub user: &'a super::user::ProcessUser,
    /// Whether `/proc` is mounted.
    pub proc: bool,
}

impl Loading<'_> {
    /// Loads a program as its loader would. `None` if the rules of the loader are not known.
    pub fn load(
        &self,
        app: InodeId,
        path: &ImagePath,
        loader: &Resolved,
        kind: &LoaderKind,
        rights: Rights,
    ) -> Option<Loaded> {
        let interpreter = self.files.elf(app)?.interpreter.path()?;
        self.map(app, path, interpreter, loader.id, kind, rights, Depth::Symbols)
    }

    /// The files that are loaded, with no check of their symbols. `app` may be a library, as for dlopen(3); then `interpreter` is
    /// that of the process.
    pub fn objects(
        &self,
        app: InodeId,
        path: &ImagePath,
        interpreter: &[u8],
        loader: InodeId,
        kind: &LoaderKind,
    ) -> Option<Loaded> {
        self.map(app, path, interpreter, loader, kind, Rights::Caller, Depth::Files)
    }

    #[expect(clippy::too_many_arguments, reason = "one process has all of these, and nothing else takes them together")]
    fn map(
        &self,
        app: InodeId,
        path: &ImagePath,
        interpreter: &[u8],
        loader: InodeId,
        kind: &LoaderKind,
        rights: Rights,
        depth: Depth,
    ) -> Option<Loaded> {
        let process = Process {
            files: self.files,
            arch: self.files.elf(app)?.arch?,
            app,
            app_path: path,
            interpreter,
            loader,
            environment: self.environment.clone(),
            cwd: self.cwd,
            user: self.user,
            proc: self.proc,
            secure: rights == Rights::More,
            depth,
        };
        match kind {
            LoaderKind::Musl(loader) => {
                let mut musl = Musl::load(&process, loader);
                if depth == Depth::Symbols {
                    musl.bind();
                }
                Some(musl.loaded)
            }
            LoaderKind::Glibc(loader) => {
                let glibc = match depth {
                    Depth::Files => Glibc::load(&process, loader, 0),
                    Depth::Symbols => Glibc::load_everywhere(&process, loader),
                };
                Some(glibc.loaded)
            }
            LoaderKind::Bionic | LoaderKind::Gcompat | LoaderKind::Unknown => None,
        }
    }

    /// Like [`Loading::load`], and for a program that gets more rights than its caller also what fails only for that reason.
    pub fn load_twice(
        &self,
        app: InodeId,
        path: &ImagePath,
        loader: &Resolved,
        kind: &LoaderKind,
        rights: Rights,
    ) -> Option<Loaded> {
        let mut loaded = self.load(app, path, loader, kind, Rights::Caller)?;
        if rights == Rights::More && loaded.missing.is_empty() {
            let strict = self.load(app, path, loader, kind, Rights::More)?;
            if !strict.missing.is_empty() {
                let names = listed(strict.missing.iter().map(|(name, _)| name.as_slice()));
                let ending =
                    strict.drafts.into_iter().map(|draft| draft.ending).find(|end| matches!(end, Ending::Says(_)));
                let draft = Draft::error(
                    ORIGIN_SECURE,
                    format!("cannot find {names} when run setuid, setgid or with file capabilities"),
                );
                let draft = Draft { ending: ending.unwrap_or(Ending::Silent), ..draft };
                loaded.drafts.push(
                    draft
                        .because(
                            "setuid, setgid or file capabilities",
                            "the loader then ignores $ORIGIN and LD_LIBRARY_PATH",
                        )
                        .fix("give it an absolute RUNPATH, or remove the setuid or setgid bit or the capabilities"),
                );
            }
        }
        Some(loaded)
    }
}
