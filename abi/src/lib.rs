//! The Xen 4.20 hypercall ABI: structures, numbers and error codes, as plain data.
//!
//! One module per public header of Xen (`xen/include/public`), in the 64-bit layout; [`compat`] holds the layouts of 32-bit guests where they
//! differ. Structures keep Xen's names in camel case without the prefix `xen_`, constants keep theirs in upper case, `type` becomes `kind`.
//! Every structure is made of plain integers with explicit padding, so that any bytes a guest passes are a value and every value is bytes:
//! reading one proves nothing, the handlers check. Guest handles are `u64` (`u32` in [`compat`]).
//!
//! Operations that Xen-rs does not offer (memory sharing, introspection, cache allocation, live patches, PV descriptor tables) have a number
//! but no structure: they are refused before an argument is read.
//!
//! Sizes and offsets are asserted when the crate is compiled, and compared with Xen's own headers by `tests/headers.rs`.
#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
mod layout;

pub mod arch_x86;
pub mod callback;
pub mod compat;
pub mod domctl;
pub mod elfnote;
pub mod errno;
pub mod event_channel;
pub mod features;
pub mod grant_table;
pub mod hvm;
pub mod io;
pub mod memory;
pub mod physdev;
pub mod platform;
pub mod sched;
pub mod sysctl;
pub mod vcpu;
pub mod version;
pub mod xen;

pub use layout::{FieldLayout, Layout, Number};
