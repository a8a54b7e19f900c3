//! The policy of a verification: what is required, and which findings are accepted.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::path::ImagePath;
use crate::report::Finding;

/// A C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Libc {
    /// musl: loader and library are one file.
    Musl,
    /// The GNU C library.
    Glibc,
    /// Android's.
    Bionic,
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Libc::Musl => "musl",
            Libc::Glibc => "glibc",
            Libc::Bionic => "bionic",
        })
    }
}

/// What the verifier gets in addition to the tree: the recipe's `[verify]`, `--allow`, `--baseline`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Policy {
    /// Whether to refuse programs that need a loader.
    pub static_only: bool,
    /// The only C library that programs may need.
    pub libc: Option<Libc>,
    /// The largest size of the uncompressed tree, in bytes.
    pub max_size: Option<u64>,
    /// Further programs that must start, besides entry point, health check and init.
    pub programs: Vec<ImagePath>,
    /// Findings that are accepted.
    pub allow: Vec<Allowance>,
    /// Findings that existed before.
    pub baseline: Baseline,
    /// The number of threads that check programs; 0 counts as 1. It never changes the findings.
    pub threads: usize,
}

/// One kind of finding that is accepted, with its reason.
#[derive(Clone)]
pub struct Allowance {
    /// The code, such as `lib-missing`.
    pub code: String,
    /// The pattern of the paths, as written; empty for all paths.
    pub written: String,
    /// The reason, if one is given.
    pub reason: Option<String>,
    covers: Arc<dyn Fn(&ImagePath) -> bool + Send + Sync>,
}

impl Allowance {
    /// Accepts findings of a code on the paths for which `covers` returns true. The caller (recipe, command line) compiles
    /// the patterns.
    pub fn new(
        code: impl Into<String>,
        written: impl Into<String>,
        reason: Option<String>,
        covers: impl Fn(&ImagePath) -> bool + Send + Sync + 'static,
    ) -> Allowance {
        Allowance { code: code.into(), written: written.into(), reason, covers: Arc::new(covers) }
    }

    /// Whether a finding of this code about this path is accepted.
    pub(super) fn accepts(&self, code: &str, path: &ImagePath) -> bool {
        self.code == code && (self.covers)(path)
    }
}

impl fmt::Debug for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.code, self.written)
    }
}

/// The findings that a tree had when the baseline was written. They are not reported again; new ones are.
///
/// Its text has one line per finding: code, platform and path, with tabs between. The message is not part of it, so a
/// better wording does not bring old findings back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline(BTreeSet<String>);

impl Baseline {
    /// No findings.
    pub const fn empty() -> Baseline {
        Baseline(BTreeSet::new())
    }

    /// Reads the text of a baseline file. Empty lines and lines that start with `#` are skipped.
    pub fn parse(text: &str) -> Baseline {
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Baseline(lines.map(str::to_string).collect())
    }

    /// The baseline that accepts these findings.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Baseline {
        Baseline(findings.into_iter().flat_map(lines_of).collect())
    }

    /// Whether the baseline contains a finding.
    pub fn holds(&self, finding: &Finding) -> bool {
        !self.0.is_empty() && lines_of(finding).iter().all(|line| self.0.contains(line))
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("# Known findings: code, platform, path or setting. Made by `sazare verify --write-baseline`.\n")?;
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// One line for each platform.
fn lines_of(finding: &Finding) -> Vec<String> {
    let line = |platform: &str| format!("{}\t{platform}\t{}", finding.code, finding.subject);
    match finding.platforms.is_empty() {
        true => vec![line("-")],
        false => finding.platforms.iter().map(|platform| line(&platform.to_string())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Arch, Platform};
    use crate::report::{Code, FindingSubject, Severity};

    #[test]
    fn a_baseline_survives_its_own_text_and_a_new_wording() {
        let mut finding = Finding {
            platforms: vec![Platform::new(Arch::Arm64)],
            ..Finding::new(Code("interp-missing"), Severity::Error, FindingSubject::Path("/bin/a b".into()), "needs")
        };
        let baseline = Baseline::parse(&Baseline::of([&finding]).to_string());
        finding.message = "wants".into();
        assert!(baseline.holds(&finding));
        let known = finding.subject.clone();
        finding.subject = FindingSubject::Path("/bin/b".into());
        assert!(!baseline.holds(&finding));
        finding.subject = known;
        finding.platforms.push(Platform::new(Arch::Amd64));
        assert!(!baseline.holds(&finding), "on another platform it is new");
        assert_eq!(Baseline::of([&finding]).to_string().lines().count(), 3);
    }
}
