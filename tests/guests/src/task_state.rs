//! A task state segment, so that exceptions get a stack of their own whatever the interrupted code made of its stack pointer.
#![allow(unsafe_code, reason = "the processor's tables")]

use core::arch::asm;

use crate::{cpu, memory::Pages, vectors};

const SELECTOR: u16 = 0x18;
const STATE: u64 = 1024;
const STATE_BYTES: u64 = 104;
/// Offset of the address of the first exception stack.
const FIRST_STACK: u64 = 0x24;

/// Segment table at 0, task state at [`STATE`], the stack in the rest.
static TABLES: Pages<8> = Pages::new();

/// Loads it on this vCPU, for all vectors, and returns where its stack ends. Only one vCPU may have it.
pub fn load() -> u64 {
    let base = TABLES.address();
    let state = base + STATE;
    let descriptor =
        (STATE_BYTES - 1) | ((state & 0xff_ffff) << 16) | 0x89 << 40 | (state >> 24 & 0xff) << 56;
    for (index, entry) in [
        0,
        0x00af_9b00_0000_ffff,
        0x00cf_9b00_0000_ffff,
        descriptor,
        0,
    ]
    .into_iter()
    .enumerate()
    {
        crate::memory::set(base + index as u64 * 8, entry);
    }
    crate::memory::put(state + FIRST_STACK, base + 8 * 4096);
    cpu::set_segment_table(base, 39);
    // SAFETY: the descriptor is complete.
    unsafe { asm!("ltr {0:x}", in(reg) SELECTOR) };
    vectors::use_stack(1);
    base + 8 * 4096
}
