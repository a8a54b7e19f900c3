//! musl's loader (`ldso/dynlink.c`, 1.2.3 to 1.2.6): which files it loads.

use crate::path::display_bytes;
use crate::report::Code;
use crate::tree::Resolved;

use super::tried::Tried;
use crate::link::draft::Draft;
use crate::link::loader::MuslLoader;
use crate::link::process::{
    Candidate, LIB_MISSING, Loaded, OBJECTS_MAX, ORIGIN_NEEDS_PROC, Object, OpenError, PRELOAD_BAD, Process, RPATH_CWD,
    directory_of,
};

/// The search path contains a `$` that musl does not know, so musl ignores all of it.
pub const RPATH_DST_MUSL: Code = Code("rpath-dst-musl");
/// musl's `.path` file disables directories.
pub const MUSL_PATH_FILE: Code = Code("musl-path-file");

/// The library names that musl reserves, after `lib`: the loader itself answers every name that begins like this.
const RESERVED: [&[u8]; 7] = [b"c.", b"pthread.", b"rt.", b"m.", b"dl.", b"util.", b"xnet."];

/// Whether the loader itself answers a name.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    let rest = name.strip_prefix(b"lib".as_slice());
    rest.is_some_and(|rest| RESERVED.iter().any(|word| rest.starts_with(word)))
}

/// The longest path that a search builds, with its NUL.
const PATH_ROOM: usize = 512;

/// The largest `.path` file that is read, in bytes.
const PATH_FILE_MAX: u64 = 1 << 20;

/// The most directories of it that are searched.
const DIRECTORIES_MAX: usize = 4096;

/// One list of directories that is searched, with the rule that adds it.
#[derive(Clone, Debug)]
pub(crate) struct List {
    rule: String,
    pub directories: Vec<u8>,
}

/// How a search ended.
enum Search {
    Found(Vec<u8>, Resolved),
    /// Not in these lists: continue with the next ones.
    Nothing,
    /// An error that stops the whole search.
    Stopped,
}

/// A process that musl's loader starts.
pub(crate) struct Musl<'a> {
    pub process: &'a Process<'a>,
    pub loader: &'a MuslLoader,
    pub loaded: Loaded,
    pub system: List,
    /// The error with which the `.path` file could not be opened, until the first search reaches the system's directories.
    path_file: Option<&'static str>,
    /// The text of the last error (strerror(3)): musl prints it when it does not find a library.
    pub errno: &'static str,
}

