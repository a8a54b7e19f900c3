//! A layer's tar stream, cut into segments that are packed each by itself.
//!
//! # Where the cuts are
//!
//! What is before an entry must not decide for long where the cuts behind it are, or one byte more at the beginning would
//! make every segment another one. And a segment must be known without reading what is in it. So only names, sizes and
//! order decide:
//!
//! - Before an entry there is a cut when the segment holds half a span ([`Compression::span`]) already and either would hold more
//!   than a span with this entry, or the entry makes a cut by its name: by the CRC-32 of that, compared with its size.
//! - A file that does not fit into the rest of a span is cut after its first half span, and then after each whole one, counted
//!   from its own first byte.
//!
//! So a segment has about a span at most, with some room for headers. Cuts are at multiples of tar's block of 512 bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::plan::{Item, LayerPlan};
use crate::codec::compress::Compression;
use crate::codec::tar::{self, Body};
use crate::codec::whiteout;
use crate::digest::{Digest, Hasher};
use crate::path::{ImagePath, Name};
use crate::tree::{Content, ContentError, Inode, InodeId, Kind, Metadata, Mode, Origin, Stamp, Tree};

/// A run of the tar stream.
#[derive(Default)]
pub(super) struct Segment<'a> {
    /// Everything but contents: headers and padding, in order.
    frame: Vec<u8>,
    /// What stands between the parts of the frame.
    pieces: Vec<Piece<'a>>,
    /// How many bytes of contents there are.
    contents: usize,
}

/// A part of a file.
struct Piece<'a> {
    /// How much of the frame comes before it.
    at: usize,
    content: &'a Content,
    offset: u64,
    length: usize,
}

impl Segment<'_> {
    /// How long it is, in bytes.
    pub fn size(&self) -> usize {
        self.frame.len() + self.contents
    }

    /// How many bytes of files are in it.
    pub fn contents(&self) -> u64 {
        self.contents as u64
    }

    /// What distinguishes this segment from all others without reading a file. `None` when that cannot be told: for a file that lies in no
    /// place of the user's, or whose state `believes` does not take for its contents.
    pub fn key(&self, believes: &dyn Fn(&Content, &Stamp) -> bool) -> Option<Digest> {
        let mut hasher = Hasher::default();
        let number = |hasher: &mut Hasher, number: u64| hasher.update(&number.to_le_bytes());
        number(&mut hasher, self.frame.len() as u64);
        hasher.update(&self.frame);
        for piece in &self.pieces {
            number(&mut hasher, piece.at as u64);
            number(&mut hasher, piece.length as u64);
            match piece.content.origin() {
                Origin::Bytes(bytes) => {
                    let start = usize::try_from(piece.offset).ok()?;
                    number(&mut hasher, 0);
                    hasher.update(bytes.get(start..start + piece.length)?);
                }
                Origin::Stamped(stamp, offset) if believes(piece.content, &stamp) => {
                    number(&mut hasher, 1);
                    for part in [stamp.device, stamp.inode, stamp.size, offset + piece.offset] {
                        number(&mut hasher, part);
                    }
                    for (seconds, nanoseconds) in [stamp.modified, stamp.changed] {
                        hasher.update(&seconds.to_le_bytes());
                        hasher.update(&nanoseconds.to_le_bytes());
                    }
                }
                Origin::Stamped(..) | Origin::Unknown => return None,
            }
        }
        Some(hasher.finish())
    }

    /// Reads it into a buffer, which grows when it is too short; its first [`Segment::size`] bytes are the segment.
    pub fn read(&self, buffer: &mut Vec<u8>) -> Result<(), ContentError> {
        if buffer.len() < self.size() {
            buffer.resize(self.size(), 0);
        }
        let (mut from, mut to) = (0, 0);
        for piece in &self.pieces {
            let frame = &self.frame[from..piece.at];
            buffer[to..to + frame.len()].copy_from_slice(frame);
            (from, to) = (piece.at, to + frame.len());
            piece.content.read_exact_at(&mut buffer[to..to + piece.length], piece.offset)?;
            to += piece.length;
        }
        let frame = &self.frame[from..];
        buffer[to..to + frame.len()].copy_from_slice(frame);
        Ok(())
    }
}

