//! `s390x`: IBM Z, 64-bit and big-endian.

use super::facts::{Abi, ArchFacts, ByteOrder, Class, GlibcFacts, RefusedFlags, Relocations};

pub(super) const FACTS: ArchFacts = ArchFacts {
    oci: "s390x",
    gnu: "s390x",
    spellings: &[],
    rust: "s390x",
    qemu: "s390x",
    variants: &[],
    default_variant: None,
    machine: 22,
    other_machines: &[0xa390],
    class: Class::Elf64,
    class_in_ident: true,
    byte_order: ByteOrder::Big,
    hash_entry: 8,
    mips_tables: false,
    audit: 0x8000_0016,
    // lghi r2, 0; svc 1
    exit: b"\xa7\x29\x00\x00\x0a\x01",
    page_sizes: &[0x1000],
    compat: None,
    cpu_levels: None,
    relocations: Relocations { pointer: 22, copy: 9, jump_slot: 11, irelative: 61 },
    abis: &[Abi {
        debian: "s390x",
        triplet: "s390x-linux-gnu",
        glibc_loader: "/lib/ld64.so.1",
        musl_loader: "/lib/ld-musl-s390x.so.1",
        cache_flags: &[0x0403],
        flags: 0,
        refused: RefusedFlags::None,
    }],
    glibc: GlibcFacts {
        directories: &[b"/lib64/", b"/usr/lib64/"],
        platforms: &["z196", "z13", "z14", "z15", "z16"],
        hwcaps: &["z13", "z14", "z15", "z16"],
        definition: &[11, 54, 55, 56],
    },
    musl_relocations: &[0, 9, 10, 11, 12, 22, 54, 55, 56],
};
