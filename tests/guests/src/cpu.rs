//! Instructions, each of which reports the exception it raises instead of dying of it.
//!
//! The address of each such instruction and the place to go on at stand in the section `.fixups`; [`crate::vectors`] puts the vector into
//! r11. Nothing here depends on the CPU that executes it.
#![allow(unsafe_code, reason = "single instructions")]

use core::arch::{asm, global_asm};

/// What an instruction ended with: its result, or the vector of the exception.
pub type Tried<T> = Result<T, u8>;

/// One instruction with its operands, entered in the fixups; evaluates to the raw r11: 0 or vector + 1.
macro_rules! guarded {
    ($text:literal $(, $($operands:tt)*)?) => {{
        let outcome: u64;
        // SAFETY: a fault is recovered from; what the instruction does otherwise is what the caller asks for.
        unsafe {
            asm!("xor r11d, r11d", "771:", $text, "772:", ".pushsection .fixups, \"a\"", ".quad 771b, 772b", ".popsection",
                $($($operands)*,)? out("r11") outcome);
        }
        outcome
    }};
}

const fn tried<T>(outcome: u64, value: T) -> Tried<T>
where
    T: Copy,
{
    if outcome == 0 {
        Ok(value)
    } else {
        Err((outcome - 1) as u8)
    }
}

/// CPUID: eax, ebx, ecx, edx.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let result = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    [result.eax, result.ebx, result.ecx, result.edx]
}

global_asm!(
    ".pushsection .text.page_end, \"ax\"",
    ".global cpuid_at_page_end",
    ".balign 4096",
    ".skip 4085",
    "cpuid_at_page_end:",
    "push rbx",
    "cpuid",
    "pop rbx",
    "ret",
    ".balign 4096",
    ".popsection",
);

unsafe extern "C" {
    fn cpuid_at_page_end();
}

/// CPUID so near to the end of a page that whoever reads the 15 bytes of the longest instruction there must read two pages.
pub fn cpuid_next_to_page_border(leaf: u32) {
    // SAFETY: the function changes the registers named here, and keeps the others.
    unsafe {
        asm!("call {}", sym cpuid_at_page_end, inout("eax") leaf => _, inout("ecx") 0 => _, out("edx") _)
    };
}

/// RDTSC.
#[must_use]
pub fn tsc() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// RDMSR.
pub fn read_msr(msr: u32) -> Tried<u64> {
    let (low, high): (u32, u32);
    let outcome =
        guarded!("rdmsr", in("ecx") msr, inout("eax") 0u32 => low, inout("edx") 0u32 => high);
    tried(outcome, u64::from(high) << 32 | u64::from(low))
}

/// WRMSR.
pub fn write_msr(msr: u32, value: u64) -> Tried<()> {
    let (low, high) = (value as u32, (value >> 32) as u32);
    tried(
        guarded!("wrmsr", in("ecx") msr, in("eax") low, in("edx") high),
        (),
    )
}

/// XSETBV.
pub fn write_xcr(number: u32, value: u64) -> Tried<()> {
    let (low, high) = (value as u32, (value >> 32) as u32);
    tried(
        guarded!("xsetbv", in("ecx") number, in("eax") low, in("edx") high),
        (),
    )
}

/// IN of 1, 2 or 4 bytes.
pub fn port_in(port: u16, size: u8) -> Tried<u32> {
    let mut value = 0u32;
    let outcome = match size {
        1 => guarded!("in al, dx", in("dx") port, inout("eax") value),
        2 => guarded!("in ax, dx", in("dx") port, inout("eax") value),
        _ => guarded!("in eax, dx", in("dx") port, inout("eax") value),
    };
    tried(outcome, value)
}

/// OUT of 1, 2 or 4 bytes.
pub fn port_out(port: u16, size: u8, value: u32) -> Tried<()> {
    let outcome = match size {
        1 => guarded!("out dx, al", in("dx") port, in("eax") value),
        2 => guarded!("out dx, ax", in("dx") port, in("eax") value),
        _ => guarded!("out dx, eax", in("dx") port, in("eax") value),
    };
    tried(outcome, ())
}

