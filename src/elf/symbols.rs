//! Dynamic symbols, and the relocations that refer to them. Only files that some program loads are read, each once.

use std::collections::BTreeSet;

use goblin::elf::dynamic::{
    DT_GNU_HASH, DT_HASH, DT_JMPREL, DT_PLTREL, DT_PLTRELSZ, DT_REL, DT_RELA, DT_RELASZ, DT_RELSZ, DT_STRTAB,
    DT_SYMTAB, DT_VERSYM,
};

use super::bytes::{Layout, cut_at_nul};
use super::facts::ElfFacts;
use super::pages::Pages;
use super::segments::{read_at, room_at};
use crate::platform::Class;
use crate::tree::ContentError;

/// The most symbols of one file that are kept. No known file has more.
const SYMBOLS_MAX: usize = 1 << 20;

/// The most bytes of names of one file that are kept.
const STRINGS_MAX: u64 = 64 << 20;

/// The longest that the last name in the table may be: no entry says where it ends.
const LAST_NAME_MAX: u64 = 64 << 10;

/// The most bytes that the names of all symbols of one file may have together. Names may overlap in the table, but in real files
/// they share only their ends.
const NAMES_MAX: u64 = 256 << 20;

/// The most symbols of one file that may have the same hash: each lookup of such a name goes through all of them. In real files a
/// name has a few versions, and of 600,000 names only a few have equal hashes.
const SAME_HASH_MAX: usize = 256;

/// The most relocations with a symbol that are kept.
const BOUND_MAX: usize = 1 << 22;

/// Bytes of a table that are read at once.
const CHUNK: usize = 60 * 1024;

/// One dynamic symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The offset of its name in the string table.
    name: u32,
    /// The hash of its name, computed in the same way for every file.
    hash: u32,
    /// `st_info`: binding in the high four bits, type in the low.
    pub info: u8,
    /// `st_shndx`: 0 for an undefined symbol.
    pub section: u16,
    /// `st_value`.
    pub value: u64,
    /// Its entry in `versym`, with the hidden bit; 1 (global) if the file has no such table.
    pub version: u16,
}

/// The name of a symbol, which is never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SymbolName<'a>(&'a [u8]);

