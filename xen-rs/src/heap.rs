//! The heap: small objects from an arena that grows by 2 MiB blocks of free frames, large ones straight from free frames or, where these do
//! not suffice while dom0 is built, from its RAM.
#![allow(unsafe_code, reason = "implements GlobalAlloc")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use talc::TalcLock;
use talc::source::Manual;
use xen_core::ids::Mfn;
use xen_core::memory::allocator::{MAX_ORDER, Purpose};
use xen_core::memory::heap_use::HEAP_USE;
use xen_core::memory::remains::Remains;
use xen_x86::boot::lent;
use xen_x86::direct_map::BASE;
use xen_x86::dom0::PhysRange;
use xen_x86::machine::try_hv;

/// Enough until the memory map is read.
const EARLY_BYTES: usize = 512 << 10;
/// From here on objects get frames of their own, which go back when they are freed.
const LARGE: usize = 512 << 10;
const GROWTH_ORDER: u32 = 9;

struct Heap {
    small: TalcLock<spin::Mutex<()>, Manual>,
}

#[global_allocator]
static HEAP: Heap = Heap {
    small: TalcLock::new(Manual),
};

static mut EARLY: [u8; EARLY_BYTES] = [0; EARLY_BYTES];

/// Makes the heap usable. First thing at boot.
pub fn start() {
    // SAFETY: called once by the boot CPU; the array is used for nothing else.
    unsafe {
        HEAP.small
            .lock()
            .claim(&raw mut EARLY as *mut u8, EARLY_BYTES)
    };
}

/// Adds RAM that was set aside for the heap.
pub fn add(range: PhysRange) {
    ADDED.store(BASE + range.start, BASE + range.end);
    // SAFETY: the range lies in the direct map and belongs to the heap from now on.
    unsafe {
        HEAP.small
            .lock()
            .claim((BASE + range.start) as *mut u8, range.len() as usize)
    };
}

fn order_of(layout: &Layout) -> u32 {
    let bytes = layout.size().max(layout.align()).next_power_of_two();
    bytes.trailing_zeros().saturating_sub(12)
}

/// Whole pages for an object of this size.
fn pages_of(layout: &Layout) -> u64 {
    (layout.size() as u64).div_ceil(4096)
}

/// `pages` contiguous frames out of a free block of `1 << order`; the rest of the block stays free.
fn take_frames(order: u32, pages: u64) -> *mut u8 {
    let Some(hv) = try_hv().filter(|_| order <= MAX_ORDER) else {
        return ptr::null_mut();
    };
    let Some(block) = hv.take_block(order, Purpose::Private) else {
        return ptr::null_mut();
    };
    let first = block.unscrubbed();
    hv.frames.lock().free_range(
        Mfn(first.0 + pages),
        Mfn(first.0 + (1 << order)),
        Remains::SECRETS,
    );
    (BASE + first.maddr().0) as *mut u8
}

impl Heap {
    fn small(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout has a size, as `GlobalAlloc` demands.
        unsafe { self.small.lock().allocate(layout) }.map_or(ptr::null_mut(), |p| p.as_ptr())
    }

    fn allocate(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE && try_hv().is_some() {
            let frames = take_frames(order_of(&layout), pages_of(&layout));
            if !frames.is_null() {
                return frames;
            }
            let room = lent::take(layout.size(), layout.align());
            return room.map_or(ptr::null_mut(), |address| address as *mut u8);
        }
        let first = self.small(layout);
        if first.is_null() && self.grow() {
            self.small(layout)
        } else {
            first
        }
    }

    fn grow(&self) -> bool {
        let block = take_frames(GROWTH_ORDER, 1 << GROWTH_ORDER);
        // SAFETY: fresh frames that nobody else uses.
        !block.is_null()
            && unsafe { self.small.lock().claim(block, 4096 << GROWTH_ORDER) }.is_some()
    }
}

// SAFETY: blocks come from talc, or are whole frames taken from the allocator until they are given back, or lie apart in RAM that was lent and
// must be given back before its owner uses it.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let object = self.allocate(layout);
        if !object.is_null() {
            HEAP_USE.made(layout.size());
        }
        object
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HEAP_USE.freed(layout.size());
        let address = pointer as u64;
        if layout.size() >= LARGE && lent::give_back(address, layout.size()) {
            return;
        }
        if layout.size() >= LARGE && address.is_multiple_of(4096) && is_large(address) {
            if let Some(hv) = try_hv() {
                let first = (address - BASE) >> 12;
                hv.frames.lock().free_range(
                    Mfn(first),
                    Mfn(first + pages_of(&layout)),
                    Remains::SECRETS,
                );
            }
            return;
        }
        // SAFETY: the block came from `small` with this layout.
        unsafe { self.small.lock().deallocate(pointer, layout) };
    }
}

/// Large objects made before the frames were known lie in the early array or in what [`add`] was given.
fn is_large(address: u64) -> bool {
    address >= BASE && !ADDED.contains(address)
}

/// Bounds of the RAM that [`add`] was given.
struct Bounds(AtomicU64, AtomicU64);

static ADDED: Bounds = Bounds(AtomicU64::new(0), AtomicU64::new(0));

impl Bounds {
    fn store(&self, start: u64, end: u64) {
        self.0.store(start, Relaxed);
        self.1.store(end, Relaxed);
    }

    fn contains(&self, address: u64) -> bool {
        (self.0.load(Relaxed)..self.1.load(Relaxed)).contains(&address)
    }
}
