//! The whole program: one page for each trip.
//!
//! Each file below is a trip through the house, from the ground up: what comes in becomes a tree, the tree is
//! judged, the tree becomes an image, the image goes to its places. Comments say what is true from there on.

mod error;

mod prepare;

mod build;
mod initramfs;
mod program;
mod read;

mod trial;

pub use build::{Built, Outcome, build};
pub use error::BuildError;
pub use initramfs::{Archives, Initramfs, initramfs};
pub use prepare::{Build, Verdict};
pub use program::verify_program;
pub use read::{Seen, read, verify};
pub use trial::{Try, try_out};
