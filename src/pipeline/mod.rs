//! The whole program. Start with [`build()`], which reads from top to bottom.
//!
//! Inputs become a tree, the tree is verified and becomes an image, an initramfs or a directory, and these are written to their
//! places. Comments say what holds from there on.

mod error;

mod order;
mod parts;
mod read;

mod collect;
mod merge;

mod stage;

mod layers;

mod build;
mod program;

mod copy;
mod trial;

pub use build::{Built, Candidate, Checked, Outcome, Ready, build, check};
pub use collect::bundle_platforms;
pub use copy::{Copied, Copying, copy};
pub use error::BuildError;
pub use merge::merged;
pub use order::Order;
pub use program::verify_program;
pub use read::{PlaceContents, Verdict, Why, agreed_platform, platforms_of, read, verify, why};
pub use stage::Bundled;
pub use trial::{Try, try_out};
