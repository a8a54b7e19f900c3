//! Tokens: fetched from the realm that a registry names, for all that an operation needs at once, and kept until they expire.
//!
//! Protocol: distribution's `spec/auth/token.md` and `oauth.md`. What a realm must be, so that a registry cannot make a client
//! hand its credentials to somebody else (CVE-2026-48978): the origin of the registry itself, or an `https` URL whose host is a
//! name; an address only if the registry has the same one; never a host that gives machines of a cloud their credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use ureq::http::{Method, header};

use super::challenge::Challenge;
use super::connections::{Answer, Ask, Connections, Payload};
use super::credentials::{self, Credential, CredentialSearch};
use super::error::RegistryError;
use super::retry::patiently;
use super::secret::Secret;
use super::url::{Origin, Url, encoded};
use crate::reference::Repository;

/// The largest answer of a realm, in bytes.
const TOKEN_MAX: u64 = 1 << 20;

/// How long a token lives that does not say it (token.md).
const LIFE: u64 = 60;

/// What is to be done, as the scopes of a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    /// The actions by repository.
    wanted: BTreeMap<String, BTreeSet<&'static str>>,
}

impl Scope {
    /// To read a repository.
    pub fn pull(repository: &str) -> Scope {
        Scope { wanted: BTreeMap::from([(repository.to_string(), BTreeSet::from(["pull"]))]) }
    }

    /// To write a repository, with blobs of others (`from`) mounted.
    pub fn push(repository: &str, from: &[String]) -> Scope {
        let mut wanted: BTreeMap<_, _> = from.iter().map(|from| (from.clone(), BTreeSet::from(["pull"]))).collect();
        wanted.insert(repository.to_string(), BTreeSet::from(["pull", "push"]));
        Scope { wanted }
    }

    /// The same, and to delete.
    pub fn delete(repository: &str) -> Scope {
        Scope { wanted: BTreeMap::from([(repository.to_string(), BTreeSet::from(["delete", "pull", "push"]))]) }
    }

    /// One text for each repository, and what the registry asks for besides.
    fn texts(&self, asked: Option<&str>) -> Vec<String> {
        let order = |actions: &BTreeSet<&str>| {
            ["pull", "push", "delete"]
                .into_iter()
                .filter(|action| actions.contains(action))
                .collect::<Vec<_>>()
                .join(",")
        };
        let mut texts: Vec<String> =
            self.wanted.iter().map(|(name, actions)| format!("repository:{name}:{}", order(actions))).collect();
        for other in asked.unwrap_or_default().split_whitespace() {
            let covered = other.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':')).is_some_and(
                |(name, actions)| {
                    self.wanted.get(name).is_some_and(|wanted| actions.split(',').all(|action| wanted.contains(action)))
                },
            );
            if !covered && !texts.iter().any(|text| text == other) {
                texts.push(other.to_string());
            }
        }
        texts
    }
}

/// How a registry is asked, once it said how.
#[derive(Clone)]
struct Known {
    header: Secret,
    /// When it must be fetched anew; `None` is never.
    until: Option<Instant>,
}

/// What was found out about authorization, for all registries.
#[derive(Default)]
pub(super) struct Authorizations {
    known: Mutex<BTreeMap<(Origin, Scope), Known>>,
}

/// The answer of a realm.
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Authorizations {
    /// The header for a request, where one is known that is valid.
    pub fn header(&self, origin: &Origin, scope: &Scope) -> Option<Secret> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&(origin.clone(), scope.clone()))?;
        known.until.is_none_or(|until| now() < until).then(|| known.header.clone())
    }

    /// Answers the challenges of a registry: afterwards [`Authorizations::header`] has something. The search says where
    /// credentials were looked for; `false` is that there is nothing to answer with.
    pub fn answer(
        &self,
        connections: &Connections,
        origin: &Origin,
        repository: &Repository,
        scope: &Scope,
        challenges: &[Challenge],
    ) -> Result<(bool, CredentialSearch), RegistryError> {
        let (credential, search) = credentials::find(&connections.settings, repository)?;
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, scope } => Some((realm, service.as_deref(), scope.as_deref())),
            Challenge::Basic => None,
        });
        let known = match (bearer, &credential) {
            (Some((realm, service, asked)), credential) => {
                let realm = safe_realm(connections, origin, realm)?;
                let texts = scope.texts(asked);
                fetch(connections, origin, &realm, service, &texts, credential.as_ref(), &search)?
            }
            (None, Some(Credential::Password { user, password })) if challenges.contains(&Challenge::Basic) => {
                Known { header: basic(user, password), until: None }
            }
            (None, _) => return Ok((false, search)),
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert((origin.clone(), scope.clone()), known);
        Ok((true, search))
    }
}

#[expect(clippy::disallowed_methods, reason = "tokens expire; no output depends on it")]
fn now() -> Instant {
    Instant::now()
}

fn basic(user: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.reveal()))))
}

/// The realm, if a client may send requests to it.
fn safe_realm(connections: &Connections, origin: &Origin, realm: &str) -> Result<Url, RegistryError> {
    let refused = |fault: String| RegistryError::Unsafe { host: origin.authority(), fault };
    let url = Url::parse(realm).ok_or_else(|| refused("names a realm for tokens that is not a URL".into()))?;
    if url.origin == *origin {
        return Ok(url);
    }
    if url.origin.is_link_local() {
        return Err(refused(format!("sends for a token to a host of the machine's own network, {}", url.origin)));
    }
    let same_host = url.origin.host == origin.host;
    if !url.origin.tls && (origin.tls || !connections.may_be_plain(&url.origin)) {
        return Err(refused(format!("sends for a token without TLS, {}", url.origin)));
    }
    if !same_host && url.origin.is_loopback() {
        return Err(refused(format!("sends for a token to this machine, {}", url.origin)));
    }
    if !same_host && url.origin.address().is_some() {
        return Err(refused(format!("sends for a token to an address instead of a host, {}", url.origin)));
    }
    Ok(url)
}

