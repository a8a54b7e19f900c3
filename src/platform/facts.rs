//! What an architecture must say about itself.

/// What is peculiar to one architecture.
///
/// Whether its files have relocations with or without addends stands in each file (`DT_REL`, `DT_RELA`, `DT_PLTREL`), so it
/// is not said here.
#[derive(Debug)]
pub struct ArchFacts {
    /// GOARCH word, as image documents spell it.
    pub oci: &'static str,
    /// What `uname -m` says.
    pub gnu: &'static str,
    /// Further words for it, each with the variant that it means.
    pub spellings: &'static [(&'static str, Option<&'static str>)],
    /// Rust's word (`target_arch`).
    pub rust: &'static str,
    /// How `qemu-user` names its program: `qemu-WORD`, `qemu-WORD-static`.
    pub qemu: &'static str,
    /// Variants that may be named, ascending: a CPU of one runs the programs of those before it.
    pub variants: &'static [&'static str],
    /// The variant that the plain architecture means.
    pub default_variant: Option<&'static str>,
    /// `e_machine` of its ELF files.
    pub machine: u16,
    /// Further values that its kernel accepts.
    pub other_machines: &'static [u16],
    /// 32 or 64 bits.
    pub class: Class,
    /// Whether the class in a file's ident counts: another architecture has the same `e_machine`.
    pub class_in_ident: bool,
    /// The order of the bytes of a number.
    pub byte_order: ByteOrder,
    /// The size of an entry of DT_HASH, in bytes.
    pub hash_entry: usize,
    /// Whether relocations have three types in one, and the loader binds the symbols from DT_MIPS_GOTSYM on without any.
    pub mips_tables: bool,
    /// `AUDIT_ARCH_*` (`linux/audit.h`), which a seccomp filter sees.
    pub audit: u32,
    /// The instructions that end a program with exit code 0.
    pub exit: &'static [u8],
    /// The page sizes of kernels in use, in bytes, ascending: segments aligned to less than a page fail there.
    pub page_sizes: &'static [u64],
    /// Programs of another architecture that some of its kernels run as well.
    pub compat: Option<Compat>,
    /// The levels of its CPUs that an ELF file can ask for.
    pub cpu_levels: Option<CpuLevels>,
    /// The relocations that a loader binds.
    pub relocations: Relocations,
    /// The ABIs whose programs its kernels run, the usual one first.
    pub abis: &'static [Abi],
    /// What glibc does here.
    pub glibc: GlibcFacts,
    /// The relocation types that musl's loader knows.
    pub musl_relocations: &'static [u32],
}

/// One way of calling functions: programs and libraries of different ABIs do not fit together.
#[derive(Debug, PartialEq, Eq)]
pub struct Abi {
    /// The architecture of Debian's packages.
    pub debian: &'static str,
    /// Debian's multiarch directory name.
    pub triplet: &'static str,
    /// Where programs look for glibc's loader.
    pub glibc_loader: &'static str,
    /// Where programs look for musl's loader.
    pub musl_loader: &'static str,
    /// The flags of the entries in `ld.so.cache` that glibc takes: a library of glibc 2, and the ABI. Its own are first.
    pub cache_flags: &'static [u32],
    /// The `e_flags` of its files: a kernel for ppc64le starts a program without its mark as one of another ABI.
    pub flags: u32,
    /// Which `e_flags` glibc refuses in a library.
    pub refused: RefusedFlags,
}

/// `e_flags` that mark a library of another ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedFlags {
    /// None.
    None,
    /// Any of these bits.
    Any(u32),
    /// All but this value of these bits.
    Unless {
        /// Which bits count.
        mask: u32,
        /// The value that is accepted.
        value: u32,
    },
}

/// `EI_CLASS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `ELFCLASS32`.
    Elf32,
    /// `ELFCLASS64`.
    Elf64,
}

/// `EI_DATA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// `ELFDATA2LSB`.
    Little,
    /// `ELFDATA2MSB`.
    Big,
}

/// Programs that only kernels with a certain option run.
#[derive(Debug)]
pub struct Compat {
    /// The architecture that they are for, in OCI's word.
    pub oci: &'static str,
    /// What they are called.
    pub name: &'static str,
    /// Which kernels run them.
    pub kernels: &'static str,
}

/// The levels of CPUs in a GNU property note: bit 0 is the baseline, bit 1 the first name, and so on.
#[derive(Debug)]
pub struct CpuLevels {
    /// The type of the property.
    pub property: u32,
    /// The names of the levels above the baseline, ascending.
    pub names: &'static [&'static str],
}

/// The numbers of relocation types.
#[derive(Debug)]
pub struct Relocations {
    /// Stores the address of a symbol.
    pub pointer: u32,
    /// Copies a symbol's value into the program.
    pub copy: u32,
    /// A slot of the PLT, which may be bound when it is first called.
    pub jump_slot: u32,
    /// Calls a function to learn the address (IFUNC).
    pub irelative: u32,
}

