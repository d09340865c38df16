//! Instruction decoding and emulation.
#![no_std]
#![forbid(unsafe_code)]
