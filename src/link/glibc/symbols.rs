//! glibc's loader: versions and symbols (`elf/dl-version.c`, `elf/dl-lookup.c`).

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::{NeededVersion, Symbol, SymbolName, VersionFault};
use crate::path::display_bytes;
use crate::report::Code;
use crate::tree::InodeId;

use super::load::Glibc;
use crate::link::draft::Draft;
use crate::link::files::Tables;
use crate::link::process::{ELF_TABLES, Object, Process, SYMBOL_MISSING, listed, listed_symbols, subject_of};
use crate::link::subject::GlibcRequirement;
use crate::link::version::Version;

/// A library does not have a required symbol version.
pub const VERSION_MISSING: Code = Code("version-missing");
/// A library has no symbol versions, but some are required.
pub const VERSION_NO_INFO: Code = Code("version-no-info");

/// The loader and the C library are of different releases of glibc.
pub const GLIBC_MIX: Code = Code("glibc-mix");

/// Packed relocations in an object that does not require the version which marks them.
pub const RELR_UNMARKED: Code = Code("relr-unmarked");

/// The version that an object with packed relocations requires from the C library.
const RELR_MARK: &[u8] = b"GLIBC_ABI_DT_RELR";

/// The release that introduced it, according to its release notes.
const RELR_SINCE: &[u8] = b"2.36";

/// Whether a library belongs to glibc. Other libraries define versions with the same names too.
fn is_of_glibc(name: &[u8]) -> bool {
    const LIBRARIES: [&[u8]; 13] = [
        b"libc.so.6",
        b"libm.so.6",
        b"libmvec.so.1",
        b"libpthread.so.0",
        b"libdl.so.2",
        b"librt.so.1",
        b"libutil.so.1",
        b"libresolv.so.2",
        b"libanl.so.1",
        b"libnsl.so.1",
        b"libthread_db.so.1",
        b"libBrokenLocale.so.1",
        b"libc_malloc_debug.so.0",
    ];
    LIBRARIES.contains(&name) || name.starts_with(b"ld-linux") || name.starts_with(b"ld64.so") || name == b"ld.so.1"
}

/// One object with what a lookup needs.
struct Scope<'a> {
    tables: &'a Tables,
    /// The names of versions by their number: those that it defines and those that it needs, except the base version.
    versions: BTreeMap<u16, &'a [u8]>,
}