/// A path of the base cannot be removed: the name of its whiteout would be too long.
#[derive(Debug, thiserror::Error)]
#[error("a name longer than 251 bytes cannot be removed from a base image: {0}")]
pub struct WhiteoutTooLong(ImagePath);

/// Cuts the layer of a plan into segments. After an error nothing follows.
pub(super) fn cut<'a>(
    tree: &'a Tree,
    plan: &'a LayerPlan,
    compression: Compression,
) -> impl Iterator<Item = Result<Segment<'a>, WhiteoutTooLong>> {
    Cutter {
        tree,
        items: Some(plan.items(tree)),
        linked: tree.linked(),
        first_names: BTreeMap::new(),
        above: Vec::new(),
        span: compression.span(),
        segment: Segment::default(),
        header: Vec::new(),
        ready: VecDeque::new(),
        rest: None,
        begun: false,
    }
}

struct Cutter<'a> {
    tree: &'a Tree,
    /// What was not looked at yet; `None` behind the end.
    items: Option<Box<dyn Iterator<Item = (ImagePath, Item)> + 'a>>,
    /// The inodes with several names.
    linked: BTreeSet<InodeId>,
    /// The name under which a file with several names was written.
    first_names: BTreeMap<InodeId, ImagePath>,
    /// The directories that are written and still open, from the root's child on: the parents of the last entry.
    above: Vec<ImagePath>,
    span: usize,
    segment: Segment<'a>,
    /// The header of the current entry.
    header: Vec<u8>,
    /// Segments that are complete.
    ready: VecDeque<Segment<'a>>,
    /// What is still to be cut of the last file.
    rest: Option<Rest<'a>>,
    /// The entry of the root is written.
    begun: bool,
}

/// A file that is being cut.
struct Rest<'a> {
    content: &'a Content,
    offset: u64,
    /// How much of it the next segment may take, if it does not fit as a whole.
    most: usize,
}

impl<'a> Iterator for Cutter<'a> {
    type Item = Result<Segment<'a>, WhiteoutTooLong>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(segment) = self.ready.pop_front() {
                return Some(Ok(segment));
            }
            if let Some(rest) = self.rest.take() {
                self.contents(rest);
                continue;
            }
            if let Err(error) = self.advance()? {
                self.items = None;
                return Some(Err(error));
            }
        }
    }
}

impl<'a> Cutter<'a> {
    /// Writes the next entry, or the end. `None` behind the end.
    fn advance(&mut self) -> Option<Result<(), WhiteoutTooLong>> {
        let items = self.items.as_mut()?;
        if !self.begun {
            self.begun = true;
            self.entry(&ImagePath::root(), *self.tree.root());
            return Some(Ok(()));
        }
        let Some((path, item)) = items.next() else {
            self.items = None;
            self.segment.frame.extend_from_slice(&tar::END);
            self.flush();
            return Some(Ok(()));
        };
        self.parents(&path);
        match item {
            Item::Entry(id) => self.entry(&path, id),
            Item::Whiteout => return Some(self.whiteout(&path)),
        }
        Some(Ok(()))
    }

    /// Writes the parents of `path` that were not written yet.
    fn parents(&mut self, path: &ImagePath) {
        while self.above.last().is_some_and(|directory| !path.starts_with(directory)) {
            self.above.pop();
        }
        if self.above.last() == path.parent().as_ref() {
            return;
        }
        let mut here = ImagePath::root();
        let mut id = *self.tree.root();
        let depth = path.components().count();
        for part in path.components().take(depth.saturating_sub(1)) {
            let (Ok(name), Some(child)) = (Name::new(part), self.tree.child(id, part)) else { break };
            here = here.join(&name);
            id = child;
            if !self.above.contains(&here) {
                self.entry(&here, id);
            }
        }
    }

