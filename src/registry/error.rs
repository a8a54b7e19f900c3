//! Why a registry did not do what it was asked for.

use std::path::PathBuf;

use crate::failure::{Failure, FailureKind};

/// Why a registry did not do what it was asked for. No text contains a credential, or the query of a URL.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No answer came.
    #[error("no answer from {host}: {fault}")]
    Network {
        /// The host, or the URL up to its query.
        host: String,
        /// What was met.
        fault: String,
    },
    /// The user wants nothing to be sent.
    #[error("{host} was not asked, because of --offline")]
    Offline {
        /// The host.
        host: String,
    },
    /// An answer that is an error.
    #[error("{host} answers {status} to {action}{}", list(.said))]
    Status {
        /// The registry.
        host: String,
        /// The HTTP status.
        status: u16,
        /// What was asked for.
        action: String,
        /// What the registry says about it.
        said: String,
        /// What is known about this registry.
        hint: Option<String>,
    },
    /// The registry refuses, with the credentials that were sent or without any.
    #[error("{host} refuses {action}{}: {search}", list(.said))]
    Unauthorized {
        /// The registry.
        host: String,
        /// What was asked for.
        action: String,
        /// What the registry says about it.
        said: String,
        /// Where credentials were looked for.
        search: String,
    },
    /// What was asked for is not there.
    #[error("{host} does not have {what}")]
    NotFound {
        /// The registry.
        host: String,
        /// A repository with its tag or digest.
        what: String,
    },
    /// The registry asks for something that would give credentials away, or makes requests to hosts that are none of its
    /// business.
    #[error("{host} {fault}; this is not safe")]
    Unsafe {
        /// The registry.
        host: String,
        /// What it asks for.
        fault: String,
    },
    /// An answer that is not what the protocol says.
    #[error("unexpected answer of {host}: {fault}")]
    Malformed {
        /// The registry.
        host: String,
        /// What is wrong with it.
        fault: String,
    },
    /// A file with credentials, certificates or keys.
    #[error("cannot use {}: {fault}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// A program that keeps credentials.
    #[error("the credential helper {program} failed for {key}: {fault}")]
    Helper {
        /// Its name.
        program: String,
        /// What it was asked for.
        key: String,
        /// What happened.
        fault: String,
    },
    /// Something that is to be sent cannot be read.
    #[error("cannot read what is to be sent: {0}")]
    Source(String),
}

/// What a registry says, after a colon.
fn list(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" ({said})") }
}

impl RegistryError {
    /// Whether this is the answer that something is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, RegistryError::NotFound { .. })
    }
}

impl Failure for RegistryError {
    /// As seen by who reads from a registry. Who writes to one reports an output that cannot be written.
    fn kind(&self) -> FailureKind {
        FailureKind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            RegistryError::Network { .. } => {
                Some("check the name of the host and the proxy (HTTPS_PROXY, NO_PROXY), then try again".into())
            }
            RegistryError::Status { hint, .. } => hint.clone(),
            RegistryError::Unauthorized { .. } => {
                Some("log in with `docker login` or `podman login`, or name a file with --authfile".into())
            }
            RegistryError::Offline { .. } => Some("run it once without --offline, so that the cache has it".into()),
            RegistryError::NotFound { .. }
            | RegistryError::Unsafe { .. }
            | RegistryError::Malformed { .. }
            | RegistryError::File { .. }
            | RegistryError::Helper { .. }
            | RegistryError::Source(_) => None,
        }
    }
}

/// Text of a registry, fit to be printed: one line without control characters, and not too long.
pub(super) fn printable(text: &str) -> String {
    const SHOWN: usize = 300;
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|letter| !letter.is_control()).take(SHOWN + 1).collect();
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_registry_is_one_short_line() {
        assert_eq!(printable(" a\n\tb\u{1b}[31m "), "a b[31m");
        assert_eq!(printable(&"x".repeat(301)).chars().count(), 301);
        assert_eq!(printable(&"é".repeat(300)), "é".repeat(300));
    }
}
