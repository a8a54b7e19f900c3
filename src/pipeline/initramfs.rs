//! A recipe to initramfs archives: staged and judged first, written when everything else is fine too.

use std::path::PathBuf;

use super::abreast::abreast;
use super::error::BuildError;
use super::prepare::{Build, Bundled, outside_of_sources, policy, prepare};
use super::read::Verdict;
use crate::codec::Scratch;
use crate::codec::compress::Whole;
use crate::image::Staging;
use crate::link::{self, Purpose, Subject};
use crate::path::ImagePath;
use crate::progress::{Event, Progress};
use crate::recipe::{InitramfsCompression, Output};
use crate::transport::{self, Archived, Place, TransportError};
use crate::tree::{Follow, Tree};

/// How the first half of the trip ended.
pub enum Initramfs {
    /// Programs could not start: nothing is to be written.
    Refused(Vec<Verdict>),
    /// Every archive can be written.
    Judged(Box<Archives>),
}

/// Archives that were judged and are not written yet.
pub struct Archives {
    /// What was found in each platform's tree; nothing of severity error.
    pub verdicts: Vec<Verdict>,
    /// What was bundled, for each platform.
    pub bundled: Vec<Bundled>,
    trees: Vec<Tree>,
    /// For each tree in turn: where it goes, and how it is compressed.
    files: Vec<(usize, PathBuf, Whole)>,
    jobs: usize,
    /// The private folder, which holds what was unpacked.
    _staging: Staging,
}

/// Stages and judges an initramfs of each platform for the places of a build that are archives. `{arch}` in a name
/// stands for the platform.
///
/// # Errors
/// When an input cannot be read, the recipe does not fit what it finds, or several platforms would go into one file.
pub fn initramfs(build: &Build<'_>, progress: &dyn Progress) -> Result<Initramfs, BuildError> {
    let files = files(build)?;
    let folder = files.iter().find_map(|(_, file, _)| Place::Cpio(file.clone()).staging_folder());
    let folder = folder.as_deref().unwrap_or(build.temporary);
    outside_of_sources(build, folder)?;
    let staging = Staging::begin(folder)?;
    let scratch = Scratch::new(staging.scratch_folder());
    // From here on there is a private folder beside the output. Whatever happens, it goes.

    let staged = abreast(build.platforms, build.layers.jobs, progress, |platform, progress| {
        prepare(build, platform, Output::Initramfs, &scratch, progress)
    })?;
    let (mut trees, mut bundled) = (Vec::new(), Vec::new());
    for prepared in staged {
        bundled.extend(prepared.bundled);
        trees.push(prepared.tree);
    }
    let init = build.recipe.initramfs.init.clone().unwrap_or_else(default_init);
    let parts: Vec<_> = build.platforms.iter().zip(&trees).collect();
    let verdicts = abreast(&parts, build.layers.jobs, progress, |(platform, tree), progress| {
        progress.event(Event::Step(&format!("{platform}: verifying the initramfs")));
        // An archive of a bundle alone is put behind another one, which has the first program.
        let part = build.recipe.bundle.is_some() && build.recipe.initramfs.init.is_none() && !has(tree, &init);
        let purpose = if part { Purpose::Part } else { Purpose::Initramfs { init: init.clone() } };
        let subject = Subject { tree, platform, settings: None, purpose, policy: &policy(build, platform) };
        Ok(Verdict { platform: platform.to_string(), judgement: link::verify(&subject) })
    })?;
    if verdicts.iter().any(|verdict| verdict.judgement.report.refuses()) {
        return Ok(Initramfs::Refused(verdicts));
    }
    // From here on a kernel would find and start the first program of every archive.

    let archives = Archives { verdicts, bundled, trees, files, jobs: build.layers.jobs, _staging: staging };
    Ok(Initramfs::Judged(Box::new(archives)))
}

impl Archives {
    /// Writes them: each file whole or not at all, in order.
    ///
    /// # Errors
    /// When a file cannot be read any more, an archive cannot hold it, or an output cannot be written.
    pub fn write(&self, progress: &dyn Progress) -> Result<Vec<Archived>, BuildError> {
        let mut written = Vec::new();
        for (tree, file, form) in &self.files {
            progress.event(Event::Step(&format!("writing cpio:{}", file.display())));
            let Some(tree) = self.trees.get(*tree) else { continue };
            written.push(transport::write_initramfs(tree, file, *form, self.jobs, progress)?);
        }
        Ok(written)
    }
}

fn has(tree: &Tree, path: &ImagePath) -> bool {
    tree.resolve(&ImagePath::root(), path.as_bytes(), Follow::Yes).is_ok()
}

/// What a kernel starts unless it is told otherwise.
fn default_init() -> ImagePath {
    "/init".parse().unwrap_or_else(|_| ImagePath::root())
}

/// Every file that is to be written: the number of its platform, its name, its form.
fn files(build: &Build<'_>) -> Result<Vec<(usize, PathBuf, Whole)>, BuildError> {
    let asked = build.recipe.initramfs.compression.map(|compression| match compression {
        InitramfsCompression::None => Whole::None,
        InitramfsCompression::Gzip => Whole::Gzip,
        InitramfsCompression::Zstd => Whole::Zstd,
        InitramfsCompression::Xz => Whole::Xz,
    });
    let mut files: Vec<(usize, PathBuf, Whole)> = Vec::new();
    for place in build.places {
        let Place::Cpio(name) = place else { continue };
        let form = transport::archive_form(name, asked)?;
        for (number, platform) in build.platforms.iter().enumerate() {
            let file = match name.to_str() {
                Some(text) => PathBuf::from(platform.fill_in(text)),
                None => name.clone(),
            };
            if files.iter().any(|(_, known, _)| *known == file) {
                return Err(BuildError::OneArchive(file));
            }
            if file.is_dir() {
                let error = std::io::ErrorKind::IsADirectory.into();
                return Err(TransportError::Write(file, error).into());
            }
            files.push((number, file, form));
        }
    }
    Ok(files)
}
