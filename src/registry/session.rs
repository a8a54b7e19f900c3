//! Requests with all that belongs to them: credentials, redirects, patience, and whether TLS is needed at all.
//!
//! Rules, each a test: `Authorization` goes to the origin of the registry only (scheme, host **and** port); a redirect never leads
//! from TLS to plain HTTP, nor from outside to this machine or its own network; a host without TLS is loopback, or named by the
//! user.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ureq::http::{Method, header};

use super::auth::{Authorizations, Scope};
use super::challenge::challenges;
use super::connections::{Answer, Ask, Broken, Connections};
use super::credentials::{self, CredentialSearch};
use super::error::RegistryError;
use super::proxy;
use super::quirks::Quirks;
use super::retry::patiently;
use super::settings::RegistrySettings;
use super::url::{Origin, Url};
use crate::reference::Repository;

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 5;

/// Registries, and what was found out about them: connections that are open, tokens that are valid. One for a whole run.
pub struct Registries {
    pub(super) connections: Connections,
    authorizations: Authorizations,
    origins: Mutex<BTreeMap<String, Origin>>,
}

impl std::fmt::Debug for Registries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registries").field("settings", &self.connections.settings).finish_non_exhaustive()
    }
}

/// What applies to a reference, for `doctor`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Applying {
    /// Where the API is, such as `https://registry-1.docker.io`.
    pub api: String,
    /// The proxy, without user and password.
    pub proxy: Option<String>,
    /// Files with CAs and client certificates of this host.
    pub files: Vec<PathBuf>,
    /// Where credentials were looked for, and whether there are some.
    pub credentials: CredentialSearch,
}

impl Registries {
    /// Speaks to nobody yet.
    pub fn new(settings: RegistrySettings) -> Registries {
        let connections = Connections::new(settings);
        Registries { connections, authorizations: Authorizations::default(), origins: Mutex::default() }
    }

    /// What the user should know that is not an error, each once.
    pub fn take_notes(&self) -> Vec<String> {
        self.connections.take_notes()
    }

    /// Which settings apply to a repository, and from which files. Only for a loopback host is something sent: whether it speaks
    /// TLS.
    ///
    /// # Errors
    /// When one of the files cannot be used.
    pub fn applying(&self, repository: &Repository) -> Result<Applying, RegistryError> {
        let origin = self.origin(repository)?;
        let settings = &self.connections.settings;
        let secret = if origin.tls { &settings.https_proxy } else { &settings.http_proxy };
        let is_used = proxy::proxy_for(settings, &origin)?.is_some();
        Ok(Applying {
            api: origin.to_string(),
            proxy: secret.as_ref().filter(|_| is_used).map(proxy::shown),
            files: self.connections.files(&origin)?,
            credentials: credentials::find(settings, repository)?.1,
        })
    }

    /// Where the API of a registry is. A loopback host is asked with TLS first; if it does not speak it, plain HTTP is used.
    pub(super) fn origin(&self, repository: &Repository) -> Result<Origin, RegistryError> {
        let registry = Quirks::of(repository.registry()).api.unwrap_or(repository.registry());
        if let Some(origin) = self.origins.lock().unwrap_or_else(PoisonError::into_inner).get(registry) {
            return Ok(origin.clone());
        }
        let of = |tls| {
            Origin::of_registry(registry, tls).ok_or_else(|| RegistryError::Network {
                host: registry.to_string(),
                fault: "it is not the name of a host".into(),
            })
        };
        let (secure, plain) = (of(true)?, of(false)?);
        let origin = if plain.is_loopback() {
            let url = Url { origin: secure.clone(), target: "/v2/".into() };
            match self.connections.send(&Ask::new(Method::GET, url), None) {
                Err(Broken::NotTls(_) | Broken::Connection(_)) => plain,
                Err(Broken::Absent(error) | Broken::Other(error)) => return Err(error),
                Ok(_) => secure,
            }
        } else if self.connections.may_be_plain(&plain) {
            plain
        } else {
            secure
        };
        self.origins.lock().unwrap_or_else(PoisonError::into_inner).insert(registry.to_string(), origin.clone());
        Ok(origin)
    }

    /// Sends a request to a registry, again and again while it says "later". The answer is not a blob.
    pub(super) fn request(
        &self,
        repository: &Repository,
        scope: &Scope,
        ask: &Ask<'_>,
        action: &str,
    ) -> Result<Answer, RegistryError> {
        let patience = &self.connections.settings.patience;
        patiently(patience, || self.once(repository, scope, ask, action)?.held())
    }

