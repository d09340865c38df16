//! Switching SVM on, and one trip into the guest and back.
#![allow(unsafe_code, reason = "VMRUN runs a guest on this CPU's registers")]

use core::arch::asm;

use x86::msr::IA32_EFER;
use xen_core::ids::Maddr;

use super::vmcb::Vmcb;
use crate::cpu::instructions::{cpuid, rdmsr, wrmsr};
use crate::direct_map::BASE;

const EFER_SVME: u64 = 1 << 12;
const VM_CR: u32 = 0xc001_0114;
const VM_CR_SVMDIS: u64 = 1 << 4;
const VM_HSAVE_PA: u32 = 0xc001_0117;
const SVM_FEATURE: u32 = 1 << 2;
const NESTED_PAGING: u32 = 1;

/// General registers in instruction order; RAX and RSP of the guest live in the VMCB while it runs.
#[repr(C)]
#[derive(Clone, Debug, Default)]
pub struct Registers(pub [u64; 16]);

/// Physical address of something on the heap.
#[must_use]
pub fn physical<T>(object: &T) -> u64 {
    let address = &raw const *object as u64;
    address.checked_sub(BASE).unwrap_or(address)
}

/// Whether this CPU can run guests.
///
/// # Errors
/// What is missing.
pub fn check() -> Result<(), &'static str> {
    if cpuid(0x8000_0001, 0).ecx & SVM_FEATURE == 0 {
        return Err("this CPU has no AMD-V");
    }
    if rdmsr(VM_CR) & VM_CR_SVMDIS != 0 {
        return Err("AMD-V is disabled by the firmware");
    }
    if cpuid(0x8000_000a, 0).edx & NESTED_PAGING == 0 {
        return Err("this CPU has no nested paging");
    }
    Ok(())
}

/// Number of address space identifiers.
#[must_use]
pub fn asid_count() -> u32 {
    cpuid(0x8000_000a, 0).ebx
}

/// Whether VM exits carry the next instruction's address.
#[must_use]
pub fn saves_next_rip() -> bool {
    cpuid(0x8000_000a, 0).edx & 1 << 3 != 0
}

/// Whether VM exits carry operands of intercepted instructions.
#[must_use]
pub fn has_decode_assists() -> bool {
    cpuid(0x8000_000a, 0).edx & 1 << 7 != 0
}

/// What of AMD-V is used and present (AMD APM volume 3, "CPUID Fn8000_000A_EDX"), for the log.
pub fn describe() {
    let features = cpuid(0x8000_000a, 0).edx;
    let names = [
        (1, "nested paging"),
        (1 << 3, "Next-RIP saving"),
        (1 << 7, "decode assists"),
    ];
    for (bit, name) in names {
        let is_there = if features & bit != 0 { "yes" } else { "no" };
        xen_core::info!("AMD-V: {name}: {is_there}");
    }
    xen_core::info!("AMD-V: {} address space identifiers", asid_count());
}

/// Switches SVM on for this CPU. `host_save` is a frame that is the CPU's own from now on.
pub fn enable(host_save: Maddr) {
    wrmsr(IA32_EFER, rdmsr(IA32_EFER) | EFER_SVME);
    wrmsr(VM_HSAVE_PA, host_save.0);
}

/// Saves what VMLOAD loads (TR and the like) into the block at `vmcb`, once per CPU, for [`run`] to bring back.
pub fn save_host(vmcb: Maddr) {
    // SAFETY: the frame belongs to this CPU.
    unsafe { asm!("vmsave rax", in("rax") vmcb.0, options(nostack)) };
}

/// Runs the guest until the next exit.
///
/// Interrupts are held back by the global flag while the states are mixed; IF is set so that a physical interrupt leaves the guest, and clear
/// again afterwards.
///
/// # Safety
/// The block describes a guest whose nested tables, permission maps and FPU state (which stay in registers) are in order, and `host` is what
/// [`save_host`] filled on this CPU.
pub unsafe fn run(vmcb: &mut Vmcb, registers: &mut Registers, host: Maddr) {
    vmcb.rax = registers.0[0];
    vmcb.rsp = registers.0[4];
    let guest = physical(vmcb);
    // SAFETY: every register the guest may have changed is saved and restored or declared; the stack is switched back by VMEXIT.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "push rdx", // host block
            "push rsi", // registers
            "push rdi", // guest block
            "clgi",
            "sti",
            "mov rax, rdi",
            "mov rcx, [rsi + 8]",
            "mov rdx, [rsi + 16]",
            "mov rbx, [rsi + 24]",
            "mov rbp, [rsi + 40]",
            "mov rdi, [rsi + 56]",
            "mov r8, [rsi + 64]",
            "mov r9, [rsi + 72]",
            "mov r10, [rsi + 80]",
            "mov r11, [rsi + 88]",
            "mov r12, [rsi + 96]",
            "mov r13, [rsi + 104]",
            "mov r14, [rsi + 112]",
            "mov r15, [rsi + 120]",
            "mov rsi, [rsi + 48]",
            "vmload rax",
            "vmrun rax",
            "vmsave rax",
            "push rsi",
            "mov rsi, [rsp + 16]",
            "mov [rsi + 8], rcx",
            "mov [rsi + 16], rdx",
            "mov [rsi + 24], rbx",
            "mov [rsi + 40], rbp",
            "mov [rsi + 56], rdi",
            "mov [rsi + 64], r8",
            "mov [rsi + 72], r9",
            "mov [rsi + 80], r10",
            "mov [rsi + 88], r11",
            "mov [rsi + 96], r12",
            "mov [rsi + 104], r13",
            "mov [rsi + 112], r14",
            "mov [rsi + 120], r15",
            "pop rcx",
            "mov [rsi + 48], rcx",
            "pop rdi",
            "pop rsi",
            "pop rax",
            "vmload rax",
            "cli",
            "stgi",
            "pop rbp",
            "pop rbx",
            in("rdi") guest,
            in("rsi") registers.0.as_mut_ptr(),
            in("rdx") host.0,
            out("rax") _, out("rcx") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            lateout("rdi") _, lateout("rsi") _, lateout("rdx") _,
        );
    }
    registers.0[0] = vmcb.rax;
    registers.0[4] = vmcb.rsp;
}
