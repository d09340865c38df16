//! Everything that knows x86.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod cpuid;
pub mod dom0;
pub mod msr_policy;
pub mod hvm_context;
pub mod vioapic;
pub mod vlapic;
pub mod boot;
pub mod cpu;
pub mod direct_map;
pub mod interrupts;
pub mod machine;
pub mod panic;
pub mod serial;
pub mod time;
pub mod host;
pub mod start;
pub mod arch;
pub mod debug_keys;
pub mod dom0_start;
pub mod domain;
pub mod guest_paging;
pub mod hvm_start;
pub mod power;
pub mod run;
pub mod svm;
pub mod vcpu;
