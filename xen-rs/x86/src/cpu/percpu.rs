//! What each CPU owns, found from its stack pointer.
//!
//! Every CPU runs on one stack of [`STACK_SIZE`] bytes, aligned to its size, whose topmost word points at the CPU's [`PerCpu`]. So no
//! segment register is needed for it: an exception finds it at once, whatever FS and GS hold at that moment.
#![allow(
    unsafe_code,
    reason = "turns the word at the stack's top into a reference"
)]

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use xen_core::ids::CpuId;

use super::instructions::rsp;

/// Size and alignment of every CPU's stack, and of each exception stack.
pub const STACK_SIZE: u64 = 32768;

/// State of one CPU that others may look at.
pub struct PerCpu {
    /// Dense number.
    pub id: CpuId,
    /// Local APIC identifier.
    pub apic_id: u32,
    /// Processor identifier in the MADT.
    pub acpi_id: u32,
    /// Revision of the CPU's microcode, once it runs.
    pub microcode: AtomicU32,
    /// What runs here wants no speculative store bypass.
    pub no_store_bypass: AtomicBool,
    /// Set while guest code runs.
    pub in_guest: AtomicBool,
    /// Root of the nested tables in use, for shoot-downs; 0 when none.
    pub nested_root: AtomicU64,
    /// Counts VM exits, so that another CPU can see that this one left the guest.
    pub exits: AtomicU64,
    /// What each vector of this CPU is for: an [`crate::interrupts::Source`] as a word.
    pub vectors: [AtomicU32; 256],
    /// Host state-save area and host VMCB, or zero before virtualisation is on.
    pub host_vmcb: AtomicU64,
    /// Domain whose guest code ran here last, `u32::MAX` for none.
    pub last_domain: AtomicU32,
    /// Next address space identifier to give out, from 1.
    pub next_asid: AtomicU64,
    /// They ran out: the next entry must flush all of this CPU's guest translations.
    pub flush_pending: AtomicBool,
    /// Counts how often they ran out.
    pub asid_generation: AtomicU64,
    /// System time in ns for which the timer stands, [`NOT_ARMED`] once it has fired.
    pub timer_armed_ns: AtomicU64,
}

/// The timer has fired, or was never set.
pub const NOT_ARMED: u64 = 0;

impl PerCpu {
    /// The record of a CPU that has not started.
    #[must_use]
    pub fn new(id: CpuId, apic_id: u32, acpi_id: u32) -> Self {
        Self {
            id,
            apic_id,
            acpi_id,
            microcode: AtomicU32::new(0),
            no_store_bypass: AtomicBool::new(false),
            in_guest: AtomicBool::new(false),
            nested_root: AtomicU64::new(0),
            exits: AtomicU64::new(0),
            vectors: [const { AtomicU32::new(0) }; 256],
            host_vmcb: AtomicU64::new(0),
            next_asid: AtomicU64::new(1),
            flush_pending: AtomicBool::new(true),
            last_domain: AtomicU32::new(u32::MAX),
            asid_generation: AtomicU64::new(1),
            timer_armed_ns: AtomicU64::new(NOT_ARMED),
        }
    }
}

/// Stores `record` at the top of the stack that ends at `top` and returns the stack pointer to start with.
///
/// # Safety
/// `top` is the end of a mapped stack of [`STACK_SIZE`] bytes, aligned to that size, which nobody uses above the returned address.
pub unsafe fn prepare_stack(top: u64, record: &'static PerCpu) -> u64 {
    let slot = (top - 16) as *mut &'static PerCpu;
    // SAFETY: the slot lies inside the stack that the caller hands over.
    unsafe { slot.write(record) };
    top - 16
}

/// The CPU that runs this.
#[must_use]
pub fn this_cpu() -> &'static PerCpu {
    let slot = (rsp() | (STACK_SIZE - 1)) - 15;
    // SAFETY: every stack the hypervisor runs on was prepared by `prepare_stack`, and records are never freed.
    unsafe { *(slot as *const &'static PerCpu) }
}

static mut ALL: &[&PerCpu] = &[];

/// Publishes the records of all CPUs, in order of their numbers. Once, while the other CPUs wait to be released.
pub fn publish(records: Box<[&'static PerCpu]>) {
    // SAFETY: called once by the boot CPU, while the others wait in a loop that does not look at the list.
    unsafe { ALL = Box::leak(records) };
}

/// All CPUs' records, in order.
#[must_use]
pub fn all_cpus() -> &'static [&'static PerCpu] {
    // SAFETY: written once while the boot CPU alone reads it, constant after.
    unsafe { ALL }
}

/// The caller's frame pointer and return address, saved at `frame_pointer`. The caller has checked that it lies on a stack.
#[must_use]
pub fn stack_frame(frame_pointer: u64) -> (u64, u64) {
    let at = frame_pointer as *const [u64; 2];
    // SAFETY: an aligned address on a mapped stack, below its top word; any bytes are a value.
    let [next, caller] = unsafe { at.read() };
    (next, caller)
}
