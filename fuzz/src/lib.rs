//! The functions that the targets call, the same as in `tests/hostile.rs`, and their time limit.

use rustix::time::{ClockId, clock_gettime};

#[path = "../../tests/hostile/tries.rs"]
pub mod tries;

/// Runs one function on some bytes.
///
/// # Panics
/// If that takes a second of this thread's CPU time. libFuzzer's own limit is wall time, which depends on the machine's load.
pub fn in_time(tried: fn(&[u8]), bytes: &[u8]) {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    };
    let start = now();
    tried(bytes);
    let spent = now() - start;
    assert!(spent < 1000, "it took {spent} ms");
}
