//! A control group with a limit of processes (cgroups(7)), where one can be made.
//!
//! It counts only what the command starts, and counts for root too; a limit of the user (`RLIMIT_NPROC`) counts all processes of
//! that user on the machine, and none of root's.
//!
//! In version 1 the group is made below our own one. In version 2 a group with processes has none below it that limit anything; so
//! it is made beside our own one, below the next group above that hands the limit of processes down; and only if none of the
//! groups that the command leaves by this has a limit. No group is made where the hierarchy is read-only or belongs to somebody else.
//!
//! sazare makes the group and removes it, since the supervisor may have given up the rights to do so. A group that was left because
//! sazare was killed is removed by the next run: a lock on the directory shows whether a process of its maker lives.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, mkdirat, openat, unlinkat};

use crate::{host, input};

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// How the name of a group begins. Sixteen hexadecimal digits follow.
const PREFIX: &str = "sazare-";

/// Limits of a group, and how their files begin if there is none.
const LIMITS: [(&str, &str); 5] =
    [("pids.max", "max"), ("memory.max", "max"), ("memory.high", "max"), ("cpu.max", "max"), ("cpuset.cpus", "\n")];

/// How often it is tried to remove a group: the last process that ended may still be counted.
const REMOVALS: u32 = 200;

/// A control group for a command.
#[derive(Debug)]
pub(super) struct ControlGroup {
    above: File,
    name: String,
    /// Holds the lock.
    directory: File,
    members: File,
}

impl ControlGroup {
    /// Makes a group with at most so many processes and threads; `None` where that is not possible.
    pub fn make(processes: u64) -> Option<ControlGroup> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        places(Path::new(MOUNT), &own).iter().find_map(|place| make_in(place, processes).ok())
    }

    /// Puts the calling process into the group.
    pub fn join(&self) -> io::Result<()> {
        (&self.members).write_all(b"0")
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        for _ in 0..REMOVALS {
            if unlinkat(&self.above, &self.name, AtFlags::REMOVEDIR) != Err(rustix::io::Errno::BUSY) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = flock(&self.directory, FlockOperation::Unlock);
    }
}

fn make_in(place: &Path, processes: u64) -> io::Result<ControlGroup> {
    let above = input::directory(place)?;
    let name = format!("{PREFIX}{:016x}", RandomState::new().build_hasher().finish());
    mkdirat(&above, &name, Mode::from_raw_mode(0o755))?;
    let fill = || {
        let directory = open(&above, &name, OFlags::DIRECTORY)?;
        flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
        open(&directory, "pids.max", OFlags::WRONLY)?.write_all(processes.to_string().as_bytes())?;
        let members = open(&directory, "cgroup.procs", OFlags::WRONLY)?;
        Ok((directory, members))
    };
    match fill() {
        Ok((directory, members)) => {
            remove_dead(place, &above);
            Ok(ControlGroup { above, name, directory, members })
        }
        Err(error) => {
            let _ = unlinkat(&above, &name, AtFlags::REMOVEDIR);
            Err(error)
        }
    }
}

fn open(directory: &File, name: &str, flags: OFlags) -> io::Result<File> {
    Ok(openat(directory, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// Removes groups whose maker was killed. One that has processes cannot be removed.
fn remove_dead(place: &Path, above: &File) {
    for name in host::names(place).unwrap_or_default() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let locked = open(above, name, OFlags::DIRECTORY)
            .and_then(|directory| Ok(flock(&directory, FlockOperation::NonBlockingLockExclusive)?));
        if locked.is_ok() {
            let _ = unlinkat(above, name, AtFlags::REMOVEDIR);
        }
    }
}

/// The groups in which one can be made, with `own` as in `/proc/self/cgroup`.
fn places(mount: &Path, own: &str) -> Vec<PathBuf> {
    let mut places = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let path = Path::new(path.trim_start_matches('/'));
        if controllers.split(',').any(|controller| controller == "pids") {
            let pids = mount.join("pids");
            // In a container the path may be that of the machine.
            places.extend([pids.join(path), pids]);
        } else if controllers.is_empty() {
            places.extend([mount.to_path_buf(), mount.join("unified")].iter().filter_map(|mount| beside(mount, path)));
        }
    }
    places
}

/// The next group above our own one, in version 2, that hands the limit down; if nothing is lost by leaving ours.
fn beside(mount: &Path, own: &Path) -> Option<PathBuf> {
    let mut group = mount.join(own);
    loop {
        let read = |file: &str| fs::read_to_string(group.join(file)).ok();
        if read("cgroup.subtree_control").is_some_and(|handed| handed.split_whitespace().any(|one| one == "pids")) {
            return Some(group);
        }
        let limited = LIMITS.iter().any(|(file, none)| read(file).is_some_and(|limit| !limit.starts_with(none)));
        if limited || group == mount || !group.pop() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_made_where_it_limits_and_takes_no_other_limit_away() {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path();
        let write = |path: &str, text: &str| {
            fs::create_dir_all(mount.join(path).parent().unwrap()).unwrap();
            fs::write(mount.join(path), text).unwrap();
        };
        let places = |own: &str| places(mount, own);
        assert_eq!(
            places("9:cpu,cpuacct:/x\n8:pids:/user/a\n"),
            [mount.join("pids/user/a"), mount.join("pids")],
            "version 1"
        );
        write("cgroup.subtree_control", "cpu memory pids\n");
        write("user/cgroup.subtree_control", "memory pids\n");
        write("user/session/cgroup.subtree_control", "\n");
        write("user/session/pids.max", "max\n");
        write("user/session/cpu.max", "max 100000\n");
        write("user/session/cpuset.cpus", "\n");
        assert_eq!(places("0::/user/session\n"), [mount.join("user")]);
        write("user/session/memory.max", "1000000\n");
        assert_eq!(places("0::/user/session\n"), Vec::<PathBuf>::new(), "a limit of memory would be lost");
        assert_eq!(places("0::/\n"), [mount.to_path_buf()]);
        write("cgroup.subtree_control", "\n");
        assert_eq!(places("0::/\n"), Vec::<PathBuf>::new());
        assert_eq!(places("nothing\n\n"), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_group_limits_processes_and_leaves_nothing() {
        let Some(group) = ControlGroup::make(7) else { return }; // Not possible here.
        let place =
            fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&group.directory))).unwrap();
        assert_eq!(fs::read_to_string(place.join("pids.max")).unwrap(), "7\n");
        // That of a run that lives stays, that of a dead one goes.
        let dead = place.with_file_name("sazare-0000000000000000");
        fs::create_dir(&dead).unwrap();
        drop(ControlGroup::make(7).unwrap());
        assert!(place.exists() && !dead.exists());
        drop(group);
        assert!(!place.exists());
    }
}
