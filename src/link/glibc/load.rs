//! glibc's loader (`elf/dl-load.c`, `elf/rtld.c`, 2.36 to 2.41): which files it loads.

use crate::elf::{Dynamic, HeaderFault};
use crate::path::display_bytes;
use crate::platform::GlibcFacts;
use crate::report::Evidence;
use crate::tree::{InodeId, Resolved};

use super::ident::ident_fault;
use super::ld_cache::Cache;
use super::tokens::token;
use crate::link::draft::Draft;
use crate::link::loader::GlibcLoader;
use crate::link::process::{Candidate, Loaded, OBJECTS_MAX, Object, OpenError, PRELOAD_BAD, Process, directory_of};

/// The messages of glibc that name a file by its needed name instead of its path.
pub(crate) const NOT_DYNAMIC: &str = "object file has no dynamic section";
pub(crate) const PROGRAM: &str = "cannot dynamically load position-independent executable";

/// The evidence of a lookup in the cache after which no file was opened.
pub(crate) const UNKNOWN: &str = "has no such name";
pub(crate) const FORBIDDEN: &str = "in a system directory, which NODEFLIB forbids";

/// One directory that is searched, with the rule that adds it.
struct Place {
    rule: String,
    directory: Vec<u8>,
}

/// How a search ended.
pub(crate) enum Search {
    Found(Vec<u8>, Resolved, String),
    /// Not in this list: continue with the next one.
    Nothing,
    /// A file that ends the start: its path, what it is, and glibc's message.
    Fatal(Vec<u8>, String, &'static str),
}

/// A process that glibc's loader starts.
pub(crate) struct Glibc<'a> {
    pub process: &'a Process<'a>,
    pub loader: &'a GlibcLoader,
    pub loaded: Loaded,
    cache: &'a [u8],
    /// How many levels above the baseline the CPU has.
    level: usize,
}

