//! Bytes to entries: the headers of a plain tar, with the place of each file's contents.
//!
//! The archive is foreign: every length is bounded, every number is checked, and what cannot be understood is an
//! error with its offset. GNU long names, base-256 numbers and PAX headers are understood; sparse files are not, as in
//! every container engine.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::format::{BLOCK, checksum_holds, number, padding, pax_records};
use crate::codec::budget::{Budget, TOO_MUCH};
use crate::input;
use crate::path::display_bytes;
use crate::tree::{DeviceNumber, Metadata, Mode, Xattrs};

/// The largest extended header that is read, in bytes: a path and a link of 4 KiB and 64 KiB of attributes fit well.
const EXTENDED_MAX: u64 = 1 << 20;

/// The longest target of a symbolic link, in bytes (symlink(2): `PATH_MAX` with a NUL).
const TARGET_MAX: usize = 4095;

/// The longest name of an extended attribute, the largest value, and all names with their NULs, in bytes (xattr(7)).
const XATTR_NAME_MAX: usize = 255;
const XATTR_VALUE_MAX: usize = 64 << 10;
const XATTR_LIST_MAX: usize = 64 << 10;

/// What the attributes of one entry may take until all of its headers are read, in bytes.
const XATTRS_MAX: usize = 4 << 20;

/// What an attribute takes besides its name and value, in bytes.
const PER_XATTR: usize = 64;

/// One entry of an archive.
#[derive(Clone, Debug)]
pub struct TarEntry {
    /// The name as it is written.
    pub name: Vec<u8>,
    /// Owner, mode, time, attributes.
    pub meta: Metadata,
    /// What it is.
    pub kind: TarKind,
}

/// What an entry is.
#[derive(Clone, Debug)]
pub enum TarKind {
    /// A directory.
    Directory,
    /// A regular file, with offset and size of its contents.
    File(u64, u64),
    /// A further name of the file of this name.
    Hardlink(Vec<u8>),
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A named pipe.
    Fifo,
}

/// Iterates over the entries of a plain tar file.
pub struct TarEntries<'a> {
    file: &'a File,
    size: u64,
    at: u64,
    global: Overrides,
    budget: Budget,
    ended: bool,
}

/// Values that extended headers put in place of a header's.
#[derive(Clone, Default)]
struct Overrides {
    path: Option<Arc<[u8]>>,
    link: Option<Arc<[u8]>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<i64>,
    xattrs: Xattrs,
    /// How much the attributes take, in bytes.
    held: usize,
}

impl<'a> TarEntries<'a> {
    /// Reads the headers of `file`, a plain tar of `size` bytes.
    pub fn new(file: &'a File, size: u64) -> TarEntries<'a> {
        TarEntries { file, size, at: 0, global: Overrides::default(), budget: Budget::of_entries(), ended: false }
    }

    fn block(&self, at: u64) -> io::Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        self.file.read_exact_at(&mut block, at).map_err(|error| match error.kind() {
            // Its length says otherwise.
            io::ErrorKind::UnexpectedEof => io::Error::new(io::ErrorKind::UnexpectedEof, input::Shortened),
            _ => error,
        })?;
        Ok(block)
    }

    /// The contents of an extended header that begins at `at`.
    fn extended(&self, at: u64, size: u64) -> io::Result<Vec<u8>> {
        if size > EXTENDED_MAX {
            return Err(malformed(at, &format!("an extended header of {size} bytes is too large")));
        }
        let mut bytes = vec![0; size as usize];
        self.file.read_exact_at(&mut bytes, at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => malformed(at, "the archive ends in the middle of an extended header"),
            _ => error,
        })?;
        Ok(bytes)
    }

    fn read(&mut self) -> io::Result<Option<TarEntry>> {
        let mut overrides = self.global.clone();
        loop {
            if self.at + BLOCK as u64 > self.size {
                // An archive without its two zero blocks is common; one that ends inside a header is not.
                return if self.at >= self.size {
                    Ok(None)
                } else {
                    Err(malformed(self.at, "the archive is truncated"))
                };
            }
            let offset = self.at;
            let header = self.block(offset)?;
            if header.iter().all(|&byte| byte == 0) {
                return Ok(None);
            }
            if !checksum_holds(&header) {
                return Err(malformed(offset, "not a tar header (its checksum is wrong)"));
            }
            let field = |range: std::ops::Range<usize>, what: &str| {
                number(&header[range]).ok_or_else(|| malformed(offset, &format!("the {what} is not a number")))
            };
            let type_flag = header[156];
            let header_size =
                u64::try_from(field(124..136, "size")?).map_err(|_| malformed(offset, "negative size"))?;
            let extension = matches!(type_flag, b'x' | b'g' | b'L' | b'K');
            // A size record speaks of the entry itself, never of a further extended header between them.
            let size = if extension { header_size } else { overrides.size.unwrap_or(header_size) };
            let body = offset + BLOCK as u64;
            let has_body = extension || matches!(type_flag, b'0' | 0 | b'7' | b'S');
            let body_size = if has_body { size } else { 0 };
            let end = body.checked_add(body_size).filter(|end| *end <= self.size).ok_or_else(|| {
                malformed(offset, &format!("the archive is truncated: an entry of {body_size} bytes does not fit"))
            })?;
            self.at = end + padding(body_size) as u64;
            match type_flag {
                b'x' => overrides.take(&self.extended(body, size)?, offset)?,
                b'g' => {
                    self.global.take(&self.extended(body, size)?, offset)?;
                    overrides.take(&self.extended(body, size)?, offset)?;
                }
                b'L' => overrides.path = Some(until_nul(&self.extended(body, size)?).into()),
                b'K' => overrides.link = Some(until_nul(&self.extended(body, size)?).into()),
                _ => {
                    let entry = entry(&header, overrides, (body, size), offset, field)?;
                    if !self.budget.take(held(&entry)) {
                        return Err(malformed(offset, &format!("{TOO_MUCH}: {}", display_bytes(&entry.name))));
                    }
                    return Ok(Some(entry));
                }
            }
        }
    }
}

