//! All RAM at one virtual offset, and windows onto device registers.
#![allow(unsafe_code, reason = "turns machine addresses into pointers")]

use core::ptr;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use xen_core::hal::MachineMemory;
use xen_core::ids::{Maddr, Mfn, PAGE_SIZE};

/// Where machine address 0 appears.
pub const BASE: u64 = 0xffff_8000_0000_0000;
/// Where device registers appear, uncached, at the same offset.
pub const MMIO_BASE: u64 = 0xffff_c000_0000_0000;
/// How many bytes of addresses have room there; the last page is not used, so that no sum overflows.
pub const MMIO_BYTES: u64 = u64::MAX - 4095 - MMIO_BASE;

static RAM_END: AtomicU64 = AtomicU64::new(1 << 32);

/// Tells the bounds check how far the direct map reaches, in bytes.
pub fn set_end(bytes: u64) {
    RAM_END.store(bytes, Ordering::Relaxed);
}

/// RAM through the direct map.
pub struct DirectMap;

/// The one instance.
pub static DIRECT_MAP: DirectMap = DirectMap;

fn pointer<T>(at: Maddr, len: usize) -> *mut T {
    let end = at.0.checked_add(len as u64).expect("machine address wraps");
    assert!(
        end <= RAM_END.load(Ordering::Relaxed),
        "machine address outside the direct map"
    );
    (BASE + at.0) as *mut T
}

fn word<T>(at: Maddr) -> *mut T {
    let p: *mut T = pointer(at, size_of::<T>());
    assert!(p.is_aligned(), "unaligned atomic");
    p
}

fn u64_at(at: Maddr) -> &'static AtomicU64 {
    // SAFETY: mapped, aligned RAM; all concurrent accesses to guest-visible memory are atomic or raw copies.
    unsafe { AtomicU64::from_ptr(word(at)) }
}

fn u32_at(at: Maddr) -> &'static AtomicU32 {
    // SAFETY: as for `u64_at`.
    unsafe { AtomicU32::from_ptr(word(at)) }
}

fn u8_at(at: Maddr) -> &'static AtomicU8 {
    // SAFETY: as for `u64_at`.
    unsafe { AtomicU8::from_ptr(word(at)) }
}

impl MachineMemory for DirectMap {
    fn read(&self, at: Maddr, into: &mut [u8]) {
        // SAFETY: source inside the direct map; a racing guest write can only make the bytes any bytes.
        unsafe {
            ptr::copy_nonoverlapping(pointer::<u8>(at, into.len()), into.as_mut_ptr(), into.len())
        };
    }

    fn write(&self, at: Maddr, from: &[u8]) {
        // SAFETY: target inside the direct map, in a frame that the caller may write.
        unsafe {
            ptr::copy_nonoverlapping(from.as_ptr(), pointer::<u8>(at, from.len()), from.len())
        };
    }

    fn copy(&self, from: Maddr, to: Maddr, len: usize) {
        // SAFETY: both ranges lie inside the direct map.
        unsafe { ptr::copy(pointer::<u8>(from, len), pointer::<u8>(to, len), len) };
    }

    fn zero(&self, frame: Mfn) {
        // SAFETY: a whole frame that the caller owns.
        unsafe { ptr::write_bytes(pointer::<u8>(frame.maddr(), PAGE_SIZE), 0, PAGE_SIZE) };
    }

    fn is_zero(&self, frame: Mfn) -> bool {
        const ROW: usize = 8;
        let words = pointer::<[u64; ROW]>(frame.maddr(), PAGE_SIZE);
        // SAFETY: a whole frame that the caller owns; any bytes are a word.
        let row = |index| unsafe { words.add(index).read_volatile() };
        (0..PAGE_SIZE / size_of::<[u64; ROW]>())
            .all(|index| row(index).iter().fold(0, |all, word| all | word) == 0)
    }

    fn load_u64(&self, at: Maddr) -> u64 {
        u64_at(at).load(Ordering::SeqCst)
    }

