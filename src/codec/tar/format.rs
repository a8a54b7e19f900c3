//! The bytes of a tar header: fields, numbers, PAX records.

/// Tar's unit, in bytes: headers have one block, contents are padded to whole blocks.
pub const BLOCK: usize = 512;

/// The largest number that an octal field of twelve bytes holds: sizes and times.
pub const OCTAL_11: u64 = (1 << 33) - 1;

/// The largest number that an octal field of eight bytes holds: owners and devices.
pub const OCTAL_7: u64 = (1 << 21) - 1;

/// How many bytes fill `size` up to a whole block.
pub fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK as u64) as usize
}

/// One PAX record, `LENGTH KEY=VALUE\n`, where the length counts its own digits.
pub fn pax_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + digits(length) {
        length = rest + digits(length);
    }
    out.extend_from_slice(format!("{length} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// The records of a PAX header, in order; `None` when they are malformed.
pub fn pax_records(mut bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|&byte| byte == b' ')?;
        let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
        // The value may hold any byte, a newline too: only the length says where it ends.
        let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&byte| byte == b'=')?;
        records.push((&record[..equals], &record[equals + 1..]));
        bytes = bytes.get(length..)?;
    }
    Some(records)
}

/// A numeric field: octal digits with blanks and NULs around them, or GNU's base-256. `None` when it is neither or
/// does not fit.
pub fn number(field: &[u8]) -> Option<i64> {
    match field.first()? {
        first if first & 0x80 != 0 => {
            // The sign is the second highest bit; what is left is a big-endian two's complement number.
            let mut value: i128 = if first & 0x40 != 0 { i128::from(*first as i8) } else { i128::from(first & 0x3f) };
            for byte in &field[1..] {
                value = value.checked_mul(256)? + i128::from(*byte);
            }
            i64::try_from(value).ok()
        }
        _ => {
            let text = field.split(|&byte| byte == 0).next()?;
            let text = std::str::from_utf8(text).ok()?.trim_matches(' ');
            if text.is_empty() {
                return Some(0);
            }
            if !text.bytes().all(|digit| matches!(digit, b'0'..=b'7')) {
                return None;
            }
            i64::from_str_radix(text, 8).ok()
        }
    }
}

/// Whether the checksum of a header holds. Old writers summed signed bytes.
pub fn checksum_holds(header: &[u8; BLOCK]) -> bool {
    let sum = |value: fn(u8) -> i64| -> i64 {
        header.iter().enumerate().map(|(at, &byte)| value(if (148..156).contains(&at) { b' ' } else { byte })).sum()
    };
    let written = number(&header[148..156]);
    written == Some(sum(i64::from)) || written == Some(sum(|byte| i64::from(byte as i8)))
}

/// Whether these bytes begin an archive that has an entry: with a header.
pub fn begins_archive(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|header: &[u8; BLOCK]| header[0] != 0 && checksum_holds(header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [1, 5, 90, 91, 92, 93, 94, 95, 985, 990, 995, 9990] {
            let value = vec![b'x'; length];
            let mut bytes = Vec::new();
            pax_record(&mut bytes, b"path", &value);
            assert_eq!(pax_records(&bytes), Some(vec![(b"path".as_slice(), value.as_slice())]), "{length}");
        }
    }

    #[test]
    fn a_value_may_hold_any_byte() {
        let mut bytes = Vec::new();
        pax_record(&mut bytes, b"SCHILY.xattr.user.a", b"1\n2=3\0");
        pax_record(&mut bytes, b"size", b"7");
        let records = pax_records(&bytes).unwrap();
        assert_eq!(records, [(b"SCHILY.xattr.user.a".as_slice(), b"1\n2=3\0".as_slice()), (b"size", b"7")]);
        for bad in ["x", "5 a=", "99 a=b\n", "6 a=bc", "0 a=b\n", "7 abcd\n", "18446744073709551615 a=b\n"] {
            assert_eq!(pax_records(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000755\0"), Some(0o755));
        assert_eq!(number(b"   755 \0"), Some(0o755));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(b"79"), None);
        assert_eq!(number(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
