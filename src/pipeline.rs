//! The whole program on one page.
//!
//! Each function below is a trip through the house, from the ground up: what comes in becomes a tree, the tree is
//! judged, the tree becomes an image, the image goes to its places. Comments say what is true from there on.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::codec::Scratch;
use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::failure::{Failure, Kind};
use crate::image::{
    self, Assembled, Blob, Blobs, Finished, FlattenError, Image, Layer, LayerError, LayerOptions, PlatformImage,
    Staging, StoreError,
};
use crate::link::{self, Allowance, Baseline, Judgement, Policy, Purpose, Subject};
use crate::oci::{HistoryEntry, Settings};
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::progress::{Event, Progress};
use crate::recipe::{self, Recipe};
use crate::reference::{Repository, Tag};
use crate::stage::{self, StageError};
use crate::transport::{self, Opened, Place, TransportError, WriteOptions, Written};
use crate::tree::Tree;

/// What is to be built, and how.
pub struct Build<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The platforms to build, each one of the recipe's.
    pub platforms: &'a [Platform],
    /// The image's name.
    pub name: Option<Repository>,
    /// The image's tags.
    pub tags: Vec<Tag>,
    /// The date of everything in the image.
    pub when: Epoch,
    /// Where the image goes.
    pub places: &'a [Place],
    /// Where temporary files may lie when no place has a folder.
    pub temporary: &'a Path,
    /// How layers are written.
    pub layers: LayerOptions,
    /// How the image is written.
    pub write: WriteOptions,
    /// Findings that are accepted, besides those that the recipe accepts.
    pub allow: &'a [Allowance],
    /// Findings that were there before.
    pub baseline: &'a Baseline,
}

/// How a build ended.
pub enum Outcome {
    /// Programs could not start: nothing was written.
    Refused(Vec<Verdict>),
    /// The image is where it should be.
    Built(Box<Built>),
}

/// What was found in the tree of one platform.
pub struct Verdict {
    /// The platform, in its usual spelling.
    pub platform: String,
    /// Findings and programs.
    pub judgement: Judgement,
}

/// An image that was built.
pub struct Built {
    /// What a tag points at.
    pub digest: Digest,
    /// The image.
    pub image: Image,
    /// What was found in each platform's tree; nothing of severity error.
    pub verdicts: Vec<Verdict>,
    /// Where it went.
    pub written: Vec<Written>,
}

/// Builds an image of each platform and brings it to its places: to each of them whole, or not at all. Places are
/// written in order, so what was written before one that fails stays.
///
/// `stdout` is where the place `-` leads to.
///
/// # Errors
/// When an input cannot be read, an output cannot be written, or the recipe does not fit what it finds.
pub fn build(build: &Build<'_>, stdout: &mut dyn Write, progress: &dyn Progress) -> Result<Outcome, BuildError> {
    for place in build.places {
        transport::check(place)?;
    }
    let folder = build.places.iter().find_map(Place::staging_folder);
    let folder = folder.as_deref().unwrap_or(build.temporary);
    outside_of_sources(build, folder)?;
    let staging = Staging::begin(folder)?;
    let scratch = Scratch::new(staging.scratch_folder());
    // From here on there is a private folder beside the output. Whatever happens, it goes, and nothing else is changed.

    let mut staged = Vec::new();
    for platform in build.platforms {
        staged.push(prepare(build, platform, &scratch, progress)?);
    }
    // From here on every source has been seen. Contents are still where they were; a file that changes is an error.

    let mut verdicts = Vec::new();
    for (platform, prepared) in build.platforms.iter().zip(&staged) {
        progress.event(Event::Step(&format!("{platform}: verifying")));
        let subject = Subject {
            tree: &prepared.tree,
            platform,
            settings: Some(&prepared.settings),
            purpose: Purpose::Container,
            policy: &policy(build, platform),
        };
        verdicts.push(Verdict { platform: platform.to_string(), judgement: link::verify(&subject) });
    }
    if verdicts.iter().any(|verdict| verdict.judgement.report.refuses()) {
        return Ok(Outcome::Refused(verdicts));
    }
    // From here on every program of every platform would start.

    let mut platforms = Vec::new();
    for (platform, prepared) in build.platforms.iter().zip(&staged) {
        platforms.push(package(build, platform, prepared, &staging, progress)?);
    }
    let image = image::combine(platforms, &build.recipe.annotations, &staging)?;
    let digest = Blob::of(&image.root)?.digest;
    let finished = Finished { image, name: build.name.clone(), tags: build.tags.clone() };
    // From here on the image is whole, in the private folder.

    let mut written = Vec::new();
    for place in build.places {
        progress.event(Event::Step(&format!("writing {place}")));
        written.push(transport::write(&finished, &staging, place, &build.write, stdout)?);
    }
    Ok(Outcome::Built(Box::new(Built { digest, image: finished.image, verdicts, written })))
}