impl<'a> Musl<'a> {
    /// Loads a program.
    pub fn load(process: &'a Process<'a>, loader: &'a MuslLoader) -> Musl<'a> {
        let mut musl = Musl {
            process,
            loader,
            loaded: Loaded::default(),
            system: List { rule: String::new(), directories: Vec::new() },
            path_file: None,
            errno: "No error information",
        };
        musl.system = musl.system_path();
        musl.loaded.objects.push(Object {
            id: process.app,
            path: process.app_path.as_bytes().to_vec(),
            names: Vec::new(),
            by: None,
            is_loader: false,
            rule: "PT_INTERP".into(),
        });
        musl.preload();
        let mut at = 0;
        while at < musl.loaded.objects.len() && musl.loaded.objects.len() <= OBJECTS_MAX {
            musl.check_search_path(at);
            let needed = match process.facts(&musl.loaded.objects[at]).and_then(|facts| facts.dynamic.as_ref()) {
                // The loader itself needs no library.
                Some(dynamic) if !musl.loaded.objects[at].is_loader => dynamic.needed.clone(),
                Some(_) | None => Vec::new(),
            };
            for name in needed {
                musl.need(&name, at);
            }
            at += 1;
        }
        musl
    }

    /// Whether the directories come from the `.path` file.
    pub fn reads_path_file(&self) -> bool {
        self.system.directories != self.loader.default_path
    }

    fn preload(&mut self) {
        // A setuid program could preload from system directories, but nobody does that in practice.
        let Some(list) = self.process.environment.preload.clone().filter(|_| !self.process.secure) else { return };
        for name in list.split(|byte| byte.is_ascii_whitespace() || *byte == b':').filter(|name| !name.is_empty()) {
            let before = self.loaded.drafts.len();
            if self.resolve(name, 0).is_none() {
                self.loaded.drafts.truncate(before);
                let name = display_bytes(name);
                self.loaded.drafts.push(
                    Draft::warning(
                        PRELOAD_BAD,
                        format!("is started with LD_PRELOAD={name}, which cannot be preloaded"),
                    )
                    .because(name, "musl silently ignores what it cannot preload")
                    .fix("add the object, or remove LD_PRELOAD from the environment"),
                );
            }
        }
    }

    fn need(&mut self, name: &[u8], by: usize) {
        match self.resolve(name, by) {
            Some(index) => {
                if !self.loaded.resolved.iter().any(|(known, _)| known == name) {
                    let path = self.loaded.objects[index].path.clone();
                    self.loaded.resolved.push((name.to_vec(), path));
                }
            }
            None => self.loaded.missing.push((name.to_vec(), self.loaded.objects[by].path.clone())),
        }
    }

    /// The object of a needed name; `None` after an error.
    fn resolve(&mut self, name: &[u8], by: usize) -> Option<usize> {
        if name.is_empty() {
            let asking = display_bytes(&self.loaded.objects[by].path);
            self.loaded.drafts.push(
                Draft::error(LIB_MISSING, format!("loads {asking}, which needs a library with an empty name"))
                    .says(format!(
                        "Error loading shared library : Invalid argument (needed by {asking}) (exit code 127)"
                    ))
                    .fix("link it again"),
            );
            return None;
        }
        if is_reserved(name) || name == self.process.interpreter {
            return Some(self.loader_object(by));
        }
        let mut tried = Tried::default();
        let (path, found, rule) = if name.contains(&b'/') {
            match self.process.open(name) {
                Ok(found) => (name.to_vec(), found, None),
                Err(error) => {
                    self.errno = strerror(&error);
                    tried.add(name, || format!("{}; given as a path", error.words()));
                    self.missing(name, by, tried);
                    return None;
                }
            }
        } else {
            if let Some(index) =
                self.loaded.objects.iter().position(|object| object.names.iter().any(|known| known == name))
            {
                return Some(index);
            }
            match self.search(name, by, &mut tried) {
                Some((path, found, rule)) => (path, found, Some(rule)),
                None => {
                    self.missing(name, by, tried);
                    return None;
                }
            }
        };
        let short = directory_and_name(&path).1.to_vec();
        if let Some(index) =
            self.loaded.objects.iter().skip(1).position(|object| object.id == found.id && !object.is_loader)
        {
            let index = index + 1;
            if rule.is_some() && self.loaded.objects[index].names.is_empty() {
                let own = directory_and_name(&self.loaded.objects[index].path).1.to_vec();
                self.loaded.objects[index].names.push(own);
            }
            return Some(index);
        }
        let id = found.id;
        match self.process.candidate(found) {
            Candidate::Library(_) => {}
            Candidate::Foreign(found, machine) => {
                self.foreign(name, by, &path, &found, &machine);
                return None;
            }
            Candidate::Directory(_) => {
                self.blocked(name, by, &path, "a directory", "Is a directory");
                return None;
            }
            Candidate::Unfit(_, words) => {
                self.blocked(name, by, &path, &words, "Exec format error");
                return None;
            }
        }
        if self.is_libc(id) {
            return Some(self.loader_object(by));
        }
        let names = if rule.is_some() { vec![short] } else { Vec::new() };
        let object = Object {
            id,
            path,
            names,
            by: Some(by),
            is_loader: false,
            rule: rule.unwrap_or_else(|| "given as a path".into()),
        };
        if let Some(draft) = self.process.truncated(&object) {
            self.loaded.drafts.push(draft);
        }
        self.loaded.objects.push(object);
        Some(self.loaded.objects.len() - 1)
    }

    fn loader_object(&mut self, by: usize) -> usize {
        if let Some(index) = self.loaded.objects.iter().position(|object| object.is_loader) {
            return index;
        }
        self.loaded.objects.push(Object {
            id: self.process.loader,
            path: self.process.interpreter.to_vec(),
            names: Vec::new(),
            by: Some(by),
            is_loader: true,
            rule: "the loader is the C library".into(),
        });
        self.loaded.objects.len() - 1
    }

    /// Whether a file defines these two symbols: then it is a C library, and the process already has one.
    fn is_libc(&self, id: crate::tree::InodeId) -> bool {
        let Some(tables) = self.process.files.tables(id) else { return false };
        [&b"__libc_start_main"[..], b"stdin"].iter().all(|name| {
            tables.symbols.find(name).any(|symbol| !symbol.is_undefined() && symbol.value != 0 && !symbol.is_hidden())
        })
    }

    fn search(&mut self, name: &[u8], by: usize, tried: &mut Tried) -> Option<(Vec<u8>, Resolved, String)> {
        let mut lists = Vec::new();
        if let Some(directories) = self.process.environment.library_path.as_ref().filter(|_| !self.process.secure) {
            lists.push(List { rule: "LD_LIBRARY_PATH".into(), directories: directories.clone() });
        }
        let mut at = Some(by);
        let mut steps = 0;
        while let Some(index) = at.filter(|_| steps < OBJECTS_MAX) {
            lists.extend(self.rpath(index));
            at = self.loaded.objects[index].by;
            steps += 1;
        }
        lists.push(self.system.clone());
        let last = lists.len() - 1;
        for (at, list) in lists.into_iter().enumerate() {
            if at == last {
                self.errno = self.path_file.take().unwrap_or(self.errno);
            }
            match self.search_list(name, &list, tried) {
                Search::Found(path, found) => return Some((path, found, list.rule)),
                Search::Nothing => {}
                Search::Stopped => return None,
            }
        }
        None
    }

    fn search_list(&mut self, name: &[u8], list: &List, tried: &mut Tried) -> Search {
        for directory in elements(&list.directories) {
            let path = [directory, b"/", name].concat();
            if path.len() >= PATH_ROOM {
                tried.add(&path, || format!("too long for musl; {}", list.rule));
                continue;
            }
            match self.process.open(&path) {
                Ok(found) => return Search::Found(path, found),
                Err(error @ OpenError::Loop(_)) => {
                    self.errno = strerror(&error);
                    tried.add(&path, || format!("{}, which ends the search; {}", error.words(), list.rule));
                    return Search::Stopped;
                }
                Err(error) => {
                    self.errno = strerror(&error);
                    tried.add(&path, || format!("{}; {}", error.words(), list.rule));
                }
            }
        }
        Search::Nothing
    }

    /// The search path of an object, with `$ORIGIN` replaced.
    fn rpath(&self, index: usize) -> Option<List> {
        let object = &self.loaded.objects[index];
        let dynamic = self.process.facts(object)?.dynamic.as_ref()?;
        let (text, word) = match (&dynamic.runpath, &dynamic.rpath) {
            (Some(text), _) => (text, "RUNPATH"),
            (None, Some(text)) => (text, "RPATH"),
            (None, None) => return None,
        };
        let blind = !self.process.proc || self.process.secure;
        let origin = if index == 0 && blind { None } else { Some(directory_of(&object.path)) };
        let directories = expand(text, origin)?;
        Some(List { rule: format!("{word} of {}", display_bytes(&object.path)), directories })
    }

    /// Reports what is wrong with the search path of an object.
    fn check_search_path(&mut self, index: usize) {
        let object = &self.loaded.objects[index];
        if object.is_loader {
            return;
        }
        let Some(dynamic) = self.process.facts(object).and_then(|facts| facts.dynamic.as_ref()) else { return };
        let Some(text) = dynamic.runpath.as_ref().or(dynamic.rpath.as_ref()) else { return };
        let (path, shown) = (display_bytes(&object.path), display_bytes(text));
        if expand(text, Some(b"/")).is_none() {
            self.loaded.drafts.push(
                Draft::error(RPATH_DST_MUSL, format!("has the search path {shown}, which musl ignores entirely"))
                    .because(path, "musl supports only $ORIGIN; with any other `$` it ignores the whole path")
                    .fix("use $ORIGIN only: `patchelf --set-rpath '$ORIGIN/../lib' FILE`"),
            );
        } else if index == 0 && !self.process.proc && text.contains(&b'$') {
            self.loaded.drafts.push(
                Draft::error(ORIGIN_NEEDS_PROC, format!("has the search path {shown}, but /proc is not mounted yet"))
                    .because(path, "if /proc is not mounted, musl ignores the whole path")
                    .fix("link init statically, or give it an absolute path"),
            );
        } else if elements(text).any(|element| !element.starts_with(b"/") && !element.starts_with(b"$")) {
            self.loaded.drafts.push(
                Draft::warning(RPATH_CWD, format!("has a search path that depends on the working directory: {shown}"))
                    .because(path, "RPATH or RUNPATH")
                    .fix("use absolute directories or $ORIGIN"),
            );
        }
    }

    /// The directories at the end of every search.
    fn system_path(&mut self) -> List {
        let arch = self.loader.arch.as_slice();
        let interpreter = self.process.interpreter;
        let file = [prefix_of(interpreter), b"/etc/ld-musl-", arch, b".path"].concat();
        let shown = display_bytes(&file);
        let default = List { rule: "musl's default path".into(), directories: self.loader.default_path.clone() };
        let none = List { rule: shown.clone(), directories: Vec::new() };
        let problem = match self.process.open(&file) {
            Err(error @ OpenError::NotFound(_)) => {
                self.path_file = Some(strerror(&error));
                return default;
            }
            Err(error) => {
                self.path_file = Some(strerror(&error));
                error.words().to_string()
            }
            Ok(found) => {
                match self.process.files.content(found.id).map(|_| self.process.files.head(found.id, PATH_FILE_MAX)) {
                    Some(Some(bytes)) => {
                        let (directories, more) = first_elements(crate::elf::cut_at_nul(&bytes));
                        if more || bytes.len() as u64 >= PATH_FILE_MAX {
                            let problem = format!("has more directories than the {DIRECTORIES_MAX} that are checked");
                            self.loaded.drafts.push(path_file(&shown, &problem));
                        }
                        if elements(&directories).any(|element| element.ends_with(b"\r")) {
                            self.loaded
                                .drafts
                                .push(path_file(&shown, "has lines that end with CR LF: no directory is found"));
                        }
                        if elements(&directories).next().is_some() {
                            return List { rule: shown, directories };
                        }
                        "empty".to_string()
                    }
                    Some(None) => "not readable".to_string(),
                    None => {
                        self.path_file = Some("Is a directory");
                        "not a file".to_string()
                    }
                }
            }
        };
        self.loaded.drafts.push(path_file(&shown, &format!("is {problem}: no directory is searched")));
        none
    }
}

fn path_file(file: &str, problem: &str) -> Draft {
    Draft::error(MUSL_PATH_FILE, format!("is loaded by musl, whose {file} {problem}"))
        .because(file, "its lines replace the default directories")
        .fix("write one directory per line, with LF, mode 0644")
}

/// The elements of a list: between `:` and newlines, empty ones skipped.
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b':' || byte == b'\n').filter(|element| !element.is_empty())
}

