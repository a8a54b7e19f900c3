//! What the kernel sees of an ELF file: its header and its program headers.

use goblin::elf::ProgramHeader;
use goblin::elf::header::{ET_DYN, ET_EXEC};
use goblin::elf::program_header::{PF_X, PT_DYNAMIC, PT_GNU_PROPERTY, PT_GNU_STACK, PT_INTERP, PT_LOAD, PT_NOTE};

use serde::{Serialize, Serializer};

use super::bytes::{Layout, contains, cut_at_nul};
use super::dlopen::{self, DlopenFeature};
use super::dynamic::Dynamic;
use super::pages::Pages;
use super::segments::{Segment, offset_of};
use crate::platform::{Arch, Class, machine_name};
use crate::tree::{Content, ContentError};

/// The most program headers that the kernel accepts: 64 KiB of them.
pub fn headers_max(class: Class) -> u16 {
    u16::try_from(65_536 / u32::from(class.program_header_size())).unwrap_or(u16::MAX)
}

/// The most program headers that kernels before 6.17 accept: one page of 4 KiB.
pub fn headers_max_before_6_17(class: Class) -> u16 {
    4096 / class.program_header_size()
}

/// The first symbol with an entry in the global offset table (MIPS).
const DT_MIPS_GOTSYM: u64 = 0x7000_0013;

/// How many symbols there are (MIPS).
const DT_MIPS_SYMTABNO: u64 = 0x7000_0011;

/// The longest PT_INTERP that the kernel accepts, with its NUL.
const INTERP_MAX: u64 = 4096;

/// How many bytes of one note segment are read.
const NOTES_MAX: usize = 4096;

/// What is known about one ELF file, except its symbols.
#[derive(Clone, Debug)]
pub struct ElfFacts {
    /// Size of the file in bytes.
    pub size: u64,
    /// `e_ident`, the first sixteen bytes. The kernel and musl check only the magic; glibc's loader checks
    /// all of them in libraries.
    pub ident: [u8; 16],
    /// `e_type`.
    pub kind: u16,
    /// The architecture whose kernels accept the file as a native one.
    pub arch: Option<Arch>,
    /// The layout of its tables: that of the architecture; if it is unknown, the one that `e_ident` names.
    pub layout: Layout,
    /// `e_machine`.
    pub machine: u16,
    /// `e_flags`.
    pub flags: u32,
    /// `e_version`.
    pub version: u32,
    /// `e_phentsize`.
    pub phentsize: u16,
    /// `e_phnum`.
    pub phnum: u16,
    /// `e_entry`.
    pub entry: u64,
    /// Why the kernel refuses the program headers, if it does. Then nothing below is known, unless `reads_by_ident` is set.
    pub fault: Option<HeaderFault>,
    /// Whether the program headers can be read in the layout that `e_ident` names, where it differs from the architecture's.
    pub reads_by_ident: bool,
    /// The first PT_INTERP.
    pub interpreter: Interpreter,
    /// The PT_LOAD segments in file order.
    pub loads: Vec<Segment>,
    /// The dynamic section, when there is a PT_DYNAMIC.
    pub dynamic: Option<Dynamic>,
    /// The note that Android's NDK leaves in C and C++ programs.
    pub android: Option<AndroidNote>,
    /// Whether it asks for an executable stack (PT_GNU_STACK).
    pub executable_stack: bool,
    /// Whether the stub of the packer UPX follows the headers: the real program is compressed.
    pub packed: bool,
    /// The level of CPUs above the baseline that the GNU property note requires, as an index into the levels of the
    /// architecture ([`CpuLevels`](crate::platform::CpuLevels)).
    pub isa_level: Option<usize>,
    /// The libraries that it opens at run time, from `.note.dlopen`.
    pub dlopen: Vec<DlopenFeature>,
}

/// Why the kernel refuses program headers with `ENOEXEC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// `e_phentsize` is not 56 (64-bit files) or 32 (32-bit files).
    EntrySize(u16),
    /// `e_phnum` is 0 or above [`headers_max`].
    Count(u16),
    /// The table goes past the end of the file.
    BeyondEnd,
}