    /// Sends a request once, or a second time if a token is needed for it.
    pub(super) fn once(
        &self,
        repository: &Repository,
        scope: &Scope,
        ask: &Ask<'_>,
        action: &str,
    ) -> Result<Answer, Broken> {
        let home = self.origin(repository).map_err(Broken::Other)?;
        let header = self.header(&home, scope, ask);
        let answer = self.following(&home, scope, ask.clone())?;
        // Only the registry itself is answered with credentials.
        if answer.status != 401 || answer.url.origin != home {
            return Ok(answer);
        }
        let found: Vec<_> = answer
            .headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenges)
            .collect();
        let (answered, search) =
            self.authorizations.answer(&self.connections, &home, repository, scope, &found).map_err(Broken::Other)?;
        let refused = |answer: Answer| {
            Broken::Other(RegistryError::Unauthorized {
                host: home.authority(),
                action: action.to_string(),
                said: answer.said(),
                search: search.to_string(),
            })
        };
        // What was sent before is not sent again.
        if !answered || (header.is_some() && header == self.header(&home, scope, ask)) {
            return Err(refused(answer));
        }
        let answer = self.following(&home, scope, ask.clone())?;
        if answer.status == 401 && answer.url.origin == home { Err(refused(answer)) } else { Ok(answer) }
    }

    fn header(&self, home: &Origin, scope: &Scope, ask: &Ask<'_>) -> Option<super::secret::Secret> {
        if ask.url.origin == *home { self.authorizations.header(home, scope) } else { None }
    }

    /// Sends a request and follows redirects of what only reads.
    fn following(&self, home: &Origin, scope: &Scope, mut ask: Ask<'_>) -> Result<Answer, Broken> {
        let reads = matches!(ask.method, Method::GET | Method::HEAD);
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.connections.send(&ask, self.header(home, scope, &ask).as_ref())?;
            let leads_on = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
            let Some(location) = answer.header("location").filter(|_| leads_on && reads) else { return Ok(answer) };
            let url = answer.url.join(location).ok_or_else(|| {
                Broken::Other(RegistryError::Malformed {
                    host: home.authority(),
                    fault: "it redirects to what is not a URL of HTTP".into(),
                })
            })?;
            self.check(&answer.url.origin, &url.origin).map_err(Broken::Other)?;
            ask.url = url;
        }
        Err(Broken::Other(RegistryError::Malformed {
            host: home.authority(),
            fault: format!("it redirects more than {REDIRECTS_MAX} times"),
        }))
    }

    /// Whether a registry may send a client from one origin to another.
    pub(super) fn check(&self, from: &Origin, to: &Origin) -> Result<(), RegistryError> {
        let refused =
            |fault: &str| Err(RegistryError::Unsafe { host: from.authority(), fault: format!("{fault} {to}") });
        if from == to {
            return Ok(());
        }
        if to.is_link_local() {
            return refused("leads to a host of the machine's own network,");
        }
        if to.is_loopback() && !from.is_loopback() {
            return refused("leads to this machine,");
        }
        if from.tls && !to.tls {
            return refused("leads from TLS to plain HTTP,");
        }
        if !to.tls && !self.connections.may_be_plain(to) {
            return refused("leads to a host without TLS,");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_does_not_lead_where_it_could_do_harm() {
        let registries = Registries::new(RegistrySettings::default());
        let check =
            |from: &str, to: &str| registries.check(&Url::parse(from).unwrap().origin, &Url::parse(to).unwrap().origin);
        for (from, to) in [
            ("https://a.example", "https://b.example"),
            ("http://127.0.0.1:1", "http://127.0.0.2:2"),
            ("http://a.example", "http://a.example"),
            ("http://127.0.0.1:1", "https://b.example"),
        ] {
            assert!(check(from, to).is_ok(), "{from} {to}");
        }
        for (from, to) in [
            ("https://a.example", "http://a.example"),
            ("https://a.example", "https://127.0.0.1"),
            ("https://a.example", "https://localhost:5000"),
            ("https://a.example", "https://169.254.169.254"),
            ("http://127.0.0.1:1", "http://169.254.169.254"),
            ("http://127.0.0.1:1", "http://b.example"),
        ] {
            assert!(check(from, to).unwrap_err().to_string().ends_with("this is not safe"), "{from} {to}");
        }
    }
}
