//! Why a program cannot be traced.

use std::error::Error;
use std::fmt;
use std::io;

use crate::failure::{Failure, Kind};

/// Why a program cannot be traced.
#[derive(Debug)]
pub enum TraceError {
    /// This machine does not let processes be traced.
    Forbidden(io::Error),
    /// The program cannot be started.
    Start(String, io::Error),
    /// A word with NUL in it.
    Nul(String),
    /// The system refuses something else.
    System(&'static str, io::Error),
    /// The run was no success, so it may not have used what it needs.
    Failed(String),
    /// The run took longer than it may.
    TimedOut(u64),
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceError::Forbidden(error) => write!(f, "this machine lets no process be traced (ptrace): {error}"),
            TraceError::Start(program, error) => write!(f, "cannot trace {program}: {error}"),
            TraceError::Nul(word) => write!(f, "a word for a program must not contain NUL: {word}"),
            TraceError::System(what, error) => write!(f, "the trace failed at {what}: {error}"),
            TraceError::Failed(how) => write!(f, "the traced run was no success: {how}"),
            TraceError::TimedOut(seconds) => write!(f, "the traced run was ended after {seconds} seconds"),
        }
    }
}

impl Error for TraceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TraceError::Forbidden(error) | TraceError::Start(_, error) | TraceError::System(_, error) => Some(error),
            TraceError::Nul(_) | TraceError::Failed(_) | TraceError::TimedOut(_) => None,
        }
    }
}

impl Failure for TraceError {
    fn kind(&self) -> Kind {
        match self {
            TraceError::Nul(_) => Kind::Usage,
            TraceError::Forbidden(_)
            | TraceError::Start(..)
            | TraceError::System(..)
            | TraceError::Failed(_)
            | TraceError::TimedOut(_) => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            TraceError::Forbidden(_) => Some(
                "allow it (`docker run --cap-add SYS_PTRACE`, `sysctl kernel.yama.ptrace_scope=1`), or leave --trace out \
                 and name what the program opens by --include"
                    .into(),
            ),
            TraceError::Failed(_) => {
                Some("give it arguments (--trace-arg) or input (--trace-stdin) with which it ends by status 0".into())
            }
            TraceError::TimedOut(_) => Some(
                "for a program that runs until it is ended, name the time by --trace-timeout: then it is no error".into(),
            ),
            TraceError::Start(..) | TraceError::Nul(_) | TraceError::System(..) => None,
        }
    }
}
