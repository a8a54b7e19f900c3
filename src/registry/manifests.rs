//! Manifests and tags.

use ureq::http::{Method, header};

use super::connections::{Answer, Ask, Payload};
use super::error::{RegistryError, printable};
use super::repository::RemoteRepository;
use crate::digest::Digest;
use crate::oci::DOCUMENT_MAX;
use crate::reference::{ImageReference, Tag};

/// All types at once: registries answer 404 for a manifest of a type that is not asked for.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.docker.distribution.manifest.v2+json";

/// The largest page of a list of tags, in bytes.
const PAGE_MAX: u64 = 8 << 20;

/// How many tags are read at most.
const TAGS_MAX: usize = 1_000_000;

/// A manifest or an index, as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteManifest {
    /// Its bytes, of which the digest was made.
    pub bytes: Vec<u8>,
    /// What it is, such as `application/vnd.oci.image.index.v1+json`.
    pub media_type: String,
    /// The digest.
    pub digest: Digest,
}

impl RemoteRepository {
    /// Reads a manifest by its digest, or by its tag where no digest is given, or `latest`.
    ///
    /// # Errors
    /// When it is not there, is not of that digest, or has more than 4 MiB.
    pub fn manifest(&self, tag: Option<&Tag>, digest: Option<&Digest>) -> Result<RemoteManifest, RegistryError> {
        let wanted = wanted(tag, digest);
        let action = format!("the pull of {}", self.shown(&wanted));
        let ask = self.get(&format!("manifests/{wanted}")).with(header::ACCEPT, ACCEPT);
        let answer = self.request(&ask, &action)?;
        match answer.status {
            200 => {}
            404 => return Err(self.not_found(&wanted)),
            _ => return Err(self.refused(answer, &action)),
        }
        let media_type = media_type(&answer);
        let said = answer.header("docker-content-digest").map(str::to_string);
        let bytes = answer.bytes(DOCUMENT_MAX)?;
        let found = Digest::of(&bytes);
        // Of a tag there is nothing else to compare with; a proxy that changes bytes is found out this way.
        let said = said.and_then(|said| said.parse::<Digest>().ok());
        let expected = digest.copied().or(said).unwrap_or(found);
        if found != expected {
            return Err(
                self.malformed(format!("the manifest {wanted} has another digest: expected {expected}, found {found}"))
            );
        }
        let media_type = media_type.or_else(|| media_type_within(&bytes)).unwrap_or_default();
        Ok(RemoteManifest { bytes, media_type, digest: found })
    }

    /// The digest that a tag has; `None` if there is no such tag.
    ///
    /// # Errors
    /// When the registry does not say.
    pub fn tag_digest(&self, tag: &Tag) -> Result<Option<Digest>, RegistryError> {
        let action = format!("the look-up of {}", self.shown(tag.as_str()));
        let ask = Ask::new(Method::HEAD, self.url(&format!("manifests/{tag}"))).with(header::ACCEPT, ACCEPT);
        let answer = self.request(&ask, &action)?;
        match answer.status {
            200 => match answer.header("docker-content-digest").and_then(|digest| digest.parse().ok()) {
                Some(digest) => Ok(Some(digest)),
                // The header is optional.
                None => match self.manifest(Some(tag), None) {
                    Ok(manifest) => Ok(Some(manifest.digest)),
                    Err(error) if error.is_not_found() => Ok(None),
                    Err(error) => Err(error),
                },
            },
            404 => Ok(None),
            _ => Err(self.refused(answer, &action)),
        }
    }

