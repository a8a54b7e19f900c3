//! Archives to a tree: what a kernel would have in its root after it unpacked them.
//!
//! The file is what a boot loader hands over: archives in a row, each plain or in a compressed piece that holds one or
//! more of them, with zeros between. The kernel's own ways (`init/initramfs.c`) are followed: a later entry replaces an
//! earlier one, links among the parents are followed inside the root, an entry without a parent directory is dropped.
//!
//! What an archive claims is not believed: every length is bounded before anything is kept, and contents go to a scratch
//! file as they come, so memory grows with the number of entries only, and that is bounded too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::error::{CpioReadError, Spot};
use super::format::{HEADER, Header, MAGIC, MAGIC_SUM, NAME_MAX, TRAILER, padding, types};
use crate::codec::budget::{Budget, TOO_MUCH};
use crate::codec::compress::{DICTIONARY_MAX, Piece, XZ_START, XzStart};
use crate::codec::scratch::{Scratch, ScratchFile};
use crate::input;
use crate::path::{ImagePath, Name, display_bytes};
use crate::progress::{Event, Progress, Reporting};
use crate::tree::{Backing, Content, DeviceNumber, DirectoryId, Inode, InodeId, Kind, Metadata, Mode, Tree};

/// The most entries that are read: some hundred times what a distribution puts into an initramfs.
const ENTRIES_MAX: u64 = 4 << 20;

/// What was read.
#[derive(Debug)]
pub struct Cpio {
    /// What the kernel would have.
    pub tree: Tree,
    /// What it would not take, and what is odd.
    pub notes: Vec<String>,
}

/// Reads the archives of an initramfs into one tree. What is compressed is unpacked into `scratch`.
///
/// # Errors
/// When it cannot be read, or is damaged, or is not an initramfs.
pub fn read_cpio(path: &Path, scratch: &Scratch, progress: &dyn Progress) -> Result<Cpio, CpioReadError> {
    let name = path.display().to_string();
    let fail = |error| CpioReadError::io(&name, error);
    let file = input::open(path).map_err(fail)?;
    read_file(file, &name, scratch, progress)
}

fn read_file(file: File, name: &str, scratch: &Scratch, progress: &dyn Progress) -> Result<Cpio, CpioReadError> {
    let fail = |error| CpioReadError::io(name, error);
    let plain = Arc::new(Backing::seen(file.try_clone().map_err(fail)?, name).map_err(fail)?);
    let mut store = scratch.file().map_err(fail)?;
    let unpacked = Arc::new(Backing::new(store.reader().map_err(fail)?, name));
    progress.event(Event::Total(file.metadata().map_err(fail)?.len()));
    let stored = Reporting::new(FromStart { file: &file, at: 0 }, progress);
    let mut input = Counted { inner: BufReader::with_capacity(1 << 16, stored), at: 0 };
    let mut root = Root {
        name,
        tree: Tree::new(Metadata::new(Mode::DIRECTORY, 0)),
        notes: Vec::new(),
        dropped: 0,
        entries: 0,
        budget: Budget::of_entries(),
        links: BTreeMap::new(),
    };
    let mut archives = 0;
    let mut after_plain = false;
    while skip_zeros(&mut input).map_err(fail)? {
        let start = input.at;
        let mut head = [0; XZ_START];
        let count = input::read_at(&file, &mut head, start).map_err(fail)?;
        let (head, magic) = (&head[..count], &head[..count.min(MAGIC.len())]);
        // Behind a plain archive a kernel stops at whatever does not begin at a multiple of four bytes.
        if after_plain && !start.is_multiple_of(4) {
            let odd = start % 4;
            root.notes.push(format!(
                "kernels stop at byte {start} (\"broken padding\"): fill up what is before it by {} zeros",
                4 - odd
            ));
            break;
        }
        // A kernel looks for a plain archive only where a multiple of four bytes comes before it.
        if magic.starts_with(b"0") && start.is_multiple_of(4) && (archives > 0 || is_newc(magic)) {
            let mut section =
                Section { input: &mut input, at: 0, spot: (start, false), backing: &plain, kept: start, store: None };
            root.archive(&mut section)?;
            after_plain = true;
        } else {
            after_plain = false;
            root.look_at_xz(start, head)?;
            match Piece::new(input, magic).map_err(fail)? {
                Some(mut piece) => {
                    let kept = unpacked.file().metadata().map_err(fail)?.len();
                    let mut reader = Counted { inner: BufReader::with_capacity(1 << 16, &mut piece), at: 0 };
                    let mut section = Section {
                        input: &mut reader,
                        at: 0,
                        spot: (start, true),
                        backing: &unpacked,
                        kept,
                        store: Some(&mut store),
                    };
                    root.piece(&mut section)?;
                    input = piece.into_inner();
                }
                None if archives == 0 => return Err(CpioReadError::NoArchive(name.into(), what(magic))),
                None => {
                    root.notes.push(format!("no archive from byte {start} on: kernels ignore the rest"));
                    break;
                }
            }
        }
        archives += 1;
    }
    if archives == 0 {
        return Err(CpioReadError::NoArchive(name.into(), "an empty file"));
    }
    Ok(root.finish())
}

