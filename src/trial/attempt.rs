//! From a tree and a command to an outcome: the methods, one after the other.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::copy;
use super::error::TrialError;
use super::machine::Machine;
use super::method::{Method, Refusal};
use super::ready::Ready;
use super::run::{Ended, Ran, probe, run};
use crate::oci::Settings;
use crate::platform::Platform;
use crate::tree::Tree;

/// What is to be run.
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
    /// What it reads; our own standard input by default.
    pub input: Option<File>,
    /// How many bytes of its standard output are kept; by default it is our own.
    pub catch: Option<u64>,
    /// How long it may take, with all that it starts.
    pub limit: Option<Duration>,
    /// The methods that may be used.
    pub methods: &'a [Method],
    /// Whether the tree is trusted as programs of this machine are: then methods that confine nothing may be used too.
    pub trusted: bool,
    /// Whether the command gets the network of this machine; otherwise it has none, with a method that can see to that.
    pub network: bool,
    /// What may be used of this machine.
    pub machine: &'a Machine,
}

/// What came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrialOutcome {
    /// The method that was used.
    pub method: Method,
    /// The methods that would have been stronger, and why they were not used.
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

impl TrialOutcome {
    /// What the run did not show, one line each.
    pub fn not_shown(&self) -> Vec<&'static str> {
        let emulated = "the other architecture's kernel and CPU: an emulator was used instead";
        self.method.not_shown().iter().copied().chain(self.emulator.is_some().then_some(emulated)).collect()
    }
}

/// Runs the command with the strongest method that this machine allows. `folder` is an existing folder of the caller's own,
/// who also removes it; copies of the tree are made in it.
///
/// **No other thread of the process may be at work**: it forks.
///
/// # Errors
/// When no method can be used, or the tree cannot be copied. A command that fails, or cannot be started, is an outcome.
pub fn attempt(trial: &Trial<'_>, folder: &Path) -> Result<TrialOutcome, TrialError> {
    let ready = Ready::new(trial.tree, trial.platform, &trial.settings, &trial.command, trial.machine, trial.network)?;
    let (mut refused, mut only_trusted) = (Vec::new(), Vec::new());
    for &method in trial.methods {
        if !method.confines() && !trial.trusted {
            only_trusted.push(method);
            continue;
        }
        if let Err(refusal) = probe(method).and_then(|()| ready.check(method)) {
            refused.push(refusal);
            continue;
        }
        let copied = folder.join(method.word());
        let (notes, launch) = match method {
            Method::Namespace | Method::Chroot => {
                let notes = copy::whole(trial.tree, &copied, ready.owner(method))?;
                (notes, ready.inside(method, &copied)?)
            }
            Method::Loader => (copy::parts(trial.tree, &copied, &ready.needed())?, ready.beside(&copied)?),
        };
        match run(&launch, trial.input.as_ref(), trial.limit, trial.catch)? {
            Ran::Ended(ended, output) => {
                let emulator = ready.emulator().map(|emulator| emulator.path.clone());
                return Ok(TrialOutcome { method, refused, emulator, ended, output, notes });
            }
            Ran::Refused(reason) => refused.push(Refusal { method, reason }),
        }
    }
    Err(TrialError::NoMethod { refused, only_trusted })
}
