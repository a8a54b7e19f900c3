//! What a program really uses: it is run once, and every path that it opens, executes or looks at with success is recorded.
//!
//! The program and all that it starts (forks and threads) are followed by ptrace(2). A filter (seccomp) in the program
//! itself lets only those system calls stop that take a path, so that everything else runs at full speed; where filters
//! are not allowed, every call stops. What counts is how a call ends: a path that does not exist is not recorded.
//!
//! Decisions:
//! - Never recorded: `/proc`, `/sys`, `/dev`, and what the run itself made.
//! - A directory that is opened or looked at is recorded as a directory, not with what it holds.
//! - A file that is only looked at (`stat`, `access`) is recorded too: the program may have decided something by it.
//! - Paths are recorded as they are spelled, made absolute with the directory or handle that they start from.
//!
//! This is, beside [`crate::trial`], the only place that executes anything, and the only part of `bundle` with `unsafe`:
//! ptrace has no safe form.

mod call;
mod error;

mod filter;
mod tracee;

mod start;

mod watch;

pub use call::{Traced, Use};
pub use error::TraceError;
pub use start::Run;
pub use watch::{LIMIT, RunEnd, Trace, trace};
