//! A registry on loopback that behaves as a test says: one quirk or one fault at a time. It keeps every request with its headers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sazare::digest::Digest;

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body ended before its Content-Length.
    pub cut: bool,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub fn query(&self, name: &str) -> Vec<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)).collect()
    }

    /// `PUT /v2/a/manifests/v1`, for comparisons.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let hex: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Ends the connection after so many bytes of the body.
    pub cut: Option<usize>,
    /// What Content-Length says, if not the truth.
    pub length: Option<usize>,
}

impl Reply {
    pub fn new(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Reply {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Reply {
        self.body = bytes.into();
        self
    }

    pub fn cut(mut self, at: usize) -> Reply {
        self.cut = Some(at);
        self
    }
}

/// What a test does to a request.
pub enum Fault {
    /// The registry answers.
    None,
    /// This is the answer, and nothing is done.
    Instead(Reply),
    /// The registry does what it is asked for, and then this is the answer.
    Afterwards(Reply),
    /// The registry does what it is asked for; no answer comes.
    Silence,
    /// The answer of the registry, changed.
    Changed(fn(Reply) -> Reply),
    /// The connection ends after so many bytes of the answer's body.
    Cut(usize),
    /// Only so many bytes of the body arrive; then the connection ends.
    CutBody(usize),
}

/// How tokens are asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Lock {
    #[default]
    Open,
    /// User and password: `u:p`.
    Basic,
    /// Tokens from `/token`, which live so long.
    Bearer(Duration),
}

type Hook = Box<dyn FnMut(&Asked, usize) -> Fault + Send>;

/// What the registry has, and how it behaves.
pub struct State {
    pub blobs: BTreeMap<String, Vec<u8>>,
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub uploads: BTreeMap<String, Vec<u8>>,
    pub log: Vec<Asked>,
    pub lock: Lock,
    /// The challenge, if not that of `lock`.
    pub challenge: Option<String>,
    pub hook: Option<Hook>,
    /// Where blobs are; the registry redirects to it.
    pub storage: Option<String>,
    /// Where uploads go on.
    pub upload_host: Option<String>,
    pub ranges: bool,
    pub mounts: bool,
    pub referrers: bool,
    pub several_tags: bool,
    /// The largest body of a request.
    pub body_max: usize,
    /// Whether a session says what it has.
    pub session_get: bool,
    pub patch: bool,
    pub patch_status: u16,
    /// What is put after several parts is the last part only.
    pub keeps_last_part: bool,
    /// The Range of a second and later part is that of the first.
    pub stale_range: bool,
    /// Manifests have a digest in their header.
    pub says_digest: bool,
    tokens: BTreeMap<String, (Instant, Vec<String>)>,
    numbers: usize,
}

/// The registry.
pub struct Server {
    pub host: String,
    state: Arc<Mutex<State>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// On 127.0.0.1.
    pub fn start() -> Server {
        Server::at("127.0.0.1")
    }

