//! Which file systems record reliable times of changes.
//!
//! A write through a shared mapping changes the times only if it is the first write to its page since the page was last written to
//! the disk. So a file can change while its times stay the same, as long as the page is only in memory: on tmpfs (and an overlayfs
//! over one) for ever, because there is no disk; elsewhere until the kernel has written the page, by default after half a minute.
//! [`written_back`] makes sure that this has happened for files that changed recently.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, StatFs};

/// The magic numbers of file systems that keep the time of every change (statfs(2), linux/magic.h).
const CLOCKED: [u32; 6] = [
    0x0000_ef53, // ext2, ext3, ext4
    0x9123_683e, // btrfs
    0x5846_5342, // xfs
    0xf2f5_2010, // f2fs
    0x2fc1_2fc1, // zfs
    0xca45_1a4e, // bcachefs
];

/// Whether the kernel puts the time into an inode at every change there, and lets nobody set it. Network file systems
/// have another machine's clock, FUSE has what its programs say, FAT and images of read-only file systems have what was
/// written into them.
pub(super) fn is_clocked(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| knows(&found))
}

/// As [`is_clocked`], for the file system of an open file.
pub(super) fn is_file_clocked(file: impl AsFd) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|found| knows(&found))
}

/// Brings what was written to the file system of a folder to its disk: from then on every write gives a file another time.
pub(super) fn written_back(folder: &Path) -> bool {
    let opened = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    opened.is_ok_and(|folder| rustix::fs::syncfs(folder).is_ok())
}

/// How long the kernel may leave a changed page in memory, in seconds, twice over; without an end where it never writes by itself.
pub fn writeback_seconds() -> i64 {
    let setting = |name: &str| {
        let text = crate::input::read(Path::new(&format!("/proc/sys/vm/{name}")), 64).ok()?;
        std::str::from_utf8(&text).ok()?.trim().parse::<i64>().ok()
    };
    match (setting("dirty_writeback_centisecs"), setting("dirty_expire_centisecs")) {
        (Some(interval @ 1..), Some(expire)) => interval.saturating_add(expire) / 100 * 2 + 60,
        _ => i64::MAX,
    }
}

fn knows(found: &StatFs) -> bool {
    // The field's type differs between architectures; magic numbers are of 32 bits (statfs(2)).
    CLOCKED.contains(&(found.f_type as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_no_disk_clock_writes_is_not_believed() {
        assert!(!is_clocked(Path::new("/proc/self")));
        assert!(!is_file_clocked(std::fs::File::open("/proc/self/status").unwrap()));
        assert!(!is_clocked(Path::new("/nonexistent")));
    }
}
