//! Taking stock of RAM: what the hypervisor keeps, what dom0 gets, what is free.
#![allow(unsafe_code, reason = "turns reserved RAM into the frame table")]

use alloc::vec::Vec;

use xen_core::ids::{Maddr, PAGE_SIZE};
use xen_core::memory::allocator::FrameAllocator;
use xen_core::memory::frame::{FrameInfo, FrameTable};
use xen_core::memory::remains::Remains;

use super::address_space::{self, BootFrames, ImageLayout};
use super::loader::BootInfo;
use crate::dom0::PhysRange;
use crate::dom0::e820::{Dom0Map, E820Entry, E820Kind, sanitized};

const PAGE: u64 = PAGE_SIZE as u64;
const LOW_MEMORY: PhysRange = PhysRange {
    start: 0,
    end: 1 << 20,
};
const BELOW_4G: u64 = 1 << 32;
/// Heap until the frames are known: more is taken from them later.
const HEAP_BYTES: u64 = 4 << 20;
/// What each CPU needs of it before that: four stacks, which for their alignment take half as much again, descriptor tables, its record.
const HEAP_BYTES_PER_CPU: u64 = 256 << 10;
/// Page tables beyond the direct map's lowest level, windows for device registers included.
const TABLE_BYTES: u64 = 2 << 20;

/// Never given to dom0, however much it shall have: state of processors and vCPUs, tables of dom0's map. Besides this one page in
/// [`PAGES_PER_SPARE`], for the tables.
const SPARE_BYTES: u64 = 16 << 20;
const PAGES_PER_SPARE: u64 = 256;

/// The result.
pub struct Memory {
    /// The machine's map, sorted and without overlaps.
    pub host_map: Vec<E820Entry>,
    /// Frame records.
    pub table: FrameTable,
    /// Frames free for domains.
    pub free: FrameAllocator,
    /// dom0's share.
    pub dom0: Dom0Map,
    /// RAM in pages.
    pub total_pages: u64,
    /// Highest RAM frame.
    pub max_mfn: u64,
    /// For the heap.
    pub heap: PhysRange,
}

fn ram(map: &[E820Entry]) -> impl DoubleEndedIterator<Item = PhysRange> + '_ {
    map.iter()
        .filter(|e| e.kind == E820Kind::RAM)
        .map(|e| e.range.pages_inside())
}

/// `mem=`: RAM from this address on does not exist.
pub fn forget_from(map: &mut Vec<E820Entry>, end: u64) {
    for entry in map.iter_mut().filter(|e| e.kind == E820Kind::RAM) {
        entry.range.end = entry.range.end.min(end.max(entry.range.start));
    }
    map.retain(|e| e.range.start < e.range.end);
}

/// The highest place below 4 GiB for `len` bytes that nothing in `taken` overlaps.
fn place(map: &[E820Entry], len: u64, taken: &[PhysRange]) -> Option<PhysRange> {
    ram(map)
        .rev()
        .filter(|r| r.start < BELOW_4G)
        .find_map(|region| {
            let mut end = region.end.min(BELOW_4G);
            loop {
                let start = end
                    .checked_sub(len)
                    .filter(|&s| s >= region.start.max(LOW_MEMORY.end))?;
                let candidate = PhysRange { start, end };
                match taken.iter().find(|t| t.overlaps(&candidate)) {
                    Some(t) => end = t.start & !(PAGE - 1),
                    None => return Some(candidate),
                }
            }
        })
}

/// Switches to the final address space and divides the RAM of a machine with so many `cpus`. `allotment` turns available pages into dom0's;
/// `untouched` is how the free ones are marked.
///
/// # Errors
/// A message when the map is unusable or there is too little memory.
pub fn init(
    info: &BootInfo,
    image: &ImageLayout,
    cpus: u32,
    allotment: impl FnOnce(u64) -> u64,
    untouched: Remains,
) -> Result<Memory, &'static str> {
    let host_map =
        sanitized(&info.memory_map).map_err(|_| "the memory map has too many entries")?;
    let ram_end = ram(&host_map).map(|r| r.end).max().ok_or("no RAM")?;
    // ACPI tables may lie above the highest RAM below 4 GiB.
    let mapped_end = ram_end.max(BELOW_4G);
    let pages = ram_end / PAGE;
    let table_bytes = (pages * size_of::<FrameInfo>() as u64).next_multiple_of(PAGE);
    let need = table_bytes + (mapped_end >> 21) * 8 + TABLE_BYTES + heap_bytes(cpus);
    let image_range = PhysRange {
        start: image.start,
        end: image.end,
    };
    let mut taken: Vec<PhysRange> = info.modules.iter().map(|m| m.range).collect();
    taken.push(image_range);
    let own = place(&host_map, need.next_multiple_of(PAGE), &taken)
        .ok_or("too little memory for the hypervisor")?;
    let mut pool = BootFrames::new(own);
    address_space::enter(image, mapped_end, &mut pool)
        .map_err(|_| "too little memory for page tables")?;
    let frames = pool
        .take(table_bytes)
        .ok_or("too little memory for the frame table")?;
    // SAFETY: the range was just taken out of free RAM and is used for nothing else.
    let table = unsafe { frame_table(frames, pages as usize) };
    let total_pages = ram(&host_map).map(|r| r.len() / PAGE).sum();
    let available = without_spare(total_pages - own.len() / PAGE - image_range.len() / PAGE);
    let kept = [image_range, own];
    let dom0 = Dom0Map::new(&host_map, &kept, allotment(available))
        .map_err(|_| "too little memory for dom0")?;
    let mut free = FrameAllocator::new(table);
    let mut not_free: Vec<PhysRange> = dom0.ram.clone();
    not_free.extend(kept);
    not_free.extend(info.modules.iter().map(|m| m.range.pages_touched()));
    not_free.push(LOW_MEMORY);
    release(&mut free, ram(&host_map), &not_free, untouched);
    Ok(Memory {
        host_map,
        table,
        free,
        dom0,
        total_pages,
        max_mfn: pages - 1,
        heap: pool.rest(),
    })
}

