//! Findings as data. The checks add them, `render` prints them.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::path::display_bytes;
use crate::platform::Platform;

/// How severe a finding is.
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Evidence {
    /// What was looked at: a path that was tried, or a fact such as `PT_INTERP of /bin/busybox`.
    pub subject: String,
    /// The rule that led there, or what was found there.
    pub detail: String,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingSubject {
    /// A path inside the image, escaped for display.
    Path(String),
    /// A setting of the image, by its name in the recipe or in the environment: `entrypoint`, `PATH`.
    Setting(String),
}

impl FindingSubject {
    /// The path or name.
    pub fn as_str(&self) -> &str {
        match self {
            FindingSubject::Path(text) | FindingSubject::Setting(text) => text,
        }
    }
}

impl fmt::Display for FindingSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a program is to an image or initramfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CommandRole {
    /// The first word of `entrypoint`.
    Entrypoint,
    /// The first word of `cmd`, where there is no entry point.
    Cmd,
    /// The program of the health check.
    Healthcheck,
    /// The shell that a health check in one text is run with.
    HealthcheckShell,
    /// The first program of an initramfs.
    Init,
    /// One of the programs that the policy lists.
    Required,
}

/// What the image calls a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CommandUse {
    /// What it is to the image.
    pub role: CommandRole,
    /// The path by which the image names it, escaped for display.
    pub path: String,
}

impl CommandUse {
    /// A file by the path that the image names it.
    pub(crate) fn new(role: CommandRole, path: &[u8]) -> CommandUse {
        CommandUse { role, path: display_bytes(path) }
    }
}

/// One finding: all that is known about it, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Finding {
    /// The stable code.
    pub code: Code,
    /// How severe it is.
    pub severity: Severity,
    /// The platforms whose trees have it; empty where there is none.
    #[serde(rename = "platform", skip_serializing_if = "Vec::is_empty", serialize_with = "as_text")]
    pub platforms: Vec<Platform>,
    /// What is at fault.
    #[serde(flatten)]
    pub subject: FindingSubject,
    /// What is wrong, following the subject in a sentence: `needs /lib/ld-musl-aarch64.so.1, which …`.
    pub message: String,
    /// What was looked at to find it.
    pub evidence: Vec<Evidence>,
    /// What docker, podman, the kernel or the loader would print.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_time: Option<String>,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Other paths that the same finding holds for, such as links to the file; in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What the image calls the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<CommandUse>,
    /// How many scripts are run by the file.
    #[serde(skip_serializing_if = "is_zero")]
    pub scripts: usize,
}

impl Finding {
    /// A finding of no platform, of which no more is known.
    pub fn new(code: Code, severity: Severity, subject: FindingSubject, message: impl Into<String>) -> Finding {
        Finding {
            code,
            severity,
            platforms: Vec::new(),
            subject,
            message: message.into(),
            evidence: Vec::new(),
            run_time: None,
            fix: None,
            also: Vec::new(),
            roles: Vec::new(),
            scripts: 0,
        }
    }

    /// Its platforms as one text: `linux/amd64, linux/arm64`; `None` where there is none.
    pub fn platform(&self) -> Option<String> {
        (!self.platforms.is_empty()).then(|| joined(&self.platforms))
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn joined(platforms: &[Platform]) -> String {
    platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
}

fn as_text<S: Serializer>(platforms: &[Platform], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&joined(platforms))
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// In the order in which they were found, which is the same every time.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Adds one finding.
    pub fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// How many findings have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Whether a finding prevents writing the image.
    pub fn refuses(&self) -> bool {
        self.count(Severity::Error) > 0
    }
}
