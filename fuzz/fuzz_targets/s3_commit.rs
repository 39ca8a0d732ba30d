#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::s3_partitioner::commit(data));
