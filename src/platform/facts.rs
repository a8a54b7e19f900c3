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
    /// Rust's word (`target_arch`).
    pub rust: &'static str,
    /// The architecture of Debian's packages.
    pub debian: &'static str,
    /// Debian's multiarch directory name.
    pub triplet: &'static str,
    /// How `qemu-user` names its program: `qemu-WORD`, `qemu-WORD-static`.
    pub qemu: &'static str,
    /// Variants that may be named, the default first.
    pub variants: &'static [&'static str],
    /// `e_machine` of its ELF files.
    pub machine: u16,
    /// 32 or 64 bits.
    pub class: Class,
    /// The order of the bytes of a number.
    pub byte_order: ByteOrder,
    /// `AUDIT_ARCH_*` (`linux/audit.h`), which a seccomp filter sees.
    pub audit: u32,
    /// The page sizes of kernels in use, in bytes, ascending: segments aligned to less than a page fail there.
    pub page_sizes: &'static [u64],
    /// Programs of another architecture that some of its kernels run as well.
    pub compat: Option<Compat>,
    /// The levels of its CPUs that an ELF file can ask for.
    pub cpu_levels: Option<CpuLevels>,
    /// The relocations that a loader binds.
    pub relocations: Relocations,
    /// What glibc does here.
    pub glibc: GlibcFacts,
    /// What musl does here.
    pub musl: MuslFacts,
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
    /// Their `e_machine` values.
    pub machines: &'static [u16],
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
    /// Where programs look for their loader.
    pub loader: &'static str,
    /// The DT_SONAME of the loader.
    pub soname: &'static str,
    /// Its system directories, when the loader does not show them.
    pub directories: &'static [&'static [u8]],
    /// The value of `$PLATFORM`.
    pub platform: &'static str,
    /// Its value on CPUs of a level and above: the number of the level in `hwcaps`.
    pub newer_platform: Option<(usize, &'static str)>,
    /// Subdirectories of `glibc-hwcaps` for newer CPUs.
    pub hwcaps: &'static [&'static str],
    /// The flags of its entries in `ld.so.cache`: a library of glibc 2, and the architecture.
    pub cache_flags: u32,
    /// Relocation types that want a definition: calls and everything thread-local.
    pub definition: &'static [u32],
}

/// What musl does on one architecture.
#[derive(Debug)]
pub struct MuslFacts {
    /// Where programs look for their loader.
    pub loader: &'static str,
    /// The relocation types that its loader knows.
    pub relocations: &'static [u32],
}

impl ArchFacts {
    /// The page sizes that a segment aligned to `align` bytes is too small for. Every kernel has the smallest page.
    pub fn pages_above(&self, align: u64) -> impl Iterator<Item = u64> {
        self.page_sizes.iter().skip(1).copied().filter(move |size| *size > align)
    }
}

impl Class {
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
