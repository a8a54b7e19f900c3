//! The file that lists the library directories of musl's loader.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sazare_fuzz::in_time(sazare_fuzz::tries::musl_path, bytes));
