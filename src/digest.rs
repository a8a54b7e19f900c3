//! SHA-256 digests that exist only when the bytes were really hashed or the text was really a digest.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, written `sha256:<64 hexadecimal digits>`. Other algorithms that image-spec allows are not
/// produced by anything in use, so they are refused with their name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest with these 32 bytes, which somebody has checked before.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// The 64 hexadecimal digits, which name the blob's file in a layout.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first 12 digits, enough for a person.
    pub fn short(&self) -> String {
        self.hex()[..12].to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a digest that we can check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest of the form sha256:<64 lower-case hexadecimal digits>: {0:?}")]
pub struct DigestError(String);

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Digest, DigestError> {
        let error = || DigestError(text.to_string());
        let hex = text.strip_prefix("sha256:").ok_or_else(error)?.as_bytes();
        if hex.len() != 64 || !hex.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(error());
        }
        let value = |digit: u8| if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = value(pair[0]) << 4 | value(pair[1]);
        }
        Ok(Digest(bytes))
    }
}

/// A digest in the making, which can be put down and taken up again later.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

/// The state of a [`Hasher`]: what it keeps of the bytes so far.
#[derive(Clone, PartialEq, Eq)]
pub struct HasherState([u8; HasherState::SIZE]);

impl HasherState {
    /// How long its form in memory is, in bytes: state and counter of SHA-256, and up to a block that is not full.
    pub const SIZE: usize = 104;

    /// Its bytes. They mean something to the version of the library that made them only.
    pub fn as_bytes(&self) -> &[u8; HasherState::SIZE] {
        &self.0
    }

    /// What [`HasherState::as_bytes`] gave.
    pub fn from_bytes(bytes: [u8; HasherState::SIZE]) -> HasherState {
        HasherState(bytes)
    }
}

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Its state.
    pub fn state(&self) -> HasherState {
        HasherState(self.0.serialize().into())
    }

    /// A hasher that goes on from a state; `None` if the bytes are not one.
    pub fn resume(state: &HasherState) -> Option<Hasher> {
        Sha256::deserialize(&SerializedState::<Sha256>::from(state.0)).ok().map(Hasher)
    }

    /// The digest of all that was taken.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// A writer that hashes and counts what passes through it.
pub struct Digesting<W> {
    inner: W,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Digesting<W> {
    /// Wraps `inner`.
    pub fn new(inner: W) -> Digesting<W> {
        Digesting { inner, hasher: Sha256::new(), size: 0 }
    }

    /// What is written into.
    pub fn inner(&self) -> &W {
        &self.inner
    }

    /// Ends the stream: the inner writer, the digest, and the number of bytes.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest(self.hasher.finalize().into()), self.size)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A reader that checks, when it reaches the end, that what it gave had the digest and size that were promised.
///
/// The proof comes with the end of the stream: who uses the bytes earlier must be able to take that back. An error of
/// kind `InvalidData` says what was wrong.
pub struct Verifying<R> {
    inner: R,
    hasher: Option<Sha256>,
    expected: Digest,
    left: u64,
    size: u64,
}

impl<R: Read> Verifying<R> {
    /// Wraps `inner`, which must hold exactly `size` bytes of digest `expected`.
    pub fn new(inner: R, expected: Digest, size: u64) -> Verifying<R> {
        Verifying { inner, hasher: Some(Sha256::new()), expected, left: size, size }
    }
}

impl<R: Read> Read for Verifying<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(hasher) = &mut self.hasher else { return Ok(0) };
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        if count as u64 > self.left {
            return Err(wrong(format!("longer than the expected {} bytes: {}", self.size, self.expected)));
        }
        self.left -= count as u64;
        hasher.update(&buffer[..count]);
        if count == 0 {
            if self.left > 0 {
                let have = self.size - self.left;
                return Err(wrong(format!("ends after {have} of the expected {} bytes: {}", self.size, self.expected)));
            }
            let found = self.hasher.take().map(|hasher| Digest(hasher.finalize().into()));
            if found != Some(self.expected) {
                let found = found.map(|digest| digest.to_string()).unwrap_or_default();
                return Err(wrong(format!("digest mismatch: expected {}, found {found}", self.expected)));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_is_what_sha256sum_prints() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        let mut writer = Digesting::new(Vec::new());
        writer.write_all(b"abc").unwrap();
        let (bytes, digest, size) = writer.finish();
        assert_eq!((bytes.as_slice(), digest, size), (b"abc".as_slice(), Digest::of(b"abc"), 3));
    }

    #[test]
    fn a_digest_goes_on_where_it_was_put_down() {
        let mut hasher = Hasher::default();
        hasher.update(&[7; 1000]);
        let state = HasherState::from_bytes(*hasher.state().as_bytes());
        hasher.update(b"the end");
        let mut other = Hasher::resume(&state).unwrap();
        other.update(b"the end");
        assert_eq!(other.finish(), hasher.finish());
        assert!(Hasher::resume(&HasherState::from_bytes([255; HasherState::SIZE])).is_none());
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for text in
            ["", "sha256:", "sha512:00", &EMPTY.to_uppercase(), &EMPTY[..70], "md5:d41d8cd98f00b204e9800998ecf8427e"]
        {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_stream_is_proved_at_its_end() {
        let read = |bytes: &[u8], digest, size| {
            let mut out = Vec::new();
            Verifying::new(bytes, digest, size).read_to_end(&mut out).map(|_| out).map_err(|error| error.to_string())
        };
        let digest = Digest::of(b"abc");
        assert_eq!(read(b"abc", digest, 3), Ok(b"abc".to_vec()));
        assert!(read(b"abd", digest, 3).unwrap_err().starts_with("digest mismatch: expected sha256:ba78"));
        assert!(read(b"ab", digest, 3).unwrap_err().starts_with("ends after 2 of the expected 3 bytes"));
        assert!(read(b"abcd", digest, 3).unwrap_err().starts_with("longer than the expected 3 bytes"));
    }
}