impl<'a> SymbolName<'a> {
    /// A name; `None` for an empty one.
    pub fn new(name: &'a [u8]) -> Option<SymbolName<'a>> {
        (!name.is_empty()).then_some(SymbolName(name))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

/// Why the symbols of a file cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolFault {
    /// This table goes past the end of the file. The loader would read beyond the file and be killed.
    Outside(&'static str),
    /// There are more of these than sazare reads.
    TooMany(&'static str),
}

/// One relocation that refers to a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relocation {
    /// Its type, as the machine numbers them.
    pub kind: u32,
    /// The number of the symbol.
    pub symbol: u32,
    /// Whether it is in the table of the PLT, whose functions may be bound on their first call.
    pub plt: bool,
}

/// The symbols and relocations of one file.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// All symbols by number.
    pub all: Vec<Symbol>,
    /// The relocations with a symbol, each once, sorted. On MIPS, the symbols that are bound although no relocation refers to them
    /// follow.
    pub bound: Vec<Relocation>,
    /// All relocation types in the file.
    pub kinds: BTreeSet<u32>,
    /// Why they cannot be checked, if so.
    pub fault: Option<SymbolFault>,
    names: Vec<u8>,
    /// The symbols that a lookup can find: the hashes of their names in ascending order, each with the number of its symbol.
    hashes: Vec<u32>,
    offered: Vec<u32>,
}

/// The size of a symbol, in bytes.
fn symbol_size(layout: Layout) -> usize {
    match layout.class {
        Class::Elf32 => 16,
        Class::Elf64 => 24,
    }
}

impl Symbol {
    fn read(layout: Layout, entry: &[u8], version: u16) -> Symbol {
        let (value, info, section) = match layout.class {
            Class::Elf32 => (4, 12, 14),
            Class::Elf64 => (8, 4, 6),
        };
        Symbol {
            name: layout.u32_at(entry, 0).unwrap_or_default(),
            hash: 0,
            info: entry.get(info).copied().unwrap_or_default(),
            section: layout.u16_at(entry, section).unwrap_or_default(),
            value: layout.word_at(entry, value).unwrap_or_default(),
            version,
        }
    }

    /// `STB_*`: 0 local, 1 global, 2 weak, 10 unique.
    pub fn binding(&self) -> u8 {
        self.info >> 4
    }

    /// `STT_*`: 0 none, 1 object, 2 function, 5 common, 6 thread-local, 10 indirect function.
    pub fn kind(&self) -> u8 {
        self.info & 0xf
    }

    /// Whether it is undefined here.
    pub fn is_undefined(&self) -> bool {
        self.section == 0
    }

    /// Whether its version is hidden, so not the default: only a reference with exactly this version finds it.
    pub fn is_hidden(&self) -> bool {
        self.version & 0x8000 != 0
    }
}

impl Symbols {
    /// Reads symbols and relocations.
    ///
    /// # Errors
    /// When the contents cannot be read.
    pub fn read(pages: &Pages<'_>, facts: &ElfFacts) -> Result<Symbols, ContentError> {
        let mut symbols = Symbols::default();
        let Some(dynamic) = &facts.dynamic else { return Ok(symbols) };
        let value = |tag| dynamic.value(tag);
        let layout = facts.layout;
        let (rel, rela) = (2 * layout.word(), 3 * layout.word());
        let rela_plt = value(DT_PLTREL) != Some(DT_REL);
        for (table, size, entry, plt) in [
            (DT_RELA, DT_RELASZ, rela, false),
            (DT_REL, DT_RELSZ, rel, false),
            (DT_JMPREL, DT_PLTRELSZ, if rela_plt { rela } else { rel }, true),
        ] {
            if let (Some(table), Some(size)) = (value(table), value(size)) {
                symbols.read_relocations(pages, facts, table, size, entry, plt)?;
            }
        }
        symbols.bound.sort_unstable();
        symbols.bound.dedup();
        let Some(table) = value(DT_SYMTAB) else { return Ok(symbols) };
        let bound_without = facts.bound_without_relocations();
        let highest = symbols.bound.iter().map(|relocation| relocation.symbol as usize + 1).max().unwrap_or(0);
        let highest = highest.max(bound_without.end as usize);
        let hashed = symbols.hashed(pages, facts)?;
        let count = hashed.as_ref().map_or(0, |hashed| hashed.end).max(highest);
        let entry = symbol_size(layout);
        if (count as u64).saturating_mul(entry as u64) > room_at(&facts.loads, table) {
            symbols.fail(SymbolFault::Outside("the symbols"));
        } else if count > SYMBOLS_MAX {
            symbols.fail(SymbolFault::TooMany("symbols"));
        }
        if symbols.fault.is_some() {
            return Ok(symbols);
        }
        let bytes = table_bytes(pages, facts, table, count * entry)?;
        let versions = match value(DT_VERSYM) {
            Some(table) => Some(table_bytes(pages, facts, table, count * 2)?),
            None => None,
        };
        if bytes.len() < count * entry || versions.as_ref().is_some_and(|versions| versions.len() < count * 2) {
            symbols.fail(SymbolFault::Outside("the symbols"));
        }
        for (number, entry) in bytes.chunks_exact(entry).enumerate() {
            let version = match &versions {
                Some(table) => layout.u16_at(table, number * 2).unwrap_or(1),
                None => 1,
            };
            symbols.all.push(Symbol::read(layout, entry, version));
        }
        symbols.bind_without_relocations(facts, bound_without);
        symbols.read_names(pages, facts)?;
        symbols.offer(hashed.map_or(usize::MAX, |hashed| hashed.start));
        Ok(symbols)
    }

    fn fail(&mut self, fault: SymbolFault) {
        self.fault.get_or_insert(fault);
    }

    fn read_names(&mut self, pages: &Pages<'_>, facts: &ElfFacts) -> Result<(), ContentError> {
        let table = facts.dynamic.as_ref().and_then(|dynamic| dynamic.value(DT_STRTAB));
        let last = self.all.iter().map(|symbol| u64::from(symbol.name)).max();
        let (Some(table), Some(last)) = (table, last) else { return Ok(()) };
        let room = room_at(&facts.loads, table);
        if last >= room {
            self.fail(SymbolFault::Outside("the names of the symbols"));
        }
        let length = (last + LAST_NAME_MAX).min(room);
        if length > STRINGS_MAX {
            self.fail(SymbolFault::TooMany("bytes of names"));
        }
        self.names = table_bytes(pages, facts, table, length.min(STRINGS_MAX) as usize)?;
        let (names, mut total) = (&self.names, 0u64);
        for symbol in &mut self.all {
            let name = cut_at_nul(names.get(symbol.name as usize..).unwrap_or_default());
            total += name.len() as u64;
            if total > NAMES_MAX {
                break;
            }
            symbol.hash = hash_of(name);
        }
        if total > NAMES_MAX {
            self.fail(SymbolFault::TooMany("bytes of names"));
        }
        Ok(())
    }

    /// Collects and sorts the symbols that a lookup can find: from the first one in the hash table on, those with a name that are
    /// defined or have an address.
    fn offer(&mut self, first: usize) {
        let named = |symbol: &Symbol| (!symbol.is_undefined() || symbol.value != 0) && self.name(symbol).is_some();
        let mut offered: Vec<(u32, u32)> = (first.max(1)..self.all.len())
            .filter_map(|number| {
                let symbol = self.all.get(number).filter(|symbol| named(symbol))?;
                Some((symbol.hash, u32::try_from(number).ok()?))
            })
            .collect();
        offered.sort_unstable();
        if offered.chunk_by(|(one, _), (other, _)| one == other).any(|same| same.len() > SAME_HASH_MAX) {
            self.fail(SymbolFault::TooMany("symbols of one name"));
            offered.clear();
        }
        (self.hashes, self.offered) = offered.into_iter().unzip();
    }

    /// The name of a symbol; `None` if it is empty or outside the table. No symbol that is looked up has such a name.
    pub fn name(&self, symbol: &Symbol) -> Option<SymbolName<'_>> {
        SymbolName::new(cut_at_nul(self.names.get(symbol.name as usize..)?))
    }

    /// Whether a loader can find any symbol in this file.
    pub fn offers_any(&self) -> bool {
        !self.offered.is_empty()
    }

    /// The symbols with this name that a loader can find in this file.
    pub fn find<'s>(&'s self, name: &'s [u8]) -> impl Iterator<Item = &'s Symbol> {
        self.find_hashed(hash_of(name), name)
    }

    /// The symbols in this file with the same name as a symbol of another file.
    pub fn find_same<'s>(&'s self, symbol: &Symbol, name: SymbolName<'s>) -> impl Iterator<Item = &'s Symbol> {
        self.find_hashed(symbol.hash, name.as_bytes())
    }

    fn find_hashed<'s>(&'s self, hash: u32, name: &'s [u8]) -> impl Iterator<Item = &'s Symbol> {
        let start = self.hashes.partition_point(|other| *other < hash);
        let count = self.hashes[start..].iter().take_while(|other| **other == hash).count();
        let numbers = self.offered.get(start..start + count).unwrap_or_default();
        numbers
            .iter()
            .filter_map(|number| self.all.get(*number as usize))
            .filter(move |symbol| self.is_named(symbol, name))
    }

    fn is_named(&self, symbol: &Symbol, name: &[u8]) -> bool {
        let text = self.names.get(symbol.name as usize..).unwrap_or_default();
        text.starts_with(name) && matches!(text.get(name.len()), None | Some(0))
    }

    fn read_relocations(
        &mut self,
        pages: &Pages<'_>,
        facts: &ElfFacts,
        table: u64,
        size: u64,
        entry: usize,
        plt: bool,
    ) -> Result<(), ContentError> {
        if size > room_at(&facts.loads, table) {
            self.fail(SymbolFault::Outside("the relocations"));
            return Ok(());
        }
        let mut at = 0;
        let step = (CHUNK - CHUNK % entry) as u64;
        while at < size {
            let wanted = step.min(size - at) as usize;
            let bytes = read_at(pages, &facts.loads, table.saturating_add(at), wanted)?;
            for relocation in bytes.chunks_exact(entry) {
                let (kind, symbol) = kind_and_symbol(facts, relocation);
                self.kinds.insert(kind);
                if symbol != 0 {
                    self.bound.push(Relocation { kind, symbol, plt });
                }
            }
            if bytes.len() < wanted {
                self.fail(SymbolFault::Outside("the relocations"));
                return Ok(());
            }
            if self.bound.len() > BOUND_MAX {
                self.fail(SymbolFault::TooMany("relocations"));
                return Ok(());
            }
            at += step;
        }
        Ok(())
    }

    /// On MIPS the loader binds the symbols from DT_MIPS_GOTSYM on, each to an entry of the global offset table.
    fn bind_without_relocations(&mut self, facts: &ElfFacts, numbers: std::ops::Range<u32>) {
        let Some(types) = facts.arch.map(|arch| &arch.facts().relocations) else { return };
        for number in numbers {
            let Some(symbol) = self.all.get(number as usize) else { break };
            // An undefined function that has an address has a stub, which binds it on the first call.
            let plt = symbol.is_undefined() && symbol.kind() == 2 && symbol.value != 0;
            let kind = if plt { types.jump_slot } else { types.pointer };
            self.bound.push(Relocation { kind, symbol: number, plt });
        }
    }

    /// The numbers of the symbols that a lookup can find, from the hash table that a loader would use: GNU's if there is one.
    fn hashed(&mut self, pages: &Pages<'_>, facts: &ElfFacts) -> Result<Option<std::ops::Range<usize>>, ContentError> {
        let Some(dynamic) = &facts.dynamic else { return Ok(None) };
        if let Some(table) = dynamic.value(DT_GNU_HASH) {
            let range = gnu_hashed(pages, facts, table)?;
            if range.is_none() {
                self.fail(SymbolFault::Outside("the hash table"));
            }
            return Ok(range);
        }
        if let Some(table) = dynamic.value(DT_HASH) {
            let size = facts.arch.map_or(4, |arch| arch.facts().hash_entry);
            let head = table_bytes(pages, facts, table, 2 * size)?;
            let count = match size {
                8 => facts.layout.u64_at(&head, size),
                _ => facts.layout.u32_at(&head, size).map(u64::from),
            };
            let range = count.map(|count| 0..usize::try_from(count).unwrap_or(usize::MAX));
            if range.is_none() {
                self.fail(SymbolFault::Outside("the hash table"));
            }
            return Ok(range);
        }
        Ok(None)
    }
}

/// The type of a relocation, and the number of its symbol.
fn kind_and_symbol(facts: &ElfFacts, relocation: &[u8]) -> (u32, u32) {
    let layout = facts.layout;
    if facts.arch.is_some_and(|arch| arch.facts().mips_tables) {
        // The fields are: symbol, a second symbol, and three types. The first type says what is bound.
        let kind = relocation.get(15).copied().unwrap_or_default();
        return (u32::from(kind), layout.u32_at(relocation, 8).unwrap_or_default());
    }
    let info = layout.word_at(relocation, layout.word()).unwrap_or_default();
    match layout.class {
        Class::Elf32 => ((info & 0xff) as u32, (info >> 8) as u32),
        Class::Elf64 => ((info & 0xffff_ffff) as u32, (info >> 32) as u32),
    }
}

/// FNV-1a, which distributes the names of symbols well.
fn hash_of(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// A table of `length` bytes at an address, or the part of it that the file has.
fn table_bytes(pages: &Pages<'_>, facts: &ElfFacts, address: u64, length: usize) -> Result<Vec<u8>, ContentError> {
    read_at(pages, &facts.loads, address, length)
}

/// The numbers of the symbols in a GNU hash table; `None` if the table is not in the file.
fn gnu_hashed(pages: &Pages<'_>, facts: &ElfFacts, table: u64) -> Result<Option<std::ops::Range<usize>>, ContentError> {
    let layout = facts.layout;
    let head = table_bytes(pages, facts, table, 16)?;
    let (Some(buckets), Some(first), Some(bloom)) =
        (layout.u32_at(&head, 0), layout.u32_at(&head, 4), layout.u32_at(&head, 8))
    else {
        return Ok(None);
    };
    let buckets_at = table.wrapping_add(16).wrapping_add(u64::from(bloom) * layout.word() as u64);
    let bytes = table_bytes(pages, facts, buckets_at, (buckets as usize).min(SYMBOLS_MAX) * 4)?;
    let last = bytes.chunks_exact(4).filter_map(|bucket| layout.u32_at(bucket, 0)).max().unwrap_or(0);
    if last < first {
        return Ok(Some(first as usize..first as usize));
    }
    // The symbols end where the last chain ends: the last hash of a chain is odd.
    let chains_at = buckets_at.wrapping_add(u64::from(buckets) * 4);
    let mut end = last as usize;
    while end < SYMBOLS_MAX {
        let at = chains_at.wrapping_add((end as u64).saturating_sub(u64::from(first)).wrapping_mul(4));
        let Some(hash) = layout.u32_at(&table_bytes(pages, facts, at, 4)?, 0) else { break };
        end += 1;
        if hash & 1 == 1 {
            break;
        }
    }
    Ok(Some(first as usize..end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::tree::Content;

    fn symbols(forge: &Forge) -> Symbols {
        let content = Content::Bytes(forge.build().into());
        let facts = ElfFacts::read(&content).unwrap().unwrap();
        Symbols::read(&Pages::open(&content).unwrap(), &facts).unwrap()
    }

    #[test]
    fn what_is_offered_and_what_is_asked_for() {
        let forge =
            Forge { defines: vec!["beta".into(), "alpha".into()], calls: vec!["gamma".into()], ..Forge::library("a") };
        let symbols = symbols(&forge);
        assert_eq!(symbols.find(b"alpha").count(), 1);
        assert_eq!(symbols.find(b"alph").count(), 0);
        assert_eq!(symbols.find(b"gamma").count(), 0, "undefined");
        let asked: Vec<Option<SymbolName<'_>>> =
            symbols.bound.iter().map(|bound| symbols.name(&symbols.all[bound.symbol as usize])).collect();
        assert_eq!(asked, [SymbolName::new(b"gamma")]);
        assert!(symbols.bound[0].plt && symbols.fault.is_none());
        assert_eq!(symbols.kinds, BTreeSet::from([7]));
    }

    #[test]
    fn a_table_larger_than_the_file_is_broken() {
        let symbols = symbols(&Forge { tags: vec![(7, 0x1000), (8, 1 << 50)], ..Forge::library("a") });
        assert_eq!(symbols.fault, Some(SymbolFault::Outside("the relocations")));
    }

    /// A library with this many symbols, all defined; `names` has the place of the name of each in the strings `\0a\0`.
    fn many(count: u32, name: impl Fn(u32) -> u32) -> Symbols {
        // The text follows the header and two program headers.
        const AT: u64 = 176;
        let mut text = b"\0a\0\0\0\0\0\0".to_vec();
        let table = AT + text.len() as u64;
        for number in 0..count {
            for field in [name(number), 0x0001_0012, 8, 0, 8, 0] {
                text.extend_from_slice(&field.to_le_bytes());
            }
        }
        let hash = AT + text.len() as u64;
        text.extend([1, count].iter().flat_map(|number: &u32| number.to_le_bytes()));
        let tags = vec![(DT_SYMTAB, table), (DT_HASH, hash), (DT_STRTAB, AT)];
        symbols(&Forge { text, tags, ..Forge::library("a") })
    }

    #[test]
    fn no_lookup_goes_through_many_symbols_of_one_name() {
        // A real wheel whose names were stripped had this: 590,000 symbols without a name, so each one matched all others.
        let cut = many(590_000, |_| 0);
        assert_eq!((cut.all.len(), cut.fault, cut.offered.len()), (590_000, None, 0));
        assert_eq!((cut.name(&cut.all[7]), cut.find(b"").count()), (None, 0));
        let equal = many(590_000, |_| 1);
        assert_eq!(equal.fault, Some(SymbolFault::TooMany("symbols of one name")));
        assert_eq!(equal.find(b"a").count(), 0);
        let few = many(257, |number| u32::from(number > 0));
        assert_eq!((few.fault, few.find(b"a").count()), (None, 256));
        assert_eq!(many(3, |_| 9000).fault, Some(SymbolFault::Outside("the names of the symbols")));
    }
}
