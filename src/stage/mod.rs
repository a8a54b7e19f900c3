//! Makes the tree of one platform from a recipe: reads its directories and archives, and applies its declarations.
//!
//! The order is always the same: the tree of the base image, the bundle, the sources in order, links, groups and users, and the
//! `[[path]]` entries in order. Each step works on the result of the earlier ones.
//!
//! # Decisions
//!
//! - An entry goes where a process inside the root would put it. Links among its parents are followed, so a new `/lib/x` goes to
//!   `/usr/lib` if `/lib` is a link to it, and a directory never replaces a link to a directory.
//! - A later entry replaces an earlier one. But a file or link that would replace a directory with entries is an error, unless
//!   `type = "remove"` removes that directory first.
//! - Two entries of one source that go to the same path, because of an existing link, are an error too.
//! - The contents of a source are copied, not the mode and owner of its root, as with docker's `COPY`: on this machine they are an
//!   accident (a temporary directory is 0700). Directories not mentioned elsewhere are 0755 and owned by root.
//! - Device nodes of a source go into an initramfs only, with a note. `[[path]]` can add one to an image.
//! - Of the extended attributes, `security.capability` and `user.*` are copied, the former with the owner of a user namespace
//!   removed. Labels and signatures (`security.selinux`, `ima`, `evm`), `trusted.*`, overlay's marks and others belong to the
//!   machine that made the tree. Access control lists are left out too, with a note, because they are permissions.
//! - A rule, an `include` or a source that matches nothing is an error, because the author expects something there.
//! - A name of `[[links]]` that exists already is not changed, as with `busybox --install`; there is a note.

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
