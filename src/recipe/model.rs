//! What a recipe says, as data. A [`Recipe`] can only be made from [`Parts`] that agree with each other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::PathBuf;

use super::choice::{Extra, InitramfsCompression, LinkKind, Modes, RequiredLibc, Times};
use super::glob::{Globs, Matcher};
use super::path_rule::{Id, PathRule, is_among};
use super::template::{HostPath, RuleOrigin, Template};
use crate::epoch::Epoch;
use crate::oci::{Annotations, Changes, Healthcheck};
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::reference::{Repository, Tag};

/// A valid recipe. Its parts are read through it and cannot be changed.
#[derive(Clone, Debug)]
pub struct Recipe(Parts);

/// Everything that a recipe can say.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Parts {
    /// Name of the image, without a tag.
    pub name: Option<Repository>,
    /// Tags.
    pub tags: Vec<Tag>,
    /// Platforms to make, in the order in which they were named.
    pub platforms: Vec<Platform>,
    /// Date of the image, unless `SOURCE_DATE_EPOCH` says another.
    pub created: Option<Epoch>,
    /// Image whose layers stay below ours.
    pub base: Option<Base>,
    /// Programs that are taken out of a root with what they need, before all sources.
    pub bundle: Option<Bundle>,
    /// Trees that are copied, in order; a later one replaces what an earlier one brought.
    pub sources: Vec<Source>,
    /// Declared entries and rules, applied last, in order.
    pub paths: Vec<PathRule>,
    /// Many names for one program.
    pub links: Vec<Links>,
    /// Users for `/etc/passwd`.
    pub users: Vec<User>,
    /// Groups for `/etc/group`.
    pub groups: Vec<Group>,
    /// Which paths go into which layer. Whatever none takes goes into one more, the last.
    pub layers: Vec<LayerRule>,
    /// How a container is started, with placeholders still inside; read it through [`Recipe::config_for`].
    pub config: Changes,
    /// Annotations of the image.
    pub annotations: Annotations,
    /// Settings of the verifier.
    pub verify: Verify,
    /// How an initramfs is made.
    pub initramfs: Initramfs,
}

/// Why parts make no recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartsError {
    /// No platform is named.
    #[error("there is no platform")]
    NoPlatform,
    /// A platform is named twice.
    #[error("the platform is listed twice: {0}")]
    PlatformTwice(Platform),
    /// Nothing would be in the image.
    #[error("the image is empty: there is neither a source nor a path")]
    Nothing,
}

impl Recipe {
    /// A recipe from its parts, for builds that have no recipe file.
    ///
    /// # Errors
    /// When there is no platform or one twice, and when nothing would be in the image.
    pub fn new(parts: Parts) -> Result<Recipe, PartsError> {
        if parts.platforms.is_empty() {
            return Err(PartsError::NoPlatform);
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = parts.platforms.iter().find(|platform| !seen.insert(*platform)) {
            return Err(PartsError::PlatformTwice(twice.clone()));
        }
        if parts.base.is_none() && parts.bundle.is_none() && parts.sources.is_empty() && parts.paths.is_empty() {
            return Err(PartsError::Nothing);
        }
        Ok(Recipe(parts))
    }

    /// How a container of this platform is started.
    pub fn config_for(&self, platform: &Platform) -> Changes {
        let fill = |text: &String| Template::new(text.as_str()).fill_in(platform);
        let list = |words: &Vec<String>| words.iter().map(fill).collect::<Vec<_>>();
        let map = |map: &BTreeMap<String, String>| {
            map.iter().map(|(key, value)| (key.clone(), fill(value))).collect::<BTreeMap<_, _>>()
        };
        let config = &self.config;
        Changes {
            user: config.user.as_ref().map(fill),
            env: map(&config.env),
            entrypoint: config.entrypoint.as_ref().map(list),
            cmd: config.cmd.as_ref().map(list),
            workdir: config.workdir.as_ref().map(fill),
            labels: map(&config.labels),
            expose: config.expose.clone(),
            volumes: config.volumes.iter().map(fill).collect(),
            stop_signal: config.stop_signal.clone(),
            healthcheck: config
                .healthcheck
                .as_ref()
                .map(|check| Healthcheck { test: list(&check.test), ..check.clone() }),
            shell: config.shell.as_ref().map(list),
        }
    }
}

impl Deref for Recipe {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The image that ours is put on top of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Where it was asked for.
    pub origin: RuleOrigin,
    /// `oci`, `oci-archive`, `docker-archive` or `docker`.
    pub scheme: &'static str,
    /// The directory or file, still with `:TAG` behind it where one was given; for `docker`, `//` and the reference.
    pub path: HostPath,
}

impl Base {
    /// The directory or file for one platform, with `:TAG` behind it where one was given.
    pub fn path_for(&self, platform: &Platform) -> PathBuf {
        self.path.for_platform(platform)
    }
}

/// Programs that are taken out of a root with what they need.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bundle {
    /// Where it was asked for.
    pub origin: RuleOrigin,
    /// Paths in the root, or names that are looked up in its PATH.
    pub programs: Vec<Template>,
    /// The place of the root; without, this machine's own.
    pub root: Option<HostPath>,
    /// What else is taken, with the libraries that it needs.
    pub include: Globs,
    /// What is left out, whoever needs it.
    pub exclude: Globs,
    /// What programs open without saying so before.
    pub with: BTreeSet<Extra>,
    /// Empty directories to make.
    pub directories: Vec<ImagePath>,
    /// Where the programs go instead: a path, or a directory when it ends with `/`.
    pub install_to: Option<Template>,
}

