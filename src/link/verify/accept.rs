//! What the policy requires of programs, and which findings it accepts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::elf::Linkage;
use crate::path::ImagePath;
use crate::report::{Code, Evidence, Finding, FindingSubject, Report, Severity};

use crate::link::draft::{Draft, PlainDraft};
use crate::link::glibc::symbols::{GLIBC_MIX, VERSION_MISSING};
use crate::link::kernel::exec::{INTERP_DANGLING, INTERP_MISSING, LOADER_UNKNOWN, WRONG_ARCH_32};
use crate::link::policy::{Libc, Policy};
use crate::link::process::{LIB_BLOCKED, LIB_MISSING, LIB_TRUNCATED, LIB_WRONG_ARCH, SYMBOL_MISSING};
use crate::link::subject::Subject;

/// A program is dynamically linked, and the policy allows only static ones.
pub const POLICY_STATIC: Code = Code("policy-static");
/// A program needs a C library that the policy does not allow.
pub const POLICY_LIBC: Code = Code("policy-libc");
/// The tree is larger than the policy allows.
pub const POLICY_SIZE: Code = Code("policy-size");
/// An allowance that matches no finding.
pub const ALLOW_UNUSED: Code = Code("allow-unused");

/// The rules of the policy that a program breaks.
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

/// Merges findings that are the same for several programs, for example because they share a broken library, into one that lists
/// the programs.
fn together(findings: Vec<Finding>) -> Vec<Finding> {
    let mut places: BTreeMap<(Code, Severity, String), usize> = BTreeMap::new();
    let mut kept: Vec<(Finding, Vec<String>)> = Vec::new();
    for finding in findings {
        if matches!(finding.subject, FindingSubject::Setting(_)) || !SHARED.contains(&finding.code) {
            kept.push((finding, Vec::new()));
            continue;
        }
        match places.entry((finding.code, finding.severity, finding.message.clone())) {
            Entry::Vacant(entry) => {
                entry.insert(kept.len());
                kept.push((finding, Vec::new()));
            }
            Entry::Occupied(entry) => {
                if let Some((first, others)) = kept.get_mut(*entry.get()) {
                    others.push(finding.subject.to_string());
                    first.also.push(finding.subject.to_string());
                    first.also.extend(finding.also);
                }
            }
        }
    }
    let with_list = |(mut finding, others): (Finding, Vec<String>)| {
        if !others.is_empty() {
            let count = others.len();
            let programs = if count == 1 { "1 other program".to_string() } else { format!("{count} other programs") };
            let mut shown: Vec<String> = others.into_iter().take(SHOWN).collect();
            if count > SHOWN {
                shown.push(format!("and {} more", count - SHOWN));
            }
            finding
                .evidence
                .push(Evidence { subject: format!("the same holds for {programs}"), detail: shown.join(", ") });
        }
        finding
    };
    kept.into_iter().map(with_list).collect()
}

/// The codes of findings that several programs may share.
const SHARED: [Code; 11] = [
    GLIBC_MIX,
    INTERP_MISSING,
    INTERP_DANGLING,
    LOADER_UNKNOWN,
    WRONG_ARCH_32,
    LIB_MISSING,
    LIB_BLOCKED,
    LIB_TRUNCATED,
    LIB_WRONG_ARCH,
    VERSION_MISSING,
    SYMBOL_MISSING,
];

/// The most other programs that are listed.
const SHOWN: usize = 12;

/// Removes and counts the findings that are accepted, and reports allowances that match none.
pub(crate) fn accept(subject: &Subject<'_>, findings: Vec<(ImagePath, Finding)>) -> (Report, usize) {
    let policy = subject.policy;
    let mut used = vec![false; policy.allow.len()];
    let mut report = Report::default();
    let mut kept = Vec::new();
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
            kept.push(finding);
        }
    }
    for finding in together(kept) {
        report.add(finding);
    }
    for (allowance, _) in policy.allow.iter().zip(used).filter(|(_, used)| !used) {
        let place = if allowance.written.is_empty() { "anywhere" } else { &allowance.written };
        let mut draft =
            Draft::warning(ALLOW_UNUSED, format!("accepts {} ({place}), but no finding matches", allowance.code))
                .fix("remove the allowance");
        if let Some(reason) = &allowance.reason {
            draft = draft.because("reason", reason);
        }
        report.add(subject.plain_finding(PlainDraft::new(FindingSubject::Setting("allow".into()), draft)));
    }
    (report, count)
}
