//! The library in a few calls: build an image, verify a place. Everything has a default but what is built and where it goes.
//!
//! Nothing is read from the environment: no clock, no `TMPDIR`, no `SOURCE_DATE_EPOCH`. Who wants one of them reads it and
//! passes it on. [`pipeline`] has the same steps with every choice.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
#[cfg(feature = "registry")]
use std::sync::Arc;
use std::time::SystemTime;

use crate::codec::Scratch;
use crate::codec::compress::Compression;
use crate::epoch::Epoch;
use crate::failure::{Failure, FailureKind};
use crate::host;
use crate::image::{Cache, LayerOptions, StoreError};
use crate::link::{Allowance, Baseline, Policy};
use crate::path::ImagePath;
use crate::pipeline::{self, BuildError, Checked, Order, Outcome};
use crate::platform::Platform;
use crate::private::PrivateFolder;
use crate::progress::{Progress, Silent};
use crate::recipe::{HostPath, Parts, PartsError, Recipe, RuleOrigin, Source};
use crate::reference::{Repository, Tag};
#[cfg(feature = "registry")]
use crate::registry::Registries;
use crate::transport::{Access, Place, WriteOptions};

/// Why a build or a verification ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// What was asked for makes no image.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// An input cannot be read, or an output cannot be written.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// No output was named.
    #[error("there is no output")]
    NoOutput,
    /// The place `-` is written to a stream, and none was passed.
    #[error("standard output is an output, but no stream was passed")]
    NoStream,
    /// Temporary files are needed, and no directory was named for them.
    #[error("a directory for temporary files is needed for {0}")]
    NoTemporary(Place),
}

impl Failure for ApiError {
    fn kind(&self) -> FailureKind {
        match self {
            ApiError::Build(error) => error.kind(),
            ApiError::Parts(_) | ApiError::NoOutput | ApiError::NoStream | ApiError::NoTemporary(_) => {
                FailureKind::Usage
            }
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            ApiError::Build(error) => return error.hint(),
            ApiError::Parts(_) | ApiError::NoOutput => return None,
            ApiError::NoStream => "use ImageBuilder::run_with",
            ApiError::NoTemporary(_) => "name one with the method temporary",
        };
        Some(text.into())
    }
}

/// Builds an image, root file systems and initramfs archives of a directory or a recipe.
#[derive(Debug)]
#[must_use = "nothing is built before `run`"]
pub struct ImageBuilder {
    parts: Parts,
    places: Vec<Place>,
    created: Option<Epoch>,
    layers: LayerOptions,
    write: WriteOptions,
    temporary: Option<PathBuf>,
    cache: Option<(Cache, SystemTime)>,
    #[cfg(feature = "registry")]
    registries: Option<Arc<Registries>>,
    allow: Vec<Allowance>,
    baseline: Baseline,
}

impl ImageBuilder {
    /// Builds of a root file system: a directory, a tar or a Debian package. `{arch}` stands for each platform's
    /// architecture. [`ImageBuilder::platform`] is needed.
    pub fn from_folder(folder: impl Into<String>) -> ImageBuilder {
        let source = Source::new(RuleOrigin::command_line(), HostPath::new(PathBuf::new(), folder));
        ImageBuilder::new(Parts { sources: vec![source], ..Parts::default() })
    }

    /// Builds what a recipe says: see [`crate::recipe::read`].
    pub fn from_recipe(recipe: &Recipe) -> ImageBuilder {
        ImageBuilder::new(Parts::clone(recipe))
    }

    fn new(parts: Parts) -> ImageBuilder {
        ImageBuilder {
            parts,
            places: Vec::new(),
            created: None,
            layers: LayerOptions::default(),
            write: WriteOptions::default(),
            temporary: None,
            cache: None,
            #[cfg(feature = "registry")]
            registries: None,
            allow: Vec::new(),
            baseline: Baseline::default(),
        }
    }

    /// Adds a platform.
    pub fn platform(mut self, platform: Platform) -> Self {
        self.parts.platforms.push(platform);
        self
    }

