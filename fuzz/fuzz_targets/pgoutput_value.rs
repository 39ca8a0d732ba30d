#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::pgoutput_value::value(data));
