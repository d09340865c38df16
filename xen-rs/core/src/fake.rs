//! The hardware traits of [`crate::hal`] played by plain data, so that everything in this crate runs under `cargo test` on the host.
//!
//! [`FakeMemory`] is a `Vec` of frames behind one mutex: each trait call is therefore one atomic step, as on real hardware. [`FakeMachine`]
//! has a clock that only tests move and remembers the kicks and timers it was asked for. Both check what the traits demand of the caller
//! (inside RAM, inside one frame, naturally aligned) and panic otherwise, so that a test shows the caller's bug.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec;
use std::vec::Vec;

use crate::hal::{Clock, Machine, MachineMemory};
use crate::ids::{CpuId, Maddr, Mfn, PAGE_SIZE};

type Frame = [u8; PAGE_SIZE];

/// Machine memory of frames 0 to `n - 1`, all zero at first.
pub struct FakeMemory {
    frames: Mutex<Vec<Frame>>,
    next: Mutex<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked while holding the lock has already failed; the others may go on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeMemory {
    /// Memory of `frames` frames.
    #[must_use]
    pub fn new(frames: usize) -> Self {
        Self {
            frames: Mutex::new(vec![[0; PAGE_SIZE]; frames]),
            next: Mutex::new(1),
        }
    }

    /// Number of frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        lock(&self.frames).len()
    }

    /// A frame that no earlier call handed out. Never frame 0, so that a forgotten address shows.
    ///
    /// # Panics
    /// When all frames have been handed out.
    pub fn take_frame(&self) -> Mfn {
        let mut next = lock(&self.next);
        assert!(
            (*next as usize) < self.frames(),
            "FakeMemory has no frame left"
        );
        *next += 1;
        Mfn(*next - 1)
    }

    /// Copy of a whole frame.
    #[must_use]
    pub fn frame(&self, frame: Mfn) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_SIZE];
        self.read(frame.maddr(), &mut bytes);
        bytes
    }

    /// Runs `step` on the `len` bytes at `at` as one atomic step.
    fn with<R>(&self, at: Maddr, len: usize, step: impl FnOnce(&mut [u8]) -> R) -> R {
        let start = at.page_offset();
        assert!(
            start + len <= PAGE_SIZE,
            "access of {len} bytes at {:#x} crosses a frame's end",
            at.0
        );
        let mut frames = lock(&self.frames);
        let frame = usize::try_from(at.mfn().0)
            .ok()
            .and_then(|index| frames.get_mut(index));
        let frame = frame.unwrap_or_else(|| panic!("access at {:#x} is outside RAM", at.0));
        step(&mut frame[start..start + len])
    }

    /// Replaces the aligned u64 at `at` by what `step` makes of it (`None`: keep); returns the value before.
    fn update_u64(&self, at: Maddr, step: impl FnOnce(u64) -> Option<u64>) -> u64 {
        assert!(at.0.is_multiple_of(8), "unaligned u64 at {:#x}", at.0);
        self.with(at, 8, |bytes| {
            let old = u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
            if let Some(new) = step(old) {
                bytes.copy_from_slice(&new.to_le_bytes());
            }
            old
        })
    }

    /// Replaces the aligned u32 at `at` by what `step` makes of it (`None`: keep); returns the value before.
    fn update_u32(&self, at: Maddr, step: impl FnOnce(u32) -> Option<u32>) -> u32 {
        assert!(at.0.is_multiple_of(4), "unaligned u32 at {:#x}", at.0);
        self.with(at, 4, |bytes| {
            let old = u32::from_le_bytes(bytes.try_into().expect("4 bytes"));
            if let Some(new) = step(old) {
                bytes.copy_from_slice(&new.to_le_bytes());
            }
            old
        })
    }
}

impl MachineMemory for FakeMemory {
    fn read(&self, at: Maddr, into: &mut [u8]) {
        self.with(at, into.len(), |bytes| into.copy_from_slice(bytes));
    }

