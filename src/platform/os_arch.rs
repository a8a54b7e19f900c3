//! A platform: operating system, architecture, variant; and how it is written.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::arch::Arch;

/// Operating system, architecture and, where it is named, variant. The system is always `linux`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// The architecture.
    pub arch: Arch,
    /// The variant as the user wrote it. `None` is the plain architecture, which is what most writers emit:
    /// containerd folds `arm64/v8` into `arm64`, and every consumer finds either.
    pub variant: Option<&'static str>,
}

impl Platform {
    /// The plain platform of an architecture.
    pub fn new(arch: Arch) -> Platform {
        Platform { arch, variant: None }
    }

    /// The `os` word.
    pub fn os(&self) -> &'static str {
        "linux"
    }

    /// The `architecture` word.
    pub fn architecture(&self) -> &'static str {
        self.arch.facts().oci
    }

    /// Replaces `{os}`, `{arch}`, `{variant}` and `{platform}` in a text. Doubled braces are not special: no other
    /// placeholder exists, so any other brace stays as it is.
    pub fn fill_in(&self, template: &str) -> String {
        let variant = self.variant.unwrap_or_default();
        let mut out = String::with_capacity(template.len());
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            out.push_str(&rest[..open]);
            rest = &rest[open..];
            let known = [
                ("{os}", self.os().to_string()),
                ("{arch}", self.architecture().to_string()),
                ("{variant}", variant.to_string()),
                ("{platform}", self.to_string()),
            ];
            match known.iter().find(|(word, _)| rest.starts_with(word)) {
                Some((word, value)) => {
                    out.push_str(value);
                    rest = &rest[word.len()..];
                }
                None => {
                    out.push('{');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        out
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os(), self.architecture())?;
        match self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// A text that is not a platform that images can be made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a supported platform ({}): {:?}", all().join(", "), .0)]
pub struct PlatformError(String);

/// The plain platform of each architecture, as text.
fn all() -> Vec<String> {
    Arch::ALL.map(|arch| Platform::new(arch).to_string()).into()
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Reads `linux/arm64`, `linux/arm64/v8`, or an architecture alone (`arm64`, `aarch64`).
    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        let error = || PlatformError(text.to_string());
        let words: Vec<&str> = text.split('/').collect();
        let (arch, variant) = match words[..] {
            [arch] | ["linux", arch] => (arch, None),
            ["linux", arch, variant] => (arch, Some(variant)),
            _ => return Err(error()),
        };
        let arch = Arch::from_word(arch).ok_or_else(error)?;
        let variant = match variant {
            None => None,
            Some(word) => Some(*arch.facts().variants.iter().find(|known| **known == word).ok_or_else(error)?),
        };
        Ok(Platform { arch, variant })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_written_as_its_text() {
        let platform: Platform = "linux/arm64/v8".parse().unwrap();
        assert_eq!(serde_json::to_string(&platform).unwrap(), "\"linux/arm64/v8\"");
    }

    #[test]
    fn every_usual_spelling_is_understood() {
        for text in ["linux/arm64", "arm64", "aarch64", "linux/aarch64"] {
            assert_eq!(text.parse(), Ok(Platform::new(Arch::Arm64)));
        }
        assert_eq!("linux/arm64/v8".parse::<Platform>().unwrap().to_string(), "linux/arm64/v8");
    }

    #[test]
    fn absurd_platforms_are_refused() {
        for text in ["", "linux", "windows/amd64", "linux/riscv64", "linux/arm64/v8/x", "linux/amd64/v8", "linux/AMD64"]
        {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn placeholders_are_filled_in_and_other_braces_stay() {
        let platform: Platform = "linux/arm64/v8".parse().unwrap();
        assert_eq!(
            platform.fill_in("{os}-{arch}-{variant}:{platform} {x} {{arch}}"),
            "linux-arm64-v8:linux/arm64/v8 {x} {arm64}"
        );
    }
}
