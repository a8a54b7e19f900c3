//! Why a program cannot be traced.

use std::io;

use crate::failure::{Failure, FailureKind};

/// Why a program cannot be traced.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// This machine does not allow processes to be traced.
    #[error("this machine does not allow tracing (ptrace): {0}")]
    Forbidden(#[source] io::Error),
    /// The program cannot be started.
    #[error("cannot trace {0}: {1}")]
    Start(String, #[source] io::Error),
    /// A word with NUL in it.
    #[error("an argument must not contain NUL: {0}")]
    Nul(String),
    /// The system refuses something else.
    #[error("the trace failed at {0}: {1}")]
    System(&'static str, #[source] io::Error),
    /// The run failed, so it may not have used what it needs.
    #[error("the traced run failed: {0}")]
    Failed(String),
    /// The run took longer than it may.
    #[error("the traced run was stopped after {0} seconds")]
    TimedOut(u64),
}

impl Failure for TraceError {
    fn kind(&self) -> FailureKind {
        match self {
            TraceError::Nul(_) => FailureKind::Usage,
            TraceError::System(..) => FailureKind::Output,
            TraceError::Forbidden(_) | TraceError::Start(..) | TraceError::Failed(_) | TraceError::TimedOut(_) => {
                FailureKind::Input
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            TraceError::Forbidden(_) => Some(
                "allow it (`docker run --cap-add SYS_PTRACE`, `sysctl kernel.yama.ptrace_scope=1`), or leave out --trace and \
                 name what the program opens with --include"
                    .into(),
            ),
            TraceError::Failed(_) => {
                Some("give it arguments (--trace-arg) or input (--trace-stdin) with which it ends with status 0".into())
            }
            TraceError::TimedOut(_) => Some(
                "for a program that runs until it is ended, set the time with --trace-timeout: then it is not an error".into(),
            ),
            TraceError::Start(..) | TraceError::Nul(_) | TraceError::System(..) => None,
        }
    }
}
