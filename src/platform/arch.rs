//! The architectures, each with its file.

use super::facts::{ArchFacts, Class};
use super::{amd64, arm, arm64, loong64, mips64le, ppc64le, riscv64, s390x, x86};

/// One line for each architecture: its name here, and the file that holds its facts.
macro_rules! architectures {
    ($($(#[$doc:meta])* $name:ident = $file:ident,)*) => {
        /// A CPU architecture that this program makes images for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Arch {
            $($(#[$doc])* $name,)*
        }

        impl Arch {
            /// All architectures, in the order in which a multi-platform index lists them.
            pub const ALL: [Arch; [$(Arch::$name,)*].len()] = [$(Arch::$name,)*];

            /// What is peculiar to this architecture.
            pub fn facts(self) -> &'static ArchFacts {
                match self {
                    $(Arch::$name => &$file::FACTS,)*
                }
            }
        }
    };
}

architectures! {
    /// `amd64` in OCI words, `x86_64` in the kernel's.
    Amd64 = amd64,
    /// `arm64` in OCI words, `aarch64` in the kernel's.
    Arm64 = arm64,
    /// `arm` in OCI words: 32-bit ARM.
    Arm = arm,
    /// `386` in OCI words: 32-bit x86.
    X86 = x86,
    /// 64-bit RISC-V.
    Riscv64 = riscv64,
    /// 64-bit PowerPC, little-endian.
    Ppc64le = ppc64le,
    /// IBM Z.
    S390x = s390x,
    /// 64-bit LoongArch.
    Loong64 = loong64,
    /// 64-bit MIPS, little-endian.
    Mips64le = mips64le,
}

impl Arch {
    /// The architecture of a word, in any of the usual spellings, and the variant that the word means.
    pub fn from_word(word: &str) -> Option<(Arch, Option<&'static str>)> {
        Arch::ALL.into_iter().find_map(|arch| {
            let facts = arch.facts();
            let plain = (facts.oci == word || facts.gnu == word).then_some(None);
            let spelling = || facts.spellings.iter().find(|(known, _)| *known == word).map(|(_, variant)| *variant);
            Some((arch, plain.or_else(spelling)?))
        })
    }

    /// The architecture whose kernels take an ELF file for their own, by its header; 20 bytes are enough.
    pub fn of_header(header: &[u8]) -> Option<Arch> {
        let class = Class::of_ident(*header.get(4)?);
        let machine = <[u8; 2]>::try_from(header.get(18..20)?).ok()?;
        Arch::ALL.into_iter().find(|arch| {
            let facts = arch.facts();
            facts.has_machine(facts.byte_order.half_of(machine)) && (!facts.class_in_ident || facts.class == class)
        })
    }

    /// The architecture whose programs some of its kernels run as well, if they were built to.
    pub fn compat(self) -> Option<Arch> {
        let oci = self.facts().compat.as_ref()?.oci;
        Arch::ALL.into_iter().find(|arch| arch.facts().oci == oci)
    }

    /// The architecture that this program runs on; `None` for one that no image is made for.
    pub fn native() -> Option<Arch> {
        let is_native = |facts: &ArchFacts| facts.rust == std::env::consts::ARCH && facts.byte_order.is_native();
        Arch::ALL.into_iter().find(|arch| is_native(arch.facts()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::facts::Abi;
    use super::*;

    type Value = fn(&ArchFacts) -> String;

    /// A new architecture starts as a copy of another one: what may not be the same must have been changed.
    #[test]
    fn no_two_architectures_share_what_tells_them_apart() {
        let own: [(&str, Value); 6] = [
            ("oci", |facts| facts.oci.into()),
            ("gnu", |facts| facts.gnu.into()),
            ("qemu", |facts| facts.qemu.into()),
            ("audit", |facts| facts.audit.to_string()),
            ("machine", |facts| format!("{} {:?} {:?}", facts.machine, facts.class, facts.byte_order)),
            ("bytes of the header", |facts| format!("{:?} {:?}", facts.class, facts.byte_order.half(facts.machine))),
        ];
        for (what, value) in own {
            let values: BTreeSet<String> = Arch::ALL.iter().map(|arch| value(arch.facts())).collect();
            assert_eq!(values.len(), Arch::ALL.len(), "{what}: {values:?}");
        }
    }

    #[test]
    fn no_two_abis_share_a_loader_or_flags() {
        let abis: Vec<&Abi> = Arch::ALL.iter().flat_map(|arch| arch.facts().abis).collect();
        type AbiValue = fn(&Abi) -> String;
        let own: [(&str, AbiValue); 5] = [
            ("debian", |abi| abi.debian.into()),
            ("triplet", |abi| abi.triplet.into()),
            ("glibc's loader", |abi| abi.glibc_loader.into()),
            ("musl's loader", |abi| abi.musl_loader.into()),
            ("the flags in ld.so.cache", |abi| abi.cache_flags[0].to_string()),
        ];
        for (what, value) in own {
            let values: BTreeSet<String> = abis.iter().map(|abi| value(abi)).collect();
            assert_eq!(values.len(), abis.len(), "{what}: {values:?}");
        }
    }

    #[test]
    fn a_library_of_another_abi_is_refused() {
        let takes = |arch: Arch, abi: usize| move |flags| arch.facts().abis[abi].takes(flags);
        let (hard, soft) = (takes(Arch::Arm, 0), takes(Arch::Arm, 1));
        // EF_ARM_ABI_FLOAT_HARD and _SOFT of version 5; a file without a mark fits both.
        for (flags, expected) in
            [(0x0500_0400, (true, false)), (0x0500_0200, (false, true)), (0x0500_0000, (true, true))]
        {
            assert_eq!((hard(flags), soft(flags)), expected, "{flags:#x}");
        }
        assert!(takes(Arch::Riscv64, 0)(5) && !takes(Arch::Riscv64, 0)(3) && !takes(Arch::Riscv64, 0)(1));
        assert!(takes(Arch::Amd64, 0)(0xffff_ffff));
    }

    #[test]
    fn a_header_says_which_kernel_takes_it() {
        let header = |class: u8, machine: [u8; 2]| {
            let mut header = vec![0x7f, b'E', b'L', b'F', class, 1];
            header.resize(18, 0);
            header.extend(machine);
            Arch::of_header(&header)
        };
        assert_eq!(header(2, [62, 0]), Some(Arch::Amd64));
        assert_eq!(header(1, [62, 0]), Some(Arch::Amd64), "the kernel does not look at the class");
        assert_eq!((header(1, [3, 0]), header(1, [6, 0])), (Some(Arch::X86), Some(Arch::X86)));
        assert_eq!((header(1, [40, 0]), header(1, [0, 40])), (Some(Arch::Arm), None));
        assert_eq!((header(2, [0, 22]), header(1, [0, 22]), header(2, [22, 0])), (Some(Arch::S390x), None, None));
        assert_eq!((header(2, [21, 0]), header(2, [0, 21])), (Some(Arch::Ppc64le), None));
        assert_eq!((header(2, [243, 0]), header(1, [243, 0])), (Some(Arch::Riscv64), None));
        assert_eq!((header(2, [8, 0]), header(1, [8, 0])), (Some(Arch::Mips64le), None));
        assert_eq!(Arch::of_header(b"\x7fELF"), None);
    }

    #[test]
    fn what_stands_twice_in_one_architecture_agrees() {
        for facts in Arch::ALL.map(Arch::facts) {
            let oci = facts.oci;
            assert!(facts.page_sizes.is_sorted() && !facts.page_sizes.is_empty(), "{oci}");
            let numbers = &facts.relocations;
            for known in [numbers.pointer, numbers.copy, numbers.jump_slot] {
                assert!(facts.musl_relocations.contains(&known), "{oci}: {known}");
            }
            assert!(facts.glibc.definition.contains(&numbers.jump_slot), "{oci}");
            assert!(!facts.glibc.definition.contains(&numbers.copy), "{oci}");
            assert!(!facts.musl_relocations.contains(&numbers.irelative), "{oci}: musl has no IFUNC");
            assert!(facts.default_variant.is_none_or(|variant| facts.variants.contains(&variant)), "{oci}");
            assert_eq!(facts.abi().triplet, facts.abis[0].triplet, "{oci}");
            assert!(facts.abis.iter().all(|abi| abi.takes(abi.flags)), "{oci}");
            // The class and byte order stand in the audit number too.
            assert_eq!(facts.audit & 0xffff, u32::from(facts.machine), "{oci}");
            assert_eq!(facts.audit & 1 << 31 != 0, facts.class.bits() == 64, "{oci}");
            assert_eq!(facts.audit & 1 << 30 != 0, facts.byte_order.number() == 1, "{oci}");
        }
    }
}
