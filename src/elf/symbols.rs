//! Dynamic symbols and the relocations that ask for them. Read for the files of a program's closure only, each once.

use std::collections::BTreeSet;

use goblin::elf::dynamic::{
    DT_GNU_HASH, DT_HASH, DT_JMPREL, DT_PLTREL, DT_PLTRELSZ, DT_REL, DT_RELA, DT_RELASZ, DT_RELSZ, DT_STRTAB,
    DT_SYMTAB, DT_VERSYM,
};

use super::bytes::{cut_at_nul, u16_at, u32_at, u64_at};
use super::dynamic::STRING_MAX;
use super::facts::ElfFacts;
use super::pages::Pages;
use super::segments::room_at;
use crate::tree::ContentError;

/// How many symbols of one file are held: more are in no file of this world.
const SYMBOLS_MAX: usize = 1 << 20;

/// How many bytes of names of one file are held.
const STRINGS_MAX: u64 = 64 << 20;

/// How many relocations with a symbol are held.
const BOUND_MAX: usize = 1 << 22;

/// Bytes of a table that are read at once.
const CHUNK: usize = 60 * 1024;

/// One dynamic symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Where its name begins in the string table.
    name: u32,
    /// Hash of its name: the same in every file.
    hash: u32,
    /// `st_info`: binding in the high four bits, type in the low.
    pub info: u8,
    /// `st_shndx`: 0 for an undefined symbol.
    pub section: u16,
    /// `st_value`.
    pub value: u64,
    /// The entry of `versym`, with its hidden bit; 1 (global) where the file has no such table.
    pub version: u16,
}

/// One relocation that asks for a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relocation {
    /// Its type, which is the machine's.
    pub kind: u32,
    /// The number of the symbol.
    pub symbol: u32,
    /// Whether it stands in the table of the PLT, which may be bound when it is first used.
    pub plt: bool,
}

/// The symbols and relocations of one file.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// All symbols by number.
    pub all: Vec<Symbol>,
    /// The relocations with a symbol, each once, in the order of their first appearance by number.
    pub bound: Vec<Relocation>,
    /// All types of relocation that occur.
    pub kinds: BTreeSet<u32>,
    /// Whether a table lies outside the file or is too large: then nothing can be said about symbols.
    pub broken: bool,
    names: Vec<u8>,
    /// The symbols that a lookup can find: hashes of their names in ascending order, and their numbers beside them.
    hashes: Vec<u32>,
    offered: Vec<u32>,
}

impl Symbol {
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

    /// Whether the version is not the default one: only a reference with exactly this version finds it.
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
        let rela_plt = value(DT_PLTREL) != Some(DT_REL);
        for (table, size, entry, plt) in [
            (DT_RELA, DT_RELASZ, 24, false),
            (DT_REL, DT_RELSZ, 16, false),
            (DT_JMPREL, DT_PLTRELSZ, if rela_plt { 24 } else { 16 }, true),
        ] {
            if let (Some(table), Some(size)) = (value(table), value(size)) {
                symbols.read_relocations(pages, facts, table, size, entry, plt)?;
            }
        }
        symbols.bound.sort_unstable();
        symbols.bound.dedup();
        let Some(table) = value(DT_SYMTAB) else { return Ok(symbols) };
        let highest = symbols.bound.iter().map(|relocation| relocation.symbol as usize + 1).max().unwrap_or(0);
        let hashed = hashed(pages, facts)?;
        let count = hashed.as_ref().map_or(0, |hashed| hashed.end).max(highest);
        if count > SYMBOLS_MAX {
            symbols.broken = true;
            return Ok(symbols);
        }
        let bytes = table_bytes(pages, facts, table, count * 24)?;
        let versions = match value(DT_VERSYM) {
            Some(table) => Some(table_bytes(pages, facts, table, count * 2)?),
            None => None,
        };
        symbols.broken |= bytes.len() < count * 24;
        for (number, entry) in bytes.chunks_exact(24).enumerate() {
            symbols.all.push(Symbol {
                name: u32_at(entry, 0).unwrap_or_default(),
                hash: 0,
                info: entry[4],
                section: u16_at(entry, 6).unwrap_or_default(),
                value: u64_at(entry, 8).unwrap_or_default(),
                version: match &versions {
                    Some(table) => u16_at(table, number * 2).unwrap_or(1),
                    None => 1,
                },
            });
        }
        if let Some(table) = value(DT_STRTAB) {
            let end = symbols.all.iter().map(|symbol| u64::from(symbol.name)).max().unwrap_or(0) + STRING_MAX as u64;
            let length = end.min(room_at(&facts.loads, table));
            symbols.broken |= length > STRINGS_MAX;
            symbols.names = table_bytes(pages, facts, table, length.min(STRINGS_MAX) as usize)?;
        }
        let names = &symbols.names;
        for symbol in &mut symbols.all {
            symbol.hash = hash_of(cut_at_nul(names.get(symbol.name as usize..).unwrap_or_default()));
        }
        let first = hashed.map_or(usize::MAX, |hashed| hashed.start);
        let mut offered: Vec<(u32, u32)> = (first.max(1)..symbols.all.len())
            .filter(|&number| symbols.all.get(number).is_some_and(|symbol| !symbol.is_undefined() || symbol.value != 0))
            .filter_map(|number| Some((symbols.all.get(number)?.hash, u32::try_from(number).ok()?)))
            .collect();
        offered.sort_unstable();
        (symbols.hashes, symbols.offered) = offered.into_iter().unzip();
        Ok(symbols)
    }

    /// The name of a symbol.
    pub fn name(&self, symbol: &Symbol) -> &[u8] {
        cut_at_nul(self.names.get(symbol.name as usize..).unwrap_or_default())
    }

    /// The symbols of this name that a loader can find here.
    pub fn find<'s>(&'s self, name: &'s [u8]) -> impl Iterator<Item = &'s Symbol> {
        self.find_hashed(hash_of(name), name)
    }

    /// The symbols here of the name that a symbol has in another file.
    pub fn find_same<'s>(&'s self, symbol: &Symbol, name: &'s [u8]) -> impl Iterator<Item = &'s Symbol> {
        self.find_hashed(symbol.hash, name)
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
        let Some(offset) = facts.offset_of(table) else {
            self.broken |= size > 0;
            return Ok(());
        };
        if size > room_at(&facts.loads, table) {
            self.broken = true;
            return Ok(());
        }
        let mut at = 0;
        let step = (CHUNK - CHUNK % entry) as u64;
        while at < size {
            let bytes = pages.read(offset.saturating_add(at), step.min(size - at) as usize)?;
            for relocation in bytes.chunks_exact(entry) {
                let kind = u32_at(relocation, 8).unwrap_or_default();
                let symbol = u32_at(relocation, 12).unwrap_or_default();
                self.kinds.insert(kind);
                if symbol != 0 {
                    self.bound.push(Relocation { kind, symbol, plt });
                }
            }
            if bytes.len() < step.min(size - at) as usize || self.bound.len() > BOUND_MAX {
                self.broken = true;
                return Ok(());
            }
            at += step;
        }
        Ok(())
    }
}

