//! A recipe to an image.

use std::io::Write;

use super::abreast::abreast;
use super::error::BuildError;
use super::prepare::{Build, Bundled, Prepared, outside_of_sources, policy, prepare};
use super::read::Verdict;
use crate::bundle;
use crate::codec::Scratch;
use crate::digest::Digest;
use crate::image::{self, Assembled, Blob, Finished, Image, Layer, LayerWriter, PlatformImage, Reuse, Staging};
use crate::link::{self, Purpose, Subject};
use crate::oci::HistoryEntry;
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::progress::{Event, Progress};
use crate::recipe::Output;
use crate::transport::{self, Place, Written};

/// How a build ended.
pub enum Outcome {
    /// Programs could not start: nothing was written.
    Refused(Vec<Verdict>),
    /// The image is where it should be.
    Built(Box<Built>),
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
    /// What was bundled, for each platform.
    pub bundled: Vec<Bundled>,
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

    let staged = abreast(build.platforms, build.layers.jobs, progress, |platform, progress| {
        prepare(build, platform, Output::Image, &scratch, progress)
    })?;
    // From here on every source has been seen. Contents are still where they were; a file that changes is an error.

    let parts: Vec<_> = build.platforms.iter().zip(&staged).collect();
    let verdicts = abreast(&parts, build.layers.jobs, progress, |(platform, prepared), progress| {
        progress.event(Event::Step(&format!("{platform}: verifying")));
        let subject = Subject {
            tree: &prepared.tree,
            platform,
            settings: Some(&prepared.settings),
            purpose: Purpose::Container,
            policy: &policy(build, platform),
        };
        Ok(Verdict { platform: platform.to_string(), judgement: link::verify(&subject) })
    })?;
    if verdicts.iter().any(|verdict| verdict.judgement.report.refuses()) {
        return Ok(Outcome::Refused(verdicts));
    }
    // From here on every program of every platform would start.

    let shared = build.platforms.len() > 1 || !build.recipe.layers.is_empty();
    let shelves = build.places.iter().filter_map(Place::blobs).collect();
    let reuse = Reuse::new(build.cache, build.began, shelves, shared);
    let writer = LayerWriter { staging: &staging, options: &build.layers, reuse: &reuse, progress };
    let mut platforms = Vec::new();
    for (platform, prepared) in build.platforms.iter().zip(&staged) {
        platforms.push(package(build, platform, prepared, &writer)?);
    }
    if let Some(cache) = build.cache {
        cache.trim();
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
    let bundled = staged.into_iter().filter_map(|prepared| prepared.bundled).collect();
    Ok(Outcome::Built(Box::new(Built { digest, image: finished.image, verdicts, written, bundled })))
}

/// A tree to layers, config and manifest.
fn package(
    build: &Build<'_>,
    platform: &Platform,
    prepared: &Prepared,
    writer: &LayerWriter<'_>,
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
        writer.progress.event(Event::Step(&format!("{platform}: {step}")));
        let layer = writer.write(&prepared.tree, plan, &known_as(build, platform, number))?;
        layers.push((layer, HistoryEntry { created: build.when, created_by: "sazare build".into(), comment: name }));
    }
    let mut annotations = build.recipe.annotations.clone();
    let reasons = prepared.bundled.as_ref().and_then(|bundled| bundle::kept(&bundled.reasons));
    annotations.extend(reasons.map(|reasons| (bundle::REASONS.to_string(), reasons)));
    let assembled = Assembled {
        platform,
        base: base.map(|base| &base.image),
        layers,
        settings: &prepared.settings,
        created: build.when,
        annotations: &annotations,
    };
    Ok(image::assemble(assembled, base.map(|base| &*base.blobs), writer.staging)?)
}

/// What a layer is known by to later builds: where it comes from, which platform it is for, and which of the layers it is.
fn known_as(build: &Build<'_>, platform: &Platform, number: usize) -> String {
    let mut name = format!("{platform} {number}");
    for source in &build.recipe.sources {
        let path = source.from.for_platform(platform);
        name += &format!("\n{}", std::path::absolute(&path).unwrap_or(path).display());
    }
    name
}
