//! The verifier: would every program of a tree start? Decided as the kernel and the program's own loader would decide,
//! by looking at the tree only: nothing is run, and the architecture may be another one.
//!
//! [`verify()`] follows a start from its beginning: the command is looked up as runc does, its file is checked with the
//! kernel's rules, a script leads to its interpreter, a PT_INTERP to its loader; then the rules of that loader, recognised by
//! its contents, decide about libraries and symbols.
//!
//! The rules stand in folders: `kernel/` for execve(2), `script/` for first lines and `env`, `glibc/` and `musl/` for the
//! loaders. `verify/` is on top: it applies them to a tree. Each rule stands beside the codes of its findings;
//! [`CODES`] lists them all. What depends on the architecture comes from [`crate::platform`].
//!
//! Decisions where the facts are silent:
//! - A program for another machine is an error in a place for programs (PATH, `/opt/*/bin`, `/usr/libexec`) and a
//!   warning elsewhere.
//! - A file is checked once, however many names it has; the names are counted in the finding. Where the search for libraries
//!   depends on `$ORIGIN`, it is checked once for each directory that has a name of it, as two programs. A script's finding is
//!   about its first line only: what is wrong with its interpreter is found at the interpreter.
//! - The configured user counts for what the image names; other programs are checked as if root started them.

mod layers;
mod severity;

mod draft;
mod policy;
mod slots;
mod user;
mod version;

mod loader;
mod subject;

mod files;

mod lookup;
mod process;
mod settings;

mod kernel;

mod glibc;
mod musl;
mod script;

mod init;
mod load;

mod closure;

mod description;
mod needs;

mod verify;

mod explain;

#[cfg(test)]
pub(crate) mod sample;

#[cfg(test)]
mod architectures;
#[cfg(test)]
mod order;
#[cfg(test)]
mod rules;

pub use closure::{Closure, Closures};
pub use description::{Description, FileKind, Library, describe};
pub use explain::{CODES, Explanation, explain};
pub use files::HEAD as SCRIPT_HEAD;
pub use glibc::ld_cache::ld_cache;
pub use layers::{LAYER_DIRECTORY_MODE, LAYER_HIDES_LINK, LAYER_REFUSED};
pub use needs::{Need, Needs, Role};
pub use policy::{Allowance, Baseline, Libc, Policy};
pub use script::first_line::{FirstLine, SCRIPTS_MAX};
pub use settings::LAYERS_MAX;
pub use subject::{GlibcRequirement, Program, Purpose, StartVerdict, Subject, Verification};
pub use user::{ProcessUser, UnknownUser};
pub use verify::agreed::{Agreement, agreement};
pub use verify::tree::verify;
pub use version::Version;
