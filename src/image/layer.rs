//! The bytes of a layer.
//!
//! One pass, and nothing is held whole: the layer is cut into segments ([`super::segment`]); threads read a segment each, pack it
//! and keep it; one thread takes them in their order, hashes the tar and what was packed, and writes. What was packed before
//! is not packed again, and not even read where only its metadata was needed to know it ([`super::reuse`]).
//!
//! Decisions, where the specs are silent:
//!
//! - Every layer has an entry for the root and for every parent of what it holds, before it: a parent that a layer
//!   leaves out is made by engines with the time of the day.
//! - The first name of a hard-linked file in the order of the tree is the file, the others are links to it.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::error::StoreError;
use super::plan::LayerPlan;
use super::reuse::{Outline, Packed, Record, Reuse};
use super::segment::{Segment, Stop, cut};
use super::store::{BlobWriter, Staging};
use crate::codec::compress::{Coded, Compression, Packer, Spare};
use crate::digest::{Digest, Hasher, Midway};
use crate::failure::{Failure, Kind as FailureKind};
use crate::oci::{Descriptor, MediaType};
use crate::path::ImagePath;
use crate::progress::{Event, Progress};
use crate::tree::{ContentError, Tree};

/// Of segments larger than this, in bytes, none waits.
const LARGE: usize = 2 << 20;

/// How layers are written.
#[derive(Clone, Copy, Debug)]
pub struct LayerOptions {
    /// The form of the blob.
    pub compression: Compression,
    /// How many threads compress. The bytes do not depend on it.
    pub jobs: usize,
}

/// A layer that was written.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The size of the uncompressed tar, in bytes.
    pub size: u64,
}

/// Why a layer cannot be made.
#[derive(Debug)]
pub enum LayerError {
    /// A file cannot be read.
    Content(ContentError),
    /// The blob cannot be written.
    Store(StoreError),
    /// This compression does not exist or is not part of this build.
    Compression(std::io::Error),
    /// A path of the base cannot be whited out: the whiteout's name would be too long.
    WhiteoutTooLong(ImagePath),
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerError::Content(error) => error.fmt(f),
            LayerError::Store(error) => error.fmt(f),
            LayerError::Compression(error) => write!(f, "cannot compress: {error}"),
            LayerError::WhiteoutTooLong(path) => {
                write!(f, "a name of more than 251 bytes cannot be removed from a base image: {path}")
            }
        }
    }
}

impl Error for LayerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LayerError::Content(error) => error.source(),
            LayerError::Store(error) => error.source(),
            LayerError::Compression(error) => Some(error),
            LayerError::WhiteoutTooLong(_) => None,
        }
    }
}

impl Failure for LayerError {
    fn kind(&self) -> FailureKind {
        match self {
            LayerError::Content(error) => error.kind(),
            LayerError::Store(error) => error.kind(),
            LayerError::Compression(_) => FailureKind::Usage,
            LayerError::WhiteoutTooLong(_) => FailureKind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            LayerError::Content(error) => error.hint(),
            LayerError::Store(error) => error.hint(),
            LayerError::Compression(_) | LayerError::WhiteoutTooLong(_) => None,
        }
    }
}

/// What makes layers of one build.
pub struct LayerWriter<'a> {
    /// Where blobs are put.
    pub staging: &'a Staging,
    /// How they are made.
    pub options: &'a LayerOptions,
    /// What need not be made again.
    pub reuse: &'a Reuse<'a>,
    /// Who listens.
    pub progress: &'a dyn Progress,
}

/// A segment on its way to a thread that packs it.
struct Task<'a> {
    segment: Segment<'a>,
    /// The digest of its bytes, where that is known already.
    digest: Option<Digest>,
    /// Whether its bytes are wanted too.
    wanted: bool,
    promise: SyncSender<Result<Pressed, LayerError>>,
}

