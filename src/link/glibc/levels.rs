//! Newer CPUs: on them, glibc prefers libraries below `glibc-hwcaps/LEVEL`, and `$PLATFORM` has another value. So a program that
//! starts on the baseline may fail there.

use std::collections::BTreeMap;

use crate::link::draft::Draft;
use crate::link::loader::GlibcLoader;
use crate::link::process::{Loaded, Process};
use crate::report::{Code, Severity};

use super::findings::NEEDS_ISA_LEVEL;
use super::load::Glibc;

/// A program starts on older CPUs and fails on newer ones.
pub const HWCAPS_BROKEN: Code = Code("hwcaps-broken");

impl Glibc<'_> {
    /// Loads a program on every level of CPUs for which the tree has files, and adds findings about what fails only there.
    pub fn load_everywhere<'p>(process: &'p Process<'p>, loader: &'p GlibcLoader) -> Glibc<'p> {
        let mut glibc = Glibc::load(process, loader, 0);
        glibc.check_versions();
        glibc.check_releases();
        glibc.bind();
        let levels = glibc.facts().hwcaps;
        if levels.is_empty() || !(process.files.has_hwcaps() || glibc.cache_knows_newer() || glibc.asks_for_platform())
        {
            glibc.look_ahead();
            return glibc;
        }
        let newer = levels.iter().enumerate().map(|(at, level)| {
            let mut newer = Glibc::load(process, loader, at + 1);
            newer.check_versions();
            newer.bind();
            (*level, newer.loaded)
        });
        let newer: Vec<(&str, Loaded)> = newer.collect();
        if !glibc.loaded.missing.is_empty()
            && let Some((level, loaded)) = newer.iter().find(|(_, loaded)| loaded.missing.is_empty())
        {
            // `$PLATFORM` leads to these files on such CPUs only.
            glibc.loaded = loaded.clone();
            glibc.loaded.drafts.push(
                Draft::warning(NEEDS_ISA_LEVEL, format!("finds its libraries on CPUs of {level} and newer only"))
                    .because("$PLATFORM", "has another value on older CPUs")
                    .fix("use a search path without $PLATFORM"),
            );
            return glibc;
        }
        glibc.look_ahead();
        let mut faults: BTreeMap<String, (Draft, Vec<&str>)> = BTreeMap::new();
        for (level, loaded) in newer {
            let errors = loaded.drafts.into_iter().filter(|draft| draft.severity == Severity::Error);
            for draft in errors {
                if !glibc.loaded.drafts.iter().any(|known| known.message == draft.message) {
                    faults.entry(draft.message.clone()).or_insert((draft, Vec::new())).1.push(level);
                }
            }
        }
        for (draft, on) in faults.into_values() {
            let newest = on.last() == levels.last()
                && on.first().is_some_and(|first| levels.len() - on.len() == position(levels, first));
            let cpus = match on.first() {
                Some(first) if newest && Some(first) == levels.first() => {
                    format!("{first} and newer (nearly every CPU)")
                }
                Some(first) if newest => format!("{first} and newer"),
                _ => on.join(", "),
            };
            let message = format!("starts on older CPUs, but on {cpus} it {}", draft.message);
            let fix = draft.fix.unwrap_or_default();
            let mut broken =
                Draft { evidence: draft.evidence, ending: draft.ending, ..Draft::error(HWCAPS_BROKEN, message) };
            broken.fix =
                Some(format!("{fix}; or leave out what is below glibc-hwcaps, or behind $PLATFORM, for these CPUs"));
            glibc.loaded.drafts.push(broken);
        }
        glibc
    }

    /// Whether an object of the process has `$PLATFORM` in its search path or in a needed name.
    fn asks_for_platform(&self) -> bool {
        (0..self.loaded.objects.len()).filter_map(|index| self.dynamic(index)).any(|dynamic| {
            let paths = [&dynamic.rpath, &dynamic.runpath].into_iter().flatten();
            paths.chain(&dynamic.needed).any(|text| crate::elf::contains(text, b"PLATFORM"))
        })
    }
}

fn position(levels: &[&str], level: &str) -> usize {
    levels.iter().position(|known| *known == level).unwrap_or_default()
}
