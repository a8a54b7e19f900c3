//! A place to trees, and trees to verdicts.

use std::collections::BTreeSet;

use super::error::BuildError;
use crate::bundle;
use crate::image::{self, Flattened, Image, PlatformImage};
use crate::link::{self, Agreement, Policy, Purpose, Subject, Verification};
use crate::path::ImagePath;
use crate::platform::{ImagePlatform, Platform};
use crate::progress::{Action, Event, Progress, Step};
use crate::transport::{self, Access, Opened, Place};
use crate::tree::{Follow, Tree};

/// What was found in the tree of one platform.
#[non_exhaustive]
pub struct Verdict {
    /// The platform.
    pub platform: Platform,
    /// Findings and programs.
    pub verification: Verification,
}

/// A place that was read.
#[expect(clippy::large_enum_variant, reason = "there is one for each place that was named")]
pub enum PlaceContents {
    /// An image, and the tree of each platform that was asked for.
    Image(Image, Vec<(PlatformImage, Flattened)>),
    /// A root file system. It does not name its platform.
    Root(Tree),
    /// An initramfs. It does not name its platform.
    Initramfs(Tree),
}

impl PlaceContents {
    /// The trees, each with its image where it is one.
    pub fn trees(&self) -> Vec<(Option<&PlatformImage>, &Tree)> {
        match self {
            PlaceContents::Image(_, platforms) => {
                platforms.iter().map(|(image, flattened)| (Some(image), &flattened.tree)).collect()
            }
            PlaceContents::Root(tree) | PlaceContents::Initramfs(tree) => vec![(None, tree)],
        }
    }
}

/// Reads a place into trees, the platforms in `wanted` only; all of them when it is empty.
///
/// # Errors
/// When the place cannot be read, or has none of the platforms.
pub fn read(
    place: &Place,
    wanted: &[Platform],
    access: &Access<'_>,
    progress: &dyn Progress,
) -> Result<PlaceContents, BuildError> {
    progress.step(Step::new(Action::ReadPlace(place.to_string())));
    let note = |notes: &[String]| notes.iter().for_each(|note| progress.note(note));
    match transport::open(place, access, progress)? {
        Opened::Image { image, blobs, notes } => {
            note(&notes);
            let own = || image.platforms.iter().map(|image| &image.platform);
            let best: BTreeSet<usize> = wanted.iter().filter_map(|wanted| ImagePlatform::best(own(), wanted)).collect();
            let is_wanted = |place: usize| wanted.is_empty() || best.contains(&place);
            let images =
                || image.platforms.iter().enumerate().filter(|(place, _)| is_wanted(*place)).map(|(_, one)| one);
            progress.event(Event::Total(images().fold(0, |size, image| size.saturating_add(image.layers_size()))));
            let mut seen = Vec::new();
            for image in images() {
                seen.push((image.clone(), image::flatten(image, &*blobs, access.scratch, progress)?));
            }
            if seen.is_empty() {
                return Err(BuildError::NoPlatform {
                    place: place.to_string(),
                    wanted: wanted.to_vec(),
                    found: image.platforms.into_iter().map(|image| image.platform).collect(),
                });
            }
            Ok(PlaceContents::Image(image, seen))
        }
        Opened::Tree { tree, notes } => {
            note(&notes);
            Ok(PlaceContents::Root(tree))
        }
        Opened::Initramfs { tree, notes } => {
            note(&notes);
            Ok(PlaceContents::Initramfs(tree))
        }
    }
}

/// Verifies what was read. A root file system or an initramfs is verified for each of the platforms in `wanted`
/// ([`platforms_of`]); images for their own. `init` is the first program of an initramfs.
///
/// # Errors
/// When an image is for a platform whose loaders are not known, or a file cannot be read.
pub fn verify(
    seen: &PlaceContents,
    wanted: &[Platform],
    init: &ImagePath,
    policy: &Policy,
    progress: &dyn Progress,
) -> Result<Vec<Verdict>, BuildError> {
    let verified = |subject: Subject<'_>| {
        progress.step(Step::new(Action::Verify).of(subject.platform));
        Ok(Verdict { platform: subject.platform.clone(), verification: link::verify(&subject)? })
    };
    match seen {
        PlaceContents::Image(_, platforms) => platforms
            .iter()
            .map(|(image, Flattened { tree, findings })| {
                verified(Subject {
                    settings: Some(&image.configuration.settings()),
                    layers: image.configuration.diff_ids().len(),
                    found: findings,
                    ..Subject::new(tree, known(image)?, Purpose::Container, policy)
                })
            })
            .collect(),
        PlaceContents::Root(tree) => {
            wanted.iter().map(|platform| verified(Subject::new(tree, platform, Purpose::Plain, policy))).collect()
        }
        PlaceContents::Initramfs(tree) => {
            let purpose = || Purpose::Initramfs { init: init.clone() };
            wanted.iter().map(|platform| verified(Subject::new(tree, platform, purpose(), policy))).collect()
        }
    }
}

