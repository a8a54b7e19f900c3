//! Findings about programs that musl's loader does not load.

use crate::path::display_bytes;
use crate::tree::Resolved;

use super::load::Musl;
use super::tried::Tried;
use crate::link::draft::Draft;
use crate::link::process::{LIB_BLOCKED, LIB_MISSING, LIB_WRONG_ARCH, Process};

impl Musl<'_> {
    pub fn missing(&mut self, name: &[u8], by: usize, tried: Tried) {
        let name_shown = display_bytes(name);
        let asking = display_bytes(&self.loaded.objects[by].path);
        let message = if by == 0 {
            format!("needs the library {name_shown}, which musl's loader does not find")
        } else {
            format!("loads {asking}, which needs the library {name_shown}, which musl's loader does not find")
        };
        let mut draft = Draft::error(LIB_MISSING, message)
            .says(format!(
                "Error loading shared library {name_shown}: {} (needed by {asking}) (exit code 127)",
                self.errno
            ))
            .because(format!("NEEDED by {}", Process::chain(&self.loaded.objects, by)), String::new());
        draft.evidence.extend(tried.into_evidence());
        let elsewhere = self.process.elsewhere(name);
        let fix = match elsewhere.first().and_then(|path| path.parent()) {
            Some(directory) => {
                let file = format!("/etc/ld-musl-{}.path", display_bytes(&self.loader.arch));
                draft = draft.because(
                    elsewhere.iter().map(|path| path.to_string()).collect::<Vec<_>>().join(", "),
                    "a file of that name, outside the search path",
                );
                let in_file = match self.reads_path_file() {
                    true => format!("add it to {file} as a line"),
                    false => {
                        let default = display_bytes(&self.loader.default_path);
                        format!("make {file} with {default}:{directory} in it, because it replaces the default")
                    }
                };
                format!("add {directory} to the RUNPATH of {asking} (`patchelf --add-rpath`), or {in_file}")
            }
            None => format!(
                "add {name_shown} for musl and {} to a source (Alpine package, musllinux wheel, `-musl` npm package), or link statically",
                self.process.arch.facts().oci
            ),
        };
        self.loaded.drafts.push(draft.fix(fix));
    }

    pub fn blocked(&mut self, name: &[u8], by: usize, path: &[u8], what: &str, errno: &str) {
        let (name, path) = (display_bytes(name), display_bytes(path));
        let asking = display_bytes(&self.loaded.objects[by].path);
        self.loaded.drafts.push(
            Draft::error(
                LIB_BLOCKED,
                format!("needs the library {name}, and the first file of that name is {what}: {path}"),
            )
            .says(format!("Error loading shared library {name}: {errno} (needed by {asking}) (exit code 127)"))
            .because(format!("NEEDED by {}", Process::chain(&self.loaded.objects, by)), String::new())
            .because(path.clone(), "musl uses the first file that it can open")
            .fix(format!("replace or remove {path}")),
        );
    }

    pub fn foreign(&mut self, name: &[u8], by: usize, path: &[u8], found: &Resolved, theirs: &str) {
        let (id, file) = (found.id, &found.path);
        let (name, path) = (display_bytes(name), display_bytes(path));
        let ours = self.process.arch.facts().oci;
        let draft =
            Draft::error(LIB_WRONG_ARCH, format!("needs the library {name}, which is found for {theirs}: {path}"));
        // musl reads its relocations as if they were for this machine.
        let draft = match self.unknown_relocations(id).first() {
            Some(kind) => draft.says(Musl::unsupported(&path, *kind)),
            None => draft.killed("SIGILL", 132),
        };
        self.loaded.drafts.push(
            draft
                .because(format!("NEEDED by {}", Process::chain(&self.loaded.objects, by)), String::new())
                .because(path, "musl does not check the architecture of a library and maps it")
                .fix(format!("replace {file} with a build for {ours}")),
        );
    }
}
