//! Which image of a layout or archive is meant.

use std::collections::BTreeSet;

use serde_json::Value;

use super::error::TransportError;
use super::naming::{name_and_group, references_equal};
use crate::oci::{CONTAINERD_NAME, Descriptor, MediaType};

/// What the name leads to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Choice {
    /// An index or a manifest.
    Root(Box<Descriptor>),
    /// The manifests of a flat layout that together are one image.
    Platforms(Vec<Descriptor>),
}

/// The descriptors of an `index.json`. Entries that are none are passed over: no name leads to them.
pub(super) fn descriptors(place: &str, bytes: &[u8]) -> Result<Vec<Descriptor>, TransportError> {
    let malformed = |fault: String| TransportError::Malformed { place: place.to_string(), fault };
    let index: Value =
        serde_json::from_slice(bytes).map_err(|error| malformed(format!("index.json is not JSON: {error}")))?;
    let entries = index.get("manifests").and_then(Value::as_array);
    let entries = entries.ok_or_else(|| malformed("index.json has no list of manifests".into()))?;
    Ok(entries.iter().filter_map(|entry| serde_json::from_value(entry.clone()).ok()).collect())
}

/// Finds the image that is meant by `reference`: a tag, a full name, or nothing when there is only one.
pub(super) fn choose(
    place: &str,
    descriptors: &[Descriptor],
    reference: Option<&str>,
) -> Result<Choice, TransportError> {
    let Some(wanted) = reference else {
        return one(descriptors.iter().collect()).ok_or_else(|| match known(descriptors) {
            _ if descriptors.is_empty() => {
                TransportError::Malformed { place: place.to_string(), fault: "it contains no image".into() }
            }
            known => TransportError::Several { place: place.to_string(), known },
        });
    };
    let named = |descriptor: &&Descriptor| names(descriptor).iter().any(|name| references_equal(name, wanted));
    let grouped = |descriptor: &&Descriptor| name_and_group(descriptor).1 == Some(wanted);
    let mut found: Vec<&Descriptor> = descriptors.iter().filter(named).collect();
    if found.is_empty() {
        found = descriptors.iter().filter(grouped).collect();
    }
    if found.is_empty() {
        let (place, wanted) = (place.to_string(), wanted.to_string());
        return Err(TransportError::NoSuchImage { place, wanted, known: known(descriptors) });
    }
    one(found).ok_or_else(|| TransportError::Malformed {
        place: place.to_string(),
        fault: format!("several images are named {wanted:?}"),
    })
}

/// One image: the same thing under one or more names, or manifests of different platforms.
fn one(found: Vec<&Descriptor>) -> Option<Choice> {
    let first = *found.first()?;
    if found.iter().all(|descriptor| descriptor.digest() == first.digest()) {
        return Some(Choice::Root(Box::new(first.clone())));
    }
    let platforms: BTreeSet<String> = found.iter().filter_map(|descriptor| platform(descriptor)).collect();
    let names: BTreeSet<Option<&str>> = found.iter().map(|descriptor| tag(descriptor)).collect();
    let whole = platforms.len() == found.len() && names.len() == 1;
    whole.then(|| Choice::Platforms(found.into_iter().cloned().collect()))
}

/// The tag that a descriptor belongs to: its name without the platform.
fn tag(descriptor: &Descriptor) -> Option<&str> {
    let (name, group) = name_and_group(descriptor);
    group.or(name)
}

fn platform(descriptor: &Descriptor) -> Option<String> {
    let is_manifest = matches!(descriptor.media_type(), MediaType::ImageManifest);
    let platform = descriptor.platform().as_ref().filter(|_| is_manifest)?;
    let variant = platform.variant().as_deref().unwrap_or_default();
    Some(format!("{}/{}/{variant}", platform.os(), platform.architecture()))
}

/// The names of a descriptor: the tag and the full reference.
fn names(descriptor: &Descriptor) -> Vec<&str> {
    let full = descriptor.annotations().as_ref().and_then(|annotations| annotations.get(CONTAINERD_NAME));
    name_and_group(descriptor).0.into_iter().chain(full.map(String::as_str)).collect()
}

