//! The methods to run a command inside a tree, and what a run with each does not show.

use std::fmt;

/// How a command is run inside a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// New user, mount, process and network namespaces, with the tree as their root (user_namespaces(7)).
    Namespace,
    /// chroot(2) as root.
    Chroot,
    /// The program's own loader with the tree's libraries; or the program itself, if it is static.
    Loader,
}

impl Method {
    /// All methods, the strongest first.
    pub const ALL: [Method; 3] = [Method::Namespace, Method::Chroot, Method::Loader];

    /// One word, as flags and JSON spell it.
    pub fn word(self) -> &'static str {
        match self {
            Method::Namespace => "namespace",
            Method::Chroot => "chroot",
            Method::Loader => "loader",
        }
    }

    /// Whether the method keeps the command from the files and processes of this machine. One that does not is used only
    /// for a tree that the caller trusts.
    pub fn confines(self) -> bool {
        match self {
            Method::Namespace => true,
            Method::Chroot | Method::Loader => false,
        }
    }

    /// What a run with this method does not show, one line each.
    pub fn not_shown(self) -> &'static [&'static str] {
        match self {
            Method::Namespace => &[
                "the exact limits of an engine: its capabilities, seccomp filter, memory and CPU limits, and its network",
                "setuid, setgid and file capabilities: no program gets more rights than its caller",
            ],
            Method::Chroot => &[
                "the exact limits of an engine: its capabilities, seccomp filter, memory and CPU limits, and its network",
                "setuid, setgid and file capabilities: no program gets more rights than its caller",
                "/proc and /sys: neither is mounted",
            ],
            Method::Loader => &[
                "absolute paths: a file that the program opens by an absolute path is this machine's, not the tree's",
                "whether the kernel finds the loader at the path that the program names",
                "the user, the environment of a container, and the programs that the command starts",
            ],
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a method cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The method.
    pub method: Method,
    /// What was refused, with the system's own message.
    pub reason: String,
}
