//! `amd64` in OCI words, `x86_64` in the kernel's.

use super::facts::{Abi, ArchFacts, ByteOrder, Class, Compat, CpuLevels, GlibcFacts, RefusedFlags, Relocations};

pub(super) const FACTS: ArchFacts = ArchFacts {
    oci: "amd64",
    gnu: "x86_64",
    spellings: &[("x86-64", None)],
    rust: "x86_64",
    qemu: "x86_64",
    variants: &["v1", "v2", "v3", "v4"],
    default_variant: Some("v1"),
    machine: 62,
    other_machines: &[],
    class: Class::Elf64,
    class_in_ident: false,
    byte_order: ByteOrder::Little,
    hash_entry: 4,
    mips_tables: false,
    audit: 0xc000_003e,
    // xor edi, edi; mov eax, 60; syscall; ud2
    exit: b"\x31\xff\xb8\x3c\x00\x00\x00\x0f\x05\x0f\x0b\x0f\x0b\x0f\x0b\x90",
    page_sizes: &[0x1000],
    compat: Some(Compat {
        oci: "386",
        name: "32-bit x86",
        kernels: "kernels with IA32 emulation (CONFIG_IA32_EMULATION)",
    }),
    cpu_levels: Some(CpuLevels { property: 0xc000_8002, names: &["x86-64-v2", "x86-64-v3", "x86-64-v4"] }),
    relocations: Relocations { pointer: 1, copy: 5, jump_slot: 7, irelative: 37 },
    abis: &[Abi {
        debian: "amd64",
        triplet: "x86_64-linux-gnu",
        glibc_loader: "/lib64/ld-linux-x86-64.so.2",
        musl_loader: "/lib/ld-musl-x86_64.so.1",
        cache_flags: &[0x0303],
        flags: 0,
        refused: RefusedFlags::None,
    }],
    glibc: GlibcFacts {
        directories: &[b"/lib64/", b"/usr/lib64/"],
        platforms: &["x86_64", "x86_64", "haswell"],
        hwcaps: &["x86-64-v2", "x86-64-v3", "x86-64-v4"],
        definition: &[7, 16, 17, 18, 36],
    },
    musl_relocations: &[0, 1, 2, 5, 6, 7, 8, 16, 17, 18, 36],
};
