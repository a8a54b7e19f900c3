//! Symbol versions: which ones a file needs from others (verneed) and which ones it defines (verdef). Like loaders, this
//! finds both tables through the dynamic section, never through section headers.

use goblin::elf::dynamic::{DT_VERDEF, DT_VERNEED, DT_VERSYM};

use super::bytes::Layout;
use super::dynamic::Dynamic;
use super::facts::ElfFacts;
use super::pages::Pages;
use super::segments::read_at;
use crate::tree::ContentError;

/// The most records in all chains of one file together: chains are linked lists, and a hostile one can be very long.
const STEPS_MAX: usize = 65_536;

/// `VER_FLG_BASE`: the version that names the file itself.
const BASE: u16 = 1;

/// `VER_FLG_WEAK`: may be absent.
const WEAK: u16 = 2;

/// One version that a file needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededVersion {
    /// The library that must define it, as named in DT_NEEDED.
    pub file: Box<[u8]>,
    /// The version, such as `GLIBC_2.34`.
    pub version: Box<[u8]>,
    /// Whether it may be absent.
    pub weak: bool,
    /// The number by which `versym` refers to it.
    pub index: u16,
}

/// One version that a file defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinedVersion {
    /// The version.
    pub name: Box<[u8]>,
    /// Whether it names the file itself.
    pub base: bool,
    /// The number by which `versym` refers to it.
    pub index: u16,
}

/// Both tables of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// The versions that it needs.
    pub needed: Vec<NeededVersion>,
    /// The versions that it defines; `None` if it has no such table.
    pub defined: Option<Vec<DefinedVersion>>,
    /// Whether its symbols have version numbers at all (`versym`).
    pub has_versym: bool,
    /// Why a table could not be read to its end, if so.
    pub fault: Option<VersionFault>,
}

/// What is wrong with a table of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionFault {
    /// A record or a name is not in the file.
    Outside,
    /// A record of verneed has this `vn_version` instead of 1, which glibc refuses.
    Needed(u16),
    /// A record of verdef has this `vd_version` instead of 1, which glibc refuses.
    Defined(u16),
    /// The chain has more records than sazare reads, or no end.
    TooMany,
}

impl Versions {
    /// Reads both tables.
    ///
    /// # Errors
    /// When the contents cannot be read.
    pub fn read(pages: &Pages<'_>, facts: &ElfFacts) -> Result<Versions, ContentError> {
        let Some(dynamic) = &facts.dynamic else { return Ok(Versions::default()) };
        let mut versions = Versions { has_versym: dynamic.value(DT_VERSYM).is_some(), ..Versions::default() };
        let mut reading = Reading { pages, facts, dynamic, layout: facts.layout, steps: 0 };
        if let Some(table) = dynamic.value(DT_VERNEED) {
            versions.fault = reading.needed(table, &mut versions.needed)?.err();
        }
        if let Some(table) = dynamic.value(DT_VERDEF) {
            let mut defined = Vec::new();
            versions.fault = versions.fault.or(reading.defined(table, &mut defined)?.err());
            versions.defined = Some(defined);
        }
        Ok(versions)
    }

    /// Whether a version with this name is defined.
    pub fn defines(&self, version: &[u8]) -> bool {
        self.defined.iter().flatten().any(|defined| &*defined.name == version)
    }
}

struct Reading<'a> {
    pages: &'a Pages<'a>,
    facts: &'a ElfFacts,
    dynamic: &'a Dynamic,
    layout: Layout,
    steps: usize,
}

/// A value, a fault of the file (the inner error), or a file that cannot be read (the outer error).
type Read<T> = Result<Result<T, VersionFault>, ContentError>;

