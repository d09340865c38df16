//! The machine's memory type range registers, which dom0 sees: its drivers look there for what is uncached (as on Xen, which copies them
//! for the hardware domain only).
//!
//! Firmware sets them before boot and they never change, so every call reads the same.

use crate::cpu::instructions::{cpuid, rdmsr};
use crate::msr_policy::numbers::mtrr as msr;
use crate::msr_policy::{FIXED, FIXED_NUMBERS, HostMtrr, MAX_RANGES, Mtrr};

const MTRR_FEATURE: u32 = 1 << 12;
const CAP_COUNT: u64 = 0xff;
const CAP_FIXED: u64 = 1 << 8;

/// A copy for a vCPU with physical addresses of `address_bits` bits; the reset state where the machine has none.
#[must_use]
pub fn mtrr(address_bits: u32) -> Mtrr {
    if cpuid(1, 0).edx & MTRR_FEATURE == 0 {
        return Mtrr::default();
    }
    let cap = rdmsr(msr::CAP);
    let mut ranges = [[0; 2]; MAX_RANGES];
    let count = ((cap & CAP_COUNT) as usize).min(MAX_RANGES);
    for (number, slot) in (msr::VARIABLE..).zip(ranges[..count].as_flattened_mut()) {
        *slot = rdmsr(number);
    }
    let mut fixed = [0; FIXED];
    if cap & CAP_FIXED != 0 {
        for (slot, number) in fixed.iter_mut().zip(FIXED_NUMBERS) {
            *slot = rdmsr(number);
        }
    }
    let host = HostMtrr {
        ranges: &ranges[..count],
        fixed,
        def_type: rdmsr(msr::DEF_TYPE),
    };
    Mtrr::from_host(&host, address_bits)
}
