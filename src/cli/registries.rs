//! What registries are spoken to with: the flags, and what docker, podman and curl take from the environment.

#![cfg_attr(
    feature = "registry",
    expect(clippy::disallowed_methods, reason = "this is the part of the program that reads the environment")
)]

use std::path::PathBuf;
#[cfg(feature = "registry")]
use std::sync::Arc;

use clap::Args;
use sazare::codec::Scratch;
use sazare::image::Cache;
#[cfg(feature = "registry")]
use sazare::registry::{Registries, RegistrySettings};
use sazare::transport::Access;

/// Flags on registries.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registries")]
pub struct RegistryFlags {
    /// File with credentials [default: REGISTRY_AUTH_FILE, otherwise the files of podman and docker]
    #[arg(long, global = true, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// Use HTTP without TLS for this host (repeatable); hosts of this machine need no flag
    #[arg(long, global = true, value_name = "HOST[:PORT]")]
    pub plain_http: Vec<String>,
    /// Never use the network: only what the cache has of registries
    #[arg(long, global = true)]
    pub offline: bool,
}

/// What places are reached with.
pub struct Reach {
    #[cfg(feature = "registry")]
    pub registries: Arc<Registries>,
}

impl Reach {
    /// Takes it from the flags and the environment. Nothing is sent.
    pub fn new(flags: &RegistryFlags) -> Reach {
        #[cfg(feature = "registry")]
        {
            let uid = rustix::process::geteuid().as_raw();
            let mut settings = RegistrySettings::of_environment(uid, |name| std::env::var_os(name));
            settings.auth_file = flags.authfile.clone().or(settings.auth_file);
            settings.plain_http = flags.plain_http.clone();
            settings.offline = flags.offline;
            Reach { registries: Arc::new(Registries::new(settings)) }
        }
        #[cfg(not(feature = "registry"))]
        {
            let RegistryFlags { authfile: _, plain_http: _, offline: _ } = flags;
            Reach {}
        }
    }

    /// For [`sazare::transport::open`].
    pub fn access<'a>(&'a self, scratch: &'a Scratch, cache: Option<&'a Cache>) -> Access<'a> {
        let access = Access::new(scratch).with_cache(cache);
        #[cfg(feature = "registry")]
        let access = access.with_registries(Some(&self.registries));
        access
    }
}