/// Puts header and overrides together.
fn entry(
    header: &[u8; BLOCK],
    overrides: Overrides,
    (body, size): (u64, u64),
    offset: u64,
    field: impl Fn(std::ops::Range<usize>, &str) -> io::Result<i64>,
) -> io::Result<TarEntry> {
    let name = overrides.path.map_or_else(
        || {
            let name = until_nul(&header[..100]);
            // The prefix is ustar's; GNU's own format keeps times at its place.
            let prefix = if &header[257..263] == b"ustar\0" { until_nul(&header[345..500]) } else { b"" };
            if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
        },
        |path| path.to_vec(),
    );
    let link = || overrides.link.as_deref().unwrap_or_else(|| until_nul(&header[157..257])).to_vec();
    let too_long =
        |what: String| malformed(offset, &format!("{what}, more than Linux stores: {}", display_bytes(&name)));
    if overrides.xattrs.iter().any(|(name, _)| name.is_empty()) {
        let text =
            format!("an extended attribute without a name, which Linux does not store: {}", display_bytes(&name));
        return Err(malformed(offset, &text));
    }
    check_xattrs(&overrides.xattrs).map_err(too_long)?;
    let owner = |value: Option<u32>, range, what| match value {
        Some(value) => Ok(value),
        None => {
            u32::try_from(field(range, what)?).map_err(|_| malformed(offset, &format!("the {what} is out of range")))
        }
    };
    let device = || -> io::Result<DeviceNumber> {
        let part = |range, what| {
            u32::try_from(field(range, what)?).map_err(|_| malformed(offset, "a device number is out of range"))
        };
        Ok(DeviceNumber { major: part(329..337, "major number")?, minor: part(337..345, "minor number")? })
    };
    let kind = match header[156] {
        // Before POSIX a directory was a file whose name ends with a slash.
        b'0' | 0 if name.ends_with(b"/") => TarKind::Directory,
        b'0' | 0 | b'7' => TarKind::File(body, size),
        b'1' => TarKind::Hardlink(link()),
        b'2' => {
            let target = link();
            if target.len() > TARGET_MAX {
                return Err(too_long(format!("a link with a target of {} bytes", target.len())));
            }
            if target.is_empty() {
                let text = format!("a link without a target, which Linux does not store: {}", display_bytes(&name));
                return Err(malformed(offset, &text));
            }
            TarKind::Symlink(target)
        }
        b'3' => TarKind::CharDevice(device()?),
        b'4' => TarKind::BlockDevice(device()?),
        b'5' => TarKind::Directory,
        b'6' => TarKind::Fifo,
        b'S' => return Err(malformed(offset, "a sparse file, which no container engine reads")),
        other => return Err(malformed(offset, &format!("an entry of unknown type {:?}", char::from(other)))),
    };
    Ok(TarEntry {
        meta: Metadata {
            mode: Mode::from_bits(u32::try_from(field(100..108, "mode")? & 0o7777).unwrap_or_default()),
            uid: owner(overrides.uid, 108..116, "owner")?,
            gid: owner(overrides.gid, 116..124, "group")?,
            mtime: match overrides.mtime {
                Some(mtime) => mtime,
                None => field(136..148, "time")?,
            },
            xattrs: overrides.xattrs,
        },
        name,
        kind,
    })
}

