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
#[derive(Debug)]
pub enum Problem {
    /// A source, or a file that is named, cannot be read.
    Read(PathBuf, io::Error),
    /// A directory cannot be read as a root file system.
    Directory(DirError),
    /// An archive cannot be read.
    Tar(TarError),
    /// A package cannot be read.
    Deb(DebError),
    /// A source is something that is known, but no root file system.
    Form(PathBuf, &'static str, String),
    /// Nothing of a source is taken.
    NothingTaken(PathBuf),
    /// A pattern of `include` matches nothing.
    IncludeMatchesNothing(PathBuf, String),
    /// A file carries capabilities that cannot be understood.
    Capabilities(ImagePath, CapabilityError),
    /// Something cannot be placed.
    Place(InsertError),
    /// A path, with its placeholders filled in, is none.
    Path(PathError),
    /// A rule matches nothing.
    RuleMatchesNothing(String),
    /// A rule matches only what cannot have what it gives.
    RuleChangesNothing(String),
    /// A hard link's target is not there, or is a directory.
    Hardlink(ImagePath, String),
    /// The program that names are made for is not there.
    LinkTarget(String),
    /// A line of a file of names is none.
    LinkName(PathBuf, usize, String),
    /// A file of names has none.
    NoLinkNames(PathBuf),
    /// A name of a user is not in `/etc/passwd`, or one of a group not in `/etc/group`.
    UnknownAccount(&'static str, String),
    /// A user or group is there already, and is another one.
    AccountTaken(String, String),
    /// The contents of a file of accounts cannot be read.
    Accounts(ImagePath, ContentError),
    /// A file of accounts is no file, or absurdly large.
    AccountsForm(ImagePath),
    /// A `[[path]]` takes away the file that users or groups were written into.
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

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Problem::Directory(error) => error.fmt(f),
            Problem::Tar(error) => error.fmt(f),
            Problem::Deb(error) => error.fmt(f),
            Problem::Form(path, what, _) => write!(f, "{what}: {}", path.display()),
            Problem::NothingTaken(path) => write!(f, "nothing is copied from the source: {}", path.display()),
            Problem::IncludeMatchesNothing(path, pattern) => {
                write!(f, "`include` matches nothing in {}: {pattern}", path.display())
            }
            Problem::Capabilities(path, error) => write!(f, "cannot read the capabilities of {path}: {error}"),
            Problem::Place(error) => error.fmt(f),
            Problem::Path(error) => error.fmt(f),
            Problem::RuleMatchesNothing(pattern) => write!(f, "no path matches: {pattern}"),
            Problem::RuleChangesNothing(pattern) => {
                write!(f, "none of the matched paths can have these attributes: {pattern}")
            }
            Problem::Hardlink(path, target) => {
                write!(f, "{path}: the target of the hard link is not a file in the tree: {target}")
            }
            Problem::LinkTarget(target) => write!(f, "the [[links]] target is not a file in the tree: {target}"),
            Problem::LinkName(path, line, text) => {
                write!(f, "line {line} of {} is not a path: {text}", path.display())
            }
            Problem::NoLinkNames(path) => write!(f, "the file contains no names: {}", path.display()),
            Problem::UnknownAccount(kind, name) => write!(f, "no {kind} has this name: {name}"),
            Problem::AccountTaken(what, line) => write!(f, "{what} is already used: {line}"),
            Problem::Accounts(path, error) => write!(f, "cannot read {path}: {error}"),
            Problem::AccountsForm(path) => write!(f, "cannot add lines to a path that is not a file: {path}"),
            Problem::AccountsLost(path) => {
                write!(f, "this rule replaces or removes a file to which [[user]] or [[group]] were added: {path}")
            }
        }
    }
}

impl Error for StageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.problem {
            Problem::Read(_, error) => Some(error),
            Problem::Directory(error) => error.source(),
            Problem::Tar(error) => error.source(),
            Problem::Deb(error) => error.source(),
            Problem::Accounts(_, error) => error.source(),
            Problem::Form(..)
            | Problem::NothingTaken(_)
            | Problem::IncludeMatchesNothing(..)
            | Problem::Capabilities(..)
            | Problem::Place(_)
            | Problem::Path(_)
            | Problem::RuleMatchesNothing(_)
            | Problem::RuleChangesNothing(_)
            | Problem::Hardlink(..)
            | Problem::LinkTarget(_)
            | Problem::LinkName(..)
            | Problem::NoLinkNames(_)
            | Problem::UnknownAccount(..)
            | Problem::AccountTaken(..)
            | Problem::AccountsForm(_)
            | Problem::AccountsLost(_) => None,
        }
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
