//! `XENMEM_decrease_reservation`: takes memory out of a domain's map and frees it.
//!
//! That is how a balloon driver settles the account of populate-on-demand: a page given back is one less that waits for a frame, or a frame for
//! one that waits.

use xen_abi::errno::Errno;

use super::PAGES_PER_ENTRY;
use super::extents::Extents;
use super::layout::{LIST_CHUNK, fetch_frames};
use super::place::{BATCH, remove_own, remove_own_large};
use crate::hypercall::{Call, Outcome};

/// Entries of 2 MiB read from end to end in one entry into the handler.
const BLOCK_CHECKS: u32 = 1;

/// Result: extents done. The page that stops the work, and those after it, are as they were.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let request = match Extents::fetch(call) {
        Ok(request) => request,
        Err(nothing) => return Ok(nothing),
    };
    let mut done = request.start;
    let until = request
        .count
        .min(done.saturating_add((PAGES_PER_ENTRY >> request.order).max(1)));
    let (mut stopped, mut checks) = (false, BLOCK_CHECKS);
    while done < until && !stopped {
        let mut gfns = [0; LIST_CHUNK];
        let wanted = (until - done).min(LIST_CHUNK as u64) as usize;
        let read = fetch_frames(call, request.list, done, &mut gfns[..wanted]);
        let removed = if request.order == 0 {
            remove_own(call.hv, &request.target, &gfns[..read], &mut checks)
        } else {
            gfns[..read]
                .iter()
                .take_while(|&&gfn| remove_extent(call, &request, gfn))
                .count()
        };
        done += removed as u64;
        stopped = removed < read || read == 0;
    }
    Ok(request.finish(call, done, stopped))
}

