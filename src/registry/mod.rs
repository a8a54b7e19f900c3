//! Registries: the protocol of distribution-spec 1.1, blocking, over `ureq` and `rustls`.
//!
//! This module implements requests to a registry. Which image to fetch or send is decided above (`transport`). Start at
//! [`Registries`], which holds the connections and tokens of a run, and [`RemoteRepository`], which has the operations.
//!
//! Decisions, where the specification is silent:
//!
//! - Anonymous first: credentials are searched for only when a registry requires them.
//! - One token is fetched for everything that an operation needs, and again when it expires, also in the middle of an upload.
//! - A loopback host is tried with TLS first, and with plain HTTP if it does not support TLS; all others need TLS unless the user
//!   names them.
//! - Bytes from a registry are bounded and checked before they are used: manifests and blobs by digest and size, tokens and
//!   lists by size.
//!
//! Nothing here reads the environment or prints; [`RegistrySettings`] contains the settings of the machine.

mod challenge;
mod error;
mod quirks;
mod secret;
mod url;

mod settings;

mod credential_helper;
mod proxy;
mod tls;

mod connections;
mod credentials;

mod retry;

mod auth;

mod session;

mod repository;

mod manifests;
mod pull;

mod push;
mod referrers;

pub use credentials::CredentialSearch;
pub use error::RegistryError;
pub use manifests::{PutManifest, RemoteManifest};
pub use pull::{BlobReader, Resuming};
pub use push::{BlobSource, PushedBlob};
pub use quirks::Quirks;
pub use referrers::Referrers;
pub use repository::{Intent, RemoteRepository};
pub use secret::Secret;
pub use session::{Applying, Registries};
pub use settings::{Patience, RegistrySettings};
