//! The tracer of a run, from its first stop to the end of its last process.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use nix::libc;

use super::super::root_parts::KERNEL;
use super::call::{Action, Call, Follow, Traced, call};
use super::error::TraceError;
use super::start::{Run, report, start};
use super::tracee::{self, At, EVENT_STOP, Number, StateChange};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// By us, when its time was over.
    TimedOut,
}

/// What a run used, and how it ended.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The paths.
    pub seen: BTreeSet<Traced>,
    /// How the first process ended.
    pub ended: RunEnd,
}

/// Runs a program and records what it uses, until the last process that it started is over or its time is.
///
/// # Errors
/// When it cannot be started, or this machine does not let it be traced.
pub fn trace(run: &Run<'_>) -> Result<Trace, TraceError> {
    // A thread of its own: ptrace belongs to one thread, and waiting there does not reap children of other threads.
    std::thread::scope(|scope| {
        let tracer = Builder::new().spawn_scoped(scope, || watch(run)).map_err(no_thread)?;
        tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn watch(run: &Run<'_>) -> Result<Trace, TraceError> {
    let (first, from_child) = start(run)?;
    let tracees = Tracees { alive: Mutex::new(BTreeSet::from([first])), over: AtomicBool::new(false) };
    let (done, waiting) = channel::<()>();
    std::thread::scope(|scope| {
        let tracees = &tracees;
        let timer = Builder::new().spawn_scoped(scope, move || {
            if waiting.recv_timeout(run.limit) == Err(RecvTimeoutError::Timeout) {
                tracees.end();
            }
        });
        // Nothing runs if its time cannot be limited. What was started dies with this thread, which traces it.
        timer.map_err(no_thread)?;
        let watched = Watch {
            first,
            tracees,
            from_child: Some(from_child),
            filtered: true,
            pending: BTreeMap::new(),
            made: BTreeSet::new(),
            trace: Trace { seen: BTreeSet::new(), ended: RunEnd::TimedOut },
        }
        .run(run.program);
        // The timer ends with its channel.
        drop(done);
        watched
    })
}

fn no_thread(error: io::Error) -> TraceError {
    TraceError::System("starting a thread", error)
}

/// Everything that runs.
struct Tracees {
    alive: Mutex<BTreeSet<Number>>,
    over: AtomicBool,
}

impl Tracees {
    /// Ends all of it. A process that starts meanwhile is ended when it is seen.
    fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.iter().for_each(|tracee| tracee::kill(*tracee));
    }

    fn add(&self, tracee: Number) {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).insert(tracee);
        if self.over.load(Ordering::SeqCst) {
            tracee::kill(tracee);
        }
    }

    fn remove(&self, tracee: Number) {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).remove(&tracee);
    }
}

struct Watch<'a> {
    first: Number,
    tracees: &'a Tracees,
    /// Where the first process reports, until it became the program.
    from_child: Option<File>,
    /// Whether only calls with a path stop.
    filtered: bool,
    /// The call that each process is in.
    pending: BTreeMap<Number, Pending>,
    /// What the run made.
    made: BTreeSet<Vec<u8>>,
    trace: Trace,
}

/// A call that has begun.
struct Pending {
    path: Vec<u8>,
    follow: bool,
    action: Action,
}

impl Pending {
    fn traced(&self) -> Option<Traced> {
        let used = self.action.used()?;
        Some(Traced { path: self.path.clone(), follow: self.follow, used })
    }
}

