//! The bytes of a header.

/// How many bytes a header has.
pub const HEADER: usize = 110;

/// The magic of `newc`.
pub const MAGIC: &[u8; 6] = b"070701";

/// The magic of `newc` with a sum over the contents.
pub const MAGIC_SUM: &[u8; 6] = b"070702";

/// The name of the last entry.
pub const TRAILER: &[u8] = b"TRAILER!!!";

/// What an archive is filled up to, in bytes.
pub const BLOCK: u64 = 512;

/// The largest file, in bytes.
pub const FILE_MAX: u64 = u32::MAX as u64;

/// The longest name and the longest link target that a kernel takes, in bytes with the final NUL (`PATH_MAX`).
pub const NAME_MAX: u32 = 4096;

/// File types, the upper bits of a mode (inode(7)).
pub mod types {
    /// All of them.
    pub const MASK: u32 = 0o170_000;
    /// Socket.
    pub const SOCKET: u32 = 0o140_000;
    /// Symbolic link.
    pub const SYMLINK: u32 = 0o120_000;
    /// Regular file.
    pub const FILE: u32 = 0o100_000;
    /// Block device.
    pub const BLOCK: u32 = 0o060_000;
    /// Directory.
    pub const DIRECTORY: u32 = 0o040_000;
    /// Character device.
    pub const CHAR: u32 = 0o020_000;
    /// Named pipe.
    pub const FIFO: u32 = 0o010_000;
}

/// The numbers of a header, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Inode number.
    pub ino: u32,
    /// File type and mode.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names.
    pub nlink: u32,
    /// Time of last change.
    pub mtime: u32,
    /// Size of the contents.
    pub size: u32,
    /// Device of the file system.
    pub device: (u32, u32),
    /// Device that a node stands for.
    pub node: (u32, u32),
    /// Length of the name with its NUL.
    pub name: u32,
    /// Sum over the contents, where the magic promises one.
    pub sum: u32,
}

impl Header {
    /// The header as bytes.
    pub fn bytes(&self) -> [u8; HEADER] {
        let numbers = [
            self.ino,
            self.mode,
            self.uid,
            self.gid,
            self.nlink,
            self.mtime,
            self.size,
            self.device.0,
            self.device.1,
            self.node.0,
            self.node.1,
            self.name,
            self.sum,
        ];
        let mut bytes = [0; HEADER];
        bytes[..6].copy_from_slice(MAGIC);
        for (number, field) in numbers.iter().zip(bytes[6..].chunks_exact_mut(8)) {
            for (at, digit) in field.iter_mut().enumerate() {
                *digit = b"0123456789ABCDEF"[(number >> (28 - 4 * at)) as usize & 15];
            }
        }
        bytes
    }

    /// Reads the numbers behind a magic; `None` when one is not a hexadecimal number.
    pub fn parse(bytes: &[u8; HEADER]) -> Option<Header> {
        let mut numbers = [0; 13];
        for (number, field) in numbers.iter_mut().zip(bytes[6..].chunks_exact(8)) {
            for digit in field {
                *number = *number << 4 | char::from(*digit).to_digit(16)?;
            }
        }
        let [ino, mode, uid, gid, nlink, mtime, size, device_major, device_minor, node_major, node_minor, name, sum] =
            numbers;
        let (device, node) = ((device_major, device_minor), (node_major, node_minor));
        Some(Header { ino, mode, uid, gid, nlink, mtime, size, device, node, name, sum })
    }
}

/// How many bytes fill `length` up to a multiple of four.
pub fn padding(length: u64) -> usize {
    (length.wrapping_neg() % 4) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_upper_case_digits_and_read_back() {
        let header = Header { ino: 0xabcd_ef01, mode: 0o100_644, size: u32::MAX, name: 4, ..Header::default() };
        let bytes = header.bytes();
        assert_eq!(&bytes[..22], b"070701ABCDEF01000081A4");
        assert_eq!(Header::parse(&bytes), Some(header));
        let mut wrong = bytes;
        wrong[50] = b'+';
        assert_eq!(Header::parse(&wrong), None);
    }
}
