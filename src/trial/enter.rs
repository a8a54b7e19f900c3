//! What the command's process does between fork(2) and execve(2): it makes the tree its root and the user its own.

use std::ffi::CString;
use std::fs::File;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::libc;
use nix::mount::{MntFlags, umount2};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    Gid, Uid, chdir, chroot, dup2_stdin, dup2_stdout, execve, execveat, pivot_root, setgroups, setresgid, setresuid,
};

use super::confine::{self, Confinement};
use super::filter::filter;
use super::launch::{Enter, Launch, Program};
use super::mounts;

/// A step that this machine may refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    /// unshare(2).
    Namespaces,
    /// The map of users, which the process outside writes.
    Users,
    /// mount(2).
    Mount,
    /// pivot_root(2).
    Pivot,
    /// chroot(2).
    Root,
    /// setgroups(2), setresgid(2), setresuid(2).
    User,
    /// chdir(2), to the working directory.
    Folder,
    /// execve(2).
    Program,
    /// What every process may do: fork(2), dup2(2).
    Process,
}

impl Step {
    const ALL: [Step; 9] = [
        Step::Namespaces,
        Step::Users,
        Step::Mount,
        Step::Pivot,
        Step::Root,
        Step::User,
        Step::Folder,
        Step::Program,
        Step::Process,
    ];

    /// The step of a number that came through a pipe.
    pub fn of(number: u8) -> Option<Step> {
        Step::ALL.into_iter().find(|step| *step as u8 == number)
    }

    /// The call, as a reason names it.
    pub fn call(self) -> &'static str {
        match self {
            Step::Namespaces => "unshare(CLONE_NEWUSER)",
            Step::Users => "writing the user namespace's uid_map",
            Step::Mount => "mount",
            Step::Pivot => "pivot_root",
            Step::Root => "chroot",
            Step::User => "setresuid",
            Step::Folder => "chdir",
            Step::Program => "execve",
            Step::Process => "fork",
        }
    }
}

/// A refused step, and the error number.
pub(super) type Refused = (Step, Errno);

/// Enters, and becomes the program. Comes back only when a step is refused.
pub(super) fn enter(launch: &Launch, own_network: bool, input: Option<&File>, output: Option<&File>) -> Refused {
    match all_steps(launch, own_network, input, output) {
        Err(refused) => refused,
        Ok(never) => match never {},
    }
}

fn all_steps(
    launch: &Launch,
    own_network: bool,
    input: Option<&File>,
    output: Option<&File>,
) -> Result<std::convert::Infallible, Refused> {
    // Modes are exactly what is asked for.
    umask(Mode::empty());
    let mut confinement = Confinement { in_namespaces: false, processes: launch.processes, filter: filter() };
    let mut registered = false;
    match &launch.enter {
        Enter::Namespaces(root, users) => {
            confinement.in_namespaces = true;
            let registration = match &launch.program {
                Program::Emulated { registration, .. } => registration.as_deref(),
                Program::Path(_) => None,
            };
            mounts::own_root(root).map_err(|error| (Step::Mount, error))?;
            if users.superuser {
                // What is made from here on belongs to a user of the namespace. Until now we were root outside.
                become_user(users.uids.inside, &[users.gids.inside]).map_err(|error| (Step::User, error))?;
            }
            registered = mounts::inside(registration).map_err(|error| (Step::Mount, error))?;
            // pivot_root(2): with both at the same place, the old root lies over the new one and is taken away.
            pivot_root(".", ".").map_err(|error| (Step::Pivot, error))?;
            umount2(".", MntFlags::MNT_DETACH).map_err(|error| (Step::Pivot, error))?;
            chdir("/").map_err(|error| (Step::Pivot, error))?;
        }
        Enter::Root(root) => {
            mounts::devices(root);
            chroot(root).and_then(|()| chdir("/")).map_err(|error| (Step::Root, error))?;
        }
        Enter::Nothing => {}
    }
    if own_network {
        loopback_up();
    }
    streams(input, output).map_err(|error| (Step::Process, error))?;
    confine::before_user(&confinement);
    if let Some((uid, gids)) = &launch.user {
        become_user(*uid, gids).map_err(|error| (Step::User, error))?;
    }
    // After the change of user, which would take it back. The supervisor ends us too, but it may be killed itself.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| (Step::Process, error))?;
    chdir(&launch.folder).map_err(|error| (Step::Folder, error))?;
    confine::after_user(&mut confinement).map_err(|error| (Step::Process, error))?;
    let failed = |error| (Step::Program, error);
    match &launch.program {
        Program::Path(path) => execve(path, &launch.words, &launch.environment).map_err(failed),
        Program::Emulated { file, .. } if registered => {
            execve(file, &launch.words, &launch.environment).map_err(failed)
        }
        Program::Emulated { emulator, words, .. } => {
            let here: CString = CString::default();
            execveat(emulator, &here, words, &launch.environment, AtFlags::AT_EMPTY_PATH).map_err(failed)
        }
    }
}

fn streams(input: Option<&File>, output: Option<&File>) -> nix::Result<()> {
    if let Some(input) = input {
        dup2_stdin(input)?;
    }
    match output {
        Some(output) => dup2_stdout(output),
        None => Ok(()),
    }
}

fn become_user(uid: u32, gids: &[u32]) -> nix::Result<()> {
    let groups: Vec<Gid> = gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(uid), groups.first().copied().unwrap_or(Gid::from_raw(0)));
    setgroups(&groups)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// Starts the network device `lo`, as an engine does for a container that has no other network: programs speak to
/// themselves through it. If that is refused, they cannot.
#[expect(unsafe_code, reason = "the requests for network devices have no safe form")]
fn loopback_up() {
    // SAFETY: `request` is a whole `ifreq`, for which zeros are a value, and lives until the calls are over.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket == -1 {
            return;
        }
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = *from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
        libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request);
        libc::close(socket);
    }
}