    fn store_u64(&self, at: Maddr, value: u64) {
        u64_at(at).store(value, Ordering::Release);
    }

    fn load_u32(&self, at: Maddr) -> u32 {
        u32_at(at).load(Ordering::SeqCst)
    }

    fn store_u32(&self, at: Maddr, value: u32) {
        u32_at(at).store(value, Ordering::Release);
    }

    fn compare_exchange_u32(&self, at: Maddr, current: u32, new: u32) -> Result<u32, u32> {
        u32_at(at).compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
    }

    fn compare_exchange_u64(&self, at: Maddr, current: u64, new: u64) -> Result<u64, u64> {
        u64_at(at).compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
    }

    fn fetch_or_u64(&self, at: Maddr, bits: u64) -> u64 {
        u64_at(at).fetch_or(bits, Ordering::SeqCst)
    }

    fn fetch_and_u64(&self, at: Maddr, bits: u64) -> u64 {
        u64_at(at).fetch_and(bits, Ordering::SeqCst)
    }

    fn fetch_or_u32(&self, at: Maddr, bits: u32) -> u32 {
        u32_at(at).fetch_or(bits, Ordering::SeqCst)
    }

    fn fetch_and_u32(&self, at: Maddr, bits: u32) -> u32 {
        u32_at(at).fetch_and(bits, Ordering::SeqCst)
    }

    fn swap_u8(&self, at: Maddr, value: u8) -> u8 {
        u8_at(at).swap(value, Ordering::SeqCst)
    }

    fn load_u8(&self, at: Maddr) -> u8 {
        u8_at(at).load(Ordering::SeqCst)
    }
}

/// Device registers of one region, mapped uncached by [`crate::boot::address_space::map_mmio`].
#[derive(Copy, Clone)]
pub struct Registers {
    base: u64,
    len: u64,
}

impl Registers {
    /// A window onto `len` bytes at `at`; the region is already mapped.
    pub(crate) const fn mapped(at: u64, len: u64) -> Self {
        Self {
            base: MMIO_BASE + at,
            len,
        }
    }

    fn pointer<T>(&self, offset: u64) -> *mut T {
        assert!(
            offset + size_of::<T>() as u64 <= self.len,
            "register outside its window"
        );
        let p = (self.base + offset) as *mut T;
        assert!(p.is_aligned(), "unaligned register");
        p
    }

    /// Reads a register of 1, 2, 4 or 8 bytes.
    #[must_use]
    pub fn read(&self, offset: u64, size: u8) -> u64 {
        // SAFETY: inside a mapped window of device registers; volatile, as devices have effects.
        unsafe {
            match size {
                1 => u64::from(self.pointer::<u8>(offset).read_volatile()),
                2 => u64::from(self.pointer::<u16>(offset).read_volatile()),
                4 => u64::from(self.pointer::<u32>(offset).read_volatile()),
                _ => self.pointer::<u64>(offset).read_volatile(),
            }
        }
    }

    /// Writes a register of 1, 2, 4 or 8 bytes.
    pub fn write(&self, offset: u64, size: u8, value: u64) {
        // SAFETY: as for `read`; the device belongs to the hypervisor or to the domain whose access is passed on.
        unsafe {
            match size {
                1 => self.pointer::<u8>(offset).write_volatile(value as u8),
                2 => self.pointer::<u16>(offset).write_volatile(value as u16),
                4 => self.pointer::<u32>(offset).write_volatile(value as u32),
                _ => self.pointer::<u64>(offset).write_volatile(value),
            }
        }
    }
}

/// A slice of RAM that the caller owns, e.g. a boot module or a buffer for dom0's image.
///
/// # Safety
/// Nobody else accesses the range while the slice lives, and it lies inside the direct map.
#[must_use]
pub unsafe fn slice_mut(at: Maddr, len: usize) -> &'static mut [u8] {
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts_mut(pointer::<u8>(at, len), len) }
}
