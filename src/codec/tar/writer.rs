//! Entries to bytes.

use tar::{EntryType, Header};

use super::format::{BLOCK, OCTAL_7, OCTAL_11, padding, pax_record};
use crate::path::ImagePath;
use crate::tree::{DeviceNumber, Metadata, Xattrs};

/// What follows the name in an entry.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A directory.
    Directory,
    /// A regular file of so many bytes, which come next.
    File(u64),
    /// One more name of an entry that came before.
    Hardlink(&'a ImagePath),
    /// A symbolic link and its target.
    Symlink(&'a [u8]),
    /// A character device.
    CharDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A named pipe.
    Fifo,
}

/// What ends an archive: two zero blocks.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Appends what comes before an entry's contents to `out`: a header, and a PAX header before it where ustar cannot hold a
/// value. The contents come next, and zeros up to a whole block (`padding`).
pub fn header(out: &mut Vec<u8>, path: &ImagePath, meta: &Metadata, body: Body<'_>) {
    let mut name = path.relative_bytes().to_vec();
    if path.is_root() {
        name.push(b'.');
    }
    let mut header = Header::new_ustar();
    let mut pax = Vec::new();
    let mut size = 0;
    let mut link: &[u8] = b"";
    let mut number = DeviceNumber { major: 0, minor: 0 };
    header.set_entry_type(match body {
        Body::Directory => {
            name.push(b'/');
            EntryType::Directory
        }
        Body::File(bytes) => {
            size = bytes;
            EntryType::Regular
        }
        Body::Hardlink(target) => {
            link = target.relative_bytes();
            EntryType::Link
        }
        Body::Symlink(target) => {
            link = target;
            EntryType::Symlink
        }
        Body::CharDevice(device) => {
            number = device;
            EntryType::Char
        }
        Body::BlockDevice(device) => {
            number = device;
            EntryType::Block
        }
        Body::Fifo => EntryType::Fifo,
    });
    set_name(&mut header, &name, &mut pax);
    if !copy_field(&mut header.as_old_mut().linkname, link) {
        pax_record(&mut pax, b"linkpath", link);
    }
    header.set_mode(meta.mode.bits());
    header.set_uid(fitting(u64::from(meta.uid), OCTAL_7, b"uid", &mut pax));
    header.set_gid(fitting(u64::from(meta.gid), OCTAL_7, b"gid", &mut pax));
    header.set_size(fitting(size, OCTAL_11, b"size", &mut pax));
    header.set_mtime(match u64::try_from(meta.mtime) {
        Ok(seconds) => fitting(seconds, OCTAL_11, b"mtime", &mut pax),
        Err(_) => {
            pax_record(&mut pax, b"mtime", meta.mtime.to_string().as_bytes());
            0
        }
    });
    set_device(&mut header, number);
    header.set_cksum();
    // A hard link shares the inode that has its attributes already.
    if !matches!(body, Body::Hardlink(_)) {
        xattr_records(&meta.xattrs, &mut pax);
    }
    if !pax.is_empty() {
        extended_header(out, &pax);
    }
    out.extend_from_slice(header.as_bytes());
}

/// Appends the header of a member of an image archive: a directory, or a file of so many bytes, owned by root and dated 1970.
/// The name has at most 100 bytes.
pub fn member_header(out: &mut Vec<u8>, name: &str, size: Option<u64>) {
    let (kind, mode) = if size.is_some() { (EntryType::Regular, 0o644) } else { (EntryType::Directory, 0o755) };
    let mut header = without_owner(name.as_bytes(), kind, mode, size.unwrap_or(0));
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
}

/// A header of what root owns, dated 1970; its checksum is not there yet.
fn without_owner(name: &[u8], kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    copy_field(&mut header.as_old_mut().name, name);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn extended_header(out: &mut Vec<u8>, records: &[u8]) {
    let mut header = without_owner(b"PaxHeaders", EntryType::XHeader, 0o644, records.len() as u64);
    set_device(&mut header, DeviceNumber { major: 0, minor: 0 });
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(records);
    out.extend_from_slice(&END[..padding(records.len() as u64)]);
}

fn set_device(header: &mut Header, number: DeviceNumber) {
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.set_device_major(number.major);
        ustar.set_device_minor(number.minor);
    }
}

/// Puts a name into the header: as it is, split at a `/` into prefix and name, or else into a PAX record.
fn set_name(header: &mut Header, name: &[u8], pax: &mut Vec<u8>) {
    if copy_field(&mut header.as_old_mut().name, name) {
        return;
    }
    // The last `/` that leaves 1 to 100 bytes after it (a final one does not count) and at most 155 before it.
    let split = (name.len().saturating_sub(101)..name.len() - 1).find(|&at| name[at] == b'/' && at <= 155 && at > 0);
    if let (Some(at), Some(ustar)) = (split, header.as_ustar_mut()) {
        copy_field(&mut ustar.prefix, &name[..at]);
        copy_field(&mut ustar.name, &name[at + 1..]);
        return;
    }
    // What a reader without PAX would see is cut, but never another file's name: it keeps its end.
    copy_field(&mut header.as_old_mut().name, &name[name.len() - 100..]);
    pax_record(pax, b"path", name);
}

/// Copies text into a field that it may fill to the last byte; `false`, and nothing copied, when it is too long.
fn copy_field(field: &mut [u8], text: &[u8]) -> bool {
    match field.get_mut(..text.len()) {
        Some(start) => {
            start.copy_from_slice(text);
            true
        }
        None => false,
    }
}

/// The value if its field can hold it; else 0, and the value goes into a PAX record.
fn fitting(value: u64, largest: u64, key: &[u8], pax: &mut Vec<u8>) -> u64 {
    if value <= largest {
        return value;
    }
    pax_record(pax, key, value.to_string().as_bytes());
    0
}

fn xattr_records(xattrs: &Xattrs, pax: &mut Vec<u8>) {
    for (name, value) in xattrs {
        pax_record(pax, &[b"SCHILY.xattr.", &**name].concat(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Mode;

    fn meta() -> Metadata {
        Metadata::new(Mode::FILE, 7)
    }

    /// What the `tar` crate, another reader than ours, finds in an archive of one entry.
    fn judged(path: &str, meta: &Metadata, body: Body<'_>) -> (Vec<u8>, Option<Vec<u8>>, u64, usize) {
        let mut bytes = Vec::new();
        header(&mut bytes, &path.parse().unwrap(), meta, body);
        bytes.extend_from_slice(&END);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        let link = entry.link_name_bytes().map(|name| name.into_owned());
        (entry.path_bytes().into_owned(), link, entry.header().uid().unwrap(), bytes.len())
    }

    #[test]
    fn names_use_pax_only_where_ustar_cannot_hold_them() {
        let plain = 512 + 1024;
        let name = |length: usize| "n".repeat(length);
        for (path, size) in [
            (name(100), plain),
            (format!("{}/{}", name(155), name(100)), plain),
            (format!("{}/{}", name(156), name(99)), plain + 1024),
            (name(101), plain + 1024),
        ] {
            let (found, _, _, length) = judged(&path, &meta(), Body::File(0));
            assert_eq!((String::from_utf8(found).unwrap(), length), (path, size));
        }
        let long = format!("{}/{}", name(155), name(99));
        assert_eq!(judged(&long, &meta(), Body::Directory).0, format!("{long}/").as_bytes());
        assert_eq!(judged("/", &meta(), Body::Directory).0, b"./");
    }

    #[test]
    fn links_keep_their_text() {
        let target = [b"/etc//x/../", [b'y'; 120].as_slice()].concat();
        assert_eq!(judged("/a", &meta(), Body::Symlink(&target)).1, Some(target));
        let target: ImagePath = "/usr/bin/x".parse().unwrap();
        assert_eq!(judged("/a", &meta(), Body::Hardlink(&target)).1, Some(b"usr/bin/x".to_vec()));
    }

    #[test]
    fn large_numbers_go_into_records() {
        let large = Metadata { uid: 3_000_000, mtime: -5, ..meta() };
        let mut bytes = Vec::new();
        header(&mut bytes, &"/a".parse().unwrap(), &large, Body::File(1 << 34));
        let text = String::from_utf8_lossy(&bytes[512..1024]).into_owned();
        assert_eq!(text.trim_end_matches('\0'), "15 uid=3000000\n20 size=17179869184\n12 mtime=-5\n");
    }
}
