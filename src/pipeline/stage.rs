//! What every build begins with: a recipe and its sources to trees.

use super::collect::collect;
use super::error::BuildError;
use super::order::Order;
use crate::bundle::Reasons;
use crate::image::{self, Blob, Blobs, Flattened, PlatformImage};
use crate::oci::Settings;
use crate::path::{ImagePath, display_bytes};
use crate::platform::{ImagePlatform, Platform};
use crate::progress::{Action, Event, Progress, Step};
use crate::recipe::{self, Output};
use crate::reference::ImageReference;
use crate::report::Finding;
use crate::stage;
use crate::transport::{self, Access, Opened, Place, TransportError};
use crate::tree::Tree;

/// The trees of one platform, and what they were put on.
pub(super) struct Staged {
    pub platform: Platform,
    /// What images and root file systems are made of.
    pub image: Option<Tree>,
    /// What initramfs archives are made of.
    pub initramfs: Option<Tree>,
    pub settings: Settings,
    pub base: Option<Base>,
    pub bundled: Option<Bundled>,
}

/// What was bundled for one platform.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bundled {
    /// The platform.
    pub platform: Platform,
    /// Why each name is there.
    pub reasons: Reasons,
    /// The programs that were asked for, where they are, in order.
    pub programs: Vec<ImagePath>,
    /// How large the files are that were bundled, in bytes.
    pub size: u64,
}

/// A base image of one platform.
pub(super) struct Base {
    pub image: PlatformImage,
    pub blobs: Box<dyn Blobs>,
    pub tree: Tree,
    /// What was found in its layers.
    pub findings: Vec<Finding>,
    /// Where it is, if it is in a registry.
    pub reference: Option<ImageReference>,
}

/// Recipe and sources to the trees of one platform: one for each of `outputs`.
pub(super) fn stage(
    order: &Order<'_>,
    platform: &Platform,
    outputs: &[Output],
    access: &Access<'_>,
    progress: &dyn Progress,
) -> Result<Staged, BuildError> {
    let base = match &order.recipe.base {
        Some(base) => Some(open_base(base, platform, access, progress)?),
        None => None,
    };
    let bundle = match &order.recipe.bundle {
        Some(rules) => Some(collect(rules, order.traced, platform, access, progress)?),
        None => None,
    };
    let (mut image, mut initramfs) = (None, None);
    for output in outputs {
        progress.step(Step::new(Action::Stage).of(platform));
        let staged = stage::stage(stage::Request {
            recipe: order.recipe,
            platform,
            output: *output,
            when: order.when,
            scratch: access.scratch,
            base: base.as_ref().map(|base| base.tree.clone()),
            bundle: bundle.as_ref().map(|bundle| &bundle.tree),
            threads: order.layers.jobs,
            progress,
        })?;
        for note in &staged.notes {
            progress.note_of(platform, note);
        }
        match output {
            Output::Image => image = Some(staged.tree),
            Output::Initramfs => initramfs = Some(staged.tree),
        }
    }
    let below = base.as_ref().map(|base| base.image.configuration.settings()).unwrap_or_default();
    let mut settings = below.changed(&order.recipe.config_for(platform));
    let bundled = bundle.map(|bundle| Bundled {
        platform: platform.clone(),
        reasons: bundle.reasons,
        programs: bundle.programs,
        size: bundle.tree.contents_size(),
    });
    // An image of one program is an image that runs it, unless somebody says otherwise.
    if let (true, true, Some(first)) = (
        settings.entrypoint.is_empty(),
        settings.cmd.is_empty(),
        bundled.as_ref().and_then(|bundled| bundled.programs.first()),
    ) {
        settings.entrypoint = vec![display_bytes(first.as_bytes())];
    }
    Ok(Staged { platform: platform.clone(), image, initramfs, settings, base, bundled })
}

impl Staged {
    /// The tree for one kind of output, where it was asked for.
    pub fn tree(&self, output: Output) -> Option<&Tree> {
        match output {
            Output::Image => self.image.as_ref(),
            Output::Initramfs => self.initramfs.as_ref(),
        }
    }

    /// Every tree.
    pub fn trees(&self) -> impl Iterator<Item = &Tree> {
        [&self.image, &self.initramfs].into_iter().flatten()
    }

    /// The programs that were bundled, where they are, in order.
    pub fn programs(&self) -> &[ImagePath] {
        self.bundled.as_ref().map_or(&[], |bundled| &bundled.programs)
    }
}

/// The base image of one platform, merged into a tree.
fn open_base(
    base: &recipe::Base,
    platform: &Platform,
    access: &Access<'_>,
    progress: &dyn Progress,
) -> Result<Base, BuildError> {
    let text = format!("{}:{}", base.scheme, base.path.text_for(platform));
    progress.step(Step::new(Action::ReadPlace(text.clone())).of(platform));
    let place = Place::for_reading(&text).map_err(TransportError::from)?.seen_from(base.path.folder());
    let Opened::Image { image, blobs, notes } = transport::open(&place, access, progress)? else {
        return Err(BuildError::NoImage(text));
    };
    for note in &notes {
        progress.event(Event::Note { platform: None, about: Some(text.clone()), text: note.clone() });
    }
    let found: Vec<ImagePlatform> = image.platforms.iter().map(|image| image.platform.clone()).collect();
    let best = ImagePlatform::best(found.iter(), platform);
    let wanted = best.and_then(|place| image.platforms.into_iter().nth(place));
    let image = wanted.ok_or_else(|| BuildError::NoPlatform { place: text, wanted: vec![platform.clone()], found })?;
    // They are read to be merged, and again to be copied.
    let layers = image.manifest.layers().iter().map(Blob::of).collect::<Result<Vec<_>, _>>()?;
    blobs.fetch(&layers, progress)?;
    progress.event(Event::Total(image.layers_size()));
    let Flattened { tree, findings } = image::flatten(&image, &*blobs, access.scratch, progress)?;
    let reference = match place {
        Place::Registry(reference) => Some(reference),
        _ => None,
    };
    Ok(Base { image, blobs, tree, findings, reference })
}