/// Refuses an output that lies in a source: what is written would be read as a part of the image, this time or the next.
fn outside_of_sources(build: &Build<'_>, folder: &Path) -> Result<(), BuildError> {
    // A folder that does not exist yet lies where the deepest one that does exist lies.
    let Some(output) = folder.ancestors().find_map(|folder| {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        std::fs::canonicalize(folder).ok()
    }) else {
        return Ok(());
    };
    for platform in build.platforms {
        for source in &build.recipe.sources {
            let source = source.from.for_platform(platform);
            if std::fs::canonicalize(&source).is_ok_and(|root| root.is_dir() && output.starts_with(root)) {
                return Err(BuildError::OutputInSource(folder.to_path_buf(), source));
            }
        }
    }
    Ok(())
}

/// What the verifier is told: by the recipe, and by whoever runs it.
fn policy(build: &Build<'_>, platform: &Platform) -> Policy {
    let verify = &build.recipe.verify;
    let accepted = verify.allow.iter().map(|allowance| {
        let written = allowance.paths.patterns().collect::<Vec<_>>().join(" ");
        let matcher = allowance.paths.matcher(platform);
        let all = allowance.paths.is_empty();
        let covers = move |path: &ImagePath| all || matcher.covers(path);
        Allowance::new(allowance.code.clone(), written, allowance.reason.clone(), covers)
    });
    Policy {
        static_only: verify.r#static,
        libc: verify.libc.map(|libc| match libc {
            recipe::Libc::Musl => link::Libc::Musl,
            recipe::Libc::Glibc => link::Libc::Glibc,
        }),
        max_size: verify.max_size,
        allow: accepted.chain(build.allow.iter().cloned()).collect(),
        baseline: build.baseline.clone(),
        ..Policy::default()
    }
}

/// The tree of one platform, and what it was put on.
struct Prepared {
    tree: Tree,
    settings: Settings,
    base: Option<Base>,
}

/// A base image of one platform.
struct Base {
    image: PlatformImage,
    blobs: Box<dyn Blobs>,
    tree: Tree,
}

/// Recipe and sources to a tree.
fn prepare(
    build: &Build<'_>,
    platform: &Platform,
    scratch: &Scratch,
    progress: &dyn Progress,
) -> Result<Prepared, BuildError> {
    let base = match &build.recipe.base {
        Some(base) => Some(open_base(base, platform, scratch, progress)?),
        None => None,
    };
    progress.event(Event::Step(&format!("{platform}: staging")));
    let staged = stage::stage(stage::Request {
        recipe: build.recipe,
        platform,
        output: recipe::Output::Image,
        when: build.when,
        scratch,
        base: base.as_ref().map(|base| base.tree.clone()),
        progress,
    })?;
    for note in &staged.notes {
        progress.event(Event::Note(&format!("{platform}: {note}")));
    }
    let below = base.as_ref().map(|base| base.image.configuration.settings()).unwrap_or_default();
    let settings = below.changed(&build.recipe.config_for(platform));
    Ok(Prepared { tree: staged.tree, settings, base })
}

