//! Compressed streams read, told apart by their content.

use std::fs::File;
use std::io::{self, Read};

use crate::input;
use crate::progress::{Event, Progress, Reporting};

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

/// The form of a file, by its first bytes.
///
/// # Errors
/// When it cannot be read.
pub fn form(file: &File) -> io::Result<Form> {
    let mut magic = [0; 6];
    let count = input::read_at(file, &mut magic, 0)?;
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

/// As [`reader`]. `progress` receives the size of the file, and how much of it was read.
///
/// # Errors
/// When the file cannot be read.
pub fn reported<'a>(file: File, progress: &'a dyn Progress) -> io::Result<Box<dyn Read + Send + 'a>> {
    let form = form(&file)?;
    progress.event(Event::Total(file.metadata()?.len()));
    let stored = Reporting::new(FromStart { file, at: 0 }, progress);
    decompressed(form, io::BufReader::with_capacity(1 << 16, stored))
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
        let count = input::read_at(&self.file, buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
