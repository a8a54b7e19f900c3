//! What one file is, and what it would load. Nothing is run, so the file may be for any machine.

use std::fmt;

use serde::Serialize;

use crate::elf::Linkage;
use crate::path::{ImagePath, display_bytes};
use crate::platform::Platform;
use crate::tree::{ContentError, Tree};

use super::closure::Closures;
use super::loader::LoaderKind;
use super::policy::Libc;
use super::script::first_line::FirstLine;
use super::subject::GlibcRequirement;
use super::version::Version;

/// One file, described.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Description {
    /// Its path, with links resolved.
    pub path: String,
    /// What kind of file it is.
    pub kind: FileKind,
    /// Size in bytes.
    pub size: u64,
    /// The machine of an ELF file: OCI's architecture name if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// PT_INTERP of a program, or the interpreter of a script with its argument, as written in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// The C library of its loader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub libc: Option<Libc>,
    /// The version of the loader, if it states one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub libc_version: Option<String>,
    /// DT_SONAME.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// DT_RPATH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpath: Option<String>,
    /// DT_RUNPATH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runpath: Option<String>,
    /// Its own DT_NEEDED, in order.
    pub needed: Vec<String>,
    /// Everything that would be loaded, in order.
    pub libraries: Vec<Library>,
    /// The newest version of glibc that it and its libraries require.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_glibc: Option<GlibcRequirement>,
    /// Android's API level and NDK, from its note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub android: Option<String>,
}

/// What kind of file a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A static program at fixed addresses.
    Static,
    /// A static program that relocates itself (static-pie).
    StaticPie,
    /// A program with a loader.
    Dynamic,
    /// A library.
    Library,
    /// Another ELF file.
    Object,
    /// A text that names its interpreter.
    Script,
    /// Anything else.
    #[default]
    Data,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Static => "static",
            FileKind::StaticPie => "static-pie",
            FileKind::Dynamic => "dynamic",
            FileKind::Library => "library",
            FileKind::Object => "object",
            FileKind::Script => "script",
            FileKind::Data => "data",
        })
    }
}

/// One needed library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Library {
    /// The needed name.
    pub name: String,
    /// The path, as the loader spells it; absent when nothing is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The rule that finds it; if it is not found, the object that needs it.
    pub rule: String,
}

/// Describes a file of a tree. `None` if there is no regular file at that path. The platform decides which files count as
/// foreign.
///
/// # Errors
/// When it or a library cannot be read.
pub fn describe(tree: &Tree, platform: &Platform, path: &ImagePath) -> Result<Option<Description>, ContentError> {
    let closures = Closures::new(tree, platform);
    let description = described(&closures, tree, path);
    closures.take_failure().map_or(Ok(description), Err)
}

