//! Progress: what a long piece of work reports while it goes on. The library emits events as data and knows no terminal;
//! `cli/console.rs` makes sentences and the bar of them.
//!
//! A step begins with [`Event::Step`], and whoever reads, copies or writes for it sends [`Event::Bytes`]: mostly a reader that is
//! wrapped in `Reporting`. Blobs are copied in `image/store.rs` and `transport/layout.rs`.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::path::ImagePath;
use crate::platform::Platform;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A step began.
    Step(Step),
    /// From here on the step has so many bytes in all. Comes where that is known only after it began.
    Total(u64),
    /// So many more bytes of the step are done.
    Bytes(u64),
    /// Something that the user should know and that is not a finding.
    Note {
        /// The platform that it is about.
        platform: Option<Platform>,
        /// The place or file that it is about, where the text does not name it.
        about: Option<String>,
        /// What there is to know.
        text: String,
    },
}

/// A step of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The platform that it is for, where it is for one.
    pub platform: Option<Platform>,
    /// What is done.
    pub action: Action,
    /// How many bytes there are in all, where that is known. [`Event::Bytes`] counts up to it.
    pub bytes: Option<u64>,
}

/// What is done in a step. Places are spelled as people name them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// A place is read.
    ReadPlace(String),
    /// A source of a recipe is read.
    ReadSource(PathBuf),
    /// Programs and what they need are collected from a place.
    Collect(String),
    /// Sources become a tree.
    Stage,
    /// The tree of an image or a root file system is verified.
    Verify,
    /// The tree of an initramfs is verified.
    VerifyInitramfs,
    /// One program is verified.
    VerifyProgram(ImagePath),
    /// A layer is packed; its name, where it has one.
    PackLayer(Option<String>),
    /// The layers of a base image are copied (`image/store.rs`).
    CopyBase,
    /// An output is written.
    Write(String),
    /// A program is run.
    Run(PathBuf),
}

impl Step {
    /// A step that is for all platforms, and whose size is not known.
    pub fn new(action: Action) -> Step {
        Step { platform: None, action, bytes: None }
    }

    /// The same for one platform.
    pub fn of(self, platform: &Platform) -> Step {
        Step { platform: Some(platform.clone()), ..self }
    }

    /// The same with so many bytes in all.
    pub fn sized(self, bytes: u64) -> Step {
        Step { bytes: Some(bytes), ..self }
    }
}

/// Who listens.
pub trait Progress: Sync {
    /// Takes one event. Called from any thread; must not block for long.
    fn event(&self, event: Event);

    /// A step begins.
    fn step(&self, step: Step) {
        self.event(Event::Step(step));
    }

    /// A note about something whose name the text has.
    fn note(&self, text: &str) {
        self.event(Event::Note { platform: None, about: None, text: text.to_string() });
    }

    /// A note about one platform.
    fn note_of(&self, platform: &Platform, text: &str) {
        self.event(Event::Note { platform: Some(platform.clone()), about: None, text: text.to_string() });
    }
}

/// Nobody listens.
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: Event) {}
}

/// A reader that reports how many bytes were read.
pub(crate) struct Reporting<'a, R> {
    inner: R,
    progress: &'a dyn Progress,
}

impl<'a, R> Reporting<'a, R> {
    /// Reports what is read of `inner`.
    pub fn new(inner: R, progress: &'a dyn Progress) -> Reporting<'a, R> {
        Reporting { inner, progress }
    }
}

impl<R: Read> Read for Reporting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.event(Event::Bytes(count as u64));
        Ok(count)
    }
}

/// Passes events on, and each note only once: several trees can have the same.
pub struct NotesOnce<'a> {
    inner: &'a dyn Progress,
    seen: Mutex<BTreeSet<(Option<Platform>, String)>>,
}

impl<'a> NotesOnce<'a> {
    /// Passes them on to `inner`.
    pub fn new(inner: &'a dyn Progress) -> NotesOnce<'a> {
        NotesOnce { inner, seen: Mutex::default() }
    }
}

impl Progress for NotesOnce<'_> {
    fn event(&self, event: Event) {
        if let Event::Note { platform, text, .. } = &event {
            let note = (platform.clone(), text.clone());
            if !self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(note) {
                return;
            }
        }
        self.inner.event(event);
    }
}