impl Glibc<'_> {
    /// Checks that every required version is defined.
    pub fn check_versions(&mut self) {
        let objects = self.loaded.objects.clone();
        self.loaded.needs_glibc = self.needed_release(&objects);
        for (index, object) in objects.iter().enumerate().filter(|(_, object)| !object.is_loader) {
            let Some(tables) = self.process.files.tables(object.id) else { continue };
            if let Some(draft) = tables.versions.fault.map(|fault| self.version_table_fault(&objects, index, fault)) {
                self.loaded.drafts.push(draft);
                continue;
            }
            let mut files: BTreeMap<&[u8], Vec<&NeededVersion>> = BTreeMap::new();
            for need in &tables.versions.needed {
                files.entry(&need.file).or_default().push(need);
            }
            if let Some(draft) = self.relr_fault(&objects, index, &files) {
                self.loaded.drafts.push(draft);
            }
            for (file, needs) in files {
                if let Some(draft) = self.version_fault(&objects, index, file, &needs) {
                    self.loaded.drafts.push(draft);
                }
            }
        }
    }

    /// The newest release of glibc whose versions are required, from any of its libraries.
    fn needed_release(&self, objects: &[Object]) -> Option<GlibcRequirement> {
        let mut newest: Option<Version> = None;
        let mut required: Option<GlibcRequirement> = None;
        let mut marks = BTreeSet::new();
        for object in objects.iter().filter(|object| !object.is_loader) {
            let Some(tables) = self.process.files.tables(object.id) else { continue };
            // glibc's own libraries require versions from each other, which always come with the same release.
            let soname = self.process.facts(object).and_then(|facts| facts.dynamic.as_ref()?.soname.as_deref());
            if soname.is_some_and(is_of_glibc) || tables.versions.defines(b"GLIBC_PRIVATE") {
                continue;
            }
            for need in tables.versions.needed.iter().filter(|need| is_of_glibc(&need.file)) {
                let version = match need.version.strip_prefix(b"GLIBC_ABI_".as_slice()) {
                    Some(b"DT_RELR") => Version::parse(RELR_SINCE),
                    Some(_) => {
                        marks.insert(display_bytes(&need.version));
                        continue;
                    }
                    None => Version::of_glibc(&need.version),
                };
                if version > newest {
                    let mut symbols = tables.symbols.all.iter().filter(|symbol| symbol.version & 0x7fff == need.index);
                    required = Some(GlibcRequirement {
                        version: version.clone().unwrap_or_default(),
                        file: display_bytes(&object.path),
                        symbol: symbols
                            .find_map(|symbol| tables.symbols.name(symbol))
                            .map_or_else(|| display_bytes(&need.version), |name| display_bytes(name.as_bytes())),
                        marks: Vec::new(),
                    });
                    newest = version;
                }
            }
        }
        required.map(|required| GlibcRequirement { marks: marks.into_iter().collect(), ..required })
    }

    fn version_table_fault(&self, objects: &[Object], index: usize, fault: VersionFault) -> Draft {
        let (app, path, who) = (self.process.app_path, display_bytes(&objects[index].path), subject_of(objects, index));
        let layout = |layout: u16, record: &str| {
            Draft::error(ELF_TABLES, format!("{who}has a table of versions of an unknown layout: {layout}")).says(format!(
                "{app}: error while loading shared libraries: {path}: unsupported version {layout} of {record} record (exit code 127)"
            ))
        };
        let draft = match fault {
            VersionFault::Outside => {
                Draft::error(ELF_TABLES, format!("{who}has damaged tables: the versions lie outside the file"))
                    .killed("SIGSEGV", 139)
            }
            VersionFault::Needed(number) => layout(number, "Verneed"),
            VersionFault::Defined(number) => layout(number, "Verdef"),
            VersionFault::TooMany => Draft::note(ELF_TABLES, format!("{who}has more versions than are checked")),
        };
        draft
            .because(Process::chain(objects, index), "its tables of versions")
            .fix(format!("copy or link {path} again"))
    }

    /// Since 2.36 glibc refuses an object with packed relocations that requires versions of the C library, but not the version
    /// that marks such relocations.
    fn relr_fault(
        &self,
        objects: &[Object],
        index: usize,
        needs: &BTreeMap<&[u8], Vec<&NeededVersion>>,
    ) -> Option<Draft> {
        let object = &objects[index];
        let has_relr = self.process.facts(object)?.dynamic.as_ref()?.has_relr();
        let mut of_libc = needs.iter().filter(|(file, _)| file.starts_with(b"libc.so.")).peekable();
        let knows_relr = self.loader.version.as_ref().is_none_or(|version| version.is_at_least(&[2, 36]));
        if !has_relr || !knows_relr || of_libc.peek().is_none() {
            return None;
        }
        if of_libc.any(|(_, versions)| versions.iter().any(|need| &*need.version == RELR_MARK)) {
            return None;
        }
        let (app, path) = (self.process.app_path, display_bytes(&object.path));
        let who = if index == 0 { String::new() } else { format!("loads {path}, which ") };
        Some(
            Draft::error(RELR_UNMARKED, format!("{who}has packed relocations (RELR) without the version that marks them"))
                .says(format!(
                    "{app}: error while loading shared libraries: {path}: DT_RELR without GLIBC_ABI_DT_RELR dependency (exit code 127)"
                ))
                .because(Process::chain(objects, index), format!("verneed of {path}"))
                .fix("link it again with `-z pack-relative-relocs` of a current linker, or without packed relocations"),
        )
    }

    fn version_fault(&self, objects: &[Object], index: usize, file: &[u8], needs: &[&NeededVersion]) -> Option<Draft> {
        let object = &objects[index];
        let Some(known) = self.known(file) else { return self.version_of_nothing(objects, index, file) };
        let provider = objects.get(known)?;
        let there = &self.process.files.tables(provider.id)?.versions;
        let missing: BTreeSet<&[u8]> = needs
            .iter()
            .filter(|need| !need.weak && !there.defines(&need.version))
            .map(|need| &*need.version)
            .collect();
        if there.defined.is_some() && missing.is_empty() {
            return None;
        }
        let (path, provider_path) = (display_bytes(&object.path), display_bytes(&provider.path));
        let app = self.process.app_path;
        let who = if index == 0 { String::new() } else { format!("loads {path}, which ") };
        let chain = Process::chain(objects, index);
        if there.defined.is_none() {
            let message = format!("{who}needs symbol versions of {provider_path}, which has none");
            let fatal =
                self.loader.version.as_ref().is_some_and(|version| !version.is_at_least(&[2, 37])) && !there.has_versym;
            let draft =
                if fatal { Draft::error(VERSION_NO_INFO, message) } else { Draft::warning(VERSION_NO_INFO, message) };
            return Some(
                draft
                    .says(format!("{app}: {provider_path}: no version information available (required by {path})"))
                    .because(chain, "the versions come from another distribution's build")
                    .fix("use the library and what was built against it from the same distribution"),
            );
        }
        let first = display_bytes(missing.first()?);
        let names = listed(missing.iter().copied());
        let newest =
            there.defined.iter().flatten().filter(|version| !version.base && version.name.starts_with(b"GLIBC_2"));
        let newest =
            newest.max_by_key(|version| Version::of_glibc(&version.name)).map(|version| display_bytes(&version.name));
        let mut draft =
            Draft::error(VERSION_MISSING, format!("{who}needs {names} of {provider_path}, which does not have it"))
                .says(format!("{app}: {provider_path}: version `{first}' not found (required by {path}) (exit code 1)"))
                .because(chain, format!("verneed of {path}"));
        if let Some(newest) = newest {
            draft = draft.because(provider_path, format!("its newest version is {newest}"));
        }
        Some(draft.fix(
            "build it on an older distribution, use a base with a newer library, or link it statically against musl",
        ))
    }

    /// A version is required from a file that is not among the loaded objects. No linker writes that: a tool removed the file from
    /// DT_NEEDED. glibc reports it as an internal error.
    fn version_of_nothing(&self, objects: &[Object], index: usize, file: &[u8]) -> Option<Draft> {
        if !self.loaded.missing.is_empty() {
            return None;
        }
        let (path, file) = (display_bytes(&objects[index].path), display_bytes(file));
        let message = format!("{}needs versions of {file}, which nothing loads", subject_of(objects, index));
        Some(
            Draft::error(VERSION_MISSING, message)
                .says("Inconsistency detected by ld.so: dl-version.c: 204: _dl_check_map_versions: Assertion `needed != NULL' failed! (exit code 127)")
                .because(Process::chain(objects, index), format!("verneed of {path} names {file}, DT_NEEDED does not"))
                .fix(format!("add it again (`patchelf --add-needed {file} {path}`), or use the file from before it was changed")),
        )
    }

    /// The loader and the C library share an interface that changes with each release.
    pub fn check_releases(&mut self) {
        let Some(index) = self.known(b"libc.so.6") else { return };
        let object = &self.loaded.objects[index];
        let (Some(ours), Some(theirs)) = (&self.loader.version, self.process.files.glibc_release(object.id)) else {
            return;
        };
        if *ours == *theirs {
            return;
        }
        let (loader, libc) = (display_bytes(self.process.interpreter), display_bytes(&object.path));
        let message = format!("is loaded by {loader} of glibc {ours}, but {libc} is of glibc {theirs}");
        // An older loader lacks symbols that the library needs, which is a finding of its own. A newer one starts and fails.
        let draft = if ours > theirs {
            Draft::error(GLIBC_MIX, message)
                .says("an assertion of ld.so fails (exit code 127), or *** stack smashing detected *** (exit code 134)")
        } else {
            Draft::warning(GLIBC_MIX, message)
        };
        self.loaded.drafts.push(
            draft
                .because(loader.clone(), format!("release {ours}"))
                .because(libc.clone(), format!("release {theirs}"))
                .fix(format!("take {loader} and {libc} from one package")),
        );
    }

    /// Looks up the symbols that are bound at start, and those that are bound later.
    pub fn bind(&mut self) {
        let types = &self.process.arch.facts().relocations;
        let objects = self.loaded.objects.clone();
        let scopes: Vec<Option<Scope<'_>>> = objects
            .iter()
            .map(|object| {
                let tables = self.process.files.tables(object.id)?;
                let defined = tables.versions.defined.iter().flatten().filter(|version| !version.base);
                let needed = tables.versions.needed.iter().map(|need| (need.index, &*need.version));
                let versions = defined.map(|version| (version.index, &*version.name)).chain(needed).collect();
                Some(Scope { tables, versions })
            })
            .collect();
        for (index, object) in objects.iter().enumerate().filter(|(_, object)| !object.is_loader) {
            let Some(Some(scope)) = scopes.get(index) else { continue };
            if let Some(draft) = self.process.table_fault(&objects, index) {
                self.loaded.drafts.push(draft);
                continue;
            }
            // Nearly every program loads the C library, so its symbols are looked up once, not for each program. More objects in a
            // scope never make a lookup fail.
            let is_there = |id: &InodeId| objects.iter().any(|object| object.id == *id);
            if self.process.files.providers(object.id).is_some_and(|providers| providers.iter().all(is_there)) {
                continue;
            }
            let now = self.process.environment.bind_now
                || self
                    .process
                    .facts(object)
                    .and_then(|facts| facts.dynamic.as_ref())
                    .is_some_and(crate::elf::Dynamic::binds_now);
            let (mut at_start, mut later, mut nameless) = (BTreeSet::new(), BTreeSet::new(), None);
            let mut known: BTreeMap<(u32, bool, bool), Option<usize>> = BTreeMap::new();
            for relocation in &scope.tables.symbols.bound {
                let Some(symbol) = scope.tables.symbols.all.get(relocation.symbol as usize) else { continue };
                if symbol.binding() == 0 || (symbol.is_undefined() && symbol.binding() == 2) {
                    continue;
                }
                let lazy = relocation.plt && relocation.kind == types.jump_slot && !now;
                let Some(name) = scope.tables.symbols.name(symbol) else {
                    nameless = nameless.or((!lazy).then_some(relocation.symbol));
                    continue;
                };
                let (copy, definition) =
                    (relocation.kind == types.copy, self.facts().definition.contains(&relocation.kind));
                let found = *known
                    .entry((relocation.symbol, copy, definition))
                    .or_insert_with(|| provider(&scopes, scope, symbol, name, usize::from(copy), definition));
                if found.is_none() {
                    if lazy {
                        later.insert(name)
                    } else {
                        at_start.insert(name)
                    };
                }
            }
            // Each process has another program, so a symbol that this one defines may be missing in the next. The lookup for a copy
            // relocation begins after the program.
            let answers = known.into_iter().map(|((_, copy, _), found)| found.filter(|_| !copy));
            let providers: Option<BTreeSet<usize>> = answers.collect();
            if let Some(providers) = providers.filter(|providers| !providers.contains(&0)) {
                let providers = providers.into_iter().filter_map(|index| objects.get(index));
                self.process.files.remember_providers(object.id, providers.map(|object| object.id));
            }
            // If a library is missing, the loader ends before it binds symbols: these findings would be only a consequence.
            if self.loaded.missing.is_empty() {
                if let Some(number) = nameless {
                    let path = display_bytes(&object.path);
                    let says = format!(
                        "{}: symbol lookup error: {path}: undefined symbol:  (exit code 127)",
                        self.process.app_path
                    );
                    self.loaded.drafts.push(self.process.nameless(&objects, index, number).says(says));
                }
                self.report_symbols(&objects, index, &at_start, &later);
            }
            let path = &object.path;
            let unresolved = at_start.into_iter().chain(later);
            self.loaded.unresolved.extend(unresolved.map(|name| (path.clone(), name.as_bytes().to_vec())));
        }
    }

    fn report_symbols(
        &mut self,
        objects: &[Object],
        index: usize,
        at_start: &BTreeSet<SymbolName<'_>>,
        later: &BTreeSet<SymbolName<'_>>,
    ) {
        let path = display_bytes(&objects[index].path);
        let app = self.process.app_path;
        let who = if index == 0 { String::new() } else { format!("loads {path}, which ") };
        for (names, now) in [(at_start, true), (later, false)] {
            let Some(first) = names.first() else { continue };
            let message = format!("{who}needs symbols that no library defines: {}", listed_symbols(names));
            let draft =
                if now { Draft::error(SYMBOL_MISSING, message) } else { Draft::warning(SYMBOL_MISSING, message) };
            let when = if now { "bound when the program starts" } else { "bound when it is first called" };
            self.loaded.drafts.push(
                draft
                    .says(format!(
                        "{app}: symbol lookup error: {path}: undefined symbol: {} (exit code 127)",
                        display_bytes(first.as_bytes())
                    ))
                    .because(Process::chain(objects, index), when)
                    .fix("its libraries have another version than those it was built with: use both from the same release"),
            );
        }
    }
}

