//! The formats of bytes. Each one is read and written in one place.
//!
//! Reading makes a [`crate::tree::Tree`] whose contents are slices of the file. A compressed archive is first unpacked into a
//! temporary file, so that memory does not grow with its contents.

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
