//! A trial run: a command started inside a tree, by the strongest way that this machine allows.
//!
//! The verifier proves without running anything; this runs, and says what it did not prove. The tree is written to a
//! private folder first, so nothing that the command does reaches the place it came from. Then the ways are tried in
//! the order of [`Way::ALL`], the strongest first; each that this machine refuses is told with the reason.
//!
//! This is one of the two places in the library that execute anything (design law 7), and needs `unsafe` for one call:
//! fork(2). Two processes stand between us and the command:
//!
//! ```text
//! sazare ──fork──► keeper ──fork──► command
//!    │  lifeline ───►│                 enters namespaces or the root, becomes the user, execve
//!    │◄── report ────│
//! ```
//!
//! The keeper adopts whatever the command leaves behind, and ends the whole family when the command is over, when its
//! time is, or when the lifeline breaks because sazare itself was killed.

mod machine;
mod way;

mod error;

mod launch;
mod room;
mod start;

mod enter;
mod ready;

mod keeper;

mod process;

mod attempt;

pub use attempt::{Outcome, Trial, attempt};
pub use error::TrialError;
pub use machine::{Emulator, Machine};
pub use process::{Ended, probe};
pub use way::{Refusal, Way};
