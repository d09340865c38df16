//! Emulation of the few guest instructions the processor hands over unfinished.
//!
//! Two services, both free of global state and locks (the caller's [`Cpu`] owns all state):
//! * [`expected_length`]: the length of an intercepted instruction whose opcode is already known, for processors that do
//!   not save the next instruction pointer. A tiny matcher, no decoder.
//! * [`emulate`]: the whole effect of one instruction that touched an emulated device, a string port instruction, or a
//!   control register move without decode assist. [`warm_up`] builds the decoder's tables; call it once at boot.
//!
//! The code at the instruction pointer is a guest's claim: another virtual CPU may rewrite it between the exit and the
//! fetch. So every privilege, segment and canonical check the processor does is done again here.
//!
//! Semantics: AMD64 Architecture Programmer's Manual, volumes 2 (24593) and 3 (24594); Intel SDM volume 2 where AMD is
//! silent. Known differences: alignment checks (#AC) and data breakpoints are not raised, and a locked
//! read-modify-write is a read followed by a write.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate alloc;

mod alu;
mod bits;
mod control;
mod cpu;
mod data;
mod emulate;
mod flags;
mod length;
mod operand;
mod port;
mod segment;
mod shift;
mod stack;
mod string;
#[cfg(test)]
mod testing;
mod vector;
mod width;

pub use cpu::{Access, Cpu, Fault, Mode, Segment, SegmentAttributes, SegmentName};
pub use emulate::{Outcome, emulate, warm_up};
pub use length::{Expected, expected_length};
pub use string::MAX_ITERATIONS;
