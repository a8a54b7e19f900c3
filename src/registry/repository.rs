//! One repository of a registry, and requests to it.

use std::sync::Arc;

use ureq::http::Method;

use super::auth::Scope;
use super::connections::{Answer, Ask, Broken};
use super::error::RegistryError;
use super::quirks::Quirks;
use super::session::Registries;
use super::url::Url;
use crate::reference::Repository;

/// What will be done with a repository: tokens are fetched for all of it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To read.
    Pull,
    /// To write; blobs may be mounted from these other repositories of the same registry.
    Push(Vec<Repository>),
    /// To delete.
    Delete,
}

/// One repository of a registry.
#[derive(Clone, Debug)]
pub struct RemoteRepository {
    pub(super) registries: Arc<Registries>,
    name: Repository,
    pub(super) scope: Scope,
    /// The other repositories of the same registry, as their names there.
    pub(super) others: Vec<String>,
    root: Url,
    pub(super) quirks: &'static Quirks,
}

impl RemoteRepository {
    /// A repository. If the registry is on this machine, one request finds out whether it supports TLS; nothing else is sent.
    ///
    /// # Errors
    /// When its host has settings that cannot be used.
    pub fn new(
        registries: &Arc<Registries>,
        name: &Repository,
        intent: &Intent,
    ) -> Result<RemoteRepository, RegistryError> {
        let quirks = Quirks::of(name.registry());
        let others: Vec<String> = match intent {
            Intent::Push(others) => {
                let here = others.iter().filter(|other| other.registry() == name.registry() && *other != name);
                here.map(|other| other.path().to_string()).collect()
            }
            Intent::Pull | Intent::Delete => Vec::new(),
        };
        let scope = match intent {
            Intent::Pull => Scope::pull(name.path()),
            Intent::Push(_) => Scope::push(name.path(), &others),
            Intent::Delete => Scope::delete(name.path()),
        };
        let origin = registries.origin(name)?;
        let root = Url { origin, target: format!("/v2/{}/", name.path()) };
        Ok(RemoteRepository { registries: registries.clone(), name: name.clone(), scope, others, root, quirks })
    }

    /// Its name.
    pub fn name(&self) -> &Repository {
        &self.name
    }

    /// The registry, for messages.
    pub(super) fn host(&self) -> String {
        self.name.registry().to_string()
    }

    /// The URL of something in it, such as `tags/list`.
    pub(super) fn url(&self, below: &str) -> Url {
        self.root.at(format!("{}{below}", self.root.target))
    }

    /// Sends a request, patiently. `action` is what is done, for errors: "the pull of a/b:v1".
    pub(super) fn request(&self, ask: &Ask<'_>, action: &str) -> Result<Answer, RegistryError> {
        self.registries.request(&self.name, &self.scope, ask, action)
    }

    /// Sends a request once.
    pub(super) fn once(&self, ask: &Ask<'_>, action: &str) -> Result<Answer, Broken> {
        self.registries.once(&self.name, &self.scope, ask, action)
    }

    /// A request that only reads.
    pub(super) fn get<'a>(&self, below: &str) -> Ask<'a> {
        Ask::new(Method::GET, self.url(below))
    }

    /// The error of an answer that is not what was hoped for.
    pub(super) fn refused(&self, answer: Answer, action: &str) -> RegistryError {
        let (host, status, action) = (answer.url.origin.authority(), answer.status, action.to_string());
        let hint = self.quirks.hint(status).map(str::to_string);
        match status {
            401 | 403 if answer.url.origin == self.root.origin => {
                let settings = &self.registries.connections.settings;
                let search = super::credentials::find(settings, &self.name);
                let search = search.map_or_else(|error| error.to_string(), |(_, search)| search.to_string());
                RegistryError::Unauthorized { host, action, said: answer.said(), search }
            }
            status => RegistryError::Status { host, status, action, said: answer.said(), hint },
        }
    }

    /// The error of an answer that the protocol does not have.
    pub(super) fn malformed(&self, fault: impl Into<String>) -> RegistryError {
        RegistryError::Malformed { host: self.host(), fault: fault.into() }
    }
}
