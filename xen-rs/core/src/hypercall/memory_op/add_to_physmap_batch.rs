//! `XENMEM_add_to_physmap_batch`: as [`super::add_to_physmap`] for a list of pages, and the way to map pages of other domains.

use xen_abi::errno::Errno;
use xen_abi::memory::{
    AddToPhysmapBatch, XENMAPSPACE_DEV_MMIO, XENMAPSPACE_GMFN_FOREIGN, XENMAPSPACE_GMFN_RANGE,
};

use super::add_to_physmap::{map_one, map_target};
use super::layout::{Argument, fetch_frames, fetch_index};
use super::{MAPPINGS_PER_ENTRY, foreign, restart_at, restart_position};
use crate::domain::Domain;
use crate::hypercall::{Call, Outcome};
use crate::ids::{Domid, Gfn, GuestAddr};

/// Each page has its own error; the result is 0 even if every page failed.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let start = u16::try_from(restart_position(call)).map_err(|_| Errno::EDOM)?;
    let request = AddToPhysmapBatch::fetch(call)?;
    let space = u32::from(request.space);
    if space == XENMAPSPACE_GMFN_RANGE {
        return Err(Errno::EOPNOTSUPP);
    }
    let domain = map_target(call, request.domid, space)?;
    if start > request.size || (start == request.size && start != 0) {
        return Err(Errno::EILSEQ);
    }
    if space == XENMAPSPACE_DEV_MMIO && request.foreign_domid != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let (start, size) = (u64::from(start), u64::from(request.size));
    let until = size.min(start + MAPPINGS_PER_ENTRY);
    for index in start..until {
        let result = map_element(call, &domain, &request, index)?;
        let error = result.err().map_or(0, |errno| errno.to_rc() as i32);
        call.store_at(GuestAddr(request.errs), index, &error)?;
    }
    Ok(if until == size {
        Outcome::OK
    } else {
        restart_at(call, until)
    })
}

