//! The whole program: an order to trees, trees to verdicts, trees to outputs, outputs to their places.

use crate::private;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use super::error::BuildError;
use super::layers::{self, package};
use super::merge::merged;
use super::order::{Order, Target};
use super::parts::each;
use super::read::Verdict;
use super::stage::{Bundled, Staged, stage};
use crate::codec::Scratch;
use crate::digest::Digest;
use crate::image::{self, Blob, BlobStore, Finished, Image, LayerWriter, Reuse};
use crate::link::{self, Purpose, Subject};
use crate::oci::{DEFAULT_PATH, Settings};
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::progress::{Action, NotesOnce, Progress, Step};
use crate::recipe::Output;
use crate::report::Report;
use crate::transport::{self, Pending, Place, Written};
use crate::tree::{Content, Follow, Tree};

/// How a build ended.
pub enum Outcome {
    /// Programs could not start: nothing was written.
    Refused(Checked),
    /// Every output is in its place.
    Built(Box<Built>),
}

/// What was found.
#[non_exhaustive]
pub struct Checked {
    /// Every finding once.
    pub report: Report,
    /// What was found in each tree.
    pub verdicts: Vec<Verdict>,
}

/// What was built.
#[non_exhaustive]
pub struct Built {
    /// The image, and what a tag of it points at, where a place holds an image.
    pub image: Option<(Digest, Image)>,
    /// What was found in the trees; nothing of severity error.
    pub checked: Checked,
    /// What was bundled, for each platform.
    pub bundled: Vec<Bundled>,
    /// What was written: images first, then the others, in the order of their places.
    pub written: Vec<Written>,
}

/// Builds what was ordered: every output, or none of them where a program could not start.
///
/// `stdout` is where the place `-` leads to.
///
/// # Errors
/// When an input cannot be read, an output cannot be written, or the recipe does not fit what it finds.
pub fn build(order: &Order<'_>, stdout: &mut dyn Write, progress: &dyn Progress) -> Result<Outcome, BuildError> {
    let ready = check(order, progress)?;
    if ready.checked.report.refuses() {
        return Ok(Outcome::Refused(ready.checked));
    }
    Ok(Outcome::Built(Box::new(ready.write(stdout, progress)?)))
}

/// Trees that were staged and verified, and that nothing was written of.
pub struct Ready<'a> {
    order: &'a Order<'a>,
    targets: Vec<Target>,
    store: BlobStore,
    scratch: Scratch,
    staged: Vec<Staged>,
    checked: Checked,
}

/// A tree that is to be written.
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The platform.
    pub platform: &'a Platform,
    /// The tree.
    pub tree: &'a Tree,
    /// How a container of it would be started.
    pub settings: &'a Settings,
    /// The programs that were bundled, where they are, in order.
    pub programs: &'a [ImagePath],
}

/// The first half of [`build`]: stages and verifies every distinct tree of an order once.
///
/// # Errors
/// When a place cannot be written to, an input cannot be read, or the recipe does not fit what it finds.
pub fn check<'a>(order: &'a Order<'a>, progress: &dyn Progress) -> Result<Ready<'a>, BuildError> {
    let targets = order.targets()?;
    let folder = order.private_folder(&targets);
    order.outside_of_sources(&targets, &folder)?;
    let store = BlobStore::begin(&folder)?;
    let scratch = Scratch::with_limit(store.scratch_folder(), order.temporary_size);
    // From here on there is a private folder beside the output. Whatever happens, it goes, and nothing else is changed.

    let notes = NotesOnce::new(progress);
    let outputs = [Output::Image, Output::Initramfs];
    let outputs: Vec<Output> =
        outputs.into_iter().filter(|output| targets.iter().any(|target| target.output() == *output)).collect();
    let staged = each(order.platforms, order.layers.jobs, &notes, |platform, progress| {
        stage(order, platform, &outputs, &order.access(&scratch), progress)
    })?;
    // From here on every source has been seen. Contents are still where they were; a file that changes is an error.
    for tree in staged.iter().flat_map(Staged::trees) {
        // It is read to be verified, and then once more for each form.
        tree.keep_open(!targets.is_empty());
    }

    let checked = verify(order, &targets, &staged, progress)?;
    Ok(Ready { order, targets, store, scratch, staged, checked })
}

