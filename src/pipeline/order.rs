//! What is to be built, and the places that it goes to.

use crate::host;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
#[cfg(feature = "registry")]
use std::sync::Arc;
use std::time::SystemTime;

use super::error::BuildError;
use crate::bundle::trace::Traced;
use crate::codec::compress::FileCompression;
use crate::codec::{SCRATCH_MAX, Scratch};
use crate::epoch::Epoch;
use crate::image::{Cache, LayerOptions};
use crate::link::{self, Allowance, Baseline, Policy};
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::recipe::{self, InitramfsCompression, Output, Recipe};
use crate::reference::{Repository, Tag};
#[cfg(feature = "registry")]
use crate::registry::Registries;
use crate::replace;
use crate::transport::{self, Access, Place, TransportError, WriteOptions};

/// What is to be built, how, and where it goes.
#[derive(Clone)]
#[non_exhaustive]
pub struct Order<'a> {
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
    /// All places: for images, root file systems and initramfs archives.
    pub places: &'a [Place],
    /// Where temporary files may lie when no place has a folder.
    pub temporary: &'a Path,
    /// How large temporary files may be in sum, in bytes.
    pub temporary_size: u64,
    /// A file that the caller writes about the result. Like an output, it may not be in a source.
    pub metadata_file: Option<&'a Path>,
    /// How layers are written.
    pub layers: LayerOptions,
    /// What earlier builds made, if it may be used.
    pub cache: Option<&'a Cache>,
    /// How registries are spoken to, if they may be.
    #[cfg(feature = "registry")]
    pub registries: Option<&'a Arc<Registries>>,
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
}

static NO_BASELINE: Baseline = Baseline::empty();
static NOT_TRACED: BTreeSet<Traced> = BTreeSet::new();

impl<'a> Order<'a> {
    /// Builds what the recipe says for all of its platforms, with one thread and without a cache. `temporary` is used where no
    /// place has a folder.
    pub fn new(recipe: &'a Recipe, places: &'a [Place], temporary: &'a Path) -> Order<'a> {
        Order {
            recipe,
            platforms: &recipe.platforms,
            name: recipe.name.clone(),
            tags: recipe.tags.clone(),
            when: recipe.created.unwrap_or(Epoch::DEFAULT),
            places,
            temporary,
            temporary_size: SCRATCH_MAX,
            metadata_file: None,
            layers: LayerOptions::default(),
            cache: None,
            #[cfg(feature = "registry")]
            registries: None,
            began: SystemTime::UNIX_EPOCH,
            write: WriteOptions::default(),
            allow: &[],
            baseline: &NO_BASELINE,
            traced: &NOT_TRACED,
        }
    }
}

/// What is written to one place. The numbers are those of platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The image of all platforms.
    Image(Place),
    /// The root file system of one platform.
    Rootfs(usize, PathBuf),
    /// The initramfs of one platform.
    Initramfs(usize, PathBuf, FileCompression),
}

impl Target {
    /// Which tree it is made of.
    pub fn output(&self) -> Output {
        match self {
            Target::Image(_) | Target::Rootfs(..) => Output::Image,
            Target::Initramfs(..) => Output::Initramfs,
        }
    }
}