impl<'a> Glibc<'a> {
    /// Loads a program on a CPU with this many levels above the baseline.
    pub fn load(process: &'a Process<'a>, loader: &'a GlibcLoader, level: usize) -> Glibc<'a> {
        let found = process.open(b"/etc/ld.so.cache").ok();
        let cache = found.and_then(|found| process.files.whole(found.id));
        let cache = cache.unwrap_or_default();
        let loaded = Loaded { abi: Some((process.arch, loader.abi)), ..Loaded::default() };
        let mut glibc = Glibc { process, loader, loaded, cache, level };
        let object = |id: InodeId, path: &[u8], is_loader: bool| Object {
            id,
            path: path.to_vec(),
            names: vec![path.to_vec()],
            by: None,
            is_loader,
            rule: "PT_INTERP".into(),
        };
        // The loader itself is loaded from the beginning, so its name never needs a search.
        glibc.loaded.objects.push(object(process.app, process.app_path.as_bytes(), false));
        glibc.loaded.objects.push(object(process.loader, process.interpreter, true));
        glibc.preload();
        let mut at = 0;
        while at < glibc.loaded.objects.len() && glibc.loaded.objects.len() <= OBJECTS_MAX {
            if !glibc.loaded.objects[at].is_loader {
                glibc.check_search_path(at);
                if let Some(dynamic) = process.facts(&glibc.loaded.objects[at]).and_then(|facts| facts.dynamic.as_ref())
                {
                    for name in &dynamic.needed {
                        glibc.need(name, at);
                    }
                    for name in &dynamic.filters {
                        glibc.need(name, at);
                    }
                    for name in &dynamic.auxiliary {
                        let _ = glibc.resolve(name, at);
                    }
                }
            }
            at += 1;
        }
        glibc
    }

    fn preload(&mut self) {
        let from_environment = self.process.environment.preload.clone().filter(|_| !self.process.secure);
        let from_environment = from_environment.unwrap_or_default();
        let mut names: Vec<(Vec<u8>, &str)> = from_environment
            .split(|&byte| byte == b' ' || byte == b':')
            .map(|name| (name.to_vec(), "LD_PRELOAD"))
            .collect();
        if let Ok(found) = self.process.open(b"/etc/ld.so.preload")
            && let Some(bytes) = self.process.files.whole(found.id)
        {
            for line in bytes.split(|&byte| byte == b'\n') {
                let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
                names.extend(
                    line.split(|byte| b" \t:".contains(byte)).map(|name| (name.to_vec(), "/etc/ld.so.preload")),
                );
            }
        }
        for (name, source) in names.into_iter().filter(|(name, _)| !name.is_empty()) {
            if self.resolve(&name, 0).is_err() {
                let name = display_bytes(&name);
                self.loaded.drafts.push(
                    Draft::warning(PRELOAD_BAD, format!("is started with {name} from {source}, which cannot be preloaded"))
                        .says(format!(
                            "ERROR: ld.so: object '{name}' from {source} cannot be preloaded (cannot open shared object file): ignored."
                        ))
                        .fix("add the object, or remove the setting"),
                );
            }
        }
    }

    fn need(&mut self, name: &[u8], by: usize) {
        match self.resolve(name, by) {
            Ok(index) => {
                if !self.loaded.resolved.iter().any(|(known, _)| known == name) {
                    let path = self.loaded.objects[index].path.clone();
                    self.loaded.resolved.push((name.to_vec(), path));
                }
            }
            Err(draft) => {
                let asking = self.loaded.objects[by].path.clone();
                if !self.loaded.missing.iter().any(|(known, _)| known == name) {
                    self.loaded.drafts.push(*draft);
                }
                self.loaded.missing.push((name.to_vec(), asking));
            }
        }
    }

    /// The object of a needed name, or what is wrong.
    fn resolve(&mut self, name: &[u8], by: usize) -> Result<usize, Box<Draft>> {
        if let Some(index) = self.known(name) {
            return Ok(index);
        }
        let mut tried = Vec::new();
        let expanded = self.expand(name, by);
        let search = match &expanded {
            None => Search::Nothing,
            Some(path) if path.contains(&b'/') => {
                self.look(path.clone(), "given as a path", &mut tried).unwrap_or(Search::Nothing)
            }
            Some(name) => self.search(name, by, &mut tried),
        };
        let (path, found, rule) = match search {
            Search::Found(path, found, rule) => (path, found, rule),
            Search::Nothing => return Err(Box::new(self.missing(name, by, tried))),
            Search::Fatal(path, what, words) => return Err(Box::new(self.blocked(name, by, &path, &what, words))),
        };
        if let Some(index) = self.loaded.objects.iter().position(|object| object.id == found.id) {
            self.loaded.objects[index].names.push(name.to_vec());
            return Ok(index);
        }
        let object = Object {
            id: found.id,
            names: vec![name.to_vec(), path.clone()],
            path,
            by: Some(by),
            is_loader: false,
            rule,
        };
        if let Some(draft) = self.process.truncated(&object) {
            self.loaded.drafts.push(draft);
        }
        self.loaded.objects.push(object);
        Ok(self.loaded.objects.len() - 1)
    }

    /// The index of a loaded object with this name or SONAME.
    pub fn known(&self, name: &[u8]) -> Option<usize> {
        self.loaded
            .objects
            .iter()
            .position(|object| object.names.iter().any(|known| known == name) || self.soname(object) == Some(name))
    }

    fn soname(&self, object: &Object) -> Option<&[u8]> {
        self.process.facts(object)?.dynamic.as_ref()?.soname.as_deref()
    }

    pub fn search(&self, name: &[u8], by: usize, tried: &mut Vec<Evidence>) -> Search {
        let mut newer = None;
        for list in self.lists(by) {
            for place in list {
                match self.look_in(&place.directory, name, &place.rule, tried) {
                    Some(Search::Nothing) => {
                        if newer.is_none() {
                            newer = self.newer(&place.directory, name);
                        }
                    }
                    Some(end) => return end,
                    // Another error ends this list, but the next one is still searched.
                    None => break,
                }
            }
        }
        let nodeflib = self.dynamic(by).is_some_and(Dynamic::has_nodeflib);
        if let Some(end) = self.cached(name, nodeflib, tried) {
            return end;
        }
        if !nodeflib {
            for directory in &self.loader.directories {
                match self.look_in(directory, name, "system directory", tried) {
                    Some(Search::Nothing) => {
                        if newer.is_none() {
                            newer = self.newer(directory, name);
                        }
                    }
                    Some(end) => return end,
                    None => break,
                }
            }
        }
        match newer {
            Some((path, found)) => Search::Found(path, found, "glibc-hwcaps".into()),
            None => Search::Nothing,
        }
    }

    /// The lists of RPATH (of each object in the chain), LD_LIBRARY_PATH and RUNPATH.
    fn lists(&self, by: usize) -> Vec<Vec<Place>> {
        let mut lists = Vec::new();
        let runpath = self.dynamic(by).and_then(|dynamic| dynamic.runpath.as_deref());
        if runpath.is_none() {
            let mut chain = Vec::new();
            let mut at = Some(by);
            while let Some(index) = at.filter(|_| chain.len() < OBJECTS_MAX) {
                chain.push(index);
                at = self.loaded.objects[index].by;
            }
            if !chain.contains(&0) {
                chain.push(0);
            }
            for index in chain {
                let Some(dynamic) = self.dynamic(index).filter(|dynamic| dynamic.runpath.is_none()) else { continue };
                if let Some(text) = &dynamic.rpath {
                    lists.push(self.places(text, b":", index, "RPATH"));
                }
            }
        }
        if let Some(text) = self.process.environment.library_path.as_ref().filter(|_| !self.process.secure) {
            let mut list = self.places(text, b":;", 0, "LD_LIBRARY_PATH");
            list.iter_mut().for_each(|place| place.rule = "LD_LIBRARY_PATH".into());
            lists.push(list);
        }
        if let Some(text) = runpath {
            lists.push(self.places(text, b":", by, "RUNPATH"));
        }
        lists
    }

    fn places(&self, text: &[u8], separators: &[u8], index: usize, word: &str) -> Vec<Place> {
        if text.is_empty() {
            return Vec::new();
        }
        let rule = format!("{word} of {}", display_bytes(&self.loaded.objects[index].path));
        let elements = text.split(|byte| separators.contains(byte));
        let directories = elements.filter_map(|element| self.expand(element, index));
        directories
            .map(|directory| {
                let end = directory.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
                // An empty element is the working directory.
                let directory = if directory.is_empty() { b".".to_vec() } else { directory[..end].to_vec() };
                Place { rule: rule.clone(), directory }
            })
            .collect()
    }

    /// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM`; `None` if one of them has no value.
    fn expand(&self, text: &[u8], index: usize) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.iter().position(|&byte| byte == b'$') {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let (word, value): (&[u8], Vec<u8>) = if let Some(length) = token(rest, b"ORIGIN") {
                let own = directory_of(&self.loaded.objects[index].path);
                let trusted =
                    || out.is_empty() && self.loader.directories.iter().any(|directory| own.starts_with(directory));
                if (index == 0 && !self.process.proc) || (self.process.secure && !trusted()) {
                    return None;
                }
                (&rest[..length], directory_of(&self.loaded.objects[index].path).to_vec())
            } else if let Some(length) = token(rest, b"LIB") {
                (&rest[..length], self.loader.lib.clone())
            } else if let Some(length) = token(rest, b"PLATFORM") {
                let platforms = self.facts().platforms;
                let platform = platforms.get(self.level).or(platforms.last())?;
                (&rest[..length], platform.as_bytes().to_vec())
            } else {
                (&rest[..1], b"$".to_vec())
            };
            out.extend_from_slice(&value);
            rest = &rest[word.len()..];
        }
        out.extend_from_slice(rest);
        Some(out)
    }