fn described(closures: &Closures<'_>, tree: &Tree, path: &ImagePath) -> Option<Description> {
    let files = closures.files();
    let found = files.find(&ImagePath::root(), path.as_bytes()).ok()?;
    let probe = files.probe(found.id)?;
    let mut description = Description { path: found.path.to_string(), size: probe.size, ..Description::default() };
    let Some(facts) = &probe.elf else {
        if let FirstLine::Interpreter { path, argument } = FirstLine::read(&probe.head) {
            description.kind = FileKind::Script;
            let line = [path, argument.unwrap_or_default()].join(&b' ');
            description.interpreter = Some(display_bytes(line.trim_ascii()));
        }
        return Some(description);
    };
    // The file's own machine is used, so that a file for another one is described too.
    let own = facts.linkage(facts.arch.as_slice(), tree.inode(found.id).meta.mode.any_execute());
    let linkage = match own {
        Linkage::StaticPieLikely => {
            files.linkage(found.id).filter(|linkage| *linkage != Linkage::Foreign).unwrap_or(own)
        }
        known => known,
    };
    description.kind = match linkage {
        Linkage::Object | Linkage::Foreign => FileKind::Object,
        Linkage::Dynamic => FileKind::Dynamic,
        Linkage::Static => FileKind::Static,
        Linkage::StaticPie | Linkage::StaticPieLikely => FileKind::StaticPie,
        Linkage::SharedObject => FileKind::Library,
    };
    description.machine = Some(facts.machine_name());
    description.interpreter = facts.interpreter.path().map(display_bytes);
    description.android =
        facts.android.as_ref().map(|note| format!("API {} {}", note.api, note.ndk).trim_end().to_string());
    if let Some(dynamic) = &facts.dynamic {
        let text = |text: &Option<Box<[u8]>>| text.as_deref().map(display_bytes);
        description.soname = text(&dynamic.soname);
        description.rpath = text(&dynamic.rpath);
        description.runpath = text(&dynamic.runpath);
        description.needed = dynamic.needed.iter().map(|name| display_bytes(name)).collect();
    }
    let Some((kind, loaded)) = closures.load(path) else { return Some(description) };
    description.libc = kind.libc();
    description.libc_version = match kind {
        LoaderKind::Musl(loader) => loader.version.clone(),
        LoaderKind::Glibc(loader) => loader.version.as_ref().map(Version::to_string),
        LoaderKind::Bionic | LoaderKind::Gcompat | LoaderKind::Unknown => None,
    };
    description.needs_glibc = loaded.needs_glibc.clone();
    for (name, path) in &loaded.resolved {
        let rule = loaded.objects.iter().find(|object| object.path == *path).map(|object| object.rule.clone());
        let path = Some(display_bytes(path));
        description.libraries.push(Library { name: display_bytes(name), path, rule: rule.unwrap_or_default() });
    }
    for (name, by) in &loaded.missing {
        let rule = format!("needed by {}", display_bytes(by));
        description.libraries.push(Library { name: display_bytes(name), path: None, rule });
    }
    Some(description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::link::sample::Sample;
    use crate::platform::Arch;

    fn of(sample: &Sample, path: &str) -> Description {
        describe(&sample.tree, &Platform::new(Arch::Amd64), &path.parse().unwrap()).unwrap().unwrap()
    }

    #[test]
    fn a_program_is_described_with_what_it_loads() {
        let loader = "/lib/ld-musl-x86_64.so.1";
        let app = Forge {
            needed: vec!["liba.so".into(), "libc.so".into(), "gone.so".into()],
            runpath: Some("$ORIGIN/../opt".into()),
            ..Forge::dynamic(loader)
        };
        let sample = Sample::new()
            .elf(loader, &Forge::musl(true))
            .elf("/opt/liba.so", &Forge::library("liba.so"))
            .elf("/bin/app", &app)
            .link("/bin/run", "app");
        let description = of(&sample, "/bin/run");
        assert_eq!(
            (description.path.as_str(), description.kind, description.machine.as_deref()),
            ("/bin/app", FileKind::Dynamic, Some("amd64"))
        );
        assert_eq!((description.libc, description.libc_version.as_deref()), (Some(Libc::Musl), Some("1.2.5")));
        let lines: Vec<String> = description
            .libraries
            .iter()
            .map(|library| format!("{} => {} ({})", library.name, library.path.as_deref().unwrap_or("?"), library.rule))
            .collect();
        assert_eq!(
            lines,
            [
                "liba.so => /bin/../opt/liba.so (RUNPATH of /bin/app)",
                "libc.so => /lib/ld-musl-x86_64.so.1 (the loader is the C library)",
                "gone.so => ? (needed by /bin/app)",
            ]
        );
    }

    #[test]
    fn everything_else_is_described_too() {
        let sample = Sample::new()
            .elf("/a", &Forge { machine: 183, ..Forge::program() })
            .elf("/b", &Forge::library("libb.so.1"))
            .text("/c", 0o755, "#!/usr/bin/env sh\n")
            .text("/d", 0o644, "text");
        let kinds = ["/a", "/b", "/c", "/d"].map(|path| of(&sample, path).kind);
        assert_eq!(kinds, [FileKind::Static, FileKind::Library, FileKind::Script, FileKind::Data]);
        assert_eq!(of(&sample, "/a").machine.as_deref(), Some("arm64"));
        assert_eq!(of(&sample, "/b").soname.as_deref(), Some("libb.so.1"));
        assert_eq!(of(&sample, "/c").interpreter.as_deref(), Some("/usr/bin/env sh"));
        assert_eq!(describe(&sample.tree, &Platform::new(Arch::Amd64), &"/nowhere".parse().unwrap()).unwrap(), None);
    }
}
