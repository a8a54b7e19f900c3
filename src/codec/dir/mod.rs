//! A directory of this machine, read as a root file system.
//!
//! Only the metadata of lstat(2) is read: no link is followed and no file is opened. Contents are opened when they are needed,
//! and then checked for changes. Two names are hard links if device and inode are equal; the inode alone is not enough, because
//! a root can span several file systems.
//!
//! Nearly all of the time goes into system calls, so several threads read directories. The result depends only on names: it is
//! put together in one order, whichever thread was first.

mod error;

mod listing;

mod reading;

mod scan;

pub use error::DirError;
pub use listing::{Skip, Unreadable};
pub use scan::{ScanOptions, Scanned, scan};