impl Bundle {
    /// These programs of this machine, and nothing but what they need.
    pub fn new(origin: RuleOrigin, programs: impl IntoIterator<Item = String>) -> Bundle {
        Bundle {
            origin,
            programs: programs.into_iter().map(Template::new).collect(),
            root: None,
            include: Globs::default(),
            exclude: Globs::default(),
            with: BTreeSet::new(),
            directories: Vec::new(),
            install_to: None,
        }
    }
}

/// One tree that is copied.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Source {
    /// Where it was asked for.
    pub origin: RuleOrigin,
    /// The directory or archive.
    pub from: HostPath,
    /// What it is.
    pub kind: SourceKind,
    /// Where its root goes.
    pub to: Template,
    /// What is taken; empty takes everything.
    pub include: Globs,
    /// What is left out, even where `include` names it.
    pub exclude: Globs,
    /// Who owns the files.
    pub owner: Owner,
    /// Which mode bits they get.
    pub modes: Modes,
    /// Which times they get; without, what the kind of source calls for.
    pub times: Option<Times>,
    /// Whether extended attributes are taken.
    pub xattrs: bool,
    /// The platforms that it is copied for; empty stands for all.
    pub platforms: Vec<Platform>,
}

impl Source {
    /// A whole tree, copied to `/` by the default rules.
    pub fn new(origin: RuleOrigin, from: HostPath) -> Source {
        Source {
            origin,
            from,
            kind: SourceKind::Found,
            to: Template::new("/"),
            include: Globs::default(),
            exclude: Globs::default(),
            owner: Owner::Ids { uid: 0, gid: 0 },
            modes: Modes::Keep,
            times: None,
            xattrs: true,
            platforms: Vec::new(),
        }
    }

    /// Whether it is copied for this platform.
    pub fn is_for(&self, platform: &Platform) -> bool {
        is_among(&self.platforms, platform)
    }
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Looked at: a directory, a Debian package (`.deb`), or else a tar.
    Found,
    /// A directory (`rootfs:`).
    Directory,
    /// A tar (`tar:`).
    Tar,
}

/// Who owns the files of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Always these.
    Ids {
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// Whoever owns them in the source.
    Keep,
}

/// Many names for one program.
#[derive(Clone, Debug)]
pub struct Links {
    /// Where they were asked for.
    pub origin: RuleOrigin,
    /// The program.
    pub target: Template,
    /// Its names.
    pub names: LinkNames,
    /// What each name is.
    pub kind: LinkKind,
}

/// Where the names of [`Links`] come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkNames {
    /// The recipe.
    List(Vec<Template>),
    /// A file with one path per line, such as BusyBox's `busybox.links`.
    From(HostPath),
}

/// One line for `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Where it was asked for.
    pub origin: RuleOrigin,
    /// Name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Group; without, a group of the user's name, which is made with the number `uid` if it does not exist.
    pub gid: Option<Id>,
    /// Further groups that the user is in, by name.
    pub groups: Vec<String>,
    /// The comment field.
    pub comment: Option<String>,
    /// Home directory.
    pub home: Option<ImagePath>,
    /// Login shell.
    pub shell: Option<ImagePath>,
}

