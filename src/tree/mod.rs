//! The first waist: a root file system as a value.
//!
//! The type guarantees order and hard links: directories are sorted, and files are in one inode table, so a hard link is simply
//! a second name of an inode. The contents of a file are a few bytes in memory (a text of the
//! recipe), a file of this machine with the stamp that it had when it was first seen, or a slice of an archive.
//!
//! Archives cannot store sockets, so a tree has none.

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
