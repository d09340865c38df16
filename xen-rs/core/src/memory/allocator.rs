//! Buddy allocator over machine frames, orders 0 (4 KiB) to 18 (1 GiB).
//!
//! Frames come back as their users left them ([`Remains`]) and are scrubbed afterwards, a piece at a time: [`FrameAllocator::take_piece`]
//! takes some dirty frames out of the lists, the caller scrubs them without the lock, and [`FrameAllocator::put_piece`] puts them back. These
//! frames are free all the time. If an allocation fails while pieces are out it may be for want of just these, so the caller announces himself
//! ([`FrameAllocator::begin_wait`]), which keeps further pieces from being taken, and tries again when they are back.
//!
//! Large allocations prefer clean blocks to a fitting size, single frames a fitting size to clean blocks: scrubbing one frame is cheaper than
//! breaking up memory that will be missed.

use core::ops::Range;

use super::frame::FrameTable;
use super::free_lists::{Buddy, FreeLists, State, Zone};
use super::remains::Remains;
use crate::ids::Mfn;

pub use super::block::{Block, Piece, Scrubbed};
pub use super::free_lists::MAX_ORDER;

/// Frames scrubbed at a time, as a power of two: 256 KiB, some 33,000 iterations of a string instruction.
const PIECE_ORDER: u32 = 6;
/// CPUs that scrub at the same time: as many as it takes to saturate memory, so that others do not fight for the lock.
const MAX_PIECES: u32 = 4;

/// What an allocation is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A domain's, or a table: dirty frames would have to be scrubbed first.
    Clean,
    /// Memory that no domain ever sees: dirty frames will do as well.
    Private,
}

/// The free frames. Lives behind a lock of rank `Frames`.
pub struct FrameAllocator {
    table: FrameTable,
    lists: FreeLists,
    free_pages: u64,
    dirty_pages: u64,
    pieces: u32,
    waiting: u32,
    next_domain: u32,
}

impl FrameAllocator {
    /// An allocator without frames.
    #[must_use]
    pub const fn new(table: FrameTable) -> Self {
        Self {
            table,
            lists: FreeLists::new(table),
            free_pages: 0,
            dirty_pages: 0,
            pieces: 0,
            waiting: 0,
            next_domain: Remains::FIRST_DOMAIN,
        }
    }

    /// Keeps these frames, none of which is free, for the domain that has them: an identity-mapped dom0 needs them back at their own addresses
    /// when its memory grows again. Once free, others get them only where nothing else is left.
    pub const fn set_home(&mut self, frames: &'static [Range<u32>]) {
        self.lists.set_home(frames);
    }

    /// Whether the frame is one of these.
    #[must_use]
    pub fn is_home(&self, frame: Mfn) -> bool {
        u32::try_from(frame.0).is_ok_and(|frame| self.lists.zone_of(frame) == Zone::Home)
    }

    /// Free frames now, those among them that are being scrubbed included.
    #[must_use]
    pub const fn free_pages(&self) -> u64 {
        self.free_pages
    }

    /// Free frames that have to be scrubbed.
    #[must_use]
    pub const fn dirty_pages(&self) -> u64 {
        self.dirty_pages
    }

    /// A mark for what a new domain will leave in its frames. No other domain ever has the same.
    pub fn new_domain(&mut self) -> Remains {
        match self.next_domain.checked_add(1) {
            Some(next) => Remains(core::mem::replace(&mut self.next_domain, next)),
            None => Remains::SECRETS,
        }
    }

    /// Gives back frames `start..end`, or adds RAM that was never free before.
    pub fn free_range(&mut self, start: Mfn, end: Mfn, remains: Remains) {
        let mut at = start.0;
        let end = end.0.min(self.table.end().0);
        while at < end {
            let order = MAX_ORDER.min(at.trailing_zeros()).min((end - at).ilog2());
            self.free(Mfn(at), order, remains);
            at += 1 << order;
        }
    }

