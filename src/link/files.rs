//! The files of one tree as programs see them: looked up by path, each opened and read once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::loader::{LoaderKind, release_in};
use super::slots::Slots;
use super::user::ProcessUser;
use super::version::Version;
use crate::elf::{ElfFacts, Linkage, Pages, SymbolFault, Symbols, VersionFault, Versions};
use crate::path::ImagePath;
use crate::platform::Arch;
use crate::tree::{Content, ContentError, Errno, Follow, InodeId, Kind, ResolveError, Resolved, Tree, WalkEntry};

/// How many bytes of a program the kernel reads first (`BINPRM_BUF_SIZE`).
pub const HEAD: usize = 256;

/// The most bytes that are read of a file that loaders read as a whole.
const WHOLE_MAX: u64 = 64 << 20;

/// A tree with what is known about its files. Facts are kept by inode, so a file with three hundred names is read once.
pub(super) struct Files<'t> {
    pub tree: &'t Tree,
    /// The architecture of the platform, if programs of it can be verified.
    pub arch: Option<Arch>,
    /// The architectures whose programs kernels of this platform run.
    archs: Vec<Arch>,
    probes: Slots<Probe>,
    tables: Slots<Tables>,
    loaders: Slots<LoaderKind>,
    providers: Slots<Box<[InodeId]>>,
    releases: Slots<Option<Version>>,
    whole: Slots<Option<Box<[u8]>>>,
    names: OnceLock<BTreeMap<Box<[u8]>, Vec<ImagePath>>>,
    hwcaps: OnceLock<bool>,
    cached_hwcaps: OnceLock<bool>,
    /// Directories that a lookup reached and that could not be read when the tree was read.
    closed: Mutex<BTreeSet<ImagePath>>,
    /// The first error of this machine while a file was read.
    failure: Mutex<Option<ContentError>>,
}

/// What the first bytes of a file show.
#[derive(Debug)]
pub(super) struct Probe {
    /// Its first bytes.
    pub head: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
    /// Facts, if it is an ELF file.
    pub elf: Option<ElfFacts>,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// Which parts of a file are needed after its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// None.
    Nothing,
    /// Its tables, if it names a loader, or if only the tables show whether it is a program.
    Program,
    /// Its tables.
    Library,
    /// Its tables, and the text that shows which loader it is.
    Loader,
}

/// What only loaders read.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub versions: Versions,
    pub symbols: Symbols,
}

/// Why a program cannot be opened to be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The path does not exist.
    Path(ResolveError),
    /// The user has no search permission on a directory of the path.
    Barred(ImagePath),
    /// It is not a regular file.
    NotAFile(Resolved, &'static str),
    /// The user has no execute permission.
    NotExecutable(Resolved),
}

