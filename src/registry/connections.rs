//! Requests and answers, one at a time: no credentials, no redirects, no second try.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ureq::http::{HeaderMap, Method, Request, header};
use ureq::{Agent, Body, SendBody};

use super::error::{RegistryError, printable};
use super::proxy;
use super::secret::Secret;
use super::settings::RegistrySettings;
use super::tls;
use super::url::{Origin, Url};

/// How much of an error's text is read, in bytes.
const ERROR_MAX: u64 = 64 << 10;

/// The longest body that is not a blob, in bytes; what is longer is refused by its reader.
const HELD_MAX: u64 = 8 << 20;

/// What is sent with a request. It can be sent again.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    Nothing,
    Bytes(&'a [u8]),
    /// So many bytes of what the function opens.
    Stream(u64, &'a (dyn Fn() -> io::Result<Box<dyn Read + Send + 'a>> + Sync)),
}

/// One request.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(header::HeaderName, String)>,
    pub payload: Payload<'a>,
}

impl<'a> Ask<'a> {
    /// A request without headers or a body.
    pub fn new(method: Method, url: Url) -> Ask<'a> {
        Ask { method, url, headers: Vec::new(), payload: Payload::Nothing }
    }

    /// The same with a header.
    pub fn with(mut self, name: header::HeaderName, value: impl Into<String>) -> Ask<'a> {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with a body.
    pub fn sending(self, payload: Payload<'a>) -> Ask<'a> {
        Ask { payload, ..self }
    }
}

/// An answer.
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Body,
    /// Where it came from, after redirects.
    pub url: Url,
}

impl Answer {
    /// A header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The same with its whole body in memory. A connection that breaks before its end is one that broke.
    pub fn held(self) -> Result<Answer, Broken> {
        let host = self.url.origin.authority();
        let mut bytes = Vec::new();
        let read = self.body.into_reader().take(HELD_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| Broken::Connection(RegistryError::Network { host, fault: words(&error) }))?;
        Ok(Answer { body: Body::builder().data(bytes), ..self })
    }

    /// The whole body, if it is not longer than `max` bytes.
    pub fn bytes(self, max: u64) -> Result<Vec<u8>, RegistryError> {
        let host = self.url.origin.authority();
        let mut bytes = Vec::new();
        let read = self.body.into_reader().take(max.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| RegistryError::Network { host: host.clone(), fault: words(&error) })?;
        if bytes.len() as u64 > max {
            return Err(RegistryError::Malformed { host, fault: format!("it has more than {max} bytes") });
        }
        Ok(bytes)
    }

    /// What the registry says about an error: the codes and messages of its JSON, else nothing.
    pub fn said(self) -> String {
        let mut bytes = Vec::new();
        if self.body.into_reader().take(ERROR_MAX).read_to_end(&mut bytes).is_err() {
            return String::new();
        }
        let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let errors = document.get("errors").and_then(|errors| errors.as_array()).cloned().unwrap_or_default();
        let text = |error: &serde_json::Value, key: &str| {
            error.get(key).and_then(|text| text.as_str()).filter(|text| !text.is_empty()).map(str::to_string)
        };
        let each = errors.iter().map(|error| {
            [text(error, "code"), text(error, "message")].into_iter().flatten().collect::<Vec<_>>().join(": ")
        });
        printable(&each.collect::<Vec<_>>().join("; "))
    }
}

/// An origin that was used before.
struct Known {
    agent: Agent,
    files: Vec<PathBuf>,
    /// Whether it answered.
    answered: bool,
}

/// Connections to all registries.
pub(super) struct Connections {
    pub settings: RegistrySettings,
    known: Mutex<BTreeMap<Origin, Known>>,
    notes: Mutex<Vec<String>>,
}

impl Connections {
    pub fn new(settings: RegistrySettings) -> Connections {
        Connections { settings, known: Mutex::default(), notes: Mutex::default() }
    }

    /// Whether this origin may be used without TLS.
    pub fn may_be_plain(&self, origin: &Origin) -> bool {
        let named = |name: &String| {
            Origin::of_registry(name, origin.tls)
                .is_some_and(|named| named.host == origin.host && (named.port == origin.port || !name.contains(':')))
        };
        origin.is_loopback() || self.settings.plain_http.iter().any(named)
    }

    /// The files that apply to an origin, if it was used.
    pub fn files(&self, origin: &Origin) -> Result<Vec<PathBuf>, RegistryError> {
        self.agent(origin)?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(known.get(origin).map(|known| known.files.clone()).unwrap_or_default())
    }