    /// Gives back an aligned block.
    pub fn free(&mut self, first: Mfn, order: u32, remains: Remains) {
        let head = u32::try_from(first.0).expect("frame came from the allocator");
        let pages = 1 << order;
        (first.0..first.0 + pages).for_each(|frame| self.table.set_remains(Mfn(frame), remains));
        self.free_pages += pages;
        let mut clean = 1 << order;
        if remains.is_dirty() {
            self.dirty_pages += pages;
            clean = 0;
        }
        self.insert(Buddy { head, order, clean });
    }

    /// `1 << order` contiguous, aligned frames, or `None`.
    pub fn allocate(&mut self, order: u32, purpose: Purpose) -> Option<Block> {
        let found = self.choose(order, purpose)?;
        Some(self.cut(found, found.head, order))
    }

    /// The `1 << order` frames from `first` on, if that is aligned and they are all free. Frames that are being scrubbed are not found.
    pub fn allocate_at(&mut self, first: Mfn, order: u32) -> Option<Block> {
        let head = u32::try_from(first.0).ok()?;
        if head.trailing_zeros() < order {
            return None;
        }
        let around = |larger: u32| self.lists.at(head & !((1 << larger) - 1), larger);
        let found = (order..=MAX_ORDER).find_map(around)?;
        Some(self.cut(found, head, order))
    }

    /// Takes the `1 << order` frames at `head` out of a free block, of which the rest stays free.
    fn cut(&mut self, found: Buddy, head: u32, order: u32) -> Block {
        self.lists.unlink(found);
        let mut taken = found;
        while taken.order > order {
            let (lower, upper) = taken.halves();
            let (keep, give) = if head < upper.head {
                (lower, upper)
            } else {
                (upper, lower)
            };
            self.lists.link(give);
            taken = keep;
        }
        self.free_pages -= u64::from(taken.pages());
        self.dirty_pages -= self.count_dirty(&taken);
        Block(taken)
    }

    fn choose(&self, order: u32, purpose: Purpose) -> Option<Buddy> {
        if order > MAX_ORDER {
            return None;
        }
        let chosen = self.choose_in(Zone::Common, order, purpose);
        chosen.or_else(|| self.choose_in(Zone::Home, order, purpose))
    }

    fn choose_in(&self, zone: Zone, order: u32, purpose: Purpose) -> Option<Buddy> {
        let clean = self.lists.smallest(zone, State::Clean, order);
        let dirty = self.lists.smallest(zone, State::Dirty, order);
        match (clean, dirty) {
            (Some(clean), Some(dirty)) => {
                let takes_dirty = match purpose {
                    Purpose::Clean => order == 0 && dirty.order < clean.order,
                    Purpose::Private => dirty.order <= clean.order,
                };
                Some(if takes_dirty { dirty } else { clean })
            }
            (clean, dirty) => clean.or(dirty),
        }
    }

    fn count_dirty(&self, block: &Buddy) -> u64 {
        (block.clean..block.pages())
            .filter(|offset| self.is_dirty(block.head + offset))
            .count() as u64
    }

    fn is_dirty(&self, frame: u32) -> bool {
        self.table.remains(Mfn(u64::from(frame))).is_dirty()
    }

    /// Dirty frames to be scrubbed by the caller, unless there are none or enough CPUs are at it.
    pub fn take_piece(&mut self) -> Option<Piece> {
        if self.pieces == MAX_PIECES || self.waiting > 0 {
            return None;
        }
        let found = [Zone::Common, Zone::Home]
            .into_iter()
            .find_map(|zone| self.lists.largest(zone, State::Dirty))?;
        self.lists.unlink(found);
        self.pieces += 1;
        let mut taken = found;
        while taken.order > PIECE_ORDER {
            let (lower, upper) = taken.halves();
            let (keep, give) = if lower.is_clean() {
                (upper, lower)
            } else {
                (lower, upper)
            };
            self.lists.link(give);
            taken = keep;
        }
        Some(Piece(taken))
    }

