//! Guest memory besides the kernel itself: where there is RAM, and single words in it.
#![allow(unsafe_code, reason = "memory by address")]

use xen_abi::memory::{MemoryMap, XENMEM_MEMORY_MAP};
use xen_abi::xen::HYPERVISOR_MEMORY_OP;

use crate::boot::image;
use crate::hypercall;

/// A range of the memory map as `XENMEM_memory_map` gives it: start, bytes, type.
#[repr(C, packed)]
#[derive(Copy, Clone, Default)]
struct Range {
    addr: u64,
    size: u64,
    kind: u32,
}

/// RAM of at least `bytes`, aligned to 2 MiB, below 4 GiB, that overlaps neither the kernel nor anything the hypervisor put beside it.
///
/// The map is asked for, because Xen's start information for dom0 has none.
#[must_use]
pub fn find_ram(bytes: u64) -> Option<u64> {
    const LARGE: u64 = 2 << 20;
    const RAM: u32 = 1;
    let mut ranges = [Range::default(); 128];
    let mut request = MemoryMap {
        nr_entries: ranges.len() as u32,
        buffer: ranges.as_mut_ptr() as u64,
        ..MemoryMap::default()
    };
    if hypercall::with(HYPERVISOR_MEMORY_OP, XENMEM_MEMORY_MAP, &mut request) != 0 {
        return None;
    }
    // Start information and modules stand near the kernel.
    let from = image().1 + (16 << 20);
    let filled = ranges.iter().take(request.nr_entries as usize);
    filled.filter(|range| range.kind == RAM).find_map(|range| {
        let first = range.addr.max(from).next_multiple_of(LARGE);
        let end = (range.addr + range.size).min(1 << 32);
        (first + bytes <= end).then_some(first)
    })
}

/// Writes a value where the caller knows that there is memory to spare.
pub fn put<T: Copy>(at: u64, value: T) {
    // SAFETY: the identity map reaches there, and the caller owns it.
    unsafe { (at as *mut T).write_unaligned(value) };
}

/// Reads a value that others may be changing.
#[must_use]
pub fn get(at: u64) -> u64 {
    // SAFETY: the identity map reaches there; any bytes are a number.
    unsafe { (at as *const u64).read_volatile() }
}

/// Writes a word that others read meanwhile.
pub fn set(at: u64, value: u64) {
    // SAFETY: the identity map reaches there, and the caller owns it.
    unsafe { (at as *mut u64).write_volatile(value) };
}

/// Reads half a word that others may be changing.
#[must_use]
pub fn get_half(at: u64) -> u32 {
    // SAFETY: the identity map reaches there; any bytes are a number.
    unsafe { (at as *const u32).read_volatile() }
}

/// Writes half a word that others read meanwhile.
pub fn set_half(at: u64, value: u32) {
    // SAFETY: the identity map reaches there, and the caller owns it.
    unsafe { (at as *mut u32).write_volatile(value) };
}

/// Reads a byte that others may be changing.
#[must_use]
pub fn get_byte(at: u64) -> u8 {
    // SAFETY: the identity map reaches there; any bits are a byte.
    unsafe { (at as *const u8).read_volatile() }
}

/// Writes a byte that others read meanwhile.
pub fn set_byte(at: u64, value: u8) {
    // SAFETY: the identity map reaches there, and the caller owns it.
    unsafe { (at as *mut u8).write_volatile(value) };
}

/// Exclusive pages inside the kernel's own image, by address. They start at a multiple of 64 KiB.
#[repr(C, align(65536))]
pub struct Pages<const COUNT: usize>(core::cell::UnsafeCell<[[u8; 4096]; COUNT]>);

// SAFETY: the pages are reached only by address, with volatile accesses or by the hypervisor.
unsafe impl<const COUNT: usize> Sync for Pages<COUNT> {}

impl<const COUNT: usize> Pages<COUNT> {
    /// Zeroed pages.
    #[must_use]
    pub const fn new() -> Self {
        Self(core::cell::UnsafeCell::new([[0; 4096]; COUNT]))
    }

    /// Address of the first byte.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.0.get() as u64
    }
}

impl<const COUNT: usize> Default for Pages<COUNT> {
    fn default() -> Self {
        Self::new()
    }
}
