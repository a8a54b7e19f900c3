//! `386` in OCI words: 32-bit x86.

use super::facts::{Abi, ArchFacts, ByteOrder, Class, GlibcFacts, RefusedFlags, Relocations};

pub(super) const FACTS: ArchFacts = ArchFacts {
    oci: "386",
    gnu: "i686",
    spellings: &[("i386", None), ("x86", None)],
    rust: "x86",
    qemu: "i386",
    variants: &[],
    default_variant: None,
    machine: 3,
    other_machines: &[6],
    class: Class::Elf32,
    class_in_ident: false,
    byte_order: ByteOrder::Little,
    hash_entry: 4,
    mips_tables: false,
    audit: 0x4000_0003,
    // xor ebx, ebx; mov eax, 1; int 0x80
    exit: b"\x31\xdb\xb8\x01\x00\x00\x00\xcd\x80",
    page_sizes: &[0x1000],
    compat: None,
    cpu_levels: None,
    relocations: Relocations { pointer: 1, copy: 5, jump_slot: 7, irelative: 42 },
    abis: &[Abi {
        debian: "i386",
        triplet: "i386-linux-gnu",
        glibc_loader: "/lib/ld-linux.so.2",
        musl_loader: "/lib/ld-musl-i386.so.1",
        // 0x0001 marks a library that needs no C library; other architectures pass it over.
        cache_flags: &[0x0003, 0x0001],
        flags: 0,
        refused: RefusedFlags::None,
    }],
    glibc: GlibcFacts {
        directories: &[b"/lib/", b"/usr/lib/"],
        platforms: &["i686"],
        hwcaps: &[],
        definition: &[7, 14, 35, 36, 37, 41],
    },
    musl_relocations: &[0, 1, 2, 5, 6, 7, 8, 14, 35, 36, 37, 41],
};
