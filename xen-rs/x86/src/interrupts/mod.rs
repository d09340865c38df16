//! Interrupts of the machine: controllers, vectors and what happens when one arrives.
//!
//! Handlers run only at safe points: in the idle loop and in the window after a VM exit, where no lock is held.

pub mod dispatch;
pub mod io_apic;
pub mod local_apic;
pub mod nmi;
pub mod source;

pub use source::Source;
