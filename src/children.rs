//! Processes that this one has started, and that end with it.
//!
//! Whatever ends this process because of a signal ends them first: they may still write into a private folder, and nobody else would
//! wait for them. The number of a child is its own only until somebody has waited for it. So children are started and waited for while
//! [`end_all`] is kept out.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// The children that run.
static RUNNING: Mutex<Running> = Mutex::new(Running { children: Vec::new(), ending: false });

struct Running {
    children: Vec<(Pid, Signal)>,
    ending: bool,
}

/// A child that was not waited for.
#[derive(Debug)]
pub struct Child(Pid);

/// Starts a child with `start`, which gives its number, or `None` in the child itself and on failure. `ended_by` is the signal
/// that ends it and all that it started.
pub fn started<T>(ended_by: Signal, start: impl FnOnce() -> (T, Option<Pid>)) -> (T, Option<Child>) {
    let mut running = running();
    while running.ending {
        drop(running);
        std::thread::park();
        running = self::running();
    }
    let (started, pid) = start();
    running.children.extend(pid.map(|pid| (pid, ended_by)));
    (started, pid.map(Child))
}

impl Child {
    /// Waits until it is over. `reap` is called then, and waits for it in the way that the caller needs.
    pub fn wait<T>(self, reap: impl FnOnce() -> T) -> T {
        is_over(self.0);
        let mut running = running();
        running.children.retain(|(pid, _)| *pid != self.0);
        reap()
    }
}

/// Ends all children of this process, which ends now, and waits until they are over. Nothing is started any more: who wants to waits
/// until the process has ended.
pub fn end_all() {
    let mut running = running();
    running.ending = true;
    for (pid, signal) in &running.children {
        let _ = kill(*pid, *signal);
        // It may have been stopped.
        let _ = kill(*pid, Signal::SIGCONT);
    }
    running.children.iter().for_each(|(pid, _)| is_over(*pid));
    // Nobody waits for them any more: then their numbers stay theirs.
    std::mem::forget(running);
}

/// Waits until a child is over, and leaves it to be waited for.
fn is_over(pid: Pid) {
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
}

fn running() -> MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
