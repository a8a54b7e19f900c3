//! ELF files: program, loader and library at once.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sazare_fuzz::in_time(sazare_fuzz::tries::elf, bytes));
