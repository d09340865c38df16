//! Global, task and interrupt descriptor tables of a CPU.
//!
//! All interrupts use the CPU's one stack; NMI, double fault and machine check have stacks of their own, so that a broken stack can still be
//! reported.
#![allow(
    unsafe_code,
    reason = "descriptor tables are loaded by instruction and hold raw addresses"
)]

use alloc::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use alloc::boxed::Box;
use core::arch::{asm, global_asm};

use super::percpu::{PerCpu, STACK_SIZE, prepare_stack};

/// Selector of 64-bit code.
pub const CODE_SELECTOR: u16 = 8;
/// Selector of data.
pub const DATA_SELECTOR: u16 = 16;
const TSS_SELECTOR: u16 = 24;
const STUB_SIZE: u64 = 16;
/// NMI, double fault and machine check, with the numbers of their stacks.
const IST_VECTORS: [(usize, u8); EXCEPTION_STACKS] = [(2, 1), (8, 2), (18, 3)];
/// Stacks of a CPU besides its usual one.
pub const EXCEPTION_STACKS: usize = 3;

global_asm!(include_str!("interrupt_stubs.s"));

unsafe extern "C" {
    static interrupt_stubs: u8;
}

/// What the stubs push, lowest address first.
#[repr(C)]
#[derive(Debug)]
pub struct TrapFrame {
    /// r15 to rax.
    pub registers: [u64; 15],
    /// Vector.
    pub vector: u64,
    /// Error code, or 0.
    pub error_code: u64,
    /// Where it happened.
    pub rip: u64,
    /// Code selector.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer before.
    pub rsp: u64,
    /// Stack selector before.
    pub ss: u64,
}

#[repr(C, packed(4))]
struct Tss {
    _reserved0: u32,
    rsp: [u64; 3],
    _reserved1: u64,
    ist: [u64; 7],
    _reserved2: u64,
    _reserved3: u16,
    io_map: u16,
}

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

/// A stack whose top names its CPU; returns the initial stack pointer. Never freed.
pub fn new_stack(cpu: &'static PerCpu) -> u64 {
    let [stack] = new_stacks(cpu);
    stack
}

/// Several such stacks in one piece, which wastes less for their alignment.
fn new_stacks<const COUNT: usize>(cpu: &'static PerCpu) -> [u64; COUNT] {
    let layout = Layout::from_size_align(COUNT * STACK_SIZE as usize, STACK_SIZE as usize)
        .expect("constant layout");
    // SAFETY: the layout has a size; the result is checked.
    let base = unsafe { alloc_zeroed(layout) };
    if base.is_null() {
        handle_alloc_error(layout);
    }
    core::array::from_fn(|index| {
        let end = base as u64 + (index as u64 + 1) * STACK_SIZE;
        // SAFETY: fresh memory of the right size and alignment.
        unsafe { prepare_stack(end, cpu) }
    })
}

fn tss_descriptor(base: u64) -> [u64; 2] {
    let limit = size_of::<Tss>() as u64 - 1;
    let low = limit & 0xffff | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    [low, base >> 32]
}

fn gate(vector: usize) -> [u64; 2] {
    let ist = IST_VECTORS
        .iter()
        .find(|(v, _)| *v == vector)
        .map_or(0, |(_, ist)| *ist);
    let handler = (&raw const interrupt_stubs) as u64 + vector as u64 * STUB_SIZE;
    let low = handler & 0xffff
        | u64::from(CODE_SELECTOR) << 16
        | u64::from(ist) << 32
        | 0x8e << 40
        | (handler >> 16 & 0xffff) << 48;
    [low, handler >> 32]
}

/// Builds and loads this CPU's tables. They are never freed.
pub fn load(cpu: &'static PerCpu) {
    let mut ist = [0; 7];
    let stacks: [u64; EXCEPTION_STACKS] = new_stacks(cpu);
    for ((_, index), stack) in IST_VECTORS.into_iter().zip(stacks) {
        ist[usize::from(index) - 1] = stack;
    }
    let io_map = size_of::<Tss>() as u16;
    let tss: &'static Tss = Box::leak(Box::new(Tss {
        _reserved0: 0,
        rsp: [0; 3],
        _reserved1: 0,
        ist,
        _reserved2: 0,
        _reserved3: 0,
        io_map,
    }));
    let task = tss_descriptor(&raw const *tss as u64);
    let gdt: &'static [u64; 5] = Box::leak(Box::new([
        0,
        0x00af_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        task[0],
        task[1],
    ]));
    let idt: &'static [[u64; 2]; 256] = Box::leak(Box::new(core::array::from_fn(gate)));
    let gdt_pointer = Pointer {
        limit: size_of_val(gdt) as u16 - 1,
        base: &raw const *gdt as u64,
    };
    let idt_pointer = Pointer {
        limit: size_of_val(idt) as u16 - 1,
        base: &raw const *idt as u64,
    };
    // SAFETY: the tables live for ever and describe the segments in use at the same selectors as before.
    unsafe {
        asm!(
            "lgdt [{gdt}]",
            "push 8",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ds, {data:e}",
            "mov es, {data:e}",
            "mov ss, {data:e}",
            "ltr {task:x}",
            "lidt [{idt}]",
            gdt = in(reg) &gdt_pointer,
            idt = in(reg) &idt_pointer,
            data = in(reg) u32::from(DATA_SELECTOR),
            task = in(reg) TSS_SELECTOR,
            scratch = out(reg) _,
        );
    }
}
