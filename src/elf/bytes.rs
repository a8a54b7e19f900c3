//! Reads numbers from a slice that may be too short, in the layout of the file: its class and byte order.

use goblin::container::{Container, Ctx, Endian};

use crate::platform::{Arch, ByteOrder, Class};

/// How the tables of a file are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// 32-bit or 64-bit: the sizes of the numbers.
    pub class: Class,
    /// The byte order.
    pub order: ByteOrder,
}

impl Layout {
    /// The layout of an architecture.
    pub(super) fn of_arch(arch: Arch) -> Layout {
        let facts = arch.facts();
        Layout { class: facts.class, order: facts.byte_order }
    }

    /// The layout that `e_ident` names.
    pub(super) fn of_ident(ident: &[u8; 16]) -> Layout {
        Layout { class: Class::of_ident(ident[4]), order: ByteOrder::of_ident(ident[5]) }
    }

    /// The same in the type that `goblin` needs.
    pub(super) fn context(self) -> Ctx {
        let container = match self.class {
            Class::Elf32 => Container::Little,
            Class::Elf64 => Container::Big,
        };
        let endian = match self.order {
            ByteOrder::Little => Endian::Little,
            ByteOrder::Big => Endian::Big,
        };
        Ctx::new(container, endian)
    }

    /// The size of an address, in bytes.
    pub(super) fn word(self) -> usize {
        match self.class {
            Class::Elf32 => 4,
            Class::Elf64 => 8,
        }
    }

    /// The 16-bit number at `offset`.
    pub(super) fn u16_at(self, bytes: &[u8], offset: usize) -> Option<u16> {
        let end = offset.checked_add(2)?;
        Some(self.order.half_of(bytes.get(offset..end)?.try_into().ok()?))
    }

    /// The 32-bit number at `offset`.
    pub(super) fn u32_at(self, bytes: &[u8], offset: usize) -> Option<u32> {
        let end = offset.checked_add(4)?;
        Some(self.order.word_of(bytes.get(offset..end)?.try_into().ok()?))
    }

    /// The 64-bit number at `offset`.
    pub(super) fn u64_at(self, bytes: &[u8], offset: usize) -> Option<u64> {
        let end = offset.checked_add(8)?;
        Some(self.order.double_of(bytes.get(offset..end)?.try_into().ok()?))
    }

    /// The address at `offset`.
    pub(super) fn word_at(self, bytes: &[u8], offset: usize) -> Option<u64> {
        match self.class {
            Class::Elf32 => self.u32_at(bytes, offset).map(u64::from),
            Class::Elf64 => self.u64_at(bytes, offset),
        }
    }
}

/// The bytes before the first NUL.
pub fn cut_at_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

/// The offset of the first `needle` in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(step) = hay.get(from..)?.iter().position(|&byte| byte == first) {
        let at = from + step;
        if hay[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Whether `hay` contains `needle`.
pub fn contains(hay: &[u8], needle: &[u8]) -> bool {
    find(hay, needle).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_end_are_absent() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        let (amd64, s390x) = (Layout::of_arch(Arch::Amd64), Layout::of_arch(Arch::S390x));
        assert_eq!((amd64.u16_at(&bytes, 6), s390x.u16_at(&bytes, 6)), (Some(0x0807), Some(0x0708)));
        assert_eq!(amd64.u16_at(&bytes, 7), None);
        assert_eq!(amd64.u32_at(&bytes, usize::MAX), None);
        assert_eq!(amd64.u64_at(&bytes, 0), Some(0x0807_0605_0403_0201));
        assert_eq!(s390x.word_at(&bytes, 0), Some(0x0102_0304_0506_0708));
        assert_eq!(Layout::of_arch(Arch::Arm).word_at(&bytes, 4), Some(0x0807_0605));
        assert_eq!(amd64.u64_at(&bytes, 1), None);
    }

    #[test]
    fn a_needle_is_found_where_it_begins() {
        assert_eq!(find(b"mumusl libc (", b"musl libc ("), Some(2));
        assert_eq!(find(b"aab", b"ab"), Some(1));
        assert_eq!(find(b"aa", b"ab"), None);
        assert!(!contains(b"a", b""));
    }
}
