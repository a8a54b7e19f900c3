//! Findings about programs that glibc's loader does not load.

use crate::path::display_bytes;
use crate::report::{Code, Evidence};

use super::load::{FORBIDDEN, Glibc, NOT_DYNAMIC, PROGRAM, UNKNOWN};
use crate::link::draft::Draft;
use crate::link::process::{LIB_BLOCKED, LIB_MISSING, LIB_WRONG_ARCH, ORIGIN_NEEDS_PROC, Process, RPATH_CWD};

/// A library exists for newer CPUs only.
pub const NEEDS_ISA_LEVEL: Code = Code("needs-isa-level");

impl Glibc<'_> {
    /// Reports what is wrong with the search path of an object, and an object that exists for newer CPUs only.
    pub fn check_search_path(&mut self, index: usize) {
        let path = display_bytes(&self.loaded.objects[index].path);
        if self.level() == 0 && crate::elf::contains(&self.loaded.objects[index].path, b"/glibc-hwcaps/") {
            self.loaded.drafts.push(
                Draft::warning(NEEDS_ISA_LEVEL, format!("loads {path}, which exists for newer CPUs only"))
                    .because(Process::chain(&self.loaded.objects, index), "no file of that name outside glibc-hwcaps")
                    .fix("also add the library for the baseline CPU"),
            );
        }
        let Some(dynamic) = self.dynamic(index) else { return };
        let Some(text) = dynamic.runpath.as_deref().or(dynamic.rpath.as_deref()).filter(|text| !text.is_empty()) else {
            return;
        };
        let shown = display_bytes(text);
        if index == 0 && !self.process.proc && crate::elf::contains(text, b"ORIGIN") {
            self.loaded.drafts.push(
                Draft::error(ORIGIN_NEEDS_PROC, format!("has the search path {shown}, but /proc is not mounted yet"))
                    .because(path, "if /proc is not mounted, glibc ignores elements with $ORIGIN")
                    .fix("link init statically, or give it an absolute path"),
            );
        } else if text
            .split(|&byte| byte == b':')
            .any(|element| !element.starts_with(b"/") && !element.starts_with(b"$"))
        {
            self.loaded.drafts.push(
                Draft::warning(RPATH_CWD, format!("has a search path that depends on the working directory: {shown}"))
                    .because(path, "an empty element is the working directory")
                    .fix("use absolute directories or $ORIGIN"),
            );
        }
    }

    pub fn missing(&self, name: &[u8], by: usize, tried: Vec<Evidence>) -> Draft {
        let shown = display_bytes(name);
        let app = self.process.app_path;
        let asking = display_bytes(&self.loaded.objects[by].path);
        let skipped = tried.iter().any(|evidence| evidence.detail.contains(", skipped;"));
        let arch = self.process.arch.facts();
        let other_class = format!("wrong ELF class: ELFCLASS{}", arch.class.other().bits());
        let words = if tried.iter().any(|evidence| evidence.detail.starts_with(&self.other_class())) {
            other_class.as_str()
        } else if tried.iter().all(|line| line.detail.starts_with(UNKNOWN) || line.detail == FORBIDDEN) {
            // The loader would add the reason why the last file did not open, but here it tried none.
            "cannot open shared object file"
        } else {
            "cannot open shared object file: No such file or directory"
        };
        let who = if by == 0 { String::new() } else { format!("loads {asking}, which ") };
        let mut draft = if skipped {
            Draft::error(
                LIB_WRONG_ARCH,
                format!("{who}needs the library {shown}, which exists for another architecture only"),
            )
        } else {
            Draft::error(LIB_MISSING, format!("{who}needs the library {shown}, which glibc's loader does not find"))
        }
        .says(format!("{app}: error while loading shared libraries: {shown}: {words} (exit code 127)"))
        .because(format!("NEEDED by {}", Process::chain(&self.loaded.objects, by)), String::new());
        draft.evidence.extend(tried);
        let elsewhere = self.process.elsewhere(name);
        let fix = match elsewhere.first().and_then(|path| path.parent()) {
            Some(directory) if !skipped => {
                draft = draft.because(
                    elsewhere.iter().map(|path| path.to_string()).collect::<Vec<_>>().join(", "),
                    "a file of that name, outside the search path",
                );
                format!(
                    "add {directory} to the RUNPATH of {asking} (`patchelf --add-rpath`), or give the tree an /etc/ld.so.cache made \
                     for {} that knows it (ldconfig of this machine cannot index another architecture)",
                    arch.oci
                )
            }
            Some(_) | None => {
                format!("add the package that contains {shown} for {} to a source", arch.oci)
            }
        };
        draft.fix(fix)
    }

    pub fn blocked(&self, name: &[u8], by: usize, path: &[u8], what: &str, words: &str) -> Draft {
        let (name, path) = (display_bytes(name), display_bytes(path));
        let app = self.process.app_path;
        let named = if [NOT_DYNAMIC, PROGRAM].contains(&words) { &name } else { &path };
        Draft::error(
            LIB_BLOCKED,
            format!("needs the library {name}, and the first file of that name is {what}: {path}"),
        )
        .says(format!("{app}: error while loading shared libraries: {named}: {words} (exit code 127)"))
        .because(format!("NEEDED by {}", Process::chain(&self.loaded.objects, by)), String::new())
        .because(path.clone(), "glibc stops at such a file")
        .fix(format!("replace or remove {path}"))
    }
}