fn fetch(
    connections: &Connections,
    origin: &Origin,
    realm: &Url,
    service: Option<&str>,
    scopes: &[String],
    credential: Option<&Credential>,
    search: &CredentialSearch,
) -> Result<Known, RegistryError> {
    let form;
    let (ask, header) = match credential {
        Some(Credential::IdentityToken(token)) => {
            let mut fields =
                vec![("grant_type", "refresh_token"), ("client_id", "sazare"), ("refresh_token", token.reveal())];
            fields.extend(service.map(|service| ("service", service)));
            let scopes = scopes.join(" ");
            fields.push(("scope", &scopes));
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
            form = fields.join("&");
            let ask = Ask::new(Method::POST, realm.clone())
                .with(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .sending(Payload::Bytes(form.as_bytes()));
            (ask, None)
        }
        other => {
            let mut url = realm.clone();
            if let Some(service) = service {
                url = url.with("service", service);
            }
            for scope in scopes {
                url = url.with("scope", scope);
            }
            let header = match other {
                Some(Credential::Password { user, password }) => {
                    url = url.with("account", user);
                    Some(basic(user, password))
                }
                _ => None,
            };
            (Ask::new(Method::GET, url), header)
        }
    };
    let asked = now();
    let answer = patiently(&connections.settings.patience, || connections.send(&ask, header.as_ref())?.held())?;
    let token = token_of(realm, origin, answer, search)?;
    let (Some(text), life) = (token.token.or(token.access_token), token.expires_in.unwrap_or(LIFE)) else {
        return Err(RegistryError::Malformed { host: realm.to_string(), fault: "it has no token".into() });
    };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(RegistryError::Malformed { host: realm.to_string(), fault: "its token is not one".into() });
    }
    // A tenth of its life is left for the way.
    let life = Duration::from_secs(life.min(365 * 86400)) * 9 / 10;
    Ok(Known { header: Secret::new(format!("Bearer {text}")), until: asked.checked_add(life) })
}

fn token_of(
    realm: &Url,
    origin: &Origin,
    answer: Answer,
    search: &CredentialSearch,
) -> Result<TokenAnswer, RegistryError> {
    match answer.status {
        200..=299 => {
            let bytes = answer.bytes(TOKEN_MAX)?;
            // What it is instead is not printed: it may contain a token.
            serde_json::from_slice(&bytes).map_err(|_| RegistryError::Malformed {
                host: realm.to_string(),
                fault: "it is not the JSON of a token".into(),
            })
        }
        400 | 401 | 403 => Err(RegistryError::Unauthorized {
            host: realm.to_string(),
            action: format!("a token for {}", origin.authority()),
            said: answer.said(),
            search: search.to_string(),
        }),
        status => Err(RegistryError::Status {
            host: realm.to_string(),
            status,
            action: format!("the request for a token for {}", origin.authority()),
            said: answer.said(),
            hint: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::settings::RegistrySettings;

    #[test]
    fn all_scopes_are_asked_for_at_once_and_none_twice() {
        let scope = Scope::push("a/b", &["base/x".into()]);
        assert_eq!(
            scope.texts(Some("repository:a/b:pull,push")),
            ["repository:a/b:pull,push", "repository:base/x:pull"]
        );
        assert_eq!(
            Scope::pull("a").texts(Some("registry:catalog:* repository:a:pull repository:a:pull,push")),
            ["repository:a:pull", "registry:catalog:*", "repository:a:pull,push"]
        );
        assert_eq!(Scope::delete("a").texts(None), ["repository:a:pull,push,delete"]);
    }

    #[test]
    fn a_realm_that_could_take_credentials_is_refused() {
        let connections = Connections::new(RegistrySettings::default());
        let realm = |registry: &str, tls: bool, realm: &str| {
            let origin = Origin::of_registry(registry, tls).unwrap();
            safe_realm(&connections, &origin, realm).map_err(|error| error.to_string())
        };
        for (registry, tls, text) in [
            ("docker.io", true, "https://auth.docker.io/token"),
            ("h.example", true, "https://h.example/token"),
            ("10.0.0.1:5000", true, "https://10.0.0.1:5001/token"),
            ("127.0.0.1:5000", false, "http://127.0.0.1:5000/token"),
            ("127.0.0.1:5000", false, "http://127.0.0.1:5001/token"),
        ] {
            assert!(realm(registry, tls, text).is_ok(), "{text}");
        }
        for (registry, tls, text) in [
            ("h.example", true, "http://h.example/token"),
            ("h.example", true, "http://auth.example/token"),
            ("h.example", true, "https://203.0.113.1/token"),
            ("h.example", true, "https://169.254.169.254/latest"),
            ("169.254.169.254", true, "http://169.254.169.254/latest"),
            ("h.example", true, "https://metadata.google.internal/"),
            ("h.example", true, "https://localhost/token"),
            ("h.example", true, "https://[::1]/token"),
            ("127.0.0.1:5000", false, "http://auth.example/token"),
            ("127.0.0.1:5000", false, "http://127.0.0.2:5000/token"),
            ("h.example", true, "file:///token"),
            ("h.example", true, "/token"),
        ] {
            let error = realm(registry, tls, text).unwrap_err();
            assert!(error.ends_with("this is not safe"), "{text}: {error}");
        }
    }
}
