//! What the command's process does between fork(2) and execve(2): it makes the tree its root and the user its own.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{
    Gid, Uid, chdir, chroot, dup2_stdin, dup2_stdout, execve, execveat, pivot_root, setgroups, setresgid, setresuid,
};

use super::launch::{Enter, Launch, Program};

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

/// The device nodes that runc gives every container (runtime-spec, config-linux.md, "Default Devices").
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Enters, and becomes the program. Comes back only when a step is refused.
pub(super) fn enter(launch: &Launch, input: Option<&File>, output: Option<&File>) -> Refused {
    match all_steps(launch, input, output) {
        Err(refused) => refused,
        Ok(never) => match never {},
    }
}

fn all_steps(
    launch: &Launch,
    input: Option<&File>,
    output: Option<&File>,
) -> Result<std::convert::Infallible, Refused> {
    let mut registered = false;
    match &launch.enter {
        Enter::Namespaces(root, _) => {
            let registration = match &launch.program {
                Program::Emulated { registration, .. } => registration.as_deref(),
                Program::Path(_) => None,
            };
            registered = mounts(root, registration).map_err(|error| (Step::Mount, error))?;
            // pivot_root(2): with both at the same place, the old root lies over the new one and is taken away.
            chdir(root).and_then(|()| pivot_root(".", ".")).map_err(|error| (Step::Pivot, error))?;
            umount2(".", MntFlags::MNT_DETACH).map_err(|error| (Step::Pivot, error))?;
            chdir("/").map_err(|error| (Step::Pivot, error))?;
        }
        Enter::Root(root) => {
            devices(&root.join("dev"));
            chroot(root).and_then(|()| chdir("/")).map_err(|error| (Step::Root, error))?;
        }
        Enter::Nothing => {}
    }
    streams(input, output).map_err(|error| (Step::Process, error))?;
    if let Some((uid, gids)) = &launch.user {
        become_user(*uid, gids).map_err(|error| (Step::User, error))?;
    }
    // After the change of user, which would take it back. The keeper ends us too, but it may be killed itself.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| (Step::Process, error))?;
    chdir(&launch.folder).map_err(|error| (Step::Folder, error))?;
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

/// Makes `root` a mount of its own, with `/proc` and a few devices as every container has them. Says whether the kernel
/// now runs foreign programs by the emulator.
fn mounts(root: &Path, registration: Option<&[u8]>) -> nix::Result<bool> {
    const NONE: Option<&str> = None;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mount(Some(root), root, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?;
    let (proc, dev) = (root.join("proc"), root.join("dev"));
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if mount(Some("proc"), &proc, Some("proc"), safe, NONE).is_err() {
        // In a container whose own /proc is partly hidden a new one is refused; the old one is not.
        let _ = mount(Some("/proc"), &proc, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE);
    }
    let registered = registration.is_some_and(|line| register(&proc.join("sys/fs/binfmt_misc"), line).is_ok());
    if mount(Some("tmpfs"), &dev, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755")).is_ok() {
        for name in DEVICES {
            let place = dev.join(name);
            let bound = File::create(&place).is_ok()
                && mount(Some(&Path::new("/dev").join(name)), &place, NONE, MsFlags::MS_BIND, NONE).is_ok();
            if !bound {
                let _ = fs::remove_file(&place);
            }
        }
        for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
            let _ = symlink(format!("/proc/self/fd{target}"), dev.join(name));
        }
        let _ = fs::create_dir(dev.join("shm"));
    }
    Ok(registered)
}

/// Tells the kernel about the emulator, for this user namespace only (binfmt_misc.rst in the kernel's documentation). It
/// forgets when the last mount is gone, so this one stays.
fn register(folder: &Path, line: &[u8]) -> io::Result<()> {
    mount(Some("binfmt_misc"), folder, Some("binfmt_misc"), MsFlags::empty(), None::<&str>)?;
    fs::OpenOptions::new().write(true).open(folder.join("register"))?.write_all(line)
}

/// Makes the devices that programs expect, where the superuser may; they go with the private folder.
fn devices(folder: &Path) {
    const NUMBERS: [(u32, u32); 6] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0)];
    for (name, (major, minor)) in DEVICES.iter().zip(NUMBERS) {
        let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o666));
        let place = folder.join(name);
        if rustix::fs::mknodat(rustix::fs::CWD, &place, kind, mode, rustix::fs::makedev(major, minor)).is_err() {
            // Writing to it works at least; what is read is empty.
            let _ = fs::OpenOptions::new().write(true).create_new(true).mode(0o666).open(&place);
        }
    }
}