/// The outer error ends the hypercall, the inner one is the page's.
fn map_element(
    call: &mut Call<'_>,
    domain: &Domain,
    request: &AddToPhysmapBatch,
    index: u64,
) -> Result<Result<(), Errno>, Errno> {
    let source = fetch_index(call, request.idxs, index)?;
    let mut gfn = [0];
    if fetch_frames(call, request.gpfns, index, &mut gfn) == 0 {
        return Err(Errno::EFAULT);
    }
    let [gfn] = gfn;
    if gfn == u64::MAX {
        return Err(Errno::EINVAL);
    }
    Ok(match u32::from(request.space) {
        XENMAPSPACE_GMFN_FOREIGN => foreign::map(
            call,
            domain,
            Domid(request.foreign_domid),
            Gfn(source),
            Gfn(gfn),
        ),
        space => map_one(call, domain, space, source, Gfn(gfn)),
    })
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    use xen_abi::compat::memory::AddToPhysmapBatch as Narrow;
    use xen_abi::memory::{
        MemoryReservation, RemoveFromPhysmap, XENMAPSPACE_GMFN, XENMAPSPACE_SHARED_INFO,
        XENMEM_ADD_TO_PHYSMAP_BATCH as OP, XENMEM_DECREASE_RESERVATION, XENMEM_REMOVE_FROM_PHYSMAP,
    };

    use super::super::testing::{ARGUMENT, Bench, HOLE, LIST, MEMORY_OP, SECOND_LIST, THIRD_LIST};
    use super::*;
    use crate::hypercall::Width;
    use crate::p2m::{P2mEntry, PageType};

    fn foreign(owner: u16, size: u16) -> AddToPhysmapBatch {
        AddToPhysmapBatch {
            domid: 0x7ff0,
            space: XENMAPSPACE_GMFN_FOREIGN as u16,
            size,
            foreign_domid: owner,
            idxs: LIST,
            gpfns: SECOND_LIST,
            errs: THIRD_LIST,
        }
    }

    /// Maps pages of `owner` at guest frames; the errors.
    fn map(bench: &Bench, caller: &Arc<Domain>, owner: u16, pages: &[(u64, u64)]) -> Vec<i32> {
        let (sources, gfns): (Vec<u64>, Vec<u64>) = pages.iter().copied().unzip();
        bench.list(caller, LIST, &sources);
        bench.list(caller, SECOND_LIST, &gfns);
        assert_eq!(
            bench.run(caller, OP, &foreign(owner, pages.len() as u16)),
            Ok(0)
        );
        bench.errors(caller, THIRD_LIST, pages.len() as u64)
    }

    fn rc(errno: Errno) -> i32 {
        errno.to_rc() as i32
    }

    #[test]
    fn foreign_page_on_demand_gets_its_frame_or_the_error_of_having_none() {
        let bench = Bench::new();
        let (hv, guest) = (bench.fake.hv, bench.guest.id.0);
        bench.fake.promise(&bench.guest, 512, 9, 1);
        let target = bench.total(&bench.guest) + 1;
        assert_eq!(hv.grow_pod_cache(&bench.guest, target), Ok(true));
        (0..crate::fake_hv::RAM_PAGES)
            .for_each(|page| bench.fake.put(&bench.guest, page << 12, &1u64));
        assert_eq!(
            map(&bench, &bench.dom0, guest, &[(515, HOLE), (516, HOLE + 1)]),
            [0, rc(Errno::ENOMEM)]
        );
        bench.fake.put(&bench.dom0, HOLE << 12, &42u64);
        assert_eq!(bench.fake.get::<u64>(&bench.guest, 515 << 12), 42);
        assert_eq!(bench.guest.p2m.read().pod().entries(), 511);
    }

    #[test]
    fn foreign_page_stays_until_dom0_lets_go_of_it() {
        let bench = Bench::new();
        let guest = bench.guest.id.0;
        bench.fake.put(&bench.guest, 9 << 12, &0x5678u64);
        assert_eq!(map(&bench, &bench.dom0, guest, &[(9, HOLE)]), [0]);
        assert_eq!(bench.kind(&bench.dom0, HOLE), Some(PageType::Foreign));
        let (free, total) = (bench.free(), bench.total(&bench.guest));
        bench.list(&bench.guest, LIST, &[9]);
        let give_back = MemoryReservation {
            extent_start: LIST,
            nr_extents: 1,
            domid: 0x7ff0,
            ..Default::default()
        };
        assert_eq!(
            bench.run(&bench.guest, XENMEM_DECREASE_RESERVATION, &give_back),
            Ok(1)
        );
        assert_eq!((bench.free(), bench.total(&bench.guest)), (free, total));
        assert_eq!(bench.fake.get::<u64>(&bench.dom0, HOLE << 12), 0x5678);
        let unmap = RemoveFromPhysmap {
            domid: 0x7ff0,
            gpfn: HOLE,
            ..Default::default()
        };
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_REMOVE_FROM_PHYSMAP, &unmap),
            Ok(0)
        );
        assert_eq!(
            (bench.free(), bench.total(&bench.guest)),
            (free + 1, total - 1)
        );
    }

    #[test]
    fn only_the_owners_memory_can_be_mapped_and_each_page_has_its_error() {
        let bench = Bench::new();
        let guest = bench.guest.id.0;
        let frame = bench.fake.mfn(&bench.dom0, Gfn(5));
        for (gfn, kind) in [
            (HOLE, PageType::Mmio),
            (HOLE + 1, PageType::GrantRw),
            (HOLE + 2, PageType::Foreign),
        ] {
            bench.put_entry(&bench.guest, gfn, P2mEntry { mfn: frame, kind });
        }
        super::super::shared_info::map(bench.fake.hv, &bench.guest, Gfn(HOLE + 3)).expect("a hole");
        let pages = [
            (HOLE, 50),
            (HOLE + 1, 51),
            (HOLE + 2, 52),
            (HOLE + 3, 53),
            (HOLE + 9, 54),
            (u64::MAX, 55),
            (3, 1 << 40),
            (3, 56),
        ];
        let bad = rc(Errno::EINVAL);
        assert_eq!(
            map(&bench, &bench.dom0, guest, &pages),
            [bad, bad, bad, 0, bad, bad, bad, 0]
        );
        assert_eq!(bench.fake.hv.table.count(bench.guest.shared_info), 2);
        assert_eq!(
            bench
                .fake
                .hv
                .table
                .count(bench.fake.mfn(&bench.guest, Gfn(3))),
            2
        );
        assert_eq!(
            map(&bench, &bench.dom0, guest, &[(4, 56)]),
            [rc(Errno::ENXIO)]
        );
        assert_eq!(
            bench
                .fake
                .hv
                .table
                .count(bench.fake.mfn(&bench.guest, Gfn(4))),
            1
        );
    }

    #[test]
    fn own_pages_the_hypervisors_and_nobodys_are_refused() {
        let bench = Bench::new();
        for (owner, errno) in [
            (0, Errno::EPERM),
            (0x7ff0, Errno::ESRCH),
            (0x7ff1, Errno::ESRCH),
            (0x7ff2, Errno::EINVAL),
            (0x7ff4, Errno::ESRCH),
            (99, Errno::ESRCH),
        ] {
            assert_eq!(
                map(&bench, &bench.dom0, owner, &[(3, HOLE)]),
                [rc(errno)],
                "{owner:#x}"
            );
        }
    }

    #[test]
    fn guest_can_map_no_foreign_page_into_itself_or_others() {
        let bench = Bench::new();
        let other = bench.fake.domain(1);
        assert_eq!(
            map(&bench, &bench.guest, other.id.0, &[(3, HOLE)]),
            [rc(Errno::EPERM)]
        );
        assert_eq!(
            map(&bench, &bench.guest, 0, &[(3, HOLE)]),
            [rc(Errno::EPERM)]
        );
        let into_dom0 = AddToPhysmapBatch {
            domid: 0,
            ..foreign(other.id.0, 1)
        };
        assert_eq!(bench.run(&bench.guest, OP, &into_dom0), Err(Errno::EPERM));
        let into_guest = AddToPhysmapBatch {
            domid: bench.guest.id.0,
            ..foreign(other.id.0, 1)
        };
        assert_eq!(bench.run(&bench.dom0, OP, &into_guest), Ok(0));
        assert_eq!(bench.errors(&bench.dom0, THIRD_LIST, 1), [rc(Errno::EPERM)]);
    }

    #[test]
    fn long_batches_restart_and_senseless_positions_are_refused() {
        let bench = Bench::new();
        let pages: Vec<_> = (0..100).map(|page| (page % 30, HOLE + page)).collect();
        assert_eq!(map(&bench, &bench.dom0, bench.guest.id.0, &pages), [0; 100]);
        let at = |position: u64| {
            bench.fake.call(
                &bench.dom0,
                MEMORY_OP,
                &[u64::from(OP) | position << 6, ARGUMENT],
            )
        };
        assert_eq!(
            (at(100), at(101), at(0x1_0000)),
            (Err(Errno::EILSEQ), Err(Errno::EILSEQ), Err(Errno::EDOM))
        );
        assert_eq!(
            bench.run(&bench.dom0, OP, &foreign(bench.guest.id.0, 0)),
            Ok(0)
        );
    }

    #[test]
    fn wild_lists_are_efault_and_other_spaces_have_their_rules() {
        let bench = Bench::new();
        let good = foreign(bench.guest.id.0, 1);
        bench.list(&bench.dom0, SECOND_LIST, &[HOLE]);
        for wild in [1 << 40, u64::MAX - 2, u64::MAX] {
            assert_eq!(
                bench.run(&bench.dom0, OP, &AddToPhysmapBatch { idxs: wild, ..good }),
                Err(Errno::EFAULT)
            );
            assert_eq!(
                bench.run(
                    &bench.dom0,
                    OP,
                    &AddToPhysmapBatch {
                        gpfns: wild,
                        ..good
                    }
                ),
                Err(Errno::EFAULT)
            );
            assert_eq!(
                bench.run(&bench.dom0, OP, &AddToPhysmapBatch { errs: wild, ..good }),
                Err(Errno::EFAULT)
            );
        }
        let space = |space: u32| AddToPhysmapBatch {
            space: space as u16,
            foreign_domid: 0,
            ..good
        };
        assert_eq!(
            bench.run(&bench.dom0, OP, &space(XENMAPSPACE_GMFN_RANGE)),
            Err(Errno::EOPNOTSUPP)
        );
        bench.list(&bench.dom0, LIST, &[0]);
        bench.list(&bench.dom0, SECOND_LIST, &[HOLE + 1]);
        assert_eq!(
            bench.run(&bench.dom0, OP, &space(XENMAPSPACE_SHARED_INFO)),
            Ok(0)
        );
        assert_eq!(bench.kind(&bench.dom0, HOLE + 1), Some(PageType::Shared));
        bench.list(&bench.dom0, LIST, &[20]);
        assert_eq!(bench.run(&bench.dom0, OP, &space(XENMAPSPACE_GMFN)), Ok(0));
        assert_eq!(bench.kind(&bench.dom0, HOLE + 1), Some(PageType::Ram));
        bench.list(&bench.dom0, SECOND_LIST, &[u64::MAX]);
        assert_eq!(bench.run(&bench.dom0, OP, &good), Err(Errno::EINVAL));
    }

    #[test]
    fn narrow_callers_have_narrow_lists() {
        let bench = Bench::new();
        bench.fake.put(&bench.dom0, LIST, &[3u32, 4]);
        bench
            .fake
            .put(&bench.dom0, SECOND_LIST, &[HOLE as u32, HOLE as u32 + 1]);
        let batch = Narrow {
            domid: 0x7ff0,
            space: XENMAPSPACE_GMFN_FOREIGN as u16,
            size: 2,
            foreign_domid: bench.guest.id.0,
            idxs: LIST as u32,
            gpfns: SECOND_LIST as u32,
            errs: THIRD_LIST as u32,
        };
        assert_eq!(bench.run_as(&bench.dom0, Width::Bits32, OP, &batch), Ok(0));
        assert_eq!(
            bench.fake.mfn(&bench.dom0, Gfn(HOLE + 1)),
            bench.fake.mfn(&bench.guest, Gfn(4))
        );
    }
}
