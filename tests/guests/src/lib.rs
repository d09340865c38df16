//! What tiny PVH kernels need to examine a hypervisor from inside a guest: entry, printing, hypercalls, exceptions that are survived,
//! a second vCPU.
//!
//! A kernel in `src/bin` says [`entry!`] with its main function. It runs in long mode with the first 4 GiB mapped one to one, interrupts
//! off. A fault in an instruction of [`cpu`] is reported to the caller; any other fault is printed and crashes the guest.
#![no_std]

pub mod boot;
pub mod cpu;
pub mod hostile;
pub mod hypercall;
pub mod local_apic;
pub mod memory;
pub mod print;
pub mod random;
pub mod ring;
pub mod second_vcpu;
pub mod task_state;
pub mod vectors;
pub mod window;

pub use boot::Start;
