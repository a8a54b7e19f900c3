//! What glibc's and musl's loader have in common: the process that is started, and how a library is opened.

use std::collections::BTreeSet;

use crate::elf::{ElfFacts, SymbolFault, SymbolName};
use crate::oci::Settings;
use crate::path::{ImagePath, display_bytes};
use crate::platform::{Abi, Arch};
use crate::report::Code;
use crate::tree::{Errno, InodeId, Kind, Resolved};

use super::draft::Draft;
use super::files::{Expected, Files, Probe};
use super::subject::GlibcRequirement;
use super::user::ProcessUser;

/// The loader does not find a needed library.
pub const LIB_MISSING: Code = Code("lib-missing");
/// A file that is not a library comes before the library in the search.
pub const LIB_BLOCKED: Code = Code("lib-blocked");
/// A library is for another machine.
pub const LIB_WRONG_ARCH: Code = Code("lib-wrong-arch");
/// A library is shorter than its segments.
pub const LIB_TRUNCATED: Code = Code("lib-truncated");
/// Nothing defines a symbol that is bound when the program starts.
pub const SYMBOL_MISSING: Code = Code("symbol-missing");
/// The tables that a loader reads are damaged, or too large to be checked.
pub const ELF_TABLES: Code = Code("elf-tables");
/// `$ORIGIN` in the program's search path needs `/proc`.
pub const ORIGIN_NEEDS_PROC: Code = Code("origin-needs-proc");
/// A search path depends on the working directory.
pub const RPATH_CWD: Code = Code("rpath-cwd");
/// The loader ignores `$ORIGIN`, because the program has more rights than its caller.
pub const ORIGIN_SECURE: Code = Code("origin-secure");
/// An object to be preloaded does not exist.
pub const PRELOAD_BAD: Code = Code("preload-bad");

/// The most objects of one process that are followed.
pub(super) const OBJECTS_MAX: usize = 4096;

/// The most names in one line of evidence.
const NAMES_SHOWN: usize = 12;

/// A process, as its loader sees it.
pub(super) struct Process<'a> {
    pub files: &'a Files<'a>,
    /// The architecture of the program: not always that of the platform.
    pub arch: Arch,
    pub app: InodeId,
    /// The program's path with links resolved: what `/proc/self/exe` shows.
    pub app_path: &'a ImagePath,
    /// PT_INTERP, as written in the program.
    pub interpreter: &'a [u8],
    /// The file of the loader.
    pub loader: InodeId,
    pub environment: Environment,
    pub cwd: &'a ImagePath,
    pub user: &'a ProcessUser,
    /// Whether `/proc` is mounted. In an initramfs it is not, until its first program mounts it.
    pub proc: bool,
    /// Whether the program gets more rights than its caller (`AT_SECURE`): the loader then ignores the environment.
    pub secure: bool,
    pub depth: Depth,
}

/// How much of a start is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Only which files are loaded.
    Files,
    /// Also their versions and symbols.
    Symbols,
}

/// The variables that a loader reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    pub library_path: Option<Vec<u8>>,
    pub preload: Option<Vec<u8>>,
    /// Whether glibc binds every function at start.
    pub bind_now: bool,
}

/// A loaded file.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub id: InodeId,
    /// The path with which it was opened; `$ORIGIN` is its directory.
    pub path: Vec<u8>,
    /// Names that refer to it with no search.
    pub names: Vec<Vec<u8>>,
    /// Which object needs it first.
    pub by: Option<usize>,
    pub is_loader: bool,
    /// The rule that found it.
    pub rule: String,
}

/// What a loader does with a program.
#[derive(Clone, Debug, Default)]
pub(super) struct Loaded {
    pub objects: Vec<Object>,
    /// Each needed name with the path that was used, in loading order; each name once.
    pub resolved: Vec<(Vec<u8>, Vec<u8>)>,
    /// Needed names that were not found, with the object that needs them.
    pub missing: Vec<(Vec<u8>, Vec<u8>)>,
    /// Symbols that no object defines: the object that needs it, and the name.
    pub unresolved: BTreeSet<(Vec<u8>, Vec<u8>)>,
    pub drafts: Vec<Draft>,
    /// The architecture and the ABI, under glibc.
    pub abi: Option<(Arch, &'static Abi)>,
    /// The newest version of glibc that is required.
    pub needs_glibc: Option<GlibcRequirement>,
}

/// Why the file of a library cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    NotFound(String),
    NotADirectory(String),
    NameTooLong(String),
    Denied(String),
    Loop(String),
}

