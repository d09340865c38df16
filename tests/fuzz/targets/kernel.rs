//! Any bytes as a kernel's file: as they are, and as the payload of a bzImage.

#![no_main]

use kernel_image::{Kernel, locate, sample};
use libfuzzer_sys::fuzz_target;

/// Only the time of a run is saved by leaving out what says it is larger.
const UNPACKED_MAX: usize = 4 << 20;

fn read(file: &[u8]) {
    if let Ok(payload) = locate(file)
        && payload.unpacked_len() <= UNPACKED_MAX
        && let Ok(kernel) = Kernel::unpack(&payload)
    {
        let _ = kernel.image.relocation();
        kernel.chunks().for_each(drop);
    }
}

fuzz_target!(|data: &[u8]| {
    read(data);
    read(&sample::bzimage(data));
});
