//! The second step: checks each target with the rules of the kernel and its loader.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use crate::elf::Linkage;
use crate::link::draft::{Draft, ExecError};
use crate::link::files::Expected;
use crate::link::kernel::caps;
use crate::link::kernel::exec::{LOADER_UNKNOWN, PACKED, Start};
use crate::link::lookup::CMD_NOT_EXECUTABLE;
use crate::link::process::ELF_TABLES;
use crate::link::subject::{GlibcRequirement, Program, Purpose, StartVerdict};
use crate::parallel::{Threads, in_order};
use crate::report::{Code, Severity};
use crate::tree::InodeId;

use super::accept::policy_drafts;
use super::context::Context;
use super::finding::Target;
use super::programs::Weight;

/// The user who runs sazare may not read a file of the tree.
pub const UNREADABLE: Code = Code("unreadable");

/// The most findings of one kind that are listed for one program: a file of a few kB can name thousands of libraries.
const ALIKE_MAX: usize = 100;

/// If there are more findings than this, only one of each kind is listed for each further program. A file can have as many names as
/// an archive has entries, and start differently under each of them.
const FINDINGS_MAX: usize = 100_000;

/// The results for all targets, in their order.
pub(crate) struct Checked {
    pub targets: Vec<(InodeId, Target, Vec<Draft>)>,
    /// The ELF programs, by path.
    pub programs: Vec<Program>,
    /// Every file that some program loads.
    pub loaded: BTreeSet<InodeId>,
}

/// The result for one target.
#[derive(Debug, Default)]
struct Result {
    drafts: Vec<Draft>,
    program: Option<Program>,
    /// The files that it loads.
    loads: Vec<InodeId>,
}

impl Checked {
    /// Checks each target, in several threads.
    pub fn of(context: &Context<'_>, targets: Vec<(InodeId, Target)>) -> Checked {
        let mut checked = Checked { targets: Vec::new(), programs: Vec::new(), loaded: BTreeSet::new() };
        let check = |(id, target): (InodeId, Target), (): &mut ()| (check(context, id, &target), id, target);
        let mut found = 0;
        let take = |(mut result, id, target): (Result, InodeId, Target)| {
            result.drafts = listed(result.drafts, if found < FINDINGS_MAX { ALIKE_MAX } else { 1 });
            found += result.drafts.len();
            checked.programs.extend(result.program);
            checked.loaded.extend(result.loads);
            checked.targets.push((id, target, result.drafts));
            Ok::<(), Infallible>(())
        };
        let threads = Threads::working(context.subject.policy.threads);
        match in_order(threads, usize::MAX, targets, || (), check, take) {
            Ok(()) => {}
        }
        checked.programs.sort_by(|a, b| a.path.cmp(&b.path));
        checked
    }
}

/// Keeps at most `max` drafts with the same code and severity, and adds one that says how many more there are.
fn listed(drafts: Vec<Draft>, max: usize) -> Vec<Draft> {
    let mut counts: BTreeMap<(Code, Severity), usize> = BTreeMap::new();
    let mut kept = drafts;
    kept.retain(|draft| {
        let count = counts.entry((draft.code, draft.severity)).or_default();
        *count += 1;
        *count <= max
    });
    for ((code, severity), count) in counts.into_iter().filter(|(_, count)| *count > max) {
        let more = count - max;
        let message = match more {
            1 => "has one more problem of this kind, which is not listed".to_string(),
            more => format!("has {more} more problems of this kind, which are not listed"),
        };
        kept.push(Draft::new(code, severity, message));
    }
    kept
}

