//! Blobs, sent to where they are not yet.
//!
//! In this order: ask whether the blob is there; mount it from another repository; send it in one request, as registries like it
//! best. After a break the session is asked what it really has, and the rest is sent; where it cannot say, the blob begins anew.
//! An answer that says "failed" is not believed before the blob was looked for (GoogleContainerTools/jib#4301: most of such uploads
//! had succeeded). Parts (`PATCH`) are sent only for a rest, or when the registry refuses the whole as too large (413).

use std::io::{self, Read};

use ureq::http::{Method, header};

use super::connections::{Answer, Ask, Broken, Payload};
use super::error::RegistryError;
use super::repository::RemoteRepository;
use super::retry::{Tries, is_passing, retry_after};
use super::url::Url;
use crate::digest::Digest;

/// The largest part after a 413, in bytes: below the 100 MB of Cloudflare.
const PART: u64 = 64 << 20;

/// The smallest part that is tried, in bytes.
const PART_MIN: u64 = 1 << 20;

/// How often an upload may begin again in all.
const ROUNDS_MAX: u32 = 1000;

/// What opens a blob from a byte on.
type Opener<'a> = dyn Fn(u64) -> io::Result<Box<dyn Read + Send + 'a>> + Sync + 'a;

/// A blob that is to be sent.
pub struct BlobSource<'a> {
    /// Its digest.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// Opens it from this byte on; called again after every break.
    pub open: &'a Opener<'a>,
}

/// How a blob came to be in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushedBlob {
    /// It was there.
    Present,
    /// It was taken from another repository of the registry.
    Mounted,
    /// It was sent.
    Sent,
}

/// An upload that was begun.
struct Session {
    url: Url,
    /// How many bytes of the blob it has.
    at: u64,
    /// The smallest part that it takes, but for the last.
    part_min: u64,
}

/// How one request of an upload ended.
enum Step {
    /// The blob is there.
    Done,
    /// The session has more than before.
    Forward,
    /// It may go on after a while.
    Later(Option<std::time::Duration>, RegistryError),
    /// The request was too large.
    TooLarge(RegistryError),
    /// The session is of no use any more.
    Lost(RegistryError),
}

impl RemoteRepository {
    /// Sends a blob, unless it is there or can be mounted.
    ///
    /// # Errors
    /// When the registry refuses it, or the blob cannot be read.
    pub fn push_blob(&self, source: &BlobSource<'_>) -> Result<PushedBlob, RegistryError> {
        if self.has_blob(&source.digest)? {
            return Ok(PushedBlob::Present);
        }
        let mut session = None;
        for from in self.others.iter().filter(|_| self.quirks.mounts) {
            let url = self.url("blobs/uploads/").with("mount", &source.digest.to_string()).with("from", from);
            let answer = self.request(&Ask::new(Method::POST, url), &self.action(source))?;
            match answer.status {
                201 => return Ok(PushedBlob::Mounted),
                // It begins an upload instead.
                202 => {
                    session = Some(self.session(&answer)?);
                    break;
                }
                // Some registries refuse a mount of what is not there, or is not this user's.
                400 | 401 | 403 | 404 | 405 => {}
                _ => return Err(self.refused(answer, &self.action(source))),
            }
        }
        let session = match session {
            Some(session) => session,
            None => self.begin(source)?,
        };
        self.send(source, session)?;
        Ok(PushedBlob::Sent)
    }

    fn action(&self, source: &BlobSource<'_>) -> String {
        format!("the push of the blob {} to {}", source.digest, self.name())
    }

    fn begin(&self, source: &BlobSource<'_>) -> Result<Session, RegistryError> {
        let answer = self.request(&Ask::new(Method::POST, self.url("blobs/uploads/")), &self.action(source))?;
        match answer.status {
            201 | 202 => self.session(&answer),
            _ => Err(self.refused(answer, &self.action(source))),
        }
    }

