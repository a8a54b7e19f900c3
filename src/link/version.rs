//! Versions: numbers that are compared as numbers and printed with dots.

use std::fmt;

use serde::{Serialize, Serializer};

/// A version, such as `2.34` or `1.2.5`: `2.9` comes before `2.34`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Vec<u32>);

impl Version {
    /// The numbers with dots between them at the beginning of a text: 1, 2 and 5 for `1.2.5-git-12`. `None` if the text does not
    /// begin with a number.
    pub fn parse(text: &[u8]) -> Option<Version> {
        let mut numbers = Vec::new();
        for part in text.split(|&byte| byte == b'.') {
            let length = part.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let Some(number) = std::str::from_utf8(&part[..length]).ok().and_then(|digits| digits.parse().ok()) else {
                break;
            };
            numbers.push(number);
            if length < part.len() {
                break;
            }
        }
        (!numbers.is_empty()).then_some(Version(numbers))
    }

    /// The version in the name of a symbol version of glibc: `GLIBC_2.34`.
    pub fn of_glibc(name: &[u8]) -> Option<Version> {
        Version::parse(name.strip_prefix(b"GLIBC_".as_slice())?)
    }

    /// Whether it is this one or a later one.
    pub fn is_at_least(&self, numbers: &[u32]) -> bool {
        self.0.as_slice() >= numbers
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, number) in self.0.iter().enumerate() {
            write!(f, "{}{number}", if at == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers_and_printed_as_they_were() {
        let version = |text: &str| Version::parse(text.as_bytes()).unwrap();
        assert!(
            version("2.9") < version("2.34") && version("2.34") < version("2.34.1") && version("2.34") < version("3")
        );
        assert!(version("2.36").is_at_least(&[2, 36]) && !version("2.4").is_at_least(&[2, 36]));
        for text in ["2.34", "1.2.5", "7"] {
            assert_eq!(version(text).to_string(), text);
        }
        assert_eq!(version("1.2.5-git-3-g1f2e"), version("1.2.5"));
        assert_eq!(Version::of_glibc(b"GLIBC_2.2.5"), Some(version("2.2.5")));
        for name in [&b"GLIBC_PRIVATE"[..], b"GLIBC_ABI_DT_RELR", b"CURL_4", b""] {
            assert_eq!(Version::of_glibc(name), None);
        }
        assert_eq!(Version::parse(b"9999999999"), None);
    }
}