/// A segment that was packed.
struct Pressed {
    /// Its bytes and how many they are, where they were wanted.
    bytes: Option<(Vec<u8>, usize)>,
    digest: Option<Digest>,
    packed: Coded,
}

/// What the thread that writes takes, in order.
struct Ordered {
    promise: Receiver<Result<Pressed, LayerError>>,
    key: Option<Digest>,
    size: usize,
    contents: u64,
    /// Where the digest of the tar stands behind it, where that is known already.
    after: Option<Midway>,
}

/// What was written.
struct Written {
    blob: BlobWriter,
    tar: Hasher,
    size: u64,
    records: Vec<Record>,
    /// How long each packed segment is.
    lengths: Vec<usize>,
}

impl LayerWriter<'_> {
    /// Writes the layer of a plan into the staging. `name` is what later builds know this layer by; it has no say in its bytes.
    ///
    /// # Errors
    /// When a file cannot be read or changed since it was seen, or the blob cannot be written.
    pub fn write(&self, tree: &Tree, plan: &LayerPlan, name: &str) -> Result<Layer, LayerError> {
        let compression = self.options.compression;
        if !self.reuse.is_worth_it(compression) {
            return self.press(tree, plan, None, &[]).and_then(|written| Ok(self.layer(&self.finish(written)?.packed)));
        }
        let outline = self.reuse.outline(name, compression);
        let keys = match outline.is_some() || self.reuse.has_layers() {
            true => self.keys(tree, plan)?,
            false => Vec::new(),
        };
        if let Some(packed) = self.reuse.layer(&keys) {
            return Ok(self.layer(&packed));
        }
        if let Some(outline) = outline.as_ref().filter(|outline| outline.is(&keys))
            && self.reuse.take(&outline.packed.blob, self.staging)
        {
            return Ok(self.layer(&outline.packed));
        }
        let written = self.press(tree, plan, outline.as_ref(), &keys)?;
        let lengths = written.lengths.clone();
        let outline = self.finish(written)?;
        let blob = self.staging.blob_path(&outline.packed.blob.digest);
        self.reuse.remember(name, compression, &outline, &blob, &lengths);
        Ok(self.layer(&outline.packed))
    }

    fn layer(&self, packed: &Packed) -> Layer {
        let media_type = match self.options.compression {
            Compression::None => MediaType::ImageLayer,
            Compression::Gzip(_) => MediaType::ImageLayerGzip,
            Compression::Zstd(_) => MediaType::ImageLayerZstd,
        };
        Layer { descriptor: packed.blob.descriptor(media_type), diff_id: packed.diff_id, size: packed.size }
    }

    /// The keys of all segments.
    fn keys(&self, tree: &Tree, plan: &LayerPlan) -> Result<Vec<Option<Digest>>, LayerError> {
        let mut keys = Vec::new();
        let done = cut(tree, plan, self.options.compression, &mut |segment| {
            keys.push(self.reuse.key(&segment));
            Ok(())
        });
        match done {
            Err(Stop::WhiteoutTooLong(path)) => Err(LayerError::WhiteoutTooLong(path)),
            Ok(()) | Err(Stop::Enough) => Ok(keys),
        }
    }

    /// Cuts, packs and writes. `keys` are the keys of the segments, or nothing when they were not needed yet.
    fn press(
        &self,
        tree: &Tree,
        plan: &LayerPlan,
        outline: Option<&Outline>,
        keys: &[Option<Digest>],
    ) -> Result<Written, LayerError> {
        let compression = self.options.compression;
        let jobs = self.options.jobs.clamp(1, 256);
        let keyed = self.reuse.is_worth_it(compression);
        let mut packers = Vec::new();
        for _ in 0..jobs {
            packers.push(Packer::new(compression).map_err(LayerError::Compression)?);
        }
        let blob = self.staging.blob().map_err(LayerError::Store)?;
        let (bytes, packed) = (Spare::default(), Spare::default());
        std::thread::scope(|scope| {
            let (work, tasks) = sync_channel::<Task<'_>>(jobs);
            // The bound on segments under way, and so on memory: one at each thread, and as many waiting when they are small.
            let waiting = if compression.span() > LARGE { 0 } else { jobs };
            let (order, ordered) = sync_channel::<Ordered>(jobs + waiting);
            // Owned by the threads that take from it: when they are gone, nobody waits to give.
            let tasks = Arc::new(Mutex::new(tasks));
            let (bytes, packed) = (&bytes, &packed);
            for mut packer in packers {
                let tasks = tasks.clone();
                scope.spawn(move || {
                    loop {
                        let Ok(Ok(task)) = tasks.lock().map(|tasks| tasks.recv()) else { return };
                        let pressed = self.press_one(&task, &mut packer, bytes, packed);
                        // Nobody waits for it any more when the writer failed: then the result does not matter.
                        let _ = task.promise.send(pressed);
                    }
                });
            }
            drop(tasks);
            let writer = scope.spawn(move || self.collect(blob, ordered, bytes, packed));
            let (mut number, mut unchanged) = (0, true);
            let cut = cut(tree, plan, compression, &mut |segment| {
                let key = match keys.get(number) {
                    Some(key) => *key,
                    None if keyed => self.reuse.key(&segment),
                    None => None,
                };
                let record = outline.and_then(|outline| outline.records.get(number));
                unchanged &= key.is_some() && record.is_some_and(|record| record.key == key);
                let after = record.filter(|_| unchanged).map(|record| record.after.clone());
                number += 1;
                let (sender, promise) = sync_channel(1);
                let (size, contents) = (segment.size(), segment.contents());
                let digest = key.and_then(|key| self.reuse.digest(&key));
                let task = Task { segment, digest, wanted: after.is_none(), promise: sender };
                let sent =
                    order.send(Ordered { promise, key, size, contents, after }).is_ok() && work.send(task).is_ok();
                if sent { Ok(()) } else { Err(Stop::Enough) }
            });
            drop((work, order));
            let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            match cut {
                Err(Stop::WhiteoutTooLong(path)) => Err(LayerError::WhiteoutTooLong(path)),
                Ok(()) | Err(Stop::Enough) => Ok(written),
            }
        })
    }

    /// Packs one segment, or finds it packed.
    fn press_one(
        &self,
        task: &Task<'_>,
        packer: &mut Packer,
        spare_bytes: &Spare,
        spare_packed: &Spare,
    ) -> Result<Pressed, LayerError> {
        let (segment, compression) = (&task.segment, self.options.compression);
        let size = segment.size();
        let mut bytes = None;
        let read = |bytes: &mut Option<Vec<u8>>| -> Result<(), LayerError> {
            if bytes.is_none() {
                let mut buffer = spare_bytes.take();
                segment.read(&mut buffer).map_err(LayerError::Content)?;
                *bytes = Some(buffer);
            }
            Ok(())
        };
        let mut digest = task.digest;
        if digest.is_none() || task.wanted {
            read(&mut bytes)?;
        }
        if let (None, true, Some(bytes)) = (digest, self.reuse.is_worth_it(compression), &bytes) {
            digest = Some(Digest::of(&bytes[..size]));
        }
        let buffer = spare_packed.take();
        let found = match &digest {
            Some(digest) => self.reuse.packed(digest, compression, buffer),
            None => Err(buffer),
        };
        let packed = match found {
            Ok(packed) => packed,
            Err(buffer) => {
                read(&mut bytes)?;
                let plain = bytes.as_deref().map_or(&[][..], |bytes| &bytes[..size]);
                let packed = packer.pack(plain, buffer).map_err(LayerError::Compression)?;
                // What could not be packed is as quickly read where it is.
                if let Some(digest) = digest.as_ref().filter(|_| packed.length < size) {
                    self.reuse.keep(digest, compression, packed.bytes());
                }
                packed
            }
        };
        let bytes = match bytes {
            Some(bytes) if !task.wanted => {
                spare_bytes.give(bytes);
                None
            }
            bytes => bytes.map(|bytes| (bytes, size)),
        };
        Ok(Pressed { bytes, digest, packed })
    }

    /// Takes the packed segments in order, hashes and writes.
    fn collect(
        &self,
        mut blob: BlobWriter,
        ordered: Receiver<Ordered>,
        bytes: &Spare,
        packed: &Spare,
    ) -> Result<Written, LayerError> {
        let mut tar = Hasher::default();
        let (mut size, mut records, mut lengths) = (0, Vec::new(), Vec::new());
        for next in ordered {
            // No answer comes from a thread that panicked; the panic itself is told when all have ended.
            let Ok(pressed) = next.promise.recv() else { break };
            let pressed = pressed?;
            match next.after.as_ref().and_then(Hasher::resume) {
                Some(after) => tar = after,
                None => {
                    if let Some((bytes, size)) = &pressed.bytes {
                        tar.update(&bytes[..*size]);
                    }
                }
            }
            size += next.size as u64;
            blob.write_all(pressed.packed.bytes()).map_err(|error| self.write_failed(error))?;
            lengths.push(pressed.packed.length);
            if let Some(digest) = pressed.digest {
                records.push(Record { key: next.key, digest, after: tar.midway() });
            }
            if let Some((buffer, _)) = pressed.bytes {
                bytes.give(buffer);
            }
            packed.give(pressed.packed.buffer);
            self.progress.event(Event::Read(next.contents));
        }
        Ok(Written { blob, tar, size, records, lengths })
    }

    fn finish(&self, written: Written) -> Result<Outline, LayerError> {
        let blob = written.blob.finish().map_err(LayerError::Store)?;
        let packed = Packed { blob, diff_id: written.tar.finish(), size: written.size };
        Ok(Outline { packed, records: written.records })
    }

    /// A write error, which names its file when it came from the staging.
    fn write_failed(&self, error: std::io::Error) -> LayerError {
        LayerError::Store(StoreError::from_write(&self.staging.scratch_folder(), error))
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::image::plan_layers;
    use crate::progress::Silent;
    use crate::tree::{Content, Inode, Kind, Metadata, Mode};

    fn tree(lines: &[&str]) -> Tree {
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        extend(&mut tree, lines);
        tree
    }

    /// Adds `dir/`, `file=text`, `name => hard link`, and removes `-path`.
    fn extend(tree: &mut Tree, lines: &[&str]) {
        for line in lines {
            let place = |tree: &Tree, path: &str| {
                let path: ImagePath = path.parse().unwrap();
                (tree.get(&path.parent().unwrap()).unwrap(), path.file_name().unwrap())
            };
            if let Some(path) = line.strip_prefix('-') {
                let (directory, name) = place(tree, path);
                tree.remove(directory, name.as_bytes());
            } else if let Some((path, target)) = line.split_once(" => ") {
                let (directory, name) = place(tree, path);
                let target = tree.get(&target.parse().unwrap()).unwrap();
                tree.link(directory, name, target);
            } else {
                let (path, kind) = match line.split_once('=') {
                    Some((path, text)) => (path, Kind::File(Content::Bytes(text.as_bytes().into()))),
                    None => (*line, Kind::Directory(Default::default())),
                };
                let (directory, name) = place(tree, path);
                tree.insert(directory, name, Inode { meta: Metadata::new(Mode::FILE, 0).into(), kind });
            }
        }
    }

    fn names(tree: &Tree, plan: &LayerPlan) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::begin(folder.path()).unwrap();
        let options = LayerOptions { compression: Compression::None, jobs: 1 };
        let reuse = Reuse::new(None, std::time::UNIX_EPOCH, Vec::new(), false);
        let writer = LayerWriter { staging: &staging, options: &options, reuse: &reuse, progress: &Silent };
        let layer = writer.write(tree, plan, "name").unwrap();
        assert_eq!(layer.descriptor.digest().to_string(), layer.diff_id.to_string());
        let bytes = std::fs::read(staging.blob_path(&layer.diff_id)).unwrap();
        assert_eq!(bytes.len() as u64, layer.size);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let name = |entry: tar::Entry<'_, &[u8]>| {
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            match entry.link_name_bytes() {
                Some(target) => format!("{path} => {}", String::from_utf8_lossy(&target)),
                None => path,
            }
        };
        archive.entries().unwrap().map(|entry| name(entry.unwrap())).collect()
    }

    #[test]
    fn one_layer_holds_every_parent_before_its_children() {
        let tree = tree(&["usr/", "usr/bin/", "usr/bin/b=1", "usr/bin/a => usr/bin/b", "z=1", "usr-x=1"]);
        let plans = plan_layers(&tree, None, &[]);
        let expected = ["./", "usr/", "usr/bin/", "usr/bin/a", "usr/bin/b => usr/bin/a", "usr-x", "z"];
        assert_eq!(names(&tree, &plans[0]), expected);
    }

    #[test]
    fn layers_split_by_path_and_keep_hard_links_together() {
        let tree = tree(&["lib/", "lib/x=1", "lib/y=2", "bin/", "bin/x => lib/x", "bin/z=3"]);
        let lib = |path: &ImagePath| path.as_bytes().starts_with(b"/lib");
        let plans = plan_layers(&tree, None, &[&lib]);
        assert_eq!(names(&tree, &plans[0]), ["./", "lib/", "lib/y"]);
        assert_eq!(names(&tree, &plans[1]), ["./", "bin/", "bin/x", "bin/z", "lib/", "lib/x => bin/x"]);
    }

    #[test]
    fn over_a_base_only_differences_are_written() {
        let base = tree(&["etc/", "etc/a=1", "etc/b=1", "opt/", "opt/x=1", "was-dir/", "was-dir/y=1", "linked=1"]);
        let mut tree = base.clone();
        extend(&mut tree, &["-etc/a", "etc/c=1", "-opt", "-was-dir", "was-dir=1", "also => linked"]);
        let plans = plan_layers(&tree, Some(&base), &[]);
        let expected = ["./", "also", "etc/", "etc/.wh.a", "etc/c", "linked => also", ".wh.opt", "was-dir"];
        assert_eq!(names(&tree, &plans[0]), expected);
        assert!(plan_layers(&base, Some(&base), &[])[0].is_empty());
    }

    /// A tree of files of this machine.
    fn host_tree(folder: &std::path::Path) -> Tree {
        crate::codec::dir::scan(folder, &crate::codec::dir::ScanOptions::ALL).unwrap().tree
    }

    #[test]
    fn of_two_layers_with_equal_contents_the_second_is_not_even_read() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("file"), "text".repeat(1_000_000)).unwrap();
        let (one, other) = (host_tree(&source), host_tree(&source));
        let staging = Staging::begin(folder.path()).unwrap();
        let options = LayerOptions { compression: Compression::DEFAULT, jobs: 2 };
        let later = std::time::UNIX_EPOCH + std::time::Duration::from_secs(5_000_000_000);
        let reuse = Reuse::new(None, later, Vec::new(), true);
        let writer = LayerWriter { staging: &staging, options: &options, reuse: &reuse, progress: &Silent };
        let first = writer.write(&one, &plan_layers(&one, None, &[])[0], "one").unwrap();
        std::fs::remove_file(source.join("file")).unwrap();
        let second = writer.write(&other, &plan_layers(&other, None, &[])[0], "other").unwrap();
        assert_eq!((second.diff_id, second.size), (first.diff_id, first.size));
        // Without anything to go by it must be read, and is not there.
        let reuse = Reuse::new(None, later, Vec::new(), true);
        let writer = LayerWriter { reuse: &reuse, ..writer };
        assert!(matches!(
            writer.write(&other, &plan_layers(&other, None, &[])[0], "other"),
            Err(LayerError::Content(_))
        ));
    }
}
