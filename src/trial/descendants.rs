//! The processes that come from a command: counted, and ended.

#![expect(
    clippy::disallowed_methods,
    reason = "a time limit needs a clock, and the supervisor finds its processes in /proc"
)]

use crate::host;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, getpid};

/// How long it may take to end processes that were killed.
const LIMIT: Duration = Duration::from_secs(20);

/// The least that a process can be asked to want of a CPU.
const LAST: i32 = 19;

/// A process below the supervisor.
#[derive(Clone, Copy, Debug)]
struct Process {
    pid: Pid,
    group: Pid,
}

/// How many processes come from the command, those that have ended and were not waited for included.
pub(super) fn count() -> u64 {
    processes().len() as u64
}

/// Waits for everything that has ended. `false` if no process is left.
pub(super) fn reap() -> bool {
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return false,
            Ok(WaitStatus::StillAlive) | Err(_) => return true,
            Ok(_) => {}
        }
    }
}

/// Kills what is left and waits for it; `false` when that cannot be done. `alone` says that the kernel does the killing,
/// since the first process of a process namespace is dead.
///
/// Orphans become children of the supervisor, so after each round the next generation is found. Who starts processes faster
/// than they are found is made slow first: it shares one CPU with us, and comes last there. Children inherit both, so in the
/// end all have it. Whole process groups are killed at once, and no member can start another meanwhile.
pub(super) fn end(alone: bool) -> bool {
    let start = Instant::now();
    let cpu = if alone { None } else { one_cpu() };
    while reap() {
        if start.elapsed() > LIMIT {
            return false;
        }
        if alone {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let found = processes();
        let own = getpgrp();
        let groups: BTreeSet<Pid> = found.iter().map(|process| process.group).filter(|group| *group != own).collect();
        for process in &found {
            if let Some(cpu) = &cpu {
                let _ = sched_setaffinity(process.pid, cpu);
                let pid = rustix::process::Pid::from_raw(process.pid.as_raw());
                let _ = rustix::process::setpriority_process(pid, LAST);
            }
        }
        for group in groups {
            let _ = killpg(group, Signal::SIGKILL);
        }
        for process in &found {
            let _ = kill(process.pid, Signal::SIGKILL);
        }
    }
    true
}

/// Puts this process on one of its CPUs, which is given back.
fn one_cpu() -> Option<CpuSet> {
    let all = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let number = (0..CpuSet::count()).find(|number| all.is_set(*number).unwrap_or(false))?;
    let mut one = CpuSet::new();
    one.set(number).ok()?;
    sched_setaffinity(Pid::from_raw(0), &one).ok()?;
    Some(one)
}

/// All processes below this one, as `/proc` shows them: proc_pid_stat(5), the fourth and fifth field.
fn processes() -> Vec<Process> {
    let names = host::names(Path::new("/proc")).unwrap_or_default();
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let mut children: BTreeMap<Pid, Vec<Process>> = BTreeMap::new();
    for pid in names.filter_map(|name| name.parse::<i32>().ok()) {
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The second field is a name in brackets, in which anything may stand.
        let rest = stat.rsplit(|byte| *byte == b')').next().unwrap_or_default();
        let mut numbers = rest
            .split(|byte| *byte == b' ')
            .skip(2)
            .map(|field| std::str::from_utf8(field).ok().and_then(|field| field.parse::<i32>().ok()));
        if let (Some(Some(parent)), Some(Some(group))) = (numbers.next(), numbers.next()) {
            let process = Process { pid: Pid::from_raw(pid), group: Pid::from_raw(group) };
            children.entry(Pid::from_raw(parent)).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut pending = vec![getpid()];
    while let Some(parent) = pending.pop() {
        for process in children.remove(&parent).unwrap_or_default() {
            pending.push(process.pid);
            found.push(process);
        }
    }
    found
}
