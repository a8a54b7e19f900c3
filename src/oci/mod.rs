//! Image documents (opencontainers/image-spec 1.1): `oci-spec`'s types, always written as the same bytes.
//!
//! `oci-spec` keeps annotations and labels in hash maps and drops config keys that it does not know. So nothing is
//! serialised from its types directly: every document goes through [`canonical()`], and a config is kept as the JSON
//! object that it is ([`Configuration`]), with typed access to what we understand.

mod canonical;

mod settings;
pub mod values;

mod configuration;

mod documents;

pub use canonical::canonical;
pub use configuration::{Configuration, ConfigurationError, HistoryEntry};
pub use documents::{
    Annotations, BASE_DIGEST, BASE_NAME, CONTAINERD_NAME, DocumentError, EMPTY_LAYOUT, REF_NAME, descriptor, index,
    manifest, platform_of,
};
pub(crate) use documents::{DOCUMENT_MAX, read_document};
pub use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
pub use settings::{Changes, DEFAULT_PATH, Healthcheck, Settings};
