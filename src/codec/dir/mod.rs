//! A directory of this machine, read as a root file system.
//!
//! Only what lstat(2) shows is read: no link is followed, no file is opened (contents are opened when they are
//! needed, and checked to be still what was seen). Two names are a hard link when device and inode agree; the inode alone
//! would not do, since a root can span file systems.
//!
//! Nearly all of the time goes into system calls, so several threads read directories. What comes out depends on names
//! only: the results are put together in one order, whoever had them first.

mod error;

mod listing;

mod reading;

mod scan;

pub use error::DirError;
pub use listing::{Skip, Unreadable};
pub use scan::{ScanOptions, Scanned, scan};
