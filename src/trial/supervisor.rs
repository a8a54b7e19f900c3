//! The supervisor: the process between us and the command. It sees to it that no process of the command stays behind.

#![expect(clippy::disallowed_methods, reason = "a time limit needs a clock")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, setpgid};

use super::confine::{PROCESSES_MAX, processes};
use super::control_group::ControlGroup;
use super::descendants;
use super::enter::{Refused, Step, enter};
use super::launch::Launch;

/// How often the supervisor looks around, in milliseconds.
const TICK: u16 = 10;

/// The signals that a terminal and a shell send.
const SIGNALS: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];

/// What the supervisor reports, six bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// It is in its namespaces and waits for the map of users.
    Unshared,
    /// It goes on without namespaces, which this machine refuses.
    NotUnshared,
    /// A step was refused, to the supervisor or the command's process.
    Refused(Step, i32),
    /// The command ended with this status.
    Exited(i32),
    /// The command was ended by this signal.
    Signalled(i32),
    /// The time was over.
    TimedOut,
    /// The command had more processes than it may.
    TooMany,
    /// Not all processes could be ended.
    StillRunning,
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
            Message::NotUnshared => (6, 0, 0),
            Message::TooMany => (7, 0, 0),
            Message::StillRunning => (8, 0, 0),
        };
        let mut bytes = [kind, step, 0, 0, 0, 0];
        bytes[2..].copy_from_slice(&value.to_ne_bytes());
        // Who should hear it is gone when this fails.
        let _ = (&*to).write_all(&bytes);
    }

    /// The next message; `None` when no process is left that could send one.
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
            6 => Some(Message::NotUnshared),
            7 => Some(Message::TooMany),
            8 => Some(Message::StillRunning),
            _ => None,
        }
    }
}

/// The namespaces that a command gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespaces {
    /// All kinds; without them nothing runs.
    All,
    /// Users and processes, if this machine allows them: so that all processes end at once.
    Users,
    /// Processes, if this machine allows them: the same for root.
    Processes,
}

impl Namespaces {
    /// Whether we have to write the map of users.
    pub fn have_users(self) -> bool {
        match self {
            Namespaces::All | Namespaces::Users => true,
            Namespaces::Processes => false,
        }
    }

    /// The kinds, the most first.
    fn kinds(self, network: bool) -> [CloneFlags; 2] {
        let network = if network { CloneFlags::empty() } else { CloneFlags::CLONE_NEWNET };
        let few = CloneFlags::CLONE_NEWPID;
        let more = few | network | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
        let users = CloneFlags::CLONE_NEWUSER;
        match self {
            Namespaces::All => [
                users | more | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP,
                users | more | CloneFlags::CLONE_NEWNS,
            ],
            Namespaces::Users => [users | more, users | few],
            Namespaces::Processes => [more, few],
        }
    }
}

/// What the supervisor is to do, and the ends of pipes that it holds.
pub(super) struct Task<'a> {
    /// The command; without one only the namespaces are tried.
    pub launch: Option<&'a Launch>,
    /// The control group that it joins.
    pub group: Option<&'a ControlGroup>,
    /// The namespaces that it gets.
    pub namespaces: Namespaces,
    /// How long the command may take.
    pub limit: Option<Duration>,
    /// From us: one byte when the users are mapped; its end when we are gone.
    pub lifeline: File,
    /// To us.
    pub report: File,
    /// The command's standard input, when it is not ours.
    pub input: Option<&'a File>,
    /// The command's standard output, when it is caught.
    pub output: Option<File>,
}

/// The supervisor's whole life; it ends with its process.
pub(super) fn supervise(task: &Task<'_>) {
    if let Err((step, errno)) = watch(task) {
        Message::Refused(step, errno as i32).write(&task.report);
    }
}

/// How a wait ended.
enum End {
    /// With this to report.
    Report(Message),
    /// With this to report, and the command still runs.
    Killed(Message),
    /// With a report that another process has sent.
    Reported,
    /// With sazare.
    Abandoned,
}