    /// On another address of loopback: another host.
    pub fn at(address: &str) -> Server {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = State {
            blobs: BTreeMap::new(),
            manifests: BTreeMap::new(),
            uploads: BTreeMap::new(),
            log: Vec::new(),
            lock: Lock::Open,
            challenge: None,
            hook: None,
            storage: None,
            upload_host: None,
            ranges: true,
            mounts: true,
            referrers: true,
            several_tags: false,
            body_max: usize::MAX,
            session_get: true,
            patch: true,
            patch_status: 202,
            keeps_last_part: false,
            stale_range: false,
            says_digest: true,
            tokens: BTreeMap::new(),
            numbers: 0,
        };
        let (state, over) = (Arc::new(Mutex::new(state)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (state, over, host) = (state.clone(), over.clone(), host.clone());
            move || {
                for connection in listener.incoming() {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let (state, host) = (state.clone(), host.clone());
                    std::thread::spawn(move || {
                        let _ = serve(connection.unwrap(), &state, &host);
                    });
                }
            }
        });
        Server { host, state, over, thread: Some(thread) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sets what is done to requests. The function gets each request, and how many with its method and kind of path came before.
    pub fn hook(&self, hook: impl FnMut(&Asked, usize) -> Fault + Send + 'static) {
        self.state().hook = Some(Box::new(hook));
    }

    pub fn put_blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.state().blobs.insert(digest.to_string(), bytes.to_vec());
        digest
    }

    /// The requests so far, and forgets them.
    pub fn take_log(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.host);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Of which kind a request is, for counting.
fn kind(asked: &Asked) -> String {
    let path = asked.path();
    let kind = ["/blobs/uploads/", "/blobs/", "/manifests/", "/tags/", "/referrers/", "/token"];
    let kind = kind.into_iter().find(|kind| path.contains(kind)).unwrap_or(path);
    format!("{} {kind}", asked.method)
}

fn serve(stream: TcpStream, state: &Mutex<State>, host: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut first = [0; 1];
    if stream.peek(&mut first)? == 1 && first[0] == 0x16 {
        // What Go's servers say to who speaks TLS to plain HTTP.
        let mut hello = [0; 4096];
        let _ = (&stream).read(&mut hello)?;
        (&stream).write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n")?;
        return stream.shutdown(Shutdown::Write);
    }
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut asked = Asked::default();
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_string);
    (asked.method, asked.target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if asked.method.is_empty() {
        return Ok(());
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
    }
    let length: usize = asked.header("content-length").map_or(0, |text| text.parse().unwrap());
    let fault = {
        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = state.log.iter().filter(|other| kind(other) == kind(&asked)).count();
        let mut hook = state.hook.take();
        let fault = hook.as_mut().map_or(Fault::None, |hook| hook(&asked, before));
        state.hook = hook;
        fault
    };
    let takes = match fault {
        Fault::CutBody(at) => at.min(length),
        _ => length,
    };
    let mut body = vec![0; takes];
    let mut at = 0;
    while at < takes {
        match reader.read(&mut body[at..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => at += count,
        }
    }
    body.truncate(at);
    (asked.cut, asked.body) = (at < length, body);
    let reply = {
        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.log.push(asked.clone());
        match fault {
            Fault::None => Some(state.answer(&asked, host)),
            Fault::Instead(reply) => Some(reply),
            Fault::Afterwards(reply) => {
                state.answer(&asked, host);
                Some(reply)
            }
            Fault::Silence => {
                state.answer(&asked, host);
                None
            }
            Fault::Cut(at) => Some(state.answer(&asked, host).cut(at)),
            Fault::Changed(change) => Some(change(state.answer(&asked, host))),
            Fault::CutBody(_) => {
                state.answer(&asked, host);
                None
            }
        }
    };
    let Some(reply) = reply else { return stream.shutdown(Shutdown::Both) };
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    let length = reply.length.unwrap_or(reply.body.len());
    head += &format!("Content-Length: {length}\r\n");
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut stream = stream;
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if asked.method != "HEAD" {
        stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())])?;
    }
    stream.shutdown(Shutdown::Both)
}

impl State {
    fn number(&mut self) -> usize {
        self.numbers += 1;
        self.numbers
    }

    fn answer(&mut self, asked: &Asked, host: &str) -> Reply {
        if asked.path() == "/token" {
            return self.token(asked);
        }
        if let Some(storage) = asked.path().strip_prefix("/storage/") {
            return blob(asked, self.blobs.get(storage).cloned(), self.ranges);
        }
        if let Some(refusal) = self.refusal(asked, host) {
            return refusal;
        }
        let path = asked.path().strip_prefix("/v2/").unwrap_or_default().to_string();
        for (word, act) in [
            ("/blobs/uploads/", State::upload as fn(&mut State, &Asked, &str, &str, &str) -> Reply),
            ("/blobs/", State::of_blob),
            ("/manifests/", State::manifest),
            ("/referrers/", State::referrer),
            ("/tags/", State::list),
        ] {
            if let Some((name, rest)) = path.split_once(word) {
                return act(self, asked, host, name, rest);
            }
        }
        Reply::new(if path.is_empty() { 200 } else { 404 })
    }

