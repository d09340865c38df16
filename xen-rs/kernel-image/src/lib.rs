//! Kernels to be started: found in a file, unpacked and checked. The hypervisor reads dom0's with this, the tools every other guest's.
//!
//! 1. [`locate`] finds the payload in the file: a bzImage's, a plain ELF file, or a gzip file around one.
//! 2. [`Kernel::unpack`] unpacks it to the heap, with at most [`Payload::heap_need`] beside the result, and reads its ELF headers and notes.
//! 3. [`Kernel::chunks`] says what goes where in the guest's memory.
//!
//! Files are untrusted: malformed ones give a [`KernelError`], never a panic.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod bzimage;
mod decompress;
mod elf;
mod elf_headers;
mod error;
mod kernel;
pub mod little_endian;
mod notes;
#[cfg(any(test, feature = "sample"))]
pub mod sample;

pub use bzimage::{Payload, UNPACKED_MAX, locate};
pub use decompress::Format;
pub use elf::{Image, Segment};
pub use error::KernelError;
pub use kernel::{Chunk, Kernel};
pub use notes::{Relocation, XenNotes};
