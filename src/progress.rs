//! What a long piece of work tells while it goes on. The library emits events and knows no terminal.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A step began, such as `linux/amd64: reading stage/amd64`.
    Step(&'a str),
    /// So many more bytes of file contents were read into a layer.
    Read(u64),
    /// Something that the user should know and that is no finding.
    Note(&'a str),
}

/// Who listens.
pub trait Progress: Sync {
    /// Takes one event. Called from any thread; must not block for long.
    fn event(&self, event: Event<'_>);
}

/// Nobody listens.
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: Event<'_>) {}
}

/// Passes events on, and each note only once: several trees can have the same.
pub struct NotesOnce<'a> {
    inner: &'a dyn Progress,
    seen: Mutex<BTreeSet<String>>,
}

impl<'a> NotesOnce<'a> {
    /// Passes them on to `inner`.
    pub fn new(inner: &'a dyn Progress) -> NotesOnce<'a> {
        NotesOnce { inner, seen: Mutex::default() }
    }
}

impl Progress for NotesOnce<'_> {
    fn event(&self, event: Event<'_>) {
        if let Event::Note(text) = event
            && !self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_string())
        {
            return;
        }
        self.inner.event(event);
    }
}
