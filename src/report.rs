//! Findings as data. Whoever judges adds them, whoever prints reads them; texts for a person are made in `render`.

use std::fmt;

use serde::Serialize;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// May fail, or fails later.
    Warning,
    /// Would not start: nothing is written.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// The stable name of a kind of finding, such as `interp-missing`. The codes belong to the modules that find them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One thing that was looked at on the way to a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What was looked at: a path that was tried, or a fact such as `PT_INTERP of /bin/busybox`.
    pub subject: String,
    /// The rule by which it was looked at, or what was found there.
    pub detail: String,
}

/// One finding: all that is known about it, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// The stable code.
    pub code: Code,
    /// How much it weighs.
    pub severity: Severity,
    /// The platform whose tree was judged, in its usual spelling; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The file that is at fault, as a path inside the image, escaped for display.
    pub path: String,
    /// What is wrong, following the path in a sentence: `needs /lib/ld-musl-aarch64.so.1, which …`.
    pub message: String,
    /// How we know.
    pub evidence: Vec<Evidence>,
    /// The words that the user would have seen from docker, podman or the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_time: Option<String>,
    /// What to do, in this project's own terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Other paths that the same finding holds for, such as links to the file; in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order in which they were found, which is the same every time.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Adds one finding.
    pub fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// How many findings have this weight.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Whether anything found forbids writing the image.
    pub fn refuses(&self) -> bool {
        self.count(Severity::Error) > 0
    }
}