    fn write(&self, at: Maddr, from: &[u8]) {
        self.with(at, from.len(), |bytes| bytes.copy_from_slice(from));
    }

    fn copy(&self, from: Maddr, to: Maddr, len: usize) {
        let mut bytes = vec![0; len];
        self.read(from, &mut bytes);
        self.write(to, &bytes);
    }

    fn zero(&self, frame: Mfn) {
        self.with(frame.maddr(), PAGE_SIZE, |bytes| bytes.fill(0));
    }

    fn load_u64(&self, at: Maddr) -> u64 {
        self.update_u64(at, |_| None)
    }

    fn store_u64(&self, at: Maddr, value: u64) {
        self.update_u64(at, |_| Some(value));
    }

    fn load_u32(&self, at: Maddr) -> u32 {
        self.update_u32(at, |_| None)
    }

    fn store_u32(&self, at: Maddr, value: u32) {
        self.update_u32(at, |_| Some(value));
    }

    fn compare_exchange_u32(&self, at: Maddr, current: u32, new: u32) -> Result<u32, u32> {
        let old = self.update_u32(at, |value| (value == current).then_some(new));
        if old == current { Ok(old) } else { Err(old) }
    }

    fn compare_exchange_u64(&self, at: Maddr, current: u64, new: u64) -> Result<u64, u64> {
        let old = self.update_u64(at, |value| (value == current).then_some(new));
        if old == current { Ok(old) } else { Err(old) }
    }

    fn fetch_or_u64(&self, at: Maddr, bits: u64) -> u64 {
        self.update_u64(at, |value| Some(value | bits))
    }

    fn fetch_and_u64(&self, at: Maddr, bits: u64) -> u64 {
        self.update_u64(at, |value| Some(value & bits))
    }

    fn fetch_or_u32(&self, at: Maddr, bits: u32) -> u32 {
        self.update_u32(at, |value| Some(value | bits))
    }

    fn fetch_and_u32(&self, at: Maddr, bits: u32) -> u32 {
        self.update_u32(at, |value| Some(value & bits))
    }

    fn swap_u8(&self, at: Maddr, value: u8) -> u8 {
        self.with(at, 1, |bytes| core::mem::replace(&mut bytes[0], value))
    }

    fn load_u8(&self, at: Maddr) -> u8 {
        self.with(at, 1, |bytes| bytes[0])
    }
}

/// CPUs, and a clock that moves only when a test says so.
#[derive(Default)]
pub struct FakeMachine {
    state: Mutex<MachineState>,
}

#[derive(Default)]
struct MachineState {
    this_cpu: u32,
    now_ns: u64,
    /// By how much readings move the clock, and how many still do.
    step_ns: u64,
    steps: u32,
    kicks: Vec<CpuId>,
    timers: BTreeMap<u32, u64>,
}

impl FakeMachine {
    /// CPU 0 at time 0, no timer armed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the CPU that "this CPU" is from now on.
    pub fn set_this_cpu(&self, cpu: CpuId) {
        lock(&self.state).this_cpu = cpu.0;
    }

    /// Sets the clock, in nanoseconds since boot.
    pub fn set_now_ns(&self, now_ns: u64) {
        lock(&self.state).now_ns = now_ns;
    }

    /// Moves the clock forward.
    pub fn advance_ns(&self, by_ns: u64) {
        lock(&self.state).now_ns += by_ns;
    }

    /// Lets the clock move by so much after each of the next `readings`, as if the work between them took time.
    pub fn move_with_readings(&self, by_ns: u64, readings: u32) {
        let mut state = lock(&self.state);
        (state.step_ns, state.steps) = (by_ns, readings);
    }

    /// How many of these readings are still to come.
    #[must_use]
    pub fn readings_left(&self) -> u32 {
        lock(&self.state).steps
    }

