//! `mips64le`: 64-bit MIPS, little-endian (n64).

use super::facts::{Abi, ArchFacts, ByteOrder, Class, GlibcFacts, RefusedFlags, Relocations};

pub(super) const FACTS: ArchFacts = ArchFacts {
    oci: "mips64le",
    gnu: "mips64",
    spellings: &[("mips64el", None)],
    rust: "mips64",
    qemu: "mips64el",
    variants: &[],
    default_variant: None,
    machine: 8,
    other_machines: &[],
    class: Class::Elf64,
    class_in_ident: true,
    byte_order: ByteOrder::Little,
    hash_entry: 4,
    mips_tables: true,
    audit: 0xc000_0008,
    // li a0, 0; li v0, 5058; syscall
    exit: b"\x00\x00\x04\x24\xc2\x13\x02\x24\x0c\x00\x00\x00",
    page_sizes: &[0x1000, 0x4000, 0x10000],
    compat: None,
    cpu_levels: None,
    relocations: Relocations { pointer: 3, copy: 126, jump_slot: 127, irelative: 128 },
    abis: &[Abi {
        debian: "mips64el",
        triplet: "mips64el-linux-gnuabi64",
        glibc_loader: "/lib64/ld.so.1",
        musl_loader: "/lib/ld-musl-mips64el.so.1",
        cache_flags: &[0x0703],
        flags: 0x8000_0007,
        // EF_MIPS_NAN2008: another encoding of NaN.
        refused: RefusedFlags::Any(0x400),
    }],
    glibc: GlibcFacts { directories: &[b"/lib64/", b"/usr/lib64/"], platforms: &[], hwcaps: &[], definition: &[127] },
    musl_relocations: &[0, 3, 126, 127, 40, 41, 47],
};
