//! What refers to a manifest: signatures, SBOMs, attestations.
//!
//! Distribution-spec 1.1, "Listing referrers": an API, and for registries without it an index under the tag `sha256-<hex>`, which the
//! clients keep. An answer that is not an index (a redirect to a web page, as of GHCR) means that there is no API.

use ureq::http::header;

use super::error::RegistryError;
use super::repository::RemoteRepository;
use crate::digest::Digest;
use crate::oci::{self, Annotations, DOCUMENT_MAX, Descriptor, ImageIndex, canonical};
use crate::reference::Tag;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// How often another client may be first when the index of a fallback tag is written.
const ROUNDS: usize = 10;

/// How many pages are read at most.
const PAGES_MAX: usize = 100;

/// What refers to a manifest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Referrers {
    /// One descriptor each.
    pub manifests: Vec<Descriptor>,
    /// Whether the registry lists them by itself, rather than under a tag.
    pub api: bool,
}

impl RemoteRepository {
    /// What refers to a manifest.
    ///
    /// # Errors
    /// When the registry does not answer, or has something else under the fallback tag.
    pub fn referrers(&self, digest: &Digest) -> Result<Referrers, RegistryError> {
        if self.quirks.referrers
            && let Some(manifests) = self.listed(digest)?
        {
            return Ok(Referrers { manifests, api: true });
        }
        Ok(Referrers {
            manifests: self.fallback(digest)?.map_or(Vec::new(), |(index, _)| index.manifests().clone()),
            api: false,
        })
    }

    /// Adds a manifest that was pushed, and names this one as its subject, to what refers to it: nothing where the registry lists it
    /// by itself. Its word for it (`OCI-Subject`) is not enough: sigstore/sigstore-js#1183.
    ///
    /// # Errors
    /// When the registry does not take it, or other clients are always first.
    pub fn add_referrer(&self, subject: &Digest, referrer: &Descriptor) -> Result<(), RegistryError> {
        let has = |manifests: &[Descriptor]| manifests.iter().any(|known| known.digest() == referrer.digest());
        if self.quirks.referrers && self.listed(subject)?.is_some() {
            return Ok(());
        }
        let tag = fallback_tag(subject)?;
        for _ in 0..ROUNDS {
            let manifests = match self.fallback(subject)? {
                Some((index, _)) if has(index.manifests()) => return Ok(()),
                Some((index, _)) => index.manifests().clone(),
                None => Vec::new(),
            };
            let manifests = manifests.into_iter().chain([referrer.clone()]).collect();
            let bytes = canonical(&oci::index(manifests, &Annotations::new()));
            self.put_manifest(&bytes, INDEX, std::slice::from_ref(&tag))?;
            // Another client may have written between the two: then it is read again, and this one added to it.
        }
        match self.fallback(subject)? {
            Some((index, _)) if has(index.manifests()) => Ok(()),
            _ => Err(self.malformed(format!("other clients keep changing the tag {tag}"))),
        }
    }

    /// The list of the API; `None` if there is no API.
    fn listed(&self, digest: &Digest) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let action = format!("the list of what refers to {digest}");
        let mut ask = self.get(&format!("referrers/{digest}")).with(header::ACCEPT, INDEX);
        let mut manifests = Vec::new();
        for page in 0..PAGES_MAX {
            let answer = match self.request(&ask, &action) {
                Ok(answer) => answer,
                // A redirect to where no registry would send anybody.
                Err(RegistryError::Unsafe { .. } | RegistryError::Malformed { .. }) if page == 0 => return Ok(None),
                Err(error) => return Err(error),
            };
            let is_index = answer.header("content-type").is_some_and(|kind| kind.starts_with(INDEX));
            match answer.status {
                200 if is_index => {}
                401 | 403 if page == 0 && answer.url.origin == ask.url.origin => {
                    return Err(self.refused(answer, &action));
                }
                _ if page == 0 => return Ok(None),
                _ => return Err(self.refused(answer, &action)),
            }
            let next = answer.header("link").and_then(super::manifests::next_page).map(|link| answer.url.join(link));
            let bytes = answer.bytes(DOCUMENT_MAX)?;
            let index: ImageIndex = oci::read_document(&bytes)
                .map_err(|error| self.malformed(format!("what refers to {digest} is not an index: {error}")))?;
            manifests.extend(index.manifests().iter().cloned());
            match next {
                None => return Ok(Some(manifests)),
                Some(Some(url)) if url.origin == ask.url.origin => ask.url = url,
                Some(_) => return Err(self.malformed("its list of referrers goes on at another host")),
            }
        }
        Err(self.malformed("its list of referrers does not end"))
    }

    /// The index under the fallback tag, and its digest.
    fn fallback(&self, digest: &Digest) -> Result<Option<(ImageIndex, Digest)>, RegistryError> {
        let tag = fallback_tag(digest)?;
        match self.manifest(Some(&tag), None) {
            Ok(manifest) => {
                let index = oci::read_document(&manifest.bytes)
                    .map_err(|error| self.malformed(format!("the tag {tag} is not an index: {error}")))?;
                Ok(Some((index, manifest.digest)))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `sha256-<hex>`.
fn fallback_tag(digest: &Digest) -> Result<Tag, RegistryError> {
    let name = format!("sha256-{}", digest.hex());
    name.parse().map_err(|error| RegistryError::Source(format!("{error}")))
}
