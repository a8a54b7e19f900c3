//! PT_LOAD segments, and which bytes of the file an address refers to.

use goblin::elf::ProgramHeader;
use goblin::elf::program_header::PF_X;

use super::pages::Pages;
use crate::tree::ContentError;

/// One PT_LOAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its offset in the file.
    pub offset: u64,
    /// Its address in memory.
    pub address: u64,
    /// Its size in the file, in bytes.
    pub file_size: u64,
    /// Its size in memory, in bytes.
    pub memory_size: u64,
    /// `p_align`.
    pub align: u64,
    /// Whether it is executable.
    pub executable: bool,
}

impl Segment {
    pub(super) fn of(header: &ProgramHeader) -> Segment {
        Segment {
            offset: header.p_offset,
            address: header.p_vaddr,
            file_size: header.p_filesz,
            memory_size: header.p_memsz,
            align: header.p_align,
            executable: header.p_flags & PF_X != 0,
        }
    }
}

/// The offset in the file of the byte at `address`.
pub(super) fn offset_of(loads: &[Segment], address: u64) -> Option<u64> {
    loads.iter().find_map(|load| {
        let inside = address.checked_sub(load.address)?;
        if inside < load.file_size { load.offset.checked_add(inside) } else { None }
    })
}

/// How many bytes of the file are in memory from `address` on: in its segment, and in the segments that follow it with no
/// gap. A table may begin in one segment and end in the next, as `patchelf` makes them.
pub(super) fn room_at(loads: &[Segment], address: u64) -> u64 {
    parts(loads, address).fold(0, |room: u64, (_, length)| room.saturating_add(length))
}

/// `length` bytes from `address` on, or fewer if there is a gap before.
///
/// # Errors
/// When the contents cannot be read.
pub(super) fn read_at(
    pages: &Pages<'_>,
    loads: &[Segment],
    address: u64,
    length: usize,
) -> Result<Vec<u8>, ContentError> {
    let mut parts = parts(loads, address);
    let Some((offset, room)) = parts.next() else { return Ok(Vec::new()) };
    let mut bytes = pages.read(offset, length.min(usize::try_from(room).unwrap_or(length)))?;
    let mut expected = room;
    for (offset, room) in parts {
        // If the file ends within this segment, nothing follows.
        if bytes.len() >= length || (bytes.len() as u64) < expected {
            break;
        }
        bytes.extend(pages.read(offset, (length - bytes.len()).min(usize::try_from(room).unwrap_or(length)))?);
        expected = expected.saturating_add(room);
    }
    Ok(bytes)
}

/// The string at `address`, up to its NUL; `None` if no NUL follows within `limit` bytes or before the end of the file.
///
/// # Errors
/// As [`read_at`].
pub(super) fn string_at(
    pages: &Pages<'_>,
    loads: &[Segment],
    address: u64,
    limit: usize,
) -> Result<Option<Box<[u8]>>, ContentError> {
    let mut length = 64.min(limit);
    loop {
        let bytes = read_at(pages, loads, address, length)?;
        if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
            return Ok(Some(bytes[..end].into()));
        }
        if bytes.len() < length || length == limit {
            return Ok(None);
        }
        length = length.saturating_mul(8).min(limit);
    }
}

/// The parts of the file that are in memory from `address` up to the first gap: offset and length of each, none empty.
fn parts(loads: &[Segment], address: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
    let mut next = Some(address);
    std::iter::from_fn(move || {
        let address = next?;
        let (offset, room) = loads.iter().find_map(|load| {
            let inside = address.checked_sub(load.address)?;
            let room = load.file_size.checked_sub(inside).filter(|room| *room > 0)?;
            Some((load.offset.checked_add(inside)?, room))
        })?;
        next = address.checked_add(room);
        Some((offset, room))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_the_segment_that_holds_it_in_the_file() {
        let load = |offset, address, file_size| Segment {
            offset,
            address,
            file_size,
            memory_size: 0x1000,
            align: 0x1000,
            executable: false,
        };
        let loads = [load(0, 0x1000, 0x10), load(0x10, 0x3000, 0x20), load(u64::MAX, u64::MAX - 1, 1)];
        assert_eq!(offset_of(&loads, 0x100f), Some(0xf));
        assert_eq!(offset_of(&loads, 0x1010), None, "zeros in memory, nothing in the file");
        assert_eq!((offset_of(&loads, 0x3004), room_at(&loads, 0x3004)), (Some(0x14), 0x1c));
        assert_eq!((offset_of(&loads, 0), room_at(&loads, 0)), (None, 0));
        assert_eq!(offset_of(&loads, u64::MAX - 1), Some(u64::MAX));
    }

    #[test]
    fn bytes_are_read_across_segments_that_follow_each_other_in_memory() {
        let load = |offset, address, file_size| Segment {
            offset,
            address,
            file_size,
            memory_size: file_size,
            align: 0x1000,
            executable: false,
        };
        let content = crate::tree::Content::Bytes((0u8..=255).collect::<Vec<_>>().into());
        let pages = Pages::open(&content).unwrap();
        // In the file, the second part comes before the first; after the third there is a gap.
        let loads = [load(100, 0x1000, 4), load(10, 0x1004, 3), load(200, 0x1007, 2), load(0, 0x100a, 9)];
        let read = |address, length| read_at(&pages, &loads, address, length).unwrap();
        assert_eq!(read(0x1002, 6), [102, 103, 10, 11, 12, 200]);
        assert_eq!(read(0x1002, 99), [102, 103, 10, 11, 12, 200, 201]);
        assert_eq!(read(0x1002, 1), [102]);
        assert_eq!((room_at(&loads, 0x1002), room_at(&loads, 0x1009)), (7, 0));
        assert_eq!(string_at(&pages, &loads, 0x1000, 64).unwrap(), None);
        let loads = [load(250, 0, 6), load(0, 6, 4)];
        assert_eq!(&*string_at(&pages, &loads, 0, 64).unwrap().unwrap(), [250, 251, 252, 253, 254, 255]);
        assert_eq!(string_at(&pages, &loads, 0, 6).unwrap(), None, "the limit");
        let long = [vec![b'a'; 3000], b"\0tail".to_vec()].concat();
        let content = crate::tree::Content::Bytes(long.into());
        let long = Pages::open(&content).unwrap();
        let string = |at, limit| string_at(&long, &[load(0, 0, 3005)], at, limit).unwrap();
        assert_eq!(string(2990, 4096).unwrap().len(), 10);
        assert_eq!(string(0, 4096).unwrap().len(), 3000);
        assert_eq!((string(0, 1000), string(3001, 4096)), (None, None));
        // Bytes that the file lacks are not replaced by those that follow in memory.
        let loads = [load(254, 0, 6), load(0, 6, 4)];
        assert_eq!(read_at(&pages, &loads, 0, 10).unwrap(), [254, 255]);
    }
}
