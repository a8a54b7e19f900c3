//! The platform of an image that somebody else may have made.

use std::fmt;

use super::os_arch::Platform;

/// The platform that an image says it is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImagePlatform {
    /// One of OCI's, for which images can be made.
    Known(Platform),
    /// Any other, such as `unknown/unknown`, in the image's own words.
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

    /// How well an image for this platform does where `wanted` is asked for, as [`Platform::distance`].
    pub fn distance(&self, wanted: &Platform) -> Option<usize> {
        self.known()?.distance(wanted)
    }

    /// Which of these platforms does best where `wanted` is asked for: its place, if any does.
    pub fn best<'p>(platforms: impl Iterator<Item = &'p ImagePlatform>, wanted: &Platform) -> Option<usize> {
        let distances = platforms.enumerate().filter_map(|(place, own)| Some((own.distance(wanted)?, place)));
        distances.min().map(|(_, place)| place)
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
        for text in ["unknown/unknown", "linux/mipz", "", "linux/arm/v4"] {
            let platform = ImagePlatform::new(text);
            assert_eq!(
                (platform.to_string().as_str(), platform.known(), platform.distance(&wanted)),
                (text, None, None)
            );
        }
    }

    #[test]
    fn the_nearest_variant_is_taken_and_no_higher_one() {
        let platforms = ["linux/arm/v5", "linux/arm64", "linux/arm/v6", "linux/arm/v7"].map(ImagePlatform::new);
        let best = |wanted: &str| ImagePlatform::best(platforms.iter(), &wanted.parse().unwrap());
        assert_eq!((best("linux/arm"), best("linux/arm/v8"), best("linux/arm/v6")), (Some(3), Some(3), Some(2)));
        assert_eq!((best("linux/arm64/v8"), best("linux/amd64")), (Some(1), None));
    }
}
