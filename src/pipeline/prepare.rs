//! The way that every build begins with: what was asked for, and a recipe and its sources to a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use super::error::BuildError;
use super::gather::gather;
use super::read::is_platform;
use crate::bundle::Reasons;
use crate::bundle::trace::Traced;
use crate::codec::Scratch;
use crate::epoch::Epoch;
use crate::image::{self, Blobs, Cache, LayerOptions, PlatformImage};
use crate::link::{self, Allowance, Baseline, Policy};
use crate::oci::Settings;
use crate::path::{ImagePath, display_bytes};
use crate::platform::Platform;
use crate::progress::{Event, Progress};
use crate::recipe::{self, Recipe};
use crate::reference::{Repository, Tag};
use crate::stage;
use crate::transport::{self, Opened, Place, TransportError, WriteOptions};
use crate::tree::{Content, Follow, Kind, Tree};

/// What is to be built, and how.
#[derive(Clone)]
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
    /// What earlier builds made, if it may be used.
    pub cache: Option<&'a Cache>,
    /// When it began: of a file that changed later than two seconds before, nothing is concluded from its times.
    pub began: SystemTime,
    /// How the image is written.
    pub write: WriteOptions,
    /// Findings that are accepted, besides those that the recipe accepts.
    pub allow: &'a [Allowance],
    /// Findings that were there before.
    pub baseline: &'a Baseline,
    /// What a run was seen to use, for the recipe's bundle.
    pub traced: &'a BTreeSet<Traced>,
    /// Other contents for files of the tree, put there at the end.
    pub packed: &'a Packed,
}

/// Contents that take the place of others, by platform and path.
pub type Packed = BTreeMap<(Platform, ImagePath), Content>;

/// Refuses an output that lies in a source: what is written would be read as a part of the image, this time or the next.
pub(super) fn outside_of_sources(build: &Build<'_>, folder: &Path) -> Result<(), BuildError> {
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
pub(super) fn policy(build: &Build<'_>, platform: &Platform) -> Policy {
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
        threads: build.layers.jobs,
        ..Policy::default()
    }
}

/// The tree of one platform, and what it was put on.
pub(super) struct Prepared {
    pub tree: Tree,
    pub settings: Settings,
    pub base: Option<Base>,
    pub bundled: Option<Bundled>,
}

/// What was bundled for one platform.
#[derive(Clone, Debug)]
pub struct Bundled {
    /// The platform, in its usual spelling.
    pub platform: String,
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
}

/// Recipe and sources to a tree.
pub(super) fn prepare(
    build: &Build<'_>,
    platform: &Platform,
    output: recipe::Output,
    scratch: &Scratch,
    progress: &dyn Progress,
) -> Result<Prepared, BuildError> {
    let base = match &build.recipe.base {
        Some(base) => Some(open_base(base, platform, scratch, progress)?),
        None => None,
    };
    let bundle = match &build.recipe.bundle {
        Some(rules) => Some(gather(rules, build.traced, platform, scratch, progress)?),
        None => None,
    };
    progress.event(Event::Step(&format!("{platform}: staging")));
    let staged = stage::stage(stage::Request {
        recipe: build.recipe,
        platform,
        output,
        when: build.when,
        scratch,
        base: base.as_ref().map(|base| base.tree.clone()),
        bundle: bundle.as_ref().map(|bundle| &bundle.tree),
        threads: build.layers.jobs,
        progress,
    })?;
    for note in &staged.notes {
        progress.event(Event::Note(&format!("{platform}: {note}")));
    }
    let below = base.as_ref().map(|base| base.image.configuration.settings()).unwrap_or_default();
    let mut settings = below.changed(&build.recipe.config_for(platform));
    let bundled = bundle.map(|bundle| Bundled {
        platform: platform.to_string(),
        reasons: bundle.reasons,
        programs: bundle.programs,
        size: contents(&bundle.tree),
    });
    // An image of one program is an image that runs it, unless somebody says otherwise.
    if let (true, true, Some(first)) = (
        settings.entrypoint.is_empty(),
        settings.cmd.is_empty(),
        bundled.as_ref().and_then(|bundled| bundled.programs.first()),
    ) {
        settings.entrypoint = vec![display_bytes(first.as_bytes())];
    }
    let mut tree = staged.tree;
    for ((_, path), content) in build.packed.iter().filter(|((for_platform, _), _)| for_platform == platform) {
        if let Ok(found) = tree.resolve(&ImagePath::root(), path.as_bytes(), Follow::Yes) {
            tree.fill(found.id, content.clone());
        }
    }
    Ok(Prepared { tree, settings, base, bundled })
}

/// How large the regular files of a tree are, each counted once.
fn contents(tree: &Tree) -> u64 {
    let mut seen = vec![false; tree.inode_count()];
    let mut size = 0;
    for entry in tree.walk() {
        if let Kind::File(content) = &entry.inode.kind
            && !std::mem::replace(&mut seen[entry.id.index()], true)
        {
            size += content.size();
        }
    }
    size
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