/// A tree to layers, config and manifest.
fn package(
    build: &Build<'_>,
    platform: &Platform,
    prepared: &Prepared,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<PlatformImage, BuildError> {
    let matchers: Vec<_> = build.recipe.layers.iter().map(|rule| rule.matcher(platform)).collect();
    let takes: Vec<_> = matchers.iter().map(|matcher| |path: &ImagePath| matcher.takes(path)).collect();
    let rules: Vec<&dyn Fn(&ImagePath) -> bool> = takes.iter().map(|takes| takes as _).collect();
    let base = prepared.base.as_ref();
    let plans = image::plan_layers(&prepared.tree, base.map(|base| &base.tree), &rules);
    // An image without a base has a layer even if nothing is in it: a manifest without one is not valid.
    let lonely = base.is_none() && plans.iter().all(image::LayerPlan::is_empty);
    let mut layers: Vec<(Layer, HistoryEntry)> = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        if plan.is_empty() && !(lonely && number + 1 == plans.len()) {
            continue;
        }
        let name = build.recipe.layers.get(number).and_then(|rule| rule.name.clone()).unwrap_or_default();
        let step = if name.is_empty() { "writing a layer".to_string() } else { format!("writing layer {name}") };
        progress.event(Event::Step(&format!("{platform}: {step}")));
        let layer = image::write_layer(&prepared.tree, plan, staging, &build.layers, progress)?;
        layers.push((layer, HistoryEntry { created: build.when, created_by: "sazare build".into(), comment: name }));
    }
    let assembled = Assembled {
        platform,
        base: base.map(|base| &base.image),
        layers,
        settings: &prepared.settings,
        created: build.when,
        annotations: &build.recipe.annotations,
    };
    Ok(image::assemble(assembled, base.map(|base| &*base.blobs), staging)?)
}

/// The base image of one platform, merged into a tree.
fn open_base(
    base: &recipe::Base,
    platform: &Platform,
    scratch: &Scratch,
    progress: &dyn Progress,
) -> Result<Base, BuildError> {
    let text = format!("{}:{}", base.scheme, base.path.text_for(platform));
    progress.event(Event::Step(&format!("{platform}: reading {text}")));
    let place = Place::for_reading(&text).map_err(TransportError::from)?.seen_from(base.path.folder());
    let Opened::Image { image, blobs, notes } = transport::open(&place, scratch)? else {
        return Err(BuildError::NoImage(text));
    };
    for note in &notes {
        progress.event(Event::Note(&format!("{text}: {note}")));
    }
    let found: Vec<String> = image.platforms.iter().map(|image| image.platform.clone()).collect();
    let wanted = image.platforms.into_iter().find(|image| is_platform(&image.platform, platform));
    let image = wanted.ok_or_else(|| BuildError::NoPlatform {
        place: text,
        wanted: platform.to_string(),
        found: found.join(", "),
    })?;
    let tree = image::flatten(&image, &*blobs, scratch)?;
    Ok(Base { image, blobs, tree })
}

/// Whether an image's platform is the one that is wanted. An image of the plain architecture serves its default
/// variant and the other way round, as containerd and skopeo have it.
fn is_platform(found: &str, wanted: &Platform) -> bool {
    let plain = |platform: &Platform| {
        let default = platform.arch.facts().variants.first().copied();
        Platform { arch: platform.arch, variant: platform.variant.filter(|variant| Some(*variant) != default) }
    };
    found.parse::<Platform>().is_ok_and(|found| plain(&found) == plain(wanted))
}

