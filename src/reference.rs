//! Image references: `docker.io/library/hello:latest`.
//!
//! Grammar: distribution-spec, "Pulling manifests"; defaults: Docker's (`docker.io`, `library/`, `latest`).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::digest::Digest;

/// The name of a repository with its registry, fully spelled out and without a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    path: String,
}

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

/// An image in a registry: `HOST[:PORT]/NAME[:TAG][@DIGEST]`, as it comes after `docker://`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// Why a text is not a repository name or tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not a repository name.
    #[error("not an image name (lower-case parts joined by `/`, such as docker.io/you/app): {0:?}")]
    Repository(String),
    /// Not a tag.
    #[error("not a tag (up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`): {0:?}")]
    Tag(String),
    /// Not a digest.
    #[error("not a digest (sha256: and 64 lower-case hexadecimal digits): {0:?}")]
    Digest(String),
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<ImageReference, ReferenceError> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                (name, Some(digest.parse().map_err(|_| ReferenceError::Digest(digest.to_string()))?))
            }
            None => (text, None),
        };
        let (name, tag) = split_tag(name);
        Ok(ImageReference { repository: name.parse()?, tag: tag.map(str::parse).transpose()?, digest })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl ImageReference {
    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag, where one is written.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, where one is written. Beside a tag, it is the one that counts.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Repository, ReferenceError> {
        let error = || ReferenceError::Repository(text.to_string());
        // The first part is a registry when it could be nothing else: it has a dot or a port, or is `localhost`.
        let (registry, path) = match text.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest.to_string()),
            Some(_) => ("docker.io", text.to_string()),
            None => ("docker.io", format!("library/{text}")),
        };
        let (registry, path) = match registry {
            "index.docker.io" | "docker.io" if !path.contains('/') => ("docker.io", format!("library/{path}")),
            "index.docker.io" => ("docker.io", path),
            registry => (registry, path),
        };
        if !is_registry(registry) || !path.split('/').all(is_path_part) || registry.len() + path.len() > 254 {
            return Err(error());
        }
        Ok(Repository { registry: registry.to_string(), path })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl Repository {
    /// The registry's host and port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name within the registry, such as `library/hello`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last part of the name, such as `hello`.
    pub fn short_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The full reference with a tag, as engines write it.
    pub fn with_tag(&self, tag: &Tag) -> String {
        format!("{self}:{tag}")
    }

    /// The reference as `docker run` shows it: without Docker Hub's own prefix.
    pub fn familiar(&self, tag: &Tag) -> String {
        let name = match self.registry.as_str() {
            "docker.io" => self.path.strip_prefix("library/").unwrap_or(&self.path).to_string(),
            _ => self.to_string(),
        };
        format!("{name}:{tag}")
    }
}

impl Tag {
    /// `latest`.
    pub fn latest() -> Tag {
        Tag("latest".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Tag, ReferenceError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let mut bytes = text.bytes();
        let good = text.len() <= 128
            && bytes.next().is_some_and(word)
            && bytes.all(|byte| word(byte) || byte == b'.' || byte == b'-');
        if good { Ok(Tag(text.to_string())) } else { Err(ReferenceError::Tag(text.to_string())) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Splits `name:tag` at the tag's colon: the last one, unless it belongs to the registry's port.
pub fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

fn is_registry(text: &str) -> bool {
    if let Some((address, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port_good = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        return address.parse::<Ipv6Addr>().is_ok() && port_good;
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let host_good = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
        && !host.starts_with(['.', '-'])
        && !host.ends_with(['.', '-']);
    host_good && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_path_part(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.first().copied().is_some_and(word) || !bytes.last().copied().is_some_and(word) {
        return false;
    }
    bytes
        .split(|&byte| word(byte))
        .filter(|joint| !joint.is_empty())
        .all(|joint| matches!(joint, b"." | b"_" | b"__") || joint.iter().all(|&byte| byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_out_as_docker_does() {
        for (text, full) in [
            ("hello", "docker.io/library/hello"),
            ("you/app", "docker.io/you/app"),
            ("docker.io/hello", "docker.io/library/hello"),
            ("localhost/app", "localhost/app"),
            ("127.0.0.1:5000/a/b__c.d-e", "127.0.0.1:5000/a/b__c.d-e"),
        ] {
            assert_eq!(text.parse::<Repository>().unwrap().to_string(), full);
        }
        let repository: Repository = "hello".parse().unwrap();
        assert_eq!(repository.familiar(&Tag::latest()), "hello:latest");
    }

    #[test]
    fn a_reference_has_a_tag_or_a_digest_or_both() {
        let digest = Digest::of(b"x");
        for (text, full, tag, by_digest) in [
            ("debian:12-slim", "docker.io/library/debian:12-slim".to_string(), Some("12-slim"), false),
            ("ghcr.io/a/b", "ghcr.io/a/b".to_string(), None, false),
            ("h:5000/a", "h:5000/a".to_string(), None, false),
            (&format!("a@{digest}"), format!("docker.io/library/a@{digest}"), None, true),
            (&format!("[::1]:5000/a:v1@{digest}"), format!("[::1]:5000/a:v1@{digest}"), Some("v1"), true),
            ("[::1]/a", "[::1]/a".to_string(), None, false),
        ] {
            let reference: ImageReference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.tag().map(Tag::as_str), tag, "{text}");
            assert_eq!(reference.digest().is_some(), by_digest, "{text}");
        }
        for text in
            ["", "a@", "a@sha256:0", "a@sha512:00", "A", "a:", "[::1/a", "[::x]:1/a", "[::1]x/a", "[::1]:x/a", "a@b@c"]
        {
            assert!(text.parse::<ImageReference>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_a_registry_would_refuse_is_refused() {
        for text in ["", "Hello", "a//b", "a/", "-a", "a..b", "a___b", "a:b", "ho st/a", "a.b:x/c"] {
            assert!(text.parse::<Repository>().is_err(), "{text:?}");
        }
        for text in ["", ".a", "-a", "a b", "a/b", &"a".repeat(129)] {
            assert!(text.parse::<Tag>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(split_tag("127.0.0.1:5000/a"), ("127.0.0.1:5000/a", None));
        assert_eq!(split_tag("127.0.0.1:5000/a:v1"), ("127.0.0.1:5000/a", Some("v1")));
    }
}