    /// The CPUs kicked since the last call, oldest first; forgets them.
    pub fn take_kicks(&self) -> Vec<CpuId> {
        core::mem::take(&mut lock(&self.state).kicks)
    }

    /// The deadline armed on `cpu` in nanoseconds since boot; `u64::MAX` when off.
    #[must_use]
    pub fn timer_ns(&self, cpu: CpuId) -> u64 {
        lock(&self.state)
            .timers
            .get(&cpu.0)
            .copied()
            .unwrap_or(u64::MAX)
    }
}

impl Machine for FakeMachine {
    fn this_cpu(&self) -> CpuId {
        CpuId(lock(&self.state).this_cpu)
    }

    fn now_ns(&self) -> u64 {
        let mut state = lock(&self.state);
        let now_ns = state.now_ns;
        if state.steps > 0 {
            state.steps -= 1;
            state.now_ns += state.step_ns;
        }
        now_ns
    }

    fn kick(&self, cpu: CpuId) {
        lock(&self.state).kicks.push(cpu);
    }

    fn arm_timer(&self, deadline_ns: u64) {
        let mut state = lock(&self.state);
        let cpu = state.this_cpu;
        state.timers.insert(cpu, deadline_ns);
    }

    /// One tick is one nanosecond: (ticks << 1) * 2^31 / 2^32.
    fn clock(&self) -> Clock {
        Clock {
            tsc_to_system_mul: 1 << 31,
            tsc_shift: 1,
            ..Clock::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_operations_return_the_value_before() {
        let memory = FakeMemory::new(2);
        let at = Maddr(PAGE_SIZE as u64 + 8);
        memory.store_u64(at, 0b0101);
        assert_eq!(memory.fetch_or_u64(at, 0b0010), 0b0101);
        assert_eq!(memory.fetch_and_u64(at, 0b0011), 0b0111);
        assert_eq!(memory.compare_exchange_u64(at, 1, 2), Err(0b0011));
        assert_eq!(memory.compare_exchange_u64(at, 3, 9), Ok(3));
        assert_eq!(memory.load_u32(at), 9);
        assert_eq!(memory.swap_u8(at, 1), 9);
        assert_eq!(memory.load_u64(at), 1);
    }

    #[test]
    fn frames_are_handed_out_once_and_start_empty() {
        let memory = FakeMemory::new(3);
        let (a, b) = (memory.take_frame(), memory.take_frame());
        assert_ne!(a, b);
        memory.write(a.maddr(), &[7; 16]);
        memory.copy(a.maddr(), Maddr(b.maddr().0 + 8), 4);
        assert_eq!(memory.frame(b)[7..13], [0, 7, 7, 7, 7, 0]);
        memory.zero(a);
        assert_eq!(memory.frame(a), vec![0; PAGE_SIZE]);
    }

    #[test]
    #[should_panic(expected = "crosses a frame's end")]
    fn access_over_a_frames_end_is_the_callers_bug() {
        FakeMemory::new(2).read(Maddr(4090), &mut [0; 8]);
    }

    #[test]
    #[should_panic(expected = "outside RAM")]
    fn access_outside_ram_is_the_callers_bug() {
        let _ = FakeMemory::new(2).load_u32(Maddr(2 * PAGE_SIZE as u64));
    }

    #[test]
    fn machine_remembers_kicks_and_timers_per_cpu() {
        let machine = FakeMachine::new();
        machine.set_now_ns(5);
        machine.advance_ns(2);
        machine.set_this_cpu(CpuId(1));
        machine.arm_timer(machine.now_ns() + 1);
        machine.kick(CpuId(0));
        assert_eq!(
            (machine.timer_ns(CpuId(0)), machine.timer_ns(CpuId(1))),
            (u64::MAX, 8)
        );
        assert_eq!(machine.take_kicks(), [CpuId(0)]);
        assert!(machine.take_kicks().is_empty());
    }
}
