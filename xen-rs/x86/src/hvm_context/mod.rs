//! HVM contexts: the state of a domain as `XEN_DOMCTL_gethvmcontext` returns it and `XEN_DOMCTL_sethvmcontext` takes it.
//!
//! What: [`ContextWriter`] and [`Context`] are the codec of the record sequence; [`VcpuRegisters`] is a vCPU's state in neutral form, with
//! conversions to and from the CPU record; [`XsaveState`] and the MSR record have variable length and their own functions. MTRR, VMCE and
//! MSR entries convert in [`msr_policy`](crate::msr_policy), device records beside the devices.
//!
//! Ownership: plain data, no locks. A context from a toolstack is untrusted: everything is checked, nothing is read twice.
//!
//! Format: Xen 4.20, `public/hvm/save.h` and `public/arch-x86/hvm/save.h`; order of checks: `hvm/save.c`.
#![forbid(unsafe_code)]

mod cpu_record;
mod initialise;
mod msr_record;
mod reader;
mod registers;
mod start_state;
mod writer;
mod xsave;

pub use msr_record::{msr_entries, msr_payload};
pub use reader::{Context, Record};
pub use registers::{DescriptorTable, PendingEvent, VcpuRegisters, gpr};
pub use writer::{ContextWriter, header, size_limit};
pub use xsave::XsaveState;
