//! The smallest program of each architecture, to see whether a machine runs its programs.

use super::bytes::Layout;
use crate::platform::{Arch, Class};

/// Where it is loaded.
const BASE: u64 = 0x40_0000;

/// A static program that ends at once with exit code 0.
pub fn smallest_program(arch: Arch) -> Vec<u8> {
    let facts = arch.facts();
    let (order, layout) = (facts.byte_order, Layout::of_arch(arch));
    let (head, entry) = (facts.class.header_size(), facts.class.program_header_size());
    let code = (head + u64::from(entry)).next_multiple_of(16);
    let size = code + facts.exit.len() as u64;
    let mut out = b"\x7fELF".to_vec();
    out.extend([facts.class.number(), order.number(), 1]);
    out.resize(16, 0);
    let halves = |out: &mut Vec<u8>, numbers: &[u16]| numbers.iter().for_each(|number| out.extend(order.half(*number)));
    let words =
        |out: &mut Vec<u8>, numbers: &[u32]| numbers.iter().for_each(|number| out.extend(order.word_bytes(*number)));
    let addresses = |out: &mut Vec<u8>, numbers: &[u64]| {
        numbers.iter().for_each(|number| match layout.class {
            Class::Elf32 => out.extend(order.word_bytes(*number as u32)),
            Class::Elf64 => out.extend(order.double(*number)),
        });
    };
    halves(&mut out, &[2, facts.machine]);
    words(&mut out, &[1]);
    addresses(&mut out, &[BASE + code, head, 0]);
    words(&mut out, &[facts.abi().flags]);
    halves(&mut out, &[head as u16, entry, 1, 0, 0, 0]);
    // PT_LOAD, readable and executable; the rights stand at another place in each class.
    match layout.class {
        Class::Elf32 => words(&mut out, &[1]),
        Class::Elf64 => words(&mut out, &[1, 5]),
    }
    addresses(&mut out, &[0, BASE, BASE, size, size]);
    match layout.class {
        Class::Elf32 => words(&mut out, &[5, 0x10000]),
        Class::Elf64 => addresses(&mut out, &[0x10000]),
    }
    out.resize(code as usize, 0);
    out.extend(facts.exit);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::{ElfFacts, Linkage};
    use crate::tree::Content;

    #[test]
    fn it_is_a_static_program_of_its_architecture() {
        for arch in Arch::ALL {
            let content = Content::Bytes(smallest_program(arch).into());
            let facts = ElfFacts::read(&content).unwrap().unwrap();
            assert_eq!((facts.arch, facts.fault, facts.linkage(&[arch], true)), (Some(arch), None, Linkage::Static));
            assert_eq!((facts.size_needed(), facts.has_bad_segment()), (facts.size, false), "{arch:?}");
        }
    }
}
