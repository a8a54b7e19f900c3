//! How the image uses a file, in words: what it calls it, how many links lead to it, how many scripts it runs.

use crate::report::{CommandRole, Evidence, Finding};

/// A role as it stands in a sentence.
fn role_words(role: CommandRole) -> &'static str {
    match role {
        CommandRole::Entrypoint => "the entry point",
        CommandRole::Cmd => "the command",
        CommandRole::Healthcheck => "the health check",
        CommandRole::HealthcheckShell => "the health check's shell",
        CommandRole::Init => "init",
        CommandRole::Required => "a program of [verify] programs",
    }
}

/// `302 links point at it, the entry point /bin/sh among them`; empty where nothing is to be said.
pub(super) fn uses(finding: &Finding) -> String {
    let mut parts = Vec::new();
    let (direct, by_link): (Vec<_>, Vec<_>) =
        finding.roles.iter().partition(|called| called.path == finding.subject.as_str());
    parts.extend(direct.iter().map(|called| format!("it is {}", role_words(called.role))));
    let named: Vec<String> =
        by_link.iter().map(|called| format!("{} {}", role_words(called.role), called.path)).collect();
    let named = named.join(" and ");
    match (finding.also.len(), named.is_empty()) {
        (0, true) => {}
        (0, false) => parts.push(format!("{named} leads to it")),
        (1, true) => parts.push("1 link points at it".to_string()),
        (1, false) => parts.push(format!("1 link points at it, {named}")),
        (count, true) => parts.push(format!("{count} links point at it")),
        (count, false) => parts.push(format!("{count} links point at it, {named} among them")),
    }
    match finding.scripts {
        0 => {}
        1 => parts.push("1 script is run by it".to_string()),
        count => parts.push(format!("{count} scripts are run by it")),
    }
    parts.join("; ")
}

/// The evidence with how the file is used: beside the first fact if nothing stands there, or beside the first fact about the file
/// itself, otherwise in a line of its own.
pub(super) fn evidence(finding: &Finding) -> Vec<Evidence> {
    let mut evidence = finding.evidence.clone();
    let uses = uses(finding);
    if uses.is_empty() {
        return evidence;
    }
    if let Some(first) = evidence.first_mut().filter(|first| first.detail.is_empty()) {
        first.detail = uses;
    } else if let Some(own) = evidence.iter_mut().find(|fact| fact.subject == finding.subject.as_str()) {
        own.detail = format!("{}; {uses}", own.detail);
    } else {
        evidence.push(Evidence { subject: finding.subject.to_string(), detail: uses });
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Code, CommandUse, FindingSubject, Severity};

    fn finding(roles: &[(CommandRole, &str)], also: usize, scripts: usize) -> Finding {
        Finding {
            roles: roles.iter().map(|(role, path)| CommandUse::new(*role, path.as_bytes())).collect(),
            also: (0..also).map(|number| format!("/link{number}")).collect(),
            scripts,
            ..Finding::new(Code("x"), Severity::Error, FindingSubject::Path("/bin/app".into()), "fails")
        }
    }

    #[test]
    fn each_use_has_its_words() {
        let cmd = (CommandRole::Cmd, "/bin/app");
        let check = (CommandRole::Healthcheck, "/link0");
        for (finding, words) in [
            (finding(&[], 0, 0), ""),
            (finding(&[cmd], 0, 0), "it is the command"),
            (finding(&[check], 0, 0), "the health check /link0 leads to it"),
            (finding(&[], 1, 1), "1 link points at it; 1 script is run by it"),
            (finding(&[check], 1, 0), "1 link points at it, the health check /link0"),
            (finding(&[], 3, 0), "3 links point at it"),
            (
                finding(&[cmd, check], 3, 2),
                "it is the command; 3 links point at it, the health check /link0 among them; 2 scripts are run by it",
            ),
        ] {
            assert_eq!(uses(&finding), words);
        }
    }

    #[test]
    fn uses_stand_beside_the_first_fact_or_in_a_line_of_their_own() {
        let mut finding = finding(&[(CommandRole::Init, "/bin/app")], 0, 0);
        let line = |subject: &str, detail: &str| Evidence { subject: subject.into(), detail: detail.into() };
        assert_eq!(evidence(&finding), [line("/bin/app", "it is init")]);
        finding.evidence = vec![line("first line", "")];
        assert_eq!(evidence(&finding), [line("first line", "it is init")]);
        finding.evidence = vec![line("/bin/sh", "absent")];
        assert_eq!(evidence(&finding), [line("/bin/sh", "absent"), line("/bin/app", "it is init")]);
        finding.evidence.push(line("/bin/app", "mode 0644"));
        assert_eq!(evidence(&finding), [line("/bin/sh", "absent"), line("/bin/app", "mode 0644; it is init")]);
    }
}
