//! Small pages at 4 GiB that can be pointed at any guest-physical address.
#![allow(unsafe_code, reason = "writes page table entries")]

use crate::cpu;

const BASE: u64 = 1 << 32;
/// Present, writable.
const FLAGS: u64 = 3;

unsafe extern "C" {
    static mut window_pt: [u64; 512];
}

/// Maps the page with `address` in `slot` (0 to 511) and returns where the byte is seen. Each vCPU uses slots of its own.
pub fn show(slot: u16, address: u64) -> u64 {
    let slot = usize::from(slot) & 511;
    let at = BASE + slot as u64 * 4096;
    // SAFETY: in bounds; nothing but this window is translated by the table.
    unsafe { (&raw mut window_pt[slot]).write_volatile(address & !0xfff | FLAGS) };
    cpu::forget_page(at);
    at + (address & 0xfff)
}

/// Maps nothing in `slot`.
pub fn hide(slot: u16) {
    let slot = usize::from(slot) & 511;
    // SAFETY: in bounds; nothing but this window is translated by the table.
    unsafe { (&raw mut window_pt[slot]).write_volatile(0) };
    cpu::forget_page(BASE + slot as u64 * 4096);
}
