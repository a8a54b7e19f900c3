//! Initramfs archives: the form `newc` of cpio, as the kernel reads it (Documentation/driver-api/early-userspace/
//! buffer-format.rst), written and read.
//!
//! Decisions, where that text is silent:
//!
//! - Names are relative and the root is `.`, in the order of [`crate::tree::Tree::walk`], so parents come first: a kernel never
//!   creates the parents of an entry, but drops an entry that has none.
//! - Inode numbers count from 1 in the order of the entries, and device numbers of the file system are 0. So the archive contains
//!   nothing of the machine.
//! - The names of a hard-linked file have the same inode number, and their link count is the number of names. The contents are at
//!   the last name, as in GNU cpio; the others have size 0.
//! - A directory has the link count that a file system would give it: 2 plus the number of directories in it.
//! - The end is `TRAILER!!!`, padded with zeros to 512 bytes, so that another archive can follow.
//! - What the format cannot store is an error (a file of 4 GiB, a date before 1970 or after 2106), except extended attributes,
//!   which the verifier reports as a finding (`xattrs-lost`).

mod error;
mod format;

mod reader;
mod writer;

pub use error::{CpioReadError, Spot};
pub use reader::{Cpio, read_cpio};
pub use writer::CpioError;
pub(crate) use writer::write_cpio;
