//! Blobs, read from where they are to where they are wanted.
//!
//! A connection that breaks is made again for the rest (`Range`), always from the registry itself: the URL that it redirects to
//! may have expired. What comes is counted and hashed; a server that ignores `Range` sends all again, and what is known of it is
//! passed over.

use std::io::{self, Read};

use ureq::http::{Method, header};

use super::connections::{Ask, Broken};
use super::error::RegistryError;
use super::repository::RemoteRepository;
use super::retry::{Tries, is_passing, retry_after};
use crate::digest::{Digest, Verifying};

/// How often one blob may begin again in all, however much comes each time.
const BREAKS_MAX: u32 = 1000;

/// A blob that is being read. Digest and size are checked at its end.
pub type BlobReader = Verifying<Resuming>;

impl RemoteRepository {
    /// Opens a blob of `size` bytes.
    ///
    /// # Errors
    /// When it is not there, or has another size.
    pub fn blob(&self, digest: &Digest, size: u64) -> Result<BlobReader, RegistryError> {
        Ok(Verifying::new(self.blob_from(digest, size, 0)?, *digest, size))
    }

    /// The rest of a blob, from a byte on. Its digest is not checked.
    ///
    /// # Errors
    /// When the rest is not there.
    pub fn blob_from(&self, digest: &Digest, size: u64, at: u64) -> Result<Resuming, RegistryError> {
        let mut blob = Resuming { repository: self.clone(), digest: *digest, size, at, body: None, breaks: 0 };
        if at < size {
            blob.body = Some(blob.open(&mut Tries::new(&self.registries.connections.settings.patience))?);
        }
        Ok(blob)
    }

    /// Whether a blob is there.
    ///
    /// # Errors
    /// When the registry does not say.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let action = format!("the look-up of the blob {digest}");
        let answer = self.request(&Ask::new(Method::HEAD, self.url(&format!("blobs/{digest}"))), &action)?;
        match answer.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(answer, &action)),
        }
    }
}

/// The bytes of a blob, whatever happens to connections.
pub struct Resuming {
    repository: RemoteRepository,
    digest: Digest,
    size: u64,
    at: u64,
    body: Option<Box<dyn Read + Send + Sync>>,
    breaks: u32,
}

impl Resuming {
    /// Opens the rest.
    fn open(&self, tries: &mut Tries<'_>) -> Result<Box<dyn Read + Send + Sync>, RegistryError> {
        let Resuming { repository, digest, at, size, .. } = self;
        let action = format!("the pull of the blob {digest} of {}", repository.name());
        loop {
            let mut ask = repository.get(&format!("blobs/{digest}"));
            if *at > 0 {
                ask = ask.with(header::RANGE, format!("bytes={at}-"));
            }
            let answer = match repository.once(&ask, &action) {
                Ok(answer) => answer,
                Err(Broken::Connection(error)) => {
                    if tries.wait(None) {
                        continue;
                    }
                    return Err(error);
                }
                Err(broken) => return Err(broken.into_error()),
            };
            let length = answer.header("content-length").and_then(|text| text.parse::<u64>().ok());
            let expected = match answer.status {
                200 => *size,
                206 if answer.header("content-range").is_some_and(|range| begins_at(range, *at)) => size - at,
                206 => return Err(repository.malformed(format!("it sends another part of the blob {digest}"))),
                404 => {
                    let what = format!("the blob {digest} of {}", repository.name());
                    return Err(RegistryError::NotFound { host: repository.host(), what });
                }
                status if is_passing(status) => {
                    if tries.wait(retry_after(&answer)) {
                        continue;
                    }
                    return Err(repository.refused(answer, &action));
                }
                _ => return Err(repository.refused(answer, &action)),
            };
            if let Some(length) = length.filter(|length| *length != expected) {
                return Err(repository
                    .malformed(format!("it has {length} bytes of the blob where {expected} are expected: {digest}")));
            }
            let begins_anew = answer.status == 200 && *at > 0;
            let mut body: Box<dyn Read + Send + Sync> = Box::new(answer.body.into_reader());
            if begins_anew
                && !matches!(io::copy(&mut (&mut body).take(*at), &mut io::sink()), Ok(count) if count == *at)
            {
                if tries.wait(None) {
                    continue;
                }
                return Err(repository.malformed(format!("the blob ends too early: {digest}")));
            }
            return Ok(body);
        }
    }
}

/// Whether `bytes A-B/C` begins at a place.
fn begins_at(range: &str, at: u64) -> bool {
    let first = range.trim().strip_prefix("bytes").and_then(|rest| rest.trim().split('-').next());
    first.and_then(|first| first.parse().ok()) == Some(at)
}

impl Read for Resuming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.size == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let patience = self.repository.registries.connections.settings.patience;
        let mut tries = Tries::new(&patience);
        loop {
            let body = match &mut self.body {
                Some(body) => body,
                None => self.body.insert(self.open(&mut tries).map_err(io::Error::other)?),
            };
            let error = match body.read(buffer) {
                Ok(0) if self.at >= self.size => return Ok(0),
                Ok(0) => io::Error::from(io::ErrorKind::UnexpectedEof),
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // All bytes are here; how the connection ends does not matter.
                Err(_) if self.at >= self.size => return Ok(0),
                Err(error) => error,
            };
            self.body = None;
            self.breaks += 1;
            if self.breaks > BREAKS_MAX || !tries.wait(None) {
                return Err(io::Error::other(RegistryError::Network {
                    host: self.repository.host(),
                    fault: format!("{}, after {} of {} bytes", super::connections::words(&error), self.at, self.size),
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_begins_where_it_says() {
        assert!(begins_at("bytes 5-9/10", 5));
        for text in ["bytes 6-9/10", "bytes */10", "5-9", "", "bytes"] {
            assert!(!begins_at(text, 5), "{text}");
        }
    }
}
