//! The files of one tree as programs see them: found by path, looked into once each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::slots::Slots;
use super::user::Person;
use crate::elf::{ElfFacts, Pages, Symbols, Versions};
use crate::path::ImagePath;
use crate::platform::Arch;
use crate::tree::{Content, ContentError, Errno, Follow, InodeId, Kind, ResolveError, Resolved, Step, Tree};

/// How many bytes of a program the kernel looks at (`BINPRM_BUF_SIZE`).
pub const HEAD: usize = 256;

/// A tree with what is known of its files. What is read once is kept by inode, so a file with three hundred names is
/// read once.
pub(super) struct Files<'t> {
    pub tree: &'t Tree,
    pub arch: Arch,
    probes: Slots<Probe>,
    deep: Slots<Deep>,
    answerers: Slots<Box<[InodeId]>>,
    names: OnceLock<BTreeMap<Box<[u8]>, Vec<ImagePath>>>,
    /// Directories that a lookup came to and that could not be read when the tree was.
    closed: Mutex<BTreeSet<ImagePath>>,
    /// The first failure of this machine while a file was read.
    failure: Mutex<Option<ContentError>>,
}

/// What the beginning of a file tells.
#[derive(Debug)]
pub(super) struct Probe {
    /// Its first bytes.
    pub head: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
    /// Facts, when it is an ELF file.
    pub elf: Option<ElfFacts>,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// What only loaders look at.
#[derive(Debug, Default)]
pub(super) struct Deep {
    pub versions: Versions,
    pub symbols: Symbols,
}

/// Why a program cannot be opened to be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The path leads nowhere.
    Path(ResolveError),
    /// A directory on the way may not be searched by the user.
    Barred(ImagePath),
    /// It is no regular file.
    NotAFile(Resolved, &'static str),
    /// It has no execute bit that the user could use.
    NotExecutable(Resolved),
}

impl<'t> Files<'t> {
    pub fn new(tree: &'t Tree, arch: Arch) -> Files<'t> {
        let count = tree.inode_count();
        let (probes, deep, answerers) = (Slots::new(count), Slots::new(count), Slots::new(count));
        Files {
            tree,
            arch,
            probes,
            deep,
            answerers,
            names: OnceLock::new(),
            closed: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// `e_machine` of this platform.
    pub fn machine(&self) -> u16 {
        self.arch.facts().machine
    }

    /// The contents of a regular file.
    pub fn content(&self, id: InodeId) -> Option<&'t Content> {
        match &self.tree.inode(id).kind {
            Kind::File(content) => Some(content),
            Kind::Directory(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => None,
        }
    }

    /// What the beginning of a file tells; `None` for what is no regular file.
    pub fn probe(&self, id: InodeId) -> Option<&Probe> {
        let content = self.content(id)?;
        self.probes.get_or_init(id, || {
            let (probe, failure) = Probe::read(content);
            self.remember_failure(failure);
            probe
        })
    }

    /// Facts of an ELF file.
    pub fn elf(&self, id: InodeId) -> Option<&ElfFacts> {
        self.probe(id)?.elf.as_ref()
    }

    /// Versions and symbols of an ELF file.
    pub fn deep(&self, id: InodeId) -> Option<&Deep> {
        let facts = self.elf(id)?;
        let content = self.content(id)?;
        self.deep.get_or_init(id, || {
            let (deep, failure) = Deep::read(content, facts);
            self.remember_failure(failure);
            deep
        })
    }

    /// The libraries that answered all that a library asks for, in some process: where it is together with them it need not ask
    /// again.
    pub fn answerers(&self, id: InodeId) -> Option<&[InodeId]> {
        self.answerers.get(id).map(|answerers| &**answerers)
    }

    /// Remembers who answered all that a library asks for.
    pub fn remember_answerers(&self, id: InodeId, answerers: impl Iterator<Item = InodeId>) {
        self.answerers.get_or_init(id, || answerers.collect());
    }

    /// The paths of all files and links of this name, sorted.
    pub fn by_name(&self, name: &[u8]) -> Vec<&ImagePath> {
        let names = self.names.get_or_init(|| {
            let mut names: BTreeMap<Box<[u8]>, Vec<ImagePath>> = BTreeMap::new();
            let mut walk = self.tree.walk();
            while let Some(Step { path, inode, .. }) = walk.step() {
                if let (Some(name), Kind::File(_) | Kind::Symlink(_)) = (path.file_name(), &inode.kind) {
                    names.entry(name.as_bytes().into()).or_default().push(path.clone());
                }
            }
            names
        });
        names.get(name).map(|paths| paths.iter().collect()).unwrap_or_default()
    }

    /// Follows a path as a system call would.
    pub fn find(&self, from: &ImagePath, path: &[u8]) -> Result<Resolved, ResolveError> {
        let found = self.tree.resolve(from, path, Follow::Yes);
        if let Err(ResolveError { errno: Errno::NoAccess, at, .. }) = &found {
            self.closed.lock().unwrap_or_else(PoisonError::into_inner).insert(at.clone());
        }
        found
    }

    /// Keeps the first failure of this machine. That a file may not be read is not one: a loader gets the same answer.
    fn remember_failure(&self, failure: Option<ContentError>) {
        let of_machine = |error: &ContentError| match error {
            ContentError::Io(_, error) => error.kind() != std::io::ErrorKind::PermissionDenied,
            ContentError::Changed(_) => true,
        };
        if let Some(failure) = failure.filter(of_machine) {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        }
    }

    /// Why some file could not be read, once: whatever was said about the tree since may be wrong.
    pub fn take_failure(&self) -> Option<ContentError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The directories that some lookup came to and that could not be read when the tree was, sorted.
    pub fn closed(&self) -> Vec<ImagePath> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Opens a path as execve(2) opens a program or an interpreter.
    pub fn open_program(&self, from: &ImagePath, path: &[u8], person: &Person) -> Result<Resolved, Refusal> {
        let found = self.find(from, path).map_err(Refusal::Path)?;
        if let Some(at) = person.barred(self.tree, &found) {
            return Err(Refusal::Barred(at));
        }
        let inode = self.tree.inode(found.id);
        let kind = match &inode.kind {
            Kind::File(_) if person.may_execute(&inode.meta) => return Ok(found),
            Kind::File(_) => return Err(Refusal::NotExecutable(found)),
            Kind::Directory(_) => "a directory",
            Kind::Symlink(_) => "a link",
            Kind::CharDevice(_) => "a character device",
            Kind::BlockDevice(_) => "a block device",
            Kind::Fifo => "a named pipe",
        };
        Err(Refusal::NotAFile(found, kind))
    }
}

impl Probe {
    fn read(content: &Content) -> (Probe, Option<ContentError>) {
        let mut probe = Probe { head: Vec::new(), size: content.size(), elf: None, error: None };
        let read = Pages::open(content).and_then(|pages| {
            probe.head = pages.read(0, HEAD)?;
            probe.elf = ElfFacts::read_pages(&pages)?;
            Ok(())
        });
        let failure = read.err();
        probe.error = failure.as_ref().map(ContentError::to_string);
        (probe, failure)
    }
}

impl Deep {
    fn read(content: &Content, facts: &ElfFacts) -> (Deep, Option<ContentError>) {
        let read = Pages::open(content).and_then(|pages| {
            Ok(Deep { versions: Versions::read(&pages, facts)?, symbols: Symbols::read(&pages, facts)? })
        });
        read.map(|deep| (deep, None)).unwrap_or_else(|failure| {
            let mut deep = Deep::default();
            deep.versions.broken = true;
            deep.symbols.broken = true;
            (deep, Some(failure))
        })
    }
}

/// What was found at a path that could not be opened, in words.
pub(super) fn words_of(error: &ResolveError) -> String {
    match error.errno {
        Errno::NotFound if !error.links.is_empty() => format!("a link to {}, which does not exist", error.at),
        Errno::NotFound => "absent".to_string(),
        Errno::NoAccess => format!("{} cannot be read by the user who runs sazare", error.at),
        Errno::NotADirectory => format!("{} is not a directory", error.at),
        Errno::Loop => "a loop of links".to_string(),
        Errno::NameTooLong => "name too long".to_string(),
    }
}