/// What the first PT_INTERP says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interpreter {
    /// There is none: the kernel starts the file itself.
    Absent,
    /// The path, up to its first NUL; it may be empty or relative.
    Path(Box<[u8]>),
    /// It has fewer than 2 or more than 4096 bytes: `ENOEXEC`.
    BadSize(u64),
    /// Its last byte is not NUL: `ENOEXEC`.
    NotTerminated,
    /// It lies past the end of the file: `EIO`.
    BeyondEnd,
}

/// The contents of Android's identification note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AndroidNote {
    /// API level.
    pub api: u32,
    /// NDK release, such as `r27c`; empty in old ones.
    pub ndk: String,
}

/// How a file is started, according to its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Linkage {
    /// A relocatable object (`.o`, `.ko`), a core dump or an unknown type: no kernel starts it.
    Object,
    /// For another machine.
    Foreign,
    /// Has a PT_INTERP.
    Dynamic,
    /// Fixed addresses, no loader.
    Static,
    /// Position independent, relocates itself.
    StaticPie,
    /// A static-pie of an old linker, which did not mark them, or a library that needs no other one. Its symbols decide which.
    StaticPieLikely,
    /// A library.
    SharedObject,
}

impl Linkage {
    /// How reports call it.
    pub fn word(self) -> &'static str {
        match self {
            Linkage::Object => "object",
            Linkage::Foreign => "foreign",
            Linkage::Dynamic => "dynamic",
            Linkage::Static => "static",
            Linkage::StaticPie | Linkage::StaticPieLikely => "static-pie",
            Linkage::SharedObject => "library",
        }
    }
}

impl Serialize for Linkage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl ElfFacts {
    /// Reads a file. `None` if it does not start with the ELF magic.
    ///
    /// # Errors
    /// When the contents cannot be read. A malformed file is not an error: it is one of the facts.
    pub fn read(content: &Content) -> Result<Option<ElfFacts>, ContentError> {
        // Holds the headers of nearly every ELF file; a file that is not ELF costs one small read.
        let pages = Pages::open(content)?;
        ElfFacts::read_pages(&pages)
    }

    /// As [`ElfFacts::read`], from an open file.
    ///
    /// # Errors
    /// As [`ElfFacts::read`].
    pub fn read_pages(pages: &Pages<'_>) -> Result<Option<ElfFacts>, ContentError> {
        let mut header = pages.read(0, 64)?;
        if !header.starts_with(b"\x7fELF") {
            return Ok(None);
        }
        // The kernel's buffer is padded with zeros.
        header.resize(64, 0);
        let mut ident = [0; 16];
        ident.copy_from_slice(&header[..16]);
        let arch = Arch::of_header(&header);
        let layout = arch.map_or(Layout::of_ident(&ident), Layout::of_arch);
        // Where e_phoff is, and the fields that follow it, depends on the class.
        let (table, flags, numbers) = match layout.class {
            Class::Elf32 => (28, 36, 42),
            Class::Elf64 => (32, 48, 54),
        };
        let half = |offset| layout.u16_at(&header, offset).unwrap_or_default();
        let word = |offset| layout.u32_at(&header, offset).unwrap_or_default();
        let mut facts = ElfFacts {
            size: pages.size(),
            ident,
            kind: half(16),
            arch,
            layout,
            machine: half(18),
            flags: word(flags),
            version: word(20),
            phentsize: half(numbers),
            phnum: half(numbers + 2),
            entry: layout.word_at(&header, 24).unwrap_or_default(),
            fault: None,
            reads_by_ident: false,
            interpreter: Interpreter::Absent,
            loads: Vec::new(),
            dynamic: None,
            android: None,
            executable_stack: false,
            packed: false,
            isa_level: None,
            dlopen: Vec::new(),
        };
        let table = layout.word_at(&header, table).unwrap_or_default();
        facts.read_table(pages, table)?;
        Ok(Some(facts))
    }

