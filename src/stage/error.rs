//! Why a recipe cannot be staged.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::builder::InsertError;
use crate::capability::CapabilityError;
use crate::codec::deb::DebError;
use crate::codec::dir::DirError;
use crate::codec::tar::TarError;
use crate::failure::{Failure, FailureKind};
use crate::path::{ImagePath, PathError};
use crate::recipe::RuleOrigin;
use crate::tree::ContentError;

/// Why a recipe cannot be staged, and which line of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct StageError {
    /// The line.
    pub origin: RuleOrigin,
    /// What went wrong.
    pub problem: Box<Problem>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A source, or a file that is named, cannot be read.
    #[error("cannot read {path}: {1}", path = .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// A directory cannot be read as a root file system.
    #[error(transparent)]
    Directory(DirError),
    /// An archive cannot be read.
    #[error(transparent)]
    Tar(TarError),
    /// A package cannot be read.
    #[error(transparent)]
    Deb(DebError),
    /// A source is something that is known, but no root file system.
    #[error("{1}: {path}", path = .0.display())]
    Form(PathBuf, &'static str, String),
    /// Nothing of a source is taken.
    #[error("nothing is copied from the source: {path}", path = .0.display())]
    NothingTaken(PathBuf),
    /// A pattern of `include` matches nothing.
    #[error("`include` matches nothing in {path}: {1}", path = .0.display())]
    IncludeMatchesNothing(PathBuf, String),
    /// A file carries capabilities that cannot be understood.
    #[error("cannot read the capabilities of {0}: {1}")]
    Capabilities(ImagePath, #[source] CapabilityError),
    /// Something cannot be placed.
    #[error(transparent)]
    Place(InsertError),
    /// A path, with its placeholders filled in, is none.
    #[error(transparent)]
    Path(PathError),
    /// A rule matches nothing.
    #[error("no path matches: {0}")]
    RuleMatchesNothing(String),
    /// A rule matches only what cannot have what it gives.
    #[error("none of the matched paths can have these attributes: {0}")]
    RuleChangesNothing(String),
    /// A hard link's target is not there, or is a directory.
    #[error("{0}: the target of the hard link is not a file in the tree: {1}")]
    Hardlink(ImagePath, String),
    /// The program that names are made for is not there.
    #[error("the [[links]] target is not a file in the tree: {0}")]
    LinkTarget(String),
    /// A line of a file of names is none.
    #[error("line {1} of {path} is not a path: {2}", path = .0.display())]
    LinkName(PathBuf, usize, String),
    /// A file of names has none.
    #[error("the file contains no names: {path}", path = .0.display())]
    NoLinkNames(PathBuf),
    /// A name of a user is not in `/etc/passwd`, or one of a group not in `/etc/group`.
    #[error("no {0} has this name: {1}")]
    UnknownAccount(&'static str, String),
    /// A user or group is there already, and is another one.
    #[error("{0} is already used: {1}")]
    AccountTaken(String, String),
    /// The contents of a file of accounts cannot be read.
    #[error("cannot read {0}: {1}")]
    Accounts(ImagePath, #[source] ContentError),
    /// A file of accounts is not a file, or absurdly large.
    #[error("cannot add lines to a path that is not a file: {0}")]
    AccountsForm(ImagePath),
    /// A `[[path]]` takes away the file that users or groups were written into.
    #[error("this rule replaces or removes a file to which [[user]] or [[group]] were added: {0}")]
    AccountsLost(ImagePath),
}

impl StageError {
    /// A problem at a line.
    pub(crate) fn at(origin: &RuleOrigin, problem: Problem) -> StageError {
        StageError { origin: origin.clone(), problem: Box::new(problem) }
    }

    /// Something that cannot be placed.
    pub(crate) fn place(origin: &RuleOrigin) -> impl Fn(InsertError) -> StageError {
        |error| StageError::at(origin, Problem::Place(error))
    }

    /// A path that is none.
    pub(crate) fn path(origin: &RuleOrigin) -> impl Fn(PathError) -> StageError {
        |error| StageError::at(origin, Problem::Path(error))
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the command line asked for needs no place: the user has just typed it.
        if self.origin == RuleOrigin::command_line() {
            return self.problem.fmt(f);
        }
        write!(f, "{}: {}", self.origin, self.problem)
    }
}

impl Error for StageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.problem.source()
    }
}

impl Failure for StageError {
    fn kind(&self) -> FailureKind {
        match &*self.problem {
            Problem::Directory(error) => error.kind(),
            Problem::Tar(error) => error.kind(),
            Problem::Deb(error) => error.kind(),
            Problem::Accounts(_, error) => error.kind(),
            Problem::Read(..)
            | Problem::Form(..)
            | Problem::NothingTaken(_)
            | Problem::IncludeMatchesNothing(..)
            | Problem::Capabilities(..)
            | Problem::LinkName(..)
            | Problem::NoLinkNames(_) => FailureKind::Input,
            Problem::Place(_)
            | Problem::Path(_)
            | Problem::RuleMatchesNothing(_)
            | Problem::RuleChangesNothing(_)
            | Problem::Hardlink(..)
            | Problem::LinkTarget(_)
            | Problem::UnknownAccount(..)
            | Problem::AccountTaken(..)
            | Problem::AccountsForm(_)
            | Problem::AccountsLost(_) => FailureKind::Recipe,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = |text: &str| Some(text.to_string());
        match &*self.problem {
            Problem::Read(_, error) if error.kind() == io::ErrorKind::NotFound => {
                hint("paths are relative to the recipe file; all files must exist before the build")
            }
            Problem::Read(_, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                hint("make it readable for the user who builds")
            }
            Problem::Read(..) => None,
            Problem::Directory(error) => error.hint(),
            Problem::Tar(error) => error.hint(),
            Problem::Deb(error) => error.hint(),
            Problem::Form(_, _, hint) => Some(hint.clone()),
            Problem::NothingTaken(_) => hint("is it empty, or does `exclude` match everything?"),
            Problem::IncludeMatchesNothing(..) => {
                hint("patterns are relative to the source, and `include` does not see excluded paths")
            }
            Problem::Capabilities(..) => hint("set them in the recipe instead: [[path]] with `capabilities`"),
            Problem::Place(error) => error.hint(),
            Problem::Path(_) => None,
            Problem::RuleMatchesNothing(_) => hint(
                "rules are applied in order, each to the result of the previous ones; `outputs` and \
                      `platforms` limit a rule",
            ),
            Problem::RuleChangesNothing(_) => {
                hint("symlinks have no mode, and only files have capabilities; use the target of the link")
            }
            Problem::Hardlink(..) => {
                hint("the target must exist before: a file from a source, a link or an earlier [[path]]")
            }
            Problem::LinkTarget(_) => hint("a source must contain it: links are created after all sources"),
            Problem::LinkName(..) => hint(
                "one absolute path per line, as in BusyBox's busybox.links or `busybox --list-full`; empty lines and lines \
                 that begin with # are skipped",
            ),
            Problem::NoLinkNames(_) => None,
            Problem::UnknownAccount("user", _) => hint("add a [[user]], or write the number"),
            Problem::UnknownAccount(..) => hint("add a [[group]], or write the number"),
            Problem::AccountTaken(..) => hint("use another name or number, or remove the line from the source's file"),
            Problem::Accounts(_, error) => error.hint(),
            Problem::AccountsForm(_) => None,
            Problem::AccountsLost(_) => hint(
                "use a [[source]] that contains the file: users and groups are added to \
                                         it",
            ),
        }
    }
}
