//! musl's loader: symbols and relocations. musl binds everything at start, so the start fails if one function is missing, even if
//! it is never called.

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::{Symbol, SymbolName, Symbols};
use crate::path::display_bytes;
use crate::platform::{ArchFacts, Relocations};
use crate::report::Code;
use crate::tree::InodeId;

use super::load::Musl;
use crate::link::draft::Draft;
use crate::link::process::{Object, Process, SYMBOL_MISSING, listed_symbols};

/// A library is built for another C library than that of the process.
pub const LIBC_MIX: Code = Code("libc-mix");
/// A relocation of a type that musl does not know.
pub const RELOC_UNSUPPORTED: Code = Code("reloc-unsupported");
/// Packed relative relocations, and a musl that ignores them.
pub const RELR_OLD_MUSL: Code = Code("relr-old-musl");

/// The functions that also existed with `64` at the end of their name before musl 1.2.4 (LFS64).
const LFS64: &[&str] = &[
    "aio_cancel",
    "aio_error",
    "aio_fsync",
    "aio_read",
    "aio_return",
    "aio_suspend",
    "aio_write",
    "alphasort",
    "creat",
    "fallocate",
    "fgetpos",
    "fopen",
    "freopen",
    "fseeko",
    "fsetpos",
    "fstat",
    "fstatat",
    "fstatfs",
    "fstatvfs",
    "ftello",
    "ftruncate",
    "ftw",
    "getdents",
    "getrlimit",
    "glob",
    "globfree",
    "lio_listio",
    "lockf",
    "lseek",
    "lstat",
    "mkostemp",
    "mkostemps",
    "mkstemp",
    "mkstemps",
    "mmap",
    "nftw",
    "open",
    "openat",
    "posix_fadvise",
    "posix_fallocate",
    "pread",
    "preadv",
    "prlimit",
    "pwrite",
    "pwritev",
    "readdir",
    "scandir",
    "sendfile",
    "setrlimit",
    "stat",
    "statfs",
    "statvfs",
    "tmpfile",
    "truncate",
    "versionsort",
    "__fxstat",
    "__fxstatat",
    "__lxstat",
    "__xstat",
];

/// The longest name with `64` at its end that 1.2.4 and 1.2.5 recognise.
const LFS64_NAME: usize = 16;