/// One line for `/etc/group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Where it was asked for.
    pub origin: RuleOrigin,
    /// Name.
    pub name: String,
    /// Number.
    pub gid: u32,
    /// Names of its members.
    pub members: Vec<String>,
}

/// What goes into one layer.
#[derive(Clone, Debug)]
pub struct LayerRule {
    /// Where it was asked for.
    pub origin: RuleOrigin,
    /// What the history calls it.
    pub name: Option<String>,
    /// What it takes.
    pub include: Globs,
    /// What it leaves to the others, even where `include` names it.
    pub exclude: Globs,
}

/// A [`LayerRule`], ready to be asked.
#[derive(Clone, Debug)]
pub struct LayerMatcher {
    include: Matcher,
    exclude: Matcher,
}

impl LayerRule {
    /// The rule for one platform.
    pub fn matcher(&self, platform: &Platform) -> LayerMatcher {
        LayerMatcher { include: self.include.matcher(platform), exclude: self.exclude.matcher(platform) }
    }
}

impl LayerMatcher {
    /// Whether the layer takes this path: by its own name or by that of a directory above it.
    pub fn takes(&self, path: &ImagePath) -> bool {
        self.include.covers(path) && !self.exclude.covers(path)
    }
}

/// Settings of the verifier.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Verify {
    /// Nothing may need a loader.
    pub r#static: bool,
    /// Nothing may need another C library.
    pub libc: Option<RequiredLibc>,
    /// The largest size of the uncompressed tree, in bytes.
    pub max_size: Option<u64>,
    /// Findings that are accepted.
    pub allow: Vec<Allow>,
}

/// A finding that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// Where it was asked for.
    pub origin: RuleOrigin,
    /// Its code, such as `lib-missing`.
    pub code: String,
    /// On which paths; empty stands for all.
    pub paths: Globs,
    /// Why.
    pub reason: Option<String>,
}

/// How an initramfs is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Initramfs {
    /// The program that the kernel starts; without, `/init`.
    pub init: Option<ImagePath>,
    /// How it is compressed; without, as the output's name says.
    pub compression: Option<InitramfsCompression>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Arch;

    fn parts() -> Parts {
        Parts {
            platforms: vec![Platform::new(Arch::Amd64), Platform::new(Arch::Arm64)],
            sources: vec![Source::new(RuleOrigin::command_line(), HostPath::new(PathBuf::from("."), "root"))],
            ..Parts::default()
        }
    }

    #[test]
    fn what_makes_no_image_is_no_recipe() {
        let message = |parts: Parts| Recipe::new(parts).unwrap_err().to_string();
        assert_eq!(message(Parts { platforms: vec![], ..parts() }), "there is no platform");
        assert_eq!(
            message(Parts { platforms: vec![Platform::new(Arch::Arm64); 2], ..parts() }),
            "the platform is listed twice: linux/arm64"
        );
        assert_eq!(
            message(Parts { sources: vec![], ..parts() }),
            "the image is empty: there is neither a source nor a path"
        );
    }

    #[test]
    fn the_config_is_filled_in_for_each_platform() {
        let config = Changes {
            env: BTreeMap::from([("ARCH".to_string(), "{arch}".to_string())]),
            cmd: Some(vec!["/bin/{arch}".to_string()]),
            ..Changes::default()
        };
        let recipe = Recipe::new(Parts { config, ..parts() }).unwrap();
        let config = recipe.config_for(&recipe.platforms[1]);
        assert_eq!(config.env["ARCH"], "arm64");
        assert_eq!(config.cmd.unwrap(), ["/bin/arm64"]);
    }

    #[test]
    fn a_layer_takes_directories_with_what_they_hold() {
        let rule = LayerRule {
            origin: RuleOrigin::command_line(),
            name: None,
            include: Globs::new(["/usr/lib", "bin/*"]).unwrap(),
            exclude: Globs::new(["**/*.py"]).unwrap(),
        };
        let matcher = rule.matcher(&Platform::new(Arch::Amd64));
        for (path, taken) in [("/usr/lib/a/b", true), ("/usr/lib", true), ("/usr/lib/x.py", false), ("/bin", false)] {
            assert_eq!(matcher.takes(&path.parse().unwrap()), taken, "{path}");
        }
    }
}
