//! Populate-on-demand: giving frames to guest pages that wait for one, and keeping the cache they come from ([`crate::p2m::pod`]).
//!
//! A page gets its frame when the guest touches it (a nested page fault), when somebody takes a reference on it, or when the hypervisor writes
//! to it on somebody's behalf. What only reads sees zeroes and leaves the page as it is. A demand that cannot be met at once costs a
//! bounded search for unused pages (`super::reclaim`); a guest that faults repeats the access until the search has come around.
//!
//! Frames of the cache count as the domain's. They are released with no lock held, like any other.

use arrayvec::ArrayVec;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;

use super::Hypervisor;
use super::reclaim::Search;
use crate::console::{Level, log_guest};
use crate::domain::Domain;
use crate::ids::{Gfn, Mfn};
use crate::p2m::pod::{BLOCK_ORDER, BLOCK_PAGES};
use crate::p2m::{Behind, Mapping, P2m, P2mEntry, PageType};

/// Frames moved under one hold of the map's lock.
const BATCH: usize = 32;
/// Batches of surplus frames given back by one operation; what is left goes with the next.
const SURPLUS_BATCHES: u32 = 32;

/// What is done for a page on demand that somebody wants who cannot repeat his access, as a guest does that faults.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Nothing: it counts as not mapped.
    Nothing,
    /// One search for a frame: who is not served comes again, or can do without. A batch of such pages stays short.
    OneSearch,
    /// Several searches.
    Patient,
}

impl Effort {
    const fn searches(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::OneSearch => 1,
            Self::Patient => 64,
        }
    }
}

/// Why a page got no frame.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The search for unused pages has not come around yet: try again.
    SearchGoesOn,
    /// The cache is empty and the guest uses every page it has.
    OutOfMemory,
    /// No frame for a nested page table.
    OutOfTables,
    /// The domain is being destroyed.
    Dying,
}

impl Shortage {
    /// What a caller hears who wanted to reach the page.
    #[must_use]
    pub const fn errno(self) -> Errno {
        match self {
            Self::SearchGoesOn => Errno::EAGAIN,
            Self::OutOfMemory | Self::OutOfTables => Errno::ENOMEM,
            Self::Dying => Errno::EINVAL,
        }
    }
}

impl Hypervisor {
    /// Gives a page that a guest touched its frame. Nothing to do is success.
    ///
    /// # Errors
    /// See [`Shortage`].
    pub fn populate(&self, domain: &Domain, gfn: Gfn) -> Result<(), Shortage> {
        self.provide(&mut domain.p2m.write(), domain, gfn)
    }

    /// Does something with the page behind `gfn` while it cannot go away; a page on demand gets its frame first.
    ///
    /// # Errors
    /// Those of `act`; `EAGAIN`, `ENOMEM` or `EINVAL` if there is no frame (see [`Shortage`]).
    pub fn with_page<R>(
        &self,
        domain: &Domain,
        gfn: Gfn,
        act: impl FnOnce(Option<Mapping>) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        self.with_page_by(domain, gfn, Effort::Patient, act)
    }

    /// The same with a choice of what is done to get a page its frame.
    ///
    /// # Errors
    /// Those of [`Self::with_page`].
    pub fn with_page_by<R>(
        &self,
        domain: &Domain,
        gfn: Gfn,
        effort: Effort,
        act: impl FnOnce(Option<Mapping>) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        {
            let map = domain.p2m.read();
            let found = map.find(gfn);
            if effort == Effort::Nothing || !matches!(found, Behind::OnDemand(_)) {
                return act(found.page());
            }
        }
        let mut map = domain.p2m.write();
        self.provide_by(&mut map, domain, gfn, effort)?;
        act(map.lookup(gfn))
    }

