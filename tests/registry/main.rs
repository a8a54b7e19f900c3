//! The protocol of registries against one that has every quirk that is known, and every fault that a network has.

mod server;

mod copies;
mod outputs;
mod places;
mod pulls;
mod pushes;
mod safety;

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use sazare::registry::{Intent, Registries, RegistryError, RegistrySettings, RemoteRepository};
use server::Server;

/// Settings that wait for nobody, and know `u:p` for a host.
fn settings(known: Option<&Server>) -> (RegistrySettings, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.json");
    let entry = known.map(|server| format!(r#""{}":{{"auth":"dTpw"}}"#, server.host)).unwrap_or_default();
    std::fs::write(&file, format!(r#"{{"auths":{{{entry}}}}}"#)).unwrap();
    let mut settings = RegistrySettings::default();
    settings.auth_file = Some(file);
    settings.patience.first_wait = Duration::from_millis(2);
    settings.patience.longest_wait = Duration::from_millis(20);
    settings.patience.silence = Duration::from_secs(5);
    (settings, folder)
}

fn repository(server: &Server, name: &str, intent: &Intent) -> RemoteRepository {
    let (settings, _folder) = settings(Some(server));
    let registries = Arc::new(Registries::new(settings));
    let name = format!("{}/{name}", server.host).parse().unwrap();
    let repository = RemoteRepository::new(&registries, &name, intent).unwrap();
    // The file with credentials is read when it is needed.
    std::mem::forget(_folder);
    repository
}

fn push(server: &Server) -> RemoteRepository {
    repository(server, "a/b", &Intent::Push(Vec::new()))
}

fn pull(server: &Server) -> RemoteRepository {
    repository(server, "a/b", &Intent::Pull)
}

/// Bytes that are the same in no two places.
fn bytes(size: usize) -> Vec<u8> {
    let mut state = 88172645463325252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size).map(|_| next()).collect()
}

/// Reads a blob to its end.
fn read(repository: &RemoteRepository, digest: &sazare::digest::Digest, size: usize) -> Result<Vec<u8>, String> {
    let mut blob = repository.blob(digest, size as u64).map_err(|error: RegistryError| error.to_string())?;
    let mut all = Vec::new();
    blob.read_to_end(&mut all).map_err(|error: io::Error| error.to_string())?;
    Ok(all)
}