/// The platform of a root file system or an initramfs, as its programs say: nothing is taken from this machine.
///
/// # Errors
/// When its programs are for several platforms, there are none, or a file cannot be read.
pub(super) fn by_programs(place: &Place, tree: &Tree, progress: &dyn Progress) -> Result<Platform, BuildError> {
    let place = place.to_string();
    let found = match link::agreement(tree)? {
        Agreement::One(platform) => {
            let text = format!("{platform}, as its programs say");
            progress.event(Event::Note { platform: None, about: Some(place), text });
            return Ok(platform);
        }
        Agreement::Unknown => Vec::new(),
        Agreement::Several(found) => found,
    };
    Err(BuildError::NoAgreement { place, found })
}

/// The platform that all programs of a tree are for, if there is one.
///
/// # Errors
/// When a file cannot be read.
pub fn agreed_platform(tree: &Tree) -> Result<Option<Platform>, BuildError> {
    Ok(match link::agreement(tree)? {
        Agreement::One(platform) => Some(platform),
        Agreement::Unknown | Agreement::Several(_) => None,
    })
}

/// The platforms that a root file system or an initramfs is to be verified for: those that are wanted, or the one that its
/// programs say. None for an image, which names its own.
///
/// # Errors
/// When none is wanted, and the programs are for several platforms or there are none.
pub fn platforms_of(
    place: &Place,
    seen: &PlaceContents,
    wanted: &[Platform],
    progress: &dyn Progress,
) -> Result<Vec<Platform>, BuildError> {
    match seen {
        PlaceContents::Root(tree) | PlaceContents::Initramfs(tree) if wanted.is_empty() => {
            Ok(vec![by_programs(place, tree, progress)?])
        }
        PlaceContents::Root(_) | PlaceContents::Initramfs(_) | PlaceContents::Image(..) => Ok(wanted.to_vec()),
    }
}

/// The platform of an image, where OCI has a word for it.
pub(super) fn known(image: &PlatformImage) -> Result<&Platform, BuildError> {
    image.platform.known().ok_or_else(|| BuildError::UnknownPlatform(image.platform.to_string()))
}

/// Why a name is in each tree that was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Why {
    /// The platform of an image.
    pub platform: Option<ImagePlatform>,
    /// The reasons, in words; none when no program needs it and no bundle recorded a reason.
    pub because: Vec<String>,
}

/// Asks every tree why a path is in it: its programs, and what an image remembers of a bundle. Trees in which the path is
/// not are left out.
///
/// # Errors
/// When a program of a tree cannot be read.
pub fn why(seen: &PlaceContents, path: &ImagePath) -> Result<Vec<Why>, BuildError> {
    let mut answers = Vec::new();
    for (image, tree) in seen.trees() {
        let found = |follow| tree.resolve(&ImagePath::root(), path.as_bytes(), follow).ok();
        let Some(found) = found(Follow::No) else { continue };
        let annotations = image.and_then(|image| image.manifest.annotations().clone());
        let annotation = annotations.and_then(|annotations| annotations.get(bundle::REASONS).cloned());
        let mut because: Vec<String> =
            annotation.map(|text| bundle::read_recorded(&text, &found.path)).unwrap_or_default();
        let own = image.and_then(|image| image.platform.known().cloned());
        // A root file system does not name its platform; programs of each are told by their files.
        let platforms = match (own, link::agreement(tree)?) {
            (Some(own), _) | (None, Agreement::One(own)) => vec![own],
            (None, Agreement::Unknown | Agreement::Several(_)) => Platform::verified().to_vec(),
        };
        for platform in platforms {
            let reasons = bundle::why(tree, &platform, &found.path)?;
            because.extend(reasons.iter().map(bundle::Reason::to_string));
        }
        because.dedup();
        answers.push(Why { platform: image.map(|image| image.platform.clone()), because });
    }
    Ok(answers)
}