    /// Whether a manifest is there.
    ///
    /// # Errors
    /// When the registry does not say.
    pub fn has_manifest(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let action = format!("the look-up of {}", self.shown(&digest.to_string()));
        let ask = Ask::new(Method::HEAD, self.url(&format!("manifests/{digest}"))).with(header::ACCEPT, ACCEPT);
        let answer = self.request(&ask, &action)?;
        match answer.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(answer, &action)),
        }
    }

    /// Writes a manifest under its digest, and under tags. What it names must be there before: registries refuse it otherwise.
    /// Several tags go in one request where the registry can.
    ///
    /// # Errors
    /// When the registry refuses it, or says that it is something else.
    pub fn put_manifest(&self, bytes: &[u8], media_type: &str, tags: &[Tag]) -> Result<PutManifest, RegistryError> {
        let digest = Digest::of(bytes);
        let mut result = PutManifest { digest, subject: false };
        match tags {
            [] => result.subject = self.put(bytes, media_type, &digest.to_string(), &[])?.subject,
            [tag] => result.subject = self.put(bytes, media_type, tag.as_str(), &[])?.subject,
            tags => {
                let put = self.put(bytes, media_type, &digest.to_string(), tags)?;
                result.subject = put.subject;
                for tag in tags.iter().filter(|tag| !put.tags.contains(tag)) {
                    self.put(bytes, media_type, tag.as_str(), &[])?;
                }
            }
        }
        Ok(result)
    }

    fn put(&self, bytes: &[u8], media_type: &str, name: &str, tags: &[Tag]) -> Result<Put, RegistryError> {
        let action = format!("the push of {}", self.shown(name));
        let digest = Digest::of(bytes);
        let mut url = self.url(&format!("manifests/{name}"));
        for tag in tags {
            url = url.with("tag", tag.as_str());
        }
        let ask = Ask::new(Method::PUT, url).with(header::CONTENT_TYPE, media_type).sending(Payload::Bytes(bytes));
        let answer = match self.request(&ask, &action) {
            Ok(answer) => answer,
            // An answer can get lost after the registry did what it was asked for.
            Err(error) => return if self.is_there(name, &digest) { Ok(Put::default()) } else { Err(error) },
        };
        if !matches!(answer.status, 200..=202 | 204) {
            // GoogleContainerTools/jib#4301: an error after success.
            let passing = super::retry::is_passing(answer.status) || answer.status == 404;
            let error = self.refused(answer, &action);
            return if passing && self.is_there(name, &digest) { Ok(Put::default()) } else { Err(error) };
        }
        if let Some(said) = answer.header("docker-content-digest")
            && said.starts_with("sha256:")
            && said != digest.to_string()
        {
            let said = printable(said);
            return Err(self.malformed(format!("it has another digest for what was sent: sent {digest}, has {said}")));
        }
        let named = answer.headers.get_all("oci-tag").iter().filter_map(|value| value.to_str().ok());
        let named: Vec<Tag> =
            named.flat_map(|value| value.split(',')).filter_map(|tag| tag.trim().parse().ok()).collect();
        Ok(Put { subject: answer.header("oci-subject").is_some(), tags: named })
    }

    fn is_there(&self, name: &str, digest: &Digest) -> bool {
        match name.parse::<Tag>() {
            Ok(tag) if name.parse::<Digest>().is_err() => {
                self.tag_digest(&tag).is_ok_and(|found| found == Some(*digest))
            }
            _ => self.has_manifest(digest).unwrap_or(false),
        }
    }

    /// All tags, in the order of the registry.
    ///
    /// # Errors
    /// When the repository is not there, or its list leads to another host or never ends.
    pub fn tags(&self) -> Result<Vec<Tag>, RegistryError> {
        #[derive(serde::Deserialize)]
        struct List {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let action = format!("the list of the tags of {}", self.name());
        let mut ask = self.get("tags/list?n=1000");
        let mut all = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        loop {
            if !seen.insert(ask.url.target.clone()) || all.len() > TAGS_MAX {
                return Err(self.malformed("its list of tags does not end"));
            }
            let answer = self.request(&ask, &action)?;
            match answer.status {
                200 => {}
                404 => return Err(RegistryError::NotFound { host: self.host(), what: self.name().to_string() }),
                _ => return Err(self.refused(answer, &action)),
            }
            let next = answer.header("link").and_then(next_page).map(|link| answer.url.join(link));
            let page = answer.bytes(PAGE_MAX)?;
            let list: List = serde_json::from_slice(&page)
                .map_err(|error| self.malformed(format!("not a list of tags: {error}")))?;
            all.extend(list.tags.into_iter().flatten().filter_map(|tag| tag.parse::<Tag>().ok()));
            match next {
                None => return Ok(all),
                Some(Some(url)) if url.origin == ask.url.origin => ask.url = url,
                Some(_) => return Err(self.malformed("its list of tags goes on at another host")),
            }
        }
    }

    /// Deletes a manifest, or a tag where the registry can delete tags.
    ///
    /// # Errors
    /// When there is no such thing, or the registry does not delete.
    pub fn delete(&self, reference: &ImageReference) -> Result<(), RegistryError> {
        let wanted = wanted(reference.tag(), reference.digest());
        let action = format!("the deletion of {}", self.shown(&wanted));
        let ask = Ask::new(Method::DELETE, self.url(&format!("manifests/{wanted}")));
        let answer = self.request(&ask, &action)?;
        match answer.status {
            200 | 202 | 204 => Ok(()),
            404 => Err(self.not_found(&wanted)),
            _ => Err(self.refused(answer, &action)),
        }
    }

    fn not_found(&self, wanted: &str) -> RegistryError {
        RegistryError::NotFound { host: self.host(), what: self.shown(wanted) }
    }

    fn shown(&self, wanted: &str) -> String {
        format!("{}{}{wanted}", self.name(), if wanted.contains(':') { "@" } else { ":" })
    }
}

