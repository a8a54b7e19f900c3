//! The places that people name, opened and written.
//!
//! The words are skopeo's and buildah's, the forms are those that docker, podman, skopeo, buildah, umoci and containerd
//! were seen to accept. Decisions, where the specs are silent:
//!
//! - `index.json` holds one descriptor per tag, which points at an index with the platforms. It has two names: `ref.name`
//!   is the tag alone, by which skopeo, podman, buildah and umoci find it; `io.containerd.image.name` is the full
//!   reference, by which containerd, docker's containerd store and `podman load` name what they load.
//! - With `flat-index` the manifests are in `index.json` themselves, for tools that know no nested index (umoci). The
//!   image of one platform has the tag as its name; several have `TAG-ARCHITECTURE`, since one name for several
//!   manifests is "ambiguous" to umoci, and makes skopeo take the first one, whatever its architecture.
//! - An image without any tag is written as `latest`: untagged ones would pile up in a layout, and containerd imports
//!   nothing that has no name.
//! - There is one form of archive: an OCI layout in a tar that has docker's `manifest.json` besides. Every engine loads
//!   it. It is not compressed outside, where skopeo and podman of Debian 12 lose data.
//! - Replacing a tag leaves the old blobs in a layout. Unreferenced blobs are legal, and somebody may be reading them.

mod access;
mod detect;

mod place;

mod error;

mod blobs;
mod members;
mod naming;

mod choose;
mod layout;

mod archive;
mod load;

#[cfg(feature = "registry")]
mod remote;

mod docker;
#[cfg(feature = "registry")]
mod upload;

mod pending;

mod image;
mod initramfs;
mod open;
mod rootfs;

pub use access::Access;
pub use error::TransportError;
#[cfg(feature = "registry")]
pub use image::prepare_remote;
pub use image::{WriteOptions, check, prepare_image};
pub(crate) use initramfs::{archive_form, prepare_initramfs};
pub use open::{Opened, open};
pub use pending::{Pending, Written, WrittenImage, WrittenInitramfs, WrittenRootfs};
pub use place::{Place, PlaceError};
pub(crate) use rootfs::{check_rootfs, prepare_rootfs};
