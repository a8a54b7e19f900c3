//! Compression: found by content when read, made on all cores when written.
//!
//! The bytes written depend on the stream only, not on threads or on how `write` was called. Decisions:
//!
//! - gzip: the stream is cut into blocks of 1 MiB, each becomes a gzip member of its own, and the members stand one
//!   after the other (RFC 1952 §2.2: "a gzip file consists of a series of members"). Every container engine reads that; a kernel
//!   does not, so an initramfs must not be made this way. The members have no name and no time.
//! - zstd: one frame, made by libzstd's own workers with fixed parameters, which cut the stream the same way for any
//!   number of workers of one or more.
//!
//! With the feature `native`, gzip is made by libdeflate, which is smaller and faster at once; without it by zlib-rs,
//! with other digests. [`writer_id`] tells which.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The length of a gzip member's contents, in bytes.
const BLOCK: usize = 1 << 20;

/// How much of the stream a zstd worker takes at once, in bytes. Part of what the output depends on.
#[cfg(feature = "native")]
const ZSTD_JOB: u32 = 2 << 20;

/// The form of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Not compressed, as far as its first bytes tell.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz file format.
    Xz,
}

/// How to compress what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip at level 1 to 12 (1 to 9 without the feature `native`).
    Gzip(u8),
    /// zstd at level 1 to 19.
    Zstd(u8),
}

impl Compression {
    /// What is used when nothing is asked for: smaller and faster than gzip's own level 6.
    pub const DEFAULT: Compression = Compression::Gzip(5);
}

/// The form of a file, by its first bytes.
///
/// # Errors
/// When it cannot be read.
pub fn form(file: &File) -> io::Result<Form> {
    let mut magic = [0; 6];
    let count = file.read_at(&mut magic, 0)?;
    Ok(form_of(&magic[..count]))
}

/// The form of a stream that begins with these bytes.
pub fn form_of(start: &[u8]) -> Form {
    match start {
        [0x1f, 0x8b, ..] => Form::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Form::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Form::Xz,
        _ => Form::Plain,
    }
}

/// Reads a file from its start, decompressed. Several members, frames or streams in a row are read as one.
///
/// # Errors
/// When the file cannot be read.
pub fn reader(file: File) -> io::Result<Box<dyn Read + Send>> {
    let form = form(&file)?;
    decompressed(form, io::BufReader::with_capacity(1 << 16, FromStart { file, at: 0 }))
}

/// Decompresses a stream of a known form.
///
/// # Errors
/// When the stream does not even begin as it should.
pub fn decompressed<'a, R: io::BufRead + Send + 'a>(form: Form, input: R) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match form {
        Form::Plain => Box::new(input),
        Form::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Form::Zstd => zstd_reader(input)?,
        Form::Xz => Box::new(lzma_rust2::XzReader::new(input, true)),
    })
}

#[cfg(feature = "native")]
fn zstd_reader<'a, R: io::BufRead + Send + 'a>(input: R) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(Box::new(zstd::Decoder::with_buffer(input)?))
}

#[cfg(not(feature = "native"))]
fn zstd_reader<'a, R: io::BufRead + Send + 'a>(input: R) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(Box::new(Frames { input: Some(input), frame: None }))
}

/// `ruzstd` reads one frame; this reads one after the other.
#[cfg(not(feature = "native"))]
struct Frames<R: io::BufRead> {
    input: Option<R>,
    frame: Option<ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
}

#[cfg(not(feature = "native"))]
impl<R: io::BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let count = frame.read(buffer)?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
                self.input = self.frame.take().map(ruzstd::decoding::StreamingDecoder::into_inner);
            }
            let Some(mut input) = self.input.take() else { return Ok(0) };
            if input.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.frame = Some(ruzstd::decoding::StreamingDecoder::new(input).map_err(io::Error::other)?);
        }
    }
}

/// Reads a file by position, so that nobody else's position in it matters.
struct FromStart {
    file: File,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Names the code that makes compressed bytes: digests of layers are promised to be the same as long as this is.
pub fn writer_id(compression: Compression) -> String {
    let gzip = if cfg!(feature = "native") { "libdeflate-1.26.1" } else { "zlib-rs" };
    match compression {
        Compression::None => "none".into(),
        Compression::Gzip(level) => format!("gzip:{gzip}:{level}:members-1MiB"),
        Compression::Zstd(level) => format!("zstd:libzstd-1.5.7:{level}"),
    }
}

/// A writer that compresses on several threads.
pub enum Compressor<W: Write + Send + 'static> {
    /// Passes everything through.
    Plain(W),
    /// One gzip member after the other.
    Gzip(Members<W>),
    /// One zstd frame.
    #[cfg(feature = "native")]
    Zstd(Box<zstd::Encoder<'static, W>>),
}

impl<W: Write + Send + 'static> Compressor<W> {
    /// Compresses into `out` on `jobs` threads.
    ///
    /// # Errors
    /// When this build cannot write that form (`Unsupported`), or the level does not exist (`InvalidInput`).
    pub fn new(out: W, compression: Compression, jobs: usize) -> io::Result<Compressor<W>> {
        match compression {
            Compression::None => Ok(Compressor::Plain(out)),
            Compression::Gzip(level) => Ok(Compressor::Gzip(Members::new(out, level, jobs)?)),
            Compression::Zstd(level) => Compressor::zstd(out, level, jobs),
        }
    }

