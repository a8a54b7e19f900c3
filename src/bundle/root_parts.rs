//! Which parts of a root file system on this machine are read when only programs and their libraries are wanted, and which never.

/// The kernel's own directories: never part of a root or of a bundle.
pub(crate) const KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];

/// What else belongs to the machine that runs, and not to its root file system.
pub(crate) const RUNNING: &str = "/run";

/// Where libraries are: read with everything below.
pub(crate) const LIBRARIES: [&str; 11] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/libexec",
    "/usr/local/lib",
    "/usr/local/lib64",
];

/// Where programs and settings are: read without the directories in them.
pub(crate) const PROGRAMS: [&str; 9] =
    ["/", "/etc", "/usr", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// What loaders read for one program, by how the path begins: `/lib` stands for `/lib64` and `/lib32` too.
pub(crate) const LOADERS: [&str; 7] =
    ["/lib", "/usr/lib", "/usr/local/lib", "/opt", "/etc/ld.so.cache", "/etc/ld.so.preload", "/system/bin"];
