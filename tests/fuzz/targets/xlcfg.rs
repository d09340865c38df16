//! Any bytes as an `xl.cfg`, as libxl's JSON and as words of commands.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| domcfg::exercise(data));
