//! The platform of an image that somebody else may have made.

use std::fmt;

use super::os_arch::Platform;

/// The platform that an image says it is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImagePlatform {
    /// One that images can be made for, and whose programs can be verified.
    Known(Platform),
    /// Any other, such as `windows/amd64` or `linux/mips`, in the image's own words.
    Other(String),
}

impl ImagePlatform {
    /// Reads `os/architecture[/variant]`, whatever it says.
    pub fn new(text: &str) -> ImagePlatform {
        match text.parse() {
            Ok(platform) => ImagePlatform::Known(platform),
            Err(_) => ImagePlatform::Other(text.to_string()),
        }
    }

    /// The platform, where it is one that images can be made for.
    pub fn known(&self) -> Option<&Platform> {
        match self {
            ImagePlatform::Known(platform) => Some(platform),
            ImagePlatform::Other(_) => None,
        }
    }

    /// Whether an image for this platform can be used where `wanted` is asked for. The plain architecture and its default
    /// variant are the same, as for containerd and skopeo.
    pub fn serves(&self, wanted: &Platform) -> bool {
        let plain = |platform: &Platform| {
            let default = platform.arch.facts().variants.first().copied();
            Platform { arch: platform.arch, variant: platform.variant.filter(|variant| Some(*variant) != default) }
        };
        self.known().is_some_and(|known| plain(known) == plain(wanted))
    }
}

impl From<Platform> for ImagePlatform {
    fn from(platform: Platform) -> ImagePlatform {
        ImagePlatform::Known(platform)
    }
}

impl fmt::Display for ImagePlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImagePlatform::Known(platform) => platform.fmt(f),
            ImagePlatform::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_platforms_keep_their_words_and_serve_nobody() {
        let wanted: Platform = "linux/amd64".parse().unwrap();
        for text in ["windows/amd64", "linux/mips", "", "linux/arm/v7"] {
            let platform = ImagePlatform::new(text);
            assert_eq!(
                (platform.to_string().as_str(), platform.known(), platform.serves(&wanted)),
                (text, None, false)
            );
        }
    }

    #[test]
    fn the_default_variant_is_the_plain_architecture() {
        let serves = |text: &str, wanted: &str| ImagePlatform::new(text).serves(&wanted.parse().unwrap());
        assert!(serves("linux/arm64/v8", "linux/arm64") && serves("linux/arm64", "linux/arm64/v8"));
        assert!(serves("linux/amd64", "linux/amd64/v1") && !serves("linux/amd64/v3", "linux/amd64"));
    }
}