    /// [`Self::populate`] for those who cannot repeat an access like a guest.
    ///
    /// # Errors
    /// See [`Shortage::errno`].
    pub(crate) fn provide_by(
        &self,
        map: &mut P2m,
        domain: &Domain,
        gfn: Gfn,
        effort: Effort,
    ) -> Result<(), Errno> {
        for _ in 0..effort.searches() {
            match self.provide(map, domain, gfn) {
                Err(Shortage::SearchGoesOn) => {}
                result => return result.map_err(Shortage::errno),
            }
        }
        Err(Errno::EAGAIN)
    }

    fn provide(&self, map: &mut P2m, domain: &Domain, gfn: Gfn) -> Result<(), Shortage> {
        let Behind::OnDemand(order) = map.find(gfn) else {
            return Ok(());
        };
        if domain.is_dying() {
            return Err(Shortage::Dying);
        }
        if map.pod().cached() == 0 {
            match self.search(map, domain) {
                Search::Found => {}
                Search::GoesOn => return Err(Shortage::SearchGoesOn),
                Search::Fruitless => {
                    self.report_shortage(map, domain, gfn);
                    return Err(Shortage::OutOfMemory);
                }
            }
        }
        self.fill(map, domain, gfn, order)
    }

    /// Puts a frame of the cache behind a page, or a block behind a 2 MiB entry.
    fn fill(&self, map: &mut P2m, domain: &Domain, gfn: Gfn, order: u32) -> Result<(), Shortage> {
        let taken = map.pod_mut().and_then(|pod| pod.take(self.table, order));
        let (mfn, order) = taken.ok_or(Shortage::OutOfMemory)?;
        let (kind, tables) = (PageType::Ram, &mut self.tables(domain));
        let entry = P2mEntry { mfn, kind };
        let filled = if order == BLOCK_ORDER {
            map.set_large(tables, Gfn(gfn.0 & !(BLOCK_PAGES - 1)), order, entry) == Ok(true)
        } else {
            map.set(tables, gfn, entry).is_ok()
        };
        if filled {
            return Ok(());
        }
        if let Some(pod) = map.pod_mut() {
            pod.add(self.table, mfn, order);
        }
        Err(Shortage::OutOfTables)
    }

    fn report_shortage(&self, map: &P2m, domain: &Domain, gfn: Gfn) {
        log_guest(
            Level::Error,
            self.now_ns(),
            format_args!(
                "{}: no memory left to populate {:#x} on demand: it uses all its {} pages and {} more wait (maxmem above memory needs a \
                 balloon driver in the guest)",
                domain.id,
                gfn.0,
                domain.memory.total.load(SeqCst),
                map.pod().entries()
            ),
        );
    }

    /// Grows the cache of a domain a little towards what the domain shall own; `true` when it is as large as it is to be
    /// ([`crate::p2m::pod::Pod::missing`]).
    ///
    /// # Errors
    /// `ENOMEM` if the domain's limit or the machine has no more; what the cache got stays.
    pub fn grow_pod_cache(&self, domain: &Domain, target: u64) -> Result<bool, Errno> {
        let owned = domain.memory.total.load(SeqCst);
        let missing = domain.p2m.read().pod().missing(owned, target);
        if missing == 0 || domain.is_dying() {
            return Ok(true);
        }
        if missing >= BLOCK_PAGES
            && let Some(block) = self.allocate_domain_pages(domain, BLOCK_ORDER)
        {
            self.cache(domain, target, &[block], BLOCK_ORDER);
            return Ok(false);
        }
        let mut left = missing.min(BLOCK_PAGES);
        while left > 0 {
            let frames: ArrayVec<Mfn, BATCH> = (0..left.min(BATCH as u64))
                .map_while(|_| self.allocate_domain_pages(domain, 0))
                .collect();
            if frames.is_empty() {
                return Err(Errno::ENOMEM);
            }
            left -= frames.len() as u64;
            self.cache(domain, target, &frames, 0);
        }
        Ok(missing <= BLOCK_PAGES)
    }

