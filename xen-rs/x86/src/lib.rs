//! Everything that knows x86.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod dom0;
pub mod vioapic;
pub mod vlapic;