/// `_dl_lookup_symbol_x`: the first object of the scope that defines the symbol.
fn provider(
    scopes: &[Option<Scope<'_>>],
    asking: &Scope<'_>,
    symbol: &Symbol,
    name: SymbolName<'_>,
    from: usize,
    definition: bool,
) -> Option<usize> {
    let number = symbol.version & 0x7fff;
    let version = if asking.tables.versions.has_versym { asking.versions.get(&number).copied() } else { None };
    let answers = |scope: &Scope<'_>| {
        let mut newer = 0;
        let answered = scope.tables.symbols.find_same(symbol, name).any(|candidate| {
            if !is_answer(candidate, definition) {
                return false;
            }
            if !scope.tables.versions.has_versym {
                return true;
            }
            let number = candidate.version & 0x7fff;
            match version {
                Some(version) => match scope.versions.get(&number) {
                    Some(own) => *own == version,
                    None => !candidate.is_hidden(),
                },
                // A reference that has no version gets the base version, or the only other one.
                None if number >= 3 => {
                    newer += u32::from(!candidate.is_hidden());
                    false
                }
                None => true,
            }
        });
        answered || newer == 1
    };
    let mut rest = scopes.iter().enumerate().skip(from);
    rest.find(|(_, scope)| scope.as_ref().is_some_and(answers)).map(|(index, _)| index)
}

fn is_answer(symbol: &Symbol, definition: bool) -> bool {
    const ABSOLUTE: u16 = 0xfff1;
    let thread_local = symbol.kind() == 6;
    (symbol.value != 0 || symbol.section == ABSOLUTE || thread_local)
        && !(definition && symbol.is_undefined())
        && matches!(symbol.kind(), 0 | 1 | 2 | 5 | 6 | 10)
        && matches!(symbol.binding(), 1 | 2 | 10)
}
