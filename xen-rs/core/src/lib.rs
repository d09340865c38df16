//! Hypervisor mechanisms that know no hardware: domains, vCPUs, scheduling, events, grants, memory, hypercalls.
//!
//! Hardware is behind the traits of [`hal`]; everything here runs under `cargo test` on the host with the fakes of `fake`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "fake"))]
extern crate std;

pub mod cmdline;
pub mod console;
pub mod console_input;
pub mod domain;
pub mod evtchn;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
#[cfg(any(test, feature = "fake"))]
pub mod fake_hv;
pub mod grant;
pub mod hal;
pub mod hypercall;
pub mod hypervisor;
pub mod ids;
pub mod lock;
pub mod memory;
pub mod message_limit;
pub mod p2m;
pub mod paging;
pub mod runstate_area;
pub mod sched;
pub mod timer;
pub mod vcpu;
pub mod vpci;
