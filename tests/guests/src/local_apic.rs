//! The local APIC in its memory-mapped form.
#![allow(unsafe_code, reason = "device registers by address")]

const BASE: u64 = 0xfee0_0000;
const END_OF_INTERRUPT: u64 = 0xb0;
const SPURIOUS: u64 = 0xf0;
const COMMAND: u64 = 0x300;
const DESTINATION: u64 = 0x310;
const IS_SENDING: u32 = 1 << 12;
const LEVEL_ASSERT: u32 = 1 << 14;

fn read(register: u64) -> u32 {
    // SAFETY: the identity map reaches the APIC; its registers are read in words.
    unsafe { ((BASE + register) as *const u32).read_volatile() }
}

fn write(register: u64, value: u32) {
    // SAFETY: as above.
    unsafe { ((BASE + register) as *mut u32).write_volatile(value) };
}

/// Switches it on, with vector 255 for spurious interrupts.
pub fn enable() {
    write(SPURIOUS, 0x1ff);
}

/// The interrupt is handled.
pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// Sends an interrupt command to the vCPU with this APIC id.
pub fn send(apic_id: u8, command: u32) {
    write(DESTINATION, u32::from(apic_id) << 24);
    write(COMMAND, command | LEVEL_ASSERT);
    while read(COMMAND) & IS_SENDING != 0 {}
}