/// Verifies every tree of every platform.
fn verify(
    order: &Order<'_>,
    targets: &[Target],
    staged: &[Staged],
    progress: &dyn Progress,
) -> Result<Checked, BuildError> {
    let uses = Uses::of(targets);
    let verdicts = each(staged, order.layers.jobs, progress, |staged, progress| {
        let policy = order.policy(&staged.platform, staged.programs());
        let verify = |tree, settings, purpose| {
            // What engines refuse of the layers of a base, they refuse of what is put on it.
            let found = staged.base.as_ref().filter(|_| purpose == Purpose::Container);
            let found = found.map_or(&[][..], |base| &base.findings);
            let layers = if purpose == Purpose::Container { layers::most(order, staged) } else { 0 };
            let subject = Subject { settings, layers, found, ..Subject::new(tree, &staged.platform, purpose, &policy) };
            link::verify(&subject).map(|verification| Verdict { platform: staged.platform.clone(), verification })
        };
        let mut verdicts = Vec::new();
        if let Some(tree) = &staged.image {
            progress.step(Step::new(Action::Verify).of(&staged.platform));
            if uses.container {
                verdicts.push(verify(tree, Some(&staged.settings), Purpose::Container)?);
            }
            if uses.rootfs && (!uses.container || changes_search(&staged.settings)) {
                verdicts.push(verify(tree, None, Purpose::Plain)?);
            }
        }
        if let Some(tree) = &staged.initramfs {
            progress.step(Step::new(Action::VerifyInitramfs).of(&staged.platform));
            verdicts.push(verify(tree, None, initramfs_purpose(order, tree))?);
        }
        Ok(verdicts)
    })?;
    let verdicts: Vec<Verdict> = verdicts.into_iter().flatten().collect();
    Ok(Checked { report: merged(&verdicts), verdicts })
}

/// What the tree of an image is used for.
struct Uses {
    container: bool,
    rootfs: bool,
}

impl Uses {
    fn of(targets: &[Target]) -> Uses {
        Uses {
            container: targets.iter().any(|target| matches!(target, Target::Image(_))),
            rootfs: targets.iter().any(|target| matches!(target, Target::Rootfs(..))),
        }
    }
}

/// How often each tree is still read: once for each form that is made of it.
struct Readings(BTreeMap<(usize, Output), usize>);

impl Readings {
    fn of(targets: &[Target], staged: &[Staged]) -> Readings {
        let mut left = BTreeMap::new();
        let container = usize::from(Uses::of(targets).container);
        for number in 0..staged.len() {
            left.insert((number, Output::Image), container);
        }
        for target in targets {
            if let Target::Rootfs(number, _) | Target::Initramfs(number, ..) = target {
                *left.entry((*number, target.output())).or_default() += 1;
            }
        }
        Readings(left)
    }

    /// A tree is about to be read. The last reader has no need for files that stay open.
    fn begin(&mut self, number: usize, output: Output, tree: &Tree) {
        let left = self.0.entry((number, output)).or_default();
        *left = left.saturating_sub(1);
        tree.keep_open(*left > 0);
    }
}

/// Whether the config of an image changes how programs and libraries are found in it. Otherwise the check of the image says
/// all that a check of the same files without a config would say.
fn changes_search(settings: &Settings) -> bool {
    let changes = |(name, value): &(String, String)| match name.as_str() {
        "PATH" => value != DEFAULT_PATH,
        name => name.starts_with("LD_"),
    };
    settings.env.iter().any(changes) || !matches!(settings.workdir.as_str(), "" | "/")
}

/// What a kernel starts in an initramfs of this order.
fn initramfs_purpose(order: &Order<'_>, tree: &Tree) -> Purpose {
    let named = order.recipe.initramfs.init.clone();
    let init = named.clone().or_else(|| "/init".parse().ok()).unwrap_or_else(ImagePath::root);
    // An archive of a bundle alone is put behind another one, which has the first program.
    let is_there = tree.resolve(&ImagePath::root(), init.as_bytes(), Follow::Yes).is_ok();
    if order.recipe.bundle.is_some() && named.is_none() && !is_there {
        return Purpose::Part;
    }
    Purpose::Initramfs { init }
}