fn watch(task: &Task<'_>) -> Result<(), Refused> {
    // A group of its own: Ctrl-C at a terminal reaches sazare, which then ends us and with us everything.
    let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    let signals: SigSet = SIGNALS.into_iter().collect();
    signals.thread_block().map_err(|error| (Step::Process, error))?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(|error| (Step::Process, error))?;
    let join = || task.group.map(ControlGroup::join);
    let network = task.launch.is_some_and(|launch| launch.network);
    let [most, least] = task.namespaces.kinds(network);
    let unshared = unshare(most).map(|()| most).or_else(|_| unshare(least).map(|()| least));
    match (unshared, task.namespaces) {
        (Err(error), Namespaces::All) => return Err((Step::Namespaces, error)),
        (Err(_), Namespaces::Users) => Message::NotUnshared.write(&task.report),
        (Ok(_), Namespaces::All | Namespaces::Users) => {
            Message::Unshared.write(&task.report);
            if !matches!((&task.lifeline).read(&mut [0]), Ok(1)) {
                return Ok(());
            }
        }
        (_, Namespaces::Processes) => {}
    }
    let Some(launch) = task.launch else {
        Message::Exited(0).write(&task.report);
        return Ok(());
    };
    prctl::set_child_subreaper(true).map_err(|error| (Step::Process, error))?;
    let own_network = unshared.is_ok_and(|kinds| kinds.contains(CloneFlags::CLONE_NEWNET));
    let command = || {
        let none = SigSet::empty().thread_set_mask();
        let (step, error) = match none {
            Ok(()) => enter(launch, own_network, task.input, task.output.as_ref()),
            Err(error) => (Step::Process, error),
        };
        Message::Refused(step, error as i32).write(&task.report);
    };
    // Inside all namespaces the command is the first process, as in a container. Elsewhere it is not used to that: then the
    // first one is an init.
    let init = unshared.is_ok() && task.namespaces != Namespaces::All;
    let child = match forked()? {
        None if init => {
            let _ = join();
            return be_init(&task.report, command);
        }
        None => {
            let _ = join();
            command();
            return Ok(());
        }
        Some(child) => child,
    };
    let end = wait(child, init, task, &signals);
    // A command that is over was waited for, and its number may be somebody else's by now.
    if matches!(end, End::Abandoned | End::Killed(_)) {
        let _ = kill(child, Signal::SIGKILL);
    }
    // Of a process namespace everything ends with its first process.
    if !descendants::end(unshared.is_ok()) {
        Message::StillRunning.write(&task.report);
    } else if let End::Report(message) | End::Killed(message) = end {
        message.write(&task.report);
    }
    Ok(())
}

/// Forks; the child's number, or nothing in the child.
fn forked() -> Result<Option<Pid>, Refused> {
    #[expect(unsafe_code, reason = "fork(2) has no safe form")]
    // SAFETY: this process has one thread, since it came out of a fork itself.
    match unsafe { fork() }.map_err(|error| (Step::Process, error))? {
        ForkResult::Child => Ok(None),
        ForkResult::Parent { child } => Ok(Some(child)),
    }
}

/// The first process of a process namespace: it starts the command, waits for all that has no parent, and ends with the
/// command. Then the kernel ends everything else.
fn be_init(report: &File, command: impl FnOnce()) -> Result<(), Refused> {
    // Its parent is the supervisor: with it everything ends.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| (Step::Process, error))?;
    let Some(child) = forked()? else {
        command();
        return Ok(());
    };
    loop {
        match waitpid(None::<Pid>, None) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => {
                Message::Exited(status).write(report);
                return Ok(());
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                Message::Signalled(signal as i32).write(report);
                return Ok(());
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Ok(()),
        }
    }
}

/// Waits until the command is over, its time is, or sazare is. Waits for orphans on the way.
fn wait(child: Pid, init: bool, task: &Task<'_>, signals: &SignalFd) -> End {
    let start = Instant::now();
    let before = processes();
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) if pid == child && init => {
                return End::Reported;
            }
            Ok(WaitStatus::Exited(pid, status)) if pid == child => return End::Report(Message::Exited(status)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return End::Report(Message::Signalled(signal as i32));
            }
            Ok(WaitStatus::StillAlive) => {}
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(_) => return End::Abandoned,
        }
        if task.limit.is_some_and(|limit| start.elapsed() >= limit) {
            return End::Killed(Message::TimedOut);
        }
        // Without a control group the kernel limits the processes of users, but not those of root. To count them is work, so only
        // when there are many.
        if processes() > before + PROCESSES_MAX && descendants::count() > PROCESSES_MAX {
            return End::Killed(Message::TooMany);
        }
        let mut lines =
            [PollFd::new(task.lifeline.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        // Nothing more is ever written to the lifeline: it can only break.
        if matches!(poll(&mut lines, PollTimeout::from(TICK)), Ok(1..)) && lines[0].any().unwrap_or(true) {
            return End::Abandoned;
        }
        if let Ok(Some(signal)) = signals.read_signal() {
            return End::Killed(Message::Signalled(signal.ssi_signo as i32));
        }
    }
}
