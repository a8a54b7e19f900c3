//! Drafts: what is wrong with one file, before the names and roles of the file are known.

use crate::report::{Code, CommandUse, Evidence, FindingSubject, Severity};

/// What is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub code: Code,
    pub severity: Severity,
    pub message: String,
    pub evidence: Vec<Evidence>,
    pub ending: Ending,
    pub fix: Option<String>,
}

/// What is wrong with something that is not a program: a path that does not exist, or a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainDraft {
    pub subject: FindingSubject,
    pub draft: Draft,
    /// The role of the path in the image config, if the subject is a path.
    pub called: Option<CommandUse>,
}

impl PlainDraft {
    /// About a path or setting that is not a command.
    pub fn new(subject: FindingSubject, draft: Draft) -> PlainDraft {
        PlainDraft { subject, draft, called: None }
    }

    /// About a path of a command.
    pub fn command(called: CommandUse, draft: Draft) -> PlainDraft {
        PlainDraft { subject: FindingSubject::Path(called.path.clone()), draft, called: Some(called) }
    }
}

/// What happens at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing is visible at once.
    Silent,
    /// execve(2) fails.
    Refused(ExecError),
    /// The process is killed by a signal and prints nothing.
    Killed(&'static str, u8),
    /// A program prints this.
    Says(String),
}

/// The error numbers with which execve(2) fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExecError {
    NotFound,
    Format,
    Denied,
    BadLibrary,
    InputOutput,
    Loop,
    NotADirectory,
    NameTooLong,
}

impl ExecError {
    /// Its number on Linux.
    pub fn number(self) -> i32 {
        match self {
            ExecError::NotFound => 2,
            ExecError::Format => 8,
            ExecError::Denied => 13,
            ExecError::BadLibrary => 80,
            ExecError::InputOutput => 5,
            ExecError::Loop => 40,
            ExecError::NotADirectory => 20,
            ExecError::NameTooLong => 36,
        }
    }

    /// What runc prints for it (Go's text).
    pub fn text(self) -> &'static str {
        match self {
            ExecError::NotFound => "no such file or directory",
            ExecError::Format => "exec format error",
            ExecError::Denied => "permission denied",
            ExecError::BadLibrary => "accessing a corrupted shared library",
            ExecError::InputOutput => "input/output error",
            ExecError::Loop => "too many levels of symbolic links",
            ExecError::NotADirectory => "not a directory",
            ExecError::NameTooLong => "file name too long",
        }
    }
}

impl From<crate::tree::Errno> for ExecError {
    fn from(errno: crate::tree::Errno) -> ExecError {
        match errno {
            crate::tree::Errno::NotFound => ExecError::NotFound,
            crate::tree::Errno::NoAccess => ExecError::Denied,
            crate::tree::Errno::NotADirectory => ExecError::NotADirectory,
            crate::tree::Errno::Loop => ExecError::Loop,
            crate::tree::Errno::NameTooLong => ExecError::NameTooLong,
        }
    }
}

impl Draft {
    pub fn new(code: Code, severity: Severity, message: impl Into<String>) -> Draft {
        debug_assert!(super::severity::is_listed(&code, severity), "{code} is not listed as {severity}");
        Draft { code, severity, message: message.into(), evidence: Vec::new(), ending: Ending::Silent, fix: None }
    }

    pub fn error(code: Code, message: impl Into<String>) -> Draft {
        Draft::new(code, Severity::Error, message)
    }

    pub fn warning(code: Code, message: impl Into<String>) -> Draft {
        Draft::new(code, Severity::Warning, message)
    }

    pub fn note(code: Code, message: impl Into<String>) -> Draft {
        Draft::new(code, Severity::Note, message)
    }

    pub fn refused(mut self, error: ExecError) -> Draft {
        self.ending = Ending::Refused(error);
        self
    }

    pub fn killed(mut self, signal: &'static str, code: u8) -> Draft {
        self.ending = Ending::Killed(signal, code);
        self
    }

    pub fn says(mut self, text: impl Into<String>) -> Draft {
        self.ending = Ending::Says(text.into());
        self
    }

    pub fn because(mut self, subject: impl Into<String>, detail: impl Into<String>) -> Draft {
        self.evidence.push(Evidence { subject: subject.into(), detail: detail.into() });
        self
    }

    pub fn fix(mut self, text: impl Into<String>) -> Draft {
        self.fix = Some(text.into());
        self
    }
}

/// The recipe's lines that give a path a mode.
pub(super) fn permissions(path: &str, mode: &str) -> String {
    format!("give it mode {mode}: [[path]] path = \"{path}\", type = \"permissions\", mode = \"{mode}\"")
}