impl<'t> Files<'t> {
    pub fn new(tree: &'t Tree, arch: Option<Arch>) -> Files<'t> {
        let count = tree.inode_count();
        let (probes, tables) = (Slots::new(count), Slots::new(count));
        let (loaders, providers, whole) = (Slots::new(count), Slots::new(count), Slots::new(count));
        Files {
            tree,
            arch,
            archs: arch.into_iter().chain(arch.and_then(Arch::compat)).collect(),
            probes,
            tables,
            loaders,
            providers,
            releases: Slots::new(count),
            whole,
            names: OnceLock::new(),
            hwcaps: OnceLock::new(),
            cached_hwcaps: OnceLock::new(),
            closed: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// The architecture of an ELF file, if kernels of this platform run its programs.
    pub fn runs(&self, facts: &ElfFacts) -> Option<Arch> {
        facts.arch.filter(|arch| self.archs.contains(arch))
    }

    /// How kernels of this platform would start an ELF file, according to its headers.
    pub fn linkage_by_headers(&self, facts: &ElfFacts, executable: bool) -> Linkage {
        facts.linkage(&self.archs, executable)
    }

    /// The contents of a regular file.
    pub fn content(&self, id: InodeId) -> Option<&'t Content> {
        match &self.tree.inode(id).kind {
            Kind::File(content) => Some(content),
            Kind::Directory(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => None,
        }
    }

    /// The first bytes of a regular file. `None` if it is not one, or cannot be read.
    pub fn head(&self, id: InodeId, limit: u64) -> Option<Vec<u8>> {
        let read = self.content(id)?.head(limit);
        read.map_err(|failure| self.remember_failure(Some(failure))).ok()
    }

    /// A file that a loader reads for every program, such as `/etc/ld.so.cache`: read once for all programs. Like [`Files::head`]
    /// with [`WHOLE_MAX`] bytes.
    pub fn whole(&self, id: InodeId) -> Option<&[u8]> {
        self.whole.get_or_init(id, || self.head(id, WHOLE_MAX).map(Vec::into_boxed_slice))?.as_deref()
    }

    /// What the first bytes of a file show. `None` if it is not a regular file.
    pub fn probe(&self, id: InodeId) -> Option<&Probe> {
        self.probe_for(id, Expected::Nothing)
    }

    /// Like [`Files::probe`], for a file of which more will be needed: the expected parts are read while the file is open, so that
    /// it is opened and read only once.
    pub fn probe_for(&self, id: InodeId, expected: Expected) -> Option<&Probe> {
        let content = self.content(id)?;
        self.probes.get_or_init(id, || {
            let mut probe = Probe { head: Vec::new(), size: content.size(), elf: None, error: None };
            let read = Pages::open(content).and_then(|pages| {
                probe.read(&pages)?;
                // This comes before the probe is visible to other threads, which would open the file again.
                if let Some(facts) = &probe.elf {
                    self.read_more(id, &pages, facts, expected);
                }
                pages.prove()
            });
            let failure = read.err();
            probe.error = failure.as_ref().map(ContentError::to_string);
            self.remember_failure(failure);
            probe
        })
    }

    fn read_more(&self, id: InodeId, pages: &Pages<'_>, facts: &ElfFacts, expected: Expected) {
        let wanted = match expected {
            Expected::Nothing => false,
            Expected::Program => {
                let unmarked = || self.linkage_by_headers(facts, true) == Linkage::StaticPieLikely;
                facts.interpreter.path().is_some() || unmarked()
            }
            Expected::Library | Expected::Loader => true,
        };
        if !wanted || self.runs(facts).is_none() || facts.fault.is_some() || facts.dynamic.is_none() {
            return;
        }
        let tables = self.tables.get_or_init(id, || self.read_tables(Tables::read(pages, facts)));
        if let Some(tables) = tables.filter(|_| expected == Expected::Loader) {
            self.loaders.get_or_init(id, || self.read_loader(LoaderKind::of(pages, facts, &tables.versions)));
        }
        // For glibc's own library, its release is needed too.
        if facts.dynamic.as_ref().is_some_and(|dynamic| dynamic.soname.as_deref() == Some(b"libc.so.6")) {
            self.releases.get_or_init(id, || self.read_release(release_in(pages, facts)));
        }
    }

    fn read_release(&self, read: Result<Option<Version>, ContentError>) -> Option<Version> {
        read.unwrap_or_else(|failure| {
            self.remember_failure(Some(failure));
            None
        })
    }

    /// Facts of an ELF file.
    pub fn elf(&self, id: InodeId) -> Option<&ElfFacts> {
        self.probe(id)?.elf.as_ref()
    }

    /// How kernels of this platform would start an ELF file. If the linker did not mark a static-pie, only its symbols distinguish it
    /// from a library: it defines none for others and needs none.
    pub fn linkage(&self, id: InodeId) -> Option<Linkage> {
        let executable = self.tree.inode(id).meta.mode.any_execute();
        match self.linkage_by_headers(self.elf(id)?, executable) {
            Linkage::StaticPieLikely => {
                let symbols = self.tables(id).map(|tables| &tables.symbols);
                let alone = symbols.is_some_and(|symbols| symbols.bound.is_empty() && !symbols.offers_any());
                Some(if alone { Linkage::StaticPie } else { Linkage::SharedObject })
            }
            known => Some(known),
        }
    }

    /// Versions and symbols of an ELF file.
    pub fn tables(&self, id: InodeId) -> Option<&Tables> {
        let facts = self.elf(id)?;
        let content = self.content(id)?;
        self.tables
            .get_or_init(id, || self.read_tables(Pages::open(content).and_then(|pages| Tables::read(&pages, facts))))
    }

    fn read_tables(&self, read: Result<Tables, ContentError>) -> Tables {
        read.unwrap_or_else(|failure| {
            self.remember_failure(Some(failure));
            Tables::broken()
        })
    }

    /// Which loader a file is. `None` if it is not an ELF file.
    pub fn loader(&self, id: InodeId) -> Option<&LoaderKind> {
        let facts = self.elf(id)?;
        let content = self.content(id)?;
        let versions = &self.tables(id)?.versions;
        let read = || Pages::open(content).and_then(|pages| LoaderKind::of(&pages, facts, versions));
        self.loaders.get_or_init(id, || self.read_loader(read()))
    }

    fn read_loader(&self, read: Result<LoaderKind, ContentError>) -> LoaderKind {
        read.unwrap_or_else(|failure| {
            self.remember_failure(Some(failure));
            LoaderKind::Unknown
        })
    }

    /// The release of glibc that a library states.
    pub fn glibc_release(&self, id: InodeId) -> Option<&Version> {
        let facts = self.elf(id)?;
        let content = self.content(id)?;
        let read = || self.read_release(Pages::open(content).and_then(|pages| release_in(&pages, facts)));
        self.releases.get_or_init(id, read)?.as_ref()
    }

    /// The files that were recognised as loaders, in the order of the inodes.
    pub fn known_loaders(&self) -> impl Iterator<Item = &LoaderKind> {
        self.loaders.iter()
    }

    /// The libraries that defined all symbols of a library in an earlier process. In a process with the same libraries, the lookup
    /// is not repeated.
    pub fn providers(&self, id: InodeId) -> Option<&[InodeId]> {
        self.providers.get(id).map(|providers| &**providers)
    }

    /// Remembers the libraries that defined all symbols that a library needs.
    pub fn remember_providers(&self, id: InodeId, providers: impl Iterator<Item = InodeId>) {
        self.providers.get_or_init(id, || providers.collect());
    }

    /// Whether the tree has libraries for newer CPUs.
    pub fn has_hwcaps(&self) -> bool {
        *self.hwcaps.get_or_init(|| self.tree.names().any(|name| name.as_bytes() == b"glibc-hwcaps"))
    }

    /// Whether the `ld.so.cache` of the tree lists such libraries. `look` answers that, and is called once.
    pub fn cached_hwcaps(&self, look: impl FnOnce() -> bool) -> &bool {
        self.cached_hwcaps.get_or_init(look)
    }

    /// The paths of all files and links of this name, sorted.
    pub fn by_name(&self, name: &[u8]) -> Vec<&ImagePath> {
        let names = self.names.get_or_init(|| {
            let mut names: BTreeMap<Box<[u8]>, Vec<ImagePath>> = BTreeMap::new();
            let mut walk = self.tree.walk();
            while let Some(WalkEntry { path, inode, .. }) = walk.step() {
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

    /// Whether a path that does not exist ends in a dangling link. Valid links among its directories do not count.
    pub fn is_dangling(&self, error: &ResolveError) -> bool {
        error.errno == Errno::NotFound
            && error
                .links
                .last()
                .is_some_and(|link| self.tree.resolve(&ImagePath::root(), link.as_bytes(), Follow::Yes).is_err())
    }

    /// What is at a path that could not be opened, in words.
    pub fn words_of(&self, error: &ResolveError) -> String {
        match error.errno {
            Errno::NotFound if self.is_dangling(error) => format!("a symlink to {}, which does not exist", error.at),
            Errno::NotFound => "absent".to_string(),
            Errno::NoAccess => format!("{} cannot be read by the user who runs sazare", error.at),
            Errno::NotADirectory => format!("{} is not a directory", error.at),
            Errno::Loop => "a symlink loop".to_string(),
            Errno::NameTooLong => "name too long".to_string(),
        }
    }

    /// Keeps the first error of this machine. A missing read permission is not one: it is a property of the tree, and a loader
    /// gets the same error.
    fn remember_failure(&self, failure: Option<ContentError>) {
        let of_machine = |error: &ContentError| match error {
            ContentError::Io(_, error) => error.kind() != std::io::ErrorKind::PermissionDenied,
            ContentError::Changed(_) => true,
        };
        if let Some(failure) = failure.filter(of_machine) {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        }
    }

    /// The first error with which a file could not be read: everything found since may be wrong. A second call gives `None`.
    pub fn take_failure(&self) -> Option<ContentError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The directories that some lookup reached and that could not be read when the tree was read, sorted.
    pub fn closed(&self) -> Vec<ImagePath> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Opens a path as execve(2) opens a program or interpreter.
    pub fn open_program(&self, from: &ImagePath, path: &[u8], user: &ProcessUser) -> Result<Resolved, Refusal> {
        let found = self.find(from, path).map_err(Refusal::Path)?;
        if let Some(at) = user.barred(self.tree, &found) {
            return Err(Refusal::Barred(at));
        }
        let inode = self.tree.inode(found.id);
        let kind = match &inode.kind {
            Kind::File(_) if user.may_execute(&inode.meta) => return Ok(found),
            Kind::File(_) => return Err(Refusal::NotExecutable(found)),
            Kind::Directory(_) => "a directory",
            Kind::Symlink(_) => "a symlink",
            Kind::CharDevice(_) => "a character device",
            Kind::BlockDevice(_) => "a block device",
            Kind::Fifo => "a named pipe",
        };
        Err(Refusal::NotAFile(found, kind))
    }
}

impl Probe {
    fn read(&mut self, pages: &Pages<'_>) -> Result<(), ContentError> {
        self.head = pages.read(0, HEAD)?;
        self.elf = ElfFacts::read_pages(pages)?;
        Ok(())
    }
}

impl Tables {
    fn read(pages: &Pages<'_>, facts: &ElfFacts) -> Result<Tables, ContentError> {
        Ok(Tables { versions: Versions::read(pages, facts)?, symbols: Symbols::read(pages, facts)? })
    }

    /// The tables of a file that cannot be read.
    fn broken() -> Tables {
        let mut tables = Tables::default();
        tables.versions.fault = Some(VersionFault::Outside);
        tables.symbols.fault = Some(SymbolFault::Outside("the symbols"));
        tables
    }
}
