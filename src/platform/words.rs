//! The words for operating systems and architectures, as OCI takes them from Go (`go tool dist list`).

/// Operating systems (GOOS).
pub(super) const SYSTEMS: [&str; 16] = [
    "linux",
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "js",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
    "zos",
];

/// Architectures (GOARCH).
pub(super) const ARCHITECTURES: [&str; 14] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64",
    "s390x", "wasm",
];

#[cfg(test)]
mod tests {
    use super::super::arch::Arch;
    use super::*;

    #[test]
    fn every_architecture_that_is_verified_has_a_word_of_oci() {
        for facts in Arch::ALL.map(Arch::facts) {
            assert!(ARCHITECTURES.contains(&facts.oci), "{}", facts.oci);
        }
    }
}
