//! Names of `e_machine` values, also of machines whose programs are not verified.

use super::arch::Arch;
use super::facts::{ByteOrder, Class};

/// The name of an `e_machine` in a file of this class and byte order: OCI's word where there is one.
pub fn machine_name(machine: u16, class: Class, order: ByteOrder) -> String {
    let is_it = |arch: &Arch| {
        let facts = arch.facts();
        facts.has_machine(machine) && facts.byte_order == order && (!facts.class_in_ident || facts.class == class)
    };
    if let Some(arch) = Arch::ALL.into_iter().find(is_it) {
        return arch.facts().oci.to_string();
    }
    let name = match (machine, class, order) {
        (2, ..) => "sparc",
        (8, Class::Elf32, ByteOrder::Little) => "mipsle",
        (8, Class::Elf32, ByteOrder::Big) => "mips",
        (8, Class::Elf64, ByteOrder::Big) => "mips64",
        (20, ..) => "ppc",
        (21, ..) => "ppc64",
        (22, ..) => "s390",
        (40, ..) => "armbe",
        (43, ..) => "sparc64",
        (183, ..) => "arm64be",
        (243, Class::Elf32, _) => "riscv",
        (247, ..) => "bpf",
        (other, ..) => return format!("ELF machine {other}"),
    };
    name.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shares_a_number_is_told_apart() {
        let name = |machine, class, order| machine_name(machine, class, order);
        assert_eq!(name(62, Class::Elf64, ByteOrder::Little), "amd64");
        // The kernel does not look at the class here.
        assert_eq!(name(62, Class::Elf32, ByteOrder::Little), "amd64");
        assert_eq!(name(6, Class::Elf32, ByteOrder::Little), "386");
        assert_eq!(name(21, Class::Elf64, ByteOrder::Little), "ppc64le");
        assert_eq!(name(21, Class::Elf64, ByteOrder::Big), "ppc64");
        assert_eq!(name(22, Class::Elf64, ByteOrder::Big), "s390x");
        assert_eq!(name(22, Class::Elf32, ByteOrder::Big), "s390");
        assert_eq!(name(8, Class::Elf64, ByteOrder::Little), "mips64le");
        assert_eq!(name(8, Class::Elf32, ByteOrder::Little), "mipsle");
        assert_eq!(name(243, Class::Elf32, ByteOrder::Little), "riscv");
        assert_eq!(name(999, Class::Elf64, ByteOrder::Little), "ELF machine 999");
    }
}
