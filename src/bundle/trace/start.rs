//! The first process of a run: forked, stopped until it is traced, filtered, and then the program.

#![expect(
    unsafe_code,
    reason = "fork(2) and what follows it until execve(2) have no safe form that a tracer could use"
)]

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::libc::{self, sock_fprog};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::error::TraceError;
use super::filter::{filter, program};
use super::tracee::{self, Number};

/// A program that is run to see what it uses.
pub struct Run<'a> {
    /// The program, as an absolute path.
    pub program: &'a Path,
    /// Its arguments, without its name.
    pub arguments: &'a [String],
    /// Its environment: `NAME=VALUE`.
    pub environment: &'a [Vec<u8>],
    /// Where it starts.
    pub folder: &'a Path,
    /// What it reads. Default: nothing.
    pub stdin: Option<&'a [u8]>,
    /// How long it may run.
    pub limit: Duration,
    /// Whether what it writes is shown, all of it on standard error.
    pub shown: bool,
}

/// Everything that is needed behind fork(2), made before it: there nothing may be allocated any more.
struct Ready {
    program: CString,
    folder: CString,
    words: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    signals: libc::sigset_t,
    filter: sock_fprog,
    stdin: i32,
    stdout: i32,
    report: i32,
}

/// What the child reports: whether it has a filter, and the number of the error that it ended with.
const FILTERED: u8 = 1;
const UNFILTERED: u8 = 0;

/// Starts a run: its first process is traced and on its way to execve(2) when this returns. Gives its number, and where
/// its report comes from.
pub(super) fn start(run: &Run<'_>) -> Result<(Number, File), TraceError> {
    let system = |what| move |error: io::Error| TraceError::System(what, error);
    let word =
        |bytes: &[u8]| CString::new(bytes).map_err(|_| TraceError::Nul(String::from_utf8_lossy(bytes).into_owned()));
    let program_word = word(run.program.as_os_str().as_bytes())?;
    let mut words = vec![program_word.clone()];
    for argument in run.arguments {
        words.push(word(argument.as_bytes())?);
    }
    let environment = run.environment.iter().map(|text| word(text)).collect::<Result<Vec<_>, _>>()?;
    let stdin = match run.stdin {
        Some(text) => input(text).map_err(system("its input"))?,
        None => OwnedFd::from(File::open("/dev/null").map_err(system("/dev/null"))?),
    };
    let nowhere = File::options().write(true).open("/dev/null").map_err(system("/dev/null"))?;
    let (from_child, report) = pipe2(OFlag::O_CLOEXEC).map_err(|error| TraceError::System("a pipe", error.into()))?;
    let mut statements = filter();
    let pointers =
        |words: &[CString]| words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
    let ready = Ready {
        program: program_word,
        folder: word(run.folder.as_os_str().as_bytes())?,
        words: pointers(&words),
        environment: pointers(&environment),
        signals: *SigSet::empty().as_ref(),
        filter: program(&mut statements),
        stdin: stdin.as_raw_fd(),
        stdout: if run.shown { libc::STDERR_FILENO } else { nowhere.as_raw_fd() },
        report: report.as_raw_fd(),
    };
    // SAFETY: the child calls nothing but system calls, on memory that was made ready, until execve(2) or _exit(2).
    let child = match unsafe { fork() }.map_err(|error| TraceError::System("fork", error.into()))? {
        ForkResult::Child => become_program(&ready),
        ForkResult::Parent { child } => child.as_raw(),
    };
    drop(report);
    // It stops itself; then it is seized, and goes on.
    let mut status = 0;
    // SAFETY: the kernel writes one number into `status`.
    let waited = unsafe { libc::waitpid(child, &raw mut status, libc::WUNTRACED) };
    if waited == -1 {
        return Err(TraceError::System("waitpid", io::Error::last_os_error()));
    }
    if let Err(error) = tracee::seize(child) {
        tracee::kill(child);
        // SAFETY: as above; the child is ours, and is dead.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        return Err(TraceError::Forbidden(error));
    }
    let _ = kill(Pid::from_raw(child), Signal::SIGCONT);
    Ok((child, File::from(from_child)))
}

/// What the first process reported before it became the program or ended: whether it has a filter, and why it did not become the program.
pub(super) fn report(from_child: &mut File) -> (bool, Option<io::Error>) {
    let mut bytes = Vec::new();
    let _ = from_child.read_to_end(&mut bytes);
    let filtered = bytes.first() == Some(&FILTERED);
    let error = bytes.get(1..5).and_then(|bytes| bytes.try_into().ok()).map(i32::from_le_bytes);
    (filtered, error.map(io::Error::from_raw_os_error))
}

/// A file without a name that holds a text.
fn input(text: &[u8]) -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("input", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(text)?;
    io::Seek::rewind(&mut file)?;
    Ok(file.into())
}

/// The child's part.
fn become_program(ready: &Ready) -> ! {
    let report = |bytes: &[u8]| {
        // SAFETY: `bytes` is memory of ours. A broken pipe cannot be reported.
        unsafe { libc::write(ready.report, bytes.as_ptr().cast(), bytes.len()) };
    };
    // SAFETY: plain system calls on numbers, and on memory that was made before the fork and is not changed. `words` and
    // `environment` end with a null pointer, as execve(2) asks for.
    unsafe {
        libc::raise(libc::SIGSTOP);
        // This process waits for signals in a thread; the program gets them as usual.
        libc::sigprocmask(libc::SIG_SETMASK, &raw const ready.signals, std::ptr::null_mut());
        libc::dup2(ready.stdin, libc::STDIN_FILENO);
        libc::dup2(ready.stdout, libc::STDOUT_FILENO);
        if libc::chdir(ready.folder.as_ptr()) == 0 {
            // A process may set a filter if it gives up gaining rights with execve(2); traced programs gain none anyway.
            let filtered = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const ready.filter) == 0;
            report(&[if filtered { FILTERED } else { UNFILTERED }]);
            libc::execve(ready.program.as_ptr(), ready.words.as_ptr(), ready.environment.as_ptr());
        } else {
            report(&[UNFILTERED]);
        }
        let error = *libc::__errno_location();
        report(&error.to_le_bytes());
        libc::_exit(127)
    }
}
