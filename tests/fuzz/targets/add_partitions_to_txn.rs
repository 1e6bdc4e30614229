#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::add_partitions_to_txn(data));
