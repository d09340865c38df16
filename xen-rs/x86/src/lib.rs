//! Everything that knows x86.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod dom0;
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
