//! What an image is called in a layout or archive: the descriptors in `index.json`.

use super::error::TransportError;
use crate::image::Finished;
use crate::oci::{Annotations, CONTAINERD_NAME, Descriptor, REF_NAME};
#[cfg(feature = "registry")]
use crate::reference::ImageReference;
use crate::reference::{Repository, Tag, split_tag};

/// An image's names at one place.
#[derive(Clone, Debug)]
pub(super) struct Names {
    name: Option<Repository>,
    tags: Vec<Tag>,
}

impl Names {
    /// The image's own names, or what the place says instead: a tag, or a name with a tag.
    pub fn of(image: &Finished, reference: Option<&str>) -> Result<Names, TransportError> {
        let Some(reference) = reference else {
            let mut tags = image.tags.clone();
            let mut seen = Vec::new();
            tags.retain(|tag| {
                let new = !seen.contains(tag);
                seen.push(tag.clone());
                new
            });
            if tags.is_empty() {
                tags.push(Tag::latest());
            }
            return Ok(Names { name: image.name.clone(), tags });
        };
        let usage = |error: crate::reference::ReferenceError| TransportError::Usage(error.to_string());
        if let Ok(tag) = reference.parse() {
            return Ok(Names { name: image.name.clone(), tags: vec![tag] });
        }
        let (name, tag) = split_tag(reference);
        let tag = tag.map_or(Ok(Tag::latest()), |tag| tag.parse().map_err(usage))?;
        Ok(Names { name: Some(name.parse().map_err(usage)?), tags: vec![tag] })
    }

    /// The names of an image in a registry: the tag of the reference, or else the image's own.
    #[cfg(feature = "registry")]
    pub fn remote(image: &Finished, reference: &ImageReference) -> Result<Names, TransportError> {
        if reference.digest().is_some() {
            let fault = "the digest follows from the image: write to docker://HOST/NAME[:TAG]";
            return Err(TransportError::Usage(format!("{fault}, not to {reference}")));
        }
        let own = Names::of(image, None)?;
        let tags = reference.tag().map_or(own.tags, |tag| vec![tag.clone()]);
        Ok(Names { name: Some(reference.repository().clone()), tags })
    }

    /// The tags.
    #[cfg(feature = "registry")]
    pub fn tag_list(&self) -> &[Tag] {
        &self.tags
    }

    /// The full references, such as `docker.io/you/app:v1`; none without a repository.
    pub fn full(&self) -> Vec<String> {
        self.name.iter().flat_map(|name| self.tags.iter().map(|tag| name.with_tag(tag))).collect()
    }

    /// The tags alone.
    pub fn tags(&self) -> Vec<String> {
        self.tags.iter().map(Tag::to_string).collect()
    }

    /// The descriptors for `index.json`, in order. Each has a name of its own.
    pub fn descriptors(&self, image: &Finished, flat: bool) -> Result<Vec<Descriptor>, TransportError> {
        let mut out = Vec::new();
        for tag in &self.tags {
            if !flat {
                out.push(self.named(&image.image.root, tag));
                continue;
            }
            for platform in &image.image.platforms {
                let tag = match &image.image.platforms[..] {
                    [_] => tag.clone(),
                    _ => format!("{tag}-{}", suffix(&platform.platform.to_string()))
                        .parse()
                        .map_err(|error: crate::reference::ReferenceError| TransportError::Usage(error.to_string()))?,
                };
                out.push(self.named(&platform.manifest_descriptor, &tag));
            }
        }
        Ok(out)
    }

    fn named(&self, target: &Descriptor, tag: &Tag) -> Descriptor {
        let mut descriptor = target.clone();
        let mut annotations: Annotations = target.annotations().iter().flatten().map(clone).collect();
        annotations.insert(REF_NAME.into(), tag.to_string());
        match &self.name {
            Some(name) => annotations.insert(CONTAINERD_NAME.into(), name.with_tag(tag)),
            None => annotations.remove(CONTAINERD_NAME),
        };
        descriptor.set_annotations(Some(annotations.into_iter().collect()));
        descriptor
    }
}

fn clone((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

/// `linux/arm64/v8` as the end of a tag: `arm64-v8`.
fn suffix(platform: &str) -> String {
    platform.split('/').skip(1).collect::<Vec<_>>().join("-")
}

/// The name of an entry of `index.json`, and the tag of which it is the image of one platform, if its name says so
/// (`v1-arm64` of an arm64 manifest: `v1`).
pub(super) fn name_and_group(descriptor: &Descriptor) -> (Option<&str>, Option<&str>) {
    let name = descriptor.annotations().as_ref().and_then(|annotations| annotations.get(REF_NAME)).map(String::as_str);
    let group = name.zip(descriptor.platform().as_ref()).and_then(|(name, platform)| {
        let variant = platform.variant().as_ref().map(|variant| format!("-{variant}")).unwrap_or_default();
        let end = format!("-{}{variant}", platform.architecture());
        name.strip_suffix(end.as_str()).filter(|tag| !tag.is_empty())
    });
    (name, group)
}

/// Whether two texts name the same image: equal, or equal when spelled out (`you/app:v1`, `docker.io/you/app:v1`).
pub(super) fn references_equal(known: &str, wanted: &str) -> bool {
    let spelled_out = |text: &str| -> Option<(Repository, Tag)> {
        let (name, tag) = split_tag(text);
        Some((name.parse().ok()?, tag?.parse().ok()?))
    };
    known == wanted || spelled_out(known).is_some_and(|known| spelled_out(wanted) == Some(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::image::Image;
    use crate::oci::{self, MediaType};

    fn image(name: Option<&str>, tags: &[&str]) -> Finished {
        let root = oci::descriptor(MediaType::ImageIndex, &Digest::of(b"root"), 4);
        Finished {
            image: Image { root, index_annotations: Annotations::new(), platforms: Vec::new(), others: Vec::new() },
            name: name.map(|name| name.parse().unwrap()),
            tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn the_place_may_say_another_name() {
        let image = image(Some("you/app"), &["v1", "v2", "v1"]);
        let full = |reference| Names::of(&image, reference).unwrap().full();
        assert_eq!(full(None), ["docker.io/you/app:v1", "docker.io/you/app:v2"]);
        assert_eq!(full(Some("v3")), ["docker.io/you/app:v3"]);
        assert_eq!(full(Some("ghcr.io/me/x:v4")), ["ghcr.io/me/x:v4"]);
        assert_eq!(full(Some("ghcr.io/me/x")), ["ghcr.io/me/x:latest"]);
        let error = Names::of(&image, Some("ghcr.io/Me:x")).unwrap_err();
        assert!(error.to_string().contains("not an image name"), "{error}");
    }

    #[test]
    fn an_image_without_a_name_is_latest_and_claims_no_full_name() {
        let image = image(None, &[]);
        let names = Names::of(&image, None).unwrap();
        assert_eq!((names.tags(), names.full()), (vec!["latest".to_string()], Vec::<String>::new()));
        let descriptor = &names.descriptors(&image, false).unwrap()[0];
        let annotations: Vec<_> = descriptor.annotations().iter().flatten().collect();
        assert_eq!(annotations, [(&REF_NAME.to_string(), &"latest".to_string())]);
    }
}