impl Reading<'_> {
    /// The record of `size` bytes at an address.
    fn record(&mut self, address: u64, size: usize) -> Read<Vec<u8>> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Ok(Err(VersionFault::TooMany));
        }
        let bytes = read_at(self.pages, &self.facts.loads, address, size)?;
        Ok(if bytes.len() == size { Ok(bytes) } else { Err(VersionFault::Outside) })
    }

    /// A name, which is never empty.
    fn string(&self, place: Option<u32>) -> Read<Box<[u8]>> {
        let Some(place) = place else { return Ok(Err(VersionFault::Outside)) };
        let text = self.dynamic.string(self.pages, &self.facts.loads, u64::from(place))?;
        Ok(text.filter(|text| !text.is_empty()).ok_or(VersionFault::Outside))
    }

    fn needed(&mut self, table: u64, out: &mut Vec<NeededVersion>) -> Read<()> {
        let layout = self.layout;
        let mut at = table;
        loop {
            let need = match self.record(at, 16)? {
                Ok(need) => need,
                Err(fault) => return Ok(Err(fault)),
            };
            let number = layout.u16_at(&need, 0).unwrap_or_default();
            if number != 1 {
                return Ok(Err(VersionFault::Needed(number)));
            }
            let file = match self.string(layout.u32_at(&need, 4))? {
                Ok(file) => file,
                Err(fault) => return Ok(Err(fault)),
            };
            let mut aux_at = at.wrapping_add(u64::from(layout.u32_at(&need, 8).unwrap_or_default()));
            loop {
                let aux = match self.record(aux_at, 16)? {
                    Ok(aux) => aux,
                    Err(fault) => return Ok(Err(fault)),
                };
                let version = match self.string(layout.u32_at(&aux, 8))? {
                    Ok(version) => version,
                    Err(fault) => return Ok(Err(fault)),
                };
                out.push(NeededVersion {
                    file: file.clone(),
                    version,
                    weak: layout.u16_at(&aux, 4).unwrap_or_default() & WEAK != 0,
                    index: layout.u16_at(&aux, 6).unwrap_or_default() & 0x7fff,
                });
                match layout.u32_at(&aux, 12) {
                    None | Some(0) => break,
                    Some(next) => aux_at = aux_at.wrapping_add(u64::from(next)),
                }
            }
            match layout.u32_at(&need, 12) {
                None | Some(0) => return Ok(Ok(())),
                Some(next) => at = at.wrapping_add(u64::from(next)),
            }
        }
    }

    fn defined(&mut self, table: u64, out: &mut Vec<DefinedVersion>) -> Read<()> {
        let layout = self.layout;
        let mut at = table;
        loop {
            let definition = match self.record(at, 20)? {
                Ok(definition) => definition,
                Err(fault) => return Ok(Err(fault)),
            };
            let number = layout.u16_at(&definition, 0).unwrap_or_default();
            if number != 1 {
                return Ok(Err(VersionFault::Defined(number)));
            }
            let aux_at = at.wrapping_add(u64::from(layout.u32_at(&definition, 12).unwrap_or_default()));
            let name = match self.record(aux_at, 8)? {
                Ok(aux) => self.string(layout.u32_at(&aux, 0))?,
                Err(fault) => Err(fault),
            };
            let name = match name {
                Ok(name) => name,
                Err(fault) => return Ok(Err(fault)),
            };
            out.push(DefinedVersion {
                name,
                base: layout.u16_at(&definition, 2).unwrap_or_default() & BASE != 0,
                index: layout.u16_at(&definition, 4).unwrap_or_default() & 0x7fff,
            });
            match layout.u32_at(&definition, 16) {
                None | Some(0) => return Ok(Ok(())),
                Some(next) => at = at.wrapping_add(u64::from(next)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::tree::Content;

    fn versions(forge: &Forge) -> Versions {
        let content = Content::Bytes(forge.build().into());
        let facts = ElfFacts::read(&content).unwrap().unwrap();
        Versions::read(&Pages::open(&content).unwrap(), &facts).unwrap()
    }

    #[test]
    fn both_tables_are_read_without_sections() {
        let forge = Forge {
            version_needs: vec![("libc.so.6".into(), vec!["GLIBC_2.34".into(), "GLIBC_2.2.5".into()])],
            version_definitions: vec!["libx.so.1".into(), "X_1".into()],
            ..Forge::library("libx.so.1")
        };
        let versions = versions(&forge);
        let needed: Vec<String> =
            versions.needed.iter().map(|need| String::from_utf8_lossy(&need.version).into_owned()).collect();
        assert_eq!(needed, ["GLIBC_2.34", "GLIBC_2.2.5"]);
        assert_eq!(&*versions.needed[1].file, b"libc.so.6");
        assert!(versions.defines(b"X_1") && !versions.defines(b"X_2") && versions.fault.is_none());
        assert!(versions.defined.unwrap()[0].base);
    }

    #[test]
    fn a_file_without_tables_has_none() {
        assert_eq!(versions(&Forge::library("a")), Versions::default());
    }

    #[test]
    fn a_table_outside_the_file_or_of_another_layout_is_a_fault() {
        let fault = |table| versions(&Forge { tags: vec![(DT_VERNEED, table)], ..Forge::library("a") }).fault;
        assert_eq!(fault(1 << 40), Some(VersionFault::Outside));
        assert_eq!(fault(0), Some(VersionFault::Needed(0x457f)));
    }
}