    /// What the user should know, each once.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a note.
    pub fn note(&self, note: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    fn agent(&self, origin: &Origin) -> Result<Agent, RegistryError> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(origin) {
            return Ok(known.agent.clone());
        }
        let patience = &self.settings.patience;
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy::proxy_for(&self.settings, origin)?)
            .user_agent(concat!("sazare/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(patience.connect))
            .timeout_per_read(Some(patience.silence))
            .timeout_per_write(Some(patience.silence))
            .timeout_recv_response(Some(patience.silence));
        let mut files = Vec::new();
        if origin.tls {
            let tls = tls::tls_for(&self.settings, origin)?;
            builder = builder.tls_config(tls.config);
            files = tls.files;
            tls.note.into_iter().for_each(|note| self.note(note));
        }
        let agent: Agent = builder.build().into();
        let known = Known { agent: agent.clone(), files, answered: false };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(origin.clone(), known);
        Ok(agent)
    }

    /// Sends a request and returns the beginning of its answer.
    pub fn send(&self, ask: &Ask<'_>, authorization: Option<&Secret>) -> Result<Answer, Broken> {
        let origin = &ask.url.origin;
        if self.settings.offline {
            return Err(Broken::Other(RegistryError::Offline { host: origin.authority() }));
        }
        let agent = self.agent(origin).map_err(Broken::Other)?;
        let mut request = Request::builder().method(ask.method.clone()).uri(ask.url.text());
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(secret) = authorization {
            request = request.header(header::AUTHORIZATION, secret.reveal());
        }
        let failed = |fault: String| Broken::Other(RegistryError::Network { host: origin.authority(), fault });
        let is_sending = matches!(ask.method, Method::POST | Method::PUT | Method::PATCH);
        let (length, reader): (_, Box<dyn Read + Send + '_>) = match ask.payload {
            Payload::Nothing => (is_sending.then_some(0), Box::new(io::empty())),
            Payload::Bytes(bytes) => (Some(bytes.len() as u64), Box::new(bytes)),
            Payload::Stream(length, open) => {
                let reader = open().map_err(|error| Broken::Other(RegistryError::Source(error.to_string())))?;
                (Some(length), reader)
            }
        };
        let invalid = |error: ureq::http::Error| failed(error.to_string());
        let fault = Cell::new(None);
        let mut reader = Source { inner: reader, fault: &fault };
        let result = match length {
            Some(length) => {
                let request = request.header(header::CONTENT_LENGTH, length.to_string());
                agent.run(request.body(SendBody::from_reader(&mut reader)).map_err(invalid)?)
            }
            None => agent.run(request.body(()).map_err(invalid)?),
        };
        match result {
            Ok(response) => {
                if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get_mut(origin) {
                    known.answered = true;
                }
                let (parts, body) = response.into_parts();
                Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body, url: ask.url.clone() })
            }
            Err(error) => Err(match fault.take().map_or_else(|| broken(origin, error), Broken::source) {
                // Who never answered is not there, or its name is wrong: waiting would not help.
                Broken::Absent(error) if self.answered(origin) => Broken::Connection(error),
                Broken::Absent(error) => Broken::Other(error),
                broken => broken,
            }),
        }
    }

    fn answered(&self, origin: &Origin) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(origin).is_some_and(|known| known.answered)
    }
}

/// What is sent. It remembers why it cannot be read.
struct Source<'a> {
    inner: Box<dyn Read + Send + 'a>,
    fault: &'a Cell<Option<String>>,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buffer);
        if let Err(error) = &result {
            self.fault.set(Some(words(error)));
        }
        result
    }
}

/// Why no answer came.
pub(super) enum Broken {
    /// The other end does not speak TLS.
    NotTls(RegistryError),
    /// Nobody is there.
    Absent(RegistryError),
    /// It may go better the next time.
    Connection(RegistryError),
    /// It will not.
    Other(RegistryError),
}

impl Broken {
    /// That what is sent cannot be read is not a fault of the connection.
    fn source(fault: String) -> Broken {
        Broken::Other(RegistryError::Source(fault))
    }

    pub fn into_error(self) -> RegistryError {
        match self {
            Broken::NotTls(error) | Broken::Absent(error) | Broken::Connection(error) | Broken::Other(error) => error,
        }
    }
}

fn broken(origin: &Origin, error: ureq::Error) -> Broken {
    let network = |fault: String| RegistryError::Network { host: origin.authority(), fault };
    match error {
        ureq::Error::Io(error) => {
            let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match tls {
                Some(rustls::Error::InvalidMessage(_)) => Broken::NotTls(network("it does not speak TLS".into())),
                Some(tls) => Broken::Other(network(tls.to_string())),
                None if error.kind() == io::ErrorKind::ConnectionRefused => Broken::Absent(network(words(&error))),
                None => Broken::Connection(network(words(&error))),
            }
        }
        ureq::Error::Rustls(rustls::Error::InvalidMessage(_)) => {
            Broken::NotTls(network("it does not speak TLS".into()))
        }
        ureq::Error::Timeout(_) => Broken::Connection(network("it does not answer in time".into())),
        ureq::Error::HostNotFound => Broken::Absent(network("its name is not known".into())),
        ureq::Error::ConnectionFailed => Broken::Connection(network("no connection".into())),
        ureq::Error::Protocol(error) => Broken::Connection(network(format!("not HTTP: {error}"))),
        error => Broken::Other(network(error.to_string())),
    }
}

/// What went wrong on a connection.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection ended too early".into(),
        _ => printable(&crate::failure::system_words(error)),
    }
}
