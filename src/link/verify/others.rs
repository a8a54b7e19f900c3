//! Files for other systems in packages of prebuilt files: one finding about all of them.

use std::collections::BTreeMap;
use std::fmt;

use crate::link::draft::Draft;
use crate::link::kernel::exec::{ANDROID_BINARY, INTERP_MISSING, WRONG_ARCH, WRONG_ARCH_32};
use crate::link::policy::Libc;
use crate::path::ImagePath;
use crate::report::Code;

use super::finding::Target;
use super::programs::Weight;

/// Packages contain files for other systems.
pub const OTHER_SYSTEM: Code = Code("other-system");

/// Directories whose packages contain prebuilt files for several systems.
const PACKAGES: [&[u8]; 6] = [b"node_modules", b"site-packages", b"dist-packages", b"prebuilds", b"prebuilt", b"gems"];

/// The most files that are listed.
const SHOWN: usize = 12;

/// The system that a file is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    Android,
    FreeBsd,
    Libc(Libc),
    /// Another architecture, by its name.
    Machine(String),
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            System::Android => f.write_str("Android"),
            System::FreeBsd => f.write_str("FreeBSD"),
            System::Libc(libc) => libc.fmt(f),
            System::Machine(name) => f.write_str(name),
        }
    }
}

/// The files that were found.
#[derive(Debug, Default)]
pub(crate) struct Others(BTreeMap<System, Vec<ImagePath>>);

impl Others {
    pub fn add(&mut self, system: System, path: ImagePath) {
        self.0.entry(system).or_default().push(path);
    }

    /// The finding about all of them.
    pub fn draft(self) -> Option<Draft> {
        let count: usize = self.0.values().map(Vec::len).sum();
        if count == 0 {
            return None;
        }
        let systems: Vec<String> = self.0.iter().map(|(system, paths)| format!("{system} ({})", paths.len())).collect();
        let files = if count == 1 {
            "1 file for another system".to_string()
        } else {
            format!("{count} files for other systems")
        };
        let message = format!("contains {files}, which nothing here can load or start: {}", systems.join(", "));
        let mut draft = Draft::note(OTHER_SYSTEM, message);
        let all = self.0.iter().flat_map(|(system, paths)| paths.iter().map(move |path| (path, system)));
        for (path, system) in all.take(SHOWN) {
            draft = draft.because(path.to_string(), format!("for {system}"));
        }
        if count > SHOWN {
            draft = draft.because(format!("{} more", count - SHOWN), String::new());
        }
        Some(draft.fix("leave them out (`exclude`) to make the image smaller"))
    }
}

/// The other system that a program of a package is for, if nothing else is wrong with it.
pub(crate) fn system_of(
    target: &Target,
    machine: Option<String>,
    libc: Option<Libc>,
    drafts: &[Draft],
) -> Option<System> {
    let in_package =
        |path: &ImagePath| path.parent().is_some_and(|parent| parent.components().any(|part| PACKAGES.contains(&part)));
    if target.weight != Weight::Elsewhere || target.scripts > 0 || !target.names.iter().all(in_package) {
        return None;
    }
    // A 32-bit program may lack other things too; its package also contains one for this system.
    if drafts.iter().any(|draft| draft.code == WRONG_ARCH_32) {
        return Some(System::Machine(machine?));
    }
    let code = drafts.first()?.code;
    if drafts.iter().any(|draft| draft.code != code) {
        return None;
    }
    match code {
        ANDROID_BINARY => Some(System::Android),
        WRONG_ARCH => Some(System::Machine(machine?)),
        INTERP_MISSING => libc.map(System::Libc),
        _ => None,
    }
}
