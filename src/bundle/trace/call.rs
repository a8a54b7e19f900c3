//! The system calls that take a path, and what each does with it.

use std::fmt;

use nix::libc;

/// One path that a run used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Traced {
    /// The path, absolute, as it was spelled.
    pub path: Vec<u8>,
    /// Whether a link at its end was followed.
    pub follow: bool,
    /// How the run used it.
    pub used: Use,
}

/// How a run used a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// As a file that it opened.
    Opened,
    /// As a program that it executed.
    Executed,
    /// As something that it looked at, by stat(2) or access(2).
    LookedAt,
    /// As a link that it read.
    LinkRead,
    /// As its working directory.
    Entered,
}

impl Use {
    /// All of them.
    pub const ALL: [Use; 5] = [Use::Opened, Use::Executed, Use::LookedAt, Use::LinkRead, Use::Entered];

    /// Its code in reports and annotations, the same in every release.
    pub fn code(self) -> &'static str {
        match self {
            Use::Opened => "opened",
            Use::Executed => "executed",
            Use::LookedAt => "looked-at",
            Use::LinkRead => "link-read",
            Use::Entered => "entered",
        }
    }

    /// The use with this code.
    pub fn from_code(code: &str) -> Option<Use> {
        Use::ALL.into_iter().find(|used| used.code() == code)
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Use::Opened => "opened",
            Use::Executed => "executed",
            Use::LookedAt => "looked at",
            Use::LinkRead => "read as a link",
            Use::Entered => "entered",
        })
    }
}

/// A system call that takes a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Its number on this machine.
    pub number: libc::c_long,
    /// The position of the handle of a directory that the path starts from.
    pub directory: Option<usize>,
    /// The position of the path.
    pub path: usize,
    /// Whether a link at its end is followed.
    pub follow: Follow,
    /// What it does.
    pub action: Action,
}

/// Whether a link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    Yes,
    No,
    /// Unless this bit is set in the argument at this position.
    Unless(usize, u64),
}

/// What a call does with its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Opens it, with the flags at this position.
    Open(usize),
    /// Opens it, with the structure at this position.
    OpenHow(usize),
    /// Executes it.
    Execute,
    /// Looks at it.
    Look,
    /// Reads it as a link.
    ReadLink,
    /// Makes it the working directory.
    Enter,
    /// Makes it.
    Make,
}

impl Action {
    /// How the run used the path; `None` if it made what is there.
    pub fn used(self) -> Option<Use> {
        match self {
            Action::Open(_) | Action::OpenHow(_) => Some(Use::Opened),
            Action::Execute => Some(Use::Executed),
            Action::Look => Some(Use::LookedAt),
            Action::ReadLink => Some(Use::LinkRead),
            Action::Enter => Some(Use::Entered),
            Action::Make => None,
        }
    }
}

const NOFOLLOW: u64 = libc::AT_SYMLINK_NOFOLLOW as u64;

const fn at(number: libc::c_long, follow: Follow, action: Action) -> Call {
    Call { number, directory: Some(0), path: 1, follow, action }
}

const fn plain(number: libc::c_long, follow: Follow, action: Action) -> Call {
    Call { number, directory: None, path: 0, follow, action }
}

const fn made(number: libc::c_long, directory: Option<usize>, path: usize) -> Call {
    Call { number, directory, path, follow: Follow::No, action: Action::Make }
}

/// The calls that every architecture has.
const EVERYWHERE: [Call; 19] = [
    at(libc::SYS_openat, Follow::Unless(2, libc::O_NOFOLLOW as u64), Action::Open(2)),
    at(libc::SYS_openat2, Follow::Yes, Action::OpenHow(2)),
    plain(libc::SYS_execve, Follow::Yes, Action::Execute),
    at(libc::SYS_execveat, Follow::Unless(4, NOFOLLOW), Action::Execute),
    at(libc::SYS_newfstatat, Follow::Unless(3, NOFOLLOW), Action::Look),
    at(libc::SYS_statx, Follow::Unless(2, NOFOLLOW), Action::Look),
    at(libc::SYS_faccessat, Follow::Yes, Action::Look),
    at(libc::SYS_faccessat2, Follow::Unless(3, NOFOLLOW), Action::Look),
    plain(libc::SYS_statfs, Follow::Yes, Action::Look),
    at(libc::SYS_readlinkat, Follow::No, Action::ReadLink),
    plain(libc::SYS_chdir, Follow::Yes, Action::Enter),
    made(libc::SYS_mkdirat, Some(0), 1),
    made(libc::SYS_mknodat, Some(0), 1),
    made(libc::SYS_symlinkat, Some(1), 2),
    made(libc::SYS_linkat, Some(2), 3),
    made(libc::SYS_renameat2, Some(2), 3),
    // Extended attributes are looked at as the rest of an inode is.
    plain(libc::SYS_getxattr, Follow::Yes, Action::Look),
    plain(libc::SYS_lgetxattr, Follow::No, Action::Look),
    plain(libc::SYS_listxattr, Follow::Yes, Action::Look),
];

/// The calls that newer architectures were not given any more.
#[cfg(target_arch = "x86_64")]
const OLDER: [Call; 12] = [
    plain(libc::SYS_open, Follow::Unless(1, libc::O_NOFOLLOW as u64), Action::Open(1)),
    plain(libc::SYS_stat, Follow::Yes, Action::Look),
    plain(libc::SYS_lstat, Follow::No, Action::Look),
    plain(libc::SYS_access, Follow::Yes, Action::Look),
    plain(libc::SYS_readlink, Follow::No, Action::ReadLink),
    made(libc::SYS_creat, None, 0),
    made(libc::SYS_mkdir, None, 0),
    made(libc::SYS_mknod, None, 0),
    made(libc::SYS_symlink, None, 1),
    made(libc::SYS_link, None, 1),
    made(libc::SYS_rename, None, 1),
    made(libc::SYS_renameat, Some(2), 3),
];
/// `renameat` in the kernel's common table, which `libc` does not name everywhere.
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [Call; 1] = [made(38, Some(2), 3)];

/// All calls that take a path.
pub(super) fn calls() -> impl Iterator<Item = &'static Call> {
    EVERYWHERE.iter().chain(&OLDER)
}

/// The call of a number.
pub(super) fn call(number: u64) -> Option<&'static Call> {
    calls().find(|call| call.number as u64 == number)
}
