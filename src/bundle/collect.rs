//! From a root to a bundle: the programs that are named, then whatever they need, until nothing new is needed.

use std::collections::BTreeSet;

use super::error::BundleError;
use super::extras;
use super::packing::Packing;
use super::reason::{Reason, Reasons};
use super::search;
use super::trace::{Traced, Use};
use crate::elf::{ElfFacts, contains};
use crate::link::{Closures, Needs};
use crate::path::{ImagePath, display_bytes};
use crate::platform::{Arch, Platform};
use crate::recipe::{self, Extra, RuleOrigin};
use crate::tree::{ContentError, Errno, Follow, Inode, Kind, Metadata, Mode, Resolved, Tree};

/// What to bundle.
pub struct BundleRequest<'a> {
    /// The root that everything comes from.
    pub root: &'a Tree,
    /// For which platform.
    pub platform: &'a Platform,
    /// What is asked for.
    pub rules: &'a recipe::Bundle,
    /// What a run was seen to use.
    pub traced: &'a BTreeSet<Traced>,
}

/// What was collected.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The files, with the metadata that they have in the root.
    pub tree: Tree,
    /// Why each name is there.
    pub reasons: Reasons,
    /// The programs that were asked for, where they are in the bundle, in order.
    pub programs: Vec<ImagePath>,
    /// Directories of search paths, and paths that do not exist: whoever reads a root in parts sees from them whether that was
    /// enough.
    pub looked_at: BTreeSet<ImagePath>,
    /// Directories that the programs' own searches came to and that could not be read when the root was: what is in them may
    /// change what a program loads.
    pub closed: Vec<ImagePath>,
    /// What the user should know, one line each.
    pub notes: Vec<String>,
}

/// Collects programs with what they need. A file that is missing is not an error here: the verifier reports it.
///
/// # Errors
/// When a program that is named is not there, or a file cannot be read.
pub fn collect(request: &BundleRequest<'_>) -> Result<Collected, BundleError> {
    let BundleRequest { root, platform, rules, traced } = *request;
    let Some(arch) = platform.arch() else {
        return Err(BundleError::Platform(rules.origin.clone(), platform.clone()));
    };
    let closures = Closures::new(root, platform);
    let exclude = rules.exclude.matcher(platform);
    let mut collecting = Collecting {
        root,
        rules,
        platform,
        arch,
        closures: &closures,
        packing: Packing::new(root, &exclude),
        programs: Vec::new(),
        interpreters: BTreeSet::new(),
        libraries: Vec::new(),
        looked_at: BTreeSet::new(),
        notes: Vec::new(),
    };
    let mut named = Vec::new();
    for program in &rules.programs {
        named.push(collecting.name(&program.fill_in(platform))?);
    }
    collecting.include();
    collecting.add_extras()?;
    collecting.add_traced(traced);
    collecting.follow();
    // From here on every file that a start asks for is there; what is left is how loaders find them.

    let Collecting { mut packing, programs, looked_at, notes, .. } = collecting;
    let closed = closures.closed();
    // If a file could not be read, what the programs need is not known.
    if let Some(failure) = closures.take_failure() {
        return Err(failure.into());
    }
    search::settle(&mut packing, root, platform, &programs, &closures)?;
    search::shorten(&mut packing, root, platform, &programs, &closures)?;
    if let Some(failure) = closures.take_failure() {
        return Err(failure.into());
    }
    let programs = install(&mut packing, rules, platform, &named)?;
    for path in &rules.directories {
        let inode = Inode::directory(Metadata::new(Mode::DIRECTORY, 0));
        packing
            .put(path, inode, Reason::Made)
            .map_err(|error| BundleError::NotFound(rules.origin.clone(), path.to_string(), error))?;
    }
    Ok(Collected { tree: packing.tree, reasons: packing.reasons, programs, looked_at, closed, notes })
}

