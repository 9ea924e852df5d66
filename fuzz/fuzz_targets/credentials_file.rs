#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| keystead_fuzz::credentials_file(data));
