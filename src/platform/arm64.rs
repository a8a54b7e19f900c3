//! `arm64` in OCI words, `aarch64` in the kernel's.

use super::facts::{Abi, ArchFacts, ByteOrder, Class, Compat, GlibcFacts, RefusedFlags, Relocations};

pub(super) const FACTS: ArchFacts = ArchFacts {
    oci: "arm64",
    gnu: "aarch64",
    spellings: &[],
    rust: "aarch64",
    qemu: "aarch64",
    variants: &["v8", "v9"],
    default_variant: Some("v8"),
    machine: 183,
    other_machines: &[],
    class: Class::Elf64,
    class_in_ident: false,
    byte_order: ByteOrder::Little,
    hash_entry: 4,
    mips_tables: false,
    audit: 0xc000_00b7,
    // mov x0, 0; mov x8, 93; svc 0
    exit: b"\x00\x00\x80\xd2\xa8\x0b\x80\xd2\x01\x00\x00\xd4",
    page_sizes: &[0x1000, 0x4000, 0x10000],
    compat: Some(Compat {
        oci: "arm",
        name: "32-bit ARM",
        kernels: "kernels with 32-bit support (CONFIG_COMPAT) on CPUs that have it",
    }),
    cpu_levels: None,
    relocations: Relocations { pointer: 257, copy: 1024, jump_slot: 1026, irelative: 1032 },
    abis: &[Abi {
        debian: "arm64",
        triplet: "aarch64-linux-gnu",
        glibc_loader: "/lib/ld-linux-aarch64.so.1",
        musl_loader: "/lib/ld-musl-aarch64.so.1",
        cache_flags: &[0x0a03],
        flags: 0,
        refused: RefusedFlags::None,
    }],
    glibc: GlibcFacts {
        directories: &[b"/lib64/", b"/usr/lib64/"],
        platforms: &["aarch64"],
        hwcaps: &[],
        definition: &[1026, 1028, 1029, 1030, 1031],
    },
    musl_relocations: &[0, 257, 1024, 1025, 1026, 1027, 1028, 1029, 1030, 1031],
};