/// Whether Linux could give these attributes to a file; what is too large, if not.
fn check_xattrs(xattrs: &Xattrs) -> Result<(), String> {
    let mut names = 0;
    for (name, value) in xattrs {
        names += name.len() + 1;
        if name.len() > XATTR_NAME_MAX {
            return Err(format!("an extended attribute with a name of {} bytes", name.len()));
        }
        if value.len() > XATTR_VALUE_MAX {
            return Err(format!("the extended attribute {} has {} bytes", display_bytes(name), value.len()));
        }
    }
    if names > XATTR_LIST_MAX {
        return Err(format!("extended attributes with names of {names} bytes in all"));
    }
    Ok(())
}

/// How much an entry holds besides its name, in bytes.
fn held(entry: &TarEntry) -> usize {
    let target = match &entry.kind {
        TarKind::Symlink(target) | TarKind::Hardlink(target) => target.len(),
        TarKind::Directory | TarKind::File(..) | TarKind::CharDevice(_) | TarKind::BlockDevice(_) | TarKind::Fifo => 0,
    };
    target + entry.meta.xattrs.iter().map(|(name, value)| name.len() + value.len() + PER_XATTR).sum::<usize>()
}

impl Overrides {
    fn take(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let records = pax_records(bytes).ok_or_else(|| malformed(offset, "a malformed PAX header"))?;
        for (key, value) in records {
            let wrong = || malformed(offset, &format!("a PAX record that is not a number: {}", display_bytes(value)));
            let text = || std::str::from_utf8(value).map_err(|_| wrong());
            match key {
                b"path" => self.path = Some(value.into()),
                b"linkpath" => self.link = Some(value.into()),
                b"size" => self.size = Some(text()?.parse().map_err(|_| wrong())?),
                b"uid" => self.uid = Some(text()?.parse().map_err(|_| wrong())?),
                b"gid" => self.gid = Some(text()?.parse().map_err(|_| wrong())?),
                b"mtime" => self.mtime = Some(whole_seconds(text()?).ok_or_else(wrong)?),
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(malformed(offset, "a sparse file, which no container engine reads"));
                }
                key => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        let old = self.xattrs.insert(name.into(), value.into());
                        let was = old.map_or(0, |old| name.len() + old.len() + PER_XATTR);
                        self.held = self.held + name.len() + value.len() + PER_XATTR - was;
                        if self.held > XATTRS_MAX {
                            return Err(malformed(offset, "extended attributes of more than 4 MiB for one entry"));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The whole seconds of `1700000000.25`, rounded down as every engine does.
fn whole_seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let negative_part = whole.starts_with('-') && fraction.bytes().any(|digit| digit != b'0');
    Some(if negative_part { seconds - 1 } else { seconds })
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn malformed(offset: u64, text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("at byte {offset}: {text}"))
}

impl Iterator for TarEntries<'_> {
    type Item = io::Result<TarEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.read().transpose();
        self.ended = !matches!(entry, Some(Ok(_)));
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn entries(bytes: &[u8]) -> Result<Vec<TarEntry>, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        TarEntries::new(&file, bytes.len() as u64).collect::<io::Result<_>>().map_err(|error| error.to_string())
    }

    fn archive(name: &str, contents: &[u8]) -> Vec<u8> {
        // GNU's format, written by another hand than ours: long names in their own entries.
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o640);
        header.set_uid(1 << 30);
        header.set_mtime(5);
        builder.append_data(&mut header, name, contents).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn gnu_archives_are_understood() {
        let name = "long/".repeat(40) + "name";
        let entries = entries(&archive(&name, b"hello")).unwrap();
        assert_eq!((entries[0].name.as_slice(), entries[0].meta.uid), (name.as_bytes(), 1 << 30));
        assert!(matches!(entries[0].kind, TarKind::File(_, 5)));
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let good = archive("a", &[1; 1000]);
        let mut flipped = good.clone();
        flipped[3] ^= 1;
        assert_eq!(entries(&flipped).unwrap_err(), "at byte 0: not a tar header (its checksum is wrong)");
        assert_eq!(
            entries(&good[..900]).unwrap_err(),
            "at byte 0: the archive is truncated: an entry of 1000 bytes does not fit"
        );
        assert_eq!(entries(&good[..2000]).unwrap_err(), "at byte 1536: the archive is truncated");
        assert!(entries(&good[..1536]).is_ok(), "without end blocks");
    }

    #[test]
    fn parts_of_seconds_are_rounded_down() {
        for (text, seconds) in [("5", 5), ("5.9", 5), ("-1.5", -2), ("-1.0", -1), ("-0.5", -1)] {
            assert_eq!(whole_seconds(text), Some(seconds), "{text}");
        }
        assert_eq!(whole_seconds("5.x"), None);
    }
}