/// A manifest that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutManifest {
    /// Its digest.
    pub digest: Digest,
    /// Whether the registry says that it lists it as a referrer of its subject.
    pub subject: bool,
}

#[derive(Default)]
struct Put {
    subject: bool,
    tags: Vec<Tag>,
}

fn wanted(tag: Option<&Tag>, digest: Option<&Digest>) -> String {
    match (digest, tag) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.to_string(),
        (None, None) => Tag::latest().to_string(),
    }
}

/// The type in the header, without parameters.
fn media_type(answer: &Answer) -> Option<String> {
    let text = answer.header("content-type")?.split(';').next()?.trim();
    // Some storage answers with the type of any JSON or of any bytes.
    (!matches!(text, "" | "application/json" | "application/octet-stream" | "text/plain")).then(|| text.to_string())
}

/// The type in the document itself; without one, what its members show.
fn media_type_within(bytes: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let written = document.get("mediaType").and_then(|text| text.as_str()).map(str::to_string);
    written.or_else(|| {
        let kind = if document.get("manifests").is_some() { "index" } else { "manifest" };
        Some(format!("application/vnd.oci.image.{kind}.v1+json"))
    })
}

/// The target of `<…>; rel="next"`.
pub(super) fn next_page(link: &str) -> Option<&str> {
    let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.to_ascii_lowercase().replace('"', "").contains("rel=next").then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_in_a_link() {
        assert_eq!(next_page(r#"</v2/a/tags/list?last=x&n=2>; rel="next""#), Some("/v2/a/tags/list?last=x&n=2"));
        assert_eq!(next_page("<a>; rel=next"), Some("a"));
        for text in ["", "<a>", "<a>; rel=\"prev\"", "a; rel=next"] {
            assert_eq!(next_page(text), None, "{text}");
        }
    }

    #[test]
    fn the_type_of_a_document_is_in_it_or_follows_from_its_members() {
        let of = |text: &str| media_type_within(text.as_bytes());
        assert_eq!(of(r#"{"mediaType":"x/y"}"#).as_deref(), Some("x/y"));
        assert_eq!(of(r#"{"manifests":[]}"#).as_deref(), Some("application/vnd.oci.image.index.v1+json"));
        assert_eq!(of(r#"{"config":{}}"#).as_deref(), Some("application/vnd.oci.image.manifest.v1+json"));
        assert_eq!(of("x"), None);
    }
}