fn is_newc(magic: &[u8]) -> bool {
    magic == MAGIC || magic == MAGIC_SUM
}

/// What a file is that begins with these bytes and is not an archive for a kernel.
fn what(magic: &[u8]) -> &'static str {
    match magic {
        b"070707" | [0xc7, 0x71, ..] | [0x71, 0xc7, ..] => "an old cpio format, which kernels do not read",
        [0x04, 0x22, 0x4d, 0x18, ..] => "lz4's frame format, which kernels do not read",
        _ => "something else",
    }
}

/// Reads over zeros; `false` at the end of the input.
fn skip_zeros(input: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        let more = zeros < buffer.len();
        input.consume(zeros);
        if more {
            return Ok(true);
        }
    }
}

/// Reads a file by position, so that nobody else's position in it matters.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = input::read_at(self.file, buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// A reader that knows how much was taken from it.
struct Counted<R> {
    inner: R,
    at: u64,
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.at += count as u64;
        self.inner.consume(count);
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// A stretch of plain bytes that holds archives.
struct Section<'a> {
    input: &'a mut dyn BufRead,
    /// How many bytes were taken.
    at: u64,
    /// Where the piece begins in the file, and whether it is compressed.
    spot: (u64, bool),
    /// Where contents are kept.
    backing: &'a Arc<Backing>,
    /// In a plain archive where it begins there; else where the next contents go.
    kept: u64,
    /// What contents must be copied to.
    store: Option<&'a mut ScratchFile>,
}

impl Section<'_> {
    fn spot(&self) -> Spot {
        Spot { piece: self.spot.0, at: self.at, packed: self.spot.1 }
    }

    /// The next byte; `None` at the end.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    /// Takes a byte that was seen.
    fn skip(&mut self) {
        self.input.consume(1);
        self.at += 1;
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.input.read_exact(buffer)?;
        self.at += buffer.len() as u64;
        Ok(())
    }

    fn pad(&mut self) -> io::Result<()> {
        let length = padding(self.at);
        // What fills up need not be zeros: a kernel does not look. At the very end it may be missing.
        for _ in 0..length {
            if self.peek()?.is_none() {
                break;
            }
            self.skip();
        }
        Ok(())
    }

    /// Takes the contents of a file, and their sum.
    fn contents(&mut self, size: u32) -> io::Result<(Content, u32)> {
        let offset = if self.store.is_some() { self.kept } else { self.kept + self.at };
        let mut left = u64::from(size);
        let mut sum = 0_u32;
        while left > 0 {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let part = &buffer[..buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            sum = part.iter().fold(sum, |sum, byte| sum.wrapping_add(u32::from(*byte)));
            if let Some(store) = &mut self.store {
                store.write_all(part)?;
                self.kept += part.len() as u64;
            }
            let count = part.len();
            self.input.consume(count);
            self.at += count as u64;
            left -= count as u64;
        }
        Ok((Content::Slice { backing: self.backing.clone(), offset, size: u64::from(size) }, sum))
    }
}

/// The root that a kernel would have.
struct Root<'a> {
    name: &'a str,
    tree: Tree,
    notes: Vec<String>,
    /// How many entries had no place.
    dropped: u64,
    entries: u64,
    /// What link targets and notes may still take.
    budget: Budget,
    /// The files of this archive that may get more names.
    links: BTreeMap<(u32, u32, u32), InodeId>,
}