    /// Adds an output: see [`Place::for_writing`].
    pub fn output(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    /// Names the image.
    pub fn name(mut self, name: Repository) -> Self {
        self.parts.name = Some(name);
        self
    }

    /// Adds a tag. Default: `latest`.
    pub fn tag(mut self, tag: Tag) -> Self {
        self.parts.tags.push(tag);
        self
    }

    /// Sets what a container starts.
    pub fn entrypoint<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.parts.config.entrypoint = Some(words.into_iter().map(Into::into).collect());
        self
    }

    /// Changes anything else that a recipe can say.
    pub fn change(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(&mut self.parts);
        self
    }

    /// Sets the date of everything in the image, for example from `SOURCE_DATE_EPOCH`. Default: the recipe's, or
    /// [`Epoch::DEFAULT`].
    pub fn created(mut self, date: Epoch) -> Self {
        self.created = Some(date);
        self
    }

    /// Sets how layers are compressed. Default: [`Compression::DEFAULT`].
    pub fn compression(mut self, compression: Compression) -> Self {
        self.layers.compression = compression;
        self
    }

    /// Sets how many threads work. The output does not depend on it. Default: 1.
    pub fn threads(mut self, threads: usize) -> Self {
        self.layers.jobs = threads.max(1);
        self
    }

    /// Sets how images are written.
    pub fn write_options(mut self, options: WriteOptions) -> Self {
        self.write = options;
        self
    }

    /// Names a directory for temporary files. Only a build that writes nothing but a stream needs it: others have theirs
    /// beside the output.
    pub fn temporary(mut self, folder: impl Into<PathBuf>) -> Self {
        self.temporary = Some(folder.into());
        self
    }

    /// Uses and fills a cache. `began` is the time of the machine at the start of the build; the output does not depend on it.
    pub fn cache(mut self, cache: Cache, began: SystemTime) -> Self {
        self.cache = Some((cache, began));
        self
    }

    /// Speaks to registries, for a base image and for outputs that are there. Default: to none.
    #[cfg(feature = "registry")]
    pub fn registries(mut self, registries: Arc<Registries>) -> Self {
        self.write.registries = Some(registries.clone());
        self.registries = Some(registries);
        self
    }

    /// Accepts a finding.
    pub fn allow(mut self, allowance: Allowance) -> Self {
        self.allow.push(allowance);
        self
    }

    /// Accepts known findings.
    pub fn baseline(mut self, baseline: Baseline) -> Self {
        self.baseline = baseline;
        self
    }

    /// Builds: every output, or none of them if a program could not start.
    ///
    /// # Errors
    /// When an input cannot be read, an output cannot be written, or something needed was not set.
    pub fn run(self) -> Result<Outcome, ApiError> {
        if self.places.contains(&Place::Stdio) {
            return Err(ApiError::NoStream);
        }
        self.run_with(&mut io::sink(), &Silent)
    }

    /// Like [`ImageBuilder::run`]. The place `-` is written to `stream`, and `progress` receives what happens.
    ///
    /// # Errors
    /// When an input cannot be read, an output cannot be written, or something needed was not set.
    pub fn run_with(self, stream: &mut dyn Write, progress: &dyn Progress) -> Result<Outcome, ApiError> {
        let recipe = Recipe::new(self.parts)?;
        let first = self.places.first().ok_or(ApiError::NoOutput)?;
        let beside = || self.places.iter().find_map(|place| beside(place, &recipe.platforms));
        let temporary = self.temporary.clone().or_else(beside).ok_or_else(|| ApiError::NoTemporary(first.clone()))?;
        let order = Order {
            when: self.created.or(recipe.created).unwrap_or(Epoch::DEFAULT),
            layers: self.layers,
            cache: self.cache.as_ref().map(|(cache, _)| cache),
            #[cfg(feature = "registry")]
            registries: self.registries.as_ref(),
            began: self.cache.as_ref().map_or(SystemTime::UNIX_EPOCH, |(_, began)| *began),
            write: self.write,
            allow: &self.allow,
            baseline: &self.baseline,
            ..Order::new(&recipe, &self.places, &temporary)
        };
        Ok(pipeline::build(&order, stream, progress)?)
    }
}

