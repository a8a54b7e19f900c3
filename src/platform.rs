//! Platforms, and the one table of what differs between them.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// A CPU architecture that this program makes images for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// `amd64` in OCI words, `x86_64` in the kernel's.
    Amd64,
    /// `arm64` in OCI words, `aarch64` in the kernel's.
    Arm64,
}

/// What is peculiar to one architecture.
#[derive(Debug)]
pub struct ArchFacts {
    /// GOARCH word, as image documents spell it.
    pub oci: &'static str,
    /// Kernel and GNU word, also the suffix of `qemu-*` and of musl's loader.
    pub gnu: &'static str,
    /// Debian's multiarch directory name.
    pub triplet: &'static str,
    /// `e_machine` of its ELF files.
    pub machine: u16,
    /// Where programs linked against glibc look for their loader.
    pub glibc_loader: &'static str,
    /// Where programs linked against musl look for their loader.
    pub musl_loader: &'static str,
    /// Largest page size of kernels in use, in bytes: segments aligned to less fail there.
    pub largest_page: u64,
    /// Variants that may be named, the default first.
    pub variants: &'static [&'static str],
}

const AMD64: ArchFacts = ArchFacts {
    oci: "amd64",
    gnu: "x86_64",
    triplet: "x86_64-linux-gnu",
    machine: 62,
    glibc_loader: "/lib64/ld-linux-x86-64.so.2",
    musl_loader: "/lib/ld-musl-x86_64.so.1",
    largest_page: 0x1000,
    variants: &["v1", "v2", "v3", "v4"],
};

const ARM64: ArchFacts = ArchFacts {
    oci: "arm64",
    gnu: "aarch64",
    triplet: "aarch64-linux-gnu",
    machine: 183,
    glibc_loader: "/lib/ld-linux-aarch64.so.1",
    musl_loader: "/lib/ld-musl-aarch64.so.1",
    largest_page: 0x10000,
    variants: &["v8", "v9"],
};

impl Arch {
    /// All architectures, in the order in which a multi-platform index lists them.
    pub const ALL: [Arch; 2] = [Arch::Amd64, Arch::Arm64];

    /// The row of this architecture.
    pub fn facts(self) -> &'static ArchFacts {
        match self {
            Arch::Amd64 => &AMD64,
            Arch::Arm64 => &ARM64,
        }
    }

    /// The architecture of a word, in any of the usual spellings.
    pub fn from_word(word: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.facts().oci == word || arch.facts().gnu == word)
    }

    /// The architecture of an ELF `e_machine` value.
    pub fn from_machine(machine: u16) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.facts().machine == machine)
    }
}

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

/// Why a text is no platform that images can be made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformError(String);

impl fmt::Display for PlatformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a platform that images can be made for (linux/amd64, linux/arm64): {:?}", self.0)
    }
}

impl Error for PlatformError {}

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
