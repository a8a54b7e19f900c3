//! A smaller root: programs of a root with what they need, and nothing else.
//!
//! The verifier's own lookup finds what a program needs, so a bundle is verified like the root that it comes from. Nothing is run
//! and nothing depends on this machine, so the root may be of another architecture.
//!
//! Decisions:
//! - A file stays at its path, and every link that the kernel or the loader follows on the way to it is included as it is:
//!   search paths, `$ORIGIN` and `/proc/self/exe` mean the same as before. Names of one inode stay one.
//! - `ld.so.cache` is left out if the loader finds the same files without it, as it does in its own directories. Otherwise
//!   a new one is made, with the names that only the old one had. musl's `.path` file is included in the same case.
//! - A link to a directory that only a search passed through is left out if the same files are found without it.
//! - Other files that a program opens at run time (modules, data) cannot be detected: they are named by globs, selected by kind
//!   ([`crate::recipe::Extra`]), or found by a trace.
//! - The reasons for every name are kept in the image, so that `inspect --why` can show them later.

pub(crate) mod root_parts;

pub mod trace;

mod reason;

mod error;
mod packing;

mod extras;
mod search;
mod why;

mod collect;

pub(crate) use collect::{BundleRequest, Collected, collect};
pub use error::BundleError;
pub(crate) use extras::places;
pub(crate) use reason::{REASONS, read_recorded, recorded};
pub use reason::{Reason, Reasons};
pub(crate) use why::why;