    fn entry(&mut self, path: &ImagePath, id: InodeId) {
        let inode: &'a Inode = self.tree.inode(id);
        if !inode.is_directory() && self.linked.contains(&id) {
            if let Some(first) = self.first_names.get(&id) {
                self.header.clear();
                tar::header(&mut self.header, path, &inode.meta, Body::Hardlink(first));
                self.put(path, None);
                return;
            }
            self.first_names.insert(id, path.clone());
        }
        let body = match &inode.kind {
            Kind::Directory(_) => {
                if !path.is_root() {
                    self.above.push(path.clone());
                }
                Body::Directory
            }
            Kind::File(content) => Body::File(content.size()),
            Kind::Symlink(target) => Body::Symlink(target),
            Kind::CharDevice(number) => Body::CharDevice(*number),
            Kind::BlockDevice(number) => Body::BlockDevice(*number),
            Kind::Fifo => Body::Fifo,
        };
        self.header.clear();
        tar::header(&mut self.header, path, &inode.meta, body);
        let content = match &inode.kind {
            Kind::File(content) => Some(content),
            Kind::Directory(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => None,
        };
        self.put(path, content);
    }

    fn whiteout(&mut self, path: &ImagePath) -> Result<(), WhiteoutTooLong> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let mark = whiteout::of(&name).ok_or_else(|| WhiteoutTooLong(path.clone()))?;
        let time = self.tree.inode(self.tree.root()).meta.mtime;
        self.header.clear();
        tar::header(&mut self.header, &parent.join(&mark), &Metadata::new(Mode::FILE, time), Body::File(0));
        self.put(path, None);
        Ok(())
    }

    /// Puts the current entry into segments.
    fn put(&mut self, path: &ImagePath, content: Option<&'a Content>) {
        let size = content.map_or(0, Content::size);
        let whole = size.saturating_add(self.header.len() as u64);
        let too_much = whole > (self.span as u64).saturating_sub(self.segment.size() as u64);
        if self.segment.size() >= self.span / 2 && (too_much || self.is_mark(path, whole)) {
            self.flush();
        }
        self.segment.frame.extend_from_slice(&self.header);
        self.rest = content.map(|content| Rest { content, offset: 0, most: self.span / 2 });
    }

    /// Puts as much of a file into the segment as fits.
    fn contents(&mut self, mut rest: Rest<'a>) {
        let (content, offset, size) = (rest.content, rest.offset, rest.content.size());
        if offset < size {
            let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
            let fits = self.segment.size().saturating_add(left) <= self.span;
            let length = if fits { left } else { left.min(std::mem::replace(&mut rest.most, self.span)) };
            self.segment.pieces.push(Piece { at: self.segment.frame.len(), content, offset, length });
            self.segment.contents += length;
            rest.offset += length as u64;
        }
        if rest.offset < size {
            self.flush();
            self.rest = Some(rest);
        } else {
            self.segment.frame.extend_from_slice(&tar::END[..tar::padding(size)]);
        }
    }

    /// Whether there is a cut before this entry, when there may be one. The name decides, by chance so to speak, and the larger
    /// the entry the more likely: there is one such cut in a third of a span, whatever the size of the files.
    fn is_mark(&self, path: &ImagePath, size: u64) -> bool {
        let mut crc = flate2::Crc::new();
        crc.update(path.as_bytes());
        u64::from(crc.sum()) % (self.span as u64 / 3) < size
    }

