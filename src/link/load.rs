//! The loader's turn: which model holds for a program, and what it makes of it.

use crate::path::ImagePath;
use crate::tree::{InodeId, Resolved};

use super::draft::{Draft, Ending};
use super::glibc::load::Glibc;
use super::loader::Flavour;
use super::musl::load::Musl;
use super::process::{Environment, Loaded, ORIGIN_SECURE, Process, listed};

/// Around a program that its loader takes over.
pub(super) struct Loading<'a> {
    pub files: &'a super::files::Files<'a>,
    pub environment: &'a Environment,
    pub cwd: &'a ImagePath,
    pub person: &'a super::user::Person,
    /// Whether `/proc` is mounted.
    pub proc: bool,
}

impl Loading<'_> {
    /// Loads a program as its loader would; `None` when the loader is none whose rules are known.
    pub fn load(
        &self,
        app: InodeId,
        path: &ImagePath,
        loader: &Resolved,
        flavour: &Flavour,
        secure: bool,
    ) -> Option<Loaded> {
        let interpreter = self.files.elf(app)?.interpreter.path()?;
        self.map(app, path, interpreter, loader.id, flavour, secure, true)
    }

    /// The files that are loaded, without a look at their symbols. `app` may be a library, as for dlopen(3): then
    /// `interpreter` is the one of the process.
    pub fn objects(
        &self,
        app: InodeId,
        path: &ImagePath,
        interpreter: &[u8],
        loader: InodeId,
        flavour: &Flavour,
    ) -> Option<Loaded> {
        self.map(app, path, interpreter, loader, flavour, false, false)
    }

    #[expect(clippy::too_many_arguments, reason = "one process has all of these, and nothing else takes them together")]
    fn map(
        &self,
        app: InodeId,
        path: &ImagePath,
        interpreter: &[u8],
        loader: InodeId,
        flavour: &Flavour,
        secure: bool,
        bind: bool,
    ) -> Option<Loaded> {
        let process = Process {
            files: self.files,
            app,
            app_path: path,
            interpreter,
            loader,
            environment: self.environment.clone(),
            cwd: self.cwd,
            person: self.person,
            proc: self.proc,
            secure,
        };
        match flavour {
            Flavour::Musl(loader) => {
                let mut musl = Musl::load(&process, loader);
                if bind {
                    musl.bind();
                }
                Some(musl.loaded)
            }
            Flavour::Glibc(loader) => {
                let mut glibc = Glibc::load(&process, loader);
                if bind {
                    glibc.check_versions();
                    glibc.bind();
                    glibc.look_ahead();
                }
                Some(glibc.loaded)
            }
            Flavour::Bionic | Flavour::Gcompat | Flavour::Unknown => None,
        }
    }

    /// As [`Loading::load`]; and for a program that gets more rights than its caller, what fails for that reason only.
    pub fn load_twice(
        &self,
        app: InodeId,
        path: &ImagePath,
        loader: &Resolved,
        flavour: &Flavour,
        secure: bool,
    ) -> Option<Loaded> {
        let mut loaded = self.load(app, path, loader, flavour, false)?;
        if secure && loaded.missing.is_empty() {
            let strict = self.load(app, path, loader, flavour, true)?;
            if !strict.missing.is_empty() {
                let names = listed(strict.missing.iter().map(|(name, _)| name.as_slice()));
                let ending =
                    strict.drafts.into_iter().map(|draft| draft.ending).find(|end| matches!(end, Ending::Says(_)));
                let draft = Draft::error(
                    ORIGIN_SECURE,
                    format!("does not find {names} when it gets more rights than its caller"),
                );
                let draft = Draft { ending: ending.unwrap_or(Ending::Silent), ..draft };
                loaded.drafts.push(
                    draft
                        .because(
                            "set-user-id, set-group-id or file capabilities",
                            "the loader then ignores $ORIGIN and LD_LIBRARY_PATH",
                        )
                        .fix("give it an absolute RUNPATH, or take the rights away"),
                );
            }
        }
        Some(loaded)
    }
}