/// REP INS of `count` elements to `to`, which the caller owns.
pub fn port_in_string(port: u16, size: u8, to: u64, count: u64) -> Tried<()> {
    let outcome = match size {
        1 => guarded!("rep insb", in("dx") port, inout("rdi") to => _, inout("rcx") count => _),
        2 => guarded!("rep insw", in("dx") port, inout("rdi") to => _, inout("rcx") count => _),
        _ => guarded!("rep insd", in("dx") port, inout("rdi") to => _, inout("rcx") count => _),
    };
    tried(outcome, ())
}

/// REP OUTS of `count` elements from `from`.
pub fn port_out_string(port: u16, size: u8, from: u64, count: u64) -> Tried<()> {
    let outcome = match size {
        1 => guarded!("rep outsb", in("dx") port, inout("rsi") from => _, inout("rcx") count => _),
        2 => guarded!("rep outsw", in("dx") port, inout("rsi") from => _, inout("rcx") count => _),
        _ => guarded!("rep outsd", in("dx") port, inout("rsi") from => _, inout("rcx") count => _),
    };
    tried(outcome, ())
}

/// Reads CR0, CR2, CR3, CR4 or CR8.
#[must_use]
pub fn read_cr(number: u8) -> u64 {
    let value;
    // SAFETY: reading has no effect.
    unsafe {
        match number {
            0 => asm!("mov {}, cr0", out(reg) value),
            2 => asm!("mov {}, cr2", out(reg) value),
            3 => asm!("mov {}, cr3", out(reg) value),
            4 => asm!("mov {}, cr4", out(reg) value),
            _ => asm!("mov {}, cr8", out(reg) value),
        }
    }
    value
}

/// Writes CR0, CR2, CR3, CR4 or CR8. Where the value is accepted, the code must go on to work.
pub fn write_cr(number: u8, value: u64) -> Tried<()> {
    let outcome = match number {
        0 => guarded!("mov cr0, {}", in(reg) value),
        2 => guarded!("mov cr2, {}", in(reg) value),
        3 => guarded!("mov cr3, {}", in(reg) value),
        4 => guarded!("mov cr4, {}", in(reg) value),
        _ => guarded!("mov cr8, {}", in(reg) value),
    };
    tried(outcome, ())
}

/// Writes DR0 to DR3, DR6 or DR7.
pub fn write_dr(number: u8, value: u64) -> Tried<()> {
    let outcome = match number {
        0 => guarded!("mov dr0, {}", in(reg) value),
        1 => guarded!("mov dr1, {}", in(reg) value),
        2 => guarded!("mov dr2, {}", in(reg) value),
        3 => guarded!("mov dr3, {}", in(reg) value),
        6 => guarded!("mov dr6, {}", in(reg) value),
        _ => guarded!("mov dr7, {}", in(reg) value),
    };
    tried(outcome, ())
}

/// The ways [`touch`] reaches memory.
pub const TOUCHES: u64 = 18;

/// One of several instructions that read or write memory at `at`, or both.
pub fn touch(way: u64, at: u64, value: u64) -> Tried<()> {
    let outcome = match way {
        0 => guarded!("mov {1:l}, byte ptr [{0}]", in(reg) at, inout(reg_abcd) value => _),
        1 => guarded!("mov {1:x}, word ptr [{0}]", in(reg) at, inout(reg) value => _),
        2 => guarded!("mov {1:e}, dword ptr [{0}]", in(reg) at, inout(reg) value => _),
        3 => guarded!("mov {1}, qword ptr [{0}]", in(reg) at, inout(reg) value => _),
        4 => guarded!("mov byte ptr [{0}], {1:l}", in(reg) at, in(reg_abcd) value),
        5 => guarded!("mov word ptr [{0}], {1:x}", in(reg) at, in(reg) value),
        6 => guarded!("mov dword ptr [{0}], {1:e}", in(reg) at, in(reg) value),
        7 => guarded!("mov qword ptr [{0}], {1}", in(reg) at, in(reg) value),
        8 => guarded!("lock add qword ptr [{0}], {1}", in(reg) at, in(reg) value),
        9 => guarded!("xchg dword ptr [{0}], {1:e}", in(reg) at, inout(reg) value => _),
        10 => {
            guarded!("lock cmpxchg qword ptr [{0}], {1}", in(reg) at, in(reg) value, inout("rax") value => _)
        }
        11 => guarded!("bts dword ptr [{0}], {1:e}", in(reg) at, in(reg) value & 31),
        12 => guarded!("movzx {1}, word ptr [{0}]", in(reg) at, inout(reg) value => _),
        13 => {
            guarded!("rep stosd", inout("rdi") at => _, inout("rcx") value & 15 => _, in("eax") value as u32)
        }
        14 => {
            guarded!("rep lodsb", inout("rsi") at => _, inout("rcx") value & 15 => _, inout("rax") value => _)
        }
        15 => guarded!("cmp qword ptr [{0}], 5", in(reg) at),
        16 => guarded!("push qword ptr [{0}]\n pop {1}", in(reg) at, inout(reg) value => _),
        _ => guarded!("not dword ptr [{0}]", in(reg) at),
    };
    tried(outcome, ())
}

