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

unsafe extern "C" {
    fn narrow_call(registers: *mut [u32; 7]);
}

/// Makes a hypercall from 32-bit code (public/arch-x86/xen-x86_32.h: number in eax, arguments in ebx, ecx, edx, esi, edi). The instruction is
/// AMD's; where the hypervisor does not know it, the call is an exception that ends the guest.
#[must_use]
pub fn raw_narrow(number: u32, args: [u32; 5]) -> i32 {
    let [a, b, c, d, e] = args;
    let mut registers = [number, a, b, c, d, e, 0];
    // SAFETY: the code is below 4 GiB, keeps what a function has to keep, and comes back in 64-bit mode.
    unsafe { narrow_call(&raw mut registers) };
    registers[0] as i32
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
