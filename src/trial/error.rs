//! Why a command is not run.

use std::io;
use std::path::PathBuf;

use super::method::{Method, Refusal};
use crate::codec::folder::FolderError;
use crate::failure::{Failure, FailureKind, passing_on};
use crate::link::UnknownUser;
use crate::path::display_bytes;
use crate::platform::Platform;
use crate::tree::ContentError;

/// Why a command was not run. That it fails, or cannot be started, is not an error but an outcome.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// There is no command: none was given, and the image has none.
    #[error("there is nothing to run: the place has no command")]
    NoCommand,
    /// A platform whose programs nothing here runs.
    #[error("programs for {0} cannot be run: only those of {verified}", verified = listed())]
    Platform(Platform),
    /// A word that no system call can carry.
    #[error("an argument with a NUL byte cannot be passed to a program: {0:?}")]
    Nul(String),
    /// The user is not in the tree.
    #[error("{}", display_bytes(.0.to_string().as_bytes()))]
    User(UnknownUser),
    /// This machine refuses every method that may be used.
    #[error("{}", no_method(.refused, .only_trusted))]
    NoMethod {
        /// The methods that this machine refuses.
        refused: Vec<Refusal>,
        /// The methods that were not used because they confine nothing and the tree is not trusted.
        only_trusted: Vec<Method>,
    },
    /// Programs cannot be executed where the private copy would be.
    #[error("programs cannot be executed in the temporary directory, which is mounted noexec: {}", .0.display())]
    NoExec(PathBuf),
    /// Processes of the command go on, whatever is done about them.
    #[error("some processes of the command could not be killed")]
    StillRunning,
    /// A program of the tree cannot be read.
    #[error(transparent)]
    Content(ContentError),
    /// The private copy of the tree cannot be made.
    #[error(transparent)]
    Folder(FolderError),
    /// The system refuses what every method needs.
    #[error("cannot {0}: {1}")]
    System(&'static str, #[source] io::Error),
}

/// The platforms whose programs are verified.
fn listed() -> String {
    Platform::verified().map(|platform| platform.to_string()).join(", ")
}

fn no_method(refused: &[Refusal], only_trusted: &[Method]) -> String {
    let mut text = "this machine allows no method to run the command".to_string();
    for Refusal { method, reason } in refused {
        text += &format!("; {method}: {reason}");
    }
    for method in only_trusted {
        text += &format!("; {method}: not used, because it confines nothing");
    }
    text
}

impl Failure for TrialError {
    fn kind(&self) -> FailureKind {
        passing_on!(kind of self: TrialError { Content, Folder }
            TrialError::NoCommand | TrialError::Platform(_) | TrialError::Nul(_) | TrialError::User(_) => FailureKind::Usage,
            TrialError::NoMethod { .. } | TrialError::NoExec(_) | TrialError::StillRunning | TrialError::System(..) => {
                FailureKind::Output
            }
        )
    }

    fn hint(&self) -> Option<String> {
        passing_on!(hint of self: TrialError { Content, Folder }
            TrialError::NoCommand => Some("name one after `--`: sazare try PLACE -- /bin/sh -c 'echo hello'".into()),
            TrialError::NoMethod { only_trusted, .. } if !only_trusted.is_empty() => Some(
                "if you trust the tree as you trust your own programs, add --trust; `sazare doctor` says what this machine \
                 allows, and `sazare verify` needs none of it"
                    .into(),
            ),
            TrialError::NoMethod { .. } => {
                Some("`sazare doctor` says what this machine allows; `sazare verify` needs none of it".into())
            }
            TrialError::NoExec(_) => Some("set TMPDIR to a directory in which programs can be executed".into()),
            TrialError::User(_) => Some("use a number, or a user in the tree's /etc/passwd".into()),
            TrialError::Platform(_) | TrialError::Nul(_) | TrialError::StillRunning | TrialError::System(..) => None,
        )
    }
}
