//! The findings of several trees as one report.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use crate::platform::Platform;
use crate::report::{Code, CommandUse, Evidence, Finding, FindingSubject, Report, Severity};

use super::read::Verdict;

/// The findings of all trees, each once. What was found in several trees of one platform is one finding, and so is what was
/// found on several platforms: it names them all.
pub fn merged(verdicts: &[Verdict]) -> Report {
    let mut platforms: Vec<&Platform> = Vec::new();
    for verdict in verdicts {
        if !platforms.contains(&&verdict.platform) {
            platforms.push(&verdict.platform);
        }
    }
    let mut report = Report::default();
    for platform in platforms {
        let mut findings = Vec::new();
        for tree in verdicts.iter().filter(|verdict| verdict.platform == *platform) {
            merge(&mut findings, &tree.verification.report.findings, here, |known, finding| {
                known.severity = known.severity.max(finding.severity);
            });
        }
        merge(&mut report.findings, &findings, elsewhere, |known, finding| {
            known.platforms.extend(finding.platforms.iter().cloned());
        });
    }
    report
}

/// Joins each new finding with a known one that is the same. Of the new ones no two are the same, even if nothing tells them
/// apart: they are from one place.
fn merge(
    known: &mut Vec<Finding>,
    new: &[Finding],
    key: impl for<'a> Fn(&'a Finding) -> Key<'a>,
    join: impl Fn(&mut Finding, &Finding),
) {
    // Each known one counts once, the first one first.
    let mut free: BTreeMap<Key<'_>, VecDeque<usize>> = BTreeMap::new();
    for (at, finding) in known.iter().enumerate() {
        free.entry(key(finding)).or_default().push_back(at);
    }
    let taken: Vec<Option<usize>> =
        new.iter().map(|finding| free.get_mut(&key(finding)).and_then(VecDeque::pop_front)).collect();
    for (finding, at) in new.iter().zip(taken) {
        match at {
            Some(at) => join(&mut known[at], finding),
            None => known.push(finding.clone()),
        }
    }
}

/// What makes two findings the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    code: Code,
    subject: &'a FindingSubject,
    message: Cow<'a, str>,
    rest: Option<Rest<'a>>,
}

/// All else but the platforms.
type Rest<'a> = (Severity, &'a [Evidence], Option<&'a str>, Option<&'a str>, &'a [String], &'a [CommandUse], usize);

/// Of one platform, in different trees: both are about the same thing.
fn here(finding: &Finding) -> Key<'_> {
    let mut message = Cow::Borrowed(finding.message.as_str());
    // Each tree has its own word in messages.
    for word in ["the initramfs", "the tree"] {
        if message.contains(word) {
            message = message.replace(word, "the image").into();
        }
    }
    Key { code: finding.code, subject: &finding.subject, message, rest: None }
}

/// On different platforms: they differ in nothing else.
fn elsewhere(finding: &Finding) -> Key<'_> {
    let Finding { code, severity, platforms: _, subject, message, evidence, run_time, fix, also, roles, scripts } =
        finding;
    let rest = (*severity, &**evidence, run_time.as_deref(), fix.as_deref(), &**also, &**roles, *scripts);
    Key { code: *code, subject, message: message.into(), rest: Some(rest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Verification;

    fn verdict(platform: &str, findings: &[(&str, Severity, &str)]) -> Verdict {
        let findings = findings.iter().map(|(path, severity, message)| Finding {
            platforms: vec![platform.parse().unwrap()],
            ..Finding::new(Code("interp-missing"), *severity, FindingSubject::Path((*path).to_string()), *message)
        });
        let report = Report { findings: findings.collect() };
        Verdict {
            platform: platform.parse().unwrap(),
            verification: Verification { report, ..Verification::default() },
        }
    }

    /// What is left: platform, path, severity and message of each.
    fn left(verdicts: &[Verdict]) -> Vec<String> {
        let line = |one: Finding| {
            format!("{} {} {} {}", one.platform().unwrap_or_default(), one.subject, one.severity, one.message)
        };
        merged(verdicts).findings.into_iter().map(line).collect()
    }

    #[test]
    fn the_same_finding_on_several_platforms_names_them() {
        let here = verdict("linux/amd64", &[("/a", Severity::Warning, "x"), ("/b", Severity::Error, "y")]);
        let there = verdict("linux/arm64", &[("/b", Severity::Error, "z"), ("/a", Severity::Warning, "x")]);
        assert_eq!(
            left(&[here, there]),
            ["linux/amd64, linux/arm64 /a warning x", "linux/amd64 /b error y", "linux/arm64 /b error z"]
        );
    }

    #[test]
    fn what_two_trees_of_a_platform_share_is_one_finding_of_the_graver_kind() {
        let image = verdict("linux/amd64", &[("/a", Severity::Warning, "which the image does not contain")]);
        let archive = verdict("linux/amd64", &[("/a", Severity::Error, "which the initramfs does not contain")]);
        let other = verdict("linux/amd64", &[("/a", Severity::Error, "is empty")]);
        assert_eq!(
            left(&[image, archive, other]),
            ["linux/amd64 /a error which the image does not contain", "linux/amd64 /a error is empty"]
        );
    }

    #[test]
    fn two_findings_of_one_tree_stay_two() {
        let twice = || verdict("linux/amd64", &[("/a", Severity::Note, "x"), ("/a", Severity::Note, "x")]);
        assert_eq!(left(&[twice()]).len(), 2);
        assert_eq!(left(&[twice(), twice()]).len(), 2);
    }

    /// If each finding were compared with each, this would take hours.
    #[test]
    fn a_hundred_thousand_findings_are_merged() {
        let paths: Vec<String> = (0..100_000).map(|number| format!("/{number}")).collect();
        let findings: Vec<_> = paths.iter().map(|path| (path.as_str(), Severity::Note, "x")).collect();
        let trees = ["linux/amd64", "linux/amd64", "linux/arm64"].map(|platform| verdict(platform, &findings));
        assert_eq!(merged(&trees).findings.len(), 100_000);
    }
}