impl Root<'_> {
    /// Which forms of xz no kernel unpacks, and which one only some do.
    fn look_at_xz(&mut self, start: u64, head: &[u8]) -> Result<(), CpioReadError> {
        let Some(xz) = XzStart::read(head) else { return Ok(()) };
        let dictionary = xz.dictionary();
        let too_large = || {
            let (size, most) = (dictionary >> 20, DICTIONARY_MAX >> 20);
            format!("xz with a dictionary of {size} MiB; sazare reads up to {most} (use xz --lzma2=dict={most}MiB)")
        };
        if let Some(fault) = xz.fault().or_else(|| (dictionary > DICTIONARY_MAX).then(too_large)) {
            let spot = Spot { piece: start, at: 0, packed: false };
            return Err(CpioReadError::Malformed(self.name.into(), spot, fault));
        }
        if let Some((filter, kernels)) = xz.rare_filter() {
            self.notes.push(format!("xz with the filter {filter}: only kernels for {kernels} unpack it"));
        }
        Ok(())
    }

    /// Reads the archives in a compressed piece, to its end.
    fn piece(&mut self, section: &mut Section<'_>) -> Result<(), CpioReadError> {
        loop {
            let behind = section.at > 0;
            let next = loop {
                match section.peek().map_err(|error| self.fail(section, error))? {
                    Some(0) => section.skip(),
                    Some(next) => break next,
                    None => return Ok(()),
                }
            };
            if behind && next != b'0' {
                return Err(self.malformed(section, "something that is not an archive follows an archive"));
            }
            self.archive(section)?;
        }
    }

    /// Reads one archive, to its trailer.
    fn archive(&mut self, section: &mut Section<'_>) -> Result<(), CpioReadError> {
        self.links.clear();
        loop {
            if section.peek().map_err(|error| self.fail(section, error))?.is_none() {
                self.notes.push("its last archive has no end marker: it may be truncated".into());
                return Ok(());
            }
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(self.malformed(section, &format!("more than {ENTRIES_MAX} entries")));
            }
            if !self.entry(section)? {
                return Ok(());
            }
        }
    }

    /// Reads one entry; `false` when it is the trailer.
    fn entry(&mut self, section: &mut Section<'_>) -> Result<bool, CpioReadError> {
        let start = section.spot();
        let wrong = |text: &str| CpioReadError::Malformed(self.name.to_string(), start, text.to_string());
        let mut bytes = [0; HEADER];
        section.fill(&mut bytes).map_err(|error| self.fail(section, error))?;
        if !is_newc(&bytes[..6]) {
            return Err(wrong("not an archive entry (its magic is missing)"));
        }
        let header = Header::parse(&bytes).ok_or_else(|| wrong("a header with an invalid number"))?;
        if header.name == 0 || header.name > NAME_MAX {
            return Err(wrong(&format!("an entry with a name of {} bytes", header.name)));
        }
        let mut name = vec![0; header.name as usize];
        section.fill(&mut name).map_err(|error| self.fail(section, error))?;
        if name.pop() != Some(0) {
            return Err(wrong("a name without NUL at its end"));
        }
        section.pad().map_err(|error| self.fail(section, error))?;
        let kind = header.mode & types::MASK;
        if kind == types::SYMLINK && header.size >= NAME_MAX {
            let link = display_bytes(&name);
            return Err(wrong(&format!(
                "a link with a target of {} bytes, more than Linux stores: {link}",
                header.size
            )));
        }
        if kind == types::SYMLINK && !self.budget.take(header.size as usize) {
            return Err(wrong(&format!("{TOO_MUCH}: {}", display_bytes(&name))));
        }
        let mut target = Vec::new();
        let mut contents = None;
        if kind == types::SYMLINK && name != TRAILER {
            target = vec![0; header.size as usize];
            section.fill(&mut target).map_err(|error| self.fail(section, error))?;
        } else {
            let (content, sum) = section.contents(header.size).map_err(|error| self.fail(section, error))?;
            if &bytes[..6] == MAGIC_SUM && kind == types::FILE && sum != header.sum {
                return Err(wrong(&format!("the checksum of the contents is wrong: {}", display_bytes(&name))));
            }
            contents = Some(content);
        }
        section.pad().map_err(|error| self.fail(section, error))?;
        if name == TRAILER {
            return Ok(false);
        }
        let path = ImagePath::parse(&name).map_err(|error| CpioReadError::Name(self.name.to_string(), error))?;
        let number = DeviceNumber { major: header.node.0, minor: header.node.1 };
        let kind = match (kind, contents) {
            (types::DIRECTORY, _) => Kind::Directory(Default::default()),
            (types::FILE, Some(content)) => Kind::File(content),
            (types::SYMLINK, _) => Kind::Symlink(target.into()),
            (types::CHAR, _) => Kind::CharDevice(number),
            (types::BLOCK, _) => Kind::BlockDevice(number),
            (types::FIFO, _) => Kind::Fifo,
            (types::SOCKET, _) => {
                if !self.budget.take(path.as_bytes().len() + 1024) {
                    return Err(wrong(TOO_MUCH));
                }
                self.notes.push(format!("a socket was left out: {path}"));
                return Ok(true);
            }
            _ => return Err(wrong(&format!("an entry of unknown type: {path}"))),
        };
        self.place(&path, &header, kind);
        Ok(true)
    }

    /// Puts an entry where a kernel would put it.
    fn place(&mut self, path: &ImagePath, header: &Header, kind: Kind) {
        let meta = Metadata {
            mode: Mode::from_bits(header.mode),
            uid: header.uid,
            gid: header.gid,
            mtime: i64::from(header.mtime),
            xattrs: Default::default(),
        };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            if matches!(kind, Kind::Directory(_)) {
                let root = self.tree.root();
                *self.tree.meta_mut(root) = meta;
            }
            return;
        };
        let Some(directory) = self.directory(&parent) else { return self.drop(path, "its directory does not exist") };
        let is_directory = matches!(kind, Kind::Directory(_));
        if let Some(old) = self.tree.child(directory, name.as_bytes())
            && let Some(entries) = self.tree.entries(old)
        {
            if is_directory {
                *self.tree.meta_mut(old) = meta;
                return;
            }
            if !entries.is_empty() {
                return self.drop(path, "a directory with entries has this name");
            }
        }
        let key = (header.ino, header.device.0, header.device.1);
        let may_be_linked = header.nlink > 1 && !is_directory && !matches!(kind, Kind::Symlink(_));
        if may_be_linked
            && let Some(id) = self.links.get(&key).copied()
            && std::mem::discriminant(&self.tree.inode(id).kind) == std::mem::discriminant(&kind)
        {
            self.tree.link(directory, name, id);
            *self.tree.meta_mut(id) = meta;
            // The contents stand at one of the names, in most archives at the last.
            if let Kind::File(content) = kind
                && content.size() > 0
                && let Some(known) = self.tree.content_mut(id)
            {
                *known = content;
            }
            return;
        }
        let id = self.tree.insert(directory, name, Inode { meta: meta.into(), kind });
        if may_be_linked {
            self.links.insert(key, id);
        }
    }

    /// The directory of an entry, through links. Two are there before any archive: the kernel brings them along
    /// (`usr/default_cpio_list`).
    fn directory(&mut self, path: &ImagePath) -> Option<DirectoryId> {
        let destination = self.tree.destination(path).ok()?;
        let missing: &[Name] = &destination.missing;
        match missing {
            [] => Some(destination.directory),
            [only] if destination.path.is_root() && matches!(only.as_bytes(), b"dev" | b"root") => {
                let meta = Metadata::new(Mode::DIRECTORY, 0);
                Some(self.tree.insert_directory(destination.directory, only.clone(), meta))
            }
            _ => None,
        }
    }

    fn drop(&mut self, path: &ImagePath, why: &str) {
        if self.dropped == 0 {
            self.notes.push(format!("kernels drop {path}: {why}"));
        }
        self.dropped += 1;
    }

    fn malformed(&self, section: &Section<'_>, text: &str) -> CpioReadError {
        CpioReadError::Malformed(self.name.to_string(), section.spot(), text.to_string())
    }

    fn fail(&self, section: &Section<'_>, error: io::Error) -> CpioReadError {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            let what = if section.spot.1 { "the piece" } else { "the file" };
            return self.malformed(section, &format!("{what} ends in the middle of an archive"));
        }
        CpioReadError::io(self.name, error)
    }

    fn finish(mut self) -> Cpio {
        if self.dropped > 1 {
            self.notes.push(format!("kernels drop {} more entries", self.dropped - 1));
        }
        Cpio { tree: self.tree, notes: self.notes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::compress::{FileCompression, FileCompressor};
    use crate::failure::{Failure as _, FailureKind};
    use crate::progress::Silent;

    /// An entry: name, type and mode, inode number, link count, contents.
    fn entry(name: &str, mode: u32, (ino, nlink): (u32, u32), contents: &[u8]) -> Vec<u8> {
        let header = Header {
            ino,
            mode,
            nlink,
            mtime: 7,
            size: contents.len() as u32,
            name: name.len() as u32 + 1,
            ..Header::default()
        };
        let mut bytes = header.bytes().to_vec();
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(contents);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn directory(name: &str) -> Vec<u8> {
        entry(name, 0o040_755, (0, 2), b"")
    }

    fn file(name: &str, contents: &str) -> Vec<u8> {
        entry(name, 0o100_644, (0, 1), contents.as_bytes())
    }

    fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
        [entries.concat(), entry("TRAILER!!!", 0, (0, 1), b"")].concat()
    }

    fn packed(bytes: &[u8], form: FileCompression) -> Vec<u8> {
        let mut compressor = FileCompressor::new(Vec::new(), form, 1).unwrap();
        compressor.write_all(bytes).unwrap();
        compressor.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Cpio, CpioReadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, bytes).unwrap();
        read_file(File::open(path).unwrap(), "x", &Scratch::new(folder.path()), &Silent)
    }

    fn refused(bytes: &[u8]) -> String {
        let error = read(bytes).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Input);
        error.to_string()
    }

    fn listing(cpio: &Cpio) -> Vec<String> {
        let line = |entry: crate::tree::Entry<'_>| match &entry.inode.kind {
            Kind::File(content) => {
                format!("{}={}", entry.path, String::from_utf8(content.head(99).unwrap()).unwrap())
            }
            Kind::Symlink(target) => format!("{} -> {}", entry.path, display_bytes(target)),
            Kind::Directory(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => entry.path.to_string(),
        };
        cpio.tree.walk().skip(1).map(line).collect()
    }

    #[test]
    fn archives_in_a_row_are_one_root_whatever_their_form() {
        let first = archive(&[directory("a"), file("a/x", "old"), file("a/y", "kept")]);
        let second = archive(&[directory("a"), file("a/x", "new"), entry("l", 0o120_777, (0, 1), b"a/x")]);
        let expected = ["/a", "/a/x=new", "/a/y=kept", "/l -> a/x"];
        let mut forms = vec![FileCompression::None, FileCompression::Gzip, FileCompression::Xz];
        if cfg!(feature = "native") {
            forms.push(FileCompression::Zstd);
        }
        for one in &forms {
            for other in &forms {
                let mut bytes = packed(&first, *one);
                bytes.resize(bytes.len().next_multiple_of(512), 0);
                bytes.extend_from_slice(&packed(&second, *other));
                bytes.extend_from_slice(&[0; 9]);
                let cpio = read(&bytes).unwrap();
                assert_eq!(listing(&cpio), expected, "{one:?} {other:?}");
                assert_eq!(cpio.notes, [""; 0], "{one:?} {other:?}");
            }
            // Both archives in one piece, and both pieces without anything between.
            let joined = packed(&[first.clone(), vec![0; 4], second.clone()].concat(), *one);
            assert_eq!(listing(&read(&joined).unwrap()), expected);
        }
        let gzip = [packed(&first, FileCompression::Gzip), packed(&second, FileCompression::Gzip)].concat();
        assert_eq!(listing(&read(&gzip).unwrap()), expected);
    }

    #[test]
    fn an_archive_that_is_cut_into_pieces_is_refused_as_the_kernel_refuses_it() {
        let whole = archive(&[directory("a"), file("a/x", "contents")]);
        let (first, second) = whole.split_at(whole.len() / 2);
        let error =
            read(&[packed(first, FileCompression::Gzip), packed(second, FileCompression::Gzip)].concat()).unwrap_err();
        let expected =
            "at byte 112 of the data that is compressed from byte 0 on: the piece ends in the middle of an archive";
        assert_eq!(error.to_string(), format!("cannot read x: {expected}"));
        assert!(error.hint().unwrap().contains("as one member"));
    }

    #[test]
    fn hard_links_share_an_inode_wherever_the_contents_stand() {
        for (one, other) in [("", "text"), ("text", "")] {
            let link = |name, contents: &str| entry(name, 0o100_755, (5, 2), contents.as_bytes());
            let cpio = read(&archive(&[link("a", one), link("b", other)])).unwrap();
            assert_eq!(listing(&cpio), ["/a=text", "/b=text"]);
            let id = |path: &str| cpio.tree.get(&path.parse().unwrap());
            assert_eq!(id("/a"), id("/b"));
        }
        // The numbers of another archive are others.
        let alone = |name: &str| archive(&[entry(name, 0o100_755, (5, 2), name.as_bytes())]);
        assert_eq!(listing(&read(&[alone("a"), alone("b")].concat()).unwrap()), ["/a=a", "/b=b"]);
    }

    #[test]
    fn entries_without_a_place_are_dropped_as_the_kernel_drops_them() {
        let entries = [file("a/b", "1"), directory("a"), file("c/d", "1"), file("dev/x", "1"), file("./a/e", "2")];
        let cpio = read(&archive(&entries)).unwrap();
        assert_eq!(listing(&cpio), ["/a", "/a/e=2", "/dev", "/dev/x=1"]);
        let expected = ["kernels drop /a/b: its directory does not exist", "kernels drop 1 more entries"];
        assert_eq!(cpio.notes, expected);
        let cpio = read(&[archive(&[directory("a")]), b"junk".to_vec()].concat()).unwrap();
        assert_eq!(cpio.notes, ["no archive from byte 236 on: kernels ignore the rest"]);
    }

    #[test]
    fn hostile_archives_are_refused_with_a_reason() {
        assert_eq!(
            refused(&archive(&[file("a/../../b", "")])),
            "cannot read x: an entry has a bad name: `..` is not allowed in a path in an image: a/../../b"
        );
        let mut wrong = archive(&[file("a", "")]);
        wrong[10] = b'x';
        assert_eq!(refused(&wrong), "cannot read x: at byte 0: a header with an invalid number");
        let long = Header { mode: 0o100_644, name: 4097, ..Header::default() };
        assert_eq!(refused(&long.bytes()), "cannot read x: at byte 0: an entry with a name of 4097 bytes");
        let huge = Header { mode: 0o100_644, name: 4, size: u32::MAX, ..Header::default() };
        let bytes = [huge.bytes().to_vec(), b"abc\0\0\0".to_vec()].concat();
        assert_eq!(refused(&bytes), "cannot read x: at byte 116: the file ends in the middle of an archive");
        let target = Header { mode: 0o120_777, name: 4, size: 4096, ..Header::default() };
        let bytes = [target.bytes().to_vec(), b"abc\0\0\0".to_vec()].concat();
        assert_eq!(
            refused(&bytes),
            "cannot read x: at byte 0: a link with a target of 4096 bytes, more than Linux stores: abc"
        );
        assert_eq!(
            refused(&archive(&[entry("a", 0o150_000, (0, 1), b"")])),
            "cannot read x: at byte 0: an entry of unknown type: /a"
        );
        let mut xz = packed(&archive(&[file("a", "text")]), FileCompression::Xz);
        assert!(read(&xz).is_ok());
        xz[7] = 4;
        assert_eq!(
            refused(&[archive(&[]), xz].concat()),
            "cannot read x: at byte 124: xz with the check crc64, which kernels do not support (use xz --check=crc32)"
        );
        assert_eq!(refused(b""), "an empty file, not an initramfs: x");
        assert!(refused(b"BZh9").ends_with("the piece ends in the middle of an archive"), "{}", refused(b"BZh9"));
        assert_eq!(refused(b"070707"), "an old cpio format, which kernels do not read, not an initramfs: x");
        assert!(refused(&[&archive(&[]), b"0707".as_slice()].concat()).contains("ends in the middle"));
        let mut sum = archive(&[file("a", "text")]);
        sum[5] = b'2';
        assert_eq!(refused(&sum), "cannot read x: at byte 0: the checksum of the contents is wrong: a");
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let whole = archive(&[directory("a"), file("a/x", "contents"), entry("l", 0o120_777, (0, 1), b"a/x")]);
        for bytes in [whole.clone(), packed(&whole, FileCompression::Gzip), packed(&whole, FileCompression::Xz)] {
            for at in 0..bytes.len() {
                let _ = read(&bytes[..at]);
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x55;
                let _ = read(&flipped);
            }
        }
    }
}