/// What glibc does on one architecture.
#[derive(Debug)]
pub struct GlibcFacts {
    /// Its system directories, when the loader does not show them.
    pub directories: &'static [&'static [u8]],
    /// The value of `$PLATFORM`: on the baseline and on the CPUs of each level of `hwcaps`, the last one also on all above.
    /// Without any it has no value.
    pub platforms: &'static [&'static str],
    /// Subdirectories of `glibc-hwcaps` for newer CPUs, ascending.
    pub hwcaps: &'static [&'static str],
    /// Relocation types that want a definition: calls and everything thread-local.
    pub definition: &'static [u32],
}

impl ArchFacts {
    /// Whether a kernel takes `e_machine` for its own.
    pub fn has_machine(&self, machine: u16) -> bool {
        self.machine == machine || self.other_machines.contains(&machine)
    }

    /// The usual ABI.
    pub fn abi(&self) -> &'static Abi {
        const NONE: Abi = Abi {
            debian: "",
            triplet: "",
            glibc_loader: "",
            musl_loader: "",
            cache_flags: &[],
            flags: 0,
            refused: RefusedFlags::None,
        };
        self.abis.first().unwrap_or(&NONE)
    }

    /// The page sizes that a segment aligned to `align` bytes is too small for. Every kernel has the smallest page.
    pub fn pages_above(&self, align: u64) -> impl Iterator<Item = u64> {
        self.page_sizes.iter().skip(1).copied().filter(move |size| *size > align)
    }
}

impl Abi {
    /// The DT_SONAME of glibc's loader.
    pub fn glibc_soname(&self) -> &'static str {
        self.glibc_loader.rsplit('/').next().unwrap_or_default()
    }

    /// Whether glibc loads a library with these `e_flags`.
    pub fn takes(&self, flags: u32) -> bool {
        match self.refused {
            RefusedFlags::None => true,
            RefusedFlags::Any(bits) => flags & bits == 0,
            RefusedFlags::Unless { mask, value } => flags & mask == value,
        }
    }
}

impl Class {
    /// The class that an ident names, as most readers take it: everything but 1 is 64-bit.
    pub fn of_ident(byte: u8) -> Class {
        if byte == Class::Elf32.number() { Class::Elf32 } else { Class::Elf64 }
    }

    /// The value of `EI_CLASS`.
    pub fn number(self) -> u8 {
        match self {
            Class::Elf32 => 1,
            Class::Elf64 => 2,
        }
    }

    /// How many bits an address has.
    pub fn bits(self) -> u32 {
        match self {
            Class::Elf32 => 32,
            Class::Elf64 => 64,
        }
    }

    /// The size of the ELF header, in bytes.
    pub fn header_size(self) -> u64 {
        match self {
            Class::Elf32 => 52,
            Class::Elf64 => 64,
        }
    }

    /// The size of a program header, in bytes.
    pub fn program_header_size(self) -> u16 {
        match self {
            Class::Elf32 => 32,
            Class::Elf64 => 56,
        }
    }

    /// The other class.
    pub fn other(self) -> Class {
        match self {
            Class::Elf32 => Class::Elf64,
            Class::Elf64 => Class::Elf32,
        }
    }
}

impl ByteOrder {
    /// The order that an ident names, as most readers take it: everything but 2 is little-endian.
    pub fn of_ident(byte: u8) -> ByteOrder {
        if byte == ByteOrder::Big.number() { ByteOrder::Big } else { ByteOrder::Little }
    }

    /// The number of a half word.
    pub fn half_of(self, bytes: [u8; 2]) -> u16 {
        match self {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        }
    }

    /// The number of a double word.
    pub fn double_of(self, bytes: [u8; 8]) -> u64 {
        match self {
            ByteOrder::Little => u64::from_le_bytes(bytes),
            ByteOrder::Big => u64::from_be_bytes(bytes),
        }
    }

    /// The bytes of a double word.
    pub fn double(self, number: u64) -> [u8; 8] {
        match self {
            ByteOrder::Little => number.to_le_bytes(),
            ByteOrder::Big => number.to_be_bytes(),
        }
    }

    /// The value of `EI_DATA`.
    pub fn number(self) -> u8 {
        match self {
            ByteOrder::Little => 1,
            ByteOrder::Big => 2,
        }
    }

    /// The bytes of a half word.
    pub fn half(self, number: u16) -> [u8; 2] {
        match self {
            ByteOrder::Little => number.to_le_bytes(),
            ByteOrder::Big => number.to_be_bytes(),
        }
    }

    /// The bytes of a word.
    pub fn word_bytes(self, number: u32) -> [u8; 4] {
        match self {
            ByteOrder::Little => number.to_le_bytes(),
            ByteOrder::Big => number.to_be_bytes(),
        }
    }

    /// The number of a word.
    pub fn word_of(self, bytes: [u8; 4]) -> u32 {
        match self {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        }
    }

    /// Whether it is that of this program.
    pub fn is_native(self) -> bool {
        match self {
            ByteOrder::Little => cfg!(target_endian = "little"),
            ByteOrder::Big => cfg!(target_endian = "big"),
        }
    }
}
