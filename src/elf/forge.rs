//! Makes small ELF files for tests: one PT_LOAD for the whole file, addresses equal to offsets (plus the base of a program at
//! fixed addresses), no sections. A program that it makes can really be run: it exits with code 0.

use goblin::elf::header::{ET_DYN, ET_EXEC};

use super::bytes::Layout;
use super::writer::{Header, Writer, has_addends};
use crate::platform::{Arch, RefusedFlags};

/// The offset of the first PT_INTERP header in a forged file for amd64.
pub(crate) const PT_INTERP_AT: usize = 64 + 2 * 56;

/// The base address of a program at fixed addresses: no kernel lets a program use the first page.
const BASE: u64 = 0x40_0000;

/// The size of a page.
const PAGE: u64 = 0x1000;

/// The most relocations of one forged file.
const SLOTS: u64 = 32;

/// A file to be forged. Every field is what its name says; see [`Forge::build`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Forge {
    pub machine: u16,
    /// `e_flags`.
    pub flags: u32,
    pub kind: u16,
    pub interpreters: Vec<Vec<u8>>,
    pub dynamic: bool,
    pub needed: Vec<Vec<u8>>,
    pub soname: Option<Vec<u8>>,
    pub rpath: Option<Vec<u8>>,
    pub runpath: Option<Vec<u8>>,
    pub flags_1: u64,
    /// Further entries of the dynamic section.
    pub tags: Vec<(u64, u64)>,
    pub note: Option<Vec<u8>>,
    /// Bytes that are somewhere in the file, such as a loader's strings.
    pub text: Vec<u8>,
    pub defines: Vec<Vec<u8>>,
    /// Symbols with a PLT relocation.
    pub calls: Vec<Vec<u8>>,
    /// Symbols with a data relocation.
    pub uses: Vec<Vec<u8>>,
    /// Undefined weak symbols with a PLT relocation.
    pub weak_calls: Vec<Vec<u8>>,
    /// Types of further relocations, without symbol.
    pub relocations: Vec<u32>,
    pub version_needs: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    /// Whether the needed versions are weak: they may be absent.
    pub weak_versions: bool,
    pub version_definitions: Vec<Vec<u8>>,
    /// The entry of DT_VERSYM for every defined symbol; 1 is the base version.
    pub version_of_defined: Option<u16>,
    pub align: u64,
    /// Whether it asks for an executable stack.
    pub executable_stack: bool,
    /// Whether the segment is not executable.
    pub readable: bool,
    /// The table that begins in one PT_LOAD and ends in a second one, which follows it in memory.
    pub split: Option<Table>,
}

/// A table that a loader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Dynamic,
    Strings,
    Symbols,
    Relocations,
    VersionNeeds,
}

struct Strings(Vec<u8>);

/// The System V hash of a version's name.
fn hash_of(name: &[u8]) -> u32 {
    name.iter().fold(0u32, |hash, &byte| {
        let hash = hash.wrapping_shl(4).wrapping_add(u32::from(byte));
        (hash ^ (hash >> 24 & 0xf0)) & 0x0fff_ffff
    })
}

impl Strings {
    fn add(&mut self, text: &[u8]) -> u64 {
        let at = self.0.len() as u64;
        self.0.extend_from_slice(text);
        self.0.push(0);
        at
    }
}

impl Forge {
    /// The same file for another architecture.
    pub(crate) fn of(arch: Arch, forge: Forge) -> Forge {
        // Without the marks that one of several ABIs refuses.
        let refused = arch.facts().abis.iter().map(|abi| match abi.refused {
            RefusedFlags::Any(bits) => bits,
            RefusedFlags::None | RefusedFlags::Unless { .. } => 0,
        });
        let flags = arch.facts().abi().flags & !refused.fold(0, |all, bits| all | bits);
        Forge { machine: arch.facts().machine, flags, ..forge }
    }

    /// A static program for amd64 at fixed addresses.
    pub(crate) fn program() -> Forge {
        Forge { machine: 62, kind: ET_EXEC, align: 0x1000, ..Forge::default() }
    }

