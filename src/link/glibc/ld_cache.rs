//! `/etc/ld.so.cache`, which ldconfig writes for glibc's loader (`sysdeps/generic/dl-cache.h`).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::elf::cut_at_nul;
use crate::platform::{Abi, Arch, ByteOrder};

/// The magic of the format that every glibc since 2.2 writes.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// The magic of the old format, which may precede the new one.
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";

const HEADER: usize = 48;
const ENTRY: usize = 24;
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;

/// A cache, checked as the loader checks it.
pub(crate) struct Cache<'b> {
    /// The bytes from the new header on: offsets count from there.
    bytes: &'b [u8],
    count: usize,
    order: ByteOrder,
    abi: &'static Abi,
}

/// The entries of a cache for one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hit<'b> {
    /// The path for every CPU.
    pub plain: Option<&'b [u8]>,
    /// The paths for newer CPUs. Their `glibc-hwcaps` directory says for which.
    pub newer: Vec<&'b [u8]>,
}

impl<'b> Cache<'b> {
    /// Reads a cache; `None` if the loader would ignore it.
    pub fn read(bytes: &'b [u8], arch: Arch, abi: &'static Abi) -> Option<Cache<'b>> {
        let order = arch.facts().byte_order;
        let bytes = if bytes.starts_with(OLD_MAGIC) {
            let count = number(bytes, 12, order)? as usize;
            let end = count.checked_mul(OLD_ENTRY)?.checked_add(OLD_HEADER)?.checked_next_multiple_of(8)?;
            bytes.get(end..)?
        } else {
            bytes
        };
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        // 0 means that the byte order is not set.
        let flag = bytes.get(28)? & 3;
        if flag != 0 && flag != order_flag(order) {
            return None;
        }
        let count = number(bytes, 20, order)? as usize;
        let end = count.checked_mul(ENTRY)?.checked_add(HEADER)?;
        (end <= bytes.len()).then_some(Cache { bytes, count, order, abi })
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Looks a name up for objects of the architecture, as the loader does: by binary search, then back to the first equal name.
    pub fn find(&self, name: &[u8]) -> Hit<'b> {
        let mut hit = Hit::default();
        let (mut left, mut right) = (0, self.count);
        while left < right {
            let middle = (left + right) / 2;
            match compare(name, self.name(middle)) {
                Ordering::Equal => {
                    let mut at = middle;
                    while at > 0 && compare(name, self.name(at - 1)) == Ordering::Equal {
                        at -= 1;
                    }
                    while at < self.count && compare(name, self.name(at)) == Ordering::Equal {
                        self.take(at, &mut hit);
                        at += 1;
                    }
                    return hit;
                }
                // Entries are sorted in descending order.
                Ordering::Less => left = middle + 1,
                Ordering::Greater => right = middle,
            }
        }
        hit
    }

    fn take(&self, index: usize, hit: &mut Hit<'b>) {
        let at = HEADER + index * ENTRY;
        if !self.number(at).is_some_and(|flags| self.abi.cache_flags.contains(&flags)) {
            return;
        }
        let Some(path) = self.number(at + 8).and_then(|value| self.string(value)) else { return };
        let (low, high) = (self.number(at + 16), self.number(at + 20));
        if low == Some(0) && high == Some(0) {
            hit.plain = hit.plain.or(Some(path));
        } else if high.is_some_and(|high| high & 1 << 30 != 0) {
            hit.newer.push(path);
        }
    }

    fn name(&self, index: usize) -> &'b [u8] {
        self.number(HEADER + index * ENTRY + 4).and_then(|key| self.string(key)).unwrap_or_default()
    }

    fn number(&self, at: usize) -> Option<u32> {
        number(self.bytes, at, self.order)
    }

    fn string(&self, offset: u32) -> Option<&'b [u8]> {
        Some(cut_at_nul(self.bytes.get(offset as usize..)?))
    }
}

/// A cache with these names and paths only.
pub fn ld_cache(arch: Arch, entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let facts = arch.facts();
    let order = facts.byte_order;
    // Flags that the loaders of all ABIs accept: on ARM, those of a library that has no mark of an ABI.
    let is_common = |flags: &&u32| facts.abis.iter().all(|abi| abi.cache_flags.contains(flags));
    let flags = facts.abi().cache_flags.iter().find(is_common).copied().unwrap_or_default();
    let mut entries: Vec<_> = entries.iter().collect();
    // The loader uses a binary search over entries in descending order.
    entries.sort_by(|(a, _), (b, _)| compare(b, a));
    let mut strings = Vec::new();
    let mut table = Vec::new();
    let base = HEADER + entries.len() * ENTRY;
    let mut text = |bytes: &[u8]| {
        let at = (base + strings.len()) as u32;
        strings.extend_from_slice(bytes);
        strings.push(0);
        at
    };
    for (name, path) in &entries {
        let (key, value) = (text(name), text(path));
        for number in [flags, key, value, 0, 0, 0] {
            table.extend_from_slice(&order.word_bytes(number));
        }
    }
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&order.word_bytes(entries.len() as u32));
    out.extend_from_slice(&order.word_bytes(strings.len() as u32));
    out.push(order_flag(order));
    out.resize(HEADER, 0);
    [out, table, strings].concat()
}

