//! Memory for tests in which a guest acts between any two of the hypervisor's accesses, and the chance by which it does.

use crate::fake::FakeMemory;
use crate::hal::MachineMemory;
use crate::ids::{Maddr, Mfn};

/// Memory in which something happens before each access of the hypervisor.
pub struct Meddled<'a, F> {
    pub mem: &'a FakeMemory,
    pub meddle: F,
}

impl<F: Fn(&FakeMemory) + Send + Sync> Meddled<'_, F> {
    fn mem(&self) -> &FakeMemory {
        (self.meddle)(self.mem);
        self.mem
    }
}

impl<F: Fn(&FakeMemory) + Send + Sync> MachineMemory for Meddled<'_, F> {
    fn read(&self, at: Maddr, into: &mut [u8]) {
        self.mem().read(at, into);
    }
    fn write(&self, at: Maddr, from: &[u8]) {
        self.mem().write(at, from);
    }
    fn copy(&self, from: Maddr, to: Maddr, len: usize) {
        self.mem().copy(from, to, len);
    }
    fn zero(&self, frame: Mfn) {
        self.mem().zero(frame);
    }
    fn load_u64(&self, at: Maddr) -> u64 {
        self.mem().load_u64(at)
    }
    fn store_u64(&self, at: Maddr, value: u64) {
        self.mem().store_u64(at, value);
    }
    fn load_u32(&self, at: Maddr) -> u32 {
        self.mem().load_u32(at)
    }
    fn store_u32(&self, at: Maddr, value: u32) {
        self.mem().store_u32(at, value);
    }
    fn compare_exchange_u32(&self, at: Maddr, current: u32, new: u32) -> Result<u32, u32> {
        self.mem().compare_exchange_u32(at, current, new)
    }
    fn compare_exchange_u64(&self, at: Maddr, current: u64, new: u64) -> Result<u64, u64> {
        self.mem().compare_exchange_u64(at, current, new)
    }
    fn fetch_or_u64(&self, at: Maddr, bits: u64) -> u64 {
        self.mem().fetch_or_u64(at, bits)
    }
    fn fetch_and_u64(&self, at: Maddr, bits: u64) -> u64 {
        self.mem().fetch_and_u64(at, bits)
    }
    fn fetch_or_u32(&self, at: Maddr, bits: u32) -> u32 {
        self.mem().fetch_or_u32(at, bits)
    }
    fn fetch_and_u32(&self, at: Maddr, bits: u32) -> u32 {
        self.mem().fetch_and_u32(at, bits)
    }
    fn swap_u8(&self, at: Maddr, value: u8) -> u8 {
        self.mem().swap_u8(at, value)
    }
    fn load_u8(&self, at: Maddr) -> u8 {
        self.mem().load_u8(at)
    }
}

/// xorshift64.
pub struct Random(pub u64);

impl Random {
    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % u64::from(end)) as u32
    }
}