    #[cfg(feature = "native")]
    fn zstd(out: W, level: u8, jobs: usize) -> io::Result<Compressor<W>> {
        if !(1..=19).contains(&level) {
            return Err(no_level("zstd", "1 to 19", level));
        }
        let mut encoder = zstd::Encoder::new(out, i32::from(level))?;
        // Never 0: without workers libzstd cuts the stream in another way.
        encoder.multithread(u32::try_from(jobs.max(1)).unwrap_or(1))?;
        // libzstd's own choice is 8 MiB at level 3, which costs 90 MB of memory on two threads and saves 0.7 % in size.
        encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(ZSTD_JOB))?;
        encoder.include_checksum(true)?;
        Ok(Compressor::Zstd(Box::new(encoder)))
    }

    #[cfg(not(feature = "native"))]
    fn zstd(_out: W, _level: u8, _jobs: usize) -> io::Result<Compressor<W>> {
        let text = "this build cannot write zstd: it was made without the feature `native`";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    /// Ends the stream and gives the inner writer back.
    ///
    /// # Errors
    /// When the inner writer fails.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Compressor::Plain(out) => Ok(out),
            Compressor::Gzip(members) => members.finish(),
            #[cfg(feature = "native")]
            Compressor::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write + Send + 'static> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Compressor::Plain(out) => out.write(bytes),
            Compressor::Gzip(members) => members.write(bytes),
            #[cfg(feature = "native")]
            Compressor::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Flushing inside the stream would change its bytes.
        Ok(())
    }
}

fn no_level(form: &str, levels: &str, level: u8) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{form} has levels {levels}, not {level}"))
}

/// A block on its way: the promise of its compressed form, which the collector waits for in order.
type Promise = Receiver<io::Result<Vec<u8>>>;

/// What a worker takes: a block, and where its compressed form was promised.
type Work = (Vec<u8>, SyncSender<io::Result<Vec<u8>>>);

/// Cuts a stream into blocks and compresses them side by side.
pub struct Members<W> {
    block: Vec<u8>,
    cut_any: bool,
    work: Option<SyncSender<Work>>,
    order: Option<SyncSender<Promise>>,
    workers: Vec<JoinHandle<()>>,
    collector: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> Members<W> {
    fn new(out: W, level: u8, jobs: usize) -> io::Result<Members<W>> {
        let jobs = jobs.clamp(1, 256);
        let (work, work_receiver) = sync_channel::<Work>(jobs);
        // The bound on blocks under way, and so on memory: one at each worker, and as many waiting.
        let (order, promises) = sync_channel::<Promise>(2 * jobs);
        let work_receiver = Arc::new(Mutex::new(work_receiver));
        let mut workers = Vec::new();
        for _ in 0..jobs {
            let mut member = MemberWriter::new(level)?;
            let receiver = work_receiver.clone();
            workers.push(std::thread::Builder::new().name("compress".into()).spawn(move || {
                loop {
                    let next = receiver.lock().map(|receiver| receiver.recv());
                    let Ok(Ok((block, promise))) = next else { return };
                    // Nobody waits for it any more when the writer failed: then the result does not matter.
                    let _ = promise.send(member.write(&block));
                }
            })?);
        }
        let collector = std::thread::Builder::new().name("collect".into()).spawn(move || collect(out, promises))?;
        Ok(Members {
            block: Vec::with_capacity(BLOCK),
            cut_any: false,
            work: Some(work),
            order: Some(order),
            workers,
            collector: Some(collector),
        })
    }

    fn send(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let (sender, promise) = sync_channel(1);
        self.cut_any = true;
        let sent = match (&self.order, &self.work) {
            (Some(order), Some(work)) => order.send(promise).is_ok() && work.send((block, sender)).is_ok(),
            _ => false,
        };
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Why the collector ended early.
    fn failure(&mut self) -> io::Error {
        self.stop().err().unwrap_or_else(|| io::Error::other("a compression thread ended early"))
    }

    /// Lets every thread end, and waits for it.
    fn stop(&mut self) -> io::Result<Option<W>> {
        self.order = None;
        self.work = None;
        for worker in self.workers.drain(..) {
            worker.join().map_err(|_| io::Error::other("a compression thread failed"))?;
        }
        match self.collector.take() {
            Some(collector) => collector.join().map_err(|_| io::Error::other("a writing thread failed"))?.map(Some),
            None => Ok(None),
        }
    }

    fn finish(mut self) -> io::Result<W> {
        // An empty stream is one empty member: no bytes at all would be no gzip file.
        if !self.block.is_empty() || !self.cut_any {
            self.send()?;
        }
        self.stop()?.ok_or_else(|| io::Error::other("a compression thread ended early"))
    }
}

impl<W: Write + Send + 'static> Write for Members<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        if self.block.len() == BLOCK {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn collect<W: Write>(mut out: W, promises: Receiver<Promise>) -> io::Result<W> {
    for promise in promises {
        let member = promise.recv().map_err(|_| io::Error::other("a compression thread failed"))??;
        out.write_all(&member)?;
    }
    Ok(out)
}

/// Makes gzip members.
#[cfg(feature = "native")]
struct MemberWriter(libdeflater::Compressor);

#[cfg(feature = "native")]
impl MemberWriter {
    fn new(level: u8) -> io::Result<MemberWriter> {
        // libdeflate has a level 0 too, which only stores.
        match libdeflater::CompressionLvl::new(i32::from(level)) {
            Ok(valid) if level > 0 => Ok(MemberWriter(libdeflater::Compressor::new(valid))),
            _ => Err(no_level("gzip", "1 to 12", level)),
        }
    }

