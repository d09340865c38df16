//! Safe faces of single instructions. This file may hold `unsafe`: each wrapper either cannot break memory safety by itself or says what
//! its caller owes.
#![allow(
    unsafe_code,
    reason = "instructions are reached through intrinsics and inline assembly"
)]

use core::arch::x86_64::{__cpuid_count, CpuidResult};
use core::arch::{asm, global_asm};

/// Executes CPUID.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    __cpuid_count(leaf, subleaf)
}

/// Time-stamp counter; ordered after earlier loads.
#[must_use]
pub fn rdtsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter; LFENCE and RDTSC exist on every 64-bit CPU.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Reads a model-specific register that is known to exist.
#[must_use]
pub fn rdmsr(index: u32) -> u64 {
    // SAFETY: reading an existing MSR has no effect on memory; an absent one raises #GP, which is reported as a bug.
    unsafe { x86::msr::rdmsr(index) }
}

/// Writes a model-specific register.
///
/// The callers are the set-up code of this crate, which writes values that keep the hypervisor's own address space and entry points intact.
pub fn wrmsr(index: u32, value: u64) {
    // SAFETY: see above; the registers written are listed in docs/unsafe.md.
    unsafe { x86::msr::wrmsr(index, value) };
}

global_asm!(
    ".global probe_rdmsr, probe_rdmsr_at, probe_wrmsr, probe_wrmsr_at, probe_failed",
    "probe_rdmsr:",
    "mov ecx, edi",
    "probe_rdmsr_at: rdmsr",
    "mov [rsi], eax",
    "mov [rsi + 4], edx",
    "mov eax, 1",
    "ret",
    "probe_wrmsr:",
    "mov ecx, edi",
    "mov eax, esi",
    "mov rdx, rsi",
    "shr rdx, 32",
    "probe_wrmsr_at: wrmsr",
    "mov eax, 1",
    "ret",
    "probe_failed: xor eax, eax",
    "ret",
);

unsafe extern "C" {
    fn probe_rdmsr(index: u32, value: *mut u64) -> u32;
    fn probe_wrmsr(index: u32, value: u64) -> u32;
    static probe_rdmsr_at: u8;
    static probe_wrmsr_at: u8;
    static probe_failed: u8;
}

/// Where to go on after a #GP at `rip`, if that is one of the two instructions that may raise it.
#[must_use]
pub fn recovery(rip: u64) -> Option<u64> {
    let probes = [
        &raw const probe_rdmsr_at as u64,
        &raw const probe_wrmsr_at as u64,
    ];
    probes
        .contains(&rip)
        .then_some(&raw const probe_failed as u64)
}

/// Reads an MSR that may not exist.
#[must_use]
pub fn rdmsr_safe(index: u32) -> Option<u64> {
    let mut value = 0;
    // SAFETY: a fault makes the function return 0, by `recovery`; nothing but `value` is written.
    let found = unsafe { probe_rdmsr(index, &raw mut value) };
    (found != 0).then_some(value)
}

/// Writes an MSR that may refuse; `false` if it raised #GP.
pub fn wrmsr_safe(index: u32, value: u64) -> bool {
    // SAFETY: as in `rdmsr_safe`; callers write guest-visible registers whose values they have checked.
    unsafe { probe_wrmsr(index, value) != 0 }
}

/// Reads an I/O port of 1, 2 or 4 bytes.
#[must_use]
pub fn port_in(port: u16, size: u8) -> u32 {
    // SAFETY: port reads may have device effects but never touch our memory.
    unsafe {
        match size {
            1 => u32::from(x86::io::inb(port)),
            2 => u32::from(x86::io::inw(port)),
            _ => x86::io::inl(port),
        }
    }
}

/// Writes an I/O port of 1, 2 or 4 bytes. Callers own the device or pass a privileged domain's write through.
pub fn port_out(port: u16, size: u8, value: u32) {
    // SAFETY: as for `port_in`; DMA that a device starts is its owner's, see docs/unsafe.md.
    unsafe {
        match size {
            1 => x86::io::outb(port, value as u8),
            2 => x86::io::outw(port, value as u16),
            _ => x86::io::outl(port, value),
        }
    }
}

/// Lets pending interrupts in for one instruction, then masks them again. Only where no lock is held.
pub fn interrupt_window() {
    // SAFETY: handlers keep every register and need no lock that the caller holds.
    unsafe { asm!("sti", "nop", "cli") };
}

