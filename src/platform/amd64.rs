//! `amd64` in OCI words, `x86_64` in the kernel's.

use super::facts::{ArchFacts, ByteOrder, Class, Compat, CpuLevels, GlibcFacts, MuslFacts, Relocations};

pub(super) const FACTS: ArchFacts = ArchFacts {
    oci: "amd64",
    gnu: "x86_64",
    rust: "x86_64",
    debian: "amd64",
    triplet: "x86_64-linux-gnu",
    qemu: "x86_64",
    variants: &["v1", "v2", "v3", "v4"],
    machine: 62,
    class: Class::Elf64,
    byte_order: ByteOrder::Little,
    audit: 0xc000_003e,
    page_sizes: &[0x1000],
    compat: Some(Compat { machines: &[3, 6], name: "32-bit x86", kernels: "kernels with IA32 emulation" }),
    cpu_levels: Some(CpuLevels { property: 0xc000_8002, names: &["x86-64-v2", "x86-64-v3", "x86-64-v4"] }),
    relocations: Relocations { copy: 5, jump_slot: 7, irelative: 37 },
    glibc: GlibcFacts {
        loader: "/lib64/ld-linux-x86-64.so.2",
        soname: "ld-linux-x86-64.so.2",
        directories: &[b"/lib64/", b"/usr/lib64/"],
        platform: "x86_64",
        newer_platform: Some((1, "haswell")),
        hwcaps: &["x86-64-v2", "x86-64-v3", "x86-64-v4"],
        cache_flags: 0x0303,
        definition: &[7, 16, 17, 18, 36],
    },
    musl: MuslFacts { loader: "/lib/ld-musl-x86_64.so.1", relocations: &[0, 1, 2, 5, 6, 7, 8, 16, 17, 18, 36] },
};
