//! What the caller knows about this machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::elf::{ElfFacts, Interpreter};
use crate::platform::Arch;
use crate::tree::{Backing, Content};

/// What a trial may use of this machine.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The folders in which emulators are looked up, in order: those of `PATH`.
    pub programs: Vec<PathBuf>,
}

/// A program that runs programs of another architecture (`qemu-user`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emulator {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it needs nothing else, so that it runs inside another root.
    pub is_static: bool,
}

impl Machine {
    /// The architecture of this machine's programs; `None` for one that no image is made for.
    pub fn arch() -> Option<Arch> {
        Arch::native()
    }

    /// The emulator for an architecture: a static one where there is one.
    pub fn emulator(&self, arch: Arch) -> Option<Emulator> {
        let word = arch.facts().qemu;
        let names = [format!("qemu-{word}-static"), format!("qemu-{word}")];
        let paths = names.iter().flat_map(|name| self.programs.iter().map(move |folder| folder.join(name)));
        let found: Vec<Emulator> =
            paths.filter_map(|path| Some(Emulator { is_static: is_static(&path)?, path })).collect();
        found.iter().find(|emulator| emulator.is_static).or(found.first()).cloned()
    }
}

/// Whether a program is static; `None` if it is not a program of this machine.
fn is_static(path: &Path) -> Option<bool> {
    let file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let backing = Backing::seen(file, path.display().to_string()).ok()?;
    let facts = ElfFacts::read(&Content::Slice { backing: Arc::new(backing), offset: 0, size }).ok()??;
    let here = Machine::arch()?;
    (facts.arch == Some(here)).then_some(facts.interpreter == Interpreter::Absent)
}
