//! The search for memory that a guest holds and does not use: pages full of zeroes become populated on demand again.
//!
//! A page is taken out of the map first, then the translation caches are flushed, and only then it is read: from there on nobody can change
//! it, because whoever wants to needs the map, which is locked. A page that turns out to be used goes back. Somebody else's reference on a
//! frame (a grant, a foreign mapping, a registered area) keeps it where it is.
//!
//! One search visits a bounded number of entries; blocks of 2 MiB are preferred, as they cost one entry and leave the map unsplit.

use arrayvec::ArrayVec;

use super::Hypervisor;
use crate::domain::Domain;
use crate::ids::{Gfn, Mfn};
use crate::p2m::pod::{BLOCK_ORDER, BLOCK_PAGES};
use crate::p2m::{P2m, Suspect};

/// Entries visited and frames glanced at in one search.
const GLANCES: u64 = 2048;
/// Pages taken out of the map with one flush.
const BATCH: usize = 32;
/// Bytes read of a frame to see that it is used; most that are show it here.
const GLANCE: usize = 64;

/// What a search came to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// There are frames in the cache now.
    Found,
    /// Not all of the guest's memory was looked at yet.
    GoesOn,
    /// The guest uses all of its memory.
    Fruitless,
}

impl Hypervisor {
    /// Goes on looking for unused memory in a locked map, from where the last search stopped.
    pub(super) fn search(&self, map: &mut P2m, domain: &Domain) -> Search {
        let (mut left, mut at_end) = (GLANCES, false);
        let mut suspects: ArrayVec<(Gfn, Mfn), BATCH> = ArrayVec::new();
        while left > 0 && !at_end && !suspects.is_full() {
            left -= 1;
            match map.next_suspect() {
                Suspect::Block(gfn, first) => {
                    let unused = self.unused_run(first, BLOCK_PAGES);
                    left = left.saturating_sub(unused);
                    if unused == BLOCK_PAGES {
                        return self.reclaim_block(map, domain, gfn, first);
                    }
                }
                Suspect::Page(gfn, frame) if self.unused_run(frame, 1) == 1 => {
                    suspects.push((gfn, frame));
                }
                Suspect::Page(..) | Suspect::Nothing => {}
                Suspect::End => at_end = true,
            }
        }
        if self.reclaim_pages(map, domain, &suspects) {
            map.search_succeeded();
            Search::Found
        } else if at_end {
            Search::Fruitless
        } else {
            Search::GoesOn
        }
    }

    /// Takes back the block of which `gfn` is a page, if it is one entry, needed in the cache, and full of zeroes.
    pub(crate) fn reclaim_block_at(&self, map: &mut P2m, domain: &Domain, gfn: Gfn) -> bool {
        let Some(found) = map.lookup(gfn).filter(|found| found.order == BLOCK_ORDER) else {
            return false;
        };
        let first = Mfn(found.mfn.0 & !(BLOCK_PAGES - 1));
        self.unused_run(first, BLOCK_PAGES) == BLOCK_PAGES
            && self.reclaim_block(map, domain, gfn, first) == Search::Found
    }

    /// How many frames from `first` on look unused, at most `frames`.
    fn unused_run(&self, first: Mfn, frames: u64) -> u64 {
        let used = |frame: &Mfn| {
            let mut glance = [0; GLANCE];
            self.memory.read(frame.maddr(), &mut glance);
            glance != [0; GLANCE] || self.table.count(*frame) != 1
        };
        let run = (first.0..first.0 + frames).map(Mfn);
        run.take_while(|frame| !used(frame)).count() as u64
    }

    fn reclaim_block(&self, map: &mut P2m, domain: &Domain, gfn: Gfn, first: Mfn) -> Search {
        map.vacate_block(gfn);
        self.arch.flush_domain(domain);
        let unused = (first.0..first.0 + BLOCK_PAGES).all(|frame| self.is_unused(Mfn(frame)));
        if unused && let Some(pod) = map.pod_mut() {
            pod.add(self.table, first, BLOCK_ORDER);
            map.search_succeeded();
            return Search::Found;
        }
        map.refill(gfn, first);
        Search::GoesOn
    }

    /// `true` if one at least was unused.
    fn reclaim_pages(&self, map: &mut P2m, domain: &Domain, suspects: &[(Gfn, Mfn)]) -> bool {
        let tables = &mut self.tables(domain);
        let vacated: ArrayVec<(Gfn, Mfn), BATCH> = suspects
            .iter()
            .copied()
            // What cannot be split for want of a table stays.
            .filter(|(gfn, _)| map.vacate(tables, *gfn).is_ok())
            .collect();
        if vacated.is_empty() {
            return false;
        }
        self.arch.flush_domain(domain);
        let mut found = false;
        for (gfn, frame) in vacated {
            match map.pod_mut().filter(|_| self.is_unused(frame)) {
                Some(pod) => {
                    pod.add(self.table, frame, 0);
                    found = true;
                }
                None => map.refill(gfn, frame),
            }
        }
        found
    }