/// How a loader classifies an opened file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    Library(Resolved),
    Directory(Resolved),
    /// Not an ELF file, or one that cannot be loaded; with the reason.
    Unfit(Resolved, String),
    /// An ELF file for another machine, by its name.
    Foreign(Resolved, String),
}

impl Environment {
    /// The variables that an image config sets.
    pub fn of(settings: Option<&Settings>) -> Environment {
        let value = |name: &str| {
            let value = settings.and_then(|settings| settings.env(name))?;
            (!value.is_empty()).then(|| value.as_bytes().to_vec())
        };
        Environment {
            library_path: value("LD_LIBRARY_PATH"),
            preload: value("LD_PRELOAD"),
            bind_now: value("LD_BIND_NOW").is_some(),
        }
    }
}

impl OpenError {
    pub fn words(&self) -> &str {
        match self {
            OpenError::NotFound(words)
            | OpenError::NotADirectory(words)
            | OpenError::NameTooLong(words)
            | OpenError::Denied(words)
            | OpenError::Loop(words) => words,
        }
    }
}

impl<'a> Process<'a> {
    /// Opens a file for reading, as open(2) does.
    pub fn open(&self, path: &[u8]) -> Result<Resolved, OpenError> {
        let found = self.files.find(self.cwd, path).map_err(|error| {
            let words = self.files.words_of(&error);
            match error.errno {
                Errno::NotFound => OpenError::NotFound(words),
                Errno::NoAccess => OpenError::Denied(words),
                Errno::NotADirectory => OpenError::NotADirectory(words),
                Errno::Loop => OpenError::Loop(words),
                Errno::NameTooLong => OpenError::NameTooLong(words),
            }
        })?;
        if let Some(at) = self.user.barred(self.files.tree, &found) {
            return Err(OpenError::Denied(format!("uid {} has no search permission on {at}", self.user.uid)));
        }
        let meta = &self.files.tree.inode(found.id).meta;
        if !self.user.may_read(meta) {
            return Err(OpenError::Denied(format!("uid {} has no read permission: mode {}", self.user.uid, meta.mode)));
        }
        Ok(found)
    }

