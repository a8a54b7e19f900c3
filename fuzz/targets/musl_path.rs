//! The file in which musl's loader finds its directories.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sazare_fuzz::in_time(sazare_fuzz::tries::musl_path, bytes));