/// A directory beside an output; `None` for a stream.
fn beside(place: &Place, platforms: &[Platform]) -> Option<PathBuf> {
    let Place::Rootfs(folder) = place else { return place.temporary_folder() };
    let filled = folder.to_str().zip(platforms.first()).map(|(text, platform)| PathBuf::from(platform.fill_in(text)));
    let folder = filled.as_deref().unwrap_or(folder);
    let above =
        folder.ancestors().skip(1).map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    above.into_iter().find(|above| host::is_directory(above).unwrap_or(false)).map(Path::to_path_buf)
}

/// Verifies that the programs of an image, a root file system or an initramfs could start.
#[derive(Debug)]
#[must_use = "nothing is verified before `run`"]
pub struct Verifier {
    place: Place,
    platforms: Vec<Platform>,
    init: ImagePath,
    policy: Policy,
    temporary: Option<PathBuf>,
    #[cfg(feature = "registry")]
    registries: Option<Arc<Registries>>,
}

impl Verifier {
    /// Verifies a place: see [`Place::for_reading`].
    pub fn new(place: Place) -> Verifier {
        // The name is valid; were it not, the archive would be refused for a first program that is a directory.
        let init = "/init".parse().unwrap_or_else(|_| ImagePath::root());
        let policy = Policy { threads: 1, ..Policy::default() };
        Verifier {
            place,
            platforms: Vec::new(),
            init,
            policy,
            temporary: None,
            #[cfg(feature = "registry")]
            registries: None,
        }
    }

    /// Adds a platform. Default: all of an image; of a root file system or an initramfs the one that its programs are for.
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platforms.push(platform);
        self
    }

    /// Sets the first program of an initramfs. Default: `/init`.
    pub fn init(mut self, init: ImagePath) -> Self {
        self.init = init;
        self
    }

    /// Sets what is asked for and accepted.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Speaks to registries, for places that are there. Default: to none.
    #[cfg(feature = "registry")]
    pub fn registries(mut self, registries: Arc<Registries>) -> Self {
        self.registries = Some(registries);
        self
    }

    /// Names a directory for temporary files. A root file system in a directory needs none.
    pub fn temporary(mut self, folder: impl Into<PathBuf>) -> Self {
        self.temporary = Some(folder.into());
        self
    }

    /// Verifies. [`crate::report::Report::refuses`] says whether a program could not start.
    ///
    /// # Errors
    /// When the place cannot be read, or something needed was not set.
    pub fn run(self) -> Result<Checked, ApiError> {
        self.run_with(&Silent)
    }

    /// Like [`Verifier::run`]. `progress` receives what happens.
    ///
    /// # Errors
    /// When the place cannot be read, or something needed was not set.
    pub fn run_with(self, progress: &dyn Progress) -> Result<Checked, ApiError> {
        let Verifier {
            place,
            platforms,
            init,
            policy,
            temporary,
            #[cfg(feature = "registry")]
            registries,
        } = self;
        let private = match &temporary {
            Some(folder) => {
                Some(PrivateFolder::make_in(folder).map_err(|error| BuildError::Store(StoreError::from(error)))?)
            }
            None if matches!(place, Place::Rootfs(_)) => None,
            None => return Err(ApiError::NoTemporary(place)),
        };
        // Of a directory, nothing is unpacked.
        let scratch = Scratch::new(private.as_ref().map_or(Path::new("."), PrivateFolder::path));
        let access = Access::new(&scratch);
        #[cfg(feature = "registry")]
        let access = access.with_registries(registries.as_ref());
        let seen = pipeline::read(&place, &platforms, &access, progress)?;
        let platforms = pipeline::platforms_of(&place, &seen, &platforms, progress)?;
        let verdicts = pipeline::verify(&seen, &platforms, &init, &policy, progress)?;
        Ok(Checked { report: pipeline::merged(&verdicts), verdicts })
    }
}
