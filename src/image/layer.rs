//! The bytes of a layer. Entries have the mtimes of the tree, which `stage` sets; `codec::tar` makes their headers.
//!
//! One pass, and the layer is never in memory as a whole: it is cut into segments ([`super::segment`]); threads read and pack a segment
//! each; the calling thread hashes the tar and what was packed, in order, and writes. What was packed before
//! is not packed again, and not even read where its metadata is enough to know it ([`super::reuse`]).
//!
//! Decisions, where the specs are silent:
//!
//! - Every layer has an entry for the root and for every parent of what it holds, before it: a parent that a layer
//!   leaves out is made by engines with the time of the day.
//! - The first name of a hard-linked file in the order of the tree is the file, the others are links to it.

use std::io::Write;

use super::error::StoreError;
use super::plan::LayerPlan;
use super::reuse::{Outline, Packed, Record, Reuse};
use super::segment::{Segment, WhiteoutTooLong, cut};
use super::store::{BlobStore, BlobWriter};
use crate::codec::compress::{BufferPool, Coded, Compression, Packer};
use crate::digest::{Digest, Hasher};
use crate::failure::{Failure, FailureKind, passing_on};
use crate::oci::{Descriptor, MediaType};
use crate::parallel::{Threads, in_order};
use crate::progress::{Event, Progress};
use crate::tree::{ContentError, Tree};

/// Of segments larger than this, in bytes, none waits.
const LARGE: usize = 2 << 20;

/// How layers are written.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LayerOptions {
    /// The form of the blob.
    pub compression: Compression,
    /// How many threads compress. The bytes do not depend on it.
    pub jobs: usize,
}

impl Default for LayerOptions {
    fn default() -> LayerOptions {
        LayerOptions { compression: Compression::DEFAULT, jobs: 1 }
    }
}

/// A layer that was written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Layer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The size of the uncompressed tar, in bytes.
    pub size: u64,
}

/// Why a layer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A file cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The blob cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This compression does not exist or is not part of this build.
    #[error("cannot compress: {0}")]
    Compression(#[source] std::io::Error),
    /// A path of the base cannot be removed.
    #[error(transparent)]
    Whiteout(#[from] WhiteoutTooLong),
}

impl Failure for LayerError {
    fn kind(&self) -> FailureKind {
        passing_on!(kind of self: LayerError { Content, Store }
            LayerError::Compression(_) => FailureKind::Usage,
            LayerError::Whiteout(_) => FailureKind::Input,
        )
    }

    fn hint(&self) -> Option<String> {
        passing_on!(hint of self: LayerError { Content, Store }
            LayerError::Compression(_) | LayerError::Whiteout(_) => None,
        )
    }
}

/// What makes layers of one build.
pub struct LayerWriter<'a> {
    /// Where blobs are put.
    pub store: &'a BlobStore,
    /// How they are made.
    pub options: &'a LayerOptions,
    /// What need not be made again.
    pub reuse: &'a Reuse<'a>,
    /// Who listens.
    pub progress: &'a dyn Progress,
}

/// A segment to pack.
struct Task<'a> {
    segment: Segment<'a>,
    key: Option<Digest>,
    /// The digest of its bytes, where that is known already.
    digest: Option<Digest>,
    /// The state of the tar's hasher after this segment, where it is known already: then the segment is not hashed.
    after: Option<Hasher>,
}

/// A segment that was packed.
struct PackedSegment {
    key: Option<Digest>,
    after: Option<Hasher>,
    size: usize,
    /// How many bytes of files are in it.
    contents: u64,
    /// Its bytes, where they are needed.
    bytes: Option<Vec<u8>>,
    digest: Option<Digest>,
    packed: Coded,
}

/// A layer that is being written.
struct Written {
    blob: BlobWriter,
    tar: Hasher,
    size: u64,
    records: Vec<Record>,
    /// How long each packed segment is.
    lengths: Vec<usize>,
}