/// Instructions that need a mode or a feature that a guest does not have, by number.
pub const FORBIDDEN: u64 = 12;

/// Executes one of them.
pub fn forbidden(which: u64, value: u64) -> Tried<()> {
    let outcome = match which {
        0 => guarded!("vmrun rax", in("rax") value),
        1 => guarded!("vmload rax", in("rax") value),
        2 => guarded!("vmsave rax", in("rax") value),
        3 => guarded!("stgi"),
        4 => guarded!("clgi"),
        5 => guarded!("skinit", in("eax") value as u32),
        6 => guarded!("monitor", in("rax") value & 0xfff, in("rcx") 0u64, in("rdx") 0u64),
        7 => guarded!("rdpmc", in("ecx") value as u32, out("eax") _, out("edx") _),
        8 => guarded!("invlpga", in("rax") value, in("ecx") 0u32),
        9 => guarded!("wbinvd"),
        10 => guarded!("invd"),
        _ => guarded!("rdtscp", out("eax") _, out("edx") _, out("ecx") _),
    };
    tried(outcome, ())
}

/// Forgets the translation of one page.
pub fn forget_page(at: u64) {
    // SAFETY: only drops a cached translation.
    unsafe { asm!("invlpg [{}]", in(reg) at) };
}

#[repr(C, packed)]
struct Table {
    limit: u16,
    base: u64,
}

/// LIDT. The next interrupt or exception uses it.
pub fn load_interrupt_table(base: u64, limit: u16) {
    let table = Table { limit, base };
    // SAFETY: what follows from it is the caller's affair.
    unsafe { asm!("lidt [{}]", in(reg) &raw const table) };
}

/// LGDT. The segment registers stay as they are.
pub fn set_segment_table(base: u64, limit: u16) {
    let table = Table { limit, base };
    // SAFETY: what follows from it is the caller's affair.
    unsafe { asm!("lgdt [{}]", in(reg) &raw const table) };
}

/// LGDT, and the code segment loaded from it.
pub fn load_segment_table(base: u64, limit: u16) {
    set_segment_table(base, limit);
    // SAFETY: as above.
    unsafe {
        asm!("push 8", "lea {0}, [rip + 2f]", "push {0}", "retfq", "2:", out(reg) _);
    }
}

/// UD2.
pub fn undefined() {
    // SAFETY: an exception.
    unsafe { asm!("ud2") };
}

/// An exception with the stack there.
pub fn fault_on_stack(at: u64) -> ! {
    // SAFETY: ends the guest, one way or another.
    unsafe { asm!("mov rsp, {}", "ud2", in(reg) at, options(noreturn)) };
}

/// Goes on there.
pub fn jump(at: u64) -> ! {
    // SAFETY: ends the guest, one way or another.
    unsafe { asm!("jmp {}", in(reg) at, options(noreturn)) };
}

/// Stops for ever, as far as this vCPU is concerned.
pub fn halt_for_ever() -> ! {
    loop {
        halt();
    }
}

/// Stops until an interrupt.
pub fn halt() {
    // SAFETY: goes on after an interrupt.
    unsafe { asm!("hlt") };
}

/// Lets interrupts in, from now on.
pub fn enable_interrupts() {
    // SAFETY: every vector has an entry.
    unsafe { asm!("sti") };
}

/// Keeps interrupts out.
pub fn disable_interrupts() {
    // SAFETY: only delays interrupts.
    unsafe { asm!("cli") };
}

/// A loop of exactly 1000 iterations of two instructions, by which the TSC is checked.
pub fn two_thousand_instructions() {
    // SAFETY: counts down a register.
    unsafe { asm!("2: dec {0:e}", "jnz 2b", inout(reg) 1000u32 => _) };
}

/// Nothing, for a moment.
pub fn spin() {
    core::hint::spin_loop();
}
