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
    children: Vec<RunningChild>,
    ending: bool,
}

struct RunningChild {
    pid: Pid,
    ended_by: Signal,
    afterwards: Option<Box<dyn FnOnce() + Send>>,
}

impl RunningChild {
    fn clean_up(&mut self) {
        if let Some(clean_up) = self.afterwards.take() {
            clean_up();
        }
    }
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
    running.children.extend(pid.map(|pid| RunningChild { pid, ended_by, afterwards: None }));
    (started, pid.map(Child))
}

impl Child {
    /// What is done when it is over, however this process goes on.
    pub fn afterwards(&self, clean_up: impl FnOnce() + Send + 'static) {
        if let Some(child) = running().children.iter_mut().find(|child| child.pid == self.0) {
            child.afterwards = Some(Box::new(clean_up));
        }
    }

    /// Waits until it is over. `reap` is called then, and waits for it in the way that the caller needs.
    pub fn wait<T>(self, reap: impl FnOnce() -> T) -> T {
        is_over(self.0);
        let mut running = running();
        let reaped = reap();
        running.children.iter_mut().filter(|child| child.pid == self.0).for_each(RunningChild::clean_up);
        running.children.retain(|child| child.pid != self.0);
        reaped
    }
}

/// Ends all children of this process, which ends now, and waits until they are over. Nothing is started any more: who wants to waits
/// until the process has ended.
pub fn end_all() {
    let mut running = running();
    running.ending = true;
    for child in &running.children {
        let _ = kill(child.pid, child.ended_by);
        // It may have been stopped.
        let _ = kill(child.pid, Signal::SIGCONT);
    }
    for child in &mut running.children {
        is_over(child.pid);
        child.clean_up();
    }
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
