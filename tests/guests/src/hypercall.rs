//! Hypercalls by the processor vendor's instruction (public/arch-x86/xen-x86_64.h: number in rax, arguments in rdi, rsi, rdx, r10, r8).
#![allow(unsafe_code, reason = "the instruction itself")]

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use xen_abi::sched::{SCHEDOP_SHUTDOWN, SchedShutdown};
use xen_abi::xen::HYPERVISOR_SCHED_OP;

use crate::cpu;

static IS_INTEL: AtomicBool = AtomicBool::new(false);

/// Looks at the processor once, before the first hypercall.
pub fn choose_instruction() {
    let [_, b, _, _] = cpu::cpuid(0, 0);
    IS_INTEL.store(b.to_le_bytes() == *b"Genu", Ordering::Relaxed);
}

/// Makes a hypercall with raw registers. What the call does to memory is the caller's affair.
#[must_use]
pub fn raw(number: u64, args: [u64; 5]) -> i64 {
    let result;
    let [a, b, c, d, e] = args;
    if IS_INTEL.load(Ordering::Relaxed) {
        // SAFETY: hypercalls change only the named registers and memory that the arguments name.
        unsafe {
            asm!("vmcall", inout("rax") number => result, inout("rdi") a => _, inout("rsi") b => _, inout("rdx") c => _,
                inout("r10") d => _, inout("r8") e => _);
        }
    } else {
        // SAFETY: as above.
        unsafe {
            asm!("vmmcall", inout("rax") number => result, inout("rdi") a => _, inout("rsi") b => _, inout("rdx") c => _,
                inout("r10") d => _, inout("r8") e => _);
        }
    }
    result
}

/// A call with a sub-operation and a structure.
pub fn with<T>(number: u32, op: u32, argument: &mut T) -> i64 {
    raw(
        number.into(),
        [op.into(), &raw mut *argument as u64, 0, 0, 0],
    )
}

/// A call with a sub-operation, a number of structures and their array.
pub fn batch<T>(number: u32, op: u32, arguments: &mut [T]) -> i64 {
    let (at, count) = (arguments.as_mut_ptr() as u64, arguments.len() as u64);
    raw(number.into(), [op.into(), at, count, 0, 0])
}

/// Ends the domain with `SHUTDOWN_*`.
pub fn shutdown(reason: u32) -> ! {
    let _ = with(
        HYPERVISOR_SCHED_OP,
        SCHEDOP_SHUTDOWN,
        &mut SchedShutdown { reason },
    );
    loop {
        cpu::halt();
    }
}
