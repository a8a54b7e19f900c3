//! The mounts and devices that a command finds, as every container has them.
//!
//! The tree is not ours: its `/proc` and `/dev` may be links that lead anywhere. So both are entered through handles that
//! no link can lead elsewhere, and everything is mounted at `.`. If one of them is not a directory, nothing is mounted there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use nix::unistd::{fchdir, mkdir, symlinkat};
use rustix::fs::{FileType, makedev, mknodat};

/// The device nodes that runc gives every container (runtime-spec, config-linux.md, "Default Devices"), with their numbers.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// The links that it adds.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// What in `/proc` changes the machine: read-only, as runc has it.
const READ_ONLY: [&str; 6] = ["sys/fs/binfmt_misc", "sys", "sysrq-trigger", "irq", "bus", "fs"];

const NONE: Option<&str> = None;

/// Makes `root` a mount of its own and the working directory. Nothing that is mounted from here on is seen outside.
pub(super) fn own_root(root: &Path) -> nix::Result<()> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mount(Some(root), root, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?;
    nix::unistd::chdir(root)
}

/// Mounts `/proc` and `/dev` in the working directory, which is the root, and comes back there. Says whether the kernel now
/// runs foreign programs with the emulator.
pub(super) fn inside(registration: Option<&[u8]>) -> nix::Result<bool> {
    let root = directory(None, ".")?;
    let mut registered = false;
    if let Ok(proc) = directory(Some(&root), "proc") {
        fchdir(&proc)?;
        registered = mount_proc(&root, registration);
    }
    if let Ok(dev) = directory(Some(&root), "dev") {
        fchdir(&dev)?;
        if mount(Some("tmpfs"), ".", Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, Some("mode=755")).is_ok() {
            // What is mounted over a directory is found by its name, not through a handle that was there before.
            let dev = directory(Some(&root), "dev")?;
            fchdir(&dev)?;
            for (name, _, _) in DEVICES {
                let _ = bind_device(&dev, name);
            }
            for (name, target) in LINKS {
                let _ = symlinkat(target, &dev, name);
            }
            let _ = mkdir("shm", Mode::from_bits_truncate(0o1777));
        }
    }
    fchdir(&root)?;
    Ok(registered)
}

/// A handle of a directory that is not reached through a link.
fn directory(at: Option<&File>, name: &str) -> nix::Result<File> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    Ok(File::from(match at {
        Some(at) => openat(at, name, flags, Mode::empty())?,
        None => open(name, flags, Mode::empty())?,
    }))
}

/// Mounts `/proc` at the working directory, and enters it. What changes the machine is read-only there; where that is
/// refused, there is no `/proc`.
fn mount_proc(root: &File, registration: Option<&[u8]>) -> bool {
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // In a container whose own /proc is partly hidden a new one is refused; the old one is not.
    let mounted = mount(Some("proc"), ".", Some("proc"), safe, NONE)
        .or_else(|_| mount(Some("/proc"), ".", NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE));
    let Ok(proc) = mounted.and_then(|()| directory(Some(root), "proc")) else { return false };
    if fchdir(&proc).is_err() {
        return false;
    }
    let registered = registration.is_some_and(|line| register(Path::new("sys/fs/binfmt_misc"), line).is_ok());
    for name in READ_ONLY.into_iter().filter(|name| registered || *name != "sys/fs/binfmt_misc") {
        let read_only = mount(Some(name), name, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE).and_then(|()| {
            mount(NONE, name, NONE, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | safe, NONE)
        });
        // Some are not in every kernel.
        if read_only.is_err() && Path::new(name).exists() {
            let _ = fchdir(root);
            let _ = nix::mount::umount2("proc", nix::mount::MntFlags::MNT_DETACH);
            return false;
        }
    }
    registered
}

/// A device of this machine under a name in the working directory, which is a mount of ours.
fn bind_device(dev: &File, name: &str) -> nix::Result<()> {
    let create = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    openat(dev, name, create, Mode::from_bits_truncate(0o666))?;
    let bound = mount(Some(&Path::new("/dev").join(name)), name, NONE, MsFlags::MS_BIND, NONE);
    if bound.is_err() {
        let _ = nix::unistd::unlinkat(dev, name, nix::unistd::UnlinkatFlags::NoRemoveDir);
    }
    bound
}

/// Registers the emulator in the kernel, for this user namespace only (binfmt_misc.rst in the kernel's documentation). It
/// forgets when the last mount is gone, so this one stays.
fn register(folder: &Path, line: &[u8]) -> io::Result<()> {
    mount(Some("binfmt_misc"), folder, Some("binfmt_misc"), MsFlags::empty(), NONE)?;
    fs::OpenOptions::new().write(true).open(folder.join("register"))?.write_all(line)
}

/// Makes the devices in a tree that is entered by chroot(2), where root may; they go with the private copy.
pub(super) fn devices(root: &Path) {
    let Ok(dev) = open(root, OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
        .and_then(|root| directory(Some(&File::from(root)), "dev"))
    else {
        return;
    };
    for (name, major, minor) in DEVICES {
        let (kind, mode) = (FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o666));
        if mknodat(&dev, name, kind, mode, makedev(major, minor)).is_err() {
            // Writing to it works at least; what is read is empty.
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let _ = openat(&dev, name, flags, Mode::from_bits_truncate(0o666));
        }
    }
}
