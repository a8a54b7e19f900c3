//! The ways to run a command inside a tree, and what each does not prove.

use std::fmt;

/// How a command is run inside a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// New user, mount and process namespaces, with the tree as their root (user_namespaces(7)).
    Namespace,
    /// chroot(2) as the superuser.
    Chroot,
    /// The program's own loader, told where the libraries are; or the program itself, when it is static.
    Loader,
}

impl Way {
    /// All ways, the strongest first.
    pub const ALL: [Way; 3] = [Way::Namespace, Way::Chroot, Way::Loader];

    /// One word, as flags and JSON spell it.
    pub fn word(self) -> &'static str {
        match self {
            Way::Namespace => "namespace",
            Way::Chroot => "chroot",
            Way::Loader => "loader",
        }
    }

    /// What a run by this way leaves open, one line each.
    pub fn unproved(self) -> &'static [&'static str] {
        match self {
            Way::Namespace => &["what an engine takes away: its seccomp filter, its limits, its network"],
            Way::Chroot => &[
                "what an engine takes away: capabilities, its seccomp filter, its limits, its network",
                "what needs /proc or /sys: neither is mounted",
            ],
            Way::Loader => &[
                "absolute paths: a file that the program opens by one is this machine's, not the tree's",
                "that the kernel finds the loader at the path that is written in the program",
                "the user, the environment of a container, and every program that the command starts in its turn",
            ],
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Namespace => "a user namespace with the tree as its root",
            Way::Chroot => "chroot into the tree as root",
            Way::Loader => "the tree's own loader, run directly",
        })
    }
}

/// Why a way cannot be gone on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The way.
    pub way: Way,
    /// What was refused, and with which words.
    pub reason: String,
}