/// A place that was read: the tree of each platform that is in it.
pub struct Seen {
    /// The platform, in its usual spelling. Empty for a root file system, which does not name its own.
    pub platform: String,
    /// The files.
    pub tree: Tree,
    /// The image, where it is one.
    pub image: Option<PlatformImage>,
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
    progress.event(Event::Step(&format!("reading {place}")));
    let note = |notes: &[String]| notes.iter().for_each(|note| progress.event(Event::Note(note)));
    match transport::open(place, scratch)? {
        Opened::Image { image, blobs, notes } => {
            note(&notes);
            let mut seen = Vec::new();
            for platform in &image.platforms {
                if !wanted.is_empty() && !wanted.iter().any(|wanted| is_platform(&platform.platform, wanted)) {
                    continue;
                }
                let tree = image::flatten(platform, &*blobs, scratch)?;
                seen.push(Seen { platform: platform.platform.clone(), tree, image: Some(platform.clone()) });
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
            Ok((None, vec![Seen { platform: String::new(), tree, image: None }]))
        }
    }
}

/// Judges what was read. A root file system is judged for each of the platforms in `wanted`; images for their own.
///
/// # Errors
/// When an image is for a platform that cannot be judged, or none is named for a root file system.
pub fn verify(
    seen: &[Seen],
    wanted: &[Platform],
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
            progress.event(Event::Step(&format!("{platform}: verifying")));
            let purpose = if seen.image.is_some() { Purpose::Container } else { Purpose::Plain };
            let subject =
                Subject { tree: &seen.tree, platform: &platform, settings: settings.as_ref(), purpose, policy };
            verdicts.push(Verdict { platform: platform.to_string(), judgement: link::verify(&subject) });
        }
    }
    Ok(verdicts)
}

/// Why a trip ended early.
#[derive(Debug)]
pub enum BuildError {
    /// Staging failed.
    Stage(StageError),
    /// A layer cannot be made.
    Layer(LayerError),
    /// A blob cannot be kept.
    Store(StoreError),
    /// An image cannot be merged.
    Flatten(FlattenError),
    /// A place cannot be opened or written.
    Transport(TransportError),
    /// An output lies in a source.
    OutputInSource(PathBuf, PathBuf),
    /// A place that should hold an image does not.
    NoImage(String),
    /// An image does not have the platform.
    NoPlatform {
        /// Where the image is.
        place: String,
        /// What was wanted.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// An image is for a platform whose loaders we do not know.
    UnknownPlatform(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Stage(error) => error.fmt(f),
            BuildError::Layer(error) => error.fmt(f),
            BuildError::Store(error) => error.fmt(f),
            BuildError::Flatten(error) => error.fmt(f),
            BuildError::Transport(error) => error.fmt(f),
            BuildError::OutputInSource(output, source) => {
                write!(f, "the output {} lies in the source {}", output.display(), source.display())
            }
            BuildError::NoImage(place) => write!(f, "no image is there: {place}"),
            BuildError::NoPlatform { place, wanted, found } => {
                write!(f, "{place} has no image for {wanted}, only for {found}")
            }
            BuildError::UnknownPlatform(platform) => {
                write!(f, "the loaders of this platform are not known: {platform}")
            }
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner().and_then(|inner| inner.source())
    }
}

impl BuildError {
    /// The error of the room that it comes from.
    fn inner(&self) -> Option<&dyn Failure> {
        match self {
            BuildError::Stage(error) => Some(error),
            BuildError::Layer(error) => Some(error),
            BuildError::Store(error) => Some(error),
            BuildError::Flatten(error) => Some(error),
            BuildError::Transport(error) => Some(error),
            BuildError::OutputInSource(..)
            | BuildError::NoImage(_)
            | BuildError::NoPlatform { .. }
            | BuildError::UnknownPlatform(_) => None,
        }
    }
}

impl Failure for BuildError {
    fn kind(&self) -> Kind {
        match self {
            BuildError::OutputInSource(..) => Kind::Usage,
            other => other.inner().map_or(Kind::Input, Failure::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            BuildError::OutputInSource(..) => Some("write it elsewhere: it would become a part of the image".into()),
            other => other.inner().and_then(Failure::hint),
        }
    }
}

impl From<StageError> for BuildError {
    fn from(error: StageError) -> BuildError {
        BuildError::Stage(error)
    }
}

impl From<LayerError> for BuildError {
    fn from(error: LayerError) -> BuildError {
        BuildError::Layer(error)
    }
}

impl From<StoreError> for BuildError {
    fn from(error: StoreError) -> BuildError {
        BuildError::Store(error)
    }
}

impl From<FlattenError> for BuildError {
    fn from(error: FlattenError) -> BuildError {
        BuildError::Flatten(error)
    }
}

impl From<TransportError> for BuildError {
    fn from(error: TransportError) -> BuildError {
        BuildError::Transport(error)
    }
}
