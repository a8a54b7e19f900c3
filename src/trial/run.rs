//! Our side of a run: the supervisor is forked, its users are mapped, and what it reports is read.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, pipe2};
use serde::Serialize;

use super::confine::PROCESSES_MAX;
use super::control_group::ControlGroup;
use super::enter::Step;
use super::error::TrialError;
use super::launch::{Enter, Launch};
use super::method::{Method, Refusal};
use super::supervisor::{Message, Namespaces, Task, supervise};
use super::users::Users;
use crate::children::{Child, started};

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// By us, when its time was over.
    TimedOut,
    /// By us, when it had more processes than it may.
    TooManyProcesses,
    /// It never began: what the system said.
    NotStarted(String),
}

/// How far a launch got.
pub(super) enum Ran {
    /// The command was started, or could not be; and what it wrote, where that was caught.
    Ended(Ended, Vec<u8>),
    /// The machine refused a step before.
    Refused(String),
}

/// Runs a launch to its end. `catch` says how many bytes of standard output are kept; by default it is ours.
///
/// **No other thread may be at work**: only the calling thread goes on behind fork(2), and a lock that another one holds would stay
/// locked.
pub(super) fn run(
    launch: &Launch,
    input: Option<&File>,
    limit: Option<Duration>,
    catch: Option<u64>,
) -> Result<Ran, TrialError> {
    let root = Uid::effective().is_root();
    let (namespaces, users) = match launch.enter {
        Enter::Namespaces(_, users) => (Namespaces::All, users),
        Enter::Nothing if !root => {
            // Everybody stays who he is.
            (Namespaces::Users, Users::choose(Uid::effective().as_raw(), Gid::effective().as_raw()))
        }
        Enter::Root(_) | Enter::Nothing => (Namespaces::Processes, Users::choose(0, 0)),
    };
    let mut supervisor = Supervisor::fork(Some(launch), namespaces, &users, input, limit, catch.is_some())?;
    let output = supervisor.read_output(catch.unwrap_or(0));
    let ended = loop {
        match supervisor.next() {
            Some(Message::Exited(status)) => break Ended::Status(status),
            Some(Message::Signalled(signal)) => break Ended::Signal(signal),
            Some(Message::TimedOut) => break Ended::TimedOut,
            Some(Message::TooMany) => break Ended::TooManyProcesses,
            Some(Message::StillRunning) => return Err(TrialError::StillRunning),
            Some(Message::Unshared | Message::NotUnshared) => {}
            Some(Message::Refused(step @ (Step::Folder | Step::Program), errno)) => {
                break Ended::NotStarted(words(step, errno));
            }
            Some(Message::Refused(step, errno)) => return Ok(Ran::Refused(words(step, errno))),
            None => return Err(system("run the command", io::Error::other("its supervisor was killed"))),
        }
    };
    Ok(Ran::Ended(ended, output))
}

/// Tries whether this machine allows a method, without running anything.
///
/// # Errors
/// With the reason, when it cannot.
pub fn probe(method: Method) -> Result<(), Refusal> {
    let refusal = |reason: String| Refusal { method, reason };
    match method {
        Method::Namespace => {
            let mut supervisor = Supervisor::fork(None, Namespaces::All, &Users::choose(0, 0), None, None, false)
                .map_err(|error| refusal(error.to_string()))?;
            match supervisor.next() {
                Some(Message::Refused(step, errno)) => Err(refusal(words(step, errno))),
                Some(_) => Ok(()),
                None => Err(refusal("its supervisor was killed".into())),
            }
        }
        Method::Chroot if Uid::effective().is_root() => Ok(()),
        Method::Chroot => Err(refusal("only root may call chroot".into())),
        Method::Loader => Ok(()),
    }
}

fn words(step: Step, errno: i32) -> String {
    format!("{}: {}", step.call(), Errno::from_raw(errno).desc())
}

fn system(what: &'static str, error: io::Error) -> TrialError {
    TrialError::System(what, error)
}