/// Buffers that are used again: for the bytes of segments, and for packed ones.
#[derive(Default)]
struct Buffers {
    bytes: BufferPool,
    packed: BufferPool,
}

impl LayerWriter<'_> {
    /// Writes the layer of a plan into the store. `name` is what later builds know this layer by; it has no say in its bytes.
    ///
    /// # Errors
    /// When a file cannot be read or changed since it was seen, or the blob cannot be written.
    pub fn write(&self, tree: &Tree, plan: &LayerPlan, name: &str) -> Result<Layer, LayerError> {
        let compression = self.options.compression;
        if !self.reuse.is_worth_it(compression) {
            return self.pack(tree, plan, None, &[]).and_then(|written| Ok(self.layer(&self.finish(written)?.packed)));
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
            && self.reuse.take(&outline.packed.blob, self.store)
        {
            return Ok(self.layer(&outline.packed));
        }
        let written = self.pack(tree, plan, outline.as_ref(), &keys)?;
        let lengths = written.lengths.clone();
        let outline = self.finish(written)?;
        let blob = self.store.blob_path(&outline.packed.blob.digest);
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
        let segments = cut(tree, plan, self.options.compression);
        segments.map(|segment| Ok(self.reuse.key(&segment?))).collect()
    }

    /// Cuts, packs and writes. `keys` are the keys of the segments, or nothing when they were not needed yet.
    fn pack(
        &self,
        tree: &Tree,
        plan: &LayerPlan,
        outline: Option<&Outline>,
        keys: &[Option<Digest>],
    ) -> Result<Written, LayerError> {
        let compression = self.options.compression;
        let jobs = self.options.jobs.clamp(1, 256);
        let keyed = self.reuse.is_worth_it(compression);
        let (mut number, mut unchanged) = (0, true);
        let tasks = cut(tree, plan, compression).map(|segment| {
            let segment = segment?;
            let key = match keys.get(number) {
                Some(key) => *key,
                None if keyed => self.reuse.key(&segment),
                None => None,
            };
            let record = outline.and_then(|outline| outline.records.get(number));
            unchanged &= key.is_some() && record.is_some_and(|record| record.key == key);
            let after = record.filter(|_| unchanged).and_then(|record| Hasher::resume(&record.after));
            number += 1;
            let digest = key.and_then(|key| self.reuse.digest(&key));
            Ok(Task { segment, key, digest, after })
        });
        let (tar, size, records, lengths) = (Hasher::default(), 0, Vec::new(), Vec::new());
        let mut written = Written { blob: self.store.blob()?, tar, size, records, lengths };
        let buffers = Buffers::default();
        // The bound on memory: one segment at each thread and one being written, and as many waiting when they are small.
        let waiting = if compression.span() > LARGE { 0 } else { jobs };
        let pack = |task: Result<Task<'_>, LayerError>, packer: &mut Option<Packer>| {
            let packer = match packer {
                Some(packer) => packer,
                None => packer.insert(Packer::new(compression).map_err(LayerError::Compression)?),
            };
            self.pack_one(task?, packer, &buffers)
        };
        let consume = |packed: Result<PackedSegment, LayerError>| self.append(&mut written, packed?, &buffers);
        in_order(Threads::feeding(jobs), jobs + waiting + 1, tasks, || None, pack, consume)?;
        Ok(written)
    }

    /// Packs one segment, or finds it packed.
    fn pack_one(&self, task: Task<'_>, packer: &mut Packer, buffers: &Buffers) -> Result<PackedSegment, LayerError> {
        let Task { segment, key, mut digest, after } = task;
        let (size, compression) = (segment.size(), self.options.compression);
        let mut bytes = None;
        let read = |bytes: &mut Option<Vec<u8>>| -> Result<(), LayerError> {
            if bytes.is_none() {
                let mut buffer = buffers.bytes.take();
                segment.read(&mut buffer)?;
                *bytes = Some(buffer);
            }
            Ok(())
        };
        if digest.is_none() || after.is_none() {
            read(&mut bytes)?;
        }
        if let (None, true, Some(bytes)) = (digest, self.reuse.is_worth_it(compression), &bytes) {
            digest = Some(Digest::of(&bytes[..size]));
        }
        let buffer = buffers.packed.take();
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
        if let Some(buffer) = bytes.take_if(|_| after.is_some()) {
            buffers.bytes.give(buffer);
        }
        Ok(PackedSegment { key, after, size, contents: segment.contents(), bytes, digest, packed })
    }

    /// Hashes and writes the next packed segment.
    fn append(&self, written: &mut Written, next: PackedSegment, buffers: &Buffers) -> Result<(), LayerError> {
        match (next.after, &next.bytes) {
            (Some(after), _) => written.tar = after,
            (None, Some(bytes)) => written.tar.update(&bytes[..next.size]),
            (None, None) => {}
        }
        written.size += next.size as u64;
        written.blob.write_all(next.packed.bytes()).map_err(|error| self.write_failed(error))?;
        written.lengths.push(next.packed.length);
        if let Some(digest) = next.digest {
            written.records.push(Record { key: next.key, digest, after: written.tar.state() });
        }
        if let Some(buffer) = next.bytes {
            buffers.bytes.give(buffer);
        }
        buffers.packed.give(next.packed.buffer);
        self.progress.event(Event::Bytes(next.contents));
        Ok(())
    }

    fn finish(&self, written: Written) -> Result<Outline, LayerError> {
        let blob = written.blob.finish().map_err(LayerError::Store)?;
        let packed = Packed { blob, diff_id: written.tar.finish(), size: written.size };
        Ok(Outline { packed, records: written.records })
    }

    /// A write error, which names its file when it came from the store.
    fn write_failed(&self, error: std::io::Error) -> LayerError {
        LayerError::Store(StoreError::from_write(&self.store.scratch_folder(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::plan_layers;
    use crate::path::ImagePath;
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
                (tree.get_directory(&path.parent().unwrap()).unwrap(), path.file_name().unwrap())
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
        let store = BlobStore::begin(folder.path()).unwrap();
        let options = LayerOptions { compression: Compression::None, jobs: 1 };
        let reuse = Reuse::new(None, std::time::UNIX_EPOCH, Vec::new(), 1);
        let writer = LayerWriter { store: &store, options: &options, reuse: &reuse, progress: &Silent };
        let layer = writer.write(tree, plan, "name").unwrap();
        assert_eq!(layer.descriptor.digest().to_string(), layer.diff_id.to_string());
        let bytes = std::fs::read(store.blob_path(&layer.diff_id)).unwrap();
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
        let store = BlobStore::begin(folder.path()).unwrap();
        let options = LayerOptions { compression: Compression::DEFAULT, jobs: 2 };
        let later = std::time::UNIX_EPOCH + std::time::Duration::from_secs(5_000_000_000);
        let reuse = Reuse::new(None, later, Vec::new(), 2);
        let writer = LayerWriter { store: &store, options: &options, reuse: &reuse, progress: &Silent };
        let first = writer.write(&one, &plan_layers(&one, None, &[])[0], "one").unwrap();
        std::fs::remove_file(source.join("file")).unwrap();
        let second = writer.write(&other, &plan_layers(&other, None, &[])[0], "other").unwrap();
        assert_eq!((second.diff_id, second.size), (first.diff_id, first.size));
        // Without anything to go by it must be read, and is not there.
        let reuse = Reuse::new(None, later, Vec::new(), 2);
        let writer = LayerWriter { reuse: &reuse, ..writer };
        assert!(matches!(
            writer.write(&other, &plan_layers(&other, None, &[])[0], "other"),
            Err(LayerError::Content(_))
        ));
    }
}
