//! Tar archives: layers written, layers and root file systems read.
//!
//! What is written is ustar (POSIX.1-1988), with a PAX extended header (POSIX.1-2001) before an entry only where ustar
//! cannot hold a value: long paths, large numbers, extended attributes. Decisions, where the specs are silent:
//!
//! - Names are relative, directories end with `/`, the root is `./`. Every parent stands before its children, in the
//!   order of [`crate::tree::Tree::walk`].
//! - User and group names are empty: engines ignore them, and they would show who built the image.
//! - A hard link repeats owner, mode and time of its inode, because engines apply those of the last name to the inode.
//! - No global headers (umoci stops at one) and no sparse entries (no engine reads them).
//! - The end is two zero blocks, nothing more.

mod format;

mod entries;
mod writer;

mod layer;

mod unpack;

pub(crate) use entries::{TarEntries, TarKind};
pub(crate) use format::{begins_archive, padding};
pub(crate) use layer::{FaultPaths, LayerFault, LayerMarks, LayerTree};
pub use unpack::TarError;
pub(crate) use unpack::{read_layer, read_tar, read_tar_file};
pub use writer::{Body, header};
pub(crate) use writer::{END, member_header};
