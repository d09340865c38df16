//! `XENMEM_populate_physmap`: puts fresh memory behind guest frames, or the promise of some.

use xen_abi::errno::Errno;

use super::PAGES_PER_ENTRY;
use super::extents::Extents;
use super::layout::{LIST_CHUNK, fetch_frames};
use super::place::{place_on_demand, place_ram};
use crate::domain::Domain;
use crate::hypercall::{Call, Outcome};
use crate::hypervisor::Hypervisor;
use crate::ids::{Gfn, Mfn};

/// Result: extents done.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let request = match Extents::fetch(call) {
        Ok(request) => request,
        Err(nothing) => return Ok(nothing),
    };
    // The cache is for those who look after another domain; dom0's own devices cannot wait for a page.
    if request.on_demand && (request.target.id == call.domain.id || request.target.hardware) {
        return Ok(request.finish(call, request.start, true));
    }
    let mut done = request.start;
    let until = request
        .count
        .min(done.saturating_add((PAGES_PER_ENTRY >> request.order).max(1)));
    let mut stopped = false;
    while done < until && !stopped {
        let mut gfns = [0; LIST_CHUNK];
        let wanted = (until - done).min(LIST_CHUNK as u64) as usize;
        let read = fetch_frames(call, request.list, done, &mut gfns[..wanted]);
        let populated = gfns[..read]
            .iter()
            .take_while(|&&gfn| populate(call, &request, Gfn(gfn)).is_ok())
            .count();
        done += populated as u64;
        stopped = populated < read || read == 0;
    }
    Ok(request.finish(call, done, stopped))
}

fn populate(call: &Call<'_>, request: &Extents, gfn: Gfn) -> Result<(), Errno> {
    let (hv, domain) = (call.hv, &*request.target);
    if request.on_demand {
        return place_on_demand(hv, domain, gfn, request.order);
    }
    let first = frames_for(hv, domain, gfn, request.order).ok_or(Errno::ENOMEM)?;
    if first.0 + request.pages() > request.frame_limit {
        hv.release_pages(first, request.pages());
        return Err(Errno::ENOMEM);
    }
    place_ram(hv, domain, gfn, request.order, first)
}