/// The byte order in the flags of a cache (`cache_file_new_flags`).
fn order_flag(order: ByteOrder) -> u8 {
    match order {
        ByteOrder::Little => 2,
        ByteOrder::Big => 3,
    }
}

fn number(bytes: &[u8], at: usize, order: ByteOrder) -> Option<u32> {
    Some(order.word_of(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// `_dl_cache_libcmp`: compares runs of digits as numbers.
fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        match (a.first(), b.first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(one), other) if one.is_ascii_digit() => match other {
                Some(other) if other.is_ascii_digit() => {
                    let ((x, rest_a), (y, rest_b)) = (digits(a), digits(b));
                    if x != y {
                        return x.cmp(&y);
                    }
                    (a, b) = (rest_a, rest_b);
                }
                Some(_) | None => return Ordering::Greater,
            },
            (Some(_), Some(other)) if other.is_ascii_digit() => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(other)) if one != other => return one.cmp(other),
            (Some(_), Some(_)) => (a, b) = (&a[1..], &b[1..]),
        }
    }
}

fn digits(bytes: &[u8]) -> (u64, &[u8]) {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let value =
        bytes[..end].iter().fold(0u64, |value, byte| value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')));
    (value, &bytes[end..])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A cache of these names, paths and flags, which must be in descending order.
    pub(crate) fn forged(entries: &[(&str, &str, u32)]) -> Vec<u8> {
        let mut strings = Vec::new();
        let mut table = Vec::new();
        let base = HEADER + entries.len() * ENTRY;
        for (name, path, flags) in entries {
            let key = (base + strings.len()) as u32;
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
            let value = (base + strings.len()) as u32;
            strings.extend_from_slice(path.as_bytes());
            strings.push(0);
            for number in [*flags, key, value, 0, 0, 0] {
                table.extend_from_slice(&number.to_le_bytes());
            }
        }
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        out.extend_from_slice(&(strings.len() as u32).to_le_bytes());
        out.push(2);
        out.resize(HEADER, 0);
        [out, table, strings].concat()
    }

    fn read(bytes: &[u8], arch: Arch) -> Option<Cache<'_>> {
        Cache::read(bytes, arch, arch.facts().abi())
    }

    #[test]
    fn names_are_found_in_both_forms() {
        let new = forged(&[
            ("libz.so.1", "/lib/libz.so.1", 0x303),
            ("libx.so.10", "/lib/libx.so.10", 0x303),
            ("libx.so.9", "/arm/libx.so.9", 0xa03),
            ("libx.so.9", "/lib/libx.so.9", 0x303),
            ("liba.so", "/lib/liba.so", 0x303),
        ]);
        let mut old = OLD_MAGIC.to_vec();
        old.push(0);
        old.extend_from_slice(&1u32.to_le_bytes());
        old.resize(OLD_HEADER + OLD_ENTRY, 0);
        old.resize(old.len().next_multiple_of(8), 0);
        old.extend_from_slice(&new);
        for bytes in [&new, &old] {
            let cache = read(bytes, Arch::Amd64).unwrap();
            let arm = read(bytes, Arch::Arm64).unwrap();
            for name in ["libz.so.1", "libx.so.10", "libx.so.9", "liba.so"] {
                assert_eq!(cache.find(name.as_bytes()).plain, Some(format!("/lib/{name}").as_bytes()), "{name}");
            }
            assert_eq!(cache.find(b"libx.so.09").plain, Some(&b"/lib/libx.so.9"[..]), "digits are numbers");
            assert_eq!(arm.find(b"libx.so.9").plain, Some(&b"/arm/libx.so.9"[..]));
            assert_eq!(cache.find(b"libq.so"), Hit::default());
        }
    }

    #[test]
    fn what_is_written_is_found() {
        let names = ["liba.so", "libx.so.9", "libx.so.10", "libz.so.1", "lib_x.so"];
        let entries = names.map(|name| (name.as_bytes().to_vec(), format!("/opt/{name}").into_bytes()));
        let bytes = ld_cache(Arch::Arm64, &BTreeMap::from(entries));
        let cache = read(&bytes, Arch::Arm64).unwrap();
        let other = read(&bytes, Arch::Amd64).unwrap();
        for name in names {
            assert_eq!(cache.find(name.as_bytes()).plain, Some(format!("/opt/{name}").as_bytes()), "{name}");
            assert_eq!(other.find(name.as_bytes()).plain, None);
        }
    }

    #[test]
    fn what_the_loader_ignores_is_ignored() {
        let whole = forged(&[("liba.so", "/lib/liba.so", 0x303)]);
        for length in 0..HEADER + ENTRY {
            assert!(read(&whole[..length], Arch::Amd64).is_none(), "{length}");
        }
        let mut big_endian = whole.clone();
        big_endian[28] = 3;
        assert!(read(&big_endian, Arch::Amd64).is_none());
        let mut outside = whole;
        outside[HEADER + 4..HEADER + 8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&outside, Arch::Amd64).unwrap().find(b"liba.so"), Hit::default());
    }
}
