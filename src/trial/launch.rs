//! One start, ready for execve(2): everything is made before the first fork, so that little is left to do after it.

use std::ffi::CString;
use std::fs::File;
use std::path::PathBuf;

use super::error::TrialError;
use super::users::Users;

/// A program to start, and where.
#[derive(Debug)]
pub(super) struct Launch {
    /// What is entered first.
    pub enter: Enter,
    /// The program.
    pub program: Program,
    /// Its words.
    pub words: Vec<CString>,
    /// Its environment.
    pub environment: Vec<CString>,
    /// Where it starts, as a path inside what is entered.
    pub folder: PathBuf,
    /// Who it becomes: user and groups, where this process may choose.
    pub user: Option<(u32, Vec<u32>)>,
    /// Whether it gets the network of this machine; otherwise it has none.
    pub network: bool,
    /// Most processes and threads that its user may have.
    pub processes: u64,
}

/// What is entered before the program starts.
#[derive(Clone, Debug)]
pub(super) enum Enter {
    /// New namespaces, with this directory as the root and these users.
    Namespaces(PathBuf, Users),
    /// This directory, with chroot(2).
    Root(PathBuf),
    /// Nothing.
    Nothing,
}

/// What execve(2) gets.
#[derive(Debug)]
pub(super) enum Program {
    /// The file at a path inside what is entered.
    Path(CString),
    /// An emulator that is open already, since it lies outside; and the file that it runs.
    Emulated {
        /// The emulator.
        emulator: File,
        /// Its words.
        words: Vec<CString>,
        /// The line that makes the kernel itself call the emulator for every such program (binfmt_misc), which namespaces
        /// allow since Linux 6.7.
        registration: Option<Vec<u8>>,
        /// The file, for a kernel that took the registration.
        file: CString,
    },
}

/// A word for a system call.
pub(super) fn word(bytes: impl Into<Vec<u8>>) -> Result<CString, TrialError> {
    CString::new(bytes).map_err(|error| TrialError::Nul(String::from_utf8_lossy(&error.into_vec()).into_owned()))
}