    /// Puts new frames into the cache, unless another call has filled it meanwhile.
    fn cache(&self, domain: &Domain, target: u64, firsts: &[Mfn], order: u32) {
        let mut map = domain.p2m.write();
        let mut fresh = (firsts.len() as u64) << order;
        let mut rest = firsts.iter();
        if let Some(pod) = map.pod_mut() {
            for &first in rest.by_ref() {
                let owned = domain.memory.total.load(SeqCst).saturating_sub(fresh);
                if pod.missing(owned, target) < 1 << order {
                    break;
                }
                pod.add(self.table, first, order);
                fresh -= 1 << order;
            }
        }
        drop(map);
        // The last `fresh` pages found no place.
        let unplaced = firsts.len() - (fresh >> order) as usize;
        for first in &firsts[unplaced..] {
            self.release_pages(*first, 1 << order);
        }
    }

    /// Takes frames that a guest gave back: into the cache while entries wait for them, else they are freed. The frames are out of the map
    /// and of all translation caches.
    pub(crate) fn keep_or_release(&self, domain: &Domain, frames: impl Iterator<Item = Mfn>) {
        let mut frames = frames.peekable();
        while frames.peek().is_some() {
            let (mut clean, mut freed) =
                (ArrayVec::<Mfn, BATCH>::new(), ArrayVec::<_, BATCH>::new());
            for frame in frames.by_ref().take(BATCH) {
                // A frame that somebody else still maps cannot be anybody else's memory.
                if self.table.count(frame) == 1 {
                    self.memory.zero(frame);
                    clean.push(frame);
                } else {
                    freed.push(frame);
                }
            }
            let mut map = domain.p2m.write();
            while map.pod().shortage() > 0
                && let Some(pod) = map.pod_mut()
                && let Some(frame) = clean.pop()
            {
                pod.add(self.table, frame, 0);
            }
            drop(map);
            let unwanted = clean.into_iter().chain(freed);
            unwanted.for_each(|frame| self.release_page(frame));
        }
    }

    /// Frees what the cache holds beyond the number of entries, after these became fewer.
    pub(crate) fn drop_surplus(&self, domain: &Domain) {
        for _ in 0..SURPLUS_BATCHES {
            if domain.p2m.read().pod().surplus() == 0 {
                return;
            }
            let frames: ArrayVec<Mfn, BATCH> = {
                let mut map = domain.p2m.write();
                let pod = map.pod_mut();
                pod.map_or_else(ArrayVec::new, |pod| {
                    core::iter::from_fn(|| pod.take_surplus(self.table))
                        .take(BATCH)
                        .collect()
                })
            };
            frames
                .into_iter()
                .for_each(|frame| self.release_page(frame));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pod_testing::{BLOCK, Bench};
    use super::*;
    use crate::domain::Life;
    use crate::fake_hv::{Fake, GUEST_PAGE, RAM_PAGES};
    use crate::hal::MachineMemory;
    use crate::ids::Gpa;
    use crate::vcpu::GuestArea;

    #[test]
    fn touched_page_gets_a_frame_of_the_cache() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 4);
        bench.set_aside(2);
        assert_eq!(bench.books(), (4, 2, RAM_PAGES + 2));
        assert_eq!(bench.touch(BLOCK + 1), Ok(()));
        assert_eq!(bench.books(), (3, 1, RAM_PAGES + 2));
        assert_eq!(bench.fake.get::<u64>(&bench.guest, (BLOCK + 1) << 12), 0);
        assert_eq!(bench.touch(BLOCK + 1), Ok(()));
        assert_eq!(bench.touch(BLOCK + 100), Ok(()));
        assert_eq!(bench.books(), (3, 1, RAM_PAGES + 2));
    }

    #[test]
    fn block_is_populated_whole_while_the_cache_has_one_and_then_page_by_page() {
        let bench = Bench::new();
        bench.promise(BLOCK, 9, 1);
        bench.promise(2 * BLOCK, 9, 1);
        bench.set_aside(514);
        assert_eq!(bench.touch(BLOCK + 7), Ok(()));
        assert_eq!(bench.order(BLOCK + 8), Some(9));
        assert_eq!(bench.books(), (512, 2, RAM_PAGES + 514));
        assert_eq!(bench.touch(2 * BLOCK + 7), Ok(()));
        assert_eq!(bench.order(2 * BLOCK + 7), Some(0));
        assert_eq!(bench.order(2 * BLOCK + 8), None);
        assert_eq!(bench.books(), (511, 1, RAM_PAGES + 514));
    }