impl Watch<'_> {
    fn run(mut self, program: &Path) -> Result<Trace, TraceError> {
        while let Some((tracee, change)) = tracee::wait().map_err(|error| TraceError::System("waitpid", error))? {
            let mut signal = 0;
            match change {
                StateChange::Ended(status) => {
                    self.over(tracee, RunEnd::Status(status), program)?;
                    continue;
                }
                StateChange::Killed(number) => {
                    self.over(tracee, RunEnd::Signal(number), program)?;
                    continue;
                }
                StateChange::Call => self.call(tracee),
                StateChange::Event(libc::PTRACE_EVENT_SECCOMP) => self.call(tracee),
                StateChange::Event(libc::PTRACE_EVENT_EXEC) => self.became(tracee),
                StateChange::Event(EVENT_STOP) => self.tracees.add(tracee),
                StateChange::Event(_) => {}
                StateChange::Signal(number) => signal = number,
            }
            tracee::resume(tracee, !self.filtered || self.pending.contains_key(&tracee), signal);
        }
        Ok(self.trace)
    }

    /// A process is over.
    fn over(&mut self, tracee: Number, ended: RunEnd, program: &Path) -> Result<(), TraceError> {
        self.pending.remove(&tracee);
        self.tracees.remove(tracee);
        if tracee != self.first {
            return Ok(());
        }
        if let Some(error) = self.from_child.take().and_then(|mut from_child| report(&mut from_child).1) {
            return Err(TraceError::Start(program.display().to_string(), error));
        }
        let timed_out = self.tracees.over.load(Ordering::SeqCst) && ended == RunEnd::Signal(libc::SIGKILL);
        self.trace.ended = if timed_out { RunEnd::TimedOut } else { ended };
        Ok(())
    }

    /// A process executes another program. A thread that does so gets the number of its process.
    fn became(&mut self, tracee: Number) {
        if let Some(before) = tracee::event_message(tracee).filter(|before| *before != tracee) {
            self.tracees.remove(before);
            if let Some(pending) = self.pending.remove(&before) {
                self.pending.insert(tracee, pending);
            }
        }
        if let Some(mut from_child) = self.from_child.take() {
            self.filtered = report(&mut from_child).0;
        }
    }

    /// A process stands before or behind a call.
    fn call(&mut self, tracee: Number) {
        match tracee::standing(tracee) {
            Ok(At::Entry(number, arguments)) => {
                self.pending.remove(&tracee);
                let begun = call(number).and_then(|call| begin(tracee, call, &arguments));
                // How a call ends that was seen to succeed before is not waited for: each stop costs time.
                let known =
                    |pending: &Pending| pending.traced().is_some_and(|traced| self.trace.seen.contains(&traced));
                if let Some(pending) = begun.filter(|pending| !known(pending)) {
                    self.pending.insert(tracee, pending);
                }
            }
            Ok(At::Exit(success, _)) => {
                if let Some(pending) = self.pending.remove(&tracee).filter(|_| success) {
                    self.note(pending);
                }
            }
            // It has ended: that is reported next.
            Ok(At::None) | Err(_) => {}
        }
    }

    fn note(&mut self, pending: Pending) {
        if KERNEL.iter().any(|kernel| is_below(&pending.path, kernel.as_bytes())) {
            return;
        }
        match pending.traced() {
            None => {
                self.made.insert(pending.path);
            }
            Some(traced) if !self.is_made(&pending.path) => {
                self.trace.seen.insert(traced);
            }
            Some(_) => {}
        }
    }

    /// Whether the run made a path, or a directory above it.
    fn is_made(&self, path: &[u8]) -> bool {
        let ends = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        ends.chain([path.len()]).any(|end| self.made.contains(&path[..end]))
    }
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// What a call is about to do; `None` when it takes no path this time.
fn begin(tracee: Number, call: &Call, arguments: &[u64; 6]) -> Option<Pending> {
    let argument = |position: usize| arguments.get(position).copied();
    let spelled = tracee::text(tracee, argument(call.path)?).filter(|path| !path.is_empty())?;
    let path = if spelled.starts_with(b"/") {
        plain(&spelled)
    } else {
        plain(&[directory(tracee, call.directory.and_then(argument))?.as_slice(), b"/", &spelled].concat())
    };
    let flags = match call.action {
        Action::Open(position) => argument(position)?,
        Action::OpenHow(position) => tracee::number(tracee, argument(position)?)?,
        Action::Execute | Action::Look | Action::ReadLink | Action::Enter | Action::Make => 0,
    };
    let has = |flag: i32| flags & flag as u64 == flag as u64;
    let follow = match call.follow {
        _ if has(libc::O_NOFOLLOW) => false,
        Follow::Yes => true,
        Follow::No => false,
        Follow::Unless(position, bit) => argument(position)? & bit == 0,
    };
    if has(libc::O_TMPFILE) {
        return None;
    }
    let is_new = has(libc::O_TRUNC)
        || (has(libc::O_CREAT) && std::fs::symlink_metadata(Path::new(OsStr::from_bytes(&path))).is_err());
    Some(Pending { path, follow, action: if is_new { Action::Make } else { call.action } })
}

