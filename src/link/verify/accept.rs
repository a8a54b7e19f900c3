//! What the policy requires of programs, and which findings it accepts.

use crate::elf::Linkage;
use crate::path::ImagePath;
use crate::report::{Code, Finding, FindingSubject, Report};

use crate::link::draft::Draft;
use crate::link::policy::{Libc, Policy};
use crate::link::subject::Subject;

/// A program is dynamically linked, and the policy asks for static ones.
pub const POLICY_STATIC: Code = Code("policy-static");
/// A program needs another C library than the policy allows.
pub const POLICY_LIBC: Code = Code("policy-libc");
/// The tree is larger than it may be.
pub const POLICY_SIZE: Code = Code("policy-size");
/// An allowance that accepts nothing that was found.
pub const ALLOW_UNUSED: Code = Code("allow-unused");

/// What a program breaks of the policy.
pub(crate) fn policy_drafts(policy: &Policy, linkage: Linkage, libc: Option<Libc>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    if policy.static_only && linkage == Linkage::Dynamic {
        drafts.push(
            Draft::error(POLICY_STATIC, "is dynamically linked, but [verify] static = true")
                .fix("link it statically, or remove `static` from [verify]"),
        );
    }
    if let (Some(wanted), Some(libc)) = (policy.libc, libc)
        && wanted != libc
    {
        drafts.push(
            Draft::error(POLICY_LIBC, format!("is built for {libc}, but [verify] libc = \"{wanted}\""))
                .fix(format!("use the build for {wanted}, or a static one")),
        );
    }
    drafts
}

/// Whether a tree whose files hold `size` bytes is too large.
pub(crate) fn size_draft(policy: &Policy, size: u64) -> Option<Draft> {
    let most = policy.max_size.filter(|most| size > *most)?;
    Some(
        Draft::error(POLICY_SIZE, format!("holds {size} bytes, but [verify] max-size = {most}"))
            .fix("`sazare inspect` shows the largest files; `exclude` leaves files out"),
    )
}

/// Removes and counts the findings that are accepted, and reports allowances that nothing needs.
pub(crate) fn accept(subject: &Subject<'_>, findings: Vec<(ImagePath, Finding)>) -> (Report, usize) {
    let policy = subject.policy;
    let mut used = vec![false; policy.allow.len()];
    let mut report = Report::default();
    let mut count = 0;
    for (path, finding) in findings {
        let mut accepted = policy.baseline.holds(&finding);
        for (allowance, used) in policy.allow.iter().zip(&mut used) {
            if allowance.accepts(finding.code.0, &path) {
                *used = true;
                accepted = true;
            }
        }
        if accepted {
            count += 1;
        } else {
            report.add(finding);
        }
    }
    for (allowance, _) in policy.allow.iter().zip(used).filter(|(_, used)| !used) {
        let place = if allowance.written.is_empty() { "anywhere" } else { &allowance.written };
        let mut draft =
            Draft::warning(ALLOW_UNUSED, format!("accepts {} ({place}), but no finding matches", allowance.code))
                .fix("remove the allowance");
        if let Some(reason) = &allowance.reason {
            draft = draft.because("reason", reason);
        }
        report.add(subject.plain_finding(FindingSubject::Setting("allow".into()), draft));
    }
    (report, count)
}
