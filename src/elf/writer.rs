//! The tables of forged files, in the layout of one architecture.

use super::bytes::Layout;
use crate::platform::{Arch, Class};

/// A program header (PT_LOAD, PT_INTERP, …) with the same size in the file and in memory.
pub(super) struct Header {
    pub kind: u32,
    pub rights: u32,
    pub offset: u64,
    pub address: u64,
    pub size: u64,
    pub align: u64,
}

/// Bytes in the layout of one architecture.
pub(super) struct Writer {
    pub layout: Layout,
    pub bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn half(&mut self, number: u16) {
        self.bytes.extend_from_slice(&self.layout.order.half(number));
    }

    pub(super) fn word(&mut self, number: u32) {
        self.bytes.extend_from_slice(&self.layout.order.word_bytes(number));
    }

    /// A number of the size of an address.
    pub(super) fn address(&mut self, number: u64) {
        match self.layout.class {
            Class::Elf32 => self.word(number as u32),
            Class::Elf64 => self.bytes.extend_from_slice(&self.layout.order.double(number)),
        }
    }

    pub(super) fn header(&mut self, header: &Header) {
        self.word(header.kind);
        if self.layout.class == Class::Elf64 {
            self.word(header.rights);
        }
        for number in [header.offset, header.address, header.address, header.size, header.size] {
            self.address(number);
        }
        if self.layout.class == Class::Elf32 {
            self.word(header.rights);
        }
        self.address(header.align);
    }

    pub(super) fn symbol(&mut self, name: u32, info: u8, section: u16, value: u64) {
        self.word(name);
        match self.layout.class {
            Class::Elf32 => {
                self.address(value);
                self.word(8);
                self.bytes.extend([info, 0]);
                self.half(section);
            }
            Class::Elf64 => {
                self.bytes.extend([info, 0]);
                self.half(section);
                self.address(value);
                self.address(8);
            }
        }
    }

    /// A relocation, with an addend if the architecture uses them.
    pub(super) fn relocation(&mut self, arch: Arch, at: u64, symbol: u32, kind: u32) {
        self.address(at);
        match self.layout.class {
            Class::Elf32 => self.word(symbol << 8 | kind),
            Class::Elf64 if arch.facts().mips_tables => {
                self.word(symbol);
                self.bytes.extend([0, 0, 0, kind as u8]);
            }
            Class::Elf64 => self.address(u64::from(symbol) << 32 | u64::from(kind)),
        }
        if has_addends(arch) {
            self.address(0);
        }
    }
}

/// Whether the linkers of the architecture write DT_RELA.
pub(super) fn has_addends(arch: Arch) -> bool {
    match arch {
        Arch::Arm | Arch::X86 | Arch::Mips64le => false,
        Arch::Amd64 | Arch::Arm64 | Arch::Riscv64 | Arch::Ppc64le | Arch::S390x | Arch::Loong64 => true,
    }
}
