//! What a long piece of work tells while it goes on. The library emits events and knows no terminal.

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