    fn read_table(&mut self, pages: &Pages<'_>, table: u64) -> Result<(), ContentError> {
        let size = self.layout.class.program_header_size();
        if self.phentsize != size {
            self.fault = Some(HeaderFault::EntrySize(self.phentsize));
            return self.read_by_ident(pages);
        }
        if self.phnum == 0 || self.phnum > headers_max(self.layout.class) {
            self.fault = Some(HeaderFault::Count(self.phnum));
            return Ok(());
        }
        let length = usize::from(self.phnum) * usize::from(size);
        let bytes = pages.read(table, length)?;
        let context = self.layout.context();
        let headers = if bytes.len() == length {
            ProgramHeader::parse(&bytes, 0, usize::from(self.phnum), context).ok()
        } else {
            None
        };
        let Some(headers) = headers else {
            self.fault = Some(HeaderFault::BeyondEnd);
            return Ok(());
        };
        self.loads = headers.iter().filter(|header| header.p_type == PT_LOAD).map(Segment::of).collect();
        if let Some(header) = headers.iter().find(|header| header.p_type == PT_INTERP) {
            self.interpreter = Interpreter::read(pages, header)?;
        }
        let stack = headers.iter().rfind(|header| header.p_type == PT_GNU_STACK);
        self.executable_stack = stack.is_some_and(|header| header.p_flags & PF_X != 0);
        // Both loaders use the last PT_DYNAMIC, and its address, not its offset.
        if let Some(header) = headers.iter().rfind(|header| header.p_type == PT_DYNAMIC) {
            self.dynamic = Some(Dynamic::read(pages, self.layout, &self.loads, header.p_vaddr)?);
        }
        for header in headers.iter().filter(|header| header.p_type == PT_NOTE || header.p_type == PT_GNU_PROPERTY) {
            let length = usize::try_from(header.p_filesz).unwrap_or(NOTES_MAX).min(NOTES_MAX);
            let align = if header.p_align == 8 { 8 } else { 4 };
            self.read_notes(&pages.read(header.p_offset, length)?, align);
        }
        let after = pages.read(table.saturating_add(length as u64), 64)?;
        self.packed = self.interpreter == Interpreter::Absent && self.loads.len() <= 3 && contains(&after, b"UPX!");
        Ok(())
    }

    /// Reads the program headers in the layout of `e_ident`, of a file whose class is not the architecture's (x32): does it name a
    /// loader?
    fn read_by_ident(&mut self, pages: &Pages<'_>) -> Result<(), ContentError> {
        let layout = Layout::of_ident(&self.ident);
        let size = usize::from(layout.class.program_header_size());
        let (table, numbers) = match layout.class {
            Class::Elf32 => (28, 42),
            Class::Elf64 => (32, 54),
        };
        let header = pages.read(0, 64)?;
        let half = |offset| layout.u16_at(&header, offset).unwrap_or_default();
        let (entry, count) = (usize::from(half(numbers)), half(numbers + 2));
        if entry != size || count == 0 || count > headers_max(layout.class) {
            return Ok(());
        }
        let length = usize::from(count) * size;
        let bytes = pages.read(layout.word_at(&header, table).unwrap_or_default(), length)?;
        if bytes.len() == length
            && let Ok(headers) = ProgramHeader::parse(&bytes, 0, usize::from(count), layout.context())
        {
            self.reads_by_ident = true;
            if let Some(header) = headers.iter().find(|header| header.p_type == PT_INTERP) {
                self.interpreter = Interpreter::read(pages, header)?;
            }
        }
        Ok(())
    }

    fn read_notes(&mut self, bytes: &[u8], align: usize) {
        let layout = self.layout;
        let mut at = 0;
        while let (Some(name_size), Some(size), Some(kind)) =
            (layout.u32_at(bytes, at), layout.u32_at(bytes, at + 4), layout.u32_at(bytes, at + 8))
        {
            let name_at = at + 12;
            let padded = |size: u32| (size as usize).checked_next_multiple_of(align);
            let (Some(name_room), Some(room)) = (padded_name(name_size, align), padded(size)) else { return };
            let desc_at = name_at + name_room;
            let Some(name) = bytes.get(name_at..name_at + name_size as usize) else { return };
            let Some(desc) = bytes.get(desc_at..desc_at + size as usize) else { return };
            match (cut_at_nul(name), kind) {
                (b"Android", 1) => {
                    if let Some(api) = layout.u32_at(desc, 0) {
                        let ndk = desc.get(4..).map(cut_at_nul).unwrap_or_default();
                        self.android = Some(AndroidNote { api, ndk: crate::path::display_bytes(ndk) });
                    }
                }
                (b"FDO", dlopen::NOTE_TYPE) => self.dlopen.extend(dlopen::read(desc)),
                (b"GNU", 5) => self.isa_level = self.isa_level.or_else(|| self.level_needed(desc)),
                _ => {}
            }
            at = desc_at + room;
        }
    }

