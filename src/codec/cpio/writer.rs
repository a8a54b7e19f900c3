//! A tree to an archive.

use std::io::{self, Write};

use super::format::{BLOCK, FILE_MAX, Header, NAME_MAX, TRAILER, padding, types};
use crate::failure::{Failure, FailureKind};
use crate::path::ImagePath;
use crate::progress::{Event, Progress};
use crate::tree::{Content, ContentError, DeviceNumber, Entry, Kind, Tree};

/// How much of a file is read at once, in bytes.
const READ: usize = 1 << 18;

/// Why a tree cannot be written as an archive.
#[derive(Debug, thiserror::Error)]
pub enum CpioError {
    /// A file cannot be read.
    #[error(transparent)]
    Content(ContentError),
    /// The archive cannot be written.
    #[error("cannot write an initramfs: {0}")]
    Write(#[source] io::Error),
    /// A file whose size no header can hold, in bytes.
    #[error("an initramfs can store only files below 4 GiB, this one has {1} bytes: {0}")]
    TooLarge(ImagePath, u64),
    /// A date that no header can hold, in seconds since 1970.
    #[error("an initramfs can store only dates from 1970 to 2106, not {1} seconds since 1970: {0}")]
    Date(ImagePath, i64),
    /// A symbolic link whose target no kernel takes, in bytes.
    #[error("kernels accept link targets of at most {max} bytes, not {1}: {0}", max = NAME_MAX - 1)]
    LongTarget(ImagePath, usize),
    /// An entry with the name that ends an archive.
    #[error("a file with this name would end the initramfs early: {0}")]
    TrailerName(ImagePath),
    /// More files than inode numbers.
    #[error("more files than an initramfs can number")]
    TooMany,
}

impl Failure for CpioError {
    fn kind(&self) -> FailureKind {
        match self {
            CpioError::Content(error) => error.kind(),
            CpioError::Write(_) => FailureKind::Output,
            CpioError::TooLarge(..)
            | CpioError::Date(..)
            | CpioError::LongTarget(..)
            | CpioError::TrailerName(_)
            | CpioError::TooMany => FailureKind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            CpioError::Content(error) => error.hint(),
            CpioError::TooLarge(..) => Some("exclude it with `exclude`, or put it on a disk".into()),
            CpioError::Date(..) => Some("set `times = \"epoch\"` for the source, with `created` in these years".into()),
            CpioError::Write(_) | CpioError::LongTarget(..) | CpioError::TrailerName(_) | CpioError::TooMany => None,
        }
    }
}

/// Writes a whole tree as one archive, and gives its size in bytes. Nothing is written when the form cannot hold the
/// tree.
///
/// # Errors
/// When the form cannot hold something in the tree, a file cannot be read, or `out` fails.
pub fn write_cpio(tree: &Tree, out: &mut dyn Write, progress: &dyn Progress) -> Result<u64, CpioError> {
    for entry in tree.walk() {
        check(&entry)?;
    }
    let mut writing = Writing { out, at: 0, buffer: vec![0; READ], progress };
    let counts = tree.name_counts();
    // The number that each inode got, and how many of its names are still to come.
    let mut given = vec![(0, 0); tree.inode_count()];
    let mut last = 0;
    for entry in tree.walk() {
        let (ino, left) = &mut given[entry.id.index()];
        if *ino == 0 {
            last = u32::checked_add(last, 1).ok_or(CpioError::TooMany)?;
            (*ino, *left) = (last, counts[entry.id.index()]);
        }
        *left -= 1;
        writing.entry(tree, &entry, *ino, counts[entry.id.index()], *left == 0)?;
    }
    writing.header(&Header { nlink: 1, ..Header::default() }, TRAILER).map_err(CpioError::Write)?;
    let rest = writing.at.wrapping_neg() % BLOCK;
    writing.write(&[0; BLOCK as usize][..rest as usize]).map_err(CpioError::Write)?;
    Ok(writing.at)
}

/// Whether an entry fits into a header.
fn check(entry: &Entry<'_>) -> Result<(), CpioError> {
    if entry.path.relative_bytes() == TRAILER {
        return Err(CpioError::TrailerName(entry.path.clone()));
    }
    let mtime = entry.inode.meta.mtime;
    if u32::try_from(mtime).is_err() {
        return Err(CpioError::Date(entry.path.clone(), mtime));
    }
    match &entry.inode.kind {
        Kind::File(content) if content.size() > FILE_MAX => {
            Err(CpioError::TooLarge(entry.path.clone(), content.size()))
        }
        Kind::Symlink(target) if target.len() >= NAME_MAX as usize => {
            Err(CpioError::LongTarget(entry.path.clone(), target.len()))
        }
        Kind::Directory(_)
        | Kind::File(_)
        | Kind::Symlink(_)
        | Kind::CharDevice(_)
        | Kind::BlockDevice(_)
        | Kind::Fifo => Ok(()),
    }
}

struct Writing<'a> {
    out: &'a mut dyn Write,
    /// How many bytes were written.
    at: u64,
    buffer: Vec<u8>,
    progress: &'a dyn Progress,
}

