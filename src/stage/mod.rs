//! From a recipe to the tree of one platform: where directories, archives and declarations come in.
//!
//! The order is always the same: the base image's tree, the bundle, the sources in order, links, groups and users, and the
//! `[[path]]` entries in order, each applied to what is there by then.
//!
//! # Decisions
//!
//! - What is placed goes where a process inside the root would put it: links among the parents are followed, so a new
//!   `/lib/x` goes to `/usr/lib` when `/lib` is a link to it, and a directory never replaces a link to a directory.
//! - A later entry replaces an earlier one. But what would take a whole directory away with it, because a file or link
//!   comes where a directory with entries is, is an error: `type = "remove"` says that it is meant.
//! - Two entries of one source that go to the same path, because of a link that is there, are an error too.
//! - A source gives what it holds, not itself: mode and owner of its root stay behind, as with docker's `COPY`. On this
//!   machine they are an accident (a temporary folder is 0700). Directories not mentioned elsewhere are 0755 of root.
//! - Device nodes of a source go into an initramfs only; that is noted. `[[path]]` can ask for one in an image.
//! - Of extended attributes, `security.capability` and `user.*` are taken, the former without the owner of a user
//!   namespace. Labels and signatures (`security.selinux`, `ima`, `evm`), `trusted.*`, overlay's marks and others belong
//!   to the machine that made the tree. Access control lists are left out too; since they are permissions, that is noted.
//! - A rule, an `include` or a source that matches nothing is an error: it says what the writer believes to be there.
//! - A name of `[[links]]` that is taken stays what it is, as `busybox --install` leaves it; that is noted.

mod builder;

mod error;

mod accounts;
mod merge;

mod links;
mod paths;
mod sources;

mod staging;

pub use builder::InsertError;
pub use error::{Problem, StageError};
pub(crate) use staging::{Request, stage};