/// FNV-1a, which spreads the names of symbols well.
fn hash_of(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// A table of `length` bytes at an address, or what the file has of it.
fn table_bytes(pages: &Pages<'_>, facts: &ElfFacts, address: u64, length: usize) -> Result<Vec<u8>, ContentError> {
    let room = room_at(&facts.loads, address);
    match facts.offset_of(address) {
        Some(offset) => pages.read(offset, (length as u64).min(room) as usize),
        None => Ok(Vec::new()),
    }
}

/// Which symbols a lookup can find, by the hash table that a loader would use: GNU's where there is one.
fn hashed(pages: &Pages<'_>, facts: &ElfFacts) -> Result<Option<std::ops::Range<usize>>, ContentError> {
    let Some(dynamic) = &facts.dynamic else { return Ok(None) };
    if let Some(table) = dynamic.value(DT_GNU_HASH) {
        let head = table_bytes(pages, facts, table, 16)?;
        let (Some(buckets), Some(first), Some(bloom)) = (u32_at(&head, 0), u32_at(&head, 4), u32_at(&head, 8)) else {
            return Ok(None);
        };
        let buckets_at = table.wrapping_add(16).wrapping_add(u64::from(bloom) * 8);
        let bytes = table_bytes(pages, facts, buckets_at, (buckets as usize).min(SYMBOLS_MAX) * 4)?;
        let last = bytes.chunks_exact(4).filter_map(|bucket| u32_at(bucket, 0)).max().unwrap_or(0);
        if last < first {
            return Ok(Some(first as usize..first as usize));
        }
        // The end is where the last chain ends: its last hash is odd.
        let chains_at = buckets_at.wrapping_add(u64::from(buckets) * 4);
        let mut end = last as usize;
        while end < SYMBOLS_MAX {
            let at = chains_at.wrapping_add((end as u64).saturating_sub(u64::from(first)).wrapping_mul(4));
            let Some(hash) = u32_at(&table_bytes(pages, facts, at, 4)?, 0) else { break };
            end += 1;
            if hash & 1 == 1 {
                break;
            }
        }
        return Ok(Some(first as usize..end));
    }
    if let Some(table) = dynamic.value(DT_HASH) {
        let head = table_bytes(pages, facts, table, 8)?;
        return Ok(u32_at(&head, 4).map(|count| 0..count as usize));
    }
    Ok(None)
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
        let asked: Vec<&[u8]> =
            symbols.bound.iter().map(|bound| symbols.name(&symbols.all[bound.symbol as usize])).collect();
        assert_eq!(asked, [b"gamma"]);
        assert!(symbols.bound[0].plt && !symbols.broken);
        assert_eq!(symbols.kinds, BTreeSet::from([7]));
    }

    #[test]
    fn a_table_larger_than_the_file_is_broken() {
        assert!(symbols(&Forge { tags: vec![(7, 0x1000), (8, 1 << 50)], ..Forge::library("a") }).broken);
    }
}