struct Collecting<'a> {
    root: &'a Tree,
    rules: &'a recipe::Bundle,
    platform: &'a Platform,
    arch: Arch,
    closures: &'a Closures<'a>,
    packing: Packing<'a>,
    /// Programs that load something.
    programs: Vec<ImagePath>,
    /// The loaders, as the programs name them.
    interpreters: BTreeSet<Vec<u8>>,
    /// Files that were asked for and may be libraries: they need something when a process opens them.
    libraries: Vec<ImagePath>,
    looked_at: BTreeSet<ImagePath>,
    notes: Vec<String>,
}

impl Collecting<'_> {
    /// Includes a program that is asked for. Gives its path as it is spelled.
    fn name(&mut self, text: &str) -> Result<Vec<u8>, BundleError> {
        let origin = || self.rules.origin.clone();
        let spelled = if text.contains('/') {
            [if text.starts_with('/') { "" } else { "/" }, text].concat().into_bytes()
        } else {
            let found = self.closures.in_path(text.as_bytes());
            found.ok_or_else(|| BundleError::NotInPath(origin(), text.to_string()))?
        };
        let found = self
            .packing
            .include(&ImagePath::root(), &spelled, Follow::Yes, &Reason::Named)
            .map_err(|error| BundleError::NotFound(origin(), text.to_string(), error))?;
        match &self.root.inode(found.id).kind {
            Kind::File(_) => Ok(spelled),
            Kind::Directory(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {
                Err(BundleError::NotAFile(origin(), text.to_string()))
            }
        }
    }

    /// Includes what globs name: directories with what they hold, links with what they lead to.
    fn include(&mut self) {
        let include = self.rules.include.matcher(self.platform);
        let mut matched = vec![false; include.patterns().len()];
        let root = self.root;
        for entry in root.walk() {
            if root.is_closed(entry.id) {
                let hidden = include.patterns().iter().filter(|glob| may_match_below(glob, &entry.path));
                hidden.for_each(|glob| {
                    self.note(format!("cannot read {}, so {glob} includes nothing there", entry.path))
                });
            }
            for number in include.matching(&entry.path) {
                matched[number] = true;
                let glob = include.patterns().get(number).cloned().unwrap_or_default();
                self.include_all(&entry.path, &Reason::Included(glob));
            }
        }
        for (_, glob) in matched.iter().zip(include.patterns()).filter(|(matched, _)| !**matched) {
            self.notes.push(format!("no path in the root matches {glob}"));
        }
    }

    /// Notes something once.
    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn add_extras(&mut self) -> Result<(), BundleError> {
        for extra in &self.rules.with {
            let paths = extras::paths(*extra, self.root, self.arch)?;
            if paths.is_empty() {
                self.notes.push(format!("the root has no files of `{}`", extra.word()));
            }
            for path in paths {
                self.include_all(&path, &Reason::Extra(*extra));
            }
        }
        Ok(())
    }

    /// Includes what a run used. What has gone since, or was never in the root (another mount), is left out.
    fn add_traced(&mut self, traced: &BTreeSet<Traced>) {
        for Traced { path, follow, used } in traced {
            let follow = if *follow { Follow::Yes } else { Follow::No };
            let found = match self.root.resolve(&ImagePath::root(), path, follow) {
                Ok(found) => found,
                Err(error) => {
                    if error.errno == Errno::NoAccess {
                        self.note(format!(
                            "{used} in the traced run, but {} cannot be read: {}",
                            error.at,
                            display_bytes(path)
                        ));
                    }
                    continue;
                }
            };
            match &self.root.inode(found.id).kind {
                Kind::File(_) | Kind::Directory(_) | Kind::Symlink(_) => {
                    let _ = self.packing.include(&ImagePath::root(), path, follow, &Reason::Traced(*used));
                }
                Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {}
            }
        }
    }

    /// Includes a path with all that it holds, and what links lead to.
    fn include_all(&mut self, path: &ImagePath, why: &Reason) {
        let Ok(found) = self.packing.include(&ImagePath::root(), path.as_bytes(), Follow::Yes, why) else {
            // A link to nothing is included as it is.
            self.packing.copy(path, why);
            return;
        };
        self.libraries.push(found.path.clone());
        let mut pending = vec![(found.path, found.id)];
        while let Some((directory, id)) = pending.pop() {
            let Some(entries) = self.root.entries(id) else { continue };
            if self.root.is_closed(id) {
                self.note(format!("cannot read {directory}, so its contents are not included"));
            }
            for (name, id) in entries {
                let path = directory.join(&name);
                match &self.root.inode(id).kind {
                    Kind::Directory(_) => {
                        self.packing.copy(&path, why);
                        pending.push((path, id));
                    }
                    Kind::Symlink(_) => self.include_link(&path, why),
                    Kind::File(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {
                        self.packing.copy(&path, why);
                        self.libraries.push(path);
                    }
                }
            }
        }
    }

    /// Includes a link, and what it leads to if that exists. The time zones' own link to the zone of this machine is
    /// included alone: which zone it is belongs to the machine.
    fn include_link(&mut self, path: &ImagePath, why: &Reason) {
        let root = ImagePath::root();
        let zone = *why == Reason::Extra(Extra::Zoneinfo);
        let leads_out = |found: &Resolved| zone && found.path.components().next() == Some(b"etc");
        match self.root.resolve(&root, path.as_bytes(), Follow::Yes) {
            Ok(found) if !leads_out(&found) => {
                let _ = self.packing.include(&root, path.as_bytes(), Follow::Yes, why);
            }
            Ok(_) | Err(_) => {
                self.packing.copy(path, why);
            }
        }
    }

    /// Includes what the included files need, until nothing new is found.
    fn follow(&mut self) {
        loop {
            while let Some(path) = self.packing.next_fresh() {
                // A library may name a loader, as libc.so.6 does; but it is not started.
                if self.packing.is_only_loaded(&path) {
                    continue;
                }
                let needs = self.closures.needs(&path);
                self.interpreters.extend(needs.interpreter.clone());
                if !needs.found.is_empty() {
                    self.programs.push(path);
                }
                self.include_needs(&needs);
            }
            let Some(library) = self.libraries.pop() else { return };
            for interpreter in self.interpreters.clone() {
                let needs = self.closures.library_needs(&library, &interpreter);
                self.include_needs(&needs);
            }
        }
    }

    fn include_needs(&mut self, needs: &Needs) {
        let root = ImagePath::root();
        for need in &needs.found {
            // It was found by the same lookup, so it is found again.
            let _ = self.packing.include(&root, &need.path, Follow::Yes, &Reason::of(need));
        }
        let looked_at = needs.absent.iter().chain(&needs.directories);
        for path in looked_at {
            self.looked_at.insert(match self.root.resolve(&root, path, Follow::Yes) {
                Ok(found) => found.path,
                Err(error) => error.at,
            });
        }
    }
}

/// Whether a glob could name something below a directory: as far as both go, each part of the one may be that of the other.
fn may_match_below(glob: &str, directory: &ImagePath) -> bool {
    let mut parts = glob.split('/').filter(|part| !part.is_empty());
    for component in directory.components() {
        match parts.next() {
            // It names a directory above, with all that this holds; or it goes down any number of directories.
            None | Some("**") => return true,
            Some(part) if part.contains(['*', '?', '[', '{', '\\']) || part.as_bytes() == component => {}
            Some(_) => return false,
        }
    }
    true
}

/// Moves the programs to where they should be. A program that finds its libraries by its own place stays there, and so
/// does one that others need there; then a link leads to it.
fn install(
    packing: &mut Packing<'_>,
    rules: &recipe::Bundle,
    platform: &Platform,
    named: &[Vec<u8>],
) -> Result<Vec<ImagePath>, BundleError> {
    let invalid = |error| BundleError::Path(rules.origin.clone(), error);
    let mut programs = Vec::new();
    for spelled in named {
        let here = packing.tree.resolve(&ImagePath::root(), spelled, Follow::No).map(|found| found.path);
        // Left out by a glob: then there is nothing to install, and the verifier reports it.
        let Ok(here) = here else { continue };
        let Some(to) = &rules.install_to else {
            programs.push(ImagePath::parse(here.as_bytes()).map_err(invalid)?);
            continue;
        };
        let mut to = to.fill_in(platform).into_bytes();
        if to.ends_with(b"/") {
            to.extend_from_slice(here.file_name().as_ref().map(crate::path::Name::as_bytes).unwrap_or_default());
        }
        let to = ImagePath::parse(&to).map_err(invalid)?;
        if programs.contains(&to) {
            return Err(BundleError::OneInstall(rules.origin.clone(), to.to_string()));
        }
        if to != here {
            move_to(packing, spelled, &here, &to, &rules.origin)?;
        }
        programs.push(to);
    }
    Ok(programs)
}

fn move_to(
    packing: &mut Packing<'_>,
    spelled: &[u8],
    here: &ImagePath,
    to: &ImagePath,
    origin: &RuleOrigin,
) -> Result<(), BundleError> {
    let missing = |error| BundleError::NotFound(origin.clone(), to.to_string(), error);
    let found = packing.tree.resolve(&ImagePath::root(), spelled, Follow::Yes).map_err(missing)?;
    let inode = packing.tree.inode(found.id).clone();
    // That it was executed in the trace is the same reason once more.
    let own = |reason: &Reason| matches!(reason, Reason::Named | Reason::Traced(Use::Executed));
    let alone = packing.reasons.get(here).is_some_and(|reasons| reasons.iter().all(own));
    if *here == found.path && alone && !depends_on_its_place(&inode)? {
        packing.drop_name(here);
        packing.put(to, inode, Reason::Named).map_err(missing)?;
        return Ok(());
    }
    let link = Inode {
        meta: Metadata { mode: Mode::SYMLINK, ..Metadata::clone(&inode.meta) }.into(),
        kind: Kind::Symlink(found.path.as_bytes().into()),
    };
    if *here != found.path && alone {
        packing.drop_name(here);
    }
    packing.put(to, link, Reason::Named).map_err(missing)?;
    Ok(())
}

/// Whether a program's search path starts at its own place.
fn depends_on_its_place(inode: &Inode) -> Result<bool, ContentError> {
    let Kind::File(content) = &inode.kind else { return Ok(false) };
    let dynamic = ElfFacts::read(content)?.and_then(|facts| facts.dynamic);
    Ok(dynamic.is_some_and(|dynamic| {
        [&dynamic.runpath, &dynamic.rpath].into_iter().flatten().any(|path| contains(path, b"ORIGIN"))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::dir::{ScanOptions, scan};
    use crate::codec::folder::{FolderOptions, Owners, write_folder};
    use crate::elf::forge::Forge;
    use crate::link::sample::Sample;
    use crate::platform::Arch;
    use crate::progress::Silent;
    use crate::recipe::{Globs, Template};

    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

    fn rules(programs: &[&str]) -> recipe::Bundle {
        recipe::Bundle::new(RuleOrigin::command_line(), programs.iter().map(|program| program.to_string()))
    }

    fn bundle(sample: &Sample, rules: &recipe::Bundle) -> Collected {
        let platform = Platform::new(Arch::Amd64);
        collect(&BundleRequest { root: &sample.tree, platform: &platform, rules, traced: &BTreeSet::new() }).unwrap()
    }

    /// Every name that is not a directory, and links with their targets.
    fn names(bundle: &Collected) -> Vec<String> {
        let name = |entry: crate::tree::Entry<'_>| match &entry.inode.kind {
            Kind::Directory(entries) if !entries.is_empty() => None,
            Kind::Symlink(target) => Some(format!("{} -> {}", entry.path, crate::path::display_bytes(target))),
            _ => Some(entry.path.to_string()),
        };
        bundle.tree.walk().filter_map(name).collect()
    }

    fn needing(names: &[&str]) -> Forge {
        Forge { needed: names.iter().map(|name| name.as_bytes().to_vec()).collect(), ..Forge::dynamic(LOADER) }
    }

    /// A merged root as Debian has it, with more in it than anybody needs.
    fn root() -> Sample {
        Sample::new()
            .elf("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", &Forge::glibc())
            .directory("/usr/lib64")
            .link("/usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
            .link("/lib", "usr/lib")
            .link("/lib64", "usr/lib64")
            .link("/bin", "usr/bin")
            .elf("/usr/lib/x86_64-linux-gnu/liba.so.1.2", &Forge::library("liba.so.1"))
            .link("/usr/lib/x86_64-linux-gnu/liba.so.1", "liba.so.1.2")
            .elf("/usr/lib/x86_64-linux-gnu/libunused.so", &Forge::library("libunused.so"))
            .text("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\n")
    }

    #[test]
    fn what_a_program_needs_is_there_and_nothing_else() {
        let sample = root().elf("/usr/bin/app", &needing(&["liba.so.1"]));
        let bundle = bundle(&sample, &rules(&["app"]));
        assert_eq!(
            names(&bundle),
            [
                "/lib -> usr/lib",
                "/lib64 -> usr/lib64",
                "/usr/bin/app",
                "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
                "/usr/lib/x86_64-linux-gnu/liba.so.1 -> liba.so.1.2",
                "/usr/lib/x86_64-linux-gnu/liba.so.1.2",
                "/usr/lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            ]
        );
        let why = |path: &str| bundle.reasons[&path.parse().unwrap()].iter().map(Reason::to_string).collect::<Vec<_>>();
        assert_eq!(why("/usr/bin/app"), ["requested by name"]);
        assert_eq!(
            why("/usr/lib/x86_64-linux-gnu/liba.so.1.2"),
            ["liba.so.1, needed by /usr/bin/app (system directory)"]
        );
        assert_eq!(why("/lib64"), ["is a link on the way to /lib64/ld-linux-x86-64.so.2"]);
    }

    #[test]
    fn a_link_that_only_a_search_came_through_is_left_out() {
        let sample = Sample::new()
            .elf("/usr/lib64/ld-linux-x86-64.so.2", &Forge::glibc())
            .link("/lib64", "usr/lib64")
            .elf("/usr/lib/x86_64-linux-gnu/liba.so.1", &Forge::library("liba.so.1"))
            .link("/lib", "usr/lib")
            .elf("/app", &needing(&["liba.so.1"]));
        assert_eq!(
            names(&bundle(&sample, &rules(&["/app"]))),
            ["/app", "/lib64 -> usr/lib64", "/usr/lib/x86_64-linux-gnu/liba.so.1", "/usr/lib64/ld-linux-x86-64.so.2",]
        );
    }

    #[test]
    fn a_cache_is_made_only_for_what_nothing_else_finds() {
        let cached = |path: &str| {
            let entries = [("liba.so.1", path), ("libother.so", "/opt/libother.so")];
            let entries = entries.map(|(name, path)| (name.as_bytes().to_vec(), path.as_bytes().to_vec()));
            let cache = crate::link::ld_cache(Arch::Amd64, &entries.into_iter().collect());
            root()
                .bytes("/etc/ld.so.cache", 0o644, &cache)
                .elf("/opt/x/liba.so.1", &Forge::library("liba.so.1"))
                .elf("/usr/bin/app", &needing(&["liba.so.1"]))
        };
        let usual = bundle(&cached("/lib/x86_64-linux-gnu/liba.so.1"), &rules(&["app"]));
        assert!(!names(&usual).contains(&"/etc/ld.so.cache".to_string()));
        let sample = cached("/opt/x/liba.so.1");
        let special = bundle(&sample, &rules(&["app"]));
        assert!(names(&special).contains(&"/opt/x/liba.so.1".to_string()));
        let id = special.tree.get(&"/etc/ld.so.cache".parse().unwrap()).unwrap();
        let Kind::File(content) = &special.tree.inode(id).kind else { panic!("no file") };
        let text = content.head(1 << 20).unwrap();
        assert!(contains(&text, b"/opt/x/liba.so.1") && !contains(&text, b"libother.so"));
        let platform = Platform::new(Arch::Amd64);
        let inside = Closures::new(&special.tree, &platform).of(&"/usr/bin/app".parse().unwrap()).unwrap();
        assert_eq!(inside.libraries, [(b"liba.so.1".to_vec(), b"/opt/x/liba.so.1".to_vec())]);
    }

    #[test]
    fn scripts_bring_their_interpreters_and_directories_that_are_only_left_again() {
        let program = Forge { runpath: Some("$ORIGIN/../a/b/../../lib".into()), ..needing(&["libb.so"]) };
        let sample = root()
            .text("/usr/bin/run", 0o755, "#!/usr/bin/env app\n")
            .elf("/usr/bin/env", &needing(&[]))
            .elf("/usr/bin/app", &program)
            .elf("/usr/lib/libb.so", &Forge::library("libb.so"))
            .directory("/usr/a/b");
        let bundle = bundle(&sample, &rules(&["/bin/run"]));
        let names = names(&bundle);
        for name in ["/bin -> usr/bin", "/usr/a/b", "/usr/bin/app", "/usr/bin/env", "/usr/bin/run", "/usr/lib/libb.so"]
        {
            assert!(names.contains(&name.to_string()), "{name} in {names:?}");
        }
        assert_eq!(bundle.programs, ["/usr/bin/run".parse().unwrap()]);
    }

    #[test]
    fn hard_links_stay_one_file_and_globs_bring_what_libraries_need() {
        let plugin = Forge { needed: vec!["liba.so.1".into()], ..Forge::library("p.so") };
        let sample = root()
            .elf("/usr/bin/app", &needing(&[]))
            .hardlink("/usr/bin/same", "/usr/bin/app")
            .elf("/usr/share/x/p.so", &plugin)
            .link("/usr/share/x/q", "../y")
            .text("/usr/share/y", 0o644, "");
        let rules = recipe::Bundle {
            include: Globs::new(["/usr/share/x", "/nothing/*"]).unwrap(),
            exclude: Globs::new(["/lib64"]).unwrap(),
            ..rules(&["app", "same"])
        };
        let bundle = bundle(&sample, &rules);
        let id = |path: &str| bundle.tree.get(&path.parse().unwrap());
        assert_eq!(id("/usr/bin/app"), id("/usr/bin/same"));
        assert!(id("/usr/share/x/p.so").is_some() && id("/usr/share/y").is_some());
        assert!(id("/usr/lib/x86_64-linux-gnu/liba.so.1.2").is_some(), "{:?}", names(&bundle));
        assert_eq!(id("/lib64"), None);
        assert_eq!(bundle.notes, ["no path in the root matches /nothing/*"]);
    }

    #[test]
    fn programs_are_installed_where_they_are_wanted() {
        let with_origin = Forge { runpath: Some("$ORIGIN".into()), ..needing(&[]) };
        let sample = root()
            .elf("/usr/bin/app", &needing(&[]))
            .elf("/usr/libexec/deep", &needing(&[]))
            .link("/usr/bin/link", "../libexec/deep")
            .elf("/opt/own", &with_origin);
        let rules = |to: &str, programs: &[&str]| recipe::Bundle {
            install_to: Some(Template::new(to)),
            ..self::rules(programs)
        };
        let all = bundle(&sample, &rules("/x/", &["app", "link", "/opt/own"]));
        let names = names(&all);
        for name in ["/x/app", "/x/link -> /usr/libexec/deep", "/x/own -> /opt/own", "/opt/own", "/usr/libexec/deep"] {
            assert!(names.contains(&name.to_string()), "{name} in {names:?}");
        }
        assert!(!names.iter().any(|name| name.starts_with("/usr/bin")), "{names:?}");
        let request = BundleRequest {
            root: &sample.tree,
            platform: &Platform::new(Arch::Amd64),
            rules: &rules("/x", &["app", "link"]),
            traced: &BTreeSet::new(),
        };
        let error = collect(&request).unwrap_err().to_string();
        assert_eq!(error, "command line: several programs would be installed as one file: /x");
    }

    #[test]
    fn what_a_run_used_is_included_as_it_was_used() {
        let sample = root()
            .elf("/usr/bin/app", &needing(&[]))
            .text("/etc/app/conf", 0o644, "")
            .text("/etc/app/unused", 0o644, "")
            .link("/etc/conf", "app/conf")
            .link("/etc/look", "app/unused");
        let traced = |path: &str, follow, used| Traced { path: path.as_bytes().to_vec(), follow, used };
        let traced = BTreeSet::from([
            traced("/usr/../etc/conf", true, Use::Opened),
            traced("/etc/look", false, Use::LinkRead),
            traced("/usr/lib64", true, Use::LookedAt),
            traced("/gone", true, Use::Opened),
        ]);
        let (platform, rules) = (Platform::new(Arch::Amd64), rules(&["app"]));
        let request = BundleRequest { root: &sample.tree, platform: &platform, rules: &rules, traced: &traced };
        let bundle = collect(&request).unwrap();
        let names = names(&bundle);
        for name in ["/etc/app/conf", "/etc/conf -> app/conf", "/etc/look -> app/unused"] {
            assert!(names.contains(&name.to_string()), "{name} in {names:?}");
        }
        assert!(!names.contains(&"/etc/app/unused".to_string()));
        assert_eq!(bundle.reasons[&"/etc/app/conf".parse().unwrap()], [Reason::Traced(Use::Opened)]);
    }

    #[test]
    fn a_directory_that_cannot_be_read_hides_only_what_is_searched_there() {
        let search = |runpath: &str| Forge { runpath: Some(runpath.into()), ..needing(&["liba.so.1"]) };
        let sample = |runpath: &str| {
            let mut sample = root().elf("/usr/bin/app", &search(runpath)).directory("/opt/closed").directory("/srv");
            for path in ["/opt/closed", "/srv"] {
                let directory = sample.tree.get_directory(&path.parse().unwrap()).unwrap();
                sample.tree.close(directory);
            }
            sample
        };
        let all = bundle(&sample("/usr/lib"), &rules(&["app"]));
        assert!(all.closed.is_empty() && all.notes.is_empty(), "{:?} {:?}", all.closed, all.notes);
        let searched = bundle(&sample("/opt/closed/lib"), &rules(&["app"]));
        assert_eq!(searched.closed, ["/opt/closed".parse().unwrap()]);
        let include = Globs::new(["/opt/*/x", "/srv/**"]).unwrap();
        let globs = bundle(&sample("/usr/lib"), &recipe::Bundle { include, ..rules(&["app"]) });
        let hidden = |path: &str, glob: &str| format!("cannot read {path}, so {glob} includes nothing there");
        let unused = |glob: &str| format!("no path in the root matches {glob}");
        assert_eq!(
            globs.notes,
            [hidden("/opt/closed", "/opt/*/x"), hidden("/srv", "/srv/**"), unused("/opt/*/x"), unused("/srv/**")]
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_never_another_bundle() {
        let folder = tempfile::tempdir().unwrap();
        let sample = root().elf("/usr/bin/app", &needing(&["liba.so.1"]));
        let options = FolderOptions { owners: Owners::Writer, wanted: &|_| true };
        write_folder(&sample.tree, folder.path(), &options, &Silent).unwrap();
        let tree = scan(folder.path(), &ScanOptions::ALL).unwrap().tree;
        std::fs::remove_file(folder.path().join("usr/lib/x86_64-linux-gnu/liba.so.1.2")).unwrap();
        let (platform, rules) = (Platform::new(Arch::Amd64), rules(&["app"]));
        let request = BundleRequest { root: &tree, platform: &platform, rules: &rules, traced: &BTreeSet::new() };
        let error = collect(&request).unwrap_err();
        assert!(matches!(&error, BundleError::Content(_)) && error.to_string().contains("liba.so.1.2"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let sample = root();
        let error = |program: &str| {
            let platform = &Platform::new(Arch::Amd64);
            let rules = &rules(&[program]);
            collect(&BundleRequest { root: &sample.tree, platform, rules, traced: &BTreeSet::new() })
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error("app"), "command line: program not found in the root's PATH: app");
        assert_eq!(error("/opt/app"), "command line: no such program in the root: /opt/app: does not exist: /opt");
        assert_eq!(error("/usr/lib"), "command line: not a program, because it is not a regular file: /usr/lib");
    }
}
