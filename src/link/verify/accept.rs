//! What was asked for beyond starting, and what is accepted although it is wrong.

use crate::elf::Linkage;
use crate::path::ImagePath;
use crate::report::{Code, Finding, Report};

use crate::link::draft::Draft;
use crate::link::policy::{Libc, Policy};
use crate::link::subject::Subject;

/// A program needs a loader, and none may.
pub const POLICY_STATIC: Code = Code("policy-static");
/// A program needs another C library than the one that is asked for.
pub const POLICY_LIBC: Code = Code("policy-libc");
/// The tree is larger than it may be.
pub const POLICY_SIZE: Code = Code("policy-size");
/// Nothing that was found is what an allowance accepts.
pub const ALLOW_UNUSED: Code = Code("allow-unused");

/// What a program breaks of the policy.
pub(crate) fn policy_drafts(policy: &Policy, linkage: Linkage, libc: Option<Libc>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    if policy.static_only && linkage == Linkage::Dynamic {
        drafts.push(
            Draft::error(POLICY_STATIC, "needs a loader, and `static = true` says that nothing may")
                .fix("link it statically, or drop `static` from [verify]"),
        );
    }
    if let (Some(wanted), Some(libc)) = (policy.libc, libc)
        && wanted != libc
    {
        drafts.push(
            Draft::error(POLICY_LIBC, format!("is built for {libc}, and `libc = \"{wanted}\"` is asked for"))
                .fix(format!("take the build for {wanted}, or a static one")),
        );
    }
    drafts
}

/// Whether a tree whose files hold `size` bytes is too large.
pub(crate) fn size_draft(policy: &Policy, size: u64) -> Option<Draft> {
    let most = policy.max_size.filter(|most| size > *most)?;
    Some(
        Draft::error(POLICY_SIZE, format!("holds {size} bytes, and `max-size` allows {most}"))
            .fix("`sazare inspect` shows what is large; `exclude` leaves it out"),
    )
}

/// Takes out what is accepted, counts it, and tells of allowances that nothing needed.
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
        let mut draft = Draft::warning(ALLOW_UNUSED, format!("is allowed ({place}), and no such finding was made"))
            .fix("take the allowance out");
        if let Some(reason) = &allowance.reason {
            draft = draft.because("reason", reason);
        }
        report.add(subject.plain_finding(allowance.code.clone(), draft));
    }
    (report, count)
}
