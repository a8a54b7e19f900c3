//! Libraries that no program loads at start, which are probably plugins.

use std::collections::BTreeSet;

use crate::elf::{Dynamic, ElfFacts};
use crate::path::ImagePath;
use crate::report::Code;
use crate::tree::{InodeId, Kind, WalkEntry};

use crate::link::draft::Draft;
use crate::link::files::Files;
use crate::link::loader::LoaderKind;
use crate::link::musl::load::is_reserved;
use crate::link::policy::Libc;
use crate::link::process::listed;

use super::others::{Others, System};
use super::programs::is_library_name;

/// A plugin needs a library that does not exist in the tree.
pub const PLUGIN_LIB_MISSING: Code = Code("plugin-lib-missing");

/// A plugin asks for an executable stack, with which this glibc refuses to open it (dlopen(3)).
pub const EXEC_STACK: Code = Code("exec-stack");

/// Names that only Android has.
const ANDROID: [&[u8]; 5] =
    [b"liblog.so", b"libandroid.so", b"libc++_shared.so", b"libjnigraphics.so", b"libmediandk.so"];

/// Names that only FreeBSD has.
const FREEBSD: [&[u8]; 4] = [b"libthr.so.3", b"libc.so.7", b"libcxxrt.so.1", b"libutil.so.9"];

/// The operating system in the ident of a file for FreeBSD.
const OSABI_FREEBSD: u8 = 9;

/// The search for plugins in one tree.
pub(crate) struct Plugins<'a> {
    files: &'a Files<'a>,
    /// Every file that is a program or that some program loads.
    known: &'a BTreeSet<InodeId>,
    musl: bool,
    glibc: bool,
    /// Whether the tree has a loader of glibc 2.41 or newer.
    refuses_stack: bool,
}

impl<'a> Plugins<'a> {
    /// The search in a tree whose loaders are known.
    pub fn of(files: &'a Files<'a>, known: &'a BTreeSet<InodeId>) -> Plugins<'a> {
        let has = |libc| files.known_loaders().any(|loader| loader.libc() == Some(libc));
        let glibc = has(Libc::Glibc) || !files.by_name(b"libc.so.6").is_empty();
        let refuses_stack = files.known_loaders().any(|loader| match loader {
            LoaderKind::Glibc(loader) => loader.version.as_ref().is_some_and(|version| version.is_at_least(&[2, 41])),
            LoaderKind::Musl(_) | LoaderKind::Bionic | LoaderKind::Gcompat | LoaderKind::Unknown => false,
        });
        Plugins { files, known, musl: has(Libc::Musl), glibc, refuses_stack }
    }

    /// The program that opens a plugin may already have loaded the libraries that it needs. So only a name that does not exist anywhere
    /// in the tree is reported. A plugin for another system is left to `others`.
    pub fn check(&self, others: &mut Others) -> Vec<(ImagePath, Draft)> {
        let mut seen = BTreeSet::new();
        let mut drafts = Vec::new();
        if !self.files.tree.names().any(|name| is_library_name(name.as_bytes())) {
            return drafts;
        }
        let mut walk = self.files.tree.walk();
        while let Some(WalkEntry { path, id, inode }) = walk.step() {
            let named = path.components().next_back().is_some_and(is_library_name);
            let Kind::File(_) = &inode.kind else { continue };
            if !named || self.known.contains(&id) || !seen.insert(id) {
                continue;
            }
            let Some(facts) = self.files.elf(id).filter(|facts| facts.arch.is_some() && facts.arch == self.files.arch)
            else {
                continue;
            };
            let Some(dynamic) = facts.dynamic.as_ref().filter(|dynamic| facts.kind == 3 && !dynamic.is_pie()) else {
                continue;
            };
            if facts.executable_stack && self.refuses_stack {
                drafts.push((path.clone(), executable_stack(path)));
            }
            let missing: Vec<&[u8]> =
                dynamic.needed.iter().map(|name| &**name).filter(|name| self.is_nowhere(name)).collect();
            if missing.is_empty() {
                continue;
            }
            if let Some(system) = self.system(facts, dynamic) {
                others.add(system, path.clone());
                continue;
            }
            let names = listed(missing.iter().copied());
            let message = format!("needs {names}, which the tree does not contain; no program here loads it directly");
            let draft = Draft::warning(PLUGIN_LIB_MISSING, message)
                .because(format!("NEEDED by {path}"), String::new())
                .fix("add the library, or leave the plugin out");
            drafts.push((path.clone(), draft));
        }
        drafts
    }

    /// Whether a name exists nowhere in the tree. Loaders answer their own names themselves, and musl also those of all libraries
    /// that it replaces.
    fn is_nowhere(&self, name: &[u8]) -> bool {
        let base = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let answered = base.starts_with(b"libc.") || base.starts_with(b"ld-") || (self.musl && is_reserved(base));
        !answered && self.files.by_name(base).is_empty()
    }

    /// The other system that a library is for, according to what it needs.
    fn system(&self, facts: &ElfFacts, dynamic: &Dynamic) -> Option<System> {
        let needs = |names: &[&[u8]]| dynamic.needed.iter().any(|needed| names.contains(&&**needed));
        let starts = |start: &[u8]| dynamic.needed.iter().any(|needed| needed.starts_with(start));
        if facts.android.is_some() || needs(&ANDROID) {
            Some(System::Android)
        } else if facts.ident[7] == OSABI_FREEBSD || needs(&FREEBSD) {
            Some(System::FreeBsd)
        } else if !self.glibc && (needs(&[b"libc.so.6"]) || starts(b"ld-linux")) {
            Some(System::Libc(Libc::Glibc))
        } else if !self.musl && (starts(b"libc.musl-") || needs(&[b"libc.so"])) {
            Some(System::Libc(Libc::Musl))
        } else {
            None
        }
    }
}

/// Libraries that a program loads at start may ask for such a stack; since 2.41, libraries that it opens later may not.
fn executable_stack(path: &ImagePath) -> Draft {
    let message = "asks for an executable stack, which glibc refuses to a library that is opened by dlopen; no program here loads it directly";
    Draft::warning(EXEC_STACK, message)
        .says(format!("{path}: cannot enable executable stack as shared object requires: Invalid argument"))
        .because("PT_GNU_STACK", "readable, writable and executable; glibc 2.41 and later refuse it")
        .fix(format!("clear the mark (`patchelf --clear-execstack {path}`), if nothing in it runs code on the stack; or build it again"))
}

#[cfg(test)]
mod tests {
    use super::super::others::OTHER_SYSTEM;
    use super::*;
    use crate::elf::forge::Forge;
    use crate::link::Purpose;
    use crate::link::sample::Sample;

