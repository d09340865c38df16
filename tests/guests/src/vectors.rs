//! The interrupt table: exceptions are recovered from where [`crate::cpu`] says so, interrupts are counted.
#![allow(
    unsafe_code,
    reason = "the interrupt table and what the processor pushes"
)]

use core::arch::asm;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::boot::fatal;
use crate::cpu;

const DEBUG: u64 = 1;
const NMI: u64 = 2;
const FIRST_INTERRUPT: u64 = 32;

/// What the assembly and the processor push.
#[repr(C)]
pub struct Frame {
    r15_to_r12: [u64; 4],
    r11: u64,
    r10_to_rax: [u64; 10],
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

#[repr(C)]
struct Fixup {
    at: u64,
    go_on: u64,
}

#[repr(C)]
#[derive(Copy, Clone)]
struct Gate([u64; 2]);

#[repr(C, packed)]
struct Table {
    limit: u16,
    base: u64,
}

unsafe extern "C" {
    static vector_entries: u8;
    static fixups_start: Fixup;
    static fixups_end: Fixup;
}

static mut GATES: [Gate; 256] = [Gate([0; 2]); 256];
static HANDLER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static SURPRISES: AtomicU64 = AtomicU64::new(0);

/// Fills the table and loads it on this vCPU. Filling it again changes nothing.
pub fn load() {
    let gates = &raw mut GATES;
    for vector in 0..256u64 {
        let entry = &raw const vector_entries as u64 + vector * 16;
        let low = entry & 0xffff | 8 << 16 | 0x8e00 << 32 | (entry >> 16 & 0xffff) << 48;
        // SAFETY: in bounds; the words written are always the same.
        unsafe { (*gates)[vector as usize] = Gate([low, entry >> 32]) };
    }
    let table = Table {
        limit: 4095,
        base: gates as u64,
    };
    // SAFETY: the table is static and complete.
    unsafe { asm!("lidt [{}]", in(reg) &raw const table) };
}

/// From now on all vectors use this stack of the task state, 0 for the present one.
pub fn use_stack(number: u64) {
    let gates = &raw mut GATES;
    for vector in 0..256 {
        // SAFETY: in bounds; the field is one of three bits that nothing else changes.
        unsafe { (*gates)[vector].0[0] = (*gates)[vector].0[0] & !(7 << 32) | number << 32 };
    }
}

unsafe extern "C" {
    fn run_fragment(code: u64, value: u64, counter: u64, stack: u64, back: *mut [u64; 2]);
}

/// Where the code under [`survive`] is left for, and with which stack pointer; the first is 0 outside.
static mut BACK: [u64; 2] = [0; 2];
static ENDED_BY: AtomicU64 = AtomicU64::new(0);

/// Runs code in which anything may happen, until an exception; returns its vector. All registers but `rcx`, which is `counter`, and `rsp` hold
/// `value`. Needs [`crate::task_state`], and is for one vCPU at a time.
pub fn survive(code: u64, value: u64, counter: u64, stack: u64) -> u8 {
    // SAFETY: every exception comes back to the assembly, which restores what a function keeps. What the code does is the caller's affair.
    unsafe { run_fragment(code, value, counter, stack, &raw mut BACK) };
    ENDED_BY.load(Ordering::Relaxed) as u8
}

/// Ends the code under [`survive`], if there is any.
fn leave(frame: &mut Frame) -> bool {
    let back = &raw mut BACK;
    // SAFETY: only the vCPU that runs such code gets here, and not while it sets these.
    let [rip, rsp] = unsafe { *back };
    if rip == 0 {
        return false;
    }
    // SAFETY: as above.
    unsafe { (*back)[0] = 0 };
    ENDED_BY.store(frame.vector, Ordering::Relaxed);
    let _ = cpu::write_dr(7, 0x400);
    (frame.rip, frame.rsp, frame.rflags, frame.cs, frame.ss) = (rip, rsp, 2, 8, 0);
    true
}

/// Raises an exception for which no table exists: the processor shuts down.
pub fn triple_fault() -> ! {
    let table = Table { limit: 0, base: 0 };
    // SAFETY: nothing runs after it.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &raw const table, options(noreturn)) }
}

/// Calls `handler` with the vector of each interrupt, which the handler has to acknowledge.
pub fn on_interrupt(handler: fn(u8)) {
    HANDLER.store(handler as *mut (), Ordering::Relaxed);
}

/// Interrupts nobody waited for, and NMIs.
#[must_use]
pub fn surprises() -> u64 {
    SURPRISES.load(Ordering::Relaxed)
}

fn fixups() -> &'static [Fixup] {
    let (first, end) = (&raw const fixups_start, &raw const fixups_end);
    // SAFETY: the linker puts whole entries between the two symbols.
    unsafe { core::slice::from_raw_parts(first, end.offset_from_unsigned(first)) }
}

// SAFETY: the name is unique; the assembly calls it with the frame it pushed.
#[unsafe(no_mangle)]
extern "C" fn take_vector(frame: &mut Frame) {
    if leave(frame) {
        return;
    }
    match frame.vector {
        DEBUG => {
            // Breakpoints set at random must not repeat.
            let _ = cpu::write_dr(7, 0x400);
            frame.rflags &= !(1 << 8);
        }
        NMI => {
            SURPRISES.fetch_add(1, Ordering::Relaxed);
        }
        FIRST_INTERRUPT.. => interrupt(frame.vector as u8),
        _ => exception(frame),
    }
}

fn interrupt(vector: u8) {
    let handler = HANDLER.load(Ordering::Relaxed);
    if handler.is_null() {
        SURPRISES.fetch_add(1, Ordering::Relaxed);
        return;
    }
    // SAFETY: only `on_interrupt` stores here, a function of this type.
    let handler: fn(u8) = unsafe { core::mem::transmute(handler) };
    handler(vector);
}

fn exception(frame: &mut Frame) {
    if let Some(fixup) = fixups().iter().find(|fixup| fixup.at == frame.rip) {
        frame.rip = fixup.go_on;
        frame.r11 = frame.vector + 1;
        return;
    }
    let (vector, error, rip, rsp) = (frame.vector, frame.error, frame.rip, frame.rsp);
    fatal(format_args!(
        "exception {vector} error {error:#x} at {rip:#x} rsp {rsp:#x} cr2 {:#x}",
        cpu::read_cr(2)
    ))
}
