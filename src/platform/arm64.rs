//! `arm64` in OCI words, `aarch64` in the kernel's.

use super::facts::{ArchFacts, ByteOrder, Class, GlibcFacts, MuslFacts, Relocations};

pub(super) const FACTS: ArchFacts = ArchFacts {
    oci: "arm64",
    gnu: "aarch64",
    rust: "aarch64",
    debian: "arm64",
    triplet: "aarch64-linux-gnu",
    qemu: "aarch64",
    variants: &["v8", "v9"],
    machine: 183,
    class: Class::Elf64,
    byte_order: ByteOrder::Little,
    audit: 0xc000_00b7,
    page_sizes: &[0x1000, 0x4000, 0x10000],
    // 32-bit ARM needs an option of the kernel and a CPU that has it, which many have no more.
    compat: None,
    cpu_levels: None,
    relocations: Relocations { copy: 1024, jump_slot: 1026, irelative: 1032 },
    glibc: GlibcFacts {
        loader: "/lib/ld-linux-aarch64.so.1",
        soname: "ld-linux-aarch64.so.1",
        directories: &[b"/lib64/", b"/usr/lib64/"],
        platform: "aarch64",
        newer_platform: None,
        hwcaps: &[],
        cache_flags: 0x0a03,
        definition: &[1026, 1028, 1029, 1030, 1031],
    },
    musl: MuslFacts {
        loader: "/lib/ld-musl-aarch64.so.1",
        relocations: &[0, 257, 1024, 1025, 1026, 1027, 1028, 1029, 1030, 1031],
    },
};
