//! File systems whose times can be believed.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::StatFs;

/// The magic numbers of file systems that keep the time of every change (statfs(2), linux/magic.h).
const CLOCKED: [u32; 9] = [
    0x0000_ef53, // ext2, ext3, ext4
    0x9123_683e, // btrfs
    0x5846_5342, // xfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0xf2f5_2010, // f2fs
    0x2fc1_2fc1, // zfs
    0xca45_1a4e, // bcachefs
    0x794c_7630, // overlayfs, which passes on the times of what is below
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