/// The supervisor, as we see it. Dropping it breaks its lifeline and waits until it and all processes below it are gone.
struct Supervisor {
    pid: Pid,
    lifeline: Option<File>,
    report: File,
    output: Option<File>,
    child: Option<Child>,
    /// A message that was broken before its time.
    early: Option<Message>,
}

impl Supervisor {
    fn fork(
        launch: Option<&Launch>,
        namespaces: Namespaces,
        users: &Users,
        input: Option<&File>,
        limit: Option<Duration>,
        catch: bool,
    ) -> Result<Supervisor, TrialError> {
        let pipe = || {
            let ends = pipe2(OFlag::O_CLOEXEC).map_err(|error| system("make a pipe", error.into()))?;
            Ok((File::from(ends.0), File::from(ends.1)))
        };
        let (other_end, lifeline) = pipe()?;
        let (report, reporting) = pipe()?;
        let (output, caught) = if catch { pipe().map(|(a, b)| (Some(a), Some(b)))? } else { (None, None) };
        let group = launch.and_then(|_| ControlGroup::make(PROCESSES_MAX));
        let (forked, child) = started(Signal::SIGTERM, || {
            #[expect(unsafe_code, reason = "fork(2) has no safe form")]
            // SAFETY: no other thread is at work, as `run` asks; so nothing is locked, and the child may do what any program does.
            let forked = unsafe { fork() };
            let pid = match forked {
                Ok(ForkResult::Parent { child }) => Some(child),
                Ok(ForkResult::Child) | Err(_) => None,
            };
            (forked, pid)
        });
        match forked.map_err(|error| system("fork", error.into()))? {
            ForkResult::Child => {
                drop((lifeline, report, output));
                supervise(&Task {
                    launch,
                    group: group.as_ref(),
                    namespaces,
                    limit,
                    lifeline: other_end,
                    report: reporting,
                    input,
                    output: caught,
                });
                #[expect(unsafe_code, reason = "no exit handler of the parent's may run a second time")]
                // SAFETY: ends the process; nothing follows.
                unsafe {
                    nix::libc::_exit(0)
                }
            }
            ForkResult::Parent { child: pid } => {
                if let (Some(child), Some(group)) = (&child, group) {
                    child.afterwards(|| drop(group));
                }
                let mut supervisor = Supervisor { pid, lifeline: Some(lifeline), report, output, child, early: None };
                drop((other_end, reporting, caught));
                if namespaces.have_users() {
                    supervisor.map(users);
                }
                Ok(supervisor)
            }
        }
    }

    /// Waits for the supervisor's new namespace and says which users it has (user_namespaces(7)).
    fn map(&mut self, users: &Users) {
        self.early = self.next();
        if self.early != Some(Message::Unshared) {
            return;
        }
        let folder = format!("/proc/{}", self.pid);
        let folder = Path::new(&folder);
        if !users.superuser {
            // Otherwise the map of groups is refused, so that nobody drops a group that takes rights away.
            let _ = fs::write(folder.join("setgroups"), "deny");
        }
        let mapped = fs::write(folder.join("uid_map"), users.uids.line())
            .and_then(|()| fs::write(folder.join("gid_map"), users.gids.line()));
        match mapped {
            Ok(()) => {
                let _ = self.lifeline.as_mut().map(|line| line.write_all(&[1]));
                self.early = None;
            }
            Err(error) => {
                self.lifeline = None;
                self.early = Some(Message::Refused(Step::Users, error.raw_os_error().unwrap_or(0)));
            }
        }
    }

    fn next(&mut self) -> Option<Message> {
        self.early.take().or_else(|| Message::read(&self.report))
    }

    /// What the command writes, until no process is left that could write; no more than `limit` bytes of it are kept.
    fn read_output(&mut self, limit: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(output) = self.output.take() {
            let _ = (&output).take(limit).read_to_end(&mut bytes);
            // The rest is read too, or the command would wait for a reader, or die of having none.
            let _ = io::copy(&mut (&output), &mut io::sink());
        }
        bytes
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.lifeline = None;
        let _ = self.child.take().map(|child| child.wait(|| waitpid(self.pid, None)));
    }
}
