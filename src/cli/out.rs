//! Standard output as it is: what cannot be written is an error.
//!
//! The standard library takes writing to a closed descriptor for success, and opens `/dev/null` in place of one that was closed
//! when the program started. A result that nobody gets is an error all the same.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise};

/// Whether standard output was closed when the program started.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Called by the C library before the standard library looks at the descriptors.
#[expect(unsafe_code, reason = "only what runs before std can tell a closed descriptor from /dev/null")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    if rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err() {
        CLOSED.store(true, Ordering::Relaxed);
    }
}

/// Standard output.
pub struct Out;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if CLOSED.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(nix::libc::EBADF));
        }
        nix::unistd::write(io::stdout().as_fd(), bytes).map_err(io::Error::from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends the program as the system ends one that writes to a pipe that nobody reads any more.
pub fn end_by_pipe() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    #[expect(unsafe_code, reason = "sigaction(2) has no safe form; the default is not code of ours")]
    // SAFETY: no handler is installed.
    let _ = unsafe { nix::sys::signal::sigaction(Signal::SIGPIPE, &default) };
    let _ = raise(Signal::SIGPIPE);
}
