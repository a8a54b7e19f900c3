//! The bytes of `e_ident` in a library: glibc's loader checks them; the kernel and musl do not.

use crate::platform::ByteOrder;

/// The message of glibc about a library's `e_ident` and `e_version`, if it refuses them.
pub(crate) fn ident_fault(ident: &[u8; 16], version: u32, order: ByteOrder) -> Option<&'static str> {
    if ident[5] != order.number() {
        Some(match order {
            ByteOrder::Little => "ELF file data encoding not little-endian",
            ByteOrder::Big => "ELF file data encoding not big-endian",
        })
    } else if ident[6] != 1 {
        Some("ELF file version ident does not match current one")
    } else if !matches!(ident[7], 0 | 3) {
        Some("ELF file OS ABI invalid")
    } else if ident[8] != 0 && ident[7] != 3 {
        Some("ELF file ABI version invalid")
    } else if ident[9..].iter().any(|byte| *byte != 0) {
        Some("nonzero padding in e_ident")
    } else if version != 1 {
        Some("ELF file version does not match current one")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_words() {
        assert_eq!(
            ident_fault(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0", 1, ByteOrder::Big),
            Some("ELF file data encoding not big-endian")
        );
        let good = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0";
        assert_eq!(ident_fault(&good, 1, ByteOrder::Little), None);
        for (at, value, words) in [
            (5, 2, Some("ELF file data encoding not little-endian")),
            (6, 0, Some("ELF file version ident does not match current one")),
            (7, 9, Some("ELF file OS ABI invalid")),
            (7, 3, None),
            (8, 1, Some("ELF file ABI version invalid")),
            (15, 1, Some("nonzero padding in e_ident")),
        ] {
            let mut ident = good;
            ident[at] = value;
            assert_eq!(ident_fault(&ident, 1, ByteOrder::Little), words, "{at}");
        }
        assert_eq!(ident_fault(&good, 0, ByteOrder::Little), Some("ELF file version does not match current one"));
    }
}
