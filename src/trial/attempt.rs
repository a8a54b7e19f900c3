//! From a tree and a command to an outcome: the ways, one after the other.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::TrialError;
use super::machine::Machine;
use super::process::{Ended, Ran, probe, run};
use super::ready::Ready;
use super::room;
use super::way::{Refusal, Way};
use crate::oci::Settings;
use crate::platform::Platform;
use crate::tree::Tree;

/// What is to be tried.
pub struct Trial<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Its platform.
    pub platform: &'a Platform,
    /// How a container of it is started: the user, the environment, the working directory, and the command when
    /// `command` is empty.
    pub settings: Settings,
    /// The command and its arguments.
    pub command: Vec<Vec<u8>>,
    /// What it reads; without, our own standard input.
    pub input: Option<File>,
    /// How many bytes of its standard output are kept; without, it is our own.
    pub catch: Option<u64>,
    /// How long it may take, with all that it starts.
    pub limit: Option<Duration>,
    /// The ways that may be gone.
    pub ways: &'a [Way],
    /// What may be used of this machine.
    pub machine: &'a Machine,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The way that was taken.
    pub way: Way,
    /// The ways that would have been stronger, and why they were not taken.
    pub refused: Vec<Refusal>,
    /// The emulator that ran it, for a tree of another architecture.
    pub emulator: Option<PathBuf>,
    /// How the command ended.
    pub ended: Ended,
    /// What it wrote, where that was caught.
    pub output: Vec<u8>,
    /// What the private copy lacks, one line each.
    pub notes: Vec<String>,
}

impl Outcome {
    /// What the run did not prove, one line each.
    pub fn unproved(&self) -> Vec<&'static str> {
        let emulated = "the other architecture's kernel and CPU: an emulator stood for them";
        self.way.unproved().iter().copied().chain(self.emulator.is_some().then_some(emulated)).collect()
    }
}

/// Runs the command by the strongest way that this machine allows. `room` is an existing folder of the caller's own, who
/// also removes it; copies of the tree are made in it.
///
/// **The calling process must have one thread**: it forks.
///
/// # Errors
/// When no way is open, or the tree cannot be copied. A command that fails, or cannot be started, is an outcome.
pub fn attempt(trial: &Trial<'_>, room: &Path) -> Result<Outcome, TrialError> {
    let ready = Ready::new(trial.tree, trial.platform, &trial.settings, &trial.command, trial.machine)?;
    let mut refused = Vec::new();
    let mut notes = Vec::new();
    let mut copied = false;
    for &way in trial.ways {
        if let Err(refusal) = probe(way).and_then(|()| ready.emulator_for(way)) {
            refused.push(refusal);
            continue;
        }
        let whole = room.join("root");
        if way != Way::Loader && !copied {
            notes = room::whole(trial.tree, &whole)?;
            copied = true;
        }
        let launch = match way {
            Way::Namespace | Way::Chroot => ready.inside(way, &whole)?,
            Way::Loader if copied => ready.beside(&whole)?,
            Way::Loader => {
                let parts = room.join("parts");
                notes = room::parts(trial.tree, &parts, &ready.needed())?;
                ready.beside(&parts)?
            }
        };
        match run(&launch, trial.input.as_ref(), trial.limit, trial.catch)? {
            Ran::Ended(ended, output) => {
                let emulator = ready.emulator().map(|emulator| emulator.path.clone());
                return Ok(Outcome { way, refused, emulator, ended, output, notes });
            }
            Ran::Refused(reason) => refused.push(Refusal { way, reason }),
        }
    }
    Err(TrialError::NoWay(refused))
}
