//! `ppc64le`: 64-bit PowerPC, little-endian (ELFv2).

use super::facts::{Abi, ArchFacts, ByteOrder, Class, GlibcFacts, RefusedFlags, Relocations};

pub(super) const FACTS: ArchFacts = ArchFacts {
    oci: "ppc64le",
    gnu: "ppc64le",
    spellings: &[("ppc64el", None), ("powerpc64le", None)],
    rust: "powerpc64",
    qemu: "ppc64le",
    variants: &[],
    default_variant: None,
    machine: 21,
    other_machines: &[],
    class: Class::Elf64,
    class_in_ident: false,
    byte_order: ByteOrder::Little,
    hash_entry: 4,
    mips_tables: false,
    audit: 0xc000_0015,
    // li r3, 0; li r0, 1; sc
    exit: b"\x00\x00\x60\x38\x01\x00\x00\x38\x02\x00\x00\x44",
    page_sizes: &[0x1000, 0x10000],
    compat: None,
    cpu_levels: None,
    relocations: Relocations { pointer: 38, copy: 19, jump_slot: 21, irelative: 248 },
    abis: &[Abi {
        debian: "ppc64el",
        triplet: "powerpc64le-linux-gnu",
        glibc_loader: "/lib64/ld64.so.2",
        musl_loader: "/lib/ld-musl-powerpc64le.so.1",
        cache_flags: &[0x0503],
        flags: 2,
        // 1 is ELFv1, and 3 is unknown; 0 says nothing.
        refused: RefusedFlags::Any(1),
    }],
    glibc: GlibcFacts {
        directories: &[b"/lib64/", b"/usr/lib64/"],
        platforms: &["power8", "power9", "power10"],
        hwcaps: &["power9", "power10"],
        definition: &[10, 21, 68, 73, 78],
    },
    musl_relocations: &[0, 19, 20, 21, 22, 38, 68, 73, 78],
};
