//! The end: what is printed when the hypervisor finds itself broken.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use xen_core::console::print_while_dying;

use crate::cpu::instructions::{cr0, cr2, cr3, cr4, halt_forever, rbp};
use crate::cpu::tables::TrapFrame;

const MAX_FRAMES: usize = 32;
static DYING: AtomicBool = AtomicBool::new(false);
static STACK_BOUNDS: AtomicU64 = AtomicU64::new(0);

/// What to do after the report: reboot, unless `noreboot` was given.
static AFTERWARDS: spin::Once<fn() -> !> = spin::Once::new();

/// Sets what happens after the report.
pub fn set_afterwards(action: fn() -> !) {
    AFTERWARDS.call_once(|| action);
}

macro_rules! say { ($($arg:tt)*) => { print_while_dying(format_args!($($arg)*)) }; }

/// An exception in the hypervisor itself.
pub fn exception(frame: &TrapFrame) -> ! {
    begin();
    say!("****************************************");
    say!(
        "Exception {} error code {:#x} at {:#x}",
        frame.vector,
        frame.error_code,
        frame.rip
    );
    let names = [
        "r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rbp", "rdi", "rsi", "rdx", "rcx",
        "rbx", "rax",
    ];
    for (names, values) in names.chunks(3).zip(frame.registers.chunks(3)) {
        say!(
            "{:>3}: {:016x}  {:>3}: {:016x}  {:>3}: {:016x}",
            names[0],
            values[0],
            names[1],
            values[1],
            names[2],
            values[2]
        );
    }
    say!(
        "rsp: {:016x}  rflags: {:016x}  cr2: {:016x}",
        frame.rsp,
        frame.rflags,
        cr2()
    );
    say!(
        "cr0: {:016x}  cr3: {:016x}  cr4: {:016x}",
        cr0(),
        cr3(),
        cr4()
    );
    finish(frame.registers[8])
}

/// A failed assertion.
pub fn panicked(info: &dyn fmt::Display) -> ! {
    begin();
    say!("****************************************");
    say!("Panic: {info}");
    finish(rbp())
}

/// Only one CPU reports.
fn begin() {
    if DYING.swap(true, SeqCst) {
        halt_forever();
    }
}

fn finish(frame_pointer: u64) -> ! {
    backtrace(frame_pointer);
    say!("****************************************");
    match AFTERWARDS.get() {
        Some(action) => action(),
        None => halt_forever(),
    }
}

/// Follows saved frame pointers as long as they stay on one stack.
fn backtrace(mut frame_pointer: u64) {
    let stack = |at: u64| at & !(crate::cpu::percpu::STACK_SIZE - 1);
    STACK_BOUNDS.store(stack(frame_pointer), SeqCst);
    say!("Call trace:");
    for _ in 0..MAX_FRAMES {
        let plausible = frame_pointer.is_multiple_of(8)
            && stack(frame_pointer) == STACK_BOUNDS.load(SeqCst)
            && frame_pointer != 0;
        let Some((next, caller)) = plausible.then(|| crate::cpu::stack_frame(frame_pointer)) else {
            break;
        };
        if caller == 0 || next <= frame_pointer {
            break;
        }
        say!("   {caller:#x}");
        frame_pointer = next;
    }
}
