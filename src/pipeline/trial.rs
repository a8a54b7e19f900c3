//! From a place to the outcome of a command in it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::error::BuildError;
use super::read::{PlaceContents, by_programs, known, read};
use crate::image::PlatformImage;
use crate::platform::Platform;
use crate::progress::Progress;
use crate::transport::{Access, Place};
use crate::tree::Tree;
use crate::trial::{Machine, Method, Trial, TrialOutcome, attempt};

/// A command that is to be run inside a place.
#[derive(Debug)]
pub struct Try<'a> {
    /// The place.
    pub place: &'a Place,
    /// The platform. Default: this machine's if the image has it, otherwise its first; of a root file system or an initramfs the
    /// one that its programs are for.
    pub platform: Option<Platform>,
    /// The command. Default: that of the image.
    pub command: Vec<Vec<u8>>,
    /// Environment over that of the image.
    pub env: Vec<(String, String)>,
    /// The user, instead of the image's.
    pub user: Option<String>,
    /// The working directory, instead of the image's.
    pub workdir: Option<String>,
    /// What the command reads. Default: our own standard input.
    pub input: Option<File>,
    /// How many bytes of its standard output are kept. Default: it is our own.
    pub catch: Option<u64>,
    /// How long it may take.
    pub limit: Option<Duration>,
    /// The methods that may be used.
    pub methods: &'a [Method],
    /// Whether methods that confine nothing may be used too.
    pub trusted: bool,
    /// Whether the command gets the network of this machine.
    pub network: bool,
    /// What may be used of this machine.
    pub machine: &'a Machine,
}

/// Reads the place and runs the command. `folder` is an existing folder of the caller's own for a copy of the tree; the
/// caller removes it.
///
/// **No other thread of the process may be at work**: it forks.
///
/// # Errors
/// When the place cannot be read, or no method can be used. How the command ends is not an error.
pub fn try_out(
    asked: Try<'_>,
    access: &Access<'_>,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<TrialOutcome, BuildError> {
    let (platform, image, tree) = choose(&asked, access, progress)?;
    let mut settings = image.map(|image| image.configuration.settings()).unwrap_or_default();
    for (name, value) in asked.env {
        settings.env.retain(|(known, _)| *known != name);
        settings.env.push((name, value));
    }
    settings.user = asked.user.unwrap_or(settings.user);
    settings.workdir = asked.workdir.unwrap_or(settings.workdir);
    let trial = Trial {
        tree: &tree,
        platform: &platform,
        settings,
        command: asked.command,
        input: asked.input,
        catch: asked.catch,
        limit: asked.limit,
        methods: asked.methods,
        trusted: asked.trusted,
        network: asked.network,
        machine: asked.machine,
    };
    Ok(attempt(&trial, folder)?)
}

/// Reads the one platform that is to be run.
fn choose(
    asked: &Try<'_>,
    access: &Access<'_>,
    progress: &dyn Progress,
) -> Result<(Platform, Option<PlatformImage>, Tree), BuildError> {
    let here = Machine::arch().map(Platform::new);
    let wanted: Vec<Platform> = asked.platform.iter().chain(&here).take(1).cloned().collect();
    let seen = match read(asked.place, &wanted, access, progress) {
        Err(BuildError::NoPlatform { .. }) if asked.platform.is_none() => read(asked.place, &[], access, progress),
        other => other,
    };
    match seen? {
        PlaceContents::Image(_, platforms) => {
            let first = platforms.into_iter().next();
            let (image, flattened) = first.ok_or_else(|| BuildError::NoImage(asked.place.to_string()))?;
            Ok((known(&image)?.clone(), Some(image), flattened.tree))
        }
        PlaceContents::Root(tree) | PlaceContents::Initramfs(tree) => {
            let platform = match asked.platform.clone() {
                Some(platform) => platform,
                None => by_programs(asked.place, &tree, progress)?,
            };
            Ok((platform, None, tree))
        }
    }
}