    fn token(&mut self, asked: &Asked) -> Reply {
        let Lock::Bearer(life) = self.lock else { return Reply::new(404) };
        let form = String::from_utf8_lossy(&asked.body).into_owned();
        let knows = asked.header("authorization") == Some("Basic dTpw") || form.contains("refresh_token=identity");
        if !knows {
            return Reply::new(401).body(r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#);
        }
        let scopes = match asked.method.as_str() {
            "POST" => {
                let ask = Asked { target: format!("/?{form}"), ..Asked::default() };
                ask.query("scope")
                    .iter()
                    .flat_map(|text| text.split(' ').map(str::to_string).collect::<Vec<_>>())
                    .collect()
            }
            _ => asked.query("scope"),
        };
        let token = format!("token-{}", self.number());
        self.tokens.insert(token.clone(), (now() + life, scopes));
        let body = format!(r#"{{"token":"{token}","expires_in":{}}}"#, life.as_secs().max(60));
        Reply::new(200).with("Content-Type", "application/json").body(body)
    }

    fn refusal(&self, asked: &Asked, host: &str) -> Option<Reply> {
        let challenge = match &self.lock {
            Lock::Open => return None,
            Lock::Basic => "Basic realm=\"x\"".to_string(),
            Lock::Bearer(_) => format!("Bearer realm=\"http://{host}/token\",service=\"here\""),
        };
        let sent = asked.header("authorization").unwrap_or_default();
        let good = match sent.strip_prefix("Bearer ") {
            Some(token) => self
                .tokens
                .get(token)
                .is_some_and(|(until, scopes)| now() < *until && scopes.iter().any(|scope| self.covers(asked, scope))),
            None => self.lock == Lock::Basic && sent == "Basic dTpw",
        };
        let challenge = self.challenge.clone().unwrap_or(challenge);
        (!good).then(|| {
            Reply::new(401).with("WWW-Authenticate", challenge).body(r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#)
        })
    }

    fn covers(&self, asked: &Asked, scope: &str) -> bool {
        let needed = if matches!(asked.method.as_str(), "GET" | "HEAD") { "pull" } else { "push" };
        let rest = scope.strip_prefix("repository:").unwrap_or_default();
        let Some((name, actions)) = rest.rsplit_once(':') else { return false };
        asked.path().starts_with(&format!("/v2/{name}/")) && actions.split(',').any(|action| action == needed)
    }

    fn of_blob(&mut self, asked: &Asked, _: &str, _: &str, digest: &str) -> Reply {
        if let (Some(storage), "GET") = (&self.storage, asked.method.as_str()) {
            return Reply::new(307).with("Location", format!("{storage}{digest}?signature=s3cret"));
        }
        blob(asked, self.blobs.get(digest).cloned(), self.ranges)
    }

    fn upload(&mut self, asked: &Asked, host: &str, name: &str, id: &str) -> Reply {
        let at = |state: &State, id: &str| match &state.upload_host {
            Some(other) => format!("http://{other}/v2/{name}/blobs/uploads/{id}?_state=x"),
            None => format!("/v2/{name}/blobs/uploads/{id}?_state=x"),
        };
        if asked.body.len() > self.body_max || (asked.cut && self.body_max < usize::MAX) {
            return Reply::new(413);
        }
        match asked.method.as_str() {
            "POST" => {
                let wanted = asked.query("mount");
                if let Some(digest) = wanted.first()
                    && self.mounts
                    && self.blobs.contains_key(digest)
                {
                    return Reply::new(201).with("Location", format!("http://{host}/v2/{name}/blobs/{digest}"));
                }
                let id = format!("u{}", self.number());
                self.uploads.insert(id.clone(), Vec::new());
                Reply::new(202).with("Location", at(self, &id)).with("Range", "0-0")
            }
            "GET" => match self.uploads.get(id) {
                Some(has) if self.session_get => {
                    let range = format!("0-{}", has.len().saturating_sub(1));
                    Reply::new(204).with("Location", at(self, id)).with("Range", range)
                }
                _ => Reply::new(404),
            },
            "PATCH" if !self.patch => Reply::new(405),
            "PATCH" => {
                let Some(has) = self.uploads.get_mut(id) else { return Reply::new(404) };
                let from = asked.header("content-range").and_then(|range| range.split('-').next()?.parse().ok());
                if from.unwrap_or(has.len()) != has.len() && !self.keeps_last_part {
                    return Reply::new(416);
                }
                let before = has.len();
                if self.keeps_last_part {
                    has.clear();
                }
                has.extend(&asked.body);
                let end = if self.stale_range && before > 0 { before } else { has.len() };
                Reply::new(self.patch_status)
                    .with("Location", at(self, id))
                    .with("Range", format!("0-{}", end.max(1) - 1))
            }
            "PUT" => {
                let Some(has) = self.uploads.get_mut(id) else { return Reply::new(404) };
                has.extend(&asked.body);
                if asked.cut {
                    return Reply::new(500);
                }
                let digest = asked.query("digest").remove(0);
                if Digest::of(has).to_string() != digest {
                    return Reply::new(400).body(r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
                }
                let bytes = self.uploads.remove(id).unwrap();
                self.blobs.insert(digest.clone(), bytes);
                Reply::new(201).with("Location", format!("/v2/{name}/blobs/{digest}"))
            }
            "DELETE" => Reply::new(if self.uploads.remove(id).is_some() { 204 } else { 404 }),
            _ => Reply::new(405),
        }
    }

    fn manifest(&mut self, asked: &Asked, _: &str, name: &str, reference: &str) -> Reply {
        let at = |reference: &str| format!("{name}/{reference}");
        match asked.method.as_str() {
            "GET" | "HEAD" => match self.manifests.get(&at(reference)) {
                Some((kind, bytes)) => {
                    let mut reply = Reply::new(200).with("Content-Type", kind).body(bytes.clone());
                    if self.says_digest {
                        reply = reply.with("Docker-Content-Digest", Digest::of(bytes));
                    }
                    reply
                }
                None => Reply::new(404).body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
            },
            "PUT" => {
                let document: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
                let digest = Digest::of(&asked.body).to_string();
                let text = |value: &serde_json::Value| value.get("digest").unwrap().as_str().unwrap().to_string();
                let blobs = document.get("layers").and_then(|layers| layers.as_array()).cloned().unwrap_or_default();
                let blobs: Vec<String> = blobs.iter().chain(document.get("config")).map(text).collect();
                let children = document.get("manifests").and_then(|list| list.as_array()).cloned().unwrap_or_default();
                let children: Vec<String> = children.iter().map(text).collect();
                let missing = blobs.iter().any(|digest| !self.blobs.contains_key(digest))
                    || children.iter().any(|digest| !self.manifests.contains_key(&at(digest)));
                if missing {
                    return Reply::new(400).body(r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#);
                }
                let kind = asked.header("content-type").unwrap().to_string();
                let mut reply = Reply::new(201).with("Docker-Content-Digest", &digest);
                let mut names = vec![reference.to_string(), digest];
                if self.several_tags {
                    for tag in asked.query("tag") {
                        reply = reply.with("OCI-Tag", &tag);
                        names.push(tag);
                    }
                }
                if let (true, Some(subject)) = (self.referrers, document.get("subject")) {
                    reply = reply.with("OCI-Subject", text(subject));
                }
                for name in names {
                    self.manifests.insert(at(&name), (kind.clone(), asked.body.clone()));
                }
                reply
            }
            "DELETE" => Reply::new(if self.manifests.remove(&at(reference)).is_some() { 202 } else { 404 }),
            _ => Reply::new(405),
        }
    }

    fn referrer(&mut self, _: &Asked, _: &str, name: &str, digest: &str) -> Reply {
        if !self.referrers {
            return Reply::new(404);
        }
        let refers = |bytes: &[u8]| {
            let document: serde_json::Value = serde_json::from_slice(bytes).ok()?;
            (document.get("subject")?.get("digest")?.as_str()? == digest).then_some(())
        };
        let mut found: Vec<String> = Vec::new();
        for (key, (kind, bytes)) in &self.manifests {
            if key.starts_with(&format!("{name}/sha256:")) && refers(bytes).is_some() {
                found.push(format!(
                    r#"{{"mediaType":"{kind}","digest":"{}","size":{}}}"#,
                    Digest::of(bytes),
                    bytes.len()
                ));
            }
        }
        let body = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#, found.join(","));
        Reply::new(200).with("Content-Type", INDEX).body(body)
    }

    fn list(&mut self, asked: &Asked, _: &str, name: &str, _: &str) -> Reply {
        let below = format!("{name}/");
        let tags: Vec<&str> = self.manifests.keys().filter_map(|key| key.strip_prefix(&below)).collect();
        let tags: Vec<&str> = tags.into_iter().filter(|tag| !tag.contains(':')).collect();
        if tags.is_empty() {
            return Reply::new(404);
        }
        // Two a page.
        let last = asked.query("last");
        let from = last.first().map_or(0, |last| tags.iter().position(|tag| tag == last).unwrap() + 1);
        let page = &tags[from..tags.len().min(from + 2)];
        let body = format!(r#"{{"name":"{name}","tags":{page:?}}}"#);
        let mut reply = Reply::new(200).body(body);
        if from + 2 < tags.len() {
            reply = reply.with("Link", format!("</v2/{name}/tags/list?last={}&n=2>; rel=\"next\"", page[1]));
        }
        reply
    }
}

#[expect(clippy::disallowed_methods, reason = "tokens of this registry expire")]
fn now() -> Instant {
    Instant::now()
}

fn blob(asked: &Asked, bytes: Option<Vec<u8>>, ranges: bool) -> Reply {
    let Some(bytes) = bytes else { return Reply::new(404) };
    let from = asked.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    match from {
        Some(from) if ranges => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Reply::new(206).with("Content-Range", range).body(&bytes[from..])
        }
        _ => Reply::new(200).body(bytes),
    }
}
