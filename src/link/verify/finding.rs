//! Makes findings from drafts: adds the names and roles of the file, and the severity that follows from them.

use crate::path::ImagePath;
use crate::report::{CommandUse, Finding, FindingSubject};

use super::programs::Weight;
use crate::link::draft::{Draft, Ending, PlainDraft};
use crate::link::severity::elsewhere;
use crate::link::subject::Subject;

/// A file that must start, and why.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub weight: Weight,
    /// The first of its names.
    pub path: ImagePath,
    /// The names under which it starts alike: all names of the file, or those with the same `$ORIGIN` if that matters.
    pub names: Vec<ImagePath>,
    /// Its role in the image config, with the path as written there.
    pub roles: Vec<CommandUse>,
    /// The number of scripts that it interprets.
    pub scripts: usize,
}

impl Target {
    /// The path with which it is started, for display.
    pub(crate) fn spelled(&self) -> String {
        self.roles.first().map_or_else(|| self.path.to_string(), |called| called.path.clone())
    }
}

impl Subject<'_> {
    /// A finding about a file.
    pub(crate) fn finding(&self, target: &Target, draft: Draft) -> Finding {
        let severity = match target.weight {
            Weight::Elsewhere => elsewhere(&draft.code, draft.severity),
            Weight::Named | Weight::Found => draft.severity,
        };
        Finding {
            platforms: vec![self.platform.clone()],
            evidence: draft.evidence,
            run_time: run_time(&draft.ending, &target.spelled()),
            fix: draft.fix,
            also: target.names.iter().skip(1).map(ImagePath::to_string).collect(),
            roles: target.roles.clone(),
            scripts: target.scripts,
            ..Finding::new(draft.code, severity, FindingSubject::Path(target.path.to_string()), draft.message)
        }
    }

    /// A finding about something that is not a program: a path that does not exist, or a setting.
    pub(crate) fn plain_finding(&self, plain: PlainDraft) -> Finding {
        let PlainDraft { subject, draft, called } = plain;
        Finding {
            platforms: vec![self.platform.clone()],
            run_time: run_time(&draft.ending, subject.as_str()),
            evidence: draft.evidence,
            fix: draft.fix,
            roles: called.into_iter().collect(),
            ..Finding::new(draft.code, draft.severity, subject, draft.message)
        }
    }
}

/// The message that the user of an engine sees.
fn run_time(ending: &Ending, spelled: &str) -> Option<String> {
    match ending {
        Ending::Silent => None,
        Ending::Says(text) => Some(text.clone()),
        Ending::Refused(error) => Some(format!("exec {spelled}: {}", error.text())),
        Ending::Killed(signal, code) => Some(format!("nothing is printed: {signal}, exit code {code}")),
    }
}