    /// Tries one directory: first its subdirectories for this CPU, the newest level first.
    fn look_in(&self, directory: &[u8], name: &[u8], rule: &str, tried: &mut Vec<Evidence>) -> Option<Search> {
        for level in self.facts().hwcaps.iter().take(self.level).rev() {
            let path = [directory, b"/glibc-hwcaps/", level.as_bytes(), b"/", name].concat();
            match self.look(path, rule, &mut Vec::new()) {
                Some(Search::Nothing) => {}
                end => return end,
            }
        }
        self.look([directory, b"/", name].concat(), rule, tried)
    }

    /// Tries one path; `None` if an error ends the list.
    fn look(&self, path: Vec<u8>, rule: &str, tried: &mut Vec<Evidence>) -> Option<Search> {
        let note = |words: &str| Evidence { subject: display_bytes(&path), detail: format!("{words}; {rule}") };
        let found = match self.process.open(&path) {
            Ok(found) => found,
            // A search directory that is not a directory is skipped, whatever the error.
            Err(error @ (OpenError::Loop(_) | OpenError::NameTooLong(_))) if self.is_directory(directory_of(&path)) => {
                tried.push(note(&format!("{}, which ends this list", error.words())));
                return None;
            }
            Err(error) => {
                tried.push(note(error.words()));
                return Some(Search::Nothing);
            }
        };
        let facts = self.process.probe(found.id).and_then(|probe| probe.elf.as_ref());
        let arch = self.process.arch.facts();
        if let Some(facts) = facts
            && facts.size >= arch.class.header_size()
        {
            if facts.ident[4] != arch.class.number() {
                tried.push(note(&format!("{}, skipped", self.other_class())));
                return Some(Search::Nothing);
            }
            if let Some(words) = ident_fault(&facts.ident, facts.version, arch.byte_order) {
                return Some(Search::Fatal(path, words.to_string(), words));
            }
        }
        match self.process.candidate(found) {
            Candidate::Library(_) if !facts.is_some_and(|facts| self.loader.abi.takes(facts.flags)) => {
                tried.push(note(&format!("for another ABI than {}, skipped", self.loader.abi.triplet)));
                Some(Search::Nothing)
            }
            Candidate::Library(_) if facts.and_then(|facts| facts.dynamic.as_ref()).is_some_and(Dynamic::is_pie) => {
                Some(Search::Fatal(path, "a program, not a library".into(), PROGRAM))
            }
            Candidate::Library(found) => Some(Search::Found(path, found, rule.to_string())),
            Candidate::Foreign(_, machine) => {
                tried.push(note(&format!("for {}, skipped", machine)));
                Some(Search::Nothing)
            }
            Candidate::Directory(_) => {
                Some(Search::Fatal(path, "a directory".into(), "cannot read file data: Error 21"))
            }
            Candidate::Unfit(found, what) => {
                let size = self.process.files.content(found.id).map_or(0, crate::tree::Content::size);
                let words = match self.process.files.elf(found.id) {
                    _ if size < arch.class.header_size() => "file too short",
                    None => "invalid ELF header",
                    Some(facts) if !matches!(facts.kind, 2 | 3) => "only ET_DYN and ET_EXEC can be loaded",
                    Some(facts) if matches!(facts.fault, Some(HeaderFault::EntrySize(_))) => {
                        "ELF file's phentsize not the expected size"
                    }
                    Some(_) => NOT_DYNAMIC,
                };
                Some(Search::Fatal(path, what, words))
            }
        }
    }

