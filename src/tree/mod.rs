//! The first waist: a root file system as a value.
//!
//! Order and hard links are properties of the type, not of discipline: a directory is sorted, and one inode table
//! holds the files, so a hard link is simply two names of one inode. Contents are named, not held: bytes, a host file
//! with the stamp it had when it was seen, or a slice of an archive.
//!
//! Sockets have no place in an archive, so they have none here.

mod clock;
mod metadata;

mod content;

mod entries;

mod inodes;

mod resolve;

pub(crate) use clock::writeback_seconds;
pub use content::{Backing, Content, ContentError, ContentReader, HostFile, HostFolder, Origin, Stamp};
pub use entries::{DirectoryId, Entries, EntriesIter, InodeId};
pub use inodes::{DeviceNumber, Entry, Inode, InodeSet, Kind, Tree, Walk, WalkEntry};
pub use metadata::{Metadata, Mode, ModeError, Shared, Xattrs};
pub use resolve::{Destination, Errno, Follow, LINKS_MAX, ResolveError, Resolved};