/// The domain that owns the hardware is identity-mapped, because its devices know no other addresses: it gets the frames of these numbers.
/// As long as somebody has one of them there is nothing, since a device would write to that somebody. Numbers without a frame are no RAM of
/// the machine, and are free for any.
fn frames_for(hv: &Hypervisor, domain: &Domain, gfn: Gfn, order: u32) -> Option<Mfn> {
    if domain.hardware {
        let mut same = (gfn.0..gfn.0.saturating_add(1 << order)).map(Mfn);
        if same.any(|frame| hv.is_in_use(frame)) {
            return None;
        }
        let found = hv.allocate_these_domain_pages(domain, Mfn(gfn.0), order);
        // Somebody may have been quicker since.
        if found.is_some() || hv.frames.lock().is_home(Mfn(gfn.0)) {
            return found;
        }
    }
    hv.allocate_used_domain_pages(domain, order)
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering::SeqCst;

    use xen_abi::compat::memory::MemoryReservation as Narrow;
    use xen_abi::memory::{
        MemoryReservation, XENMEM_DECREASE_RESERVATION, XENMEM_POPULATE_PHYSMAP as OP,
        XENMEMF_EXACT_NODE_REQUEST, XENMEMF_POPULATE_ON_DEMAND, XENMEMF_VNODE,
    };

    use super::super::testing::{ARGUMENT, Bench, HOLE, LIST, MEMORY_OP};
    use super::*;
    use crate::hypercall::Width;
    use crate::p2m::{P2mEntry, PageType};

    fn request(domid: u16, nr_extents: u64, extent_order: u32) -> MemoryReservation {
        MemoryReservation {
            extent_start: LIST,
            nr_extents,
            extent_order,
            domid,
            ..MemoryReservation::default()
        }
    }

    #[test]
    fn holes_become_empty_memory_and_the_count_comes_back() {
        let bench = Bench::new();
        let before = bench.total(&bench.dom0);
        bench.list(&bench.dom0, LIST, &[HOLE, HOLE + 5, (1 << 36) - 1]);
        assert_eq!(bench.run(&bench.dom0, OP, &request(0x7ff0, 3, 0)), Ok(3));
        assert_eq!(bench.total(&bench.dom0), before + 3);
        assert_eq!(bench.kind(&bench.dom0, HOLE + 5), Some(PageType::Ram));
        assert_eq!(bench.fake.get::<u64>(&bench.dom0, HOLE << 12), 0);
    }

    #[test]
    fn dom0_gets_the_frames_of_its_pages_numbers_when_these_are_free() {
        let bench = Bench::new();
        let hv = bench.fake.hv;
        let frames = [0; 3].map(|_| {
            hv.allocate_domain_pages(&bench.guest, 0)
                .expect("memory is left")
        });
        let [first, taken, last] = frames.map(|frame| frame.0);
        // Whoever asks next would get the last one that came back.
        hv.release_page(Mfn(last));
        hv.release_page(Mfn(first));
        bench.list(&bench.dom0, LIST, &[last, first, taken]);
        assert_eq!(bench.run(&bench.dom0, OP, &request(0x7ff0, 3, 0)), Ok(2));
        let behind = |gfn| bench.fake.mfn(&bench.dom0, Gfn(gfn)).0;
        assert_eq!((behind(last), behind(first)), (last, first));
        assert_eq!(bench.kind(&bench.dom0, taken), None);
        hv.release_page(Mfn(taken));
        bench.list(&bench.dom0, LIST, &[taken]);
        assert_eq!(bench.run(&bench.dom0, OP, &request(0x7ff0, 1, 0)), Ok(1));
        assert_eq!(behind(taken), taken);
    }

    #[test]
    fn dom0_gets_no_other_frame_for_one_that_is_just_being_taken() {
        let bench = Bench::new();
        let hv = bench.fake.hv;
        let frame = hv
            .allocate_domain_pages(&bench.guest, 0)
            .expect("memory is left");
        let home = std::vec![frame.0 as u32..frame.0 as u32 + 1];
        hv.frames.lock().set_home(home.leak());
        hv.release_page(frame);
        let taken = hv.frames.lock().allocate_at(frame, 0);
        assert!(taken.is_some() && !hv.is_in_use(frame));
        bench.list(&bench.dom0, LIST, &[frame.0]);
        assert_eq!(bench.run(&bench.dom0, OP, &request(0x7ff0, 1, 0)), Ok(0));
        assert_eq!(bench.kind(&bench.dom0, frame.0), None);
    }

    #[test]
    fn two_mebibytes_are_one_entry_where_aligned_and_many_elsewhere() {
        let bench = Bench::new();
        bench.list(&bench.dom0, LIST, &[HOLE, HOLE + 0x401]);
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(bench.guest.id.0, 2, 9)),
            Ok(2)
        );
        let order = |gfn| {
            bench
                .fake
                .hv
                .lookup(&bench.guest, Gfn(gfn))
                .map(|found| found.order)
        };
        assert_eq!(
            (order(HOLE + 511), order(HOLE + 0x401), order(HOLE + 0x600)),
            (Some(9), Some(0), Some(0))
        );
        assert_eq!(bench.total(&bench.guest), crate::fake_hv::RAM_PAGES + 1024);
    }

    #[test]
    fn larger_extents_are_not_done_so_that_callers_fall_back() {
        let bench = Bench::new();
        bench.list(&bench.dom0, LIST, &[0x10_0000]);
        for order in [10, 18, 19, 63, 64, u32::MAX] {
            assert_eq!(
                bench.run(&bench.dom0, OP, &request(bench.guest.id.0, 1, order)),
                Ok(0)
            );
        }
    }

    #[test]
    fn limit_of_the_domain_ends_the_work_early() {
        let bench = Bench::new();
        bench
            .guest
            .memory
            .limit
            .store(bench.total(&bench.guest) + 2, SeqCst);
        bench.list(&bench.guest, LIST, &[HOLE, HOLE + 1, HOLE + 2]);
        assert_eq!(bench.run(&bench.guest, OP, &request(0x7ff0, 3, 0)), Ok(2));
        assert_eq!(bench.kind(&bench.guest, HOLE + 2), None);
    }

    #[test]
    fn memory_in_the_way_is_freed_and_a_foreign_mapping_in_the_way_ends_the_work() {
        let bench = Bench::new();
        let guest_frame = bench.fake.mfn(&bench.guest, Gfn(3));
        assert!(bench.fake.hv.table.get(guest_frame, bench.guest.id));
        let foreign = P2mEntry {
            mfn: guest_frame,
            kind: PageType::Foreign,
        };
        bench
            .fake
            .hv
            .map_page(&bench.dom0, Gfn(HOLE), foreign)
            .expect("memory is left");
        bench.list(&bench.dom0, LIST, &[HOLE + 20]);
        assert_eq!(bench.run(&bench.dom0, OP, &request(0x7ff0, 1, 0)), Ok(1));
        let (old, total) = (
            bench.fake.mfn(&bench.dom0, Gfn(HOLE + 20)),
            bench.total(&bench.dom0),
        );
        let flushes = bench.fake.arch.flushes();
        bench.list(&bench.dom0, LIST, &[HOLE + 20, HOLE, HOLE + 1]);
        assert_eq!(bench.run(&bench.dom0, OP, &request(0x7ff0, 3, 0)), Ok(1));
        assert_eq!(
            (bench.total(&bench.dom0), bench.fake.hv.table.count(old)),
            (total, 0)
        );
        assert_eq!(bench.fake.arch.flushes(), flushes + 1);
        assert_eq!(bench.fake.mfn(&bench.dom0, Gfn(HOLE)), guest_frame);
    }

    #[test]
    fn extent_over_a_foreign_mapping_leaves_everything_as_it_was() {
        let bench = Bench::new();
        let frame = bench.fake.mfn(&bench.guest, Gfn(3));
        assert!(bench.fake.hv.table.get(frame, bench.guest.id));
        let foreign = P2mEntry {
            mfn: frame,
            kind: PageType::Foreign,
        };
        bench
            .fake
            .hv
            .map_page(&bench.dom0, Gfn(HOLE + 20), foreign)
            .expect("memory is left");
        let before = (bench.total(&bench.dom0), bench.free());
        bench.list(&bench.dom0, LIST, &[HOLE]);
        assert_eq!(bench.run(&bench.dom0, OP, &request(0x7ff0, 1, 5)), Ok(0));
        assert_eq!((bench.total(&bench.dom0), bench.free()), before);
        assert_eq!(bench.kind(&bench.dom0, HOLE), None);
    }

    #[test]
    fn long_requests_restart_where_they_stopped() {
        let bench = Bench::new();
        let gfns: alloc::vec::Vec<u64> = (0..600).map(|page| HOLE + page).collect();
        bench.list(&bench.dom0, LIST, &gfns);
        bench
            .fake
            .put(&bench.dom0, ARGUMENT, &request(bench.guest.id.0, 600, 0));
        let first = bench
            .fake
            .call(&bench.dom0, MEMORY_OP, &[OP.into(), ARGUMENT]);
        let next = [u64::from(OP) | 512 << 6, ARGUMENT, 0, 0, 0];
        assert_eq!(first, Ok(Outcome::Continue(next)));
        assert_eq!(
            bench.fake.call(&bench.dom0, MEMORY_OP, &next),
            Ok(Outcome::Done(600))
        );
        assert_eq!(bench.total(&bench.guest), crate::fake_hv::RAM_PAGES + 600);
    }

    #[test]
    fn senseless_requests_are_zero_extents_and_never_an_error() {
        let bench = Bench::new();
        bench.list(&bench.guest, LIST, &[HOLE, HOLE + 1]);
        let good = request(0x7ff0, 2, 0);
        let bad = [
            MemoryReservation {
                nr_extents: u64::MAX,
                ..good
            },
            MemoryReservation {
                nr_extents: 0,
                ..good
            },
            MemoryReservation { domid: 0, ..good },
            MemoryReservation { domid: 99, ..good },
            MemoryReservation {
                domid: 0x7ff2,
                ..good
            },
            MemoryReservation {
                extent_start: u64::MAX - 7,
                ..good
            },
            MemoryReservation {
                extent_start: 1 << 45,
                ..good
            },
            MemoryReservation {
                mem_flags: 12,
                ..good
            },
            MemoryReservation {
                mem_flags: 13,
                ..good
            },
            MemoryReservation {
                mem_flags: 1 << 8 | XENMEMF_EXACT_NODE_REQUEST,
                ..good
            },
            MemoryReservation {
                mem_flags: XENMEMF_POPULATE_ON_DEMAND,
                ..good
            },
        ];
        let before = bench.free();
        for request in bad {
            assert_eq!(bench.run(&bench.guest, OP, &request), Ok(0), "{request:?}");
        }
        assert_eq!(
            bench
                .fake
                .call(&bench.guest, MEMORY_OP, &[OP.into(), u64::MAX]),
            Ok(Outcome::Done(0))
        );
        assert_eq!(bench.free(), before);
    }

    #[test]
    fn tolerated_flags_change_nothing() {
        let bench = Bench::new();
        for (page, mem_flags) in [64, 1 << 8, 3 << 8, 7 << 8 | XENMEMF_VNODE]
            .into_iter()
            .enumerate()
        {
            bench.list(&bench.dom0, LIST, &[HOLE + page as u64]);
            let request = MemoryReservation {
                mem_flags,
                ..request(bench.guest.id.0, 1, 0)
            };
            assert_eq!(
                bench.run(&bench.dom0, OP, &request),
                Ok(1),
                "{mem_flags:#x}"
            );
        }
    }

    fn on_demand(domid: u16, nr_extents: u64, extent_order: u32) -> MemoryReservation {
        MemoryReservation {
            mem_flags: XENMEMF_POPULATE_ON_DEMAND,
            ..request(domid, nr_extents, extent_order)
        }
    }

    #[test]
    fn promised_memory_takes_no_page_until_it_is_used() {
        let bench = Bench::new();
        let (guest, total) = (bench.guest.id.0, bench.total(&bench.guest));
        bench.list(&bench.dom0, LIST, &[HOLE, HOLE + 512]);
        assert_eq!(bench.run(&bench.dom0, OP, &on_demand(guest, 2, 9)), Ok(2));
        // Promising twice is the same promise.
        assert_eq!(bench.run(&bench.dom0, OP, &on_demand(guest, 1, 9)), Ok(1));
        bench.list(&bench.dom0, LIST, &[HOLE + 1023, HOLE + 1024]);
        assert_eq!(bench.run(&bench.dom0, OP, &on_demand(guest, 2, 0)), Ok(2));
        let map = bench.guest.p2m.read();
        assert_eq!(
            (map.pod().entries(), map.highest_gfn()),
            (1025, Gfn(HOLE + 1024))
        );
        drop(map);
        assert_eq!(bench.total(&bench.guest), total);
        assert_eq!(bench.kind(&bench.guest, HOLE), None);
    }

    #[test]
    fn memory_in_the_way_of_a_promise_ends_the_work() {
        let bench = Bench::new();
        bench.list(&bench.dom0, LIST, &[HOLE, 3, HOLE + 1]);
        let request = on_demand(bench.guest.id.0, 3, 0);
        assert_eq!(bench.run(&bench.dom0, OP, &request), Ok(1));
        assert_eq!(bench.kind(&bench.guest, 3), Some(PageType::Ram));
    }

    #[test]
    fn nobody_promises_memory_to_oneself() {
        let bench = Bench::new();
        bench.list(&bench.dom0, LIST, &[HOLE]);
        bench.list(&bench.guest, LIST, &[HOLE]);
        for caller in [&bench.dom0, &bench.guest] {
            assert_eq!(bench.run(caller, OP, &on_demand(0x7ff0, 1, 0)), Ok(0));
        }
    }

    #[test]
    fn memory_at_once_takes_the_place_of_a_promise() {
        let bench = Bench::new();
        let guest = bench.guest.id.0;
        for order in [9, 0] {
            bench.list(&bench.dom0, LIST, &[HOLE]);
            assert_eq!(bench.run(&bench.dom0, OP, &on_demand(guest, 1, 9)), Ok(1));
            assert_eq!(bench.run(&bench.dom0, OP, &request(guest, 1, order)), Ok(1));
            assert_eq!(bench.guest.p2m.read().pod().entries(), 512 - (1 << order));
            assert_eq!(
                bench.run(
                    &bench.dom0,
                    XENMEM_DECREASE_RESERVATION,
                    &request(guest, 1, 9)
                ),
                Ok(1)
            );
            assert_eq!(bench.guest.p2m.read().pod().entries(), 0);
        }
    }

    #[test]
    fn list_is_good_up_to_the_end_of_mapped_memory() {
        let bench = Bench::new();
        let end = crate::fake_hv::RAM_PAGES * crate::fake_hv::GUEST_PAGE;
        bench.list(&bench.guest, end - 16, &[HOLE, HOLE + 1]);
        let request = MemoryReservation {
            extent_start: end - 16,
            ..request(0x7ff0, 5, 0)
        };
        assert_eq!(bench.run(&bench.guest, OP, &request), Ok(2));
    }

    #[test]
    fn dying_domain_gets_nothing() {
        let bench = Bench::new();
        bench.list(&bench.dom0, LIST, &[HOLE]);
        assert!(
            bench
                .guest
                .advance_life(crate::domain::Life::Alive, crate::domain::Life::Dying)
        );
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(bench.guest.id.0, 1, 0)),
            Ok(0)
        );
        let frame = bench
            .fake
            .hv
            .allocate_domain_pages(&bench.guest, 0)
            .expect("memory is left");
        let (hv, free) = (bench.fake.hv, bench.free());
        assert_eq!(
            place_ram(hv, &bench.guest, Gfn(HOLE), 0, frame),
            Err(Errno::ESRCH)
        );
        assert_eq!(
            (bench.free(), hv.table.owner(Mfn(frame.0))),
            (free + 1, None)
        );
    }

    #[test]
    fn frames_of_32_bit_callers_are_32_bits_wide() {
        let bench = Bench::new();
        bench
            .fake
            .put(&bench.guest, LIST, &[HOLE as u32, HOLE as u32 + 7]);
        let request = Narrow {
            extent_start: LIST as u32,
            nr_extents: 2,
            domid: 0x7ff0,
            ..Narrow::default()
        };
        assert_eq!(
            bench.run_as(&bench.guest, Width::Bits32, OP, &request),
            Ok(2)
        );
        assert_eq!(bench.kind(&bench.guest, HOLE + 7), Some(PageType::Ram));
    }
}
