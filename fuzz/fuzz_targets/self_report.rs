#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| limpid_fuzz::self_report::fuzz(bytes));