    fn flush(&mut self) {
        self.ready.push_back(std::mem::take(&mut self.segment));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::image::plan_layers;

    /// Files of these sizes, in a directory.
    fn tree(sizes: &[(String, usize)]) -> Tree {
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        for (name, size) in sizes {
            let bytes: Vec<u8> = (0..*size).map(|at| (at % 251) as u8).collect();
            let kind = Kind::File(Content::Bytes(bytes.into()));
            let inode = Inode { meta: Metadata::new(Mode::FILE, 0).into(), kind };
            tree.insert(tree.root(), Name::new(name.as_bytes()).unwrap(), inode);
        }
        tree
    }

    fn sizes(count: usize) -> Vec<(String, usize)> {
        (0..count).map(|number| (format!("file-{number:05}"), number * 7919 % 40_000)).collect()
    }

    fn segments(tree: &Tree) -> Vec<Vec<u8>> {
        let mut segments = Vec::new();
        let plan = plan_layers(tree, None, &[]).pop().unwrap();
        for segment in cut(tree, &plan, Compression::Gzip(1)) {
            let (segment, mut buffer) = (segment.unwrap(), vec![1; 3]);
            segment.read(&mut buffer).unwrap();
            buffer.truncate(segment.size());
            segments.push(buffer);
        }
        segments
    }

    #[test]
    fn segments_are_of_the_promised_size_and_end_with_a_block_of_tar() {
        let segments = segments(&tree(&sizes(1000)));
        let span = Compression::Gzip(1).span();
        assert!(segments.len() > 15);
        for (number, segment) in segments.iter().enumerate() {
            assert!(segment.len() <= span + 1024 && segment.len().is_multiple_of(512), "{}", segment.len());
            assert!(segment.len() >= span / 2 || number + 1 == segments.len(), "{}", segment.len());
        }
        let mut archive = ::tar::Archive::new(std::io::Cursor::new(segments.concat()));
        assert_eq!(archive.entries().unwrap().filter(|entry| entry.is_ok()).count(), 1001);
    }

    #[test]
    fn a_change_makes_few_other_segments() {
        let before = sizes(1000);
        let known: BTreeSet<Vec<u8>> = segments(&tree(&before)).into_iter().collect();
        type Change = fn(&mut Vec<(String, usize)>);
        let changes: [Change; 4] = [
            |sizes| sizes[3].1 += 1000,
            |sizes| drop(sizes.remove(3)),
            |sizes| sizes.insert(0, ("a-new-one".into(), 30_000)),
            |sizes| sizes.push(("z".into(), 5_000_000)),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut after = before.clone();
            change(&mut after);
            let fresh = segments(&tree(&after)).into_iter().filter(|segment| !known.contains(segment)).count();
            let most = if number == 3 { 6 } else { 3 };
            assert!((1..=most).contains(&fresh), "change {number}: {fresh}");
        }
    }

    #[test]
    fn a_large_file_is_cut_from_its_own_start() {
        let large = ("m".to_string(), (3 << 20) + 1000);
        let before = segments(&tree(&[("a".into(), 300_000), large.clone()]));
        let after = segments(&tree(&[("a".into(), 100_000), large, ("z".into(), 10)]));
        assert_eq!(before.len(), 3);
        assert_eq!((&before[1], before[1].len()), (&after[1], Compression::Gzip(1).span()));
    }

    #[test]
    fn a_key_is_there_only_when_every_state_counts() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "text").unwrap();
        let options = crate::codec::dir::ScanOptions { xattrs: false, ..crate::codec::dir::ScanOptions::ALL };
        let scan = || crate::codec::dir::scan(folder.path(), &options).unwrap().tree;
        let keys = |tree: &Tree, moment| {
            let plan = plan_layers(tree, None, &[]).pop().unwrap();
            let segments = cut(tree, &plan, Compression::Gzip(1));
            segments.map(|segment| segment.unwrap().key(&|_, stamp| stamp.settled_at(moment))).collect::<Vec<_>>()
        };
        use std::os::unix::fs::MetadataExt;
        let changed = std::fs::metadata(folder.path().join("file")).unwrap().ctime();
        let before = scan();
        for moment in [i64::MIN, 0, changed, changed + 2] {
            assert_eq!(keys(&before, moment), [None], "{moment}");
        }
        let key = keys(&before, changed + 3);
        assert!(key[0].is_some());
        assert_eq!(keys(&scan(), changed + 3), key);
        // The same bytes and the old time of change: the inode's own time shows it.
        let file = std::fs::File::options().write(true).open(folder.path().join("file")).unwrap();
        let old = file.metadata().unwrap().modified().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(folder.path().join("file"), "TEXT").unwrap();
        file.set_times(std::fs::FileTimes::new().set_modified(old)).unwrap();
        assert_ne!(keys(&scan(), i64::MAX), key);
    }
}