    /// The highest level of CPUs in a GNU property note (`GNU_PROPERTY_X86_ISA_1_NEEDED`): bit 0 is the baseline.
    fn level_needed(&self, desc: &[u8]) -> Option<usize> {
        let (levels, layout) = (self.arch?.facts().cpu_levels.as_ref()?, self.layout);
        let mut at = 0;
        while let (Some(kind), Some(size)) = (layout.u32_at(desc, at), layout.u32_at(desc, at + 4)) {
            if kind == levels.property {
                let bits = layout.u32_at(desc, at + 8)?;
                return (0..levels.names.len()).rev().find(|level| bits >> (level + 1) & 1 == 1);
            }
            at = at.checked_add(8)?.checked_add((size as usize).checked_next_multiple_of(8)?)?;
        }
        None
    }

    /// The name of its machine: OCI's architecture name if there is one.
    pub fn machine_name(&self) -> String {
        machine_name(self.machine, self.layout.class, self.layout.order)
    }

    /// How kernels that run these architectures would start the file. `executable` says whether it has an execute bit; this
    /// decides only for files of old linkers. A loader is a [`Linkage::SharedObject`] here, because its headers do not
    /// distinguish it from a library.
    pub fn linkage(&self, archs: &[Arch], executable: bool) -> Linkage {
        if !matches!(self.kind, ET_EXEC | ET_DYN) {
            return Linkage::Object;
        }
        if self.arch.is_none_or(|arch| !archs.contains(&arch)) {
            return Linkage::Foreign;
        }
        if self.interpreter != Interpreter::Absent {
            return Linkage::Dynamic;
        }
        if self.kind == ET_EXEC {
            return Linkage::Static;
        }
        match &self.dynamic {
            None if self.entry != 0 => Linkage::StaticPie,
            Some(dynamic) if dynamic.is_pie() => Linkage::StaticPie,
            // A file that needs libraries either names a loader or is a library itself.
            Some(dynamic)
                if executable && dynamic.soname.is_none() && dynamic.needed.is_empty() && self.entry_is_code() =>
            {
                Linkage::StaticPieLikely
            }
            None | Some(_) => Linkage::SharedObject,
        }
    }

    /// The numbers of the symbols that the loader binds although no relocation refers to them (MIPS).
    pub(super) fn bound_without_relocations(&self) -> std::ops::Range<u32> {
        let has = self.arch.is_some_and(|arch| arch.facts().mips_tables);
        let value = |tag| self.dynamic.as_ref().filter(|_| has).and_then(|dynamic| dynamic.value(tag));
        let (first, end) = (value(DT_MIPS_GOTSYM), value(DT_MIPS_SYMTABNO));
        let number = |value: Option<u64>| value.and_then(|value| u32::try_from(value).ok());
        number(first).zip(number(end)).map_or(0..0, |(first, end)| first..end)
    }

    /// The smallest size, in bytes, with which the file contains all of its segments.
    pub fn size_needed(&self) -> u64 {
        let ends = self.loads.iter().filter(|load| load.file_size > 0);
        ends.map(|load| load.offset.saturating_add(load.file_size)).max().unwrap_or(0)
    }

    /// Whether a segment is invalid: it has more bytes in the file than in memory, or ends past the address space.
    pub fn has_bad_segment(&self) -> bool {
        self.loads
            .iter()
            .any(|load| load.file_size > load.memory_size || load.address.checked_add(load.memory_size).is_none())
    }

    /// The smallest alignment of any segment, in bytes. A kernel with larger pages cannot map the program.
    pub fn smallest_align(&self) -> Option<u64> {
        self.loads.iter().map(|load| load.align).min()
    }

