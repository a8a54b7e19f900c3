//! The needs that an ELF file for glibc states in its notes: newer CPUs, and libraries that it opens at run time.

use crate::elf::Priority;
use crate::path::display_bytes;
use crate::report::{Code, Severity};

use super::findings::NEEDS_ISA_LEVEL;
use super::load::{Glibc, Search};
use crate::link::draft::Draft;
use crate::link::process::Process;

/// A library that a program opens at run time, according to its note, does not exist.
pub const DLOPEN_MISSING: Code = Code("dlopen-missing");

impl Glibc<'_> {
    /// Checks the notes of every loaded object.
    pub fn look_ahead(&mut self) {
        for index in 0..self.loaded.objects.len() {
            let Some(facts) = self.process.facts(&self.loaded.objects[index]) else { continue };
            if facts.isa_level.is_none() && facts.dlopen.is_empty() {
                continue;
            }
            let path = display_bytes(&self.loaded.objects[index].path);
            let who = if index == 0 { String::new() } else { format!("loads {path}, which ") };
            let chain = Process::chain(&self.loaded.objects, index);
            let levels = self.process.arch.facts().cpu_levels.as_ref();
            let level = levels.zip(facts.isa_level).and_then(|(levels, level)| levels.names.get(level));
            if let Some(level) = level {
                self.loaded.drafts.push(
                    Draft::note(NEEDS_ISA_LEVEL, format!("{who}needs a CPU of {level}"))
                        .says(format!(
                            "{}: error while loading shared libraries: {path}: CPU ISA level is lower than required (exit code 127)",
                            self.process.app_path
                        ))
                        .because(chain.clone(), "GNU property x86 ISA needed")
                        .fix("make sure that the image runs on such CPUs only, or use a build for the baseline"),
                );
            }
            for opened in facts.dlopen.iter().filter(|opened| opened.priority != Priority::Suggested) {
                if opened.names.iter().any(|name| self.finds(name.as_bytes(), index)) {
                    continue;
                }
                let severity = match opened.priority {
                    Priority::Required => Severity::Warning,
                    Priority::Recommended | Priority::Suggested => Severity::Note,
                };
                let names = opened.names.join(" or ");
                let purpose =
                    if opened.feature.is_empty() { String::new() } else { format!(" for {}", opened.feature) };
                self.loaded.drafts.push(
                    Draft::new(
                        DLOPEN_MISSING,
                        severity,
                        format!("{who}opens {names} while it runs{purpose}, which is not found"),
                    )
                    .because(chain.clone(), ".note.dlopen")
                    .fix(format!("add the package that contains {} to a source", opened.names[0])),
                );
            }
        }
    }

    fn finds(&self, name: &[u8], by: usize) -> bool {
        self.known(name).is_some() || matches!(self.search(name, by, &mut Vec::new()), Search::Found(..))
    }
}

#[cfg(test)]
mod tests {
    use crate::elf::forge::Forge;
    use crate::link::Purpose;
    use crate::link::sample::Sample;

    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

    /// One note.
    fn note(owner: &[u8; 4], kind: u32, desc: &[u8]) -> Vec<u8> {
        let words = [4, desc.len() as u32, kind].map(u32::to_le_bytes).concat();
        let padding = vec![0; desc.len().next_multiple_of(4) - desc.len()];
        [words.as_slice(), owner, desc, &padding].concat()
    }

    fn found(note: Vec<u8>, with: impl FnOnce(Sample) -> Sample) -> Vec<String> {
        let app = Forge { note: Some(note), ..Forge::dynamic(LOADER) };
        let sample = with(Sample::new().elf(LOADER, &Forge::glibc()).elf("/bin/app", &app));
        let findings = sample.verified(Purpose::Plain).report.findings;
        findings.iter().map(|finding| format!("{} {}: {}", finding.severity, finding.code, finding.message)).collect()
    }

    #[test]
    fn what_is_opened_later_is_looked_for() {
        let wants = |priority: &str| {
            let json = format!(r#"[{{"feature":"xz","priority":"{priority}","soname":["libx.so.2","libx.so.1"]}}]"#);
            note(b"FDO\0", 0x407c_0c0a, json.as_bytes())
        };
        let same = |sample| sample;
        let message = "dlopen-missing: opens libx.so.2 or libx.so.1 while it runs for xz, which is not found";
        assert_eq!(found(wants("required"), same), [format!("warning {message}")]);
        assert_eq!(found(wants("recommended"), same), [format!("note {message}")]);
        assert_eq!(found(wants("suggested"), same), Vec::<String>::new());
        let there = |sample: Sample| sample.elf("/lib/libx.so.1", &Forge::library("libx.so.1"));
        assert_eq!(found(wants("required"), there), Vec::<String>::new());
    }

    #[test]
    fn the_level_of_the_cpu_is_noted() {
        let property = [0xc000_8002u32, 4, 0b101, 0].map(u32::to_le_bytes).concat();
        let found = found(note(b"GNU\0", 5, &property), |sample| sample);
        assert_eq!(found, ["note needs-isa-level: needs a CPU of x86-64-v3"]);
    }
}
