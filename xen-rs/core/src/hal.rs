//! What the core asks of the hardware. Implemented by the x86 crate and, for tests, by [`crate::fake`].

use crate::ids::{CpuId, Maddr, Mfn};

/// Machine memory, addressed by frames that the caller owns or holds a reference on.
///
/// Frames are bytes which other CPUs and guests may change at any time: every access is one copy or one atomic operation, and the values
/// that come back are claims to be checked. A range never crosses a frame's end. An address outside RAM is the caller's bug:
/// implementations panic on it.
pub trait MachineMemory: Send + Sync {
    /// Copies bytes out of a frame.
    fn read(&self, at: Maddr, into: &mut [u8]);
    /// Copies bytes into a frame.
    fn write(&self, at: Maddr, from: &[u8]);
    /// Copies `len` bytes from one frame to another.
    fn copy(&self, from: Maddr, to: Maddr, len: usize);
    /// Fills a whole frame with zeroes.
    fn zero(&self, frame: Mfn);
    /// Atomic load, naturally aligned.
    fn load_u64(&self, at: Maddr) -> u64;
    /// Atomic store, naturally aligned.
    fn store_u64(&self, at: Maddr, value: u64);
    /// Atomic load, naturally aligned.
    fn load_u32(&self, at: Maddr) -> u32;
    /// Atomic store, naturally aligned.
    fn store_u32(&self, at: Maddr, value: u32);
    /// Atomic compare-exchange; `Err` carries the value found.
    fn compare_exchange_u32(&self, at: Maddr, current: u32, new: u32) -> Result<u32, u32>;
    /// Atomic compare-exchange; `Err` carries the value found.
    fn compare_exchange_u64(&self, at: Maddr, current: u64, new: u64) -> Result<u64, u64>;
    /// Atomic OR; returns the value before.
    fn fetch_or_u64(&self, at: Maddr, bits: u64) -> u64;
    /// Atomic AND; returns the value before.
    fn fetch_and_u64(&self, at: Maddr, bits: u64) -> u64;
    /// Atomic OR; returns the value before.
    fn fetch_or_u32(&self, at: Maddr, bits: u32) -> u32;
    /// Atomic AND; returns the value before.
    fn fetch_and_u32(&self, at: Maddr, bits: u32) -> u32;
    /// Atomic exchange of one byte; returns the value before.
    fn swap_u8(&self, at: Maddr, value: u8) -> u8;
    /// Atomic load of one byte.
    fn load_u8(&self, at: Maddr) -> u8;
}

/// CPUs and clocks.
pub trait Machine: Send + Sync {
    /// The CPU this runs on.
    fn this_cpu(&self) -> CpuId;
    /// System time in nanoseconds since boot: monotonic, the same on every CPU.
    fn now_ns(&self) -> u64;
    /// Makes `cpu` leave guest mode or idle and look at its pending work. Never waits.
    fn kick(&self, cpu: CpuId);
    /// Arms this CPU's timer for `deadline_ns` of system time (`u64::MAX`: off). A past deadline fires at once.
    fn arm_timer(&self, deadline_ns: u64);
}
