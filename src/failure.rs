//! The exit code and the hint of an error.
//!
//! Each module has its own error type, in the same file as its code. This trait is on the lowest floor, so that one place in the
//! binary can turn any error into a message, a hint and an exit code. Messages are lower-case fragments that name the file, digest
//! or line that they are about, the value last; the hint says what to do.

use std::error::Error;
use std::io;

/// The class of a failure. Each has an exit code, which is part of the contract with users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The command line asks for something that cannot be meant.
    Usage,
    /// The recipe is wrong.
    Recipe,
    /// An input is missing, unreadable or corrupt.
    Input,
    /// An output cannot be written.
    Output,
    /// A bug of ours.
    Bug,
}

impl FailureKind {
    /// The process exit code that stands for this class.
    pub fn exit_code(self) -> u8 {
        match self {
            FailureKind::Usage => 2,
            FailureKind::Recipe => 3,
            FailureKind::Input => 4,
            FailureKind::Output => 5,
            FailureKind::Bug => 70,
        }
    }
}

/// What the system says, as its own tools print it: std puts the number of the error behind the text.
pub fn system_words(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error().and_then(|number| text.strip_suffix(&format!(" (os error {number})"))) {
        Some(words) => words.to_string(),
        None => text,
    }
}

/// A `match` on an error whose listed variants only wrap another error: kind and hint of those are the ones of the inner error.
macro_rules! passing_on {
    ($method:ident of $error:ident: $type:ident { $($variant:ident),+ $(,)? } $($own:tt)+) => {
        match $error {
            $($type::$variant(error) => $crate::failure::Failure::$method(error),)+
            $($own)+
        }
    };
}

pub(crate) use passing_on;

/// An error that ends the work: what class it is of, and what the reader can do about it.
pub trait Failure: Error + Send + Sync + 'static {
    /// The class, from which the exit code follows.
    fn kind(&self) -> FailureKind;

    /// What to do, where that is known and not plain from the message.
    fn hint(&self) -> Option<String> {
        None
    }
}
