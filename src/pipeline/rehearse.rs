//! A recipe to trees that were judged, for whoever runs or packs something of them before they are written.

use super::error::BuildError;
use super::prepare::{Build, Prepared, policy, prepare};
use super::read::Verdict;
use crate::codec::Scratch;
use crate::link::{self, Policy, Purpose, Subject};
use crate::oci::Settings;
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::progress::{Event, Progress};
use crate::recipe::Output;
use crate::tree::Tree;

/// The tree of one platform as it would be written.
pub struct Rehearsal {
    /// The platform.
    pub platform: Platform,
    /// The tree.
    pub tree: Tree,
    /// How a container of it would be started.
    pub settings: Settings,
    /// The programs that were bundled, where they are, in order.
    pub programs: Vec<ImagePath>,
    /// What was found in it.
    pub verdict: Verdict,
}

/// Stages and judges a tree of each platform. Archives are unpacked into `scratch`, which the trees go on reading.
///
/// # Errors
/// When an input cannot be read, or the recipe does not fit what it finds.
pub fn rehearse(build: &Build<'_>, scratch: &Scratch, progress: &dyn Progress) -> Result<Vec<Rehearsal>, BuildError> {
    let mut rehearsals = Vec::new();
    for platform in build.platforms {
        let prepared = prepare(build, platform, Output::Image, scratch, progress)?;
        progress.event(Event::Step(&format!("{platform}: verifying")));
        let programs = prepared.bundled.map(|bundled| bundled.programs).unwrap_or_default();
        let policy = Policy { programs: programs.clone(), ..policy(build, platform) };
        let subject = Subject {
            tree: &prepared.tree,
            platform,
            settings: Some(&prepared.settings),
            purpose: Purpose::Container,
            policy: &policy,
        };
        let verdict = Verdict { platform: platform.to_string(), judgement: link::verify(&subject) };
        let Prepared { tree, settings, .. } = prepared;
        rehearsals.push(Rehearsal { platform: platform.clone(), tree, settings, programs, verdict });
    }
    Ok(rehearsals)
}