/// The part of a list that is searched, and whether there is more.
fn first_elements(list: &[u8]) -> (Vec<u8>, bool) {
    let mut rest = elements(list);
    let first: Vec<&[u8]> = rest.by_ref().take(DIRECTORIES_MAX).collect();
    match rest.next() {
        Some(_) => (first.join(&b'\n'), true),
        None => (list.to_vec(), false),
    }
}

/// A path with its last two components removed: nothing is left of `/lib/ld-musl-x86_64.so.1`.
fn prefix_of(interpreter: &[u8]) -> &[u8] {
    if !interpreter.starts_with(b"/") {
        return b"";
    }
    let last = interpreter.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    let before = interpreter[..last].iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    &interpreter[..before]
}

/// The text of musl's strerror(3) for an error number.
fn strerror(error: &OpenError) -> &'static str {
    match error {
        OpenError::NotFound(_) => "No such file or directory",
        OpenError::NotADirectory(_) => "Not a directory",
        OpenError::NameTooLong(_) => "Filename too long",
        OpenError::Denied(_) => "Permission denied",
        OpenError::Loop(_) => "Symbolic link loop",
    }
}

fn directory_and_name(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// Replaces `$ORIGIN`; `None` if musl would drop the whole text.
fn expand(text: &[u8], origin: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte == b'$') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let word = [&b"${ORIGIN}"[..], b"$ORIGIN"].into_iter().find(|word| rest.starts_with(word))?;
        out.extend_from_slice(origin?);
        rest = &rest[word.len()..];
    }
    out.extend_from_slice(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::link::sample::Sample;
    use crate::link::{Closure, Closures, Purpose};
    use crate::oci::Settings;
    use crate::platform::{Arch, Platform};

    #[test]
    fn lists_have_two_separators_and_no_empty_elements() {
        let list: Vec<&[u8]> = elements(b":/a::/b c\n\n/d;/e\n#x").collect();
        assert_eq!(list, [&b"/a"[..], b"/b c", b"/d;/e", b"#x"]);
    }

    #[test]
    fn a_long_path_file_is_not_searched_to_its_end_and_that_is_said() {
        let missing: Vec<String> = (0..50).map(|number| format!("lib{number}.so")).collect();
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        let sample = |lines: usize| {
            let list = "/x\n".repeat(lines);
            base().text("/etc/ld-musl-x86_64.path", 0o644, &list).elf("/bin/app", &app(&missing))
        };
        let found = |lines| codes(&sample(lines), &[]);
        assert_eq!(found(DIRECTORIES_MAX).iter().filter(|code| code.contains("musl-path-file")).count(), 0);
        assert_eq!(found(DIRECTORIES_MAX + 1).iter().filter(|code| *code == "error musl-path-file").count(), 1);
        assert_eq!(found(300_000).iter().filter(|code| *code == "error musl-path-file").count(), 1);
        assert_eq!(found(300_000).iter().filter(|code| *code == "error lib-missing").count(), 50);
    }

    #[test]
    fn the_prefix_is_that_of_the_string() {
        for (interpreter, prefix) in
            [("/lib/ld-musl-x86_64.so.1", ""), ("/opt/musl/lib/ld.so", "/opt/musl"), ("ld.so", ""), ("/ld.so", "")]
        {
            assert_eq!(prefix_of(interpreter.as_bytes()), prefix.as_bytes());
        }
    }

    #[test]
    fn origin_is_textual_and_any_other_dollar_drops_all() {
        assert_eq!(expand(b"$ORIGIN/../lib:/x", Some(b"/opt")), Some(b"/opt/../lib:/x".to_vec()));
        assert_eq!(expand(b"${ORIGIN}AL:$ORIGINAL", Some(b"/o")), Some(b"/oAL:/oAL".to_vec()));
        assert_eq!(expand(b"/opt:$LIB/x", Some(b"/o")), None);
        assert_eq!(expand(b"$ORIGIN/x", None), None);
        assert_eq!(expand(b"/x", None), Some(b"/x".to_vec()));
    }

    const LOADER: &str = "/lib/ld-musl-x86_64.so.1";

    fn app(needed: &[&str]) -> Forge {
        Forge { needed: needed.iter().map(|name| name.as_bytes().to_vec()).collect(), ..Forge::dynamic(LOADER) }
    }

    fn base() -> Sample {
        Sample::new().elf(LOADER, &Forge::musl(true))
    }

    fn closure(sample: &Sample, path: &str) -> Closure {
        Closures::new(&sample.tree, &Platform::new(Arch::Amd64)).of(&path.parse().unwrap()).unwrap()
    }

    /// `name => path`, then `! name` for what is missing.
    fn lines(closure: &Closure) -> Vec<String> {
        let found =
            closure.libraries.iter().map(|(name, path)| format!("{} => {}", display_bytes(name), display_bytes(path)));
        found.chain(closure.missing.iter().map(|(name, _)| format!("! {}", display_bytes(name)))).collect()
    }

    fn run(sample: Sample, forge: &Forge) -> Vec<String> {
        lines(&closure(&sample.elf("/bin/app", forge), "/bin/app"))
    }

    fn library() -> Forge {
        Forge::library("whatever.so")
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
    fn reserved_names_are_the_loader_and_others_are_not() {
        for name in
            ["libc.so", "libc.so.6", "libm.so.6", "libpthread.so.0", "libc.musl-x86_64.so.1", "libc.anything", LOADER]
        {
            assert_eq!(run(base(), &app(&[name])), [format!("{name} => {LOADER}")]);
        }
        for name in ["libcrypt.so.1", "libresolv.so.2", "libm-2.31.so", "ld-linux-x86-64.so.2", "libgcc_s.so.1"] {
            assert_eq!(run(base(), &app(&[name])), [format!("! {name}")]);
        }
    }

    #[test]
    fn the_default_directories_are_searched_in_order() {
        let sample = || base().elf("/usr/lib/liba.so", &library()).elf("/usr/lib/libb.so", &library());
        let found = run(sample().elf("/usr/local/lib/libb.so", &library()), &app(&["liba.so", "libb.so"]));
        assert_eq!(found, ["liba.so => /usr/lib/liba.so", "libb.so => /usr/local/lib/libb.so"]);
        assert_eq!(run(base().elf("/lib64/liba.so", &library()), &app(&["liba.so"])), ["! liba.so"]);
        assert_eq!(run(base().bytes("/lib/liba.so", 0o000, &library().build()), &app(&["liba.so"])).len(), 1);
    }

    #[test]
    fn a_path_file_replaces_the_default() {
        let with = |text: &str| {
            let sample = base().elf("/usr/lib/liba.so", &library()).elf("/opt/liba.so", &library());
            run(sample.text("/etc/ld-musl-x86_64.path", 0o644, text), &app(&["liba.so"]))
        };
        assert_eq!(with("/opt\n"), ["liba.so => /opt/liba.so"]);
        assert_eq!(with("/nowhere:/opt"), ["liba.so => /opt/liba.so"]);
        assert_eq!(with("/nowhere\n"), ["! liba.so"], "the default is gone");
        assert_eq!(with(""), ["! liba.so"]);
        assert_eq!(with("/opt\r\n"), ["! liba.so"]);
        let blocked = base().elf("/usr/lib/liba.so", &library()).directory("/etc/ld-musl-x86_64.path");
        assert_eq!(run(blocked, &app(&["liba.so"])), ["! liba.so"]);
        let dangling = base().elf("/usr/lib/liba.so", &library()).link("/etc/ld-musl-x86_64.path", "nowhere");
        assert_eq!(run(dangling, &app(&["liba.so"])), ["liba.so => /usr/lib/liba.so"]);
    }

    #[test]
    fn a_search_path_is_inherited_and_runpath_stands_before_rpath() {
        let sample = base()
            .elf("/opt/lib/liba.so", &Forge { needed: vec!["libb.so".into()], ..library() })
            .elf("/opt/lib/libb.so", &library());
        let forge = Forge { runpath: Some("$ORIGIN/../opt/lib".into()), rpath: Some("/x".into()), ..app(&["liba.so"]) };
        assert_eq!(run(sample, &forge), ["liba.so => /bin/../opt/lib/liba.so", "libb.so => /bin/../opt/lib/libb.so"]);
        let sample = base().elf("/opt/liba.so", &library());
        assert_eq!(run(sample, &Forge { runpath: Some("/opt:$LIB/x".into()), ..app(&["liba.so"]) }), ["! liba.so"]);
    }

    #[test]
    fn origin_of_the_program_is_its_real_path() {
        let forge = Forge { runpath: Some("$ORIGIN/lib".into()), ..app(&["liba.so"]) };
        let sample =
            base().elf("/opt/x/run", &forge).elf("/opt/x/lib/liba.so", &library()).link("/bin/run", "/opt/x/run");
        assert_eq!(lines(&closure(&sample, "/bin/run")), ["liba.so => /opt/x/lib/liba.so"]);
    }

    #[test]
    fn names_are_file_names_and_never_sonames() {
        let sample = || base().elf("/lib/liba.so", &Forge::library("libz.so.1"));
        assert_eq!(run(sample(), &app(&["liba.so", "libz.so.1"])), ["liba.so => /lib/liba.so", "! libz.so.1"]);
        let linked = sample().link("/lib/libz.so.1", "liba.so");
        assert_eq!(
            run(linked, &app(&["liba.so", "libz.so.1"])),
            ["liba.so => /lib/liba.so", "libz.so.1 => /lib/liba.so"],
            "one inode is loaded once"
        );
        let by_path = base().elf("/opt/liba.so", &library());
        assert_eq!(run(by_path, &app(&["/opt/liba.so", "liba.so"])), ["/opt/liba.so => /opt/liba.so", "! liba.so"]);
    }

    #[test]
    fn the_first_file_that_opens_decides() {
        let sample = || base().elf("/usr/lib/liba.so", &library());
        for blocked in [sample().directory("/lib/liba.so"), sample().text("/lib/liba.so", 0o644, "GROUP ( libc.so.6 )")]
        {
            assert_eq!(run(blocked, &app(&["liba.so"])), ["! liba.so"]);
        }
        assert_eq!(run(sample().link("/lib/liba.so", "liba.so"), &app(&["liba.so"])), ["! liba.so"], "a loop ends it");
        assert_eq!(run(sample().link("/lib/liba.so", "gone"), &app(&["liba.so"])), ["liba.so => /usr/lib/liba.so"]);
        let foreign =
            sample().elf("/lib/liba.so", &Forge { machine: 183, ..library() }).elf("/bin/app", &app(&["liba.so"]));
        assert_eq!(codes(&foreign, &[]), ["error lib-wrong-arch"]);
    }

    #[test]
    fn a_second_libc_is_swapped_for_the_loader() {
        let libc = Forge { defines: vec!["__libc_start_main".into(), "stdin".into()], ..library() };
        let sample = base().elf("/opt/libc.so.6", &libc);
        assert_eq!(run(sample, &app(&["/opt/libc.so.6"])), [format!("/opt/libc.so.6 => {LOADER}")]);
    }

    #[test]
    fn the_environment_of_the_image_counts() {
        let sample = base().elf("/opt/liba.so", &library()).elf("/bin/app", &app(&["liba.so"]));
        assert_eq!(codes(&sample, &[]), ["error lib-missing"]);
        assert_eq!(codes(&sample, &[("LD_LIBRARY_PATH", "/opt")]), Vec::<String>::new());
        assert_eq!(codes(&sample, &[("LD_LIBRARY_PATH", "/opt"), ("LD_PRELOAD", "x.so")]), ["warning preload-bad"]);
    }

    #[test]
    fn one_missing_symbol_is_fatal_weak_ones_are_not() {
        let sample = |forge: &Forge| base().elf("/bin/app", forge);
        let unresolved = |forge: &Forge| closure(&sample(forge), "/bin/app").unresolved.len();
        let with = |calls: &[&str]| Forge {
            calls: calls.iter().map(|name| name.as_bytes().to_vec()).collect(),
            ..app(&["libc.so"])
        };
        assert_eq!(unresolved(&with(&["puts"])), 0);
        assert_eq!(unresolved(&with(&["puts", "__printf_chk"])), 1);
        assert_eq!(unresolved(&Forge { needed: Vec::new(), ..with(&["puts"]) }), 1, "libc is not needed by name");
        assert_eq!(unresolved(&Forge { weak_calls: vec!["gone".into()], ..with(&[]) }), 0);
        assert_eq!(unresolved(&Forge { uses: vec!["gone".into()], ..with(&[]) }), 1);
        assert_eq!(codes(&sample(&with(&["gone"])), &[]), ["error symbol-missing"]);
        assert_eq!(codes(&sample(&Forge { relocations: vec![37], ..with(&[]) }), &[]), ["error reloc-unsupported"]);
        let glibc = Forge { version_needs: vec![("libc.so.6".into(), vec!["GLIBC_2.34".into()])], ..with(&["gone"]) };
        assert_eq!(codes(&sample(&glibc), &[]), ["error libc-mix"]);
        let resolved = Forge { calls: vec!["puts".into()], ..glibc.clone() };
        assert_eq!(codes(&sample(&resolved), &[]), ["warning libc-mix"]);
        let compiler = Forge { version_needs: vec![("libgcc_s.so.1".into(), vec!["GLIBC_2.0".into()])], ..with(&[]) };
        assert_eq!(codes(&sample(&compiler), &[]), Vec::<String>::new());
    }

    #[test]
    fn what_a_version_of_musl_knows() {
        let program = |forge: Forge, new: bool| {
            let loader = Forge { defines: vec!["readdir".into(), "posix_fallocate".into()], ..Forge::musl(new) };
            codes(&Sample::new().elf(LOADER, &loader).elf("/bin/app", &forge), &[])
        };
        let calls = |name: &str| Forge { calls: vec![name.into()], ..app(&["libc.so"]) };
        assert_eq!(program(calls("readdir64"), true), Vec::<String>::new());
        assert_eq!(program(calls("readdir64"), false), ["error symbol-missing"]);
        assert_eq!(
            program(calls("posix_fallocate64"), true),
            ["error symbol-missing"],
            "17 bytes are too many for 1.2.5"
        );
        let relr = Forge { tags: vec![(0x24, 0x40)], ..app(&[]) };
        assert_eq!(program(relr.clone(), true), Vec::<String>::new());
        assert_eq!(program(relr, false), ["error relr-old-musl"]);
    }

    #[test]
    fn without_proc_the_origin_of_init_is_unknown() {
        let forge = Forge { runpath: Some("$ORIGIN/lib".into()), ..app(&["liba.so"]) };
        let sample = base().elf("/init", &forge).elf("/lib/liba.so", &library());
        let sample = sample.directory("/dev").directory("/proc").directory("/sys");
        let findings = sample.verified(Purpose::Initramfs { init: "/init".parse().unwrap() }).report.findings;
        let found: Vec<&str> = findings.iter().map(|finding| finding.code.0).collect();
        assert_eq!(found, ["origin-needs-proc"], "the library itself is found in the default directories");
    }
}
