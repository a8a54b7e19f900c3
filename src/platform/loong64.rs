//! `loong64` in OCI words: 64-bit LoongArch with floating point of double precision (lp64d).

use super::facts::{Abi, ArchFacts, ByteOrder, Class, GlibcFacts, RefusedFlags, Relocations};

pub(super) const FACTS: ArchFacts = ArchFacts {
    oci: "loong64",
    gnu: "loongarch64",
    spellings: &[],
    rust: "loongarch64",
    qemu: "loongarch64",
    variants: &[],
    default_variant: None,
    machine: 258,
    other_machines: &[],
    class: Class::Elf64,
    class_in_ident: true,
    byte_order: ByteOrder::Little,
    hash_entry: 4,
    mips_tables: false,
    audit: 0xc000_0102,
    // li.w a0, 0; li.w a7, 93; syscall 0
    exit: b"\x04\x00\x80\x02\x0b\x74\x81\x02\x00\x00\x2b\x00",
    page_sizes: &[0x1000, 0x4000, 0x10000],
    compat: None,
    cpu_levels: None,
    relocations: Relocations { pointer: 2, copy: 4, jump_slot: 5, irelative: 12 },
    abis: &[Abi {
        debian: "loong64",
        triplet: "loongarch64-linux-gnu",
        glibc_loader: "/lib64/ld-linux-loongarch-lp64d.so.1",
        musl_loader: "/lib/ld-musl-loongarch64.so.1",
        cache_flags: &[0x1203],
        flags: 0x43,
        // EF_LARCH_ABI_MODIFIER: double float.
        refused: RefusedFlags::Unless { mask: 7, value: 3 },
    }],
    glibc: GlibcFacts {
        directories: &[b"/lib64/", b"/usr/lib64/"],
        platforms: &["loongarch"],
        hwcaps: &[],
        definition: &[5, 7, 9, 11, 14],
    },
    musl_relocations: &[0, 2, 3, 4, 5, 7, 9, 11, 14],
};
