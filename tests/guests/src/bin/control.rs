//! Writes control registers as they may and as they may not be written, and prints what came of it. Runs as PVH dom0 in 64-bit mode.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "single instructions")]

use core::arch::asm;

use guests::random::Random;
use guests::{Start, cpu, hypercall, println};

guests::entry!(main);

const CR0_PE: u64 = 1 << 0;
const CR0_TS: u64 = 1 << 3;
const CR0_RESERVED: u64 = 1 << 6;
const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;
const CR0_PG: u64 = 1 << 31;
/// ET, and bits whose writes are ignored (above 31 by QEMU only).
const CR0_IGNORED: u64 = !(0x2f | 1 << 16 | 1 << 18 | CR0_NW | CR0_CD | CR0_PG);
const WRITES: u32 = 10_000;
const CR4_PAE: u64 = 1 << 5;
const CR4_PGE: u64 = 1 << 7;
const CR4_VMXE: u64 = 1 << 13;
const CR4_RESERVED: u64 = 1 << 19;
const EFER: u32 = 0xc000_0080;
const EFER_LME: u64 = 1 << 8;
const EFER_SVME: u64 = 1 << 12;

/// Writes the register with `flip` changed, then as it was; prints the exception and what else changed.
fn flip(name: &str, number: u8, flip: u64) {
    let old = cpu::read_cr(number);
    let result = cpu::write_cr(number, old ^ flip);
    let changed = cpu::read_cr(number) ^ old;
    let _ = cpu::write_cr(number, old);
    println!("CONTROL {name} {result:?} changed {changed:#x}");
}

fn main(_: Start) -> ! {
    flip("cr4-reserved", 4, CR4_RESERVED);
    flip("cr4-high", 4, 1 << 40);
    flip("cr4-hidden", 4, CR4_VMXE);
    flip("cr4-pae", 4, CR4_PAE);
    flip("cr4-pge", 4, CR4_PGE);
    flip("cr0-high", 0, 1 << 32);
    flip("cr0-reserved", 0, CR0_RESERVED);
    flip("cr0-pg", 0, CR0_PG);
    flip("cr0-pe", 0, CR0_PE);
    flip("cr0-ts", 0, CR0_TS);
    flip("cr0-cd", 0, CR0_CD);
    flip("cr0-cd-nw", 0, CR0_CD | CR0_NW);
    status_word();
    let efer = cpu::read_msr(EFER).unwrap_or(0);
    println!(
        "CONTROL efer-svme {:?}",
        cpu::write_msr(EFER, efer | EFER_SVME)
    );
    println!(
        "CONTROL efer-lme {:?}",
        cpu::write_msr(EFER, efer & !EFER_LME)
    );
    println!("CONTROL efer-same {:?}", cpu::write_msr(EFER, efer));
    flip("cr0-nw", 0, CR0_NW);
    storm();
    println!("CONTROL-DONE");
    hypercall::shutdown(xen_abi::sched::SHUTDOWN_POWEROFF)
}

/// Flips up to three bits at a time, again and again; each write is taken whole or refused whole.
fn storm() {
    let mut random = Random::new(1);
    let (mut accepted, mut torn) = (0u32, 0u32);
    for _ in 0..WRITES {
        let (number, fixed) = random.pick(&[(0, CR0_IGNORED), (4, 0)]);
        let old = cpu::read_cr(number);
        let mut value = old;
        for _ in 0..=random.below(3) {
            value ^= 1 << random.below(64);
        }
        let taken = cpu::write_cr(number, value).is_ok();
        let now = cpu::read_cr(number);
        let expected = if taken { value } else { old };
        torn += u32::from((now ^ expected) & !fixed != 0);
        accepted += u32::from(taken);
        let _ = cpu::write_cr(number, old);
    }
    println!(
        "CONTROL storm some accepted {} some refused {} torn {torn}",
        accepted > 0,
        accepted < WRITES
    );
}

/// LMSW sets TS and cannot clear PE; CLTS clears TS.
fn status_word() {
    let old = cpu::read_cr(0);
    // SAFETY: TS only makes FPU instructions fault, of which there are none.
    unsafe { asm!("lmsw {:x}", in(reg) CR0_TS as u16) };
    let set = cpu::read_cr(0) & (CR0_TS | CR0_PE);
    // SAFETY: as above.
    unsafe { asm!("clts") };
    let cleared = cpu::read_cr(0) & (CR0_TS | CR0_PE);
    let _ = cpu::write_cr(0, old);
    println!("CONTROL lmsw {set:#x} clts {cleared:#x}");
}
