//! What the targets try: the same functions as in `tests/hostile.rs`, and how long each may take.

use rustix::time::{ClockId, clock_gettime};

#[path = "../../tests/hostile/tries.rs"]
pub mod tries;

/// Tries some bytes.
///
/// # Panics
/// When that takes a second of this thread's own time: libFuzzer's clock goes on while others use the machine.
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