/// The names to offer, in order.
fn known(descriptors: &[Descriptor]) -> Vec<String> {
    let unnamed = "an image without a name".to_string();
    let name = |descriptor| names(descriptor).first().map_or(unnamed.clone(), ToString::to_string);
    let mut seen = BTreeSet::new();
    descriptors.iter().map(name).filter(|name| seen.insert(name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::oci::{self, REF_NAME};

    fn entry(name: &str, full: Option<&str>, arch: Option<&str>, seed: &str) -> Descriptor {
        let kind = if arch.is_some() { MediaType::ImageManifest } else { MediaType::ImageIndex };
        let mut descriptor = oci::descriptor(kind, &Digest::of(seed.as_bytes()), 1);
        let mut annotations = oci::Annotations::new();
        if !name.is_empty() {
            annotations.insert(REF_NAME.into(), name.into());
        }
        annotations.extend(full.map(|full| (CONTAINERD_NAME.to_string(), full.to_string())));
        descriptor.set_annotations(Some(annotations.into_iter().collect()));
        descriptor.set_platform(arch.map(|arch| oci::platform_of(&arch.parse().unwrap())));
        descriptor
    }

    fn root(choice: Result<Choice, TransportError>) -> Descriptor {
        match choice.unwrap() {
            Choice::Root(root) => *root,
            Choice::Platforms(platforms) => panic!("{platforms:?}"),
        }
    }

    #[test]
    fn an_image_is_found_by_tag_and_by_full_name() {
        let v1 = entry("v1", Some("docker.io/you/app:v1"), None, "1");
        let v2 = entry("v2", None, None, "2");
        let all = [v1.clone(), v2.clone()];
        for name in ["v1", "docker.io/you/app:v1", "you/app:v1"] {
            assert_eq!(root(choose("x", &all, Some(name))), v1, "{name}");
        }
        assert_eq!(root(choose("x", &all, Some("v2"))), v2);
        let error = choose("x", &all, Some("v3")).unwrap_err();
        assert_eq!(error.to_string(), r#"x has no image "v3"; it has v1, v2"#);
        let error = choose("x", &all, None).unwrap_err();
        assert_eq!(error.to_string(), "x has several images, and none was selected: v1, v2");
        assert_eq!(choose("x", &[], None).unwrap_err().to_string(), "x: it contains no image");
    }

    #[test]
    fn two_names_of_one_image_are_one_image() {
        let both = [entry("v1", None, None, "1"), entry("latest", None, None, "1")];
        assert_eq!(root(choose("x", &both, None)), both[0]);
        assert_eq!(root(choose("x", &[entry("", None, None, "1")], None)), entry("", None, None, "1"));
        let same = [entry("v1", None, None, "1"), entry("v1", None, None, "2")];
        let error = choose("x", &same, Some("v1")).unwrap_err();
        assert_eq!(error.to_string(), r#"x: several images are named "v1""#);
    }

    #[test]
    fn the_manifests_of_a_flat_layout_are_one_image() {
        for suffix in [("-amd64", "-arm64"), ("", "")] {
            let flat = [
                entry(&format!("v1{}", suffix.0), None, Some("amd64"), "1"),
                entry(&format!("v1{}", suffix.1), None, Some("arm64"), "2"),
            ];
            for reference in [None, Some("v1")] {
                assert_eq!(choose("x", &flat, reference).unwrap(), Choice::Platforms(flat.to_vec()));
            }
        }
        let flat = [entry("v1-amd64", None, Some("amd64"), "1"), entry("v1-arm64", None, Some("arm64"), "2")];
        assert_eq!(root(choose("x", &flat, Some("v1-arm64"))), flat[1]);
        let other = [flat[0].clone(), entry("v2-arm64", None, Some("arm64"), "2")];
        assert!(choose("x", &other, None).unwrap_err().to_string().contains("several images"));
    }

    #[test]
    fn entries_that_are_no_descriptors_are_passed_over() {
        let text = br#"{"manifests":[1,{"mediaType":"x"},{"mediaType":"a/b","digest":"sha256:0","size":-1}]}"#;
        assert_eq!(descriptors("x", text).unwrap(), []);
        for (text, fault) in [("{", "index.json is not JSON"), ("{}", "index.json has no list of manifests")] {
            let error = descriptors("x", text.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with(&format!("x: {fault}")), "{error}");
        }
    }
}