impl Order<'_> {
    /// What places are opened with.
    pub(super) fn access<'b>(&'b self, scratch: &'b Scratch) -> Access<'b> {
        let access = Access::new(scratch).with_cache(self.cache);
        #[cfg(feature = "registry")]
        let access = access.with_registries(self.registries);
        access
    }

    /// Everything that is to be written, in the order of the places. `{arch}` and the like in the name of a root file system
    /// or an initramfs stand for the platform.
    ///
    /// # Errors
    /// When a place cannot be written to, or two platforms would go to one.
    pub(super) fn targets(&self) -> Result<Vec<Target>, BuildError> {
        let mut targets: Vec<Target> = Vec::new();
        let mut add = |target: Target, path: &Path| {
            if targets.contains(&target) || targets.iter().any(|known| known.is_at(path)) {
                return Err(BuildError::OneArchive(path.to_path_buf()));
            }
            targets.push(target);
            Ok(())
        };
        let mut images = Vec::new();
        for place in self.places {
            match place {
                Place::Rootfs(name) => {
                    for (number, folder) in self.names(name) {
                        transport::check_rootfs(&folder)?;
                        add(Target::Rootfs(number, folder.clone()), &folder)?;
                    }
                }
                Place::Cpio(name) => {
                    let form = transport::archive_form(name, self.initramfs_form())?;
                    for (number, file) in self.names(name) {
                        let failed = |error| TransportError::Write(file.clone(), error);
                        if host::is_directory(&file).map_err(failed)? {
                            let error = std::io::ErrorKind::IsADirectory.into();
                            return Err(TransportError::Write(file, error).into());
                        }
                        add(Target::Initramfs(number, file.clone(), form), &file)?;
                    }
                }
                Place::Layout { .. } | Place::Archive { .. } | Place::Stdio | Place::Registry(_) | Place::Tar(_) => {
                    transport::check(place)?;
                    images.push(Target::Image(place.clone()));
                }
            }
        }
        images.extend(targets);
        Ok(images)
    }

    /// The name for each platform.
    fn names(&self, name: &Path) -> impl Iterator<Item = (usize, PathBuf)> {
        let fill = |platform: &Platform| {
            name.to_str().map_or_else(|| name.to_path_buf(), |text| PathBuf::from(platform.fill_in(text)))
        };
        self.platforms.iter().map(fill).enumerate().collect::<Vec<_>>().into_iter()
    }

    fn initramfs_form(&self) -> Option<FileCompression> {
        self.recipe.initramfs.compression.map(|compression| match compression {
            InitramfsCompression::None => FileCompression::None,
            InitramfsCompression::Gzip => FileCompression::Gzip,
            InitramfsCompression::Zstd => FileCompression::Zstd,
            InitramfsCompression::Xz => FileCompression::Xz,
        })
    }

    /// Where private files lie: beside the first output, so that putting it in place is a rename.
    pub(super) fn private_folder(&self, targets: &[Target]) -> PathBuf {
        let beside = |target: &Target| match target {
            Target::Image(place) => place.temporary_folder(),
            Target::Initramfs(_, file, _) => Place::Cpio(file.clone()).temporary_folder(),
            Target::Rootfs(..) => None,
        };
        targets.iter().find_map(beside).unwrap_or_else(|| self.temporary.to_path_buf())
    }

    /// Refuses an output that lies in a source: what is written would be read as a part of the image, this time or the next.
    pub(super) fn outside_of_sources(&self, targets: &[Target], private: &Path) -> Result<(), BuildError> {
        let folder = |target: &Target| match target {
            Target::Image(place) => place.temporary_folder(),
            Target::Initramfs(_, file, _) => Place::Cpio(file.clone()).temporary_folder(),
            Target::Rootfs(_, folder) => Some(folder.clone()),
        };
        let outputs = targets.iter().filter_map(folder);
        let others = self.cache.map(|cache| cache.folder().to_path_buf()).into_iter();
        // A pipe or terminal may be anywhere.
        let file = self.metadata_file.filter(|file| std::fs::metadata(file).map_or(true, |meta| meta.is_file()));
        let others = others.chain(file.map(|file| replace::folder_of(file).to_path_buf()));
        outputs.chain([private.to_path_buf()]).chain(others).try_for_each(|output| self.outside_of_source(&output))
    }

    fn outside_of_source(&self, folder: &Path) -> Result<(), BuildError> {
        // A folder that does not exist yet lies where the deepest one that does exist lies.
        let mut output = None;
        for above in folder.ancestors() {
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            let failed = |error| TransportError::Write(folder.to_path_buf(), error);
            output = real(above).map_err(failed)?;
            if output.is_some() {
                break;
            }
        }
        let Some(output) = output else { return Ok(()) };
        for platform in self.platforms {
            for source in &self.recipe.sources {
                let source = source.from.for_platform(platform);
                let failed = |error| TransportError::Read(source.clone(), error);
                let root = real(&source).map_err(failed)?;
                if root.is_some_and(|root| root.is_dir() && output.starts_with(root)) {
                    return Err(BuildError::OutputInSource(folder.to_path_buf(), source));
                }
            }
        }
        Ok(())
    }

    /// What the verifier is asked for: by the recipe, and by whoever runs it.
    pub(super) fn policy(&self, platform: &Platform, programs: &[ImagePath]) -> Policy {
        let verify = &self.recipe.verify;
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
                recipe::RequiredLibc::Musl => link::Libc::Musl,
                recipe::RequiredLibc::Glibc => link::Libc::Glibc,
            }),
            max_size: verify.max_size,
            allow: accepted.chain(self.allow.iter().cloned()).collect(),
            baseline: self.baseline.clone(),
            programs: programs.to_vec(),
            threads: self.layers.jobs,
        }
    }
}

/// A path behind all links; `None` where nothing is.
fn real(path: &Path) -> io::Result<Option<PathBuf>> {
    host::metadata(path)?.map(|_| std::fs::canonicalize(path)).transpose()
}

impl Target {
    fn is_at(&self, path: &Path) -> bool {
        match self {
            Target::Image(_) => false,
            Target::Rootfs(_, known) | Target::Initramfs(_, known, _) => known == path,
        }
    }
}
