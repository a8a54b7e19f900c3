//! A bare path, looked at: its contents show what it is.
//!
//! A directory with `oci-layout` is a layout, another is a root file system. The content of a file shows its type: a tar with
//! `index.json` or `manifest.json` at its top is an image, another tar is a root file system, cpio's magic is an
//! initramfs. Of a compressed tar only the first entry is looked at, as the rest would have to be unpacked for it: image
//! archives begin with a name that no root file system begins with.

use crate::host;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use crate::codec::compress;
use crate::codec::tar::TarEntries;
use crate::input;

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detected {
    /// An image layout.
    Layout,
    /// Another folder.
    Folder,
    /// A tar with an image in it.
    Image,
    /// Another tar.
    Tar,
    /// An initramfs archive.
    Cpio,
    /// None of these.
    Unknown,
}

/// Looks at a path.
pub(super) fn detect(path: &Path) -> io::Result<Detected> {
    if std::fs::metadata(path)?.is_dir() {
        let layout = host::is_file(&path.join("oci-layout"))?;
        return Ok(if layout { Detected::Layout } else { Detected::Folder });
    }
    let file = input::open(path)?;
    let meta = file.metadata()?;
    if is_for_kernels_only(&file)? {
        return Ok(Detected::Cpio);
    }
    let compressed = compress::form(&file)? != compress::Form::Plain;
    let mut head = Vec::new();
    // What cannot be decompressed is none of these; opening it gives the reason.
    let read = compress::reader(file.try_clone()?).and_then(|reader| reader.take(512).read_to_end(&mut head));
    match read {
        Ok(_) => {}
        Err(error) if input::is_of_the_machine(&error) => return Err(error),
        Err(_) => return Ok(Detected::Unknown),
    }
    if is_cpio(&head) {
        return Ok(Detected::Cpio);
    }
    if head.get(257..262) != Some(b"ustar") && !is_old_tar(&head) {
        return Ok(Detected::Unknown);
    }
    let is_image = if compressed {
        begins_like_an_image(head.get(..100).unwrap_or_default())
    } else {
        has_an_index(TarEntries::new(&file, meta.len()))?
    };
    Ok(if is_image { Detected::Image } else { Detected::Tar })
}

/// Whether a tar has the list of an image at its top. Where it is damaged, whoever reads it says how.
fn has_an_index(entries: TarEntries<'_>) -> io::Result<bool> {
    for entry in entries {
        let name = match entry {
            Ok(entry) => entry.name,
            Err(error) if input::is_of_the_machine(&error) => return Err(error),
            Err(_) => break,
        };
        if matches!(name.strip_prefix(b"./").unwrap_or(&name), b"index.json" | b"manifest.json") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a file is an initramfs in a form that no other file of ours has: compressed with lz4's legacy format, bzip2, lzma or
/// lzo, or behind zeros, which a kernel reads over.
fn is_for_kernels_only(file: &File) -> io::Result<bool> {
    let mut start = [0; 4096];
    let count = input::read_at(file, &mut start, 0)?;
    let zeros = start[..count].iter().take_while(|byte| **byte == 0).count();
    let magic = &start[zeros..count.min(zeros + 6)];
    let mut rest = io::BufReader::new(file.try_clone()?);
    rest.seek(io::SeekFrom::Start(zeros as u64))?;
    let mut head = [0; 6];
    let read = match compress::form_of(magic) {
        compress::Form::Plain => match compress::Piece::new(rest, magic) {
            Ok(Some(mut piece)) => piece.read_exact(&mut head),
            Ok(None) if zeros > 0 && zeros.is_multiple_of(4) => input::read_at(file, &mut head, zeros as u64).map(drop),
            Ok(None) => return Ok(false),
            Err(error) => Err(error),
        },
        // The others are looked at by their contents.
        _ if zeros == 0 => return Ok(false),
        form => compress::decompressed(form, rest).and_then(|mut reader| reader.read_exact(&mut head)),
    };
    match read {
        Ok(()) => Ok(is_cpio(&head)),
        Err(error) if input::is_of_the_machine(&error) => Err(error),
        Err(_) => Ok(false),
    }
}

fn is_cpio(head: &[u8]) -> bool {
    head.starts_with(b"070701") || head.starts_with(b"070702")
}

/// A tar header from before POSIX has no magic, only a checksum.
fn is_old_tar(head: &[u8]) -> bool {
    head.len() == 512
        && head[0] != 0
        && tar::Header::from_byte_slice(head).cksum().is_ok_and(|sum| sum == checksum(head))
}

fn checksum(head: &[u8]) -> u32 {
    let byte = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) };
    head.iter().enumerate().map(byte).sum()
}

fn begins_like_an_image(name: &[u8]) -> bool {
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let first = name.split(|&byte| byte == b'/' || byte == b'.').next().unwrap_or_default();
    // Older `docker save` begins with a folder or file that is named by a digest.
    let digest = first.len() == 64 && first.iter().all(u8::is_ascii_hexdigit);
    digest || first == b"blobs" || matches!(name, b"oci-layout" | b"index.json" | b"manifest.json" | b"repositories")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn tar(names: &[&str]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for name in names {
            builder.append_data(&mut tar::Header::new_ustar(), name, io::empty()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_bare_path_is_what_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("layout")).unwrap();
        std::fs::write(path("layout/oci-layout"), b"").unwrap();
        assert_eq!(detect(&path("layout")).unwrap(), Detected::Layout);
        assert_eq!(detect(folder.path()).unwrap(), Detected::Folder);
        let mut old = tar(&["etc/"]);
        old[257..265].fill(0);
        let sum = format!("{:06o}\0 ", checksum(&old[..512]));
        old[148..156].copy_from_slice(sum.as_bytes());
        for (name, bytes, expected) in [
            ("manifest", tar(&["x", "./manifest.json"]), Detected::Image),
            ("index", tar(&["blobs/", "index.json"]), Detected::Image),
            ("compressed", gzip(&tar(&["blobs/", "index.json"])), Detected::Image),
            ("deeper", tar(&["etc/", "etc/index.json"]), Detected::Tar),
            ("compressed root", gzip(&tar(&["./", "index.json"])), Detected::Tar),
            ("old", old, Detected::Tar),
            ("cpio", b"070701 and so on".to_vec(), Detected::Cpio),
            ("compressed cpio", gzip(b"070701 and so on"), Detected::Cpio),
            ("elf", b"\x7fELF".to_vec(), Detected::Unknown),
            ("empty", Vec::new(), Detected::Unknown),
            ("zeros", vec![0; 1024], Detected::Unknown),
            ("cut off", gzip(b"x")[..5].to_vec(), Detected::Unknown),
        ] {
            std::fs::write(path(name), bytes).unwrap();
            assert_eq!(detect(&path(name)).unwrap(), expected, "{name}");
        }
    }
}
