//! Every bit of the control and debug registers, every model specific register of the ranges where there are any.
//!
//! Left out are the few bits by which the guest loses its own footing: those are in [`super::lethal`].

use super::{processor, values};
use crate::cpu;
use crate::random::Random;

const RANGES: [(u32, u32); 5] = [
    (0, 0x2000),
    (0x1000_0000, 0x40),
    (0x4000_0000, 0x2000),
    (0xc000_0000, 0x2000),
    (0xc001_0000, 0x2000),
];
const EFER: u32 = 0xc000_0080;
const OSXSAVE: u64 = 1 << 18;

/// CPUID leaves with subleaves; returns how many.
pub fn cpuid() -> u64 {
    let mut count = 0;
    for base in [0, 0x4000_0000, 0x4000_0100, 0x8000_0000, 0xffff_ff00] {
        for leaf in 0..0x40 {
            for subleaf in (0..70).chain([255, u32::MAX]) {
                let _ = cpu::cpuid(base + leaf, subleaf);
                count += 1;
            }
        }
    }
    count
}

/// Reads each MSR of the ranges; writes back what was read, a random value, and for existing ones each bit flipped. Returns the number of
/// accesses.
pub fn msrs(random: &mut Random) -> u64 {
    let mut count = 0;
    for (first, length) in RANGES {
        for msr in first..first + length {
            count += one_msr(random, msr);
        }
    }
    count
}

fn one_msr(random: &mut Random, msr: u32) -> u64 {
    let Ok(old) = cpu::read_msr(msr) else {
        let _ = write(msr, 0);
        let _ = write(msr, values::any(random));
        return 3;
    };
    for bit in 0..64 {
        if write(msr, old ^ 1 << bit) {
            let _ = write(msr, old);
        }
    }
    let _ = write(msr, old);
    66
}

fn write(msr: u32, value: u64) -> bool {
    cpu::write_msr(msr, processor::tame(msr, value)).is_ok()
}

/// Each bit of CR0, CR3, CR4, EFER, XCR0 and the debug registers by itself; returns the number of changes that were accepted.
pub fn bits() -> u64 {
    let mut accepted = 0;
    for bit in 0..64 {
        let flipped = 1u64 << bit;
        for number in [0, 2, 3, 4] {
            accepted += control(number, flipped);
        }
        let old = cpu::read_msr(EFER).unwrap_or(0);
        accepted += u64::from(cpu::write_msr(EFER, old ^ flipped).is_ok());
        let _ = cpu::write_msr(EFER, old);
        accepted += extended(flipped);
        for number in [0, 1, 2, 3, 6, 7] {
            accepted += u64::from(cpu::write_dr(number, flipped).is_ok());
            let _ = cpu::write_dr(7, 0x400);
        }
    }
    accepted
}

fn control(number: u8, flipped: u64) -> u64 {
    let survives = match number {
        0 => processor::CR0_BITS & flipped != 0,
        3 => processor::CR3_BITS & flipped != 0,
        4 => processor::CR4_BITS.contains(&flipped),
        _ => true,
    };
    if !survives {
        return 0;
    }
    let old = cpu::read_cr(number);
    let accepted = cpu::write_cr(number, old ^ flipped).is_ok();
    let _ = cpu::write_cr(number, old);
    accepted.into()
}

fn extended(flipped: u64) -> u64 {
    let old = cpu::read_cr(4);
    if cpu::write_cr(4, old | OSXSAVE).is_err() {
        return 0;
    }
    let mut accepted = 0;
    for value in [
        flipped,
        flipped | 1,
        flipped | 3,
        flipped.wrapping_sub(1) | 1,
    ] {
        accepted += u64::from(cpu::write_xcr(0, value).is_ok());
    }
    accepted += u64::from(cpu::write_xcr(flipped as u32, 1).is_ok());
    let _ = cpu::write_xcr(0, 1);
    let _ = cpu::write_cr(4, old);
    accepted
}