    /// A program with this PT_INTERP.
    pub(crate) fn dynamic(interpreter: &str) -> Forge {
        let interpreters = vec![[interpreter.as_bytes(), b"\0"].concat()];
        Forge { kind: ET_DYN, interpreters, dynamic: true, ..Forge::program() }
    }

    /// A library with this DT_SONAME.
    pub(crate) fn library(soname: &str) -> Forge {
        Forge { kind: ET_DYN, dynamic: true, soname: Some(soname.into()), ..Forge::program() }
    }

    /// A file that is recognised as musl's loader, 1.2.4 or newer (or an older one).
    pub(crate) fn musl(new: bool) -> Forge {
        Forge::musl_of(Arch::Amd64, 0, new)
    }

    /// The same for an ABI of an architecture.
    pub(crate) fn musl_of(arch: Arch, abi: usize, new: bool) -> Forge {
        let loader = arch.facts().abis[abi].musl_loader;
        let word = loader.trim_start_matches("/lib/ld-musl-").trim_end_matches(".so.1");
        let mut text =
            format!("\0musl libc ({word})\0/etc/ld-musl-{word}.path\0/lib:/usr/local/lib:/usr/lib\0").into_bytes();
        text.extend_from_slice(if new { b"1.2.5\0aio_cancel\0aio_error\0" } else { b"1.2.3\0" });
        // Before 1.2.4 musl itself defined the LFS64 names.
        let plain = ["__libc_start_main", "stdin", "puts", "fopen", "posix_fallocate"];
        let large = if new { &[][..] } else { &["fopen64", "posix_fallocate64"] };
        let defines = plain.iter().chain(large).map(|name| name.as_bytes().to_vec()).collect();
        Forge::of(arch, Forge { kind: ET_DYN, dynamic: true, text, defines, ..Forge::program() })
    }

    /// A file that is recognised as glibc's loader, with Debian's directories.
    pub(crate) fn glibc() -> Forge {
        Forge::glibc_of(Arch::Amd64, 0)
    }

    /// The same for an ABI of an architecture.
    pub(crate) fn glibc_of(arch: Arch, abi: usize) -> Forge {
        let abi = &arch.facts().abis[abi];
        let triplet = abi.triplet;
        let text =
            format!("\0ld.so stable release version 2.36.\0/lib/{triplet}/\0/usr/lib/{triplet}/\0/lib/\0/usr/lib/\0");
        let soname = abi.glibc_soname();
        let forge = Forge {
            text: text.into_bytes(),
            version_definitions: vec![soname.into(), "GLIBC_2.2.5".into(), "GLIBC_PRIVATE".into()],
            ..Forge::library(soname)
        };
        Forge::of(arch, forge)
    }