fn check(context: &Context<'_>, id: InodeId, target: &Target) -> Result {
    let mut result = Result::default();
    let Some(probe) = context.files.probe_for(id, Expected::Program) else { return result };
    if let Some(error) = &probe.error {
        let draft = Draft::error(UNREADABLE, format!("cannot be checked: {error}"));
        result.drafts.push(draft.fix("make it readable for the user who runs sazare"));
    } else if target.weight == Weight::Named
        && !context.user(target.weight).may_execute(&context.subject.tree.inode(id).meta)
    {
        result.drafts.push(not_executable(context, id, target.weight));
    } else if let Some(facts) = &probe.elf {
        let start = context.exec(target.weight).start(id, &target.path, facts);
        let mut required = None;
        result.drafts.clone_from(&start.drafts);
        if let Some((loader, kind)) = &start.loader {
            let loading = context.loading(id, target);
            if let Some(loaded) = loading.load_twice(id, &target.path, loader, kind, context.rights(id, target.weight))
            {
                result.loads = loaded.objects.iter().map(|object| object.id).collect();
                result.drafts.extend(loaded.drafts);
                required = loaded.needs_glibc;
            }
        }
        if target.weight == Weight::Named && context.subject.purpose == Purpose::Container {
            let spelled = target.spelled();
            result.drafts.extend(caps::refused(&context.subject.tree.inode(id).meta, &spelled));
        }
        result.program = program(target, &start, probe.size, &result.drafts, required);
        result.drafts.extend(policy_drafts(context.subject.policy, start.linkage, start.libc));
    } else {
        result.drafts = context.exec(target.weight).script(id, &target.path, probe, &context.search()).drafts;
    }
    result
}

fn not_executable(context: &Context<'_>, id: InodeId, weight: Weight) -> Draft {
    let meta = &context.subject.tree.inode(id).meta;
    let message = format!("is not executable for uid {}", context.user(weight).uid);
    Draft::error(CMD_NOT_EXECUTABLE, message)
        .refused(ExecError::Denied)
        .because("mode and owner", format!("{} {}:{}", meta.mode, meta.uid, meta.gid))
        .fix("give it an execute bit for that user, or run the image as its owner")
}

/// The table row of an ELF program; `None` for a library or object file.
fn program(
    target: &Target,
    start: &Start<'_>,
    size: u64,
    drafts: &[Draft],
    needs_glibc: Option<GlibcRequirement>,
) -> Option<Program> {
    if matches!(start.linkage, Linkage::Object | Linkage::SharedObject) {
        return None;
    }
    let unknown = [PACKED, LOADER_UNKNOWN, ELF_TABLES];
    let verdict = match drafts.iter().map(|draft| draft.severity).max() {
        Some(Severity::Error) => StartVerdict::Fails,
        _ if drafts.iter().any(|draft| unknown.contains(&draft.code)) => StartVerdict::Unknown,
        Some(Severity::Warning) => StartVerdict::MayFail,
        Some(Severity::Note) | None => StartVerdict::Starts,
    };
    Some(Program {
        path: target.path.to_string(),
        names: target.names.len(),
        linkage: start.linkage,
        libc: start.libc,
        size,
        verdict,
        needs_glibc,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::process::{LIB_MISSING, SYMBOL_MISSING};

    #[test]
    fn findings_of_one_kind_are_listed_up_to_a_limit_that_is_said() {
        let draft = |code, number: usize| Draft::error(code, number.to_string());
        let drafts =
            |count| (0..count).map(|number| draft(LIB_MISSING, number)).chain([draft(SYMBOL_MISSING, 0)]).collect();
        let shown = |drafts: Vec<Draft>| -> Vec<(&str, String)> {
            drafts.into_iter().map(|draft| (draft.code.0, draft.message)).collect()
        };
        let few: Vec<Draft> = drafts(3);
        assert_eq!(listed(few.clone(), 3), few);
        let expected = [
            ("lib-missing", "0"),
            ("lib-missing", "1"),
            ("lib-missing", "2"),
            ("symbol-missing", "0"),
            ("lib-missing", "has 4093 more problems of this kind, which are not listed"),
        ];
        assert_eq!(shown(listed(drafts(4096), 3)), expected.map(|(code, text)| (code, text.to_string())));
        assert!(shown(listed(drafts(4), 3)).iter().any(|(_, text)| text.starts_with("has one more problem")));
    }
}
