//! SIGINT, SIGTERM and SIGHUP: they end the work at once and remove its temporary files.
//!
//! The signals are blocked in every thread, and one thread waits for them. It ends the processes that this one has started, removes
//! its private folders, and ends it with the signal itself, as the system would have: a shell says 130, 143 or 129. A second
//! signal ends it with what is there. A process that was forked has only the thread that forked it, and what it executes blocks no
//! signal.
//!
//! If outputs are being put in place, that is finished first: it takes only a few renames. A signal that was ignored when the program
//! started (`nohup`) stays ignored. If no thread can be started, the system ends the process, and the next run removes the files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

/// What ends a run, with the number that shells add to 128.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Whether a signal ends the process.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Watches for signals from here on. The calling thread must be the only one: all others inherit what it blocks.
pub fn watch() {
    let mut set = SigSet::empty();
    SIGNALS.into_iter().filter(|signal| !is_ignored(*signal)).for_each(|signal| set.add(signal));
    if set.thread_block().is_err() {
        return;
    }
    let waiting = move || {
        loop {
            if let Ok(signal) = set.wait() {
                end(signal, &set);
            }
        }
    };
    if Builder::new().name("signals".into()).spawn(waiting).is_err() {
        let _ = set.thread_unblock();
    }
}

/// Stays here if a signal ends the process: what the work failed with by then is no news.
pub fn wait_if_ending() {
    while ENDING.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

fn is_ignored(signal: Signal) -> bool {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    #[expect(unsafe_code, reason = "sigaction(2) has no safe form; no code of ours is installed")]
    // SAFETY: the default, and then what was there before.
    unsafe {
        match sigaction(signal, &default) {
            Ok(before) if matches!(before.handler(), SigHandler::SigIgn) => {
                let _ = sigaction(signal, &before);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}

fn end(signal: Signal, set: &SigSet) {
    ENDING.store(true, Ordering::SeqCst);
    let _ = set.thread_unblock();
    sazare::children::end_all();
    sazare::private::remove_all();
    let _ = raise(signal);
    // The first process of a container is not ended by a signal of its own.
    #[expect(clippy::disallowed_methods, reason = "the work of other threads goes on, and nobody waits for it")]
    std::process::exit(128 + signal as i32);
}
