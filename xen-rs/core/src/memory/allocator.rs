//! Buddy allocator over machine frames, orders 0 (4 KiB) to 18 (1 GiB).
//!
//! The free lists are linked through the frame records, so the allocator needs no memory of its own. Frames come back dirty; a frame
//! that was a domain's is scrubbed before it is handed out again, by whoever gives it back.

use core::sync::atomic::Ordering;

use super::frame::FrameTable;
use crate::ids::Mfn;

/// Largest order: 1 GiB.
pub const MAX_ORDER: u32 = 18;
const LISTS: usize = MAX_ORDER as usize + 1;
/// End of list.
const NONE: u32 = u32::MAX;

/// The free frames. Lives behind a lock of rank `Frames`.
pub struct FrameAllocator {
    table: FrameTable,
    heads: [u32; LISTS],
    free_pages: u64,
}

impl FrameAllocator {
    /// An allocator without frames.
    #[must_use]
    pub const fn new(table: FrameTable) -> Self {
        Self {
            table,
            heads: [NONE; LISTS],
            free_pages: 0,
        }
    }

    /// Free frames now.
    #[must_use]
    pub const fn free_pages(&self) -> u64 {
        self.free_pages
    }

    /// Adds RAM that was never free before: frames `start..end`.
    pub fn add_range(&mut self, start: Mfn, end: Mfn) {
        let mut at = start.0;
        let end = end.0.min(self.table.end().0);
        while at < end {
            let order = MAX_ORDER.min(at.trailing_zeros()).min((end - at).ilog2());
            self.free(Mfn(at), order);
            at += 1 << order;
        }
    }

    /// `1 << order` contiguous, aligned frames, or `None`.
    pub fn allocate(&mut self, order: u32) -> Option<Mfn> {
        let found = (order..=MAX_ORDER).find(|&o| self.heads[o as usize] != NONE)?;
        let block = self.heads[found as usize];
        self.unlink(block, found);
        for split in (order..found).rev() {
            self.link(block + (1 << split), split);
        }
        self.free_pages -= 1 << order;
        Some(Mfn(u64::from(block)))
    }

    /// The frames of an aligned block that is wholly free, wherever it lies; `false` leaves everything as it was.
    pub fn allocate_at(&mut self, block: Mfn, order: u32) -> bool {
        let Some((head, found)) = self.free_block_around(block, order) else {
            return false;
        };
        self.unlink(head, found);
        let mut keep = head;
        for split in (order..found).rev() {
            let upper = keep + (1 << split);
            if block.0 as u32 >= upper {
                self.link(keep, split);
                keep = upper;
            } else {
                self.link(upper, split);
            }
        }
        self.free_pages -= 1 << order;
        true
    }

    fn free_block_around(&self, block: Mfn, order: u32) -> Option<(u32, u32)> {
        let frame = u32::try_from(block.0).ok()?;
        (order..=MAX_ORDER).find_map(|o| {
            let head = frame & !((1u32 << o) - 1);
            self.is_free_head(head, o).then_some((head, o))
        })
    }

    /// Gives back an aligned block and merges it with its free buddies.
    pub fn free(&mut self, block: Mfn, order: u32) {
        let mut head = u32::try_from(block.0).expect("frame came from the allocator");
        let mut order = order;
        self.free_pages += 1 << order;
        while order < MAX_ORDER {
            let buddy = head ^ (1 << order);
            if !self.is_free_head(buddy, order) {
                break;
            }
            self.unlink(buddy, order);
            head &= !(1 << order);
            order += 1;
        }
        self.link(head, order);
    }

    fn is_free_head(&self, head: u32, order: u32) -> bool {
        self.table
            .info(Mfn(u64::from(head)))
            .is_some_and(|info| info.mark.load(Ordering::Relaxed) == order + 1)
    }

    fn link(&mut self, head: u32, order: u32) {
        let list = &mut self.heads[order as usize];
        let info = self
            .table
            .info(Mfn(u64::from(head)))
            .expect("block inside the table");
        info.next.store(*list, Ordering::Relaxed);
        info.prev.store(NONE, Ordering::Relaxed);
        info.mark.store(order + 1, Ordering::Relaxed);
        if *list != NONE {
            let old = self
                .table
                .info(Mfn(u64::from(*list)))
                .expect("linked block");
            old.prev.store(head, Ordering::Relaxed);
        }
        *list = head;
    }

    fn unlink(&mut self, head: u32, order: u32) {
        let info = self.table.info(Mfn(u64::from(head))).expect("linked block");
        let (next, prev) = (
            info.next.load(Ordering::Relaxed),
            info.prev.load(Ordering::Relaxed),
        );
        info.mark.store(0, Ordering::Relaxed);
        match self
            .table
            .info(Mfn(u64::from(prev)))
            .filter(|_| prev != NONE)
        {
            Some(before) => before.next.store(next, Ordering::Relaxed),
            None => self.heads[order as usize] = next,
        }
        if next != NONE {
            let after = self.table.info(Mfn(u64::from(next))).expect("linked block");
            after.prev.store(prev, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::FrameInfo;
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    fn allocator(frames: usize) -> FrameAllocator {
        let infos: Vec<_> = (0..frames).map(|_| FrameInfo::absent()).collect();
        FrameAllocator::new(FrameTable::new(Box::leak(infos.into_boxed_slice())))
    }

    #[test]
    fn blocks_are_aligned_disjoint_and_merge_back() {
        let mut a = allocator(4096);
        a.add_range(Mfn(3), Mfn(4000));
        let before = a.free_pages();
        let mut taken = Vec::new();
        for order in [0, 9, 3, 0, 5, 1, 9, 2] {
            let block = a.allocate(order).expect("enough memory");
            assert_eq!(block.0 % (1 << order), 0);
            taken.push((block, order));
        }
        for (i, &(b, o)) in taken.iter().enumerate() {
            for &(c, p) in &taken[i + 1..] {
                assert!(b.0 + (1 << o) <= c.0 || c.0 + (1 << p) <= b.0);
            }
        }
        for (block, order) in taken {
            a.free(block, order);
        }
        assert_eq!(a.free_pages(), before);
        assert!(a.allocate(10).is_some());
    }

    #[test]
    fn exhausted_memory_is_none_and_nothing_is_lost() {
        let mut a = allocator(16);
        a.add_range(Mfn(0), Mfn(16));
        assert!(a.allocate(5).is_none());
        let all: Vec<_> = (0..16)
            .map(|_| a.allocate(0).expect("free frame"))
            .collect();
        assert!(a.allocate(0).is_none());
        for frame in all {
            a.free(frame, 0);
        }
        assert_eq!(a.allocate(4), Some(Mfn(0)));
    }

    #[test]
    fn a_chosen_block_is_carved_out_of_a_larger_one() {
        let mut a = allocator(64);
        a.add_range(Mfn(0), Mfn(64));
        assert!(a.allocate_at(Mfn(20), 2));
        assert!(!a.allocate_at(Mfn(22), 0));
        assert_eq!(a.free_pages(), 60);
        a.free(Mfn(20), 2);
        assert_eq!(a.allocate(6), Some(Mfn(0)));
    }
}