/// Sleeps until an interrupt, takes it, and masks again. STI's shadow closes the gap before HLT.
pub fn wait_for_interrupt() {
    // SAFETY: as for `interrupt_window`.
    unsafe { asm!("sti", "hlt", "cli") };
}

/// Stops this CPU for good.
pub fn halt_forever() -> ! {
    loop {
        // SAFETY: masks interrupts and stops; nothing continues.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Resets the CPU, and with it most machines: an exception without a descriptor table.
pub fn triple_fault() -> ! {
    let nothing = [0u8; 10];
    // SAFETY: the processor shuts down; nothing continues.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &nothing, options(noreturn)) };
}

/// Clears the global interrupt flag (AMD APM volume 2, "Global Interrupt Flag").
pub fn clgi() {
    // SAFETY: SVM is enabled when this is called; nothing but interrupt delivery changes.
    unsafe { asm!("clgi", options(nostack)) };
}

/// Sets the global interrupt flag.
pub fn stgi() {
    // SAFETY: as for `clgi`.
    unsafe { asm!("stgi", options(nostack)) };
}

/// Writes back and invalidates all caches.
pub fn wbinvd() {
    // SAFETY: changes no architectural state but cache contents, which are written back.
    unsafe { asm!("wbinvd", options(nostack)) };
}

/// CR0.
#[must_use]
pub fn cr0() -> u64 {
    let value;
    // SAFETY: a register read.
    unsafe { asm!("mov {}, cr0", out(reg) value, options(nomem, nostack)) };
    value
}

/// CR2, the last faulting address.
#[must_use]
pub fn cr2() -> u64 {
    let value;
    // SAFETY: a register read.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack)) };
    value
}

/// Sets CR2, which a guest sees unchanged on its next entry.
pub fn set_cr2(value: u64) {
    // SAFETY: CR2 is only read by fault handlers.
    unsafe { asm!("mov cr2, {}", in(reg) value, options(nomem, nostack)) };
}

/// CR3.
#[must_use]
pub fn cr3() -> u64 {
    let value;
    // SAFETY: a register read.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack)) };
    value
}

/// CR4.
#[must_use]
pub fn cr4() -> u64 {
    let value;
    // SAFETY: a register read.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack)) };
    value
}

/// Switches to other page tables.
///
/// # Safety
/// The tables map everything that is in use (code, data, stack, direct map) as the current ones do.
pub unsafe fn set_cr3(root: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack)) };
}

/// Changes CR4's feature bits.
pub fn set_cr4(value: u64) {
    // SAFETY: callers add features that the CPU has and keep PAE.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack)) };
}

/// Sets an extended control register (XCR0).
pub fn xsetbv(index: u32, value: u64) {
    // SAFETY: OSXSAVE is on and the value was checked against CPUID leaf 13; the hypervisor itself uses no extended state.
    unsafe {
        asm!("xsetbv", in("ecx") index, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nomem, nostack))
    };
}

/// An extended control register (XCR0).
#[must_use]
pub fn xgetbv(index: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: a register read; OSXSAVE is on.
    unsafe {
        asm!("xgetbv", in("ecx") index, out("eax") low, out("edx") high, options(nomem, nostack))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Debug registers 0 to 3.
#[must_use]
pub fn debug_registers() -> [u64; 4] {
    let mut d = [0u64; 4];
    // SAFETY: register reads.
    unsafe {
        asm!("mov {0}, dr0", "mov {1}, dr1", "mov {2}, dr2", "mov {3}, dr3",
            out(reg) d[0], out(reg) d[1], out(reg) d[2], out(reg) d[3], options(nomem, nostack));
    }
    d
}

/// Loads debug registers 0 to 3 with a guest's values. DR7 is off in the hypervisor (a VM exit clears it), so none can trigger here.
pub fn set_debug_registers(d: [u64; 4]) {
    // SAFETY: see above.
    unsafe {
        asm!("mov dr0, {0}", "mov dr1, {1}", "mov dr2, {2}", "mov dr3, {3}",
            in(reg) d[0], in(reg) d[1], in(reg) d[2], in(reg) d[3], options(nomem, nostack));
    }
}

/// The stack pointer.
#[must_use]
pub fn rsp() -> u64 {
    let value;
    // SAFETY: a register read.
    unsafe { asm!("mov {}, rsp", out(reg) value, options(nomem, nostack)) };
    value
}

/// The frame pointer.
#[must_use]
pub fn rbp() -> u64 {
    let value;
    // SAFETY: a register read.
    unsafe { asm!("mov {}, rbp", out(reg) value, options(nomem, nostack)) };
    value
}
