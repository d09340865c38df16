//! Taking frames from the allocator and giving them back, and scrubbing them while there is nothing else to do.

use core::sync::atomic::Ordering::SeqCst;

use super::Hypervisor;
use crate::domain::Domain;
use crate::ids::{Domid, Mfn};
use crate::memory::allocator::{Block, FrameAllocator, Purpose};
use crate::memory::frame::Put;
use crate::memory::remains::Remains;

impl Hypervisor {
    /// A block of free frames for the hypervisor itself, claims or not.
    pub fn take_block(&self, order: u32, purpose: Purpose) -> Option<Block> {
        self.take_when_back(|frames| {
            (1 << order <= frames.free_pages()).then(|| frames.allocate(order, purpose))
        })
    }

    /// A block for a domain, at a certain place if one is given. Claimed pages are for those who claimed them: others may only take what is
    /// left.
    pub(super) fn take_block_for(
        &self,
        domain: &Domain,
        order: u32,
        at: Option<Mfn>,
    ) -> Option<Block> {
        let pages = 1u64 << order;
        self.take_when_back(|frames| {
            let own_claim = domain.memory.claimed.load(SeqCst);
            let others_claims = self.claimed_pages.load(SeqCst).saturating_sub(own_claim);
            if frames.free_pages() < pages.saturating_add(others_claims) {
                return None;
            }
            let block = match at {
                Some(first) => frames.allocate_at(first, order),
                None => frames.allocate(order, Purpose::Clean),
            };
            if block.is_some() {
                let used = own_claim.min(pages);
                domain.memory.claimed.fetch_sub(used, SeqCst);
                self.claimed_pages.fetch_sub(used, SeqCst);
            }
            Some(block)
        })
    }

    /// Tries again while frames are missing only because they are being scrubbed. `attempt` returns `None` if it cannot succeed then either.
    ///
    /// The wait is for CPUs that scrub one piece and need nothing but the allocator's lock for that.
    fn take_when_back(
        &self,
        attempt: impl Fn(&mut FrameAllocator) -> Option<Option<Block>>,
    ) -> Option<Block> {
        let mut frames = self.frames.lock();
        match attempt(&mut frames)? {
            None if frames.is_scrubbing() => frames.begin_wait(),
            result => return result,
        }
        loop {
            let is_scrubbing = frames.is_scrubbing();
            let result = attempt(&mut frames).flatten();
            if result.is_some() || !is_scrubbing {
                frames.end_wait();
                return result;
            }
            drop(frames);
            core::hint::spin_loop();
            frames = self.frames.lock();
        }
    }

    /// Scrubs some free memory, for as long as an idle CPU may be deaf: tens of microseconds. `false` if there is nothing to scrub.
    pub fn scrub_piece(&self) -> bool {
        let Some(piece) = self.frames.lock().take_piece() else {
            return false;
        };
        let scrubbed = piece.scrub(self.table, self.memory);
        self.frames.lock().put_piece(scrubbed);
        true
    }

    /// Gives back one frame whose last reference is gone.
    pub(super) fn free_last(&self, frame: Mfn, owner: Domid) {
        self.free_run(frame, 1, owner);
    }

    /// Drops the allocation references of adjacent frames. Translation caches no longer hold them.
    pub fn release_pages(&self, first: Mfn, pages: u64) {
        let mut returns = Returns::new(self);
        (first.0..first.0.saturating_add(pages)).for_each(|frame| returns.release(Mfn(frame)));
    }

    fn free_run(&self, first: Mfn, pages: u64, owner: Domid) {
        let domain = if owner.is_guest() {
            self.domain(owner)
        } else {
            None
        };
        let remains = match &domain {
            Some(domain) => self.left_by(domain),
            None => Remains::SECRETS,
        };
        self.frames
            .lock()
            .free_range(first, Mfn(first.0 + pages), remains);
        if let Some(domain) = domain {
            self.disown(&domain, pages);
        }
    }

    /// A dying domain will not ask for its frames again.
    fn left_by(&self, domain: &Domain) -> Remains {
        if domain.is_dying() || self.options.scrub_domheap {
            Remains::SECRETS
        } else {
            domain.remains
        }
    }
}

/// Frames on their way back, of which adjacent ones of one owner go together: with one look for the owner and one hold of the lock.
/// Complete when dropped. At most some hundred frames may pass between two looks at other work.
pub struct Returns<'a> {
    hv: &'a Hypervisor,
    first: u64,
    pages: u64,
    owner: Domid,
}

impl<'a> Returns<'a> {
    /// None yet.
    #[must_use]
    pub const fn new(hv: &'a Hypervisor) -> Self {
        Self {
            hv,
            first: 0,
            pages: 0,
            owner: Domid::INVALID,
        }
    }

    /// As [`Hypervisor::release_page`].
    pub fn release(&mut self, frame: Mfn) {
        let Some(Put::Last(owner)) = self.hv.table.release(frame) else {
            return;
        };
        if self.pages > 0 && (self.first + self.pages, self.owner) == (frame.0, owner) {
            self.pages += 1;
            return;
        }
        self.flush();
        (self.first, self.pages, self.owner) = (frame.0, 1, owner);
    }

    fn flush(&mut self) {
        if self.pages > 0 {
            self.hv.free_run(Mfn(self.first), self.pages, self.owner);
            self.pages = 0;
        }
    }
}