impl Ready<'_> {
    /// What was found.
    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// What was found, for who writes nothing.
    pub fn into_checked(self) -> Checked {
        self.checked
    }

    /// A folder for files that go when this is dropped.
    pub fn scratch_folder(&self) -> PathBuf {
        self.store.scratch_folder()
    }

    /// The tree of each platform: that of images and root file systems, where there is one.
    pub fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        self.staged.iter().filter_map(|staged| {
            Some(Candidate {
                platform: &staged.platform,
                tree: staged.image.as_ref().or(staged.initramfs.as_ref())?,
                settings: &staged.settings,
                programs: staged.programs(),
            })
        })
    }

    /// Puts other contents into a file, in all trees of a platform, and verifies again.
    ///
    /// # Errors
    /// None, as long as threads can be started.
    pub fn replace(
        &mut self,
        contents: &[(Platform, ImagePath, Content)],
        progress: &dyn Progress,
    ) -> Result<(), BuildError> {
        for (platform, path, content) in contents {
            for staged in self.staged.iter_mut().filter(|staged| staged.platform == *platform) {
                for tree in [&mut staged.image, &mut staged.initramfs].into_iter().flatten() {
                    if let Ok(found) = tree.resolve(&ImagePath::root(), path.as_bytes(), Follow::Yes)
                        && let Some(known) = tree.content_mut(found.id)
                    {
                        *known = content.clone();
                    }
                }
            }
        }
        self.checked = verify(self.order, &self.targets, &self.staged, progress)?;
        Ok(())
    }

    /// The second half of [`build`]: packs and prepares everything, then puts it in its places.
    ///
    /// # Errors
    /// When a file cannot be read any more, a form cannot hold it, or an output cannot be written. When one of several
    /// places cannot be written to in the last step, the error names those that were.
    pub fn write(self, stdout: &mut dyn Write, progress: &dyn Progress) -> Result<Built, BuildError> {
        let Ready { order, targets, store, scratch, staged, checked } = self;
        // From here on every program of every platform would start.

        let mut readings = Readings::of(&targets, &staged);
        let image = match Uses::of(&targets).container {
            true => Some(pack(order, &staged, &mut readings, &store, progress)?),
            false => None,
        };
        if let Some(cache) = order.cache {
            cache.trim();
        }
        // From here on the image is whole, in the private folder.

        let mut pending = Vec::new();
        for target in &targets {
            let tree = |number: &usize, output| staged.get(*number).and_then(|staged| staged.tree(output));
            match target {
                Target::Image(place) => {
                    let Some(image) = &image else { continue };
                    pending.push(transport::prepare_image(image, &store, place, &order.write, progress)?);
                }
                Target::Rootfs(number, folder) => {
                    let Some(tree) = tree(number, Output::Image) else { continue };
                    readings.begin(*number, Output::Image, tree);
                    pending.push(transport::prepare_rootfs(tree, folder, progress)?);
                }
                Target::Initramfs(number, file, form) => {
                    let Some(tree) = tree(number, Output::Initramfs) else { continue };
                    readings.begin(*number, Output::Initramfs, tree);
                    let jobs = order.layers.jobs;
                    pending.push(transport::prepare_initramfs(tree, file, *form, jobs, &scratch, progress)?);
                }
            }
        }
        // From here on every output is complete, beside its place.

        let written = publish(pending, stdout, progress)?;
        let image = image.map(|image| Ok::<_, BuildError>((Blob::of(&image.image.root)?.digest, image.image)));
        let bundled = staged.into_iter().filter_map(|staged| staged.bundled).collect();
        Ok(Built { image: image.transpose()?, checked, bundled, written })
    }
}

/// The trees of all platforms to one image, in the private folder.
fn pack(
    order: &Order<'_>,
    staged: &[Staged],
    readings: &mut Readings,
    store: &BlobStore,
    progress: &dyn Progress,
) -> Result<Finished, BuildError> {
    let layers = order.platforms.len() * (order.recipe.layers.len() + 1);
    let shelves = order.places.iter().filter_map(Place::blobs).collect();
    let reuse = Reuse::new(order.cache, order.began, shelves, layers);
    let writer = LayerWriter { store, options: &order.layers, reuse: &reuse, progress };
    let mut platforms = Vec::new();
    for (number, staged) in staged.iter().enumerate() {
        if let Some(tree) = &staged.image {
            readings.begin(number, Output::Image, tree);
        }
        platforms.push(package(order, staged, &writer)?);
    }
    let image = image::combine(platforms, &order.recipe.annotations, store)?;
    Ok(Finished { image, name: order.name.clone(), tags: order.tags.clone() })
}

/// Puts all outputs in their places. Streams come first: they can fail half-way, and then nothing else was changed.
pub(super) fn publish(
    pending: Vec<Pending<'_>>,
    stdout: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<Vec<Written>, BuildError> {
    let mut steps: Vec<(usize, Pending<'_>)> = pending.into_iter().enumerate().collect();
    steps.sort_by_key(|(_, pending)| !pending.is_stream());
    let mut written: Vec<(usize, Written)> = Vec::new();
    let mut whole = None;
    for (number, pending) in steps {
        if !pending.is_stream() {
            whole.get_or_insert_with(private::in_one_piece);
        }
        match pending.publish(stdout, progress) {
            Ok(done) => written.push((number, done)),
            Err(error) if written.is_empty() => return Err(error.into()),
            Err(error) => {
                let written = written.iter().map(|(_, written)| written.place()).collect();
                return Err(BuildError::Unfinished { error: Box::new(error), written });
            }
        }
    }
    written.sort_by_key(|(number, _)| *number);
    Ok(written.into_iter().map(|(_, written)| written).collect())
}