    #[test]
    fn reading_is_no_demand_and_writing_is() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 2);
        bench.set_aside(2);
        let at = Gpa(((BLOCK + 1) << 12) - 4);
        let mut bytes = [1; 8];
        assert_eq!(
            bench.fake.hv.read_guest(&bench.guest, at, &mut bytes),
            Ok(())
        );
        assert_eq!((bytes, bench.books().0), ([0; 8], 2));
        assert!(bench.fake.hv.is_memory(&bench.guest, Gfn(BLOCK)));
        assert_eq!(bench.fake.hv.write_guest(&bench.guest, at, &[7; 8]), Ok(()));
        assert_eq!(
            bench.fake.get::<u64>(&bench.guest, at.0),
            0x0707_0707_0707_0707
        );
        assert_eq!(bench.books(), (0, 0, RAM_PAGES + 2));
    }

    #[test]
    fn reference_on_a_page_is_a_demand() {
        let bench = Bench::new();
        bench.promise(BLOCK, 9, 1);
        bench.set_aside(1);
        let page = bench.fake.hv.get_guest_page(&bench.guest, Gfn(BLOCK));
        let mfn = page.expect("the cache has a frame").mfn;
        assert_eq!(bench.fake.mfn(&bench.guest, Gfn(BLOCK)), mfn);
        assert_eq!(bench.fake.hv.table.count(mfn), 2);
        assert_eq!(bench.books(), (511, 0, RAM_PAGES + 1));
    }

    /// A guest whose only unused page is found by the second search: the first is over when it has taken pages that are used after all.
    fn with_one_page_that_is_hard_to_find() -> Bench {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 1);
        (0..RAM_PAGES).for_each(|page| bench.fake.put(&bench.guest, (page << 12) + 2048, &1u64));
        bench.fake.add_page(&bench.guest, Gfn(RAM_PAGES));
        bench
    }

    #[test]
    fn granted_page_costs_one_search_and_other_references_as_many_as_it_takes() {
        let bench = with_one_page_that_is_hard_to_find();
        let (hv, gfn) = (bench.fake.hv, Gfn(BLOCK));
        assert_eq!(hv.get_granted_page(&bench.guest, gfn), Err(Errno::EAGAIN));
        assert!(hv.get_granted_page(&bench.guest, gfn).is_ok());
        let bench = with_one_page_that_is_hard_to_find();
        let hv = bench.fake.hv;
        assert!(hv.get_guest_page(&bench.guest, gfn).is_ok());
    }

    #[test]
    fn run_state_is_not_written_where_no_frame_is_yet() {
        let bench = Bench::new();
        let (hv, guest) = (bench.fake.hv, &bench.guest);
        hv.create_vcpus(guest).expect("memory is left");
        bench.promise(BLOCK, 0, 1);
        bench.set_aside(1);
        let at = Gpa(BLOCK << 12);
        let vcpu = &guest.vcpus()[0];
        vcpu.areas.lock().runstate = Some(GuestArea {
            pieces: [(at, 48), (Gpa(0), 0)],
        });
        hv.publish_runstate(guest, vcpu);
        assert_eq!(bench.books().0, 1);
        assert_eq!(bench.touch(BLOCK), Ok(()));
        hv.publish_runstate(guest, vcpu);
        assert_eq!(bench.fake.get::<u32>(guest, at.0), 3, "offline");
    }

    #[test]
    fn access_that_finds_no_memory_fails_and_harms_nobody() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 1);
        bench.use_all_ram();
        let hv = bench.fake.hv;
        assert_eq!(
            hv.get_guest_page(&bench.guest, Gfn(BLOCK)),
            Err(Errno::ENOMEM)
        );
        let at = Gpa(BLOCK << 12);
        assert_eq!(hv.write_guest(&bench.guest, at, &[1]), Err(Errno::ENOMEM));
        assert_eq!(bench.books(), (1, 0, RAM_PAGES));
        assert_eq!(bench.touch(BLOCK), Err(Shortage::OutOfMemory));
    }

    #[test]
    fn guest_that_ran_out_goes_on_once_there_is_memory_again() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 1);
        bench.use_all_ram();
        assert_eq!(bench.touch(BLOCK), Err(Shortage::OutOfMemory));
        bench.set_aside(1);
        assert_eq!(bench.touch(BLOCK), Ok(()));
    }

    #[test]
    fn without_frames_for_tables_the_page_waits_and_the_cache_keeps_its_frame() {
        let bench = Bench::new();
        bench.promise(BLOCK, 9, 1);
        bench.set_aside(1);
        let pool = &bench.guest.memory.paging_pool_bytes;
        pool.store(bench.guest.table_frames.load(SeqCst) * GUEST_PAGE, SeqCst);
        assert_eq!(bench.touch(BLOCK), Err(Shortage::OutOfTables));
        assert_eq!(bench.books(), (512, 1, RAM_PAGES + 1));
    }

    #[test]
    fn target_fills_the_cache_of_a_domain_that_is_being_built() {
        let bench = Bench::of(Fake::new(), 0);
        bench.set_aside(515);
        assert_eq!(bench.books(), (0, 515, 515));
        bench.promise(BLOCK, 9, 2);
        assert_eq!(bench.touch(BLOCK), Ok(()));
        assert_eq!(bench.order(BLOCK), Some(9));
    }

    #[test]
    fn what_was_set_aside_for_a_domain_stays_while_it_has_no_entries_yet() {
        let bench = Bench::of(Fake::new(), 0);
        bench.set_aside(1024);
        bench.target(1024);
        bench.fake.add_page(&bench.guest, Gfn(7));
        assert_eq!(bench.books(), (0, 1024, 1025));
        bench.promise(BLOCK, 9, 1);
        assert_eq!(bench.give_back(&[7]), 1);
        assert_eq!(bench.books(), (512, 1024, 1024));
    }

    #[test]
    fn target_grows_the_cache_up_to_the_entries_and_never_shrinks_it() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 10);
        bench.target(RAM_PAGES + 4);
        assert_eq!(bench.books(), (10, 4, RAM_PAGES + 4));
        bench.target(RAM_PAGES);
        assert_eq!(bench.books(), (10, 4, RAM_PAGES + 4));
        bench.target(RAM_PAGES + 1000);
        assert_eq!(bench.books(), (10, 10, RAM_PAGES + 10));
    }

    #[test]
    fn target_beyond_the_machine_is_enomem_and_costs_nobody_else() {
        let bench = Bench::of(Fake::new(), 0);
        let hv = bench.fake.hv;
        let result = (0..100).find_map(|_| match hv.grow_pod_cache(&bench.guest, 1 << 20) {
            Ok(false) => None,
            other => Some(other),
        });
        assert_eq!(result, Some(Err(Errno::ENOMEM)));
        bench.destroy();
        assert_eq!(hv.frames.lock().free_pages(), bench.free_before);
    }

    #[test]
    fn pages_given_back_serve_those_that_wait_and_are_freed_otherwise() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 2);
        bench.use_all_ram();
        assert_eq!(bench.give_back(&[0, 1, 2]), 3);
        assert_eq!(bench.books(), (2, 2, RAM_PAGES - 1));
        assert_eq!(bench.touch(BLOCK), Ok(()));
        assert_eq!(bench.fake.get::<u64>(&bench.guest, BLOCK << 12), 0);
    }

    #[test]
    fn page_given_back_that_others_still_map_does_not_serve_again() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 2);
        let page = bench.fake.hv.get_guest_page(&bench.guest, Gfn(5));
        assert_eq!(bench.give_back(&[5]), 1);
        assert_eq!(bench.books(), (2, 0, RAM_PAGES));
        bench.fake.hv.put_page(page.expect("it is RAM").mfn);
        assert_eq!(bench.books(), (2, 0, RAM_PAGES - 1));
    }

    #[test]
    fn promise_given_back_lowers_the_count_and_frees_what_was_set_aside_for_it() {
        let bench = Bench::new();
        bench.promise(BLOCK, 9, 1);
        bench.set_aside(511);
        assert_eq!(bench.give_back(&[BLOCK]), 1);
        assert_eq!(bench.books(), (511, 511, RAM_PAGES + 511));
        assert_eq!(bench.give_back(&[BLOCK + 1, BLOCK + 2]), 2);
        assert_eq!(bench.books(), (509, 509, RAM_PAGES + 509));
        assert_eq!(bench.give_back(&[BLOCK + 1]), 0);
    }

    #[test]
    fn page_of_a_block_of_zeroes_takes_its_neighbours_along() {
        let bench = Bench::new();
        bench.promise(BLOCK, 9, 2);
        bench.set_aside(512);
        assert_eq!(bench.touch(BLOCK), Ok(()));
        assert_eq!(bench.give_back(&[BLOCK + 3]), 1);
        assert_eq!(bench.books(), (1023, 512, RAM_PAGES + 512));
        assert_eq!(bench.touch(2 * BLOCK), Ok(()));
        assert_eq!(bench.order(2 * BLOCK), Some(9));
    }

    #[test]
    fn page_of_a_block_in_use_goes_alone() {
        let bench = Bench::new();
        bench.promise(BLOCK, 9, 2);
        bench.set_aside(512);
        bench
            .fake
            .put(&bench.guest, (BLOCK + 511) << 12 | 0xff8, &1u64);
        assert_eq!(bench.give_back(&[BLOCK + 3]), 1);
        assert_eq!(bench.books(), (512, 1, RAM_PAGES + 512));
        let last = (BLOCK + 511) << 12 | 0xff8;
        assert_eq!(bench.fake.get::<u64>(&bench.guest, last), 1);
    }

    #[test]
    fn cache_goes_with_its_domain() {
        let bench = Bench::new();
        bench.promise(BLOCK, 9, 2);
        bench.promise(4 * BLOCK, 0, 3);
        bench.set_aside(600);
        assert_eq!(bench.touch(4 * BLOCK), Ok(()));
        bench.destroy();
        assert!(bench.fake.hv.domain(bench.guest.id).is_none());
        let hv = bench.fake.hv;
        assert_eq!(hv.frames.lock().free_pages(), bench.free_before);
        assert_eq!(bench.guest.memory.total.load(SeqCst), 0);
        // What comes too late finds nothing and leaves nothing behind.
        assert_eq!(hv.grow_pod_cache(&bench.guest, 1000), Ok(true));
        assert_eq!(hv.frames.lock().free_pages(), bench.free_before);
    }

    #[test]
    fn dying_domain_is_not_populated() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 1);
        bench.set_aside(1);
        assert!(bench.guest.advance_life(Life::Alive, Life::Dying));
        assert_eq!(bench.touch(BLOCK), Err(Shortage::Dying));
        let page = bench.fake.hv.get_guest_page(&bench.guest, Gfn(BLOCK));
        assert_eq!(page, Err(Errno::EINVAL));
    }

    #[test]
    fn frames_of_a_cache_hold_zeroes_whatever_was_in_the_page_given_back() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 1);
        bench.fake.put(&bench.guest, 3 << 12, &[0xaau8; 4096]);
        let frame = bench.fake.mfn(&bench.guest, Gfn(3));
        assert_eq!(bench.give_back(&[3]), 1);
        let mut bytes = [1; 4096];
        bench.fake.memory.read(frame.maddr(), &mut bytes);
        assert_eq!((bytes, bench.books().1), ([0; 4096], 1));
    }
}
