//! The whole program: one page for each trip.
//!
//! Each file below is a trip through the house, from the ground up: what comes in becomes a tree, the tree is
//! judged, the tree becomes an image, the image goes to its places. Comments say what is true from there on.

mod error;

mod abreast;
mod read;

mod gather;

mod prepare;

mod build;
mod initramfs;
mod program;
mod rehearse;
mod rootfs;

mod trial;

pub use build::{Built, Outcome, build};
pub use error::BuildError;
pub use gather::bundle_platforms;
pub use initramfs::{Archives, Initramfs, initramfs};
pub use prepare::{Build, Bundled, Packed};
pub use program::verify_program;
pub use read::{Seen, Verdict, Why, read, verify, why};
pub use rehearse::{Rehearsal, rehearse};
pub use rootfs::{Folder, Folders, Rootfs, rootfs};
pub use trial::{Try, try_out};