    /// The offset in the file of the byte at an address.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        offset_of(&self.loads, address)
    }

    /// Whether the entry point is in an executable segment. Address 0 is not code: it is the header of the file.
    fn entry_is_code(&self) -> bool {
        self.entry != 0
            && self.loads.iter().any(|load| {
                load.executable && self.entry >= load.address && self.entry - load.address < load.memory_size
            })
    }
}

/// The size of a note's name with its padding. It is padded to 4 even if the rest is padded to 8, as `GNU\0` shows.
fn padded_name(size: u32, align: usize) -> Option<usize> {
    let end = (size as usize).checked_add(12)?.checked_next_multiple_of(align)?;
    end.checked_sub(12)
}

impl Interpreter {
    fn read(pages: &Pages<'_>, header: &ProgramHeader) -> Result<Interpreter, ContentError> {
        if header.p_filesz < 2 || header.p_filesz > INTERP_MAX {
            return Ok(Interpreter::BadSize(header.p_filesz));
        }
        let bytes = pages.read(header.p_offset, header.p_filesz as usize)?;
        if bytes.len() as u64 != header.p_filesz {
            return Ok(Interpreter::BeyondEnd);
        }
        if bytes.last() != Some(&0) {
            return Ok(Interpreter::NotTerminated);
        }
        Ok(Interpreter::Path(cut_at_nul(&bytes).into()))
    }

