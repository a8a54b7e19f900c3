//! The verifier. For now: its vocabulary.

use std::sync::Arc;

use crate::oci::Settings;
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::report::{Code, Report};
use crate::tree::Tree;

/// What the tree is for.
pub enum Purpose {
    /// A container.
    Container,
    /// Nothing in particular.
    Plain,
}

/// A C library.
pub enum Libc {
    /// musl.
    Musl,
    /// glibc.
    Glibc,
}

/// A finding that is accepted.
#[derive(Clone)]
pub struct Allowance {
    /// Its code.
    pub code: String,
    /// On which paths.
    pub covers: Arc<dyn Fn(&ImagePath) -> bool + Send + Sync>,
}

impl Allowance {
    /// Accepts findings of a code on the paths that `covers` says yes to.
    pub fn new(
        code: impl Into<String>,
        _written: impl Into<String>,
        _reason: Option<String>,
        covers: impl Fn(&ImagePath) -> bool + Send + Sync + 'static,
    ) -> Allowance {
        Allowance { code: code.into(), covers: Arc::new(covers) }
    }
}

/// What the verifier is told.
#[derive(Default)]
pub struct Policy {
    /// Nothing may need a loader.
    pub static_only: bool,
    /// Nothing may need another C library.
    pub libc: Option<Libc>,
    /// The largest size of the tree, in bytes.
    pub max_size: Option<u64>,
    /// What is accepted.
    pub allow: Vec<Allowance>,
    /// Further programs that must start.
    pub programs: Vec<ImagePath>,
}

/// What is judged.
pub struct Subject<'a> {
    /// The files.
    pub tree: &'a Tree,
    /// The platform.
    pub platform: &'a Platform,
    /// How a container is started.
    pub settings: Option<&'a Settings>,
    /// What the tree is for.
    pub purpose: Purpose,
    /// What is asked for.
    pub policy: &'a Policy,
}

/// What was found.
pub struct Judgement {
    /// The findings.
    pub report: Report,
}

/// Judges a tree.
pub fn verify(_subject: &Subject<'_>) -> Judgement {
    Judgement { report: Report::default() }
}

/// The page of a code.
pub fn explain(_code: &str) -> Option<&'static str> {
    None
}

/// A code.
pub struct Row {
    /// The code.
    pub code: Code,
}

/// All codes.
pub const CODES: &[Row] = &[];
