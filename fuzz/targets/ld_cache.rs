//! `/etc/ld.so.cache`, which glibc's loader reads.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sazare_fuzz::in_time(sazare_fuzz::tries::ld_cache, bytes));