    /// Whether nobody but the guest has the frame, and it holds zeroes only.
    fn is_unused(&self, frame: Mfn) -> bool {
        self.table.count(frame) == 1 && self.memory.is_zero(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shortage;
    use super::super::pod_testing::{BLOCK, Bench};
    use crate::fake_hv::RAM_PAGES;
    use crate::hal::MachineMemory;
    use crate::ids::Gfn;

    #[test]
    fn pages_of_zeroes_serve_those_that_wait_when_the_cache_is_empty() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 1);
        bench.use_ram_but(&[9]);
        let frame = bench.fake.mfn(&bench.guest, Gfn(9));
        let flushes = bench.fake.arch.flushes();
        assert_eq!(bench.touch(BLOCK), Ok(()));
        assert_eq!(bench.fake.mfn(&bench.guest, Gfn(BLOCK)), frame);
        assert_eq!(bench.fake.arch.flushes(), flushes + 1);
        // The page that was taken waits in its turn.
        assert_eq!(bench.books(), (1, 0, RAM_PAGES));
        assert_eq!(bench.fake.get::<u64>(&bench.guest, 9 << 12), 0);
    }

    #[test]
    fn page_that_others_hold_is_never_taken() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 1);
        bench.use_ram_but(&[9]);
        let page = bench.fake.hv.get_guest_page(&bench.guest, Gfn(9));
        assert_eq!(bench.touch(BLOCK), Err(Shortage::OutOfMemory));
        bench.fake.hv.put_page(page.expect("it is RAM").mfn);
        assert_eq!(bench.touch(BLOCK), Ok(()));
    }

    #[test]
    fn page_that_is_used_while_it_is_taken_goes_back() {
        let bench = Bench::new();
        bench.promise(BLOCK, 0, 1);
        bench.use_ram_but(&[9]);
        let (memory, frame) = (bench.fake.memory, bench.fake.mfn(&bench.guest, Gfn(9)));
        // Another CPU's last store before it left the guest.
        bench
            .fake
            .arch
            .on_flush(move || memory.write(crate::ids::Maddr(frame.maddr().0 + 4000), &[5]));
        assert_eq!(bench.touch(BLOCK), Err(Shortage::OutOfMemory));
        assert_eq!(bench.fake.mfn(&bench.guest, Gfn(9)), frame);
        assert_eq!(bench.fake.get::<u8>(&bench.guest, (9 << 12) + 4000), 5);
        assert_eq!(bench.books(), (1, 0, RAM_PAGES));
    }

    #[test]
    fn block_of_zeroes_is_taken_whole_before_any_page() {
        let bench = Bench::new();
        bench.promise(BLOCK, 9, 2);
        bench.set_aside(512);
        assert_eq!(bench.touch(BLOCK), Ok(()));
        let first = bench.fake.mfn(&bench.guest, Gfn(BLOCK));
        assert_eq!(bench.touch(2 * BLOCK + 5), Ok(()));
        assert_eq!(bench.fake.mfn(&bench.guest, Gfn(2 * BLOCK)), first);
        assert_eq!(bench.order(2 * BLOCK), Some(9));
        assert_eq!(bench.order(0), Some(0));
        assert_eq!(bench.books(), (512, 0, RAM_PAGES + 512));
    }

    #[test]
    fn block_that_is_used_while_it_is_taken_goes_back_whole() {
        let bench = Bench::new();
        bench.promise(BLOCK, 9, 2);
        bench.set_aside(512);
        bench.use_all_ram();
        assert_eq!(bench.touch(BLOCK), Ok(()));
        let (memory, first) = (bench.fake.memory, bench.fake.mfn(&bench.guest, Gfn(BLOCK)));
        bench
            .fake
            .arch
            .on_flush(move || memory.write(crate::ids::Maddr(first.maddr().0 + 100), &[5]));
        assert_eq!(bench.touch(2 * BLOCK), Err(Shortage::SearchGoesOn));
        assert_eq!(bench.order(BLOCK), Some(9));
        assert_eq!(bench.books(), (512, 0, RAM_PAGES + 512));
    }

    #[test]
    fn pages_within_a_used_block_are_taken_when_no_block_is_free() {
        let bench = Bench::new();
        bench.promise(BLOCK, 9, 2);
        bench.set_aside(512);
        bench.use_all_ram();
        bench.fake.put(&bench.guest, BLOCK << 12, &1u64);
        assert_eq!(bench.touch(2 * BLOCK), Ok(()));
        let (entries, cached, total) = bench.books();
        assert_eq!((entries - cached, total), (512, RAM_PAGES + 512));
        assert_eq!(bench.order(BLOCK), Some(0));
        assert_eq!(bench.fake.get::<u64>(&bench.guest, BLOCK << 12), 1);
    }

    #[test]
    fn one_search_is_short_and_the_next_goes_on_where_it_stopped() {
        let bench = Bench::new();
        // The only unused page lies behind many that are used.
        bench.promise(BLOCK, 9, 2);
        bench.set_aside(1024);
        for page in BLOCK..3 * BLOCK {
            bench.fake.put(&bench.guest, page << 12, &page);
        }
        bench.promise(8 * BLOCK, 9, 1);
        bench.use_ram_but(&[31]);
        let mut searches = 0;
        while bench.touch(8 * BLOCK) == Err(Shortage::SearchGoesOn) {
            searches += 1;
            assert!(searches < 10);
        }
        assert!(bench.fake.hv.lookup(&bench.guest, Gfn(8 * BLOCK)).is_some());
        assert_eq!(bench.fake.get::<u64>(&bench.guest, BLOCK << 12), BLOCK);
    }
}
