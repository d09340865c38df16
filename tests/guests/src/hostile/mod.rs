//! The parts of the hostile guest: what values it offers, what calls it shapes, how it treats its processor, how it ruins itself.

pub mod calls;
pub mod fragments;
pub mod lethal;
pub mod processor;
pub mod sweep_memory;
pub mod sweep_ports;
pub mod sweep_registers;
pub mod values;

use core::sync::atomic::{AtomicU64, Ordering};

use crate::hypercall;

/// Of the second vCPU.
pub const SECOND_APIC_ID: u8 = 2;

static CALLS: AtomicU64 = AtomicU64::new(0);
static ACCEPTED: AtomicU64 = AtomicU64::new(0);

/// Makes a hypercall with raw registers and counts it. A batch counts once.
pub fn call(number: u64, args: [u64; 5]) -> i64 {
    let result = hypercall::raw(number, args);
    CALLS.fetch_add(1, Ordering::Relaxed);
    ACCEPTED.fetch_add(u64::from(result >= 0), Ordering::Relaxed);
    result
}

/// The same from 32-bit code.
pub fn call_narrow(number: u32, args: [u32; 5]) -> i32 {
    let result = hypercall::raw_narrow(number, args);
    CALLS.fetch_add(1, Ordering::Relaxed);
    ACCEPTED.fetch_add(u64::from(result >= 0), Ordering::Relaxed);
    result
}

/// Hypercalls that both vCPUs have made.
#[must_use]
pub fn calls_made() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Those of them that did not fail.
#[must_use]
pub fn calls_accepted() -> u64 {
    ACCEPTED.load(Ordering::Relaxed)
}
