//! PT_LOAD segments, and where in the file the bytes of an address are.

use goblin::elf::ProgramHeader;
use goblin::elf::program_header::PF_X;

/// One PT_LOAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it starts in the file.
    pub offset: u64,
    /// Where it starts in memory.
    pub address: u64,
    /// Its bytes in the file.
    pub file_size: u64,
    /// Its bytes in memory.
    pub memory_size: u64,
    /// `p_align`.
    pub align: u64,
    /// Whether it can be executed.
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

/// Where in the file the byte at `address` lies, by the segments.
pub(super) fn offset_of(loads: &[Segment], address: u64) -> Option<u64> {
    loads.iter().find_map(|load| {
        let inside = address.checked_sub(load.address)?;
        if inside < load.file_size { load.offset.checked_add(inside) } else { None }
    })
}

/// How many bytes of the file follow `address` in its segment.
pub(super) fn room_at(loads: &[Segment], address: u64) -> u64 {
    loads
        .iter()
        .find_map(|load| {
            let inside = address.checked_sub(load.address)?;
            load.file_size.checked_sub(inside).filter(|room| *room > 0)
        })
        .unwrap_or(0)
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
}