    /// Gives back frames that [`Self::take_piece`] handed out.
    pub fn put_piece(&mut self, piece: Scrubbed) {
        self.dirty_pages -= piece.were_dirty;
        self.pieces -= 1;
        self.insert(piece.frames);
    }

    /// Whether an allocation that failed may succeed when the frames that are being scrubbed are back.
    #[must_use]
    pub const fn is_scrubbing(&self) -> bool {
        self.pieces > 0
    }

    /// No further pieces are taken until [`Self::end_wait`].
    pub fn begin_wait(&mut self) {
        self.waiting += 1;
    }

    /// See [`Self::begin_wait`].
    pub fn end_wait(&mut self) {
        self.waiting -= 1;
    }

    /// Links a block after merging it with its free buddies.
    fn insert(&mut self, block: Buddy) {
        let mut whole = block;
        let zone = self.lists.zone_of(block.head);
        while whole.order < MAX_ORDER {
            let buddy = self.lists.at(whole.head ^ whole.pages(), whole.order);
            let Some(buddy) = buddy.filter(|buddy| self.lists.zone_of(buddy.head) == zone) else {
                break;
            };
            self.lists.unlink(buddy);
            whole = whole.merged(buddy);
        }
        self.lists.link(whole);
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::FrameInfo;
    use super::*;
    use crate::fake::FakeMemory;
    use crate::hal::MachineMemory;
    use crate::ids::Maddr;
    use std::boxed::Box;
    use std::vec::Vec;

    const SECRET: u64 = 0x5ec2e7;

    struct Ram {
        memory: FakeMemory,
        table: FrameTable,
        free: FrameAllocator,
    }

    impl Ram {
        /// RAM of which nothing is free yet.
        fn new(frames: usize) -> Self {
            let infos: Vec<_> = (0..frames).map(|_| FrameInfo::absent()).collect();
            let table = FrameTable::new(Box::leak(infos.into_boxed_slice()));
            Self {
                memory: FakeMemory::new(frames),
                table,
                free: FrameAllocator::new(table),
            }
        }

        fn fill(&self, first: Mfn, pages: u64) {
            (first.0..first.0 + pages).for_each(|f| self.memory.store_u64(Mfn(f).maddr(), SECRET));
        }

        fn holds_secret(&self, frame: Mfn) -> bool {
            self.memory.load_u64(frame.maddr()) == SECRET
        }

        fn give(&mut self, start: u64, end: u64, remains: Remains) {
            self.fill(Mfn(start), end - start);
            self.free.free_range(Mfn(start), Mfn(end), remains);
        }

        fn scrub_one(&mut self) -> bool {
            let Some(piece) = self.free.take_piece() else {
                return false;
            };
            let done = piece.scrub(self.table, &self.memory);
            self.free.put_piece(done);
            true
        }

        fn scrub_all(&mut self) {
            while self.scrub_one() {}
        }

        fn take(&mut self, order: u32) -> Option<Mfn> {
            let block = self.free.allocate(order, Purpose::Clean)?;
            Some(block.zeroed(self.table, &self.memory))
        }

        fn take_for(&mut self, order: u32, own: Remains) -> Mfn {
            let block = self.free.allocate(order, Purpose::Clean).unwrap();
            block.scrubbed_for(own, self.table, &self.memory)
        }
    }

    #[test]
    fn certain_frames_are_cut_out_of_what_is_free_and_merge_back() {
        let mut ram = Ram::new(4096);
        ram.give(3, 4000, Remains::SECRETS);
        ram.scrub_all();
        ram.give(4000, 4096, Remains::SECRETS);
        let before = (ram.free.free_pages(), ram.free.dirty_pages());
        let cases = [(3, 0), (1024, 10), (517, 0), (514, 1), (4090, 1), (3072, 9)];
        let blocks = cases.map(|(first, order)| {
            let block = ram.free.allocate_at(Mfn(first), order).unwrap();
            assert!(ram.free.allocate_at(Mfn(first), 0).is_none());
            assert_eq!(block.zeroed(ram.table, &ram.memory), Mfn(first));
            (first, order)
        });
        assert_eq!(ram.free.free_pages(), before.0 - 1 - 1024 - 1 - 2 - 2 - 512);
        for (first, order) in [(2, 0), (1025, 1), (512, 9), (4096, 0), (u64::MAX, 0)] {
            assert!(ram.free.allocate_at(Mfn(first), order).is_none());
        }
        for (first, order) in blocks {
            ram.free.free(Mfn(first), order, Remains::ZEROES);
        }
        ram.scrub_all();
        assert_eq!(
            (ram.free.free_pages(), ram.free.dirty_pages()),
            (before.0, 0)
        );
        assert!(ram.free.allocate_at(Mfn(2048), 11).is_some());
    }

    #[test]
    fn frames_of_somebodys_home_are_given_away_last_and_stay_apart() {
        static HOME: [Range<u32>; 2] = [512..1024, 1536..1600];
        let mut ram = Ram::new(2048);
        ram.free.set_home(&HOME);
        for (start, end) in [
            (0, 512),
            (512, 1024),
            (1024, 1536),
            (1536, 1600),
            (1600, 2048),
        ] {
            ram.give(start, end, Remains::SECRETS);
        }
        let is_home = |frame: Mfn| HOME.iter().any(|range| range.contains(&(frame.0 as u32)));
        let mut frames = Vec::new();
        while let Some(block) = ram.free.allocate(0, Purpose::Private) {
            frames.push(block.zeroed(ram.table, &ram.memory));
        }
        assert_eq!(frames.len(), 2048);
        let (common, home) = frames.split_at(2048 - 576);
        assert!(!common.iter().any(|&frame| is_home(frame)));
        assert!(home.iter().all(|&frame| is_home(frame)));
        for &frame in &frames {
            ram.free.free(frame, 0, Remains::ZEROES);
        }
        // Whole again on either side of the border, and not across it.
        assert!(ram.free.allocate(10, Purpose::Clean).is_none());
        assert!(ram.free.allocate_at(Mfn(512), 9).is_some());
        let other = ram.free.allocate(9, Purpose::Clean);
        assert!(other.is_some_and(|block| !is_home(block.zeroed(ram.table, &ram.memory))));
    }

    #[test]
    fn blocks_are_aligned_disjoint_and_merge_back() {
        let mut ram = Ram::new(4096);
        ram.give(3, 4000, Remains::SECRETS);
        let before = ram.free.free_pages();
        let mut taken = Vec::new();
        for order in [0, 9, 3, 0, 5, 1, 9, 2] {
            let block = ram.take(order).expect("enough memory");
            assert_eq!(block.0 % (1 << order), 0);
            taken.push((block, order));
        }
        for (i, &(b, o)) in taken.iter().enumerate() {
            for &(c, p) in &taken[i + 1..] {
                assert!(b.0 + (1 << o) <= c.0 || c.0 + (1 << p) <= b.0);
            }
        }
        for (block, order) in taken {
            ram.free.free(block, order, Remains::SECRETS);
        }
        assert_eq!(ram.free.free_pages(), before);
        assert!(ram.take(10).is_some());
    }

    #[test]
    fn exhausted_memory_is_none_and_nothing_is_lost() {
        let mut ram = Ram::new(16);
        ram.give(0, 16, Remains::SECRETS);
        assert!(ram.take(5).is_none());
        let all: Vec<_> = (0..16).map(|_| ram.take(0).expect("free frame")).collect();
        assert!(ram.take(0).is_none());
        for frame in all {
            ram.free.free(frame, 0, Remains::SECRETS);
        }
        assert_eq!(ram.take(4), Some(Mfn(0)));
        assert_eq!((ram.free.free_pages(), ram.free.dirty_pages()), (0, 0));
    }

    #[test]
    fn dirty_frames_are_scrubbed_before_anybody_gets_them() {
        let mut ram = Ram::new(64);
        ram.give(0, 64, Remains::SECRETS);
        let first = ram.take(3).unwrap();
        assert!((0..8).all(|i| !ram.holds_secret(Mfn(first.0 + i))));
        assert_eq!(
            (ram.free.free_pages(), ram.free.dirty_pages()),
            (64 - 8, 64 - 8)
        );
        let stranger = ram.free.new_domain();
        let second = ram.take_for(0, stranger);
        assert!(!ram.holds_secret(second));
    }

    #[test]
    fn clean_and_dirty_buddies_merge_and_only_the_dirty_half_is_scrubbed_again() {
        let mut ram = Ram::new(64);
        ram.give(0, 64, Remains::SECRETS);
        ram.scrub_all();
        assert_eq!((ram.free.free_pages(), ram.free.dirty_pages()), (64, 0));
        let low = ram.take(5).unwrap();
        let high = ram.take(5).unwrap();
        for (block, is_dirty) in [(low, false), (high, true), (high, false), (low, true)] {
            let remains = if is_dirty {
                Remains::SECRETS
            } else {
                Remains::ZEROES
            };
            ram.free.free(block, 5, remains);
            if ram.free.free_pages() == 64 {
                // What is not marked must be left alone: the allocator believes it.
                let clean = if block == low { high } else { low };
                assert_eq!(ram.free.dirty_pages(), 32);
                ram.memory.store_u64(clean.maddr(), 7);
                let whole = ram.take(6).expect("merged");
                assert_eq!(ram.memory.load_u64(clean.maddr()), 7);
                ram.free.free(whole, 6, Remains::ZEROES);
                let _ = (ram.take(5), ram.take(5));
            }
        }
    }

    #[test]
    fn scrubbing_ends_with_one_clean_block() {
        let mut ram = Ram::new(2048);
        ram.give(0, 2048, Remains::SECRETS);
        let mut pieces = 0;
        while ram.scrub_one() {
            pieces += 1;
            assert_eq!(ram.free.free_pages(), 2048);
            assert_eq!(
                ram.free.dirty_pages(),
                2048 - (pieces << PIECE_ORDER).min(2048)
            );
        }
        assert_eq!(pieces, 2048 >> PIECE_ORDER);
        assert!((0..2048).all(|f| !ram.holds_secret(Mfn(f))));
        // No second look at what is known to be clean.
        ram.fill(Mfn(0), 2048);
        let whole = ram.take(11).unwrap();
        assert!((0..2048).all(|f| ram.holds_secret(Mfn(whole.0 + f))));
    }

    #[test]
    fn frames_being_scrubbed_count_as_free_and_nobody_else_gets_them() {
        let mut ram = Ram::new(128);
        ram.give(0, 128, Remains::SECRETS);
        let piece = ram.free.take_piece().unwrap();
        assert_eq!((ram.free.free_pages(), ram.free.dirty_pages()), (128, 128));
        let other = ram.take(6).unwrap();
        assert!(ram.take(0).is_none() && ram.free.is_scrubbing());
        let done = piece.scrub(ram.table, &ram.memory);
        assert_eq!(ram.free.free_pages(), 64);
        ram.free.put_piece(done);
        assert!(!ram.free.is_scrubbing());
        let last = ram.take(6).unwrap();
        assert_ne!(other, last);
        assert_eq!((ram.free.free_pages(), ram.free.dirty_pages()), (0, 0));
    }

    #[test]
    fn no_piece_is_taken_while_somebody_waits_for_those_that_are_out() {
        let mut ram = Ram::new(512);
        ram.give(0, 512, Remains::SECRETS);
        let out: Vec<_> = (0..MAX_PIECES)
            .filter_map(|_| ram.free.take_piece())
            .collect();
        assert_eq!(out.len(), MAX_PIECES as usize);
        assert!(ram.free.take_piece().is_none());
        ram.free.begin_wait();
        for piece in out {
            let done = piece.scrub(ram.table, &ram.memory);
            ram.free.put_piece(done);
            assert!(ram.free.take_piece().is_none());
        }
        ram.free.end_wait();
        ram.scrub_all();
        assert_eq!((ram.free.free_pages(), ram.free.dirty_pages()), (512, 0));
    }

    #[test]
    fn domain_gets_its_own_frames_back_as_they_were_and_nobody_else_does() {
        let mut ram = Ram::new(16);
        let (own, other) = (ram.free.new_domain(), ram.free.new_domain());
        ram.give(0, 8, own);
        assert_eq!(ram.free.dirty_pages(), 8);
        let again = ram.take_for(1, own);
        assert!(ram.holds_secret(again));
        let theirs = ram.take_for(1, other);
        assert!(!ram.holds_secret(theirs) && !ram.holds_secret(Mfn(theirs.0 + 1)));
        let zeroed = ram.take(2).unwrap();
        assert!((0..4).all(|f| !ram.holds_secret(Mfn(zeroed.0 + f))));
        assert_ne!(own, other);
        assert!(own.is_dirty());
    }

    #[test]
    fn harmless_frames_are_not_scrubbed_unless_zeroes_are_needed() {
        let mut ram = Ram::new(4);
        ram.give(0, 4, Remains::HARMLESS);
        assert!(ram.free.take_piece().is_none());
        assert_eq!(ram.free.dirty_pages(), 0);
        let domain = ram.free.new_domain();
        let any = ram.take_for(0, domain);
        assert!(ram.holds_secret(any));
        let table = ram.take(0).unwrap();
        assert!(!ram.holds_secret(table));
    }

    #[test]
    fn large_blocks_are_taken_clean_where_possible_and_private_ones_dirty() {
        let mut ram = Ram::new(64);
        ram.give(0, 32, Remains::SECRETS);
        ram.scrub_all();
        ram.give(40, 48, Remains::SECRETS);
        assert!(ram.take(3).unwrap().0 < 32);
        assert_eq!(ram.free.dirty_pages(), 8);
        let private = ram.free.allocate(2, Purpose::Private).unwrap().unscrubbed();
        assert!((40..48).contains(&private.0) && ram.holds_secret(private));
        // One frame: the best fit.
        assert!((40..48).contains(&ram.take(0).unwrap().0));
    }

    /// Frames in all states, at random: nothing is lost, counted wrongly, handed out twice or dirty.
    #[test]
    fn random_use_keeps_count_and_shows_no_secret() {
        let mut ram = Ram::new(1024);
        ram.give(5, 1000, Remains::SECRETS);
        let marks = [
            Remains::SECRETS,
            ram.free.new_domain(),
            ram.free.new_domain(),
        ];
        let mut random = 12345u64;
        let mut below = |limit: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % limit
        };
        let (mut held, mut out) = (Vec::new(), Vec::new());
        for _ in 0..20_000 {
            match below(5) {
                0 | 1 => {
                    let order = below(7) as u32;
                    if let Some(first) = ram.take(order) {
                        (0..1 << order).for_each(|f| {
                            assert!(!ram.holds_secret(Mfn(first.0 + f)));
                            ram.memory.store_u64(Mfn(first.0 + f).maddr(), SECRET);
                        });
                        held.push((first, order));
                    }
                }
                2 if !held.is_empty() => {
                    let (first, order) = held.swap_remove(below(held.len() as u64) as usize);
                    ram.free.free(first, order, marks[below(3) as usize]);
                }
                3 => out.extend(ram.free.take_piece()),
                _ => {
                    if let Some(piece) = out.pop() {
                        let done = piece.scrub(ram.table, &ram.memory);
                        ram.free.put_piece(done);
                    }
                }
            }
            let taken: u64 = held.iter().map(|(_, order)| 1 << order).sum();
            assert_eq!(ram.free.free_pages() + taken, 995);
        }
        for (first, order) in held {
            ram.free.free(first, order, Remains::SECRETS);
        }
        for piece in out {
            let done = piece.scrub(ram.table, &ram.memory);
            ram.free.put_piece(done);
        }
        ram.scrub_all();
        assert_eq!((ram.free.free_pages(), ram.free.dirty_pages()), (995, 0));
        assert!((5..1000).all(|f| ram.memory.load_u64(Maddr(f << 12)) == 0));
    }
}