    /// The first bytes of a file that may be loaded.
    pub fn probe(&self, id: InodeId) -> Option<&'a Probe> {
        let expected = match self.depth {
            Depth::Files => Expected::Nothing,
            Depth::Symbols => Expected::Library,
        };
        self.files.probe_for(id, expected)
    }

    /// Classifies an opened file.
    pub fn candidate(&self, found: Resolved) -> Candidate {
        match &self.files.tree.inode(found.id).kind {
            Kind::File(_) => {}
            Kind::Directory(_) => return Candidate::Directory(found),
            Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {
                return Candidate::Unfit(found, "not a regular file".into());
            }
        }
        let Some(probe) = self.probe(found.id) else { return Candidate::Unfit(found, "not a file".into()) };
        if let Some(error) = &probe.error {
            return Candidate::Unfit(found, format!("unreadable: {error}"));
        }
        let Some(facts) = &probe.elf else {
            let words = match probe.size {
                0 => "empty".to_string(),
                size if size < self.arch.facts().class.header_size() => format!("not an ELF file: {size} bytes"),
                _ if !probe.head.contains(&0) => "a text file, such as a linker script, not an ELF file".to_string(),
                _ => "not an ELF file".to_string(),
            };
            return Candidate::Unfit(found, words);
        };
        if facts.arch != Some(self.arch) {
            return Candidate::Foreign(found, facts.machine_name());
        }
        if !matches!(facts.kind, 2 | 3) {
            return Candidate::Unfit(found, "an object file, not a library".into());
        }
        if facts.fault.is_some() || facts.dynamic.is_none() {
            return Candidate::Unfit(found, "an ELF file without a dynamic section".into());
        }
        Candidate::Library(found)
    }

    /// Facts of a loaded object.
    pub fn facts(&self, object: &Object) -> Option<&'a ElfFacts> {
        self.files.elf(object.id)
    }

    /// Reports a library that is shorter than its segments.
    pub fn truncated(&self, object: &Object) -> Option<Draft> {
        let facts = self.facts(object)?;
        let needed = facts.size_needed();
        (needed > facts.size).then(|| {
            let path = display_bytes(&object.path);
            Draft::error(LIB_TRUNCATED, format!("loads {path}, which is truncated: {} of {needed} bytes", facts.size))
                .killed("SIGBUS", 135)
                .fix(format!("copy {path} again"))
        })
    }

    /// Reports damaged tables of a loaded object. Then its symbols are not looked up.
    pub fn table_fault(&self, objects: &[Object], index: usize) -> Option<Draft> {
        let object = objects.get(index)?;
        let (dynamic, tables) = (self.facts(object)?.dynamic.as_ref()?, self.files.tables(object.id)?);
        let outside = |what: &str| {
            let message = format!("{}has damaged tables: {what} lie outside the file", subject_of(objects, index));
            Draft::error(ELF_TABLES, message).killed("SIGSEGV", 139)
        };
        let too_many = |what: &str| {
            let message = format!("{}has more {what} than are checked", subject_of(objects, index));
            Draft::note(ELF_TABLES, message)
        };
        let draft = match tables.symbols.fault {
            Some(SymbolFault::Outside(what)) => outside(what),
            Some(SymbolFault::TooMany(what)) => too_many(what),
            None if dynamic.unreadable > 0 => outside("strings of the dynamic section"),
            None if dynamic.beyond > 0 => too_many("entries in its dynamic section"),
            None => return None,
        };
        let fix = format!("copy or link {} again", display_bytes(&object.path));
        Some(draft.because(Process::chain(objects, index), "its dynamic section").fix(fix))
    }

    /// Reports a loaded object that needs symbols with an empty name.
    pub fn nameless(&self, objects: &[Object], index: usize, number: u32) -> Draft {
        let message = format!("{}asks for a symbol without a name: number {number}", subject_of(objects, index));
        let fix = format!("copy or link {} again", display_bytes(&objects[index].path));
        Draft::error(ELF_TABLES, message).because(Process::chain(objects, index), "its symbol table").fix(fix)
    }

    /// The chain of objects that need an object: `/bin/app, /usr/lib/libx.so.1`.
    pub fn chain(objects: &[Object], mut at: usize) -> String {
        let mut parts = Vec::new();
        while let Some(object) = objects.get(at) {
            parts.push(display_bytes(&object.path));
            match object.by {
                Some(by) if parts.len() < 64 => at = by,
                Some(_) | None => break,
            }
        }
        parts.reverse();
        parts.join(" \u{2192} ")
    }

    /// The files of the tree with this name, in any directory.
    pub fn elsewhere(&self, name: &[u8]) -> Vec<&'a ImagePath> {
        let base = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        self.files.by_name(base)
    }
}

/// The beginning of a message about a loaded object; empty if the object is the program itself.
pub(super) fn subject_of(objects: &[Object], index: usize) -> String {
    match objects.get(index) {
        Some(object) if index > 0 => format!("loads {}, which ", display_bytes(&object.path)),
        Some(_) | None => String::new(),
    }
}

/// The first symbols, and how many more there are.
pub(super) fn listed_symbols<'n>(names: &BTreeSet<SymbolName<'n>>) -> String {
    listed(names.iter().map(SymbolName::as_bytes))
}

/// The first names, and how many more there are.
pub(super) fn listed<'n>(names: impl ExactSizeIterator<Item = &'n [u8]>) -> String {
    let count = names.len();
    let mut shown: Vec<String> = names.take(NAMES_SHOWN).map(display_bytes).collect();
    if count > NAMES_SHOWN {
        shown.push(format!("and {} more", count - NAMES_SHOWN));
    }
    shown.join(", ")
}

/// The directory part of a path, which is the value of `$ORIGIN`.
pub(super) fn directory_of(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => &path[..at],
        None => b".",
    }
}