const fn heap_bytes(cpus: u32) -> u64 {
    HEAP_BYTES + cpus as u64 * HEAP_BYTES_PER_CPU
}

const fn without_spare(pages: u64) -> u64 {
    pages.saturating_sub(SPARE_BYTES / PAGE + pages / PAGES_PER_SPARE)
}

/// # Safety
/// `at` is the start of enough RAM for `pages` records that nobody else uses.
unsafe fn frame_table(at: Maddr, pages: usize) -> FrameTable {
    // SAFETY: the caller's promise; every record is written before the slice is formed.
    unsafe {
        let first = (crate::direct_map::BASE + at.0) as *mut FrameInfo;
        for index in 0..pages {
            first.add(index).write(FrameInfo::absent());
        }
        FrameTable::new(core::slice::from_raw_parts(first, pages))
    }
}

/// Gives all pages of `ranges` that lie in none of `except` to the allocator.
pub fn release(
    free: &mut FrameAllocator,
    ranges: impl Iterator<Item = PhysRange>,
    except: &[PhysRange],
    remains: Remains,
) {
    for range in left_over(ranges, except) {
        free.free_range(Maddr(range.start).mfn(), Maddr(range.end).mfn(), remains);
    }
}

/// The pages of `ranges` that lie in none of `except`.
#[must_use]
pub fn left_over(ranges: impl Iterator<Item = PhysRange>, except: &[PhysRange]) -> Vec<PhysRange> {
    let mut except: Vec<PhysRange> = except.to_vec();
    except.sort_by_key(|r| r.start);
    let mut left = Vec::new();
    for range in ranges {
        let mut at = range.start;
        for hole in except.iter().filter(|h| h.overlaps(&range)) {
            if hole.start > at {
                left.push(PhysRange {
                    start: at,
                    end: hole.start,
                });
            }
            at = at.max(hole.end.next_multiple_of(PAGE));
        }
        if at < range.end {
            left.push(PhysRange {
                start: at,
                end: range.end,
            });
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(start: u64, end: u64) -> PhysRange {
        PhysRange {
            start: start * PAGE,
            end: end * PAGE,
        }
    }

    #[test]
    fn every_cpu_finds_room_for_its_stacks() {
        use crate::cpu::percpu::{PerCpu, STACK_SIZE};
        use crate::cpu::tables::EXCEPTION_STACKS;
        // An allocator's note behind an aligned block costs the rest up to the next border.
        let stacks = (1 + EXCEPTION_STACKS as u64 + 2) * STACK_SIZE;
        let rest = size_of::<PerCpu>() as u64 + 256 * 16 + 1024;
        assert!(heap_bytes(64) - heap_bytes(0) >= 64 * (stacks + rest));
    }

    #[test]
    fn dom0_never_gets_the_last_pages() {
        const GIB: u64 = (1 << 30) / PAGE;
        assert_eq!(GIB - without_spare(GIB), 4096 + GIB / 256);
        assert_eq!(without_spare(100), 0);
    }

    #[test]
    fn exceptions_are_left_out_whatever_their_order() {
        let except = [range(8, 9), range(2, 4), range(3, 5)];
        let left = left_over([range(0, 10), range(20, 21)].into_iter(), &except);
        assert_eq!(
            left,
            [range(0, 2), range(5, 8), range(9, 10), range(20, 21)]
        );
    }

    #[test]
    fn an_exception_at_the_edge_of_a_range_leaves_no_empty_one() {
        let left = left_over([range(0, 10)].into_iter(), &[range(0, 1), range(9, 12)]);
        assert_eq!(left, [range(1, 9)]);
        assert!(left_over([range(0, 1)].into_iter(), &[range(0, 4)]).is_empty());
    }
}
