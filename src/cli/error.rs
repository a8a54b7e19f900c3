//! Every error that can end the program, with its message for the user.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use sazare::failure::{Failure, FailureKind};
use sazare::pipeline::BuildError;
use sazare::recipe::{Faults, RecipeError};
use sazare::transport::PlaceError;

/// The exit code of a refusal: findings of severity error.
pub const REFUSED: u8 = 1;

/// Why the program ends before it did what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line is invalid.
    #[error("{0}")]
    Usage(String, Option<String>),
    /// A place is invalid.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The recipe has faults, which are drawn on their lines.
    #[error("the recipe is invalid")]
    Faults(Faults),
    /// The recipe cannot be read.
    #[error(transparent)]
    Recipe(RecipeError),
    /// The work failed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A file that a flag names cannot be read.
    #[error("cannot read {}: {}", .0, plain(.1))]
    Input(String, #[source] io::Error),
    /// `-C` names no folder.
    #[error("cannot change to {}: {}", .0.display(), .1)]
    Folder(PathBuf, #[source] io::Error),
    /// The result cannot be written.
    #[error("cannot write {0}: {1}")]
    Output(String, #[source] io::Error),
    /// Outputs are in their places, and something after that failed.
    #[error("{error}; these places were already written: {}", .written.join(", "))]
    Unfinished {
        /// Why.
        #[source]
        error: Box<CliError>,
        /// The places that were written.
        written: Vec<String>,
    },
}

/// An error of the system, in the same words whoever found out.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "No such file or directory".to_string(),
        _ => error.to_string(),
    }
}

impl CliError {
    /// A wrong command line, with what to do about it.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> CliError {
        CliError::Usage(message.into(), Some(hint.into()))
    }

    /// Whether the reader of standard output has gone.
    pub fn is_closed_pipe(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    fn failure(&self) -> Option<&dyn Failure> {
        match self {
            CliError::Place(error) => Some(error),
            CliError::Recipe(error) => Some(error),
            CliError::Build(error) => Some(error),
            CliError::Unfinished { error, .. } => error.failure(),
            CliError::Usage(..)
            | CliError::Faults(_)
            | CliError::Input(..)
            | CliError::Folder(..)
            | CliError::Output(..) => None,
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        let kind = match self {
            CliError::Unfinished { error, .. } => return error.exit_code(),
            CliError::Usage(..) | CliError::Folder(..) => FailureKind::Usage,
            CliError::Faults(_) => FailureKind::Recipe,
            CliError::Input(..) => FailureKind::Input,
            CliError::Output(..) => FailureKind::Output,
            CliError::Place(_) | CliError::Recipe(_) | CliError::Build(_) => {
                self.failure().map_or(FailureKind::Bug, Failure::kind)
            }
        };
        kind.exit_code()
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            CliError::Usage(_, hint) => hint.clone(),
            CliError::Unfinished { error, .. } => error.hint(),
            CliError::Place(_)
            | CliError::Recipe(_)
            | CliError::Build(_)
            | CliError::Faults(_)
            | CliError::Input(..)
            | CliError::Folder(..)
            | CliError::Output(..) => self.failure().and_then(Failure::hint),
        }
    }
}