/// The directory that a relative path starts from: a handle, or the working directory.
fn directory(tracee: Number, handle: Option<u64>) -> Option<Vec<u8>> {
    let place = match handle.map(|handle| handle as i32) {
        None | Some(libc::AT_FDCWD) => format!("/proc/{tracee}/cwd"),
        Some(handle) => format!("/proc/{tracee}/fd/{handle}"),
    };
    let path = std::fs::read_link(place).ok()?;
    Some(path.as_os_str().as_bytes().to_vec()).filter(|path| path.starts_with(b"/"))
}

/// A path without `.` and empty parts. `..` stays: what it means depends on links.
fn plain(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let mut out = parts.fold(Vec::new(), |out, part| [out.as_slice(), b"/", part].concat());
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// How long a run may take by default.
pub const LIMIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::super::call::Use;
    use super::*;

    fn traced(script: &str, folder: &Path) -> Option<Trace> {
        let arguments = ["-c".to_string(), script.to_string()];
        let run = Run {
            program: Path::new("/bin/sh"),
            arguments: &arguments,
            environment: &[b"PATH=/usr/bin:/bin".to_vec()],
            folder,
            stdin: Some(b"text\n"),
            limit: Duration::from_secs(20),
            shown: false,
        };
        match trace(&run) {
            Ok(trace) => Some(trace),
            Err(TraceError::Forbidden(error)) => {
                // Where nothing may be traced there is nothing to see; CI must be able to.
                assert!(option_env!("CI").is_none(), "{error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn has(trace: &Trace, path: &Path, used: Use) -> bool {
        trace.seen.iter().any(|traced| traced.path == path.as_os_str().as_bytes() && traced.used == used)
    }

    #[test]
    fn what_succeeds_is_seen_however_the_path_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("a/b")).unwrap();
        for path in ["one", "a/two", "a/b/three"] {
            std::fs::write(at(path), "").unwrap();
        }
        let script = "read line; test $line = text || exit 3; . ./one; cd a; cat two >/dev/null & wait; \
                      (cat ./b/three; cat gone; cat < /dev/null; test -d b/../b) 2>/dev/null; \
                      echo made > mine; cat mine; mkdir dir; echo > dir/x; cat dir/x; exit 7";
        let Some(trace) = traced(script, folder.path()) else { return };
        assert_eq!(trace.ended, RunEnd::Status(7));
        for (path, used) in
            [("one", Use::Opened), ("a", Use::Entered), ("a/two", Use::Opened), ("a/b/three", Use::Opened)]
        {
            assert!(has(&trace, &at(path), used), "{path} in {:#?}", trace.seen);
        }
        assert!(has(&trace, &at("a/b/../b"), Use::LookedAt));
        assert!(trace.seen.iter().any(|traced| traced.path.ends_with(b"/cat") && traced.used == Use::Executed));
        let text =
            format!("{:?}", trace.seen.iter().map(|traced| String::from_utf8_lossy(&traced.path)).collect::<Vec<_>>());
        for absent in ["gone", "mine", "dir/x", "/dev", "/proc"] {
            assert!(!text.contains(&format!("{absent}\"")), "{absent} in {text}");
        }
    }

    #[test]
    fn a_process_tree_that_hangs_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["-c".to_string(), "(sleep 999 & sleep 998) & exec sleep 997".to_string()];
        let run = Run {
            program: Path::new("/bin/sh"),
            arguments: &arguments,
            environment: &[b"PATH=/usr/bin:/bin".to_vec()],
            folder: folder.path(),
            stdin: None,
            limit: Duration::from_millis(300),
            shown: false,
        };
        match trace(&run) {
            Ok(trace) => assert_eq!(trace.ended, RunEnd::TimedOut),
            Err(TraceError::Forbidden(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_cannot_be_started_is_state_change() {
        let run = Run {
            program: Path::new("/nowhere"),
            arguments: &[],
            environment: &[],
            folder: Path::new("/"),
            stdin: None,
            limit: Duration::from_secs(5),
            shown: false,
        };
        match trace(&run) {
            Err(TraceError::Forbidden(_)) => {}
            Err(error) => {
                assert_eq!(error.to_string(), "cannot trace /nowhere: No such file or directory (os error 2)")
            }
            Ok(trace) => panic!("{trace:?}"),
        }
    }
}