    fn write(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = vec![0; self.0.gzip_compress_bound(block.len())];
        let length = self.0.gzip_compress(block, &mut out).map_err(|error| io::Error::other(format!("{error:?}")))?;
        out.truncate(length);
        Ok(out)
    }
}

/// Makes gzip members.
#[cfg(not(feature = "native"))]
struct MemberWriter(u8);

#[cfg(not(feature = "native"))]
impl MemberWriter {
    fn new(level: u8) -> io::Result<MemberWriter> {
        if (1..=9).contains(&level) { Ok(MemberWriter(level)) } else { Err(no_level("gzip", "1 to 9", level)) }
    }

    fn write(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        // The whole block in one call: zlib-rs makes other bytes when the same input comes in parts.
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(u32::from(self.0)));
        encoder.write_all(block)?;
        encoder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that compresses, but not to nothing.
    fn sample(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let step = |state: &mut u32| {
            *state = state.wrapping_mul(1_103_515_245).wrapping_add(12345);
            b"abcdefgh /.-\n01"[(*state >> 16) as usize % 15]
        };
        (0..length).map(|_| step(&mut state)).collect()
    }

    fn compressed(bytes: &[u8], compression: Compression, jobs: usize, chunk: usize) -> Vec<u8> {
        let mut compressor = Compressor::new(Vec::new(), compression, jobs).unwrap();
        for part in bytes.chunks(chunk.max(1)) {
            compressor.write_all(part).unwrap();
        }
        compressor.finish().unwrap()
    }

    fn forms() -> Vec<Compression> {
        let mut forms = vec![Compression::None, Compression::Gzip(1), Compression::DEFAULT, Compression::Gzip(9)];
        if cfg!(feature = "native") {
            forms.push(Compression::Zstd(3));
        }
        forms
    }

    #[test]
    fn bytes_depend_on_neither_threads_nor_write_sizes() {
        let bytes = sample(2 * BLOCK + 12345);
        for compression in forms() {
            let first = compressed(&bytes, compression, 1, bytes.len());
            assert!(compressed(&bytes, compression, 2, 1000) == first, "{compression:?}");
            assert!(compressed(&bytes, compression, 7, 70_001) == first, "{compression:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_known_by_its_content() {
        for length in [0, 1, BLOCK, 2 * BLOCK + 1] {
            let bytes = sample(length);
            for compression in forms() {
                let packed = compressed(&bytes, compression, 2, 4096);
                let form = match compression {
                    Compression::None => Form::Plain,
                    Compression::Gzip(_) => Form::Gzip,
                    Compression::Zstd(_) => Form::Zstd,
                };
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&packed).unwrap();
                assert_eq!(super::form(&file).unwrap(), form);
                let mut out = Vec::new();
                reader(file).unwrap().read_to_end(&mut out).unwrap();
                assert!(out == bytes, "{compression:?} {length}");
            }
        }
    }

    #[test]
    fn a_failing_output_is_an_error_and_no_hang() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for compression in forms() {
            let mut compressor = Compressor::new(Full(1000), compression, 2).unwrap();
            let bytes = sample(BLOCK).repeat(12);
            let result = compressor.write_all(&bytes).and_then(|()| compressor.finish().map(drop));
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull, "{compression:?}");
        }
    }

    #[test]
    fn levels_that_do_not_exist_are_refused() {
        for compression in [Compression::Gzip(0), Compression::Gzip(13)] {
            let error = Compressor::new(Vec::new(), compression, 1).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
