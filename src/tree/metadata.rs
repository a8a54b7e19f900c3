//! Owner, mode, time and extended attributes of an inode, as data.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::Arc;

/// Extended attributes: full name (`security.capability`) to value, both bytes. Most files have none, and having none
/// takes no more room than a pointer. Copies share what they hold until one is changed.
#[derive(Clone, Default)]
pub struct Xattrs(Option<Arc<Pairs>>);

type Pairs = BTreeMap<Box<[u8]>, Box<[u8]>>;

static NONE: Pairs = Pairs::new();

impl Xattrs {
    /// None.
    pub fn new() -> Xattrs {
        Xattrs::default()
    }
}

impl Deref for Xattrs {
    type Target = Pairs;

    fn deref(&self) -> &Pairs {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Xattrs {
    fn deref_mut(&mut self) -> &mut Pairs {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl PartialEq for Xattrs {
    fn eq(&self, other: &Xattrs) -> bool {
        **self == **other
    }
}

impl Eq for Xattrs {}

impl fmt::Debug for Xattrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<'a> IntoIterator for &'a Xattrs {
    type Item = (&'a Box<[u8]>, &'a Box<[u8]>);
    type IntoIter = btree_map::Iter<'a, Box<[u8]>, Box<[u8]>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Xattrs {
    type Item = (Box<[u8]>, Box<[u8]>);
    type IntoIter = btree_map::IntoIter<Box<[u8]>, Box<[u8]>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map(Arc::unwrap_or_clone).unwrap_or_default().into_iter()
    }
}

/// What an inode has besides its kind and contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky.
    pub mode: Mode,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last change of the contents, in seconds since 1970. Whole seconds: parts of one are an accident of the
    /// host, and without them every header fits ustar.
    pub mtime: i64,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Metadata {
    /// Owned by root, without extended attributes.
    pub fn new(mode: Mode, mtime: i64) -> Metadata {
        Metadata { mode, uid: 0, gid: 0, mtime, xattrs: Xattrs::new() }
    }
}

/// Metadata that inodes have in common: most of a tree's files have the same. Reads as [`Metadata`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared(Arc<Metadata>);

impl Deref for Shared {
    type Target = Metadata;

    fn deref(&self) -> &Metadata {
        &self.0
    }
}

impl From<Metadata> for Shared {
    fn from(meta: Metadata) -> Shared {
        Shared(Arc::new(meta))
    }
}

impl Shared {
    /// The metadata, to change it for one inode only.
    pub(super) fn alone(&mut self) -> &mut Metadata {
        Arc::make_mut(&mut self.0)
    }
}

/// How many are remembered before all are forgotten. Where files have hardly anything in common, remembering is no use.
const KNOWN_MAX: usize = 4096;

/// What was seen already, so that it need not be kept twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Sharing {
    last: Option<Shared>,
    known: BTreeMap<(u16, u32, u32, i64), Shared>,
}

impl Sharing {
    /// The same metadata, shared with whoever has it.
    pub fn share(&mut self, meta: Metadata) -> Shared {
        if !meta.xattrs.is_empty() {
            return meta.into();
        }
        if let Some(last) = self.last.as_ref().filter(|last| ***last == meta) {
            return last.clone();
        }
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        let key = (meta.mode.0, meta.uid, meta.gid, meta.mtime);
        let shared = self.known.entry(key).or_insert_with(|| meta.into()).clone();
        self.last = Some(shared.clone());
        shared
    }

    /// As [`Sharing::share`], of what may be shared with others already.
    pub fn share_too(&mut self, meta: Shared) -> Shared {
        match Arc::try_unwrap(meta.0) {
            Ok(alone) => self.share(alone),
            Err(shared) => Shared(shared),
        }
    }
}

/// The twelve mode bits that chmod(2) knows: never the file type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(u16);

impl Mode {
    /// `0755`: directories and programs.
    pub const DIRECTORY: Mode = Mode(0o755);
    /// `0644`: files.
    pub const FILE: Mode = Mode(0o644);
    /// `0777`: what Linux shows for every symlink.
    pub const SYMLINK: Mode = Mode(0o777);

    /// The mode bits of `st_mode`; the file type is dropped.
    pub fn from_bits(bits: u32) -> Mode {
        Mode((bits & 0o7777) as u16)
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }

    /// Whether any of the three execute bits is set.
    pub fn any_execute(self) -> bool {
        self.0 & 0o111 != 0
    }

    /// What a checkout's mode should have been: 0755 for what can be executed (or entered), 0644 for the rest.
    pub fn normal(self, directory: bool) -> Mode {
        if directory || self.any_execute() { Mode(0o755) } else { Mode(0o644) }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a mode of three or four octal digits: {0:?}")]
pub struct ModeError(String);

impl FromStr for Mode {
    type Err = ModeError;

    /// Reads `755`, `0755`, `1777` or `0o1777`.
    fn from_str(text: &str) -> Result<Mode, ModeError> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let error = || ModeError(text.to_string());
        if !(3..=5).contains(&digits.len()) || !digits.bytes().all(|digit| matches!(digit, b'0'..=b'7')) {
            return Err(error());
        }
        let bits = u16::from_str_radix(digits, 8).map_err(|_| error())?;
        if bits > 0o7777 { Err(error()) } else { Ok(Mode(bits)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_chmod_reads_them() {
        for (text, bits) in [("755", 0o755), ("0755", 0o755), ("1777", 0o1777), ("0o4711", 0o4711), ("000", 0)] {
            assert_eq!(text.parse::<Mode>().unwrap().bits(), bits, "{text}");
        }
        for text in ["", "7", "u+x", "0999", "10000", "77777", "-755", "0x1ff"] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shared_is_the_same_and_changes_alone() {
        let mut sharing = Sharing::default();
        let metas: Vec<Metadata> =
            (0..3 * KNOWN_MAX as i64).map(|time| Metadata::new(Mode::FILE, time % 5000)).collect();
        let shared: Vec<Shared> = metas.iter().map(|meta| sharing.share(meta.clone())).collect();
        assert!(shared.iter().zip(&metas).all(|(shared, meta)| **shared == *meta));
        assert!(sharing.known.len() <= KNOWN_MAX);
        let (mut one, other) = (sharing.share(metas[7].clone()), sharing.share(metas[7].clone()));
        assert!(Arc::ptr_eq(&one.0, &other.0));
        one.alone().uid = 5;
        assert_eq!((one.uid, other.uid), (5, 0));
        let mut special = metas[7].clone();
        special.xattrs.insert((*b"user.a").into(), (*b"1").into());
        assert_eq!(*sharing.share(special.clone()), special);
        assert_eq!(*sharing.share(metas[7].clone()), metas[7]);
    }

    #[test]
    fn attributes_are_a_map_that_takes_no_room_when_it_is_empty() {
        let mut xattrs = Xattrs::new();
        assert!(xattrs.is_empty() && xattrs.get(b"user.a".as_slice()).is_none());
        assert_eq!(size_of_val(&xattrs), size_of::<usize>());
        xattrs.insert((*b"user.a").into(), (*b"1").into());
        assert_eq!(xattrs.iter().count(), xattrs.clone().into_iter().count());
        xattrs.remove(b"user.a".as_slice());
        assert_eq!(xattrs, Xattrs::new());
    }

    #[test]
    fn normal_keeps_only_the_execute_bit() {
        assert_eq!(Mode::from_bits(0o100_600).normal(false).to_string(), "0644");
        assert_eq!(Mode::from_bits(0o4710).normal(false).to_string(), "0755");
        assert_eq!(Mode::from_bits(0o700).normal(true).to_string(), "0755");
    }
}
