//! Why there is no trial.

use std::error::Error;
use std::fmt;
use std::io;

use super::way::Refusal;
use crate::codec::folder::FolderError;
use crate::failure::{Failure, Kind};
use crate::link::Nobody;
use crate::tree::ContentError;

/// Why a command was not tried. That it fails, or cannot be started, is no error but an outcome.
#[derive(Debug)]
pub enum TrialError {
    /// There is no command: none was given, and the image names none.
    NoCommand,
    /// A word that no system call can carry.
    Nul(String),
    /// The user is not in the tree.
    User(Nobody),
    /// Every way is closed on this machine.
    NoWay(Vec<Refusal>),
    /// A program of the tree cannot be read.
    Content(ContentError),
    /// The private copy of the tree cannot be made.
    Folder(FolderError),
    /// The system refuses what every way needs.
    System(&'static str, io::Error),
}

impl fmt::Display for TrialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrialError::NoCommand => f.write_str("there is nothing to run: the place names no command"),
            TrialError::Nul(word) => write!(f, "a word with a zero byte cannot be passed to a program: {word:?}"),
            TrialError::User(nobody) => nobody.fmt(f),
            TrialError::NoWay(refusals) => {
                f.write_str("this machine allows no way to run the command")?;
                refusals.iter().try_for_each(|refusal| write!(f, "; {}: {}", refusal.way.word(), refusal.reason))
            }
            TrialError::Content(error) => error.fmt(f),
            TrialError::Folder(error) => error.fmt(f),
            TrialError::System(what, error) => write!(f, "cannot {what}: {error}"),
        }
    }
}

impl Error for TrialError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TrialError::Content(error) => Some(error),
            TrialError::Folder(error) => Some(error),
            TrialError::System(_, error) => Some(error),
            TrialError::NoCommand | TrialError::Nul(_) | TrialError::User(_) | TrialError::NoWay(_) => None,
        }
    }
}

impl Failure for TrialError {
    fn kind(&self) -> Kind {
        match self {
            TrialError::NoCommand | TrialError::Nul(_) | TrialError::User(_) => Kind::Usage,
            TrialError::NoWay(_) => Kind::Output,
            TrialError::Content(error) => error.kind(),
            TrialError::Folder(error) => error.kind(),
            TrialError::System(..) => Kind::Output,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            TrialError::NoCommand => Some("name one after `--`: sazare try PLACE -- /bin/sh -c 'echo hello'".into()),
            TrialError::NoWay(_) => {
                Some("`sazare doctor` tells what this machine allows; `sazare verify` needs none of it".into())
            }
            TrialError::User(_) => Some("name a number, or a user of the tree's own /etc/passwd".into()),
            TrialError::Content(error) => error.hint(),
            TrialError::Folder(error) => error.hint(),
            TrialError::Nul(_) | TrialError::System(..) => None,
        }
    }
}
