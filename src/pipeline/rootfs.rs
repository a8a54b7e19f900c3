//! A recipe to root file systems as folders: staged and judged first, written when everything else is fine too.

use std::path::PathBuf;

use super::error::BuildError;
use super::prepare::{Build, Bundled, outside_of_sources, policy, prepare};
use super::read::Verdict;
use crate::codec::Scratch;
use crate::image::Staging;
use crate::link::{self, Policy, Purpose, Subject};
use crate::progress::{Event, Progress};
use crate::recipe::Output;
use crate::transport::{self, Place};
use crate::tree::Tree;

/// How the first half of the trip ended.
pub enum Rootfs {
    /// Programs could not start: nothing is to be written.
    Refused(Vec<Verdict>),
    /// Every folder can be written.
    Judged(Box<Folders>),
}

/// Root file systems that were judged and are not written yet.
pub struct Folders {
    /// What was found in each platform's tree; nothing of severity error.
    pub verdicts: Vec<Verdict>,
    /// What was bundled, for each platform.
    pub bundled: Vec<Bundled>,
    trees: Vec<Tree>,
    /// For each tree in turn: where it goes.
    folders: Vec<(usize, PathBuf)>,
    /// The private folder, which holds what was unpacked.
    _staging: Staging,
}

/// A folder that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub folder: PathBuf,
    /// What this machine did not let be carried, one line each.
    pub notes: Vec<String>,
}

/// Stages and judges a root file system of each platform for the places of a build that are folders. `{arch}` in a name
/// stands for the platform.
///
/// # Errors
/// When an input cannot be read, the recipe does not fit what it finds, several platforms would go into one folder, or a
/// folder is not empty.
pub fn rootfs(build: &Build<'_>, progress: &dyn Progress) -> Result<Rootfs, BuildError> {
    let mut folders: Vec<(usize, PathBuf)> = Vec::new();
    for place in build.places {
        let Place::Rootfs(name) = place else { continue };
        for (number, platform) in build.platforms.iter().enumerate() {
            let folder = name.to_str().map_or_else(|| name.clone(), |text| PathBuf::from(platform.fill_in(text)));
            if folders.iter().any(|(_, known)| *known == folder) {
                return Err(BuildError::OneArchive(folder));
            }
            transport::check_rootfs(&folder)?;
            outside_of_sources(build, &folder)?;
            folders.push((number, folder));
        }
    }
    let staging = Staging::begin(build.temporary)?;
    let scratch = Scratch::new(staging.scratch_folder());
    // From here on there is a private folder. Whatever happens, it goes.

    let (mut trees, mut bundled, mut verdicts) = (Vec::new(), Vec::new(), Vec::new());
    for platform in build.platforms {
        // Device nodes belong to who mounts `/dev`, as in an image.
        let prepared = prepare(build, platform, Output::Image, &scratch, progress)?;
        progress.event(Event::Step(&format!("{platform}: verifying")));
        let programs = prepared.bundled.as_ref().map(|bundled| bundled.programs.clone()).unwrap_or_default();
        let policy = Policy { programs, ..policy(build, platform) };
        let subject =
            Subject { tree: &prepared.tree, platform, settings: None, purpose: Purpose::Plain, policy: &policy };
        verdicts.push(Verdict { platform: platform.to_string(), judgement: link::verify(&subject) });
        bundled.extend(prepared.bundled);
        trees.push(prepared.tree);
    }
    if verdicts.iter().any(|verdict| verdict.judgement.report.refuses()) {
        return Ok(Rootfs::Refused(verdicts));
    }
    // From here on every program of every platform would start.

    Ok(Rootfs::Judged(Box::new(Folders { verdicts, bundled, trees, folders, _staging: staging })))
}

impl Folders {
    /// Writes them: each folder whole or not at all, in order.
    ///
    /// # Errors
    /// When a file cannot be read any more, or an output cannot be written.
    pub fn write(&self, progress: &dyn Progress) -> Result<Vec<Folder>, BuildError> {
        let mut written = Vec::new();
        for (tree, folder) in &self.folders {
            progress.event(Event::Step(&format!("writing rootfs:{}", folder.display())));
            let Some(tree) = self.trees.get(*tree) else { continue };
            let notes = transport::write_rootfs(tree, folder)?;
            written.push(Folder { folder: folder.clone(), notes });
        }
        Ok(written)
    }
}