    /// The path, if there is one.
    pub fn path(&self) -> Option<&[u8]> {
        match self {
            Interpreter::Path(path) => Some(path),
            Interpreter::Absent | Interpreter::BadSize(_) | Interpreter::NotTerminated | Interpreter::BeyondEnd => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::{Forge, PT_INTERP_AT};

    fn read(bytes: Vec<u8>) -> ElfFacts {
        ElfFacts::read(&Content::Bytes(bytes.into())).unwrap().unwrap()
    }

    fn linkage(forge: &Forge, executable: bool) -> Linkage {
        read(forge.build()).linkage(&[Arch::Amd64], executable)
    }

    #[test]
    fn what_is_no_elf_has_no_facts() {
        for bytes in [&b""[..], b"\x7fEL", b"#!/bin/sh\n", b"\x7fELf"] {
            assert!(ElfFacts::read(&Content::Bytes(bytes.into())).unwrap().is_none());
        }
    }

    #[test]
    fn the_ident_is_not_believed() {
        for (offset, value) in [(4, 1), (5, 2), (6, 9), (7, 9), (20, 7)] {
            let mut bytes = Forge::dynamic("/lib/ld.so").build();
            bytes[offset] = value;
            let facts = read(bytes);
            assert_eq!((facts.fault, facts.machine), (None, 62), "{offset}");
            assert_eq!(facts.interpreter.path(), Some(&b"/lib/ld.so"[..]));
        }
    }

    #[test]
    fn header_rules_of_the_kernel() {
        let mut bytes = Forge::program().build();
        bytes[54] = 32;
        assert_eq!(read(bytes).fault, Some(HeaderFault::EntrySize(32)));
        for (count, fault) in [
            (0u16, Some(HeaderFault::Count(0))),
            (1171, Some(HeaderFault::Count(1171))),
            (1170, Some(HeaderFault::BeyondEnd)),
            (1, None),
        ] {
            let mut bytes = Forge::program().build();
            bytes[56..58].copy_from_slice(&count.to_le_bytes());
            assert_eq!(read(bytes).fault, fault, "{count}");
        }
        let whole = Forge::program().build();
        for length in 4..whole.len() {
            let facts = read(whole[..length].to_vec());
            assert!(facts.fault.is_some() || facts.size_needed() > facts.size, "{length}");
        }
    }

    #[test]
    fn the_first_interpreter_counts_up_to_its_first_nul() {
        let facts =
            read(Forge { interpreters: vec![b"/one\0x\0".to_vec(), b"/two\0".to_vec()], ..Forge::program() }.build());
        assert_eq!(facts.interpreter, Interpreter::Path((*b"/one").into()));
        let facts = read(Forge { interpreters: vec![b"\0\0".to_vec()], ..Forge::program() }.build());
        assert_eq!(facts.interpreter, Interpreter::Path((*b"").into()));
    }

    #[test]
    fn malformed_interpreters_are_told_apart_and_never_absent() {
        let forged = |offset: usize, value: u64| {
            let mut bytes = Forge::dynamic("/lib/ld.so").build();
            bytes[PT_INTERP_AT + offset..PT_INTERP_AT + offset + 8].copy_from_slice(&value.to_le_bytes());
            read(bytes)
        };
        assert_eq!(forged(32, 1).interpreter, Interpreter::BadSize(1));
        assert_eq!(forged(32, 4097).interpreter, Interpreter::BadSize(4097));
        assert_eq!(forged(32, 5).interpreter, Interpreter::NotTerminated);
        assert_eq!(forged(8, 1 << 40).interpreter, Interpreter::BeyondEnd);
        assert_eq!(forged(8, 1 << 40).linkage(&[Arch::Amd64], true), Linkage::Dynamic);
    }

    #[test]
    fn files_are_told_apart_as_the_kernel_would_start_them() {
        assert_eq!(linkage(&Forge::program(), true), Linkage::Static);
        assert_eq!(linkage(&Forge::dynamic("/lib/ld.so"), false), Linkage::Dynamic);
        for kind in [0, 1, 4, 0xfe00] {
            assert_eq!(linkage(&Forge { kind, ..Forge::program() }, true), Linkage::Object);
            assert_eq!(linkage(&Forge { kind, ..Forge::dynamic("/lib/ld.so") }, true), Linkage::Object);
        }
        assert_eq!(linkage(&Forge { machine: 183, ..Forge::program() }, true), Linkage::Foreign);
        let pie = Forge { kind: ET_DYN, flags_1: 0x0800_0000, dynamic: true, ..Forge::program() };
        assert_eq!(linkage(&pie, false), Linkage::StaticPie);
        assert_eq!(linkage(&Forge { kind: ET_DYN, ..Forge::program() }, false), Linkage::StaticPie);
        let library = Forge::library("libx.so.1");
        assert_eq!(linkage(&library, true), Linkage::SharedObject);
        let old = Forge { soname: None, ..Forge::library("") };
        assert_eq!(linkage(&Forge { needed: vec!["libc.so".into()], ..old.clone() }, true), Linkage::SharedObject);
        assert_eq!(linkage(&old, true), Linkage::StaticPieLikely);
        assert_eq!(linkage(&old, false), Linkage::SharedObject);
    }

    #[test]
    fn a_loader_is_a_library_until_its_contents_are_looked_at() {
        for forge in [Forge::glibc(), Forge::musl(true), Forge::musl(false)] {
            assert_eq!(linkage(&forge, false), Linkage::SharedObject);
        }
    }

    #[test]
    fn a_big_endian_file_names_its_machine() {
        let mut bytes = Forge::program().build();
        bytes[5] = 2;
        bytes[18..20].copy_from_slice(&22u16.to_be_bytes());
        assert_eq!(read(bytes).machine, 22);
    }

    #[test]
    fn androids_note_is_read() {
        let mut note = Vec::new();
        for number in [8u32, 16, 1] {
            note.extend_from_slice(&number.to_le_bytes());
        }
        note.extend_from_slice(b"Android\0");
        note.extend_from_slice(&28u32.to_le_bytes());
        note.extend_from_slice(b"r27c\0\0\0\0\0\0\0\0");
        let facts = read(Forge { note: Some(note), ..Forge::program() }.build());
        assert_eq!(facts.android, Some(AndroidNote { api: 28, ndk: "r27c".into() }));
    }

    #[test]
    fn the_needed_isa_level_is_read() {
        let mut note = Vec::new();
        for number in [4u32, 16, 5] {
            note.extend_from_slice(&number.to_le_bytes());
        }
        note.extend_from_slice(b"GNU\0");
        for number in [0xc000_8002u32, 4, 7, 0] {
            note.extend_from_slice(&number.to_le_bytes());
        }
        let facts = read(Forge { note: Some(note), ..Forge::program() }.build());
        assert_eq!(facts.isa_level, Some(1));
    }

    #[test]
    fn no_change_of_one_byte_makes_it_panic() {
        let whole = Forge { needed: vec!["libz.so.1".into()], ..Forge::dynamic("/lib/ld.so") }.build();
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = ElfFacts::read(&Content::Bytes(bytes.into())).unwrap();
            }
        }
    }
}
