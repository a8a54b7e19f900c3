//! A platform: operating system, architecture, variant; and how it is written.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::arch::Arch;
use super::words::{ARCHITECTURES, SYSTEMS};

/// Operating system, architecture and, where it is named, variant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    os: &'static str,
    architecture: &'static str,
    /// The variant as the user wrote it. `None` is the plain architecture, which is what most writers emit:
    /// containerd folds `arm64/v8` into `arm64`, and every consumer finds either.
    variant: Option<&'static str>,
}

impl Platform {
    /// The plain platform of an architecture, on Linux.
    pub fn new(arch: Arch) -> Platform {
        Platform { os: "linux", architecture: arch.facts().oci, variant: None }
    }

    /// All platforms whose programs are verified, without variants.
    pub fn verified() -> [Platform; Arch::ALL.len()] {
        Arch::ALL.map(Platform::new)
    }

    /// The `os` word.
    pub fn os(&self) -> &'static str {
        self.os
    }

    /// The `architecture` word.
    pub fn architecture(&self) -> &'static str {
        self.architecture
    }

    /// The variant, where one is named.
    pub fn variant(&self) -> Option<&'static str> {
        self.variant
    }

    /// The architecture, where it is known how its programs start: none of another system than Linux.
    pub fn arch(&self) -> Option<Arch> {
        let (arch, _) = Arch::from_word(self.architecture)?;
        (self.os == "linux").then_some(arch)
    }

    /// How well an image for this platform does where `wanted` is asked for: 0 is best, `None` not at all. As in containerd,
    /// the plain architecture means its default variant, and a CPU of one variant runs those before it.
    pub fn distance(&self, wanted: &Platform) -> Option<usize> {
        if (self.os, self.architecture) != (wanted.os, wanted.architecture) {
            return None;
        }
        let facts = Arch::from_word(self.architecture).map(|(arch, _)| arch.facts());
        let place = |platform: &Platform| {
            let variant = platform.variant.or(facts.and_then(|facts| facts.default_variant))?;
            facts?.variants.iter().position(|known| *known == variant)
        };
        match (place(self), place(wanted)) {
            (Some(own), Some(wanted)) => wanted.checked_sub(own),
            _ => (self.variant == wanted.variant).then_some(0),
        }
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

/// A text that is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a platform, such as linux/amd64, linux/arm64 or linux/arm/v7: {0:?}")]
pub struct PlatformError(String);

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Reads `linux/arm64`, `linux/arm64/v8`, or an architecture alone (`arm64`, `aarch64`), which is one of Linux.
    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        let error = || PlatformError(text.to_string());
        let words: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match words[..] {
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(error()),
        };
        let os = word_of(&SYSTEMS, os).ok_or_else(error)?;
        let known = Arch::from_word(architecture);
        let (architecture, implied) = match known {
            Some((arch, implied)) => (arch.facts().oci, implied),
            None => (word_of(&ARCHITECTURES, architecture).ok_or_else(error)?, None),
        };
        let variants = known.map_or(&[][..], |(arch, _)| arch.facts().variants);
        let variant = match variant {
            None => implied,
            Some(word) => Some(word_of(variants, word).ok_or_else(error)?),
        };
        Ok(Platform { os, architecture, variant })
    }
}

fn word_of(list: &[&'static str], word: &str) -> Option<&'static str> {
    list.iter().find(|known| **known == word).copied()
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
    fn words_of_other_tools_mean_a_variant() {
        for (text, meant) in [
            ("armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("i386", "linux/386"),
            ("ppc64el", "linux/ppc64le"),
            ("linux/mips64el", "linux/mips64le"),
            ("loongarch64", "linux/loong64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), meant);
        }
    }

    #[test]
    fn any_platform_of_oci_has_a_name_and_those_of_linux_may_be_verified() {
        for (text, arch) in [
            ("linux/arm/v5", Some(Arch::Arm)),
            ("linux/s390x", Some(Arch::S390x)),
            ("linux/mips", None),
            ("windows/amd64", None),
            ("freebsd/arm64", None),
            ("wasip1/wasm", None),
        ] {
            let platform: Platform = text.parse().unwrap();
            assert_eq!((platform.to_string().as_str(), platform.arch()), (text, arch));
        }
    }

    /// As containerd's `platforms.Only` orders them.
    #[test]
    fn a_variant_runs_those_before_it() {
        let distance = |own: &str, wanted: &str| own.parse::<Platform>().unwrap().distance(&wanted.parse().unwrap());
        for (own, wanted, expected) in [
            ("linux/arm/v7", "linux/arm", Some(0)),
            ("linux/arm", "linux/arm/v7", Some(0)),
            ("linux/arm/v6", "linux/arm/v7", Some(1)),
            ("linux/arm/v5", "linux/arm", Some(2)),
            ("linux/arm/v7", "linux/arm/v6", None),
            ("linux/arm/v8", "linux/arm", None),
            ("linux/arm64/v8", "linux/arm64", Some(0)),
            ("linux/arm64", "linux/arm64/v9", Some(1)),
            ("linux/amd64", "linux/amd64/v3", Some(2)),
            ("linux/amd64/v3", "linux/amd64", None),
            ("linux/s390x", "linux/s390x", Some(0)),
            ("linux/mips", "linux/mips", Some(0)),
            ("windows/amd64", "linux/amd64", None),
            ("linux/386", "linux/amd64", None),
        ] {
            assert_eq!(distance(own, wanted), expected, "{own} for {wanted}");
        }
    }

    #[test]
    fn absurd_platforms_are_refused() {
        for text in [
            "",
            "linux",
            "linux/mipz",
            "linux/arm64/v8/x",
            "linux/amd64/v8",
            "linux/riscv64/v1",
            "linux/AMD64",
            "lynux/amd64",
            "linux/arm/v4",
            "linux/mips/v1",
        ] {
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