    /// Whether the cache lists libraries for newer CPUs. They may no longer exist.
    pub(crate) fn cache_knows_newer(&self) -> bool {
        *self.process.files.cached_hwcaps(|| crate::elf::contains(self.cache, b"/glibc-hwcaps/"))
    }

    /// How many levels above the baseline the CPU has.
    pub(crate) fn level(&self) -> usize {
        self.level
    }

    /// The facts about glibc on this architecture.
    pub(crate) fn facts(&self) -> &'static GlibcFacts {
        &self.process.arch.facts().glibc
    }

    /// How reports call a file of the other class.
    pub(crate) fn other_class(&self) -> String {
        format!("for {}-bit machines", self.process.arch.facts().class.other().bits())
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        let found = self.process.files.find(self.process.cwd, path);
        found.is_ok_and(|found| self.process.files.tree.inode(found.id).is_directory())
    }

    /// A library that exists for newer CPUs only.
    fn newer(&self, directory: &[u8], name: &[u8]) -> Option<(Vec<u8>, Resolved)> {
        self.facts().hwcaps.iter().find_map(|level| {
            let path = [directory, b"/glibc-hwcaps/", level.as_bytes(), b"/", name].concat();
            match self.process.candidate(self.process.open(&path).ok()?) {
                Candidate::Library(found) => Some((path, found)),
                Candidate::Directory(_) | Candidate::Unfit(..) | Candidate::Foreign(..) => None,
            }
        })
    }

    fn cached(&self, name: &[u8], nodeflib: bool, tried: &mut Vec<Evidence>) -> Option<Search> {
        let Some(cache) = Cache::read(self.cache, self.process.arch, self.loader.abi) else {
            let detail = if self.cache.is_empty() { "absent or empty" } else { "not a cache: ignored" };
            tried.push(Evidence { subject: "/etc/ld.so.cache".into(), detail: detail.into() });
            return None;
        };
        let hit = cache.find(name);
        // Entries for CPUs newer than this one are used only if there is no other entry.
        let of_level = |level: &str| {
            let part = [b"/glibc-hwcaps/", level.as_bytes(), b"/"].concat();
            hit.newer.iter().find(|path| crate::elf::contains(path, &part)).copied()
        };
        let newer = self.facts().hwcaps.iter().take(self.level).rev().find_map(|level| of_level(level));
        let Some(path) = newer.or(hit.plain).or(hit.newer.first().copied()) else {
            let detail = format!("{UNKNOWN} among {}", cache.len());
            tried.push(Evidence { subject: "/etc/ld.so.cache".into(), detail });
            return None;
        };
        if nodeflib && self.loader.directories.iter().any(|directory| directory_of(path) == directory.as_slice()) {
            tried.push(Evidence { subject: display_bytes(path), detail: FORBIDDEN.into() });
            return None;
        }
        match self.look(path.to_vec(), "/etc/ld.so.cache", tried) {
            Some(Search::Nothing) | None => None,
            Some(end) => Some(end),
        }
    }

    pub fn dynamic(&self, index: usize) -> Option<&'a Dynamic> {
        self.process.facts(&self.loaded.objects[index])?.dynamic.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::link::glibc::ld_cache::tests::forged;
    use crate::link::sample::Sample;
    use crate::link::{Closure, Closures};
    use crate::oci::Settings;
    use crate::platform::{Arch, Platform};

    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
    const LIB: &str = "/lib/x86_64-linux-gnu";

    fn app(needed: &[&str]) -> Forge {
        Forge { needed: needed.iter().map(|name| name.as_bytes().to_vec()).collect(), ..Forge::dynamic(LOADER) }
    }

    fn base() -> Sample {
        Sample::new().elf(LOADER, &Forge::glibc())
    }

    fn library() -> Forge {
        Forge { soname: None, ..Forge::library("") }
    }

    fn closure(sample: &Sample, path: &str) -> Closure {
        Closures::new(&sample.tree, &Platform::new(Arch::Amd64)).of(&path.parse().unwrap()).unwrap()
    }

    fn run(sample: Sample, forge: &Forge) -> Vec<String> {
        let closure = closure(&sample.elf("/bin/app", forge), "/bin/app");
        let found =
            closure.libraries.iter().map(|(name, path)| format!("{} => {}", display_bytes(name), display_bytes(path)));
        found.chain(closure.missing.iter().map(|(name, _)| format!("! {}", display_bytes(name)))).collect()
    }

    fn codes(sample: &Sample, env: &[(&str, &str)]) -> Vec<String> {
        let settings = Settings {
            entrypoint: vec!["/bin/app".into()],
            env: env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            ..Settings::default()
        };
        sample
            .verified_image(&settings)
            .report
            .findings
            .iter()
            .map(|finding| format!("{} {}", finding.severity, finding.code))
            .collect()
    }

    #[test]
    fn system_directories_are_those_of_the_loader() {
        let in_directory =
            |directory: &str| run(base().elf(&format!("{directory}/liba.so"), &library()), &app(&["liba.so"]));
        for directory in [LIB, "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"] {
            assert_eq!(in_directory(directory), [format!("liba.so => {directory}/liba.so")]);
        }
        for directory in ["/lib64", "/usr/lib64", "/usr/local/lib"] {
            assert_eq!(in_directory(directory), ["! liba.so"]);
        }
    }

    #[test]
    fn a_soname_answers_for_a_file_of_another_name() {
        let sample = base().elf("/lib/libfoo.so", &Forge::library("libbar.so.1"));
        assert_eq!(
            run(sample, &app(&["libfoo.so", "libbar.so.1", "ld-linux-x86-64.so.2"])),
            [
                "libfoo.so => /lib/libfoo.so".to_string(),
                "libbar.so.1 => /lib/libfoo.so".to_string(),
                format!("ld-linux-x86-64.so.2 => {LOADER}")
            ]
        );
    }

    #[test]
    fn rpath_is_inherited_and_runpath_is_not() {
        let sample = || {
            base()
                .elf("/opt/liba.so", &Forge { needed: vec!["libb.so".into()], ..library() })
                .elf("/opt/libb.so", &library())
        };
        let rpath = Forge { rpath: Some("$ORIGIN/../opt".into()), ..app(&["liba.so"]) };
        assert_eq!(run(sample(), &rpath), ["liba.so => /bin/../opt/liba.so", "libb.so => /bin/../opt/libb.so"]);
        let runpath = Forge { runpath: Some("/opt".into()), ..app(&["liba.so"]) };
        assert_eq!(run(sample(), &runpath), ["liba.so => /opt/liba.so", "! libb.so"]);
        let both = Forge { rpath: Some("/opt".into()), runpath: Some("/nowhere".into()), ..app(&["liba.so"]) };
        assert_eq!(run(sample(), &both), ["! liba.so"], "RPATH beside RUNPATH counts for nothing");
    }

    #[test]
    fn tokens_are_filled_in() {
        let with = |text: &str, at: &str| {
            let forge = Forge { rpath: Some(text.into()), ..app(&["liba.so"]) };
            run(base().elf(&format!("{at}/liba.so"), &library()), &forge)
        };
        assert_eq!(with("/opt/$LIB", "/opt/lib/x86_64-linux-gnu"), ["liba.so => /opt/lib/x86_64-linux-gnu/liba.so"]);
        assert_eq!(with("/opt/${PLATFORM}", "/opt/x86_64"), ["liba.so => /opt/x86_64/liba.so"]);
        assert_eq!(with("/opt/$NOPE/$ORIGINAL:/x", "/x"), ["liba.so => /x/liba.so"]);
        assert_eq!(with(":/y", "/"), ["liba.so => ./liba.so"], "an empty element is the working directory");
        assert_eq!(
            run(base().elf("/opt/x.so", &library()), &app(&["$ORIGIN/../opt/x.so"])),
            ["$ORIGIN/../opt/x.so => /bin/../opt/x.so"]
        );
    }

    #[test]
    fn the_cache_stands_before_the_system_directories() {
        let cache = |path: &str, flags: u32| {
            base().elf("/opt/liba.so", &library()).elf("/lib/liba.so", &library()).bytes(
                "/etc/ld.so.cache",
                0o644,
                &forged(&[("liba.so", path, flags)]),
            )
        };
        assert_eq!(run(cache("/opt/liba.so", 0x303), &app(&["liba.so"])), ["liba.so => /opt/liba.so"]);
        assert_eq!(run(cache("/opt/liba.so", 0xa03), &app(&["liba.so"])), ["liba.so => /lib/liba.so"]);
        assert_eq!(run(cache("/gone/liba.so", 0x303), &app(&["liba.so"])), ["liba.so => /lib/liba.so"]);
        let empty = cache("/opt/empty.so", 0x303).text("/opt/empty.so", 0o644, "");
        assert_eq!(run(empty, &app(&["liba.so"])), ["! liba.so"], "what stands behind the cache is fatal");
        let corrupt = base().elf("/lib/liba.so", &library()).text("/etc/ld.so.cache", 0o644, "glibc-ld.so");
        assert_eq!(run(corrupt, &app(&["liba.so"])), ["liba.so => /lib/liba.so"]);
        let forge = Forge { flags_1: 0x800, ..app(&["liba.so"]) };
        assert_eq!(run(cache("/lib/liba.so", 0x303), &forge), ["! liba.so"], "NODEFLIB");
        assert_eq!(run(cache("/opt/liba.so", 0x303), &forge), ["liba.so => /opt/liba.so"]);
    }

    #[test]
    fn files_of_another_machine_are_skipped_and_others_end_the_start() {
        let second = || base().elf("/usr/lib/liba.so", &library());
        let foreign = Forge { machine: 183, ..library() };
        assert_eq!(run(second().elf("/lib/liba.so", &foreign), &app(&["liba.so"])), ["liba.so => /usr/lib/liba.so"]);
        let only = base().elf("/lib/liba.so", &foreign).elf("/bin/app", &app(&["liba.so"]));
        assert_eq!(codes(&only, &[]), ["error lib-wrong-arch"]);
        for blocked in [
            second().text("/lib/liba.so", 0o644, ""),
            second().text("/lib/liba.so", 0o644, &"/* GNU ld script */".repeat(9)),
            second().directory("/lib/liba.so"),
            second().elf("/lib/liba.so", &Forge { kind: 1, ..library() }),
        ] {
            assert_eq!(codes(&blocked.elf("/bin/app", &app(&["liba.so"])), &[]), ["error lib-blocked"]);
        }
        let mut bytes = library().build();
        bytes[7] = 9;
        let abi = second().bytes("/lib/liba.so", 0o644, &bytes);
        assert_eq!(codes(&abi.elf("/bin/app", &app(&["liba.so"])), &[]), ["error lib-blocked"]);
        assert_eq!(
            run(second().link("/lib/liba.so", "liba.so"), &app(&["liba.so"])),
            ["! liba.so"],
            "a loop ends the list"
        );
    }

    #[test]
    fn newer_cpus_have_their_own_directories() {
        let sample = base().elf("/lib/glibc-hwcaps/x86-64-v3/liba.so", &library()).elf("/bin/app", &app(&["liba.so"]));
        assert_eq!(codes(&sample, &[]), ["warning needs-isa-level"]);
        let both = sample.elf("/lib/liba.so", &library());
        assert_eq!(codes(&both, &[]), Vec::<String>::new());
    }

    #[test]
    fn the_environment_and_preloads_count() {
        let sample = base().elf("/opt/liba.so", &library()).elf("/bin/app", &app(&["liba.so"]));
        assert_eq!(codes(&sample, &[("LD_LIBRARY_PATH", "/x;/opt/")]), Vec::<String>::new());
        let sample = base().elf("/bin/app", &app(&[])).text("/etc/ld.so.preload", 0o644, "# none\n/x.so # y.so\n");
        assert_eq!(codes(&sample, &[("LD_PRELOAD", "z.so")]), ["warning preload-bad", "warning preload-bad"]);
    }

    #[test]
    fn versions_are_compared_as_names() {
        let libc = |versions: &[&str]| Forge {
            version_definitions: versions.iter().map(|name| name.as_bytes().to_vec()).collect(),
            ..Forge::library("libc.so.6")
        };
        let needs =
            Forge { version_needs: vec![("libc.so.6".into(), vec!["GLIBC_2.38".into()])], ..app(&["libc.so.6"]) };
        let with = |libc: &Forge| codes(&base().elf("/lib/libc.so.6", libc).elf("/bin/app", &needs), &[]);
        assert_eq!(with(&libc(&["libc.so.6", "GLIBC_2.36", "GLIBC_2.38"])), Vec::<String>::new());
        assert_eq!(with(&libc(&["libc.so.6", "GLIBC_2.36", "GLIBC_2.39"])), ["error version-missing"]);
        assert_eq!(with(&libc(&[])), ["error version-no-info"], "2.36 stops at a library without version numbers");
    }

    #[test]
    fn what_is_bound_later_is_a_warning() {
        let with = |forge: Forge| codes(&base().elf("/bin/app", &forge), &[]);
        assert_eq!(with(Forge { calls: vec!["gone".into()], ..app(&[]) }), ["warning symbol-missing"]);
        assert_eq!(with(Forge { calls: vec!["gone".into()], flags_1: 1, ..app(&[]) }), ["error symbol-missing"]);
        assert_eq!(with(Forge { uses: vec!["gone".into()], ..app(&[]) }), ["error symbol-missing"]);
        assert_eq!(with(Forge { weak_calls: vec!["gone".into()], flags_1: 1, ..app(&[]) }), Vec::<String>::new());
    }

    #[test]
    fn what_one_process_answers_another_may_not() {
        let asking = |word: &str| Forge { uses: vec![word.into()], ..library() };
        let with = |libraries: &[&str], program: Forge| {
            let sample = base()
                .elf("/lib/libx.so", &asking("gamma"))
                .elf("/lib/liby.so", &Forge { defines: vec!["gamma".into()], ..library() });
            // The first one finds everything, in itself or through its libraries.
            let sample = sample.elf("/bin/a", &Forge { needed: app(libraries).needed, ..program });
            codes(&sample.elf("/bin/app", &app(&["libx.so"])), &[])
        };
        assert_eq!(with(&["libx.so", "liby.so"], app(&[])), ["error symbol-missing"]);
        assert_eq!(with(&["libx.so"], Forge { defines: vec!["gamma".into()], ..app(&[]) }), ["error symbol-missing"]);
        let both = base()
            .elf("/lib/libx.so", &asking("gamma"))
            .elf("/lib/liby.so", &Forge { defines: vec!["gamma".into()], ..library() });
        let both = both.elf("/bin/a", &app(&["libx.so", "liby.so"])).elf("/bin/app", &app(&["liby.so", "libx.so"]));
        assert_eq!(codes(&both, &[]), Vec::<String>::new());
    }
}
