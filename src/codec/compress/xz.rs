//! What an xz stream says of itself before it is unpacked (The .xz File Format, 2.1.1 and 3.1): kernels take fewer forms than
//! `xz` makes.

/// What the start of a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct XzStart {
    /// The kind of check.
    check: u8,
    /// The filters of the first block, in the order in which they are applied.
    filters: Vec<u64>,
    /// The size of the dictionary, in bytes; 0 where there is none.
    dictionary: u64,
}

/// How many bytes of a stream [`XzStart::read`] wants to see.
pub(crate) const XZ_START: usize = 128;

const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
const DELTA: u64 = 3;
const LZMA2: u64 = 0x21;

/// The filters for code that a stream can have, and whose kernels know them: the `XZ_DEC_*` of Linux 6.12's `lib/xz/Kconfig`.
/// Those without a name are in every kernel with xz that distributions build.
const FILTERS: [(u64, &str, Option<&str>); 8] = [
    (4, "x86", None),
    (5, "powerpc", Some("PowerPC")),
    (6, "ia64", Some("Itanium")),
    (7, "arm", Some("32-bit ARM")),
    (8, "armthumb", Some("32-bit ARM")),
    (9, "sparc", Some("SPARC")),
    (0xa, "arm64", None),
    (0xb, "riscv", None),
];

impl XzStart {
    /// Reads the start of a stream; `None` if it is not one, or is too short.
    pub(crate) fn read(head: &[u8]) -> Option<XzStart> {
        let rest = head.strip_prefix(&MAGIC)?;
        let check = *rest.get(1)? & 0x0f;
        let mut start = XzStart { check, filters: Vec::new(), dictionary: 0 };
        // The header of the first block; a size of zero is the index of an empty stream.
        let mut rest = rest.get(6..)?;
        if *rest.first()? == 0 {
            return Some(start);
        }
        let flags = *rest.get(1)?;
        rest = &rest[2..];
        let sizes = [0x40, 0x80].into_iter().filter(|bit| flags & bit != 0).count();
        for _ in 0..sizes {
            number(&mut rest)?;
        }
        for _ in 0..=flags & 3 {
            let filter = number(&mut rest)?;
            let length = usize::try_from(number(&mut rest)?).ok()?;
            let (properties, after) = rest.split_at_checked(length)?;
            rest = after;
            start.filters.push(filter);
            if let (LZMA2, [bits]) = (filter, properties) {
                start.dictionary = dictionary(*bits);
            }
        }
        Some(start)
    }

    /// Why no kernel unpacks it.
    pub(crate) fn fault(&self) -> Option<String> {
        let check = match self.check {
            0 | 1 => None,
            4 => Some("crc64"),
            10 => Some("sha256"),
            _ => Some("of an unknown kind"),
        };
        if let Some(check) = check {
            // `xz` itself chooses crc64 unless it is told otherwise.
            return Some(format!("xz with the check {check}, which kernels do not support (use xz --check=crc32)"));
        }
        let known = |filter: &u64| *filter == LZMA2 || FILTERS.iter().any(|(known, ..)| known == filter);
        let strange = self.filters.iter().find(|filter| !known(filter))?;
        let name = if *strange == DELTA { "delta".to_string() } else { format!("{strange:#x}") };
        Some(format!("xz with the filter {name}, which kernels do not support (use xz --lzma2)"))
    }

    /// A filter that only kernels of one architecture know: its name, and the architecture.
    pub(crate) fn rare_filter(&self) -> Option<(&'static str, &'static str)> {
        let rare = FILTERS.iter().filter(|(filter, ..)| self.filters.contains(filter));
        rare.filter_map(|(_, name, kernels)| Some((*name, (*kernels)?))).next()
    }

    /// The size of the dictionary, in bytes.
    pub(crate) fn dictionary(&self) -> u64 {
        self.dictionary
    }
}

/// A number of seven bits a byte, the lowest first.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The size of an LZMA2 dictionary: two or three times a power of two (5.3.1).
fn dictionary(bits: u8) -> u64 {
    match bits {
        0..40 => (2 | u64::from(bits & 1)) << (bits / 2 + 11),
        _ => u64::from(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream with this kind of check, and a block with these filters: number, and properties.
    fn stream(check: u8, filters: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = [MAGIC.as_slice(), &[0, check], &[0; 4]].concat();
        bytes.extend([3, 0x40 | (filters.len() as u8 - 1), 0x85, 0x01]);
        for (filter, properties) in filters {
            bytes.extend([*filter, properties.len() as u8]);
            bytes.extend(*properties);
        }
        bytes.resize(64, 0);
        bytes
    }

    #[test]
    fn what_kernels_take_and_what_they_do_not() {
        let lzma2: (u8, &[u8]) = (0x21, &[22]);
        let start = |check, filters: &[(u8, &[u8])]| XzStart::read(&stream(check, filters)).unwrap();
        assert_eq!((start(1, &[lzma2]).fault(), start(1, &[lzma2]).dictionary()), (None, 8 << 20));
        assert_eq!(start(0, &[(4, &[]), lzma2]).fault(), None);
        assert_eq!(start(1, &[(8, &[]), lzma2]).rare_filter(), Some(("armthumb", "32-bit ARM")));
        assert_eq!(start(1, &[(10, &[]), lzma2]).rare_filter(), None);
        assert!(start(4, &[lzma2]).fault().unwrap().starts_with("xz with the check crc64"));
        assert!(start(1, &[(3, &[0]), lzma2]).fault().unwrap().starts_with("xz with the filter delta"));
        assert_eq!(start(1, &[(0x21, &[30])]).dictionary(), 128 << 20);
        assert_eq!(XzStart::read(&stream(1, &[lzma2])[..13]), None);
        assert_eq!(XzStart::read(b"\xfd7zXZ\0\0\x01\0\0\0\0\0").unwrap().fault(), None);
    }
}
