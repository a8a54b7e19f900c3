//! Our side of a run: the keeper is forked, its users are mapped, and what it reports is heard.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, pipe2};
use serde::Serialize;

use super::enter::Step;
use super::error::TrialError;
use super::keeper::{Message, Task, keep};
use super::launch::{Enter, Launch, Users};
use super::way::{Refusal, Way};

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

/// Runs a launch to its end. `catch` says how many bytes of standard output are kept; without, it is ours.
///
/// **The calling process must have one thread**: only that thread goes on behind fork(2), and a lock that another one
/// holds would stay locked.
pub(super) fn run(
    launch: &Launch,
    input: Option<&File>,
    limit: Option<Duration>,
    catch: Option<u64>,
) -> Result<Ran, TrialError> {
    let users = match launch.enter {
        Enter::Namespaces(_, users) => Some(users),
        Enter::Root(_) | Enter::Nothing => None,
    };
    let mut keeper = Keeper::fork(Some(launch), users, input, limit, catch.is_some())?;
    let output = keeper.read_output(catch.unwrap_or(0));
    let ended = loop {
        match keeper.hear() {
            Some(Message::Exited(status)) => break Ended::Status(status),
            Some(Message::Signalled(signal)) => break Ended::Signal(signal),
            Some(Message::TimedOut) => break Ended::TimedOut,
            Some(Message::Unshared) => {}
            Some(Message::Refused(step @ (Step::Folder | Step::Program), errno)) => {
                break Ended::NotStarted(words(step, errno));
            }
            Some(Message::Refused(step, errno)) => return Ok(Ran::Refused(words(step, errno))),
            None => return Err(system("run the command", io::Error::other("its keeper was killed"))),
        }
    };
    Ok(Ran::Ended(ended, output))
}

/// Tries whether a way can be gone on this machine, without running anything.
///
/// # Errors
/// With the reason, when it cannot.
pub fn probe(way: Way) -> Result<(), Refusal> {
    let refusal = |reason: String| Refusal { way, reason };
    match way {
        Way::Namespace => {
            let users = if Uid::effective().is_root() { Users::All } else { Users::One { uid: 0, gid: 0 } };
            let mut keeper =
                Keeper::fork(None, Some(users), None, None, false).map_err(|error| refusal(error.to_string()))?;
            match keeper.hear() {
                Some(Message::Refused(step, errno)) => Err(refusal(words(step, errno))),
                Some(_) => Ok(()),
                None => Err(refusal("its keeper was killed".into())),
            }
        }
        Way::Chroot if Uid::effective().is_root() => Ok(()),
        Way::Chroot => Err(refusal("only root may call chroot".into())),
        Way::Loader => Ok(()),
    }
}

fn words(step: Step, errno: i32) -> String {
    format!("{}: {}", step.call(), Errno::from_raw(errno).desc())
}

fn system(what: &'static str, error: io::Error) -> TrialError {
    TrialError::System(what, error)
}

/// The keeper, as we see it. Dropping it breaks its lifeline and waits until it and its family are gone.
struct Keeper {
    pid: Pid,
    lifeline: Option<File>,
    report: File,
    output: Option<File>,
    /// What we did about Ctrl-C before.
    old: Option<SigHandler>,
    /// A message that was heard before its time.
    early: Option<Message>,
}

impl Keeper {
    fn fork(
        launch: Option<&Launch>,
        users: Option<Users>,
        input: Option<&File>,
        limit: Option<Duration>,
        catch: bool,
    ) -> Result<Keeper, TrialError> {
        let pipe = || {
            let ends = pipe2(OFlag::O_CLOEXEC).map_err(|error| system("make a pipe", error.into()))?;
            Ok((File::from(ends.0), File::from(ends.1)))
        };
        let (heard, lifeline) = pipe()?;
        let (report, told) = pipe()?;
        let (output, caught) = if catch { pipe().map(|(a, b)| (Some(a), Some(b)))? } else { (None, None) };
        #[expect(unsafe_code, reason = "fork(2) has no safe form")]
        // SAFETY: the caller has one thread, as `run` asks; so nothing is locked, and the child may do what any program does.
        let forked = unsafe { fork() }.map_err(|error| system("fork", error.into()))?;
        match forked {
            ForkResult::Child => {
                drop((lifeline, report, output));
                let namespaces = users.is_some();
                keep(&Task { launch, namespaces, limit, lifeline: heard, report: told, input, output: caught });
                #[expect(unsafe_code, reason = "no exit handler of the parent's may run a second time")]
                // SAFETY: ends the process; nothing follows.
                unsafe {
                    nix::libc::_exit(0)
                }
            }
            ForkResult::Parent { child } => {
                #[expect(unsafe_code, reason = "signal(2) is unsafe for handlers that run code; this runs none")]
                // SAFETY: ignoring a signal calls nothing of ours.
                let old = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) }.ok();
                let mut keeper = Keeper { pid: child, lifeline: Some(lifeline), report, output, old, early: None };
                drop((heard, told, caught));
                if let Some(users) = users {
                    keeper.map(users);
                }
                Ok(keeper)
            }
        }
    }

    /// Waits for the keeper's new namespace and says which users it has (user_namespaces(7)).
    fn map(&mut self, users: Users) {
        self.early = self.hear();
        if self.early != Some(Message::Unshared) {
            return;
        }
        let folder = format!("/proc/{}", self.pid);
        let folder = Path::new(&folder);
        let mapped = match users {
            Users::All => same(folder, "uid_map").and_then(|()| same(folder, "gid_map")),
            Users::One { uid, gid } => {
                let line = |name: &str, inside: u32, outside: u32| {
                    fs::write(folder.join(name), format!("{inside} {outside} 1"))
                };
                // Without it the map of groups is refused, so that nobody drops a group that takes rights away.
                let _ = fs::write(folder.join("setgroups"), "deny");
                line("uid_map", uid, Uid::effective().as_raw())
                    .and_then(|()| line("gid_map", gid, Gid::effective().as_raw()))
            }
        };
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

    fn hear(&mut self) -> Option<Message> {
        self.early.take().or_else(|| Message::read(&self.report))
    }

    /// What the command writes, until nobody is left who could write; no more than `limit` bytes of it are kept.
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

impl Drop for Keeper {
    fn drop(&mut self) {
        self.lifeline = None;
        let _ = waitpid(self.pid, None);
        if let Some(old) = self.old {
            #[expect(
                unsafe_code,
                reason = "signal(2) is unsafe for handlers that run code; the old one was there before"
            )]
            // SAFETY: it is the handler that was in place when we came.
            let _ = unsafe { signal(Signal::SIGINT, old) };
        }
    }
}

/// Maps every user that exists here to itself.
fn same(folder: &Path, name: &str) -> io::Result<()> {
    let own = fs::read_to_string(format!("/proc/self/{name}"))?;
    let mut map = String::new();
    for line in own.lines() {
        let mut numbers = line.split_whitespace();
        if let (Some(inside), Some(_), Some(count)) = (numbers.next(), numbers.next(), numbers.next()) {
            map += &format!("{inside} {inside} {count}\n");
        }
    }
    fs::write(folder.join(name), map)
}
