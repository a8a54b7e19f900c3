//! Why a recipe cannot be staged.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::ground::PlaceError;
use crate::capability::CapabilityError;
use crate::codec::deb::DebError;
use crate::codec::dir::DirError;
use crate::codec::tar::TarError;
use crate::failure::{Failure, Kind};
use crate::path::{ImagePath, PathError};
use crate::recipe::Origin;
use crate::tree::ContentError;

/// Why a recipe cannot be staged, and which line of it.
#[derive(Debug)]
pub struct StageError {
    /// The line.
    pub origin: Origin,
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
    Place(PlaceError),
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
    pub(crate) fn at(origin: &Origin, problem: Problem) -> StageError {
        StageError { origin: origin.clone(), problem: Box::new(problem) }
    }

    /// Something that cannot be placed.
    pub(crate) fn place(origin: &Origin) -> impl Fn(PlaceError) -> StageError {
        |error| StageError::at(origin, Problem::Place(error))
    }

    /// A path that is none.
    pub(crate) fn path(origin: &Origin) -> impl Fn(PathError) -> StageError {
        |error| StageError::at(origin, Problem::Path(error))
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the command line asked for needs no place: the user has just typed it.
        if self.origin == Origin::command_line() {
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
            Problem::NothingTaken(path) => write!(f, "nothing of the source is taken: {}", path.display()),
            Problem::IncludeMatchesNothing(path, pattern) => {
                write!(f, "`include` matches nothing in {}: {pattern}", path.display())
            }
            Problem::Capabilities(path, error) => write!(f, "{path} has capabilities that cannot be read: {error}"),
            Problem::Place(error) => error.fmt(f),
            Problem::Path(error) => error.fmt(f),
            Problem::RuleMatchesNothing(pattern) => write!(f, "nothing is there that this could mean: {pattern}"),
            Problem::RuleChangesNothing(pattern) => {
                write!(f, "nothing that it matches can have what it gives: {pattern}")
            }
            Problem::Hardlink(path, target) => {
                write!(f, "{path} cannot be a hard link to what is no file of the tree: {target}")
            }
            Problem::LinkTarget(target) => write!(f, "the program that gets names is no file of the tree: {target}"),
            Problem::LinkName(path, line, text) => {
                write!(f, "line {line} of {} is no path: {text}", path.display())
            }
            Problem::NoLinkNames(path) => write!(f, "there are no names in {}", path.display()),
            Problem::UnknownAccount(kind, name) => write!(f, "no {kind} has this name: {name}"),
            Problem::AccountTaken(what, line) => write!(f, "{what} is taken by another: {line}"),
            Problem::Accounts(path, error) => write!(f, "cannot read {path}: {error}"),
            Problem::AccountsForm(path) => write!(f, "not a file that lines can be added to: {path}"),
            Problem::AccountsLost(path) => {
                write!(f, "users or groups were written into what this replaces or removes: {path}")
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
    fn kind(&self) -> Kind {
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
            | Problem::NoLinkNames(_) => Kind::Input,
            Problem::Place(_)
            | Problem::Path(_)
            | Problem::RuleMatchesNothing(_)
            | Problem::RuleChangesNothing(_)
            | Problem::Hardlink(..)
            | Problem::LinkTarget(_)
            | Problem::UnknownAccount(..)
            | Problem::AccountTaken(..)
            | Problem::AccountsForm(_)
            | Problem::AccountsLost(_) => Kind::Recipe,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = |text: &str| Some(text.to_string());
        match &*self.problem {
            Problem::Read(_, error) if error.kind() == io::ErrorKind::NotFound => {
                hint("paths are relative to the file of the recipe; what a build takes in must be staged before it")
            }
            Problem::Read(_, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                hint("make it readable for the user who builds")
            }
            Problem::Read(..) => None,
            Problem::Directory(error) => error.hint(),
            Problem::Tar(error) => error.hint(),
            Problem::Deb(error) => error.hint(),
            Problem::Form(_, _, hint) => Some(hint.clone()),
            Problem::NothingTaken(_) => hint("is it empty, or does `exclude` name all of it?"),
            Problem::IncludeMatchesNothing(..) => {
                hint("patterns are relative to the source, and what `exclude` names is not there for `include`")
            }
            Problem::Capabilities(..) => hint("set them in the recipe instead: [[path]] with `capabilities`"),
            Problem::Place(error) => error.hint(),
            Problem::Path(_) => None,
            Problem::RuleMatchesNothing(_) => {
                hint("rules are applied in order, to what is there by then; `outputs` and `platforms` limit a rule")
            }
            Problem::RuleChangesNothing(_) => {
                hint("symlinks have no mode, and only files have capabilities; name the target of the link")
            }
            Problem::Hardlink(..) => {
                hint("the target must be there before: a file that a source, a link or an earlier [[path]] brought")
            }
            Problem::LinkTarget(_) => hint("a source must bring it: links are made after all sources"),
            Problem::LinkName(..) => hint(
                "one absolute path per line, as in BusyBox's busybox.links or `busybox --list-full`; empty lines and lines \
                 that begin with # are skipped",
            ),
            Problem::NoLinkNames(_) => None,
            Problem::UnknownAccount("user", _) => hint("add a [[user]], or write the number"),
            Problem::UnknownAccount(..) => hint("add a [[group]], or write the number"),
            Problem::AccountTaken(..) => hint("take another name or number, or take the line out of the source's file"),
            Problem::Accounts(_, error) => error.hint(),
            Problem::AccountsForm(_) => None,
            Problem::AccountsLost(_) => hint("let a [[source]] bring the file: users and groups are added to that"),
        }
    }
}