    /// The file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let facts = self.arch().facts();
        let head = facts.class.header_size() as usize;
        let entry_size = usize::from(facts.class.program_header_size());
        let programs = usize::from(!self.interpreters.is_empty());
        let count =
            1 + self.interpreters.len() + usize::from(self.dynamic) + usize::from(self.note.is_some()) + programs;
        let count = count + usize::from(self.split.is_some()) + usize::from(self.executable_stack);
        let base = self.base();
        let mut out = vec![0; head + entry_size * count];
        let mut headers: Vec<Header> = Vec::new();
        let place = |out: &mut Vec<u8>, bytes: &[u8]| {
            out.resize(out.len().next_multiple_of(16), 0);
            let at = out.len() as u64;
            out.extend_from_slice(bytes);
            at
        };
        let header = |kind, rights, at: u64, size: usize, align| Header {
            kind,
            rights,
            offset: at,
            address: base + at,
            size: size as u64,
            align,
        };
        if self.executable_stack {
            headers.push(Header { address: 0, ..header(0x6474_e551, 7, 0, 0, 16) });
        }
        for interpreter in &self.interpreters {
            let at = place(&mut out, interpreter);
            headers.push(header(3, 4, at, interpreter.len(), 1));
        }
        place(&mut out, &self.text);
        if let Some(note) = &self.note {
            let at = place(&mut out, note);
            headers.push(header(4, 4, at, note.len(), 4));
        }
        if self.dynamic {
            let section = self.section(&mut out, &place);
            self.before(Table::Dynamic, &mut out, section.len());
            let at = place(&mut out, &section);
            headers.push(header(2, 6, at, section.len(), 8));
        }
        let entry = base + place(&mut out, facts.exit);
        let size = out.len() as u64;
        let mut table = self.writer();
        if programs == 1 {
            // PT_PHDR must come first: the loader computes the load address of the program from it.
            table.header(&header(6, 4, head as u64, entry_size * count, 8));
        }
        // `before` placed the table so that one page boundary lies inside it.
        let end = if self.split.is_some() { size - size % PAGE } else { size };
        let rights = if self.readable { 4 } else { 7 };
        table.header(&header(1, rights, 0, end as usize, self.align));
        if end < size {
            table.header(&header(1, 7, end, (size - end) as usize, self.align));
        }
        for header in &headers {
            table.header(header);
        }
        out[head..head + table.bytes.len()].copy_from_slice(&table.bytes);
        let mut file = self.writer();
        file.bytes.extend_from_slice(b"\x7fELF");
        file.bytes.extend([facts.class.number(), facts.byte_order.number(), 1]);
        file.bytes.resize(16, 0);
        file.half(self.kind);
        file.half(self.machine);
        file.word(1);
        file.address(entry);
        file.address(head as u64);
        file.address(0);
        file.word(self.flags);
        for number in [head as u16, entry_size as u16, count as u16] {
            file.half(number);
        }
        out[..file.bytes.len()].copy_from_slice(&file.bytes);
        out
    }

    fn writer(&self) -> Writer {
        Writer { layout: Layout::of_arch(self.arch()), bytes: Vec::new() }
    }

    /// Makes the table that follows begin in one page and end in the next.
    fn before(&self, table: Table, out: &mut Vec<u8>, length: usize) {
        if self.split == Some(table) {
            assert!(length > 16 && out.len() < PAGE as usize - 16, "{table:?} cannot be split");
            out.resize(PAGE as usize - 16, 0);
        }
    }

    fn base(&self) -> u64 {
        if self.kind == ET_EXEC { BASE } else { 0 }
    }

    /// The architecture; amd64 if the machine is not one that sazare knows.
    fn arch(&self) -> Arch {
        let has_machine = |arch: &Arch| arch.facts().has_machine(self.machine);
        Arch::ALL.into_iter().find(has_machine).unwrap_or(Arch::Amd64)
    }

    fn section(&self, out: &mut Vec<u8>, place: &dyn Fn(&mut Vec<u8>, &[u8]) -> u64) -> Vec<u8> {
        let base = self.base();
        let mut strings = Strings(vec![0]);
        let place = &|out: &mut Vec<u8>, bytes: &[u8]| base + place(out, bytes);
        let mut tags: Vec<(u64, u64)> = self.needed.iter().map(|name| (1, strings.add(name))).collect();
        for (tag, text) in [(14, &self.soname), (15, &self.rpath), (29, &self.runpath)] {
            tags.extend(text.as_ref().map(|text| (tag, strings.add(text))));
        }
        if self.flags_1 != 0 {
            tags.push((0x6fff_fffb, self.flags_1));
        }
        self.symbols(&mut strings, &mut tags, out, place);
        self.versions(&mut strings, &mut tags, out, place);
        self.before(Table::Strings, out, strings.0.len());
        tags.push((5, place(out, &strings.0)));
        tags.push((10, strings.0.len() as u64));
        // Of several entries with one tag, a loader uses the last.
        tags.extend(&self.tags);
        tags.push((0, 0));
        let mut section = self.writer();
        for (tag, value) in tags {
            section.address(tag);
            section.address(value);
        }
        section.bytes
    }

    fn symbols(
        &self,
        strings: &mut Strings,
        tags: &mut Vec<(u64, u64)>,
        out: &mut Vec<u8>,
        place: &dyn Fn(&mut Vec<u8>, &[u8]) -> u64,
    ) {
        let (arch, types) = (self.arch(), &self.arch().facts().relocations);
        let slots = place(out, &[0; 8 * SLOTS as usize]);
        // The first three belong to the loader.
        let mut next = (slots + 24..slots + 8 * SLOTS).step_by(8);
        let mut next = || next.next().unwrap();
        let mut versions = vec![0u16];
        let mut table = self.writer();
        table.symbol(0, 0, 0, 0);
        // The first symbol is all zeros.
        table.bytes.fill(0);
        let size = table.bytes.len();
        let (mut plt, mut data) = (self.writer(), self.writer());
        let groups = [
            (&self.defines, 0x12u8, 1u16, None),
            (&self.calls, 0x12, 0, Some(true)),
            (&self.weak_calls, 0x22, 0, Some(true)),
            (&self.uses, 0x11, 0, Some(false)),
        ];
        for (names, info, section, relocation) in groups {
            for name in names {
                let number = (table.bytes.len() / size) as u32;
                table.symbol(strings.add(name) as u32, info, section, if section == 0 { 0 } else { slots });
                versions.push(self.version_of_defined.filter(|_| section != 0).unwrap_or(1));
                match relocation {
                    Some(true) => plt.relocation(arch, next(), number, types.jump_slot),
                    Some(false) => data.relocation(arch, next(), number, types.pointer),
                    None => {}
                }
            }
        }
        for kind in &self.relocations {
            data.relocation(arch, next(), 0, *kind);
        }
        let count = (table.bytes.len() / size) as u32;
        let mut hash = self.writer();
        let chain = (0..count).map(|number| if number == 0 || number + 1 == count { 0 } else { number + 1 });
        for number in [1, count, 1u32.min(count - 1)].into_iter().chain(chain) {
            match arch.facts().hash_entry {
                8 => hash.address(u64::from(number)),
                _ => hash.word(number),
            }
        }
        self.before(Table::Symbols, out, table.bytes.len());
        tags.push((6, place(out, &table.bytes)));
        tags.push((11, size as u64));
        tags.push((4, place(out, &hash.bytes)));
        let addends = has_addends(arch);
        let word = table.layout.word() as u64;
        if !data.bytes.is_empty() {
            let (at, length) = (place(out, &data.bytes), data.bytes.len() as u64);
            tags.extend(match addends {
                true => [(7, at), (8, length), (9, 3 * word)],
                false => [(17, at), (18, length), (19, 2 * word)],
            });
        }
        if !plt.bytes.is_empty() {
            self.before(Table::Relocations, out, plt.bytes.len());
            let kind = if addends { 7 } else { 17 };
            tags.extend([(23, place(out, &plt.bytes)), (2, plt.bytes.len() as u64), (20, kind), (3, slots)]);
        }
        if !self.version_needs.is_empty() || !self.version_definitions.is_empty() {
            let mut table = self.writer();
            versions.iter().for_each(|version| table.half(*version));
            tags.push((0x6fff_fff0, place(out, &table.bytes)));
        }
    }

    fn versions(
        &self,
        strings: &mut Strings,
        tags: &mut Vec<(u64, u64)>,
        out: &mut Vec<u8>,
        place: &dyn Fn(&mut Vec<u8>, &[u8]) -> u64,
    ) {
        if !self.version_needs.is_empty() {
            let mut table = self.writer();
            for (at, (file, versions)) in self.version_needs.iter().enumerate() {
                let last = at + 1 == self.version_needs.len();
                table.half(1);
                table.half(versions.len() as u16);
                table.word(strings.add(file) as u32);
                table.word(16);
                table.word(if last { 0 } else { 16 + 16 * versions.len() as u32 });
                for (at, version) in versions.iter().enumerate() {
                    table.word(hash_of(version));
                    table.half(if self.weak_versions { 2 } else { 0 });
                    table.half((self.version_definitions.len() + at) as u16 + 2);
                    table.word(strings.add(version) as u32);
                    let next = if at + 1 == versions.len() { 0 } else { 16 };
                    table.word(next);
                }
            }
            self.before(Table::VersionNeeds, out, table.bytes.len());
            tags.extend([(0x6fff_fffe, place(out, &table.bytes)), (0x6fff_ffff, self.version_needs.len() as u64)]);
        }
        if !self.version_definitions.is_empty() {
            let mut table = self.writer();
            for (at, name) in self.version_definitions.iter().enumerate() {
                table.half(1);
                table.half(u16::from(at == 0));
                table.half(at as u16 + 1);
                table.half(1);
                table.word(hash_of(name));
                table.word(20);
                table.word(if at + 1 == self.version_definitions.len() { 0 } else { 28 });
                table.word(strings.add(name) as u32);
                table.word(0);
            }
            tags.extend([
                (0x6fff_fffc, place(out, &table.bytes)),
                (0x6fff_fffd, self.version_definitions.len() as u64),
            ]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One file for everything that the readers of ELF files check, by its name in `tests/hostile/elf/`.
    fn seeds() -> Vec<(&'static str, Vec<u8>)> {
        let program = |loader: &str| Forge {
            needed: vec!["liba.so".into(), "libx.so".into(), "libc.so".into()],
            calls: vec!["a".into(), "puts".into()],
            uses: vec!["stdin".into()],
            weak_calls: vec!["w".into()],
            runpath: Some("$ORIGIN/../lib:/opt/$LIB".into()),
            version_needs: vec![("liba.so".into(), vec!["V_1".into()]), ("libx.so".into(), vec!["V_1".into()])],
            relocations: vec![8, 37],
            ..Forge::dynamic(loader)
        };
        let library = Forge {
            defines: vec!["a".into(), "b".into()],
            calls: vec!["c".into()],
            version_definitions: vec!["liba.so".into(), "V_1".into()],
            rpath: Some("/opt:${ORIGIN}".into()),
            ..Forge::library("liba.so")
        };
        let android =
            b"\x08\0\0\0\x84\0\0\0\x01\0\0\0Android\0\x1c\0\0\0".iter().copied().chain(*b"r27c").chain([0; 124]);
        let arm = program("/lib/ld-linux-aarch64.so.1");
        vec![
            ("program", Forge::program().build()),
            ("static-pie", Forge { kind: ET_DYN, dynamic: true, flags_1: 0x0800_0000, ..Forge::program() }.build()),
            ("musl-program", program("/lib/ld-musl-x86_64.so.1").build()),
            ("musl-loader", Forge::musl(true).build()),
            ("musl-loader-1.2.3", Forge::musl(false).build()),
            ("glibc-program", program("/lib64/ld-linux-x86-64.so.2").build()),
            ("glibc-loader", Forge::glibc().build()),
            ("other-loader", program("/lib/other.so").build()),
            ("arm64-program", Forge { machine: 183, ..arm }.build()),
            ("arm-program", Forge::of(Arch::Arm, program("/lib/ld-linux-armhf.so.3")).build()),
            ("s390x-program", Forge::of(Arch::S390x, program("/lib/ld64.so.1")).build()),
            ("mips64le-program", Forge::of(Arch::Mips64le, program("/lib64/ld.so.1")).build()),
            ("library", library.build()),
            ("android", Forge { note: Some(android.collect()), ..program("/system/bin/linker64") }.build()),
            ("packed", Forge { text: b"UPX!".to_vec(), ..Forge::program() }.build()),
            ("two-interpreters", Forge { interpreters: vec![b"/a\0b\0".to_vec(), b"/c".to_vec()], ..library }.build()),
        ]
    }

    /// The first inputs of the fuzz targets. `SAZARE_RECORD=1 cargo test --lib forge` writes them anew.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test is told by the environment whether it records")]
    fn the_seeds_of_the_fuzz_targets_are_what_is_forged_here() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/elf");
        for (name, bytes) in seeds() {
            let file = folder.join(name);
            if std::env::var_os("SAZARE_RECORD").is_some() {
                std::fs::write(&file, &bytes).unwrap();
            }
            assert!(std::fs::read(&file).unwrap() == bytes, "{name} differs");
        }
    }
}
