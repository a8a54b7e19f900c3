//! The keeper: the process between us and the command, which sees to it that nothing of the command stays behind.

#![expect(
    clippy::disallowed_methods,
    reason = "a time limit needs a clock, and the keeper finds its children in /proc"
)]

use std::fs;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::enter::{Refused, Step, enter};
use super::launch::{Enter, Launch};

/// How often the keeper looks around, in milliseconds.
const TICK: u16 = 10;

/// What the keeper tells us, six bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// It is in its namespaces and waits for the map of users.
    Unshared,
    /// A step was refused, by the keeper or the command's process.
    Refused(Step, i32),
    /// The command ended with this status.
    Exited(i32),
    /// The command was ended by this signal.
    Signalled(i32),
    /// The time was over.
    TimedOut,
}

impl Message {
    /// Length in bytes; a pipe carries so few at once or not at all.
    const LENGTH: usize = 6;

    fn write(self, to: &File) {
        let (kind, step, value) = match self {
            Message::Unshared => (1, 0, 0),
            Message::Refused(step, errno) => (2, step as u8, errno),
            Message::Exited(status) => (3, 0, status),
            Message::Signalled(signal) => (4, 0, signal),
            Message::TimedOut => (5, 0, 0),
        };
        let mut bytes = [kind, step, 0, 0, 0, 0];
        bytes[2..].copy_from_slice(&value.to_ne_bytes());
        // Who should hear it is gone when this fails.
        let _ = (&*to).write_all(&bytes);
    }

    /// The next message; `None` when nobody is left who could send one.
    pub fn read(from: &File) -> Option<Message> {
        let mut bytes = [0; Message::LENGTH];
        (&*from).read_exact(&mut bytes).ok()?;
        let [kind, step, value @ ..] = bytes;
        let value = i32::from_ne_bytes(value);
        match kind {
            1 => Some(Message::Unshared),
            2 => Some(Message::Refused(Step::of(step)?, value)),
            3 => Some(Message::Exited(value)),
            4 => Some(Message::Signalled(value)),
            5 => Some(Message::TimedOut),
            _ => None,
        }
    }
}

/// What the keeper is to do, and the ends of pipes that it holds.
pub(super) struct Task<'a> {
    /// The command; without one only the namespaces are tried.
    pub launch: Option<&'a Launch>,
    /// Whether namespaces are made.
    pub namespaces: bool,
    /// How long the command may take.
    pub limit: Option<Duration>,
    /// From us: one byte when the users are mapped; its end when we are no more.
    pub lifeline: File,
    /// To us.
    pub report: File,
    /// The command's standard input, when it is not ours.
    pub input: Option<&'a File>,
    /// The command's standard output, when it is caught.
    pub output: Option<File>,
}

/// The keeper's whole life; it ends with its process.
pub(super) fn keep(task: &Task<'_>) {
    // Ctrl-C at a terminal reaches everybody. It is for the command; the keeper goes when the command does.
    for name in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP] {
        set(name, SigHandler::SigIgn);
    }
    if let Err((step, errno)) = watch(task) {
        Message::Refused(step, errno as i32).write(&task.report);
    }
}

fn set(name: Signal, handler: SigHandler) {
    #[expect(unsafe_code, reason = "signal(2) is unsafe for handlers that run code; these run none")]
    // SAFETY: ignoring a signal, or its default, calls nothing of ours.
    let _ = unsafe { signal(name, handler) };
}

fn watch(task: &Task<'_>) -> Result<(), Refused> {
    if task.namespaces {
        use nix::sched::{CloneFlags, unshare};
        let new = CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS;
        unshare(new).map_err(|error| (Step::Namespaces, error))?;
        Message::Unshared.write(&task.report);
        if !matches!((&task.lifeline).read(&mut [0]), Ok(1)) {
            return Ok(());
        }
    }
    let Some(launch) = task.launch else {
        Message::Exited(0).write(&task.report);
        return Ok(());
    };
    nix::sys::prctl::set_child_subreaper(true).map_err(|error| (Step::Process, error))?;
    #[expect(unsafe_code, reason = "fork(2) has no safe form")]
    // SAFETY: this process has one thread, since it came out of a fork itself.
    match unsafe { fork() }.map_err(|error| (Step::Process, error))? {
        ForkResult::Child => {
            for name in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGPIPE] {
                set(name, SigHandler::SigDfl);
            }
            let (step, error) = enter(launch, task.input, task.output.as_ref());
            Message::Refused(step, error as i32).write(&task.report);
        }
        ForkResult::Parent { child } => {
            let end = wait(child, task.limit, &task.lifeline);
            // A command that is over is reaped, and its number may be somebody else's by now.
            if matches!(end, None | Some(Message::TimedOut)) {
                let _ = kill(child, Signal::SIGKILL);
            }
            // With its own numbers for processes the whole family ends with its first.
            end_family(matches!(launch.enter, Enter::Namespaces(..)));
            if let Some(message) = end {
                message.write(&task.report);
            }
        }
    }
    Ok(())
}

/// Waits until the command is over, its time is, or sazare is. Reaps orphans on the way.
fn wait(child: Pid, limit: Option<Duration>, lifeline: &File) -> Option<Message> {
    let start = Instant::now();
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => return Some(Message::Exited(status)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Some(Message::Signalled(signal as i32));
            }
            Ok(WaitStatus::StillAlive) => {}
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(_) => return None,
        }
        if limit.is_some_and(|limit| start.elapsed() >= limit) {
            return Some(Message::TimedOut);
        }
        let mut line = [PollFd::new(lifeline.as_fd(), PollFlags::POLLIN)];
        // Nothing more is ever written to the lifeline: it can only break.
        if matches!(poll(&mut line, PollTimeout::from(TICK)), Ok(1..)) {
            return None;
        }
    }
}

/// Kills what is left of the family and waits for it. Orphans become children of the keeper, so after each round the
/// next generation can be seen, until there is none.
fn end_family(whole: bool) {
    loop {
        if !whole {
            for pid in children() {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return,
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
            Ok(_) | Err(_) => {}
        }
    }
}

/// The children of this process, as `/proc` shows them: proc_pid_stat(5), the fourth field.
fn children() -> Vec<Pid> {
    let own = std::process::id().to_string();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let names = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let numbers = names.filter_map(|name| name.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The second field is a name in brackets, in which anything may stand.
        let rest = stat.rsplit(|byte| *byte == b')').next().unwrap_or_default();
        rest.split(|byte| *byte == b' ').nth(2) == Some(own.as_bytes())
    };
    numbers.filter(is_child).map(Pid::from_raw).collect()
}
