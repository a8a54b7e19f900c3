//! A process or thread that is traced: the few requests of ptrace(2) that are needed, each in a safe form.

#![expect(unsafe_code, reason = "ptrace(2) and waitpid(2) with real-time signals have no safe form")]

use std::ffi::c_void;
use std::io::{self, IoSliceMut};

use nix::libc;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// `PTRACE_GET_SYSCALL_INFO`, since Linux 5.3.
const GET_SYSCALL_INFO: libc::c_uint = 0x420e;

/// The stop that a new tracee begins with, and that group-stops have.
pub(super) const EVENT_STOP: i32 = 128;

/// Memory is read page by page: a path may end right before one that is not there.
const PAGE: usize = 4096;

/// The longest path that the kernel takes.
const PATH_MAX: usize = 4096;

/// The number of a process or thread.
pub(super) type Number = libc::pid_t;

/// Where a tracee stands with a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Before it: its number and arguments.
    Entry(u64, [u64; 6]),
    /// Behind it: whether it was a success, and its value.
    Exit(bool, i64),
    /// In none.
    None,
}

/// What waitpid(2) reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateChange {
    /// It ended by itself.
    Ended(i32),
    /// It was ended by a signal.
    Killed(i32),
    /// It stands before or behind a system call.
    Call,
    /// It stopped for this event.
    Event(i32),
    /// It is about to get this signal.
    Signal(i32),
}

/// One request, with numbers only.
fn request(request: libc::c_uint, tracee: Number, address: usize, data: usize) -> io::Result<i64> {
    let (address, data) = (address as *mut c_void, data as *mut c_void);
    // SAFETY: the requests that come here read `data` as a number and write nothing into our memory.
    let value = unsafe { libc::ptrace(request as _, tracee, address, data) };
    if value == -1 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// Begins to trace a process that has stopped itself; whatever it starts is traced too, and dies with us.
pub(super) fn seize(tracee: Number) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACESECCOMP
        | libc::PTRACE_O_EXITKILL;
    request(libc::PTRACE_SEIZE as _, tracee, 0, options as usize).map(drop)
}

/// Lets it go on, to the next stop of any call when `to_call`. A tracee that is gone is not an error: its end is reported.
pub(super) fn resume(tracee: Number, to_call: bool, signal: i32) {
    let how = if to_call { libc::PTRACE_SYSCALL } else { libc::PTRACE_CONT };
    let _ = request(how as _, tracee, 0, signal as usize);
}

/// Ends it.
pub(super) fn kill(tracee: Number) {
    let _ = nix::sys::signal::kill(Pid::from_raw(tracee), nix::sys::signal::Signal::SIGKILL);
}

/// The number that an event is about: of who was before, at an execve(2).
pub(super) fn event_message(tracee: Number) -> Option<Number> {
    let mut value: libc::c_ulong = 0;
    // SAFETY: the kernel writes one number into `value`, which lives until the call is over.
    let done =
        unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG as _, tracee, std::ptr::null_mut::<c_void>(), &raw mut value) };
    if done == -1 { None } else { Number::try_from(value).ok() }
}

/// Where it stands with a system call.
pub(super) fn standing(tracee: Number) -> io::Result<At> {
    // The kernel's `struct ptrace_syscall_info`, in words of 64 bits: what and machine, two pointers, then by what it is.
    let mut words = [0_u64; 12];
    let size = size_of_val(&words);
    // SAFETY: the kernel writes at most `size` bytes into `words`, which lives until the call is over.
    let done = unsafe { libc::ptrace(GET_SYSCALL_INFO as _, tracee, size, words.as_mut_ptr()) };
    if done == -1 {
        return Err(io::Error::last_os_error());
    }
    let [what, _, _, number, a, b, c, d, e, f, ..] = words;
    Ok(match what & 0xff {
        // Entry, and the stop of a filter.
        1 | 3 => At::Entry(number, [a, b, c, d, e, f]),
        2 => At::Exit(a & 0xff == 0, number.cast_signed()),
        _ => At::None,
    })
}

/// Waits for any tracee of this thread. `None` when there is none any more.
pub(super) fn wait() -> io::Result<Option<(Number, StateChange)>> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one number into `status`. `__WNOTHREAD` keeps children of other threads out of it.
        let tracee = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        if tracee == -1 {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::ECHILD) => return Ok(None),
                Some(libc::EINTR) => continue,
                _ => return Err(error),
            }
        }
        return Ok(Some((tracee, state_change(status))));
    }
}

fn state_change(status: i32) -> StateChange {
    if libc::WIFEXITED(status) {
        return StateChange::Ended(libc::WEXITSTATUS(status));
    }
    if libc::WIFSIGNALED(status) {
        return StateChange::Killed(libc::WTERMSIG(status));
    }
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        0 if signal == libc::SIGTRAP | 0x80 => StateChange::Call,
        0 => StateChange::Signal(signal),
        event => StateChange::Event(event),
    }
}

/// The text at an address of the tracee, up to its NUL.
pub(super) fn text(tracee: Number, address: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut at = usize::try_from(address).ok().filter(|at| *at != 0)?;
    while text.len() < PATH_MAX {
        let mut page = [0; PAGE];
        let wanted = PAGE - at % PAGE;
        let count = read(tracee, at, &mut page[..wanted])?;
        let part = page.get(..count)?;
        if let Some(end) = part.iter().position(|&byte| byte == 0) {
            text.extend_from_slice(&part[..end]);
            return Some(text);
        }
        text.extend_from_slice(part);
        at = at.checked_add(count).filter(|_| count > 0)?;
    }
    None
}

/// One number at an address of the tracee.
pub(super) fn number(tracee: Number, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    let count = read(tracee, usize::try_from(address).ok()?, &mut bytes)?;
    (count == bytes.len()).then(|| u64::from_le_bytes(bytes))
}

fn read(tracee: Number, base: usize, into: &mut [u8]) -> Option<usize> {
    let len = into.len();
    process_vm_readv(Pid::from_raw(tracee), &mut [IoSliceMut::new(into)], &[RemoteIoVec { base, len }]).ok()
}
