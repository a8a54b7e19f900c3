//! Initramfs archives: the form `newc` of cpio, as the kernel reads it (Documentation/driver-api/early-userspace/
//! buffer-format.rst), written and read.
//!
//! Decisions, where that text is silent:
//!
//! - Names are relative and the root is `.`, in the order of [`crate::tree::Tree::walk`]: a kernel never makes the parents
//!   of an entry, it drops what has none.
//! - Inode numbers are counted from 1 in the order of the entries; device numbers of the file system are 0. So nothing of
//!   the machine is in the archive.
//! - The names of a hard-linked file share its number and say how many they are. The contents stand at the last one, as
//!   GNU cpio puts them; the others have size 0.
//! - A directory has the link count that a file system would give it: 2, and one for each directory in it.
//! - The end is `TRAILER!!!`, filled up with zeros to 512 bytes, so that another archive can follow.
//! - What the form cannot carry is an error here (a file of 4 GiB, a date before 1970 or after 2106), but for extended
//!   attributes, which the verifier reports as a finding (`xattrs-lost`).

mod error;
mod format;

mod reader;
mod writer;

pub use error::{CpioReadError, Spot};
pub use reader::{Cpio, read_cpio};
pub use writer::CpioError;
pub(crate) use writer::write_cpio;
