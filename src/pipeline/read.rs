//! A place to trees, and trees to verdicts.

use super::error::BuildError;
use crate::bundle;
use crate::codec::Scratch;
use crate::image::{self, Image, PlatformImage};
use crate::link::{self, Policy, Purpose, Subject, Verification};
use crate::path::ImagePath;
use crate::platform::{Arch, Platform};
use crate::progress::{Action, Progress, Step};
use crate::transport::{self, Opened, Place};
use crate::tree::{Follow, Tree};

/// What was found in the tree of one platform.
pub struct Verdict {
    /// The platform.
    pub platform: Platform,
    /// Findings and programs.
    pub judgement: Verification,
}

/// A place that was read: the tree of each platform that is in it.
pub struct Seen {
    /// The platform, in its usual spelling. Empty for a root file system, which does not name its own.
    pub platform: String,
    /// The files.
    pub tree: Tree,
    /// The image, where it is one.
    pub image: Option<PlatformImage>,
    /// Whether it is an initramfs.
    pub initramfs: bool,
}

/// Reads a place into trees, the platforms in `wanted` only; all of them when it is empty.
///
/// # Errors
/// When the place cannot be read, or has none of the platforms.
pub fn read(
    place: &Place,
    wanted: &[Platform],
    scratch: &Scratch,
    progress: &dyn Progress,
) -> Result<(Option<Image>, Vec<Seen>), BuildError> {
    progress.step(Step::new(Action::ReadPlace(place.to_string())));
    let note = |notes: &[String]| notes.iter().for_each(|note| progress.note(note));
    match transport::open(place, scratch)? {
        Opened::Image { image, blobs, notes } => {
            note(&notes);
            let mut seen = Vec::new();
            for platform in &image.platforms {
                if !wanted.is_empty() && !wanted.iter().any(|wanted| is_platform(&platform.platform, wanted)) {
                    continue;
                }
                let tree = image::flatten(platform, &*blobs, scratch)?;
                seen.push(Seen {
                    platform: platform.platform.clone(),
                    tree,
                    image: Some(platform.clone()),
                    initramfs: false,
                });
            }
            if seen.is_empty() {
                let names = |list: Vec<String>| list.join(", ");
                return Err(BuildError::NoPlatform {
                    place: place.to_string(),
                    wanted: names(wanted.iter().map(Platform::to_string).collect()),
                    found: names(image.platforms.iter().map(|image| image.platform.clone()).collect()),
                });
            }
            Ok((Some(image), seen))
        }
        Opened::Tree { tree, notes } => {
            note(&notes);
            Ok((None, vec![Seen { platform: String::new(), tree, image: None, initramfs: false }]))
        }
        Opened::Initramfs { tree, notes } => {
            note(&notes);
            Ok((None, vec![Seen { platform: String::new(), tree, image: None, initramfs: true }]))
        }
    }
}

/// Judges what was read. A root file system or an initramfs is judged for each of the platforms in `wanted`; images for
/// their own. `init` is what a kernel starts in an initramfs.
///
/// # Errors
/// When an image is for a platform that cannot be judged, or none is named for a root file system.
pub fn verify(
    seen: &[Seen],
    wanted: &[Platform],
    init: &ImagePath,
    policy: &Policy,
    progress: &dyn Progress,
) -> Result<Vec<Verdict>, BuildError> {
    let mut verdicts = Vec::new();
    for seen in seen {
        let platforms = if seen.image.is_some() {
            vec![seen.platform.parse::<Platform>().map_err(|_| BuildError::UnknownPlatform(seen.platform.clone()))?]
        } else {
            wanted.to_vec()
        };
        let settings = seen.image.as_ref().map(|image| image.configuration.settings());
        for platform in platforms {
            progress.step(Step::new(Action::Verify).of(&platform));
            let purpose = match (&seen.image, seen.initramfs) {
                (Some(_), _) => Purpose::Container,
                (None, true) => Purpose::Initramfs { init: init.clone() },
                (None, false) => Purpose::Plain,
            };
            let subject =
                Subject { tree: &seen.tree, platform: &platform, settings: settings.as_ref(), purpose, policy };
            verdicts.push(Verdict { platform: platform.clone(), judgement: link::verify(&subject) });
        }
    }
    Ok(verdicts)
}

/// Why a name is in each tree that was read.
#[derive(Clone, Debug)]
pub struct Why {
    /// The platform, in its usual spelling.
    pub platform: String,
    /// The reasons, in words; none when nothing that starts needs it and nobody wrote down why it is there.
    pub because: Vec<String>,
}

/// Asks every tree why a path is in it: its programs, and what an image remembers of a bundle. Trees in which the path is
/// not are left out.
pub fn why(seen: &[Seen], path: &ImagePath) -> Vec<Why> {
    let mut answers = Vec::new();
    for seen in seen {
        let found = |follow| seen.tree.resolve(&ImagePath::root(), path.as_bytes(), follow).ok();
        let Some(found) = found(Follow::No) else { continue };
        let annotations = seen.image.as_ref().and_then(|image| image.manifest.annotations().clone());
        let annotation = annotations.and_then(|annotations| annotations.get(bundle::REASONS).cloned());
        let mut because: Vec<String> =
            annotation.map(|text| bundle::read_recorded(&text, &found.path)).unwrap_or_default();
        let own = seen.platform.parse::<Platform>().ok();
        // A root file system does not name its platform; programs of each are told by their files.
        let platforms = own.map_or_else(|| Arch::ALL.map(Platform::new).to_vec(), |own| vec![own]);
        for platform in platforms {
            let reasons = bundle::why(&seen.tree, &platform, &found.path);
            because.extend(reasons.iter().map(bundle::Reason::to_string));
        }
        because.dedup();
        answers.push(Why { platform: seen.platform.clone(), because });
    }
    answers
}

/// Whether an image's platform is the one that is wanted. An image of the plain architecture serves its default
/// variant and the other way round, as containerd and skopeo have it.
pub(super) fn is_platform(found: &str, wanted: &Platform) -> bool {
    let plain = |platform: &Platform| {
        let default = platform.arch.facts().variants.first().copied();
        Platform { arch: platform.arch, variant: platform.variant.filter(|variant| Some(*variant) != default) }
    };
    found.parse::<Platform>().is_ok_and(|found| plain(&found) == plain(wanted))
}
