//! A trial run: a command started inside a tree, with the strongest method that this machine allows.
//!
//! The verifier checks without running anything; this runs, and says what the run does not show. The tree is first written
//! to a private directory, so nothing that the command does reaches the place it came from. Then the methods are tried in the
//! order of [`Method::ALL`], the strongest first; each that this machine refuses is reported with the reason. A method that
//! confines nothing is used only if the caller asks for it.
//!
//! Apart from the trace of a bundle, this is the only place in the library that executes anything. Two processes stand between
//! us and the command, and with some methods a third:
//!
//! ```text
//! sazare ──fork──► supervisor ──fork──► command             enters namespaces or the root, becomes the user, execve
//!    │  lifeline ───►│        └─fork──► init ──fork──► command      chroot and loader as root: a process namespace
//!    │◄── report ────│
//! ```
//!
//! The supervisor adopts the processes that the command leaves behind, and ends all of them when the command ends, when its
//! time is over, or when the lifeline breaks because sazare itself was killed.

mod machine;
mod method;
mod users;

mod error;
mod filter;

mod command;
mod confine;
mod control_group;
mod copy;
mod launch;
mod mounts;

mod descendants;
mod enter;
mod ready;

mod supervisor;

mod run;

mod attempt;

pub use attempt::{Trial, TrialOutcome, attempt};
pub use error::TrialError;
pub use machine::{Emulator, Machine};
pub use method::{Method, Refusal};
pub use run::{Ended, probe};
