#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::msk_iam_auth::token(data));
