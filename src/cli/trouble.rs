//! Every error that can end the program, and what the user is told of it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use sazare::failure::{Failure, Kind};
use sazare::pipeline::BuildError;
use sazare::recipe::{Faults, RecipeError};
use sazare::transport::PlaceError;

/// The exit code of a refusal: findings of severity error.
pub const REFUSED: u8 = 1;

/// Why the program ends without having done what was asked.
#[derive(Debug)]
pub enum Trouble {
    /// The command line means nothing.
    Usage(String, Option<String>),
    /// A place means nothing.
    Place(PlaceError),
    /// The recipe has faults, which are drawn instead of told.
    Faults(Faults),
    /// The recipe cannot be read.
    Recipe(RecipeError),
    /// The work failed.
    Build(BuildError),
    /// A file that a flag names cannot be read.
    Input(String, io::Error),
    /// `-C` names no folder.
    Folder(PathBuf, io::Error),
    /// The result cannot be written.
    Output(String, io::Error),
}

impl Trouble {
    /// A wrong command line, with what to do about it.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Trouble {
        Trouble::Usage(message.into(), Some(hint.into()))
    }

    fn failure(&self) -> Option<&dyn Failure> {
        match self {
            Trouble::Place(error) => Some(error),
            Trouble::Recipe(error) => Some(error),
            Trouble::Build(error) => Some(error),
            Trouble::Usage(..)
            | Trouble::Faults(_)
            | Trouble::Input(..)
            | Trouble::Folder(..)
            | Trouble::Output(..) => None,
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        let kind = match self {
            Trouble::Usage(..) | Trouble::Folder(..) => Kind::Usage,
            Trouble::Faults(_) => Kind::Recipe,
            Trouble::Input(..) => Kind::Input,
            Trouble::Output(..) => Kind::Output,
            Trouble::Place(_) | Trouble::Recipe(_) | Trouble::Build(_) => {
                self.failure().map_or(Kind::Bug, Failure::kind)
            }
        };
        kind.exit_code()
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Trouble::Usage(_, hint) => hint.clone(),
            Trouble::Place(_)
            | Trouble::Recipe(_)
            | Trouble::Build(_)
            | Trouble::Faults(_)
            | Trouble::Input(..)
            | Trouble::Folder(..)
            | Trouble::Output(..) => self.failure().and_then(Failure::hint),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Usage(message, _) => f.write_str(message),
            Trouble::Folder(folder, error) => write!(f, "cannot work in {}: {error}", folder.display()),
            Trouble::Input(what, error) if error.kind() == io::ErrorKind::NotFound => {
                write!(f, "cannot read {what}: No such file or directory")
            }
            Trouble::Input(what, error) => write!(f, "cannot read {what}: {error}"),
            Trouble::Output(what, error) => write!(f, "cannot write {what}: {error}"),
            Trouble::Faults(_) => f.write_str("the recipe is invalid"),
            Trouble::Place(error) => error.fmt(f),
            Trouble::Recipe(error) => error.fmt(f),
            Trouble::Build(error) => error.fmt(f),
        }
    }
}

impl From<PlaceError> for Trouble {
    fn from(error: PlaceError) -> Trouble {
        Trouble::Place(error)
    }
}

impl From<BuildError> for Trouble {
    fn from(error: BuildError) -> Trouble {
        Trouble::Build(error)
    }
}
