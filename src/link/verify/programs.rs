//! Which files of a tree are programs that must start, and which names each of them has.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::elf::{Dynamic, ElfFacts, Interpreter, Linkage};
use crate::path::ImagePath;
use crate::tree::{Follow, Inode, InodeId, InodeSet, Kind, Tree, WalkEntry};

use crate::link::files::{Expected, Files, Probe};

/// How important it is that a file starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// A program outside the program directories: findings are one step less severe.
    Elsewhere,
    /// A program in a program directory.
    Found,
    /// The image config names it: entry point, health check, init.
    Named,
}

/// All names of the regular files of a tree.
pub(crate) struct Names<'t> {
    tree: &'t Tree,
    /// The names of all files that could be executed.
    programs: Known,
    /// The names of all files; filled when those of another file are needed.
    all: OnceLock<Known>,
}

/// For each inode: its directory entries, then the links to it; both sorted.
type Known = BTreeMap<InodeId, Vec<ImagePath>>;

impl<'t> Names<'t> {
    pub fn of(tree: &'t Tree) -> Names<'t> {
        Names { tree, programs: names(tree, may_be_executed), all: OnceLock::new() }
    }

    /// The names of one inode, directory entries first; empty if it is not a regular file.
    pub fn of_inode(&self, id: InodeId) -> &[ImagePath] {
        // Most files of most trees are not programs, and their names are not needed.
        let known = match may_be_executed(self.tree.inode(id)) {
            true => &self.programs,
            false => self.all.get_or_init(|| names(self.tree, |_| true)),
        };
        known.get(&id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The names of one inode, in groups whose directory entries are in the same directory and so have the same `$ORIGIN`. A link is
    /// in the group of the entry that it leads to, because `/proc/self/exe` shows that entry.
    pub fn by_origin(&self, id: InodeId) -> Vec<Vec<ImagePath>> {
        let mut groups: Vec<Vec<ImagePath>> = Vec::new();
        let mut known: BTreeMap<ImagePath, usize> = BTreeMap::new();
        for name in self.of_inode(id) {
            let Ok(found) = self.tree.resolve(&ImagePath::root(), name.as_bytes(), Follow::Yes) else { continue };
            let Some(origin) = found.path.parent() else { continue };
            let group = *known.entry(origin).or_insert(groups.len());
            match groups.get_mut(group) {
                Some(names) => names.push(name.clone()),
                None => groups.push(vec![name.clone()]),
            }
        }
        groups
    }
}

fn may_be_executed(inode: &Inode) -> bool {
    inode.meta.mode.any_execute()
}

/// The names of the regular files that are needed.
fn names(tree: &Tree, wanted: fn(&Inode) -> bool) -> Known {
    let (mut names, mut links) = (Known::new(), Vec::new());
    let mut inodes = tree.ids().map(|id| tree.inode(id));
    if !inodes.any(|inode| matches!(inode.kind, Kind::File(_)) && wanted(inode)) {
        return names;
    }
    let mut walk = tree.walk();
    while let Some(WalkEntry { path, id, inode }) = walk.step() {
        match &inode.kind {
            Kind::File(_) if wanted(inode) => names.entry(id).or_default().push(path.clone()),
            Kind::Symlink(_) => links.push(path.clone()),
            Kind::Directory(_) | Kind::File(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {}
        }
    }
    for link in links {
        if let Ok(found) = tree.resolve(&ImagePath::root(), link.as_bytes(), Follow::Yes)
            && let Some(list) = names.get_mut(&found.id)
        {
            list.push(link);
        }
    }
    names
}

/// The regular files, each once, in the order of their first names.
pub(crate) fn files(tree: &Tree) -> impl Iterator<Item = InodeId> + '_ {
    let mut seen = InodeSet::of(tree);
    tree.walk_ids().filter(move |id| matches!(tree.inode(*id).kind, Kind::File(_)) && seen.is_new(*id))
}

/// How important a program with these names is, which depends on their directories.
pub(crate) fn weight(names: &[ImagePath], path: &[Vec<u8>]) -> Weight {
    let in_place = names.iter().any(|name| is_place_for_programs(name, path));
    if in_place { Weight::Found } else { Weight::Elsewhere }
}

/// Whether a file with these names is a program.
pub(crate) fn is_program(files: &Files<'_>, id: InodeId, names: &Names<'_>, path: &[Vec<u8>]) -> bool {
    if !may_be_executed(files.tree.inode(id)) {
        return false;
    }
    let names = names.of_inode(id);
    let in_place = weight(names, path) == Weight::Found;
    let Some(probe) = files.probe_for(id, expected(names)) else { return false };
    match &probe.elf {
        Some(facts) => !is_library(facts, names) && is_elf_program(files, id, facts, in_place),
        // A text with no `#!` in a program directory gets a note: a shell would run it, a runtime would not.
        None => probe.head.starts_with(b"#!") || (in_place && looks_like_a_script(probe)),
    }
}

/// Which parts of a file with these names will be needed later. This decides what is read now, never the findings.
pub(crate) fn expected(names: &[ImagePath]) -> Expected {
    let is_loader = |name: &ImagePath| {
        name.components()
            .next_back()
            .is_some_and(|name| [&b"ld-"[..], b"ld.so", b"ld64.so"].iter().any(|start| name.starts_with(start)))
    };
    // `/lib/x`, `/usr/lib64/x`, `/usr/lib/aarch64-linux-gnu/x`: nearly all of these are loaded by some program.
    let is_in_library_directory = |name: &ImagePath| {
        let parts: Vec<&[u8]> = name.components().filter(|part| *part != b"usr").collect();
        parts.len() <= 3 && parts.first().is_some_and(|part| part.starts_with(b"lib") && *part != b"libexec")
    };
    if names.iter().any(is_loader) {
        Expected::Loader
    } else if names.iter().any(is_in_library_directory) {
        Expected::Library
    } else {
        Expected::Program
    }
}

/// Whether a file that a kernel could start is a library: it has a SONAME or the name of a library, and its linker did not mark it
/// as a program. glibc's `libc.so.6` and Qt's libraries have a PT_INTERP only to print their version.
pub(crate) fn is_library(facts: &ElfFacts, names: &[ImagePath]) -> bool {
    let named = || {
        !names.is_empty()
            && names.iter().all(|name| name.file_name().is_some_and(|name| is_library_name(name.as_bytes())))
    };
    match facts.kind {
        // klibc's library is a program at fixed addresses; other programs name it as their loader.
        2 => facts.interpreter == Interpreter::Absent && named(),
        3 => {
            let dynamic = facts.dynamic.as_ref();
            !dynamic.is_some_and(Dynamic::is_pie)
                && (dynamic.is_some_and(|dynamic| dynamic.soname.is_some()) || named())
        }
        _ => false,
    }
}

/// Configuration files of loaders in `/etc` whose names look like those of libraries.
const SETTINGS_OF_LOADER: [&[u8]; 3] = [b"ld.so.cache", b"ld.so.conf", b"ld.so.preload"];

/// Whether a name looks like that of a library: `libz.so.1`, `mod.so`, `addon.node`.
pub(crate) fn is_library_name(name: &[u8]) -> bool {
    if SETTINGS_OF_LOADER.contains(&name) {
        return false;
    }
    name.ends_with(b".so") || name.ends_with(b".node") || crate::elf::contains(name, b".so.")
}

fn is_elf_program(files: &Files<'_>, id: InodeId, facts: &ElfFacts, in_place: bool) -> bool {
    match files.linkage(id).unwrap_or(Linkage::Object) {
        Linkage::Dynamic | Linkage::Static | Linkage::StaticPie | Linkage::StaticPieLikely => true,
        Linkage::Object | Linkage::SharedObject => false,
        // A library for another machine is as normal as any other library. Its headers show whether a file is a program.
        Linkage::Foreign => {
            let pie = facts.dynamic.as_ref().is_some_and(Dynamic::is_pie);
            facts.kind == 2
                || (facts.kind == 3 && (pie || facts.interpreter != Interpreter::Absent))
                || (facts.kind == 3 && in_place && facts.fault.is_some() && !facts.reads_by_ident)
        }
    }
}

fn looks_like_a_script(probe: &Probe) -> bool {
    !probe.head.contains(&0)
}

/// Whether a directory is a program directory: those of PATH and of the default PATH, `/opt/bin`, `/opt/*/bin` and their `sbin`, and
/// everything below the `libexec` directories of the system. A directory with such a name deeper in `/opt`, or in a package of
/// Node.js or Python, belongs to that package, and nobody starts programs there.
fn is_place_for_programs(name: &ImagePath, path: &[Vec<u8>]) -> bool {
    let Some(directory) = name.parent() else { return false };
    let parts: Vec<&[u8]> = directory.components().collect();
    path.iter().any(|element| trimmed(element) == directory.as_bytes())
        || crate::oci::DEFAULT_PATH.split(':').any(|element| element.as_bytes() == directory.as_bytes())
        || matches!(parts.as_slice(), [b"opt", b"bin" | b"sbin"] | [b"opt", _, b"bin" | b"sbin"])
        || matches!(parts.as_slice(), [b"libexec", ..] | [b"usr", b"libexec", ..] | [b"usr", b"local", b"libexec", ..])
}

fn trimmed(element: &[u8]) -> &[u8] {
    let end = element.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    &element[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::link::sample::Sample;
    use crate::platform::Arch;

    fn weight_of(sample: &Sample, path: &str) -> Option<Weight> {
        let files = Files::new(&sample.tree, Some(Arch::Amd64));
        let id = sample.tree.get(&path.parse().unwrap()).unwrap();
        let (names, path) = (Names::of(&sample.tree), [b"/app/bin/".to_vec()]);
        is_program(&files, id, &names, &path).then(|| weight(names.of_inode(id), &path))
    }

    #[test]
    fn files_of_the_loader_are_not_libraries_by_their_name() {
        for name in ["libz.so.1", "mod.so", "addon.node", "libodd.so.bak", "ld.so.1"] {
            assert!(is_library_name(name.as_bytes()), "{name}");
        }
        for name in ["ld.so.cache", "ld.so.conf", "ld.so.preload", "a.conf", "libz.a"] {
            assert!(!is_library_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_program_matters_by_where_its_names_are() {
        let program = Forge::program();
        for (path, expected) in [
            ("/usr/bin/a", Weight::Found),
            ("/app/bin/a", Weight::Found),
            ("/usr/libexec/git/a", Weight::Found),
            ("/opt/x/bin/a", Weight::Found),
            ("/opt/bin/a", Weight::Found),
            ("/opt/x/sbin/a", Weight::Found),
            ("/opt/x/a", Weight::Elsewhere),
            ("/opt/x/node_modules/y/bin/a", Weight::Elsewhere),
            ("/srv/lib/python3/site-packages/PySide6/Qt/libexec/a", Weight::Elsewhere),
            ("/srv/sbin/a", Weight::Elsewhere),
            ("/usr/lib/node_modules/a", Weight::Elsewhere),
        ] {
            assert_eq!(weight_of(&Sample::new().elf(path, &program), path), Some(expected), "{path}");
        }
        let linked = Sample::new().elf("/usr/lib/busybox", &program).link("/bin/sh", "/usr/lib/busybox");
        assert_eq!(weight_of(&linked, "/usr/lib/busybox"), Some(Weight::Found));
    }

    #[test]
    fn what_is_no_program_does_not_matter() {
        let sample = Sample::new()
            .elf("/usr/lib/libx.so", &Forge::library("libx.so"))
            .bytes("/bin/readable", 0o644, &Forge::program().build())
            .text("/srv/notes", 0o755, "text")
            .elf("/usr/lib/arm/libx.so", &Forge { machine: 183, ..Forge::library("libx.so") })
            .text("/bin/notes", 0o755, "text")
            // Libraries with an execute bit, as wheels install them, and libraries that print something when started.
            .elf("/opt/a/mod.cpython-311-x86_64-linux-gnu.so", &Forge { calls: vec!["a".into()], ..unmarked() })
            .elf("/opt/a/mod", &Forge { defines: vec!["a".into()], ..unmarked() })
            .elf("/opt/a/other", &Forge { needed: vec!["libc.so".into()], ..unmarked() })
            .elf("/lib/ld-musl-x86_64.so.1", &Forge::musl(true))
            .elf("/lib/klibc-xyz.so", &Forge::program())
            .elf("/lib/libc.so.6", &Forge { soname: Some("libc.so.6".into()), ..Forge::dynamic("/ld") })
            .elf("/usr/lib/libpsx", &Forge { soname: Some("libpsx.so.2".into()), ..Forge::dynamic("/ld") })
            .bytes("/usr/libexec/valgrind/preload-x86-linux.so", 0o755, &class_32(3, None));
        for path in [
            "/usr/lib/libx.so",
            "/bin/readable",
            "/srv/notes",
            "/usr/lib/arm/libx.so",
            "/opt/a/mod.cpython-311-x86_64-linux-gnu.so",
            "/opt/a/mod",
            "/opt/a/other",
            "/lib/ld-musl-x86_64.so.1",
            "/lib/klibc-xyz.so",
            "/lib/libc.so.6",
            "/usr/lib/libpsx",
            "/usr/libexec/valgrind/preload-x86-linux.so",
        ] {
            assert_eq!(weight_of(&sample, path), None, "{path}");
        }
        assert_eq!(weight_of(&sample, "/bin/notes"), Some(Weight::Found));
    }

    /// A position independent file that has an entry point, but no mark of a program.
    fn unmarked() -> Forge {
        Forge { soname: None, ..Forge::library("") }
    }

    /// The headers of a file for 32-bit x86.
    fn class_32(kind: u16, interpreter: Option<&[u8]>) -> Vec<u8> {
        let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        let halves = |file: &mut Vec<u8>, numbers: &[u16]| numbers.iter().for_each(|n| file.extend(n.to_le_bytes()));
        let words = |file: &mut Vec<u8>, numbers: &[u32]| numbers.iter().for_each(|n| file.extend(n.to_le_bytes()));
        halves(&mut file, &[kind, 3]);
        words(&mut file, &[1, 0x1000, 52, 0, 0]);
        halves(&mut file, &[52, 32, 1, 40, 0, 0]);
        let text = interpreter.unwrap_or(b"x\0");
        let (kind, length) = (if interpreter.is_some() { 3 } else { 1 }, text.len() as u32);
        words(&mut file, &[kind, 84, 84, 84, length, length, 4, 1]);
        file.extend_from_slice(text);
        file
    }

    #[test]
    fn what_is_a_program_is_found_whatever_it_is_called() {
        let marked = Forge { flags_1: 0x0800_0000, ..unmarked() };
        let sample = Sample::new()
            .elf("/opt/a/unmarked", &unmarked())
            .elf("/opt/a/plugin.so", &marked)
            .elf("/opt/a/app.so", &Forge { flags_1: 0x0800_0000, ..Forge::dynamic("/ld") })
            .elf("/opt/a/tool.so", &Forge { kind: 2, ..Forge::dynamic("/ld") })
            .bytes("/opt/a/i386", 0o755, &class_32(3, Some(b"/lib/ld-linux.so.2\0")))
            .bytes("/opt/a/i386-static", 0o755, &class_32(2, None));
        for path in ["unmarked", "plugin.so", "app.so", "tool.so", "i386", "i386-static"] {
            assert_eq!(weight_of(&sample, &format!("/opt/a/{path}")), Some(Weight::Elsewhere), "{path}");
        }
    }

    #[test]
    fn names_are_entries_first_and_links_after() {
        let sample = Sample::new()
            .elf("/bin/busybox", &Forge::program())
            .link("/bin/ash", "busybox")
            .hardlink("/bin/zcat", "/bin/busybox")
            .link("/bin/gone", "nowhere");
        let names = Names::of(&sample.tree);
        let id = sample.tree.get(&"/bin/busybox".parse().unwrap()).unwrap();
        let shown: Vec<String> = names.of_inode(id).iter().map(ImagePath::to_string).collect();
        assert_eq!(shown, ["/bin/busybox", "/bin/zcat", "/bin/ash"]);
        assert_eq!(files(&sample.tree).collect::<Vec<_>>(), [id]);
        let quiet =
            Sample::new().bytes("/etc/notes", 0o644, b"").hardlink("/etc/also", "/etc/notes").link("/n", "/etc/notes");
        let id = quiet.tree.get(&"/etc/notes".parse().unwrap()).unwrap();
        let shown: Vec<String> = Names::of(&quiet.tree).of_inode(id).iter().map(ImagePath::to_string).collect();
        assert_eq!(shown, ["/etc/also", "/etc/notes", "/n"]);
    }
}