    fn session(&self, answer: &Answer) -> Result<Session, RegistryError> {
        let url = self.next(answer)?.ok_or_else(|| self.malformed("it begins an upload without a Location"))?;
        let part_min = answer.header("oci-chunk-min-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Session { url, at: 0, part_min })
    }

    /// Where an upload goes on. Elsewhere, it goes on without credentials.
    fn next(&self, answer: &Answer) -> Result<Option<Url>, RegistryError> {
        let Some(location) = answer.header("location") else { return Ok(None) };
        let url = answer.url.join(location);
        let url = url.ok_or_else(|| self.malformed("an upload goes on at what is not a URL of HTTP"))?;
        self.registries.check(&answer.url.origin, &url.origin)?;
        Ok(Some(url))
    }

    /// Sends until the blob is there.
    fn send(&self, source: &BlobSource<'_>, mut session: Session) -> Result<(), RegistryError> {
        let patience = self.registries.connections.settings.patience;
        let mut tries = Tries::new(&patience);
        let mut part = None;
        for _ in 0..ROUNDS_MAX {
            let before = session.at;
            let step = match part {
                None if session.at == 0 => self.whole(source, &session)?,
                _ => self.part(source, &mut session, part.unwrap_or(u64::MAX))?,
            };
            let (error, wait) = match step {
                Step::Done => return Ok(()),
                Step::Forward => {
                    tries.forget();
                    continue;
                }
                Step::TooLarge(error) => {
                    let smaller = part.map_or(PART, |part: u64| part / 2).min(source.size / 2);
                    if smaller < session.part_min.max(PART_MIN) || !self.quirks.chunks {
                        self.give_up(&session);
                        return Err(error);
                    }
                    part = Some(smaller);
                    session = self.begin(source)?;
                    continue;
                }
                Step::Later(wait, error) => (error, wait),
                Step::Lost(error) => (error, None),
            };
            // It may have arrived all the same.
            if self.has_blob(&source.digest).unwrap_or(false) {
                return Ok(());
            }
            if !tries.wait(wait) {
                self.give_up(&session);
                return Err(error);
            }
            session = self.resume(source, session)?;
            if session.at > before {
                tries.forget();
            }
        }
        Err(self.malformed(format!("the upload begins again and again: {}", source.digest)))
    }

    /// The whole blob in one request, which also ends the upload.
    fn whole(&self, source: &BlobSource<'_>, session: &Session) -> Result<Step, RegistryError> {
        let open = || (source.open)(0);
        let ask = Ask::new(Method::PUT, session.url.with("digest", &source.digest.to_string()))
            .with(header::CONTENT_TYPE, "application/octet-stream")
            .sending(Payload::Stream(source.size, &open));
        self.end(source, &ask)
    }

    /// The next part, or with all sent the end of the upload.
    fn part(&self, source: &BlobSource<'_>, session: &mut Session, part: u64) -> Result<Step, RegistryError> {
        if session.at >= source.size {
            return self.end(source, &Ask::new(Method::PUT, session.url.with("digest", &source.digest.to_string())));
        }
        let (from, length) = (session.at, part.max(session.part_min).min(source.size - session.at));
        let open = || Ok((source.open)(from)?.take(length)).map(|reader| Box::new(reader) as Box<dyn Read + Send>);
        let ask = Ask::new(Method::PATCH, session.url.clone())
            .with(header::CONTENT_TYPE, "application/octet-stream")
            .with(header::CONTENT_RANGE, format!("{from}-{}", from + length - 1))
            .sending(Payload::Stream(length, &open));
        let answer = match self.once(&ask, &self.action(source)) {
            Ok(answer) => answer,
            Err(Broken::Connection(error)) => return Ok(Step::Later(None, error)),
            Err(broken) => return Err(broken.into_error()),
        };
        Ok(match answer.status {
            // aws/containers-roadmap#2831: the Range in the answer may be an old one, so it is not looked at. What is wrong with the
            // whole is found out at the end, by its digest.
            200..=204 => {
                session.at = from + length;
                if let Some(url) = self.next(&answer)? {
                    session.url = url;
                }
                Step::Forward
            }
            413 => Step::TooLarge(self.refused(answer, &self.action(source))),
            status if is_passing(status) => {
                Step::Later(retry_after(&answer), self.refused(answer, &self.action(source)))
            }
            404 | 416 => Step::Lost(self.refused(answer, &self.action(source))),
            _ => {
                self.give_up(session);
                return Err(self.refused(answer, &self.action(source)));
            }
        })
    }

    fn end(&self, source: &BlobSource<'_>, ask: &Ask<'_>) -> Result<Step, RegistryError> {
        let answer = match self.once(ask, &self.action(source)) {
            Ok(answer) => answer,
            Err(Broken::Connection(error)) => return Ok(Step::Later(None, error)),
            Err(broken) => return Err(broken.into_error()),
        };
        Ok(match answer.status {
            // 202 is the answer of distribution 2.8 to a POST; to a PUT it means no more than that it was taken.
            200 | 201 | 204 => Step::Done,
            202 => Step::Lost(self.refused(answer, &self.action(source))),
            413 => Step::TooLarge(self.refused(answer, &self.action(source))),
            status if is_passing(status) => {
                Step::Later(retry_after(&answer), self.refused(answer, &self.action(source)))
            }
            // The session is gone, or what it has is not the blob (parts that were put together wrongly).
            400 | 404 | 416 => Step::Lost(self.refused(answer, &self.action(source))),
            _ => return Err(self.refused(answer, &self.action(source))),
        })
    }

    /// What the registry really has of the blob; with nothing, or no answer, a new session.
    fn resume(&self, source: &BlobSource<'_>, session: Session) -> Result<Session, RegistryError> {
        let was_whole = session.at >= source.size;
        if self.quirks.chunks && !was_whole {
            let ask = Ask::new(Method::GET, session.url.clone());
            if let Ok(answer) = self.once(&ask, &self.action(source))
                && matches!(answer.status, 200 | 202 | 204)
                && let Some(has) = answer.header("range").and_then(bytes_of)
                && has > session.at
                && has <= source.size
            {
                let url = self.next(&answer)?.unwrap_or(session.url);
                return Ok(Session { url, at: has, ..session });
            }
        }
        self.give_up(&session);
        self.begin(source)
    }

    /// Tells the registry that an upload will not go on. Whether it listens does not matter.
    fn give_up(&self, session: &Session) {
        let _ = self.once(&Ask::new(Method::DELETE, session.url.clone()), "the end of an upload");
    }
}

/// How many bytes `0-N` are. A session without bytes says `0-0`, as one with a single byte does; both begin anew.
fn bytes_of(range: &str) -> Option<u64> {
    let range = range.trim();
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let (first, last) = range.split_once('-')?;
    let last: u64 = last.parse().ok()?;
    (first == "0" && last > 0).then(|| last.checked_add(1)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_what_its_range_says() {
        assert_eq!(bytes_of("0-9"), Some(10));
        assert_eq!(bytes_of("bytes=0-9"), Some(10));
        for text in ["0-0", "", "9", "5-9", "0-", "0-x", "0-18446744073709551615"] {
            assert_eq!(bytes_of(text), None, "{text}");
        }
    }
}
