//! What is taken from a command before it starts, with every method: rights, a terminal, and most of the machine's room for
//! processes.

use std::fs;

use nix::libc::{self, sock_filter};
use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::setsid;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most processes and threads that a command may have at once: podman's default.
pub(super) const PROCESSES_MAX: u64 = 2048;

/// The capabilities that docker leaves to root in a container: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID,
/// SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
const IN_A_CONTAINER: [u8; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

/// Those of them with which root leaves a chroot, makes devices, or speaks to the machine's network as the machine.
const ONLY_IN_NAMESPACES: [u8; 4] = [13, 18, 27, 29];

/// The highest number that the kernel has room for.
const CAPABILITIES_MAX: u8 = 63;

/// What is taken from a command.
#[derive(Debug)]
pub(super) struct Confinement {
    /// Whether it is in a user namespace.
    pub in_namespaces: bool,
    /// How many processes and threads its user may have, with those that run already.
    pub processes: u64,
    /// The filter for system calls; empty for none.
    pub filter: Vec<sock_filter>,
}

/// Takes everything that must be taken while the process still has its rights.
pub(super) fn before_user(confinement: &Confinement) {
    // A session of its own: the command does not control the terminal of the caller.
    let _ = setsid();
    // As in a container; that of the caller does not matter.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    for number in 0..=CAPABILITIES_MAX {
        let kept =
            IN_A_CONTAINER.contains(&number) && (confinement.in_namespaces || !ONLY_IN_NAMESPACES.contains(&number));
        if !kept {
            #[expect(unsafe_code, reason = "prctl(2) for the bounding set has no safe form here")]
            // SAFETY: numbers only. Without the right to do it there is nothing to lose; numbers that are not in use fail.
            let _ = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
        }
    }
    let hard = getrlimit(Resource::Nproc).maximum;
    let limit = hard.map_or(confinement.processes, |hard| hard.min(confinement.processes));
    let _ = setrlimit(Resource::Nproc, Rlimit { current: Some(limit), maximum: Some(limit) });
}

/// Takes the rest: what a change of user would have undone, or needed.
pub(super) fn after_user(confinement: &mut Confinement) -> nix::Result<()> {
    // Nothing that is executed gains rights: neither by setuid bits nor by file capabilities.
    prctl::set_no_new_privs()?;
    if confinement.filter.is_empty() {
        return Ok(());
    }
    let program = super::filter::program(&mut confinement.filter);
    #[expect(unsafe_code, reason = "seccomp(2) has no safe form here")]
    // SAFETY: the kernel copies the filter, which lives until the call is over. A kernel without filters refuses: then
    // there is none.
    let _ = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    Ok(())
}

/// How many processes and threads this machine has, as `/proc/loadavg` says (proc_loadavg(5)); 0 when it does not.
pub(super) fn processes() -> u64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let field = text.split_whitespace().nth(3).and_then(|field| field.split_once('/'));
    field.and_then(|(_, all)| all.parse().ok()).unwrap_or(0)
}
