//! `arm` in OCI words: 32-bit ARM. The ABI is hard float (Debian's armhf) or soft float (armel); OCI's variants do not say which.

use super::facts::{Abi, ArchFacts, ByteOrder, Class, GlibcFacts, RefusedFlags, Relocations};

pub(super) const FACTS: ArchFacts = ArchFacts {
    oci: "arm",
    gnu: "armv7l",
    spellings: &[("armhf", Some("v7")), ("armel", Some("v6")), ("armv6l", Some("v6"))],
    rust: "arm",
    qemu: "arm",
    variants: &["v5", "v6", "v7", "v8"],
    default_variant: Some("v7"),
    machine: 40,
    other_machines: &[],
    class: Class::Elf32,
    class_in_ident: false,
    byte_order: ByteOrder::Little,
    hash_entry: 4,
    mips_tables: false,
    audit: 0x4000_0028,
    // mov r0, 0; mov r7, 1; svc 0
    exit: b"\x00\x00\xa0\xe3\x01\x70\xa0\xe3\x00\x00\x00\xef",
    page_sizes: &[0x1000],
    compat: None,
    cpu_levels: None,
    relocations: Relocations { pointer: 2, copy: 20, jump_slot: 22, irelative: 160 },
    abis: &[
        Abi {
            debian: "armhf",
            triplet: "arm-linux-gnueabihf",
            glibc_loader: "/lib/ld-linux-armhf.so.3",
            musl_loader: "/lib/ld-musl-armhf.so.1",
            cache_flags: &[0x0903, 0x0003],
            flags: 0x0500_0400,
            // EF_ARM_ABI_FLOAT_SOFT; in the other ABI EF_ARM_ABI_FLOAT_HARD.
            refused: RefusedFlags::Any(0x200),
        },
        Abi {
            debian: "armel",
            triplet: "arm-linux-gnueabi",
            glibc_loader: "/lib/ld-linux.so.3",
            musl_loader: "/lib/ld-musl-arm.so.1",
            cache_flags: &[0x0b03, 0x0003],
            flags: 0x0500_0200,
            refused: RefusedFlags::Any(0x400),
        },
    ],
    glibc: GlibcFacts {
        directories: &[b"/lib/", b"/usr/lib/"],
        platforms: &["v7l"],
        hwcaps: &[],
        definition: &[13, 17, 18, 19, 22],
    },
    musl_relocations: &[0, 2, 13, 17, 18, 19, 20, 21, 22, 23],
};
