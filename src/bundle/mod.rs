//! A smaller root: programs taken out of a root with what they need, and nothing else.
//!
//! What a program needs is found by the verifier's own resolution, so that what is bundled is judged as what it was
//! taken from. Nothing is run for it and this machine is never asked: the root may be of another architecture.
//!
//! Decisions:
//! - A file stays at the path at which it is, and every link that kernel or loader walk through on their way to it is
//!   taken as it is: search paths, `$ORIGIN` and `/proc/self/exe` mean the same as before. Names of one inode stay one.
//! - `ld.so.cache` is left out when the loader finds the same files without it, as it does in its own directories.
//!   Else a new one is made, with the names that only the old one knew. musl's `.path` file is taken in the same case.
//! - A link to a directory that is walked through only because a search happened to come that way, and without which the
//!   same files are found, is left out too.
//! - What else a program opens when it runs (modules, data) is not known before: it is named by globs, asked for by kind
//!   ([`crate::recipe::Extra`]), or seen by a trace.
//! - Every name knows why it is there; so an image can be asked years later.

pub mod trace;

mod reason;

mod error;
mod packing;

mod extras;
mod search;
mod why;

mod gather;

pub use error::BundleError;
pub use extras::places;
pub use gather::{Bundle, Request, gather};
pub use reason::{REASONS, Reason, Reasons, read_recorded, recorded};
pub use why::why;
