//! The architectures, each with its file.

use super::facts::ArchFacts;
use super::{amd64, arm64};

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
}

impl Arch {
    /// The architecture of a word, in any of the usual spellings.
    pub fn from_word(word: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.facts().oci == word || arch.facts().gnu == word)
    }

    /// The architecture of an ELF `e_machine` value.
    pub fn from_machine(machine: u16) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.facts().machine == machine)
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

    use super::*;

    type Value = fn(&ArchFacts) -> String;

    /// A new architecture starts as a copy of another one: what may not be the same must have been changed.
    #[test]
    fn no_two_architectures_share_what_tells_them_apart() {
        let own: [(&str, Value); 10] = [
            ("oci", |facts| facts.oci.into()),
            ("gnu", |facts| facts.gnu.into()),
            ("debian", |facts| facts.debian.into()),
            ("triplet", |facts| facts.triplet.into()),
            ("qemu", |facts| facts.qemu.into()),
            ("audit", |facts| facts.audit.to_string()),
            ("machine", |facts| format!("{} {:?} {:?}", facts.machine, facts.class, facts.byte_order)),
            ("glibc's loader", |facts| facts.glibc.loader.into()),
            ("glibc's cache_flags", |facts| facts.glibc.cache_flags.to_string()),
            ("musl's loader", |facts| facts.musl.loader.into()),
        ];
        for (what, value) in own {
            let values: BTreeSet<String> = Arch::ALL.iter().map(|arch| value(arch.facts())).collect();
            assert_eq!(values.len(), Arch::ALL.len(), "{what}: {values:?}");
        }
    }

    #[test]
    fn what_stands_twice_in_one_architecture_agrees() {
        for facts in Arch::ALL.map(Arch::facts) {
            let oci = facts.oci;
            assert!(facts.glibc.loader.ends_with(&format!("/{}", facts.glibc.soname)), "{oci}");
            assert!(facts.page_sizes.is_sorted() && !facts.page_sizes.is_empty(), "{oci}");
            let numbers = &facts.relocations;
            for known in [numbers.copy, numbers.jump_slot] {
                assert!(facts.musl.relocations.contains(&known), "{oci}: {known}");
            }
            assert!(facts.glibc.definition.contains(&numbers.jump_slot), "{oci}");
            assert!(!facts.glibc.definition.contains(&numbers.copy), "{oci}");
            assert!(!facts.musl.relocations.contains(&numbers.irelative), "{oci}: musl has no IFUNC");
            // The class and byte order stand in the audit number too.
            assert_eq!(facts.audit & 0xffff, u32::from(facts.machine), "{oci}");
            assert_eq!(facts.audit & 1 << 31 != 0, facts.class.bits() == 64, "{oci}");
            assert_eq!(facts.audit & 1 << 30 != 0, facts.byte_order.number() == 1, "{oci}");
        }
    }
}
