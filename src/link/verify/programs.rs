//! Which files of a tree are programs that must start, and by how many names each is known.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::elf::{ElfFacts, Interpreter, Linkage};
use crate::path::ImagePath;
use crate::tree::{Follow, Inode, InodeId, InodeSet, Kind, Tree, WalkEntry};

use crate::link::files::{Expected, Files, Probe};

/// How much it matters that a file starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// A program outside the places for programs: findings are one step less severe.
    Elsewhere,
    /// A program in a place for programs.
    Found,
    /// The image names it: entry point, health check, init.
    Named,
}

/// All names of the regular files of a tree.
pub(crate) struct Names<'t> {
    tree: &'t Tree,
    /// The names of everything that could be executed.
    programs: Known,
    /// The names of everything, once those of anything else are needed.
    all: OnceLock<Known>,
}

/// By inode: directory entries, then links that lead there; each sorted.
type Known = BTreeMap<InodeId, Vec<ImagePath>>;

impl<'t> Names<'t> {
    pub fn of(tree: &'t Tree) -> Names<'t> {
        Names { tree, programs: names(tree, may_be_executed), all: OnceLock::new() }
    }

    /// The names of one inode, directory entries first; empty for what is not a regular file.
    pub fn of_inode(&self, id: InodeId) -> &[ImagePath] {
        // Most files of most trees are not programs, and their names are not needed.
        let known = match may_be_executed(self.tree.inode(id)) {
            true => &self.programs,
            false => self.all.get_or_init(|| names(self.tree, |_| true)),
        };
        known.get(&id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The names of one inode, those together whose directory entries are in one directory: of these `$ORIGIN` is the same.
    /// Links are with the entry that they lead to, because `/proc/self/exe` shows that.
    pub fn by_origin(&self, id: InodeId) -> Vec<Vec<ImagePath>> {
        let mut groups: Vec<(ImagePath, Vec<ImagePath>)> = Vec::new();
        for name in self.of_inode(id) {
            let Ok(found) = self.tree.resolve(&ImagePath::root(), name.as_bytes(), Follow::Yes) else { continue };
            let Some(origin) = found.path.parent() else { continue };
            match groups.iter_mut().find(|(known, _)| *known == origin) {
                Some((_, names)) => names.push(name.clone()),
                None => groups.push((origin, vec![name.clone()])),
            }
        }
        groups.into_iter().map(|(_, names)| names).collect()
    }
}

fn may_be_executed(inode: &Inode) -> bool {
    inode.meta.mode.any_execute()
}

/// The names of the regular files that are wanted.
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

/// How much names of a program matter, by where they are.
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
        Some(facts) => is_elf_program(facts, files.machine(), in_place),
        // Text without `#!` in a place for programs is worth a note: a shell would run it, a runtime would not.
        None => probe.head.starts_with(b"#!") || (in_place && looks_like_a_script(probe)),
    }
}

/// What a file with these names will be asked for later. It decides what is read now, never what is found.
pub(crate) fn expected(names: &[ImagePath]) -> Expected {
    let is_loader = |name: &ImagePath| {
        name.components()
            .next_back()
            .is_some_and(|name| [&b"ld-"[..], b"ld.so", b"ld64.so"].iter().any(|start| name.starts_with(start)))
    };
    // `/lib/x`, `/usr/lib64/x`, `/usr/lib/aarch64-linux-gnu/x`: some program loads nearly all of these.
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

fn is_elf_program(facts: &ElfFacts, machine: u16, in_place: bool) -> bool {
    match facts.linkage(machine, true) {
        Linkage::Dynamic | Linkage::Static | Linkage::StaticPie | Linkage::StaticPieLikely => true,
        Linkage::Object | Linkage::SharedObject => false,
        // A library for another machine is as normal as any other; a program is recognised by what can be seen of it.
        Linkage::Foreign => {
            let pie = facts.dynamic.as_ref().is_some_and(crate::elf::Dynamic::is_pie);
            facts.kind == 2
                || (facts.kind == 3 && (pie || facts.interpreter != Interpreter::Absent))
                || (facts.kind == 3 && in_place && facts.fault.is_some())
        }
    }
}

fn looks_like_a_script(probe: &Probe) -> bool {
    !probe.head.contains(&0)
}

/// PATH, the default PATH, every `sbin` and `libexec`, and `bin` below `/opt`.
fn is_place_for_programs(name: &ImagePath, path: &[Vec<u8>]) -> bool {
    let Some(directory) = name.parent() else { return false };
    let parts: Vec<&[u8]> = directory.components().collect();
    path.iter().any(|element| trimmed(element) == directory.as_bytes())
        || crate::oci::DEFAULT_PATH.split(':').any(|element| element.as_bytes() == directory.as_bytes())
        || parts.last() == Some(&b"sbin".as_slice())
        || parts.contains(&b"libexec".as_slice())
        || (parts.first() == Some(&b"opt".as_slice()) && parts.last() == Some(&b"bin".as_slice()))
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
        let files = Files::new(&sample.tree, Arch::Amd64);
        let id = sample.tree.get(&path.parse().unwrap()).unwrap();
        let (names, path) = (Names::of(&sample.tree), [b"/app/bin/".to_vec()]);
        is_program(&files, id, &names, &path).then(|| weight(names.of_inode(id), &path))
    }

    #[test]
    fn a_program_matters_by_where_its_names_are() {
        let program = Forge::program();
        for (path, expected) in [
            ("/usr/bin/a", Weight::Found),
            ("/app/bin/a", Weight::Found),
            ("/usr/libexec/git/a", Weight::Found),
            ("/opt/x/bin/a", Weight::Found),
            ("/opt/x/a", Weight::Elsewhere),
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
            .text("/bin/notes", 0o755, "text");
        for path in ["/usr/lib/libx.so", "/bin/readable", "/srv/notes", "/usr/lib/arm/libx.so"] {
            assert_eq!(weight_of(&sample, path), None, "{path}");
        }
        assert_eq!(weight_of(&sample, "/bin/notes"), Some(Weight::Found));
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
