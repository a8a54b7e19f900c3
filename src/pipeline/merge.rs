//! The findings of several trees as one report.

use crate::platform::Platform;
use crate::report::{Finding, Report};

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
            merge(&mut findings, &tree.verification.report.findings, is_same_here, |known, finding| {
                known.severity = known.severity.max(finding.severity);
            });
        }
        merge(&mut report.findings, &findings, is_same_elsewhere, |known, finding| {
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
    is_same: fn(&Finding, &Finding) -> bool,
    join: impl Fn(&mut Finding, &Finding),
) {
    let mut free = vec![true; known.len()];
    for finding in new {
        match known.iter().zip(&free).position(|(known, free)| *free && is_same(known, finding)) {
            Some(at) => {
                free[at] = false;
                join(&mut known[at], finding);
            }
            None => known.push(finding.clone()),
        }
    }
}

/// Whether two findings of one platform, in different trees, are about the same thing.
fn is_same_here(one: &Finding, other: &Finding) -> bool {
    // Each tree has its own word in messages.
    let words =
        |finding: &Finding| finding.message.replace("the initramfs", "the image").replace("the tree", "the image");
    (one.code, &one.subject) == (other.code, &other.subject) && words(one) == words(other)
}

/// Whether two findings differ in nothing but the platform.
fn is_same_elsewhere(one: &Finding, other: &Finding) -> bool {
    *one == Finding { platforms: one.platforms.clone(), ..other.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Verification;
    use crate::report::{Code, FindingSubject, Severity};

    fn verdict(platform: &str, findings: &[(&str, Severity, &str)]) -> Verdict {
        let findings = findings.iter().map(|(path, severity, message)| Finding {
            code: Code("interp-missing"),
            severity: *severity,
            platforms: vec![platform.parse().unwrap()],
            subject: FindingSubject::Path((*path).to_string()),
            message: (*message).to_string(),
            evidence: Vec::new(),
            run_time: None,
            fix: None,
            also: Vec::new(),
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
}
