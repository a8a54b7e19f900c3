//! The dynamic section: what the file needs from its loader.

use std::collections::{BTreeMap, BTreeSet};

use goblin::elf::dynamic::{
    DF_1_NODEFLIB, DF_1_NOW, DF_1_PIE, DF_BIND_NOW, DT_BIND_NOW, DT_FLAGS, DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_RPATH,
    DT_RUNPATH, DT_SONAME, DT_STRTAB,
};

use super::bytes::Layout;
use super::pages::Pages;
use super::segments::{Segment, read_at, room_at, string_at};
use crate::tree::ContentError;

/// The most entries of the section that are read.
const ENTRIES_MAX: u64 = 65_536;

/// The most names of needed libraries that are kept.
const NEEDED_MAX: usize = 4096;

/// The longest string, in bytes.
pub(super) const STRING_MAX: usize = 4096;

// Tags that `goblin` has no constants for.
/// Packed relative relocations.
const DT_RELR: u64 = 0x24;
/// A filter that may be absent.
const DT_AUXILIARY: u64 = 0x7fff_fffd;
/// A filter that must be there.
const DT_FILTER: u64 = 0x7fff_ffff;

/// A dynamic section.
#[derive(Clone, Debug, Default)]
pub struct Dynamic {
    /// DT_NEEDED, in order.
    pub needed: Vec<Box<[u8]>>,
    /// DT_SONAME.
    pub soname: Option<Box<[u8]>>,
    /// DT_RPATH.
    pub rpath: Option<Box<[u8]>>,
    /// DT_RUNPATH.
    pub runpath: Option<Box<[u8]>>,
    /// DT_AUXILIARY: filters that may be absent.
    pub auxiliary: Vec<Box<[u8]>>,
    /// DT_FILTER: filters that must be there.
    pub filters: Vec<Box<[u8]>>,
    /// How many strings of the section could not be read: the file is corrupt.
    pub unreadable: usize,
    /// How many needed libraries are not kept; one more if the section has entries that are not read.
    pub beyond: usize,
    /// The value of each tag. If a tag occurs twice, loaders use the last value, and so does this map.
    values: BTreeMap<u64, u64>,
}

