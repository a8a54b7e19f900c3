//! What a program really uses: it is run once, and every path that it opens, executes or looks at with success is noted.
//!
//! The program and all that it starts (forks and threads) are followed by ptrace(2). A filter (seccomp) in the program
//! itself lets only those system calls stop that take a path, so that everything else runs at full speed; where filters
//! are not allowed, every call stops. What counts is how a call ends: a path that is not there is not noted.
//!
//! Decisions:
//! - Never noted: `/proc`, `/sys`, `/dev`, and what the run itself made.
//! - A directory that is opened or looked at is noted as a directory, not with what it holds.
//! - A file that is only looked at (`stat`, `access`) is noted too: the program may have decided something by it.
//! - Paths are noted as they are spelled, made absolute by the directory or handle that they start from.
//!
//! This is, beside [`crate::trial`], the only place that executes anything, and the only one in this room with `unsafe`:
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
pub use watch::{Ended, LIMIT, Trace, trace};