impl Drop for Returns<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hal::MachineMemory;
    use crate::ids::{Gfn, PAGE_SIZE};
    use std::thread;
    use std::vec::Vec;

    fn counts(fake: &Fake) -> (u64, u64) {
        let frames = fake.hv.frames.lock();
        (frames.free_pages(), frames.dirty_pages())
    }

    fn scrub_all(fake: &Fake) {
        while fake.hv.scrub_piece() {}
    }

    #[test]
    fn idle_cpus_scrub_everything_and_free_memory_stays_the_same() {
        let fake = Fake::new();
        let _dom0 = fake.dom0(1);
        let (free, dirty) = counts(&fake);
        assert!(dirty > 0);
        scrub_all(&fake);
        assert_eq!(counts(&fake), (free, 0));
        assert!(!fake.hv.scrub_piece());
    }

    #[test]
    fn living_domain_gets_its_own_page_back_unscrubbed_but_zeroes_where_they_are_promised() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let page = fake.hv.allocate_domain_pages(&guest, 0).unwrap();
        let give_back = || {
            fake.memory.store_u64(page.maddr(), 42);
            fake.hv.release_page(page);
        };
        give_back();
        assert_eq!(fake.hv.allocate_used_domain_pages(&guest, 0), Some(page));
        assert_eq!(fake.memory.load_u64(page.maddr()), 42);
        give_back();
        assert_eq!(fake.hv.allocate_domain_pages(&guest, 0), Some(page));
        assert_eq!(fake.memory.load_u64(page.maddr()), 0);
    }

    #[test]
    fn nobody_else_sees_what_a_living_or_a_dead_domain_left() {
        for kill in [false, true] {
            let fake = Fake::new();
            let _dom0 = fake.dom0(1);
            let (guest, other) = (fake.domain(1), fake.domain(1));
            let page = fake.mfn(&guest, Gfn(3));
            fake.memory.store_u64(page.maddr(), 42);
            if kill {
                while !fake.hv.destroy_step(&guest).unwrap() {}
            } else {
                let _ = fake.hv.unmap_page(&guest, Gfn(3));
            }
            let taken: Vec<_> =
                core::iter::from_fn(|| fake.hv.allocate_used_domain_pages(&other, 0)).collect();
            assert!(taken.contains(&page));
            assert!(
                taken
                    .iter()
                    .all(|frame| fake.memory.load_u64(frame.maddr()) == 0)
            );
        }
    }

    #[test]
    fn number_of_a_dead_domain_gives_no_right_to_its_memory() {
        let fake = Fake::new();
        let _dom0 = fake.dom0(1);
        let first = fake.domain(1);
        let page = fake.mfn(&first, Gfn(3));
        fake.memory.store_u64(page.maddr(), 42);
        let _ = fake.hv.unmap_page(&first, Gfn(3));
        while !fake.hv.destroy_step(&first).unwrap() {}
        let second = fake.domain(1);
        assert_ne!(first.remains, second.remains);
        while let Some(frame) = fake.hv.allocate_used_domain_pages(&second, 0) {
            assert_eq!(fake.memory.load_u64(frame.maddr()), 0);
        }
    }

    #[test]
    fn scrub_domheap_hides_a_domains_own_remains_too() {
        let fake = Fake::with_options("scrub-domheap");
        let guest = fake.domain(1);
        let page = fake.hv.allocate_domain_pages(&guest, 0).unwrap();
        fake.memory.store_u64(page.maddr(), 42);
        fake.hv.release_page(page);
        assert_eq!(fake.hv.allocate_used_domain_pages(&guest, 0), Some(page));
        assert_eq!(fake.memory.load_u64(page.maddr()), 0);
    }

    #[test]
    fn run_of_frames_comes_back_but_for_those_still_mapped() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let before = (counts(&fake).0, guest.memory.total.load(SeqCst));
        let first = fake.hv.allocate_domain_pages(&guest, 4).unwrap();
        let mapped = Mfn(first.0 + 5);
        assert!(fake.hv.table.get(mapped, guest.id));
        fake.hv.release_pages(first, 16);
        assert_eq!(
            (counts(&fake).0, guest.memory.total.load(SeqCst)),
            (before.0 - 1, before.1 + 1)
        );
        fake.hv.put_page(mapped);
        assert_eq!((counts(&fake).0, guest.memory.total.load(SeqCst)), before);
    }

    /// The last free memory is always found, even at the moment when it is being scrubbed; what is found is scrubbed; nothing is lost.
    #[test]
    fn allocation_waits_for_memory_that_is_being_scrubbed() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let free = counts(&fake).0;
        let hv = fake.hv;
        let stop = core::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(SeqCst) {
                        hv.scrub_piece();
                    }
                });
            }
            for _ in 0..20 {
                let mut taken = Vec::new();
                for _ in 0..free {
                    let frame = hv.allocate_domain_pages(&guest, 0).expect("it is free");
                    assert_eq!(fake.memory.load_u64(frame.maddr()), 0);
                    fake.memory
                        .store_u64(crate::ids::Maddr(frame.maddr().0 + PAGE_SIZE as u64 - 8), 1);
                    taken.push(frame);
                }
                assert!(hv.allocate_domain_pages(&guest, 0).is_none());
                for frame in taken {
                    fake.memory.store_u64(frame.maddr(), 1);
                    hv.release_page(frame);
                }
                assert_eq!(counts(&fake).0, free);
            }
            stop.store(true, SeqCst);
        });
        scrub_all(&fake);
        assert_eq!(counts(&fake), (free, 0));
    }
}
