//! Hypervisor mechanisms that know no hardware: domains, vCPUs, scheduling, events, grants, memory, hypercalls.
//!
//! Hardware is behind the traits of [`hal`]; everything here runs under `cargo test` on the host with the fakes of `fake`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "fake"))]
extern crate std;

pub mod hal;
pub mod ids;