impl Writing<'_> {
    fn entry(&mut self, tree: &Tree, entry: &Entry<'_>, ino: u32, names: u32, last: bool) -> Result<(), CpioError> {
        let meta = &entry.inode.meta;
        let mut header = Header {
            ino,
            mode: meta.mode.bits(),
            uid: meta.uid,
            gid: meta.gid,
            nlink: names,
            mtime: u32::try_from(meta.mtime).map_err(|_| CpioError::Date(entry.path.clone(), meta.mtime))?,
            ..Header::default()
        };
        let node = |header: &mut Header, number: &DeviceNumber| header.node = (number.major, number.minor);
        let mut text: &[u8] = b"";
        header.mode |= match &entry.inode.kind {
            Kind::Directory(entries) => {
                let below = entries.values().filter(|id| tree.inode(*id).is_directory()).count();
                header.nlink = u32::try_from(below).unwrap_or(u32::MAX).saturating_add(2);
                types::DIRECTORY
            }
            Kind::File(content) => {
                header.mode |= types::FILE;
                return self.file(&entry.path, header, content, last);
            }
            Kind::Symlink(target) => {
                // At every name: a kernel knows no hard links of symbolic links, and makes one after the other.
                text = target;
                header.nlink = 1;
                types::SYMLINK
            }
            Kind::CharDevice(number) => {
                node(&mut header, number);
                types::CHAR
            }
            Kind::BlockDevice(number) => {
                node(&mut header, number);
                types::BLOCK
            }
            Kind::Fifo => types::FIFO,
        };
        header.size = u32::try_from(text.len()).map_err(|_| CpioError::LongTarget(entry.path.clone(), text.len()))?;
        let write = |writing: &mut Self| {
            writing.header(&header, name_of(&entry.path))?;
            writing.write(text)?;
            writing.pad()
        };
        write(self).map_err(CpioError::Write)
    }

    fn file(&mut self, path: &ImagePath, mut header: Header, content: &Content, last: bool) -> Result<(), CpioError> {
        if !last {
            return self.header(&header, name_of(path)).map_err(CpioError::Write);
        }
        header.size = u32::try_from(content.size()).map_err(|_| CpioError::TooLarge(path.clone(), content.size()))?;
        let mut reader = content.open().map_err(CpioError::Content)?;
        self.header(&header, name_of(path)).map_err(CpioError::Write)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            // The reader checks that a file has the size it had when it was seen.
            let count = reader.read_next(&mut buffer).map_err(CpioError::Content)?;
            if count == 0 {
                break;
            }
            self.write(&buffer[..count]).map_err(CpioError::Write)?;
            self.progress.event(Event::Bytes(count as u64));
        }
        self.buffer = buffer;
        self.pad().map_err(CpioError::Write)
    }

    fn header(&mut self, header: &Header, name: &[u8]) -> io::Result<()> {
        let length = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
        self.write(&Header { name: length, ..*header }.bytes())?;
        self.write(name)?;
        self.write(&[0])?;
        self.pad()
    }

    /// Zeros up to a multiple of four.
    fn pad(&mut self) -> io::Result<()> {
        self.write(&[0; 4][..padding(self.at)])
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// A path as archives write it.
fn name_of(path: &ImagePath) -> &[u8] {
    if path.is_root() { b"." } else { path.relative_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Name;
    use crate::progress::Silent;
    use crate::tree::{DirectoryId, Inode, Metadata, Mode};
    use std::process::{Command, Stdio};
    use std::sync::Arc;

    fn name(text: &[u8]) -> Name {
        Name::new(text).unwrap()
    }

    fn inode(mode: u32, kind: Kind) -> Inode {
        Inode { meta: Metadata::new(Mode::from_bits(mode), 1_000_000_000).into(), kind }
    }

    fn file(text: &str) -> Kind {
        Kind::File(Content::Bytes(text.as_bytes().into()))
    }

    /// Everything that an archive can hold.
    fn sample() -> Tree {
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 1_000_000_000));
        let root = tree.root();
        let add = |tree: &mut Tree, directory: DirectoryId, text: &str, mode, kind| {
            tree.insert(directory, name(text.as_bytes()), inode(mode, kind))
        };
        let meta = Metadata::new(Mode::DIRECTORY, 1_000_000_000);
        let bin = tree.insert_directory(root, name(b"bin"), meta.clone());
        let su = add(&mut tree, bin, "su", 0o4755, file("setuid"));
        tree.meta_mut(su).gid = 34;
        let busybox = add(&mut tree, bin, "busybox", 0o755, file("program"));
        tree.link(bin, name(b"sh"), busybox);
        tree.link(root, name(b"linuxrc"), busybox);
        let dev = tree.insert_directory(root, name(b"dev"), meta);
        add(&mut tree, dev, "console", 0o600, Kind::CharDevice(DeviceNumber { major: 5, minor: 1 }));
        add(&mut tree, dev, "sda", 0o660, Kind::BlockDevice(DeviceNumber { major: 8, minor: 0 }));
        add(&mut tree, dev, "pipe", 0o644, Kind::Fifo);
        add(&mut tree, root, "empty", 0o600, file(""));
        add(&mut tree, root, "lib", 0o777, Kind::Symlink(Box::from(*b"usr/lib")));
        tree
    }

    fn archive(tree: &Tree) -> Vec<u8> {
        let mut out = Vec::new();
        let size = write_cpio(tree, &mut out, &Silent).unwrap();
        assert_eq!(size, out.len() as u64);
        out
    }

    /// What another reader says; `None` where it is not installed.
    fn judged(program: &str, arguments: &[&str], archive: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.cpio");
        std::fs::write(&path, archive).unwrap();
        let output = Command::new(program)
            .args(arguments)
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::from(std::fs::File::open(path).unwrap()))
            .output()
            .ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap())
    }

    /// Name, mode, links and size of each entry, read by a few lines that know nothing of the writer.
    fn entries(bytes: &[u8]) -> Vec<(String, u32, u32, u32, u32)> {
        let mut at = 0;
        let mut entries = Vec::new();
        loop {
            let field = |number: usize| {
                let start = at + 6 + 8 * number;
                u32::from_str_radix(std::str::from_utf8(&bytes[start..start + 8]).unwrap(), 16).unwrap()
            };
            let (size, length) = (field(6), field(11) as usize);
            let name = String::from_utf8(bytes[at + 110..at + 110 + length - 1].to_vec()).unwrap();
            if name == "TRAILER!!!" {
                return entries;
            }
            entries.push((name, field(0), field(1), field(4), size));
            at = (at + 110 + length).next_multiple_of(4) + (size as usize).next_multiple_of(4);
        }
    }

    #[test]
    fn parents_come_first_numbers_are_counted_and_the_last_link_has_the_contents() {
        let bytes = archive(&sample());
        assert_eq!(bytes.len() % 512, 0);
        let found = entries(&bytes);
        let expected = [
            (".", 1, 0o040_755, 4, 0),
            ("bin", 2, 0o040_755, 2, 0),
            ("bin/busybox", 3, 0o100_755, 3, 0),
            ("bin/sh", 3, 0o100_755, 3, 0),
            ("bin/su", 4, 0o104_755, 1, 6),
            ("dev", 5, 0o040_755, 2, 0),
            ("dev/console", 6, 0o020_600, 1, 0),
            ("dev/pipe", 7, 0o010_644, 1, 0),
            ("dev/sda", 8, 0o060_660, 1, 0),
            ("empty", 9, 0o100_600, 1, 0),
            ("lib", 10, 0o120_777, 1, 7),
            ("linuxrc", 3, 0o100_755, 3, 7),
        ];
        let found: Vec<_> = found.iter().map(|entry| (entry.0.as_str(), entry.1, entry.2, entry.3, entry.4)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn gnu_cpio_and_bsdtar_read_it() {
        let bytes = archive(&sample());
        if let Some(text) = judged("cpio", &["-tv", "--quiet", "-n"], &bytes) {
            let lines: Vec<String> =
                text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            assert_eq!(lines[4], "-rwsr-xr-x 1 0 34 6 Sep 9 2001 bin/su");
            assert_eq!(lines[6], "crw------- 1 0 0 5, 1 Sep 9 2001 dev/console");
            assert_eq!(lines[10], "lrwxrwxrwx 1 0 0 7 Sep 9 2001 lib -> usr/lib");
            assert_eq!(lines.len(), 12);
        }
        if let Some(text) = judged("bsdtar", &["-tvf", "-"], &bytes) {
            let lines: Vec<String> =
                text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            assert_eq!(lines[4], "-rwsr-xr-x 1 0 34 6 Sep 9 2001 bin/su");
            assert_eq!(lines[3], "-rwxr-xr-x 3 0 0 0 Sep 9 2001 bin/sh link to bin/busybox");
            assert_eq!(lines[8], "brw-rw---- 1 0 0 8,0 Sep 9 2001 dev/sda");
            assert_eq!(lines.len(), 12);
        }
    }

    #[test]
    fn names_are_bytes() {
        let mut tree = sample();
        tree.insert(tree.root(), name(b"caf\xe9"), inode(0o644, file("x")));
        let bytes = archive(&tree);
        assert!(bytes.windows(6).any(|part| part == b"\0caf\xe9\0" || part.starts_with(b"caf\xe9\0")));
    }

    #[test]
    fn what_the_form_cannot_hold_is_refused_before_anything_is_written() {
        let refused = |change: &dyn Fn(&mut Tree)| {
            let mut tree = sample();
            change(&mut tree);
            let mut out = Vec::new();
            let error = write_cpio(&tree, &mut out, &Silent).unwrap_err();
            assert!(out.is_empty());
            assert_eq!(error.kind(), FailureKind::Input);
            error.to_string()
        };
        let large = |tree: &mut Tree| {
            let backing = Arc::new(crate::tree::Backing::new(tempfile::tempfile().unwrap(), "x"));
            let content = Content::Slice { backing, offset: 0, size: 1 << 32 };
            tree.insert(tree.root(), name(b"large"), inode(0o644, Kind::File(content)));
        };
        assert_eq!(
            refused(&large),
            "an initramfs can store only files below 4 GiB, this one has 4294967296 bytes: /large"
        );
        for mtime in [-1, 1 << 32] {
            let text = refused(&|tree: &mut Tree| tree.meta_mut(tree.root()).mtime = mtime);
            let expected =
                format!("an initramfs can store only dates from 1970 to 2106, not {mtime} seconds since 1970: /");
            assert_eq!(text, expected);
        }
        let trailer = |tree: &mut Tree| {
            tree.insert(tree.root(), name(b"TRAILER!!!"), inode(0o644, file("")));
        };
        assert_eq!(refused(&trailer), "a file with this name would end the initramfs early: /TRAILER!!!");
        let target = |tree: &mut Tree| {
            let kind = Kind::Symlink(vec![b'x'; 4096].into());
            tree.insert(tree.root(), name(b"long"), inode(0o777, kind));
        };
        assert_eq!(refused(&target), "kernels accept link targets of at most 4095 bytes, not 4096: /long");
    }
}
