//! `riscv64`: 64-bit RISC-V with floating point of double precision (lp64d).

use super::facts::{Abi, ArchFacts, ByteOrder, Class, GlibcFacts, RefusedFlags, Relocations};

pub(super) const FACTS: ArchFacts = ArchFacts {
    oci: "riscv64",
    gnu: "riscv64",
    spellings: &[],
    rust: "riscv64",
    qemu: "riscv64",
    variants: &[],
    default_variant: None,
    machine: 243,
    other_machines: &[],
    class: Class::Elf64,
    class_in_ident: true,
    byte_order: ByteOrder::Little,
    hash_entry: 4,
    mips_tables: false,
    audit: 0xc000_00f3,
    // li a0, 0; li a7, 93; ecall
    exit: b"\x13\x05\x00\x00\x93\x08\xd0\x05\x73\x00\x00\x00",
    page_sizes: &[0x1000],
    compat: None,
    cpu_levels: None,
    relocations: Relocations { pointer: 2, copy: 4, jump_slot: 5, irelative: 58 },
    abis: &[Abi {
        debian: "riscv64",
        triplet: "riscv64-linux-gnu",
        glibc_loader: "/lib/ld-linux-riscv64-lp64d.so.1",
        musl_loader: "/lib/ld-musl-riscv64.so.1",
        cache_flags: &[0x1003],
        flags: 5,
        // EF_RISCV_FLOAT_ABI: double.
        refused: RefusedFlags::Unless { mask: 6, value: 4 },
    }],
    glibc: GlibcFacts {
        directories: &[b"/lib64/lp64d/", b"/usr/lib64/lp64d/"],
        platforms: &[],
        hwcaps: &[],
        definition: &[5, 7, 9, 11],
    },
    musl_relocations: &[0, 2, 3, 4, 5, 7, 9, 11],
};