impl Dynamic {
    /// Reads the section at an address.
    pub(super) fn read(
        pages: &Pages<'_>,
        layout: Layout,
        loads: &[Segment],
        address: u64,
    ) -> Result<Dynamic, ContentError> {
        let mut dynamic = Dynamic::default();
        let size = 2 * layout.word();
        let room = room_at(loads, address) / size as u64;
        let count = room.min(ENTRIES_MAX);
        if count == 0 {
            dynamic.unreadable = 1;
            return Ok(dynamic);
        }
        let mut strings: Vec<(u64, u64)> = Vec::new();
        let mut known = BTreeSet::new();
        let mut ended = false;
        'section: for first in (0..count).step_by(256) {
            let entries = 256.min(count - first) as usize;
            let bytes = read_at(pages, loads, address.saturating_add(first * size as u64), entries * size)?;
            for entry in bytes.chunks_exact(size) {
                let (Some(tag), Some(value)) = (layout.word_at(entry, 0), layout.word_at(entry, size / 2)) else {
                    break 'section;
                };
                match tag {
                    DT_NULL => {
                        ended = true;
                        break 'section;
                    }
                    // To load a library a second time changes nothing.
                    DT_NEEDED | DT_AUXILIARY | DT_FILTER if known.contains(&(tag, value)) => {}
                    DT_NEEDED | DT_AUXILIARY | DT_FILTER if strings.len() < NEEDED_MAX => {
                        known.insert((tag, value));
                        strings.push((tag, value));
                    }
                    DT_NEEDED | DT_AUXILIARY | DT_FILTER => dynamic.beyond += 1,
                    _ => {
                        dynamic.values.insert(tag, value);
                    }
                }
            }
            if bytes.len() < entries * size {
                break;
            }
        }
        dynamic.beyond += usize::from(!ended && count < room);
        for (tag, value) in strings {
            match (dynamic.string(pages, loads, value)?, tag) {
                (None, _) => dynamic.unreadable += 1,
                (Some(text), DT_NEEDED) => dynamic.needed.push(text),
                (Some(text), DT_AUXILIARY) => dynamic.auxiliary.push(text),
                (Some(text), _) => dynamic.filters.push(text),
            }
        }
        dynamic.soname = dynamic.single(pages, loads, DT_SONAME)?;
        dynamic.rpath = dynamic.single(pages, loads, DT_RPATH)?;
        dynamic.runpath = dynamic.single(pages, loads, DT_RUNPATH)?;
        Ok(dynamic)
    }

    /// The value of a tag.
    pub fn value(&self, tag: u64) -> Option<u64> {
        self.values.get(&tag).copied()
    }

    /// Whether the linker marked it as a position independent executable.
    pub fn is_pie(&self) -> bool {
        self.has_flag_1(DF_1_PIE)
    }

    /// Whether the loader must not search its default directories.
    pub fn has_nodeflib(&self) -> bool {
        self.has_flag_1(DF_1_NODEFLIB)
    }

    /// Whether every symbol is bound before the program starts.
    pub fn binds_now(&self) -> bool {
        self.value(DT_BIND_NOW).is_some()
            || self.value(DT_FLAGS).unwrap_or(0) & DF_BIND_NOW != 0
            || self.has_flag_1(DF_1_NOW)
    }

    /// Whether it has packed relative relocations (`DT_RELR`).
    pub fn has_relr(&self) -> bool {
        self.value(DT_RELR).is_some()
    }

    /// The string at an offset of the string table.
    pub(super) fn string(
        &self,
        pages: &Pages<'_>,
        loads: &[Segment],
        place: u64,
    ) -> Result<Option<Box<[u8]>>, ContentError> {
        match self.value(DT_STRTAB).and_then(|table| table.checked_add(place)) {
            Some(address) => string_at(pages, loads, address, STRING_MAX),
            None => Ok(None),
        }
    }

    fn single(&mut self, pages: &Pages<'_>, loads: &[Segment], tag: u64) -> Result<Option<Box<[u8]>>, ContentError> {
        let Some(place) = self.value(tag) else { return Ok(None) };
        let text = self.string(pages, loads, place)?;
        if text.is_none() {
            self.unreadable += 1;
        }
        Ok(text)
    }

    fn has_flag_1(&self, flag: u64) -> bool {
        self.value(DT_FLAGS_1).unwrap_or(0) & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use crate::elf::ElfFacts;
    use crate::elf::forge::Forge;
    use crate::tree::Content;

    fn dynamic(forge: &Forge) -> super::Dynamic {
        ElfFacts::read(&Content::Bytes(forge.build().into())).unwrap().unwrap().dynamic.unwrap()
    }

    #[test]
    fn strings_are_bytes_in_order() {
        let forge = Forge {
            needed: vec!["libz.so.1".into(), b"lib\xff.so".to_vec(), "".into()],
            rpath: Some("/opt/lib".into()),
            runpath: Some("$ORIGIN/../lib".into()),
            ..Forge::library("libx.so.1")
        };
        let dynamic = dynamic(&forge);
        let needed: Vec<&[u8]> = dynamic.needed.iter().map(|name| &**name).collect();
        assert_eq!(needed, [&b"libz.so.1"[..], b"lib\xff.so", b""]);
        assert_eq!(dynamic.soname.as_deref(), Some(&b"libx.so.1"[..]));
        assert_eq!(dynamic.rpath.as_deref(), Some(&b"/opt/lib"[..]));
        assert_eq!(dynamic.runpath.as_deref(), Some(&b"$ORIGIN/../lib"[..]));
        assert_eq!(dynamic.unreadable, 0);
    }

    #[test]
    fn flags_are_read_from_all_three_places() {
        let plain = dynamic(&Forge::library("a"));
        assert!(!plain.binds_now() && !plain.is_pie() && !plain.has_nodeflib() && !plain.has_relr());
        for tags in [vec![(24, 0)], vec![(30, 8)], vec![(0x6fff_fffb, 1)]] {
            assert!(dynamic(&Forge { tags, ..Forge::library("a") }).binds_now());
        }
        assert!(dynamic(&Forge { tags: vec![(0x24, 0x1000)], ..Forge::library("a") }).has_relr());
        assert!(dynamic(&Forge { flags_1: 0x800, ..Forge::library("a") }).has_nodeflib());
    }

    #[test]
    fn entries_that_are_not_read_are_counted() {
        let beyond = |tags: Vec<(u64, u64)>| dynamic(&Forge { tags, ..Forge::library("a") }).beyond;
        let names = |count: usize| (0..count as u64).map(|name| (super::DT_NEEDED, name)).collect();
        assert_eq!(beyond(names(super::NEEDED_MAX)), 0);
        assert_eq!(beyond(names(super::NEEDED_MAX + 3)), 3);
        // The same name again is nothing that is left out.
        assert_eq!(beyond(vec![(super::DT_NEEDED, 0); super::NEEDED_MAX + 3]), 0);
        assert_eq!(beyond(vec![(21, 0); 60_000]), 0);
        assert_eq!(beyond(vec![(21, 0); 70_000]), 1);
    }

    #[test]
    fn a_name_outside_the_file_is_counted_and_not_forgotten() {
        let dynamic = dynamic(&Forge { tags: vec![(1, 1 << 40)], ..Forge::library("a") });
        assert_eq!((dynamic.needed.len(), dynamic.unreadable), (0, 1));
    }
}