impl Musl<'_> {
    fn arch(&self) -> &'static ArchFacts {
        self.process.arch.facts()
    }

    /// musl's message about a relocation of a type that it does not know.
    pub fn unsupported(path: &str, kind: u32) -> String {
        format!("Error relocating {path}: unsupported relocation type {kind} (exit code 127)")
    }

    /// The relocation types of a file that the loader does not know, each once.
    pub fn unknown_relocations(&self, id: InodeId) -> Vec<u32> {
        let Some(tables) = self.process.files.tables(id) else { return Vec::new() };
        let known = self.arch().musl_relocations;
        tables.symbols.kinds.iter().filter(|kind| !known.contains(kind)).copied().collect()
    }

    /// Checks every relocation of every object.
    pub fn bind(&mut self) {
        let types = &self.arch().relocations;
        let objects = self.loaded.objects.clone();
        for (index, object) in objects.iter().enumerate().filter(|(_, object)| !object.is_loader) {
            let Some(tables) = self.process.files.tables(object.id) else { continue };
            let path = display_bytes(&object.path);
            for kind in self.unknown_relocations(object.id) {
                self.loaded.drafts.push(
                    Draft::error(
                        RELOC_UNSUPPORTED,
                        format!("loads {path}, which has relocations of type {kind}, which musl does not support"),
                    )
                    .says(Musl::unsupported(&path, kind))
                    .because(
                        Process::chain(&objects, index),
                        format!("type {} is IFUNC, which only glibc supports", types.irelative),
                    )
                    .fix(format!("use a build of {path} for musl")),
                );
            }
            let relr = self
                .process
                .facts(object)
                .and_then(|facts| facts.dynamic.as_ref())
                .is_some_and(crate::elf::Dynamic::has_relr);
            if relr && !self.loader.since_1_2_4 {
                let version = self.loader.version.as_deref().unwrap_or("before 1.2.4");
                self.loaded.drafts.push(
                    Draft::error(
                        RELR_OLD_MUSL,
                        format!("loads {path}, whose packed relocations (RELR) musl {version} ignores"),
                    )
                    .killed("SIGSEGV", 139)
                    .because(Process::chain(&objects, index), "DT_RELR")
                    .fix("use musl 1.2.4 or later, or link it with `-z nopack-relative-relocs`"),
                );
            }
            if let Some(draft) = self.process.table_fault(&objects, index) {
                self.loaded.drafts.push(draft);
                continue;
            }
            let (missing, nameless) = self.missing_symbols(&objects, &tables.symbols, types);
            if let Some(number) = nameless {
                let says = format!("Error relocating {path}: : symbol not found (exit code 127)");
                self.loaded.drafts.push(self.process.nameless(&objects, index, number).says(says));
            }
            self.report_symbols(&objects, index, &missing);
            let path = &object.path;
            self.loaded.unresolved.extend(missing.into_iter().map(|name| (path.clone(), name.as_bytes().to_vec())));
        }
    }

    /// The symbols that no object defines, and the number of one that has no name.
    fn missing_symbols<'s>(
        &self,
        objects: &[Object],
        symbols: &'s Symbols,
        types: &Relocations,
    ) -> (BTreeSet<SymbolName<'s>>, Option<u32>) {
        let (mut missing, mut nameless) = (BTreeSet::new(), None);
        // Several relocations may refer to one symbol, which is looked up once.
        let mut known: BTreeMap<(u32, bool, bool), bool> = BTreeMap::new();
        for relocation in &symbols.bound {
            let Some(symbol) = symbols.all.get(relocation.symbol as usize) else { continue };
            if symbol.binding() == 0 || (symbol.is_undefined() && symbol.binding() == 2) {
                continue;
            }
            let Some(name) = symbols.name(symbol) else {
                nameless = nameless.or(Some(relocation.symbol));
                continue;
            };
            let (copy, plt) = (relocation.kind == types.copy, relocation.kind == types.jump_slot);
            let found = *known.entry((relocation.symbol, copy, plt)).or_insert_with(|| {
                self.finds(objects, name.as_bytes(), usize::from(copy), plt) || self.finds_lfs64(name.as_bytes())
            });
            // Only undefined weak symbols may be missing. If musl does not accept a weak definition of the object itself, that is an
            // error too.
            if !found {
                missing.insert(name);
            }
        }
        (missing, nameless)
    }

    /// `find_sym`: the first object that defines the name.
    fn finds(&self, objects: &[Object], name: &[u8], from: usize, needs_definition: bool) -> bool {
        objects.iter().skip(from).any(|object| {
            let Some(tables) = self.process.files.tables(object.id) else { return false };
            tables.symbols.find(name).any(|symbol| accepted(symbol, needs_definition))
        })
    }

    /// Since 1.2.4 the names with `64` find the functions with the plain names.
    fn finds_lfs64(&self, name: &[u8]) -> bool {
        let old_limit = !self.loader.number().is_some_and(|version| version.is_at_least(&[1, 2, 6]));
        if !self.loader.since_1_2_4 || (old_limit && name.len() > LFS64_NAME) {
            return false;
        }
        let plain: &[u8] = if name == b"readdir64_r" {
            b"readdir_r"
        } else {
            match name.strip_suffix(b"64") {
                Some(plain) if LFS64.iter().any(|known| known.as_bytes() == plain) => plain,
                Some(_) | None => return false,
            }
        };
        let Some(tables) = self.process.files.tables(self.process.loader) else { return false };
        tables.symbols.find(plain).any(|symbol| accepted(symbol, true))
    }

    fn report_symbols(&mut self, objects: &[Object], index: usize, missing: &BTreeSet<SymbolName<'_>>) {
        let object = &objects[index];
        let path = display_bytes(&object.path);
        let foreign = self.is_for_glibc(object);
        let says = |name: &SymbolName<'_>| {
            format!("Error relocating {path}: {}: symbol not found (exit code 127)", display_bytes(name.as_bytes()))
        };
        let names = listed_symbols(missing);
        let draft = match (missing.first(), foreign) {
            (None, None) => return,
            // If a library is missing, missing symbols are only a consequence.
            (Some(_), None) if !self.loaded.missing.is_empty() => return,
            (None, Some(reason)) => Draft::warning(LIBC_MIX, format!("loads {path}, which is built for glibc, into a musl process"))
                .because(Process::chain(objects, index), reason)
                .because("symbols", "all are found, but they may behave differently")
                .fix(format!("use the musl build of {path} (Alpine package, musllinux wheel, `-musl` npm package)")),
            (Some(first), Some(reason)) => Draft::error(LIBC_MIX, format!("loads {path}, which is built for glibc and needs symbols that musl does not have"))
                .says(says(first))
                .because(Process::chain(objects, index), reason)
                .because("not found", names)
                .fix(format!(
                    "use the musl build of {path} (Alpine package, musllinux wheel, `-musl` npm package); gcompat is a last resort"
                )),
            (Some(first), None) => {
                let message = if index == 0 {
                    format!("needs symbols that no library defines: {names}")
                } else {
                    format!("loads {path}, which needs symbols that no library defines: {names}")
                };
                Draft::error(SYMBOL_MISSING, message)
                    .says(says(first))
                    .because(Process::chain(objects, index), "musl binds every symbol at the start")
                    .fix("its libraries have another version than those it was built with: use both from the same release")
            }
        };
        self.loaded.drafts.push(draft);
    }

    /// Why an object counts as built for glibc. A version name alone is not enough: compilers for musl write `GLIBC_2.0` of
    /// libgcc_s into their output.
    fn is_for_glibc(&self, object: &Object) -> Option<String> {
        const FILES: [&[u8]; 6] =
            [b"libc.so.6", b"libm.so.6", b"libpthread.so.0", b"libdl.so.2", b"librt.so.1", b"libresolv.so.2"];
        let of_glibc = |name: &[u8]| FILES.contains(&name) || name.starts_with(b"ld-linux-");
        let versions = &self.process.files.tables(object.id)?.versions;
        if let Some(need) =
            versions.needed.iter().find(|need| need.version.starts_with(b"GLIBC_") && of_glibc(&need.file))
        {
            return Some(format!("needs {} of {}", display_bytes(&need.version), display_bytes(&need.file)));
        }
        let dynamic = self.process.facts(object)?.dynamic.as_ref()?;
        let needed = dynamic.needed.iter().find(|name| ***name == *b"libc.so.6" || name.starts_with(b"ld-linux-"))?;
        Some(format!("needs {}", display_bytes(needed)))
    }
}

/// Whether musl accepts a symbol as a definition.
fn accepted(symbol: &Symbol, needs_definition: bool) -> bool {
    let thread_local = symbol.kind() == 6;
    if symbol.is_hidden() || (symbol.is_undefined() && (needs_definition || thread_local)) {
        return false;
    }
    (symbol.value != 0 || thread_local)
        && matches!(symbol.kind(), 0 | 1 | 2 | 5 | 6)
        && matches!(symbol.binding(), 1 | 2 | 10)
}
