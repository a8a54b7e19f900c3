//! The verifier: would every program of a tree start? Decided as the kernel and the program's own loader would decide,
//! by looking at the tree only: nothing is run, and the machine may be another one.
//!
//! [`verify`] follows a start from its beginning: the command is looked up as runc does, its file is judged by the
//! kernel's rules, a script leads to its interpreter, a PT_INTERP to its loader; then the loader, told by its contents,
//! decides about libraries and symbols. Each rule stands in the file that is named for it, beside the codes of what it
//! can find; [`CODES`] lists them all.
//!
//! Decisions where the facts are silent:
//! - A program for another machine is an error in a place for programs (PATH, `sbin`, `libexec`, `/opt/*/bin`) and a
//!   warning elsewhere.
//! - A file is judged once, however many names it has; the names are counted in the finding. A script's finding is about
//!   its first line only: what is wrong with its interpreter is found at the interpreter.
//! - The configured user counts for what the image names; other programs are judged as root would start them.

mod draft;
mod person;
mod policy;
mod script;

mod slots;

mod files;
mod flavour;

mod kernel;
mod programs;
mod subject;

mod lookup;
mod tell;

mod process;

mod ident;
mod ld_cache;
mod musl;
mod tokens;

mod glibc;
mod musl_symbols;
mod musl_tell;

mod glibc_symbols;
mod glibc_tell;

mod glibc_later;

mod load;

mod closure;

mod portrait;

mod accept;
mod interpret;
mod surroundings;

mod init;

mod needs;
mod verify;

mod explain;

#[cfg(test)]
pub(crate) mod sample;

#[cfg(test)]
mod rules;

pub use closure::{Closure, Closures};
pub use explain::{CODES, Explanation, explain};
pub use ld_cache::ld_cache;
pub use needs::{Need, Needs, Role};
pub use person::{Nobody, Person};
pub use policy::{Allowance, Baseline, Libc, Policy};
pub use portrait::{Library, Portrait, portrait};
pub use script::{FirstLine, HEAD as SCRIPT_HEAD, SCRIPTS_MAX};
pub use subject::{Demand, Judgement, Program, Purpose, Subject, Verdict};
pub use verify::verify;