fn remove_extent(call: &Call<'_>, request: &Extents, gfn: u64) -> bool {
    if request.order == 9 && remove_own_large(call.hv, &request.target, gfn) {
        return true;
    }
    let mut gone = 0;
    while gone < request.pages() {
        let batch = (request.pages() - gone).min(BATCH as u64) as usize;
        let gfns: [u64; BATCH] =
            core::array::from_fn(|offset| gfn.saturating_add(gone + offset as u64));
        // What goes as a whole needs no look at its neighbours.
        let removed = remove_own(call.hv, &request.target, &gfns[..batch], &mut 0);
        gone += removed as u64;
        if removed < batch {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use xen_abi::memory::{
        MemoryReservation, XENMEM_DECREASE_RESERVATION as OP, XENMEM_POPULATE_PHYSMAP,
    };

    use super::super::shared_info;
    use super::super::testing::{ARGUMENT, Bench, HOLE, LIST, MEMORY_OP};
    use super::*;
    use crate::ids::Gfn;
    use crate::p2m::{P2mEntry, PageType};

    fn request(nr_extents: u64, extent_order: u32) -> MemoryReservation {
        MemoryReservation {
            extent_start: LIST,
            nr_extents,
            extent_order,
            domid: 0x7ff0,
            ..MemoryReservation::default()
        }
    }

    #[test]
    fn pages_leave_the_map_with_one_flush_for_many_and_are_free_again() {
        let bench = Bench::new();
        let (total, free, flushes) = (
            bench.total(&bench.guest),
            bench.free(),
            bench.fake.arch.flushes(),
        );
        bench.list(&bench.guest, LIST, &[20, 21, 22, 23]);
        assert_eq!(bench.run(&bench.guest, OP, &request(4, 0)), Ok(4));
        assert_eq!(
            (bench.total(&bench.guest), bench.free()),
            (total - 4, free + 4)
        );
        assert_eq!(bench.fake.arch.flushes(), flushes + 1);
        assert_eq!(bench.kind(&bench.guest, 22), None);
    }

    #[test]
    fn hole_twice_the_same_page_and_memory_of_others_end_the_work() {
        let bench = Bench::new();
        for (list, done) in [
            ([20, HOLE, 21], 1),
            ([21, 21, 22], 1),
            ([22, u64::MAX, 23], 1),
        ] {
            bench.list(&bench.guest, LIST, &list);
            assert_eq!(bench.run(&bench.guest, OP, &request(3, 0)), Ok(done));
        }
        for kind in [
            PageType::Foreign,
            PageType::GrantRw,
            PageType::GrantRo,
            PageType::Mmio,
        ] {
            let entry = P2mEntry {
                mfn: bench.fake.mfn(&bench.guest, Gfn(5)),
                kind,
            };
            bench.put_entry(&bench.dom0, HOLE, entry);
            bench.list(&bench.dom0, LIST, &[HOLE]);
            assert_eq!(bench.run(&bench.dom0, OP, &request(1, 0)), Ok(0));
        }
    }

    #[test]
    fn page_of_a_large_entry_is_given_back_alone_and_an_extent_as_a_whole() {
        let bench = Bench::new();
        bench.list(&bench.guest, LIST, &[HOLE, HOLE + 512]);
        assert_eq!(
            bench.run(&bench.guest, XENMEM_POPULATE_PHYSMAP, &request(2, 9)),
            Ok(2)
        );
        let total = bench.total(&bench.guest);
        assert_eq!(bench.run(&bench.guest, OP, &request(1, 0)), Ok(1));
        assert_eq!(bench.kind(&bench.guest, HOLE + 1), Some(PageType::Ram));
        bench.list(&bench.guest, LIST, &[HOLE + 512]);
        let (free, flushes) = (bench.free(), bench.fake.arch.flushes());
        assert_eq!(bench.run(&bench.guest, OP, &request(1, 9)), Ok(1));
        assert_eq!(bench.total(&bench.guest), total - 513);
        // No table was needed, and one flush.
        assert_eq!(
            (bench.free(), bench.fake.arch.flushes()),
            (free + 512, flushes + 1)
        );
        assert_eq!(
            (
                bench.kind(&bench.guest, HOLE + 512),
                bench.kind(&bench.guest, HOLE + 1023)
            ),
            (None, None)
        );
    }

    #[test]
    fn extent_across_two_large_entries_goes_page_by_page() {
        let bench = Bench::new();
        bench.list(&bench.guest, LIST, &[HOLE, HOLE + 512]);
        assert_eq!(
            bench.run(&bench.guest, XENMEM_POPULATE_PHYSMAP, &request(2, 9)),
            Ok(2)
        );
        let total = bench.total(&bench.guest);
        bench.list(&bench.guest, LIST, &[HOLE + 256]);
        assert_eq!(bench.run(&bench.guest, OP, &request(1, 9)), Ok(1));
        assert_eq!(bench.total(&bench.guest), total - 512);
        assert_eq!(
            [HOLE + 255, HOLE + 256, HOLE + 767, HOLE + 768]
                .map(|gfn| bench.kind(&bench.guest, gfn)),
            [Some(PageType::Ram), None, None, Some(PageType::Ram)]
        );
    }

    #[test]
    fn large_extents_restart_one_by_one() {
        let bench = Bench::new();
        bench.list(&bench.guest, LIST, &[HOLE, HOLE + 512]);
        assert_eq!(
            bench.run(&bench.guest, XENMEM_POPULATE_PHYSMAP, &request(2, 9)),
            Ok(2)
        );
        bench.fake.put(&bench.guest, ARGUMENT, &request(2, 9));
        let first = bench
            .fake
            .call(&bench.guest, MEMORY_OP, &[OP.into(), ARGUMENT]);
        assert_eq!(
            first,
            Ok(Outcome::Continue([
                u64::from(OP) | 1 << 6,
                ARGUMENT,
                0,
                0,
                0
            ]))
        );
    }

    #[test]
    fn shared_page_is_unhooked_and_stays_the_hypervisors() {
        let bench = Bench::new();
        shared_info::map(bench.fake.hv, &bench.guest, Gfn(HOLE)).expect("nothing is in the way");
        let free = bench.free();
        bench.list(&bench.guest, LIST, &[HOLE]);
        assert_eq!(bench.run(&bench.guest, OP, &request(1, 0)), Ok(1));
        assert_eq!((bench.free(), bench.kind(&bench.guest, HOLE)), (free, None));
    }

    #[test]
    fn extent_at_the_end_of_all_numbers_is_not_done() {
        let bench = Bench::new();
        bench.list(&bench.guest, LIST, &[u64::MAX - 3]);
        assert_eq!(bench.run(&bench.guest, OP, &request(1, 9)), Ok(0));
    }
}
