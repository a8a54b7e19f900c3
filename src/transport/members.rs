//! What lies where in an image archive. Nothing is unpacked: a member is a slice of the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use super::error::TransportError;
use crate::codec::Budget;
use crate::codec::tar::{TarEntries, TarKind};
use crate::digest::Digest;
use crate::input;
use crate::oci;
use crate::path::{ImagePath, display_bytes};
use crate::tree::{Backing, Content};

/// How many members an archive may have. Images have a few dozen.
const MEMBERS_MAX: usize = 100_000;

/// How many links may lead to one member.
const LINKS_MAX: usize = 8;

/// The members of an archive.
pub(super) struct Members {
    place: String,
    members: BTreeMap<Vec<u8>, Member>,
}

enum Member {
    File(Content),
    /// Older `docker save` writes a layer once, and links to it.
    Link(Vec<u8>),
}

impl Members {
    /// Reads the headers of a plain tar of `size` bytes.
    pub fn read(place: &str, file: File, size: u64) -> Result<Members, TransportError> {
        let malformed = |fault: String| TransportError::Malformed { place: place.to_string(), fault };
        let backing = Arc::new(Backing::new(file, place));
        let mut members = BTreeMap::new();
        let mut budget = Budget::of_names();
        for entry in TarEntries::new(backing.file(), size) {
            let entry = entry.map_err(|error| match input::is_of_the_machine(&error) {
                true => TransportError::Read(place.into(), error),
                false => malformed(error.to_string()),
            })?;
            let path = ImagePath::parse(&entry.name).map_err(|error| malformed(error.to_string()))?;
            let member = match entry.kind {
                TarKind::Directory => continue,
                TarKind::File(offset, size) => {
                    Member::File(Content::Slice { backing: Arc::clone(&backing), offset, size })
                }
                TarKind::Hardlink(target) => Member::Link(joined(b"", &target)),
                TarKind::Symlink(target) => {
                    let parent = path.parent().unwrap_or(ImagePath::root());
                    Member::Link(joined(parent.as_bytes(), &target))
                }
                TarKind::CharDevice(_) | TarKind::BlockDevice(_) | TarKind::Fifo => {
                    return Err(malformed(format!("an image archive must not contain a device or a pipe: {path}")));
                }
            };
            if !budget.take(path.as_bytes().len()) {
                return Err(malformed("its file names are longer than 16 MiB in total".into()));
            }
            if members.insert(path.as_bytes().to_vec(), member).is_some() {
                return Err(malformed(format!("it contains two files with the same name: {path}")));
            }
            if members.len() > MEMBERS_MAX {
                return Err(malformed(format!("it contains more than {MEMBERS_MAX} files")));
            }
        }
        Ok(Members { place: place.to_string(), members })
    }

    /// Whether there is a member of that name.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(&joined(b"", name.as_bytes()))
    }

    /// A member by its name, as documents write it: relative to the top of the archive.
    pub fn file(&self, name: &str) -> Result<&Content, TransportError> {
        let mut path = joined(b"", name.as_bytes());
        for _ in 0..LINKS_MAX {
            match self.members.get(&path) {
                Some(Member::File(content)) => return Ok(content),
                Some(Member::Link(target)) => path = target.clone(),
                None => break,
            }
        }
        Err(self.malformed(format!("it does not contain the file {}", display_bytes(name.as_bytes()))))
    }

    /// The bytes of a member that is small by nature.
    pub fn document(&self, name: &str) -> Result<Vec<u8>, TransportError> {
        let content = self.file(name)?;
        if content.size() > oci::DOCUMENT_MAX {
            let size = content.size();
            return Err(
                self.malformed(format!("a document of {size} bytes is too large: {}", display_bytes(name.as_bytes())))
            );
        }
        content.head(content.size()).map_err(TransportError::Content)
    }

    /// The members below `blobs/sha256/`, by the digest that their names claim.
    pub fn blobs(&self) -> BTreeMap<Digest, Content> {
        let blob = |(path, member): (&Vec<u8>, &Member)| {
            let name = std::str::from_utf8(path.strip_prefix(b"/blobs/sha256/")?).ok()?;
            match member {
                Member::File(content) => Some((format!("sha256:{name}").parse().ok()?, content.clone())),
                Member::Link(_) => None,
            }
        };
        self.members.iter().filter_map(blob).collect()
    }

    fn malformed(&self, fault: String) -> TransportError {
        TransportError::Malformed { place: self.place.clone(), fault }
    }
}

/// `path` seen from the directory `from`, by its text alone. `..` at the top stays there: nothing is ever opened by it.
fn joined(from: &[u8], path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let from = if path.starts_with(b"/") { b"".as_slice() } else { from };
    for part in from.split(|&byte| byte == b'/').chain(path.split(|&byte| byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.iter().flat_map(|part| [b"/".as_slice(), part].concat()).collect()
}
