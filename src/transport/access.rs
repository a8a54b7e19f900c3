//! What places are opened with: a directory for temporary files, and connections to registries if the caller has them.

#[cfg(feature = "registry")]
use std::sync::Arc;

use crate::codec::Scratch;
use crate::image::Cache;
#[cfg(feature = "registry")]
use crate::registry::Registries;

/// What places are opened with.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// Where temporary files lie.
    pub scratch: &'a Scratch,
    /// Where blobs of registries are looked for, and kept once they were needed twice.
    #[cfg_attr(
        not(feature = "registry"),
        expect(dead_code, reason = "only images in registries are looked for there")
    )]
    pub(super) cache: Option<&'a Cache>,
    /// Connections to registries.
    #[cfg(feature = "registry")]
    pub(super) registries: Option<&'a Arc<Registries>>,
}

impl<'a> Access<'a> {
    /// To places on this machine only.
    pub fn new(scratch: &'a Scratch) -> Access<'a> {
        Access {
            scratch,
            cache: None,
            #[cfg(feature = "registry")]
            registries: None,
        }
    }

    /// The same, and blobs of registries may be in a cache.
    pub fn with_cache(self, cache: Option<&'a Cache>) -> Access<'a> {
        Access { cache, ..self }
    }

    /// The same, and to registries.
    #[cfg(feature = "registry")]
    pub fn with_registries(self, registries: Option<&'a Arc<Registries>>) -> Access<'a> {
        Access { registries, ..self }
    }
}
