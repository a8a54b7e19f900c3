//! The verifier: would every program of a tree start? It applies the rules of the kernel and of the program's own loader to the
//! tree. Nothing is run, so the architecture may be another one.
//!
//! [`verify()`] follows each start from its beginning: a command is looked up as runc does, its file is checked with the kernel's
//! rules, a script leads to its interpreter, and PT_INTERP leads to the loader. The loader is recognised by its contents, and its
//! rules are applied to libraries and symbols.
//!
//! The rules are in folders: `kernel/` for execve(2), `script/` for first lines and `env`, `glibc/` and `musl/` for the
//! loaders. `verify/` is above them: it applies them to a tree. The codes of findings are in the same files as the rules;
//! [`CODES`] lists them all. What depends on the architecture comes from [`crate::platform`].
//!
//! Decisions:
//! - A program for another machine is an error in a program directory (PATH, `/opt/*/bin`, `/usr/libexec`) and a warning
//!   elsewhere.
//! - A file is checked once, however many names it has; the finding says how many. But if its search for libraries depends on
//!   `$ORIGIN`, it is checked once for each directory that contains one of its names, as if it were several programs.
//! - A finding about a script is about its first line only. What is wrong with the interpreter is a finding about the interpreter.
//! - Programs that the image config names are checked for the configured user, all others for root.

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