    const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
    const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

    /// Code, path and message of all findings.
    fn found(sample: &Sample) -> Vec<(&'static str, String, String)> {
        let findings = sample.verified(Purpose::Plain).report.findings;
        findings.into_iter().map(|one| (one.code.0, one.subject.to_string(), one.message)).collect()
    }

    fn glibc() -> Sample {
        let app = Forge { needed: vec!["libc.so.6".into()], ..Forge::dynamic(GLIBC) };
        Sample::new()
            .elf(GLIBC, &Forge::glibc())
            .elf("/lib/libc.so.6", &Forge::library("libc.so.6"))
            .elf("/bin/app", &app)
    }

    fn musl() -> Sample {
        Sample::new().elf(MUSL, &Forge::musl(true)).elf("/bin/app", &Forge::dynamic(MUSL))
    }

    fn plugin(needed: &[&str]) -> Forge {
        let needed = needed.iter().map(|name| name.as_bytes().to_vec()).collect();
        Forge { needed, soname: None, ..Forge::library("") }
    }

    fn codes(sample: &Sample) -> Vec<(&'static str, String)> {
        found(sample).into_iter().map(|(code, path, _)| (code, path)).collect()
    }

    #[test]
    fn a_plugin_is_reported_when_what_it_needs_is_nowhere() {
        let path = "/usr/lib/app/mod.so";
        let missing = vec![(PLUGIN_LIB_MISSING.0, path.to_string())];
        let with = |forge: &Forge| glibc().elf(path, forge);
        let plain = plugin(&["libx.so.1", "libc.so.6"]);
        assert_eq!(codes(&with(&plain)), missing);
        assert_eq!(codes(&with(&plain).elf("/opt/libx.so.1", &Forge::library("libx.so.1"))), []);
        // The same if it has a PT_INTERP, like Debian's pam_cap.so and Qt's libraries, with any mode.
        let printing = Forge { soname: Some("mod.so".into()), needed: plain.needed.clone(), ..Forge::dynamic(GLIBC) };
        assert_eq!(codes(&with(&printing)), missing);
        assert_eq!(codes(&glibc().bytes(path, 0o644, &printing.build())), missing);
        assert_eq!(codes(&glibc().bytes(path, 0o644, &Forge { soname: None, ..printing }.build())), missing);
    }

    /// Observed with `dlopen` under Debian's glibc 2.36 (opens it) and 2.41 (`cannot enable executable stack as shared object requires`).
    #[test]
    fn an_executable_stack_is_refused_to_plugins_since_2_41() {
        let with = |release: &str, plugin: &Forge| {
            let text = String::from_utf8(Forge::glibc().text).unwrap().replace("2.36", release);
            let loader = Forge { text: text.into_bytes(), ..Forge::glibc() };
            codes(&Sample::new().elf(GLIBC, &loader).elf("/bin/app", &Forge::dynamic(GLIBC)).elf("/srv/mod.so", plugin))
        };
        let stack = Forge { executable_stack: true, ..plugin(&[]) };
        assert_eq!(with("2.41", &stack), [(EXEC_STACK.0, "/srv/mod.so".to_string())]);
        assert_eq!(with("2.40", &stack), []);
        assert_eq!(with("2.41", &plugin(&[])), []);
    }

    #[test]
    fn musl_answers_the_names_of_its_own_libraries() {
        let path = "/usr/lib/app/mod.so";
        let names = ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so"];
        assert_eq!(codes(&musl().elf(path, &plugin(&names))), []);
        assert_eq!(
            codes(&musl().elf(path, &plugin(&["libm.so.6", "libx.so"]))),
            [(PLUGIN_LIB_MISSING.0, path.to_string())]
        );
    }

    #[test]
    fn plugins_for_other_systems_are_one_line() {
        let sample = glibc()
            .elf("/app/prebuilds/android-x64/a.node", &plugin(&["liblog.so", "libc.so"]))
            .elf("/app/prebuilds/android-x64/b.node", &plugin(&["libc++_shared.so", "libm.so"]))
            .elf("/app/prebuilds/freebsd-x64/a.node", &plugin(&["libthr.so.3", "libc.so.7"]))
            .elf("/app/prebuilds/linux-x64/a.musl.node", &plugin(&["libstdc++.so.6", "libc.musl-x86_64.so.1"]));
        let line = (OTHER_SYSTEM.0, "/".to_string(), "contains 4 files for other systems, which nothing here can load or start: Android (2), FreeBSD (1), musl (1)".to_string());
        assert_eq!(found(&sample), [line]);
        let sample = musl().elf("/app/prebuilds/linux-x64/a.glibc.node", &plugin(&["libstdc++.so.6", "libc.so.6"]));
        assert_eq!(codes(&sample), [(OTHER_SYSTEM.0, "/".to_string())]);
    }
}
