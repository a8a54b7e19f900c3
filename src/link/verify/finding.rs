//! Findings: what is wrong with a file, with its names and roles.

use crate::link::lookup::CommandRole;
use crate::path::{ImagePath, display_bytes};
use crate::report::{Evidence, Finding, FindingSubject};

use super::programs::Weight;
use crate::link::draft::{Draft, Ending};
use crate::link::severity::elsewhere;
use crate::link::subject::Subject;

/// A file that must start, and why.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub weight: Weight,
    /// The first of its names.
    pub path: ImagePath,
    /// The names under which it starts alike: all of the file, or those with one `$ORIGIN` where that decides.
    pub names: Vec<ImagePath>,
    /// What the image calls it, with the path that it spells.
    pub roles: Vec<(CommandRole, Vec<u8>)>,
    /// How many scripts it runs.
    pub scripts: usize,
}

impl Subject<'_> {
    /// A finding about a file.
    pub(crate) fn finding(&self, target: &Target, draft: Draft) -> Finding {
        let mut evidence = draft.evidence;
        let remark = remark(target);
        if !remark.is_empty() {
            match evidence.first_mut() {
                Some(first) if first.detail.is_empty() => first.detail = remark,
                Some(_) | None => evidence.push(Evidence { subject: target.path.to_string(), detail: remark }),
            }
        }
        let spelled = match target.roles.first() {
            Some((_, spelled)) => display_bytes(spelled),
            None => target.path.to_string(),
        };
        Finding {
            code: draft.code,
            severity: if target.weight == Weight::Elsewhere {
                elsewhere(&draft.code, draft.severity)
            } else {
                draft.severity
            },
            platforms: vec![self.platform.clone()],
            subject: FindingSubject::Path(target.path.to_string()),
            message: draft.message,
            evidence,
            run_time: run_time(&draft.ending, &spelled),
            fix: draft.fix,
            also: target.names.iter().skip(1).map(ImagePath::to_string).collect(),
        }
    }

    /// A finding about something that is not a program: a path that leads nowhere, a setting.
    pub(crate) fn plain_finding(&self, subject: FindingSubject, draft: Draft) -> Finding {
        Finding {
            code: draft.code,
            severity: draft.severity,
            platforms: vec![self.platform.clone()],
            run_time: run_time(&draft.ending, subject.as_str()),
            subject,
            message: draft.message,
            evidence: draft.evidence,
            fix: draft.fix,
            also: Vec::new(),
        }
    }
}

/// How a file is known: `302 links point at it, the entry point /bin/sh among them`.
fn remark(target: &Target) -> String {
    let mut parts = Vec::new();
    let (direct, by_link): (Vec<_>, Vec<_>) =
        target.roles.iter().partition(|(_, spelled)| spelled.as_slice() == target.path.as_bytes());
    for (role, _) in direct {
        parts.push(format!("it is {role}"));
    }
    let among: Vec<String> =
        by_link.iter().map(|(role, spelled)| format!("{role} {}", display_bytes(spelled))).collect();
    match (target.names.len().saturating_sub(1), among.is_empty()) {
        (0, true) => {}
        (0, false) => parts.push(format!("{} leads to it", among.join(" and "))),
        (1, true) => parts.push("1 link points at it".to_string()),
        (1, false) => parts.push(format!("1 link points at it, {}", among.join(" and "))),
        (count, true) => parts.push(format!("{count} links point at it")),
        (count, false) => parts.push(format!("{count} links point at it, {} among them", among.join(" and "))),
    }
    match target.scripts {
        0 => {}
        1 => parts.push("1 script is run by it".to_string()),
        count => parts.push(format!("{count} scripts are run by it")),
    }
    parts.join("; ")
}

/// What the user of an engine sees.
fn run_time(ending: &Ending, spelled: &str) -> Option<String> {
    match ending {
        Ending::Silent => None,
        Ending::Says(text) => Some(text.clone()),
        Ending::Refused(error) => Some(format!("exec {spelled}: {}", error.text())),
        Ending::Killed(signal, code) => Some(format!("nothing is printed: {signal}, exit code {code}")),
    }
}
