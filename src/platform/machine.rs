//! Names of `e_machine` values, also of machines that no image is made for.

use super::arch::Arch;

/// The name of an `e_machine`: OCI's word where there is one.
pub fn machine_name(machine: u16) -> String {
    if let Some(arch) = Arch::from_machine(machine) {
        return arch.facts().oci.to_string();
    }
    let name = match machine {
        2 => "sparc",
        3 | 6 => "386",
        8 => "mips",
        20 => "ppc",
        21 => "ppc64le",
        22 => "s390x",
        40 => "arm",
        43 => "sparc64",
        243 => "riscv64",
        247 => "bpf",
        258 => "loong64",
        other => return format!("ELF machine {other}"),
    };
    name.to_string()
}
