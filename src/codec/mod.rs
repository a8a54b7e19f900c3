//! Each form of bytes, read and written in one place.
//!
//! What is read ends in a [`crate::tree::Tree`] whose contents are slices of the file that was read: a compressed
//! archive is first unpacked into a scratch file, so that memory does not grow with what is in it.

mod budget;
mod scratch;

pub mod whiteout;

pub mod compress;

pub mod cpio;
pub mod dir;
pub mod folder;
pub mod tar;

pub mod deb;

pub(crate) use budget::Budget;
pub use scratch::{SCRATCH_MAX, Scratch, ScratchError, ScratchFile};
