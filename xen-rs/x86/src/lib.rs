//! Everything that knows x86.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod arch;
pub mod boot;
pub mod console;
pub mod cpu;
pub mod cpuid;
pub mod debug_keys;
pub mod direct_map;
pub mod dom0;
pub mod dom0_start;
pub mod domain;
pub mod guest_paging;
pub mod host;
pub mod host_memory_types;
pub mod hvm_context;
pub mod hvm_start;
pub mod interrupts;
pub mod machine;
pub mod msr_policy;
pub mod panic;
pub mod power;
pub mod run;
pub mod serial;
pub mod start;
pub mod svm;
pub mod time;
pub mod vcpu;
pub mod vioapic;
pub mod vlapic;
