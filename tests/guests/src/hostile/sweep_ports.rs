//! Every port in every size.

use crate::cpu;
use crate::random::Random;

/// Bytes written there are text for the console.
const DEBUG_PORT: u16 = 0xe9;
const SIZES: [u8; 3] = [1, 2, 4];

/// Reads each port of the range and writes something to it, in each size; returns the number of accesses.
pub fn all(random: &mut Random, ports: core::ops::RangeInclusive<u16>) -> u64 {
    let mut count = 0;
    for port in ports {
        for size in SIZES {
            let _ = cpu::port_in(port, size);
            if port != DEBUG_PORT {
                let _ = cpu::port_out(port, size, random.next() as u32);
            }
            count += 2;
        }
    }
    count
}
