//! `XENMEM_add_to_physmap`: maps `shared_info`, a grant table page, or a page of the domain from elsewhere in its map.

use alloc::sync::Arc;

use xen_abi::errno::Errno;
use xen_abi::memory::{
    AddToPhysmap, XENMAPIDX_GRANT_TABLE_STATUS, XENMAPSPACE_DEV_MMIO, XENMAPSPACE_GMFN,
    XENMAPSPACE_GMFN_FOREIGN, XENMAPSPACE_GMFN_RANGE, XENMAPSPACE_GRANT_TABLE,
    XENMAPSPACE_SHARED_INFO,
};

use super::layout::Argument;
use super::place::move_ram;
use super::{MAPPINGS_PER_ENTRY, restart_at, restart_position, shared_info};
use crate::domain::Domain;
use crate::hypercall::{Call, Outcome};
use crate::ids::Gfn;

/// Foreign pages are for [`super::add_to_physmap_batch`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let start = u16::try_from(restart_position(call)).map_err(|_| Errno::EDOM)?;
    let request = AddToPhysmap::fetch(call)?;
    if request.space == XENMAPSPACE_GMFN_FOREIGN {
        return Err(Errno::ENOSYS);
    }
    let domain = map_target(call, request.domid, request.space)?;
    if request.gpfn == u64::MAX {
        return Err(Errno::EINVAL);
    }
    if request.space == XENMAPSPACE_GMFN_RANGE {
        return move_range(call, &domain, &request, start.into());
    }
    map_one(call, &domain, request.space, request.idx, Gfn(request.gpfn))?;
    Ok(Outcome::OK)
}

/// The domain whose map changes. Device memory is mapped this way on Arm only, and only by the hardware domain for itself.
///
/// # Errors
/// `ESRCH`, `EPERM`, `EACCES`.
pub fn map_target(call: &Call<'_>, domid: u16, space: u32) -> Result<Arc<Domain>, Errno> {
    let domain = call.target(domid)?;
    if space == XENMAPSPACE_DEV_MMIO && !(domain.hardware && domain.id == call.domain.id) {
        return Err(Errno::EACCES);
    }
    Ok(domain)
}

/// Maps one page of any space but foreign ones.
///
/// # Errors
/// `EINVAL` for a page that does not exist, else as for [`super::place::place`].
pub fn map_one(
    call: &Call<'_>,
    domain: &Domain,
    space: u32,
    index: u64,
    gfn: Gfn,
) -> Result<(), Errno> {
    match space {
        XENMAPSPACE_SHARED_INFO if index == 0 => shared_info::map(call.hv, domain, gfn),
        XENMAPSPACE_GRANT_TABLE => {
            let index = u32::try_from(index).map_err(|_| Errno::EINVAL)?;
            map_grant_frame(call, domain, index, gfn)
        }
        XENMAPSPACE_GMFN => move_ram(call.hv, domain, Gfn(index), gfn),
        _ => Err(Errno::EINVAL),
    }
}

/// The table grows up to the frame asked for.
fn map_grant_frame(call: &Call<'_>, domain: &Domain, index: u32, gfn: Gfn) -> Result<(), Errno> {
    // Status pages belong to version 2 of the table, which does not exist here.
    if index & XENMAPIDX_GRANT_TABLE_STATUS != 0 {
        return Err(Errno::EINVAL);
    }
    domain.grants.map_frame(call.hv, domain, index, gfn)
}

/// Moves pages one by one; downwards from the end where the ranges overlap so that a page would be hit before it has moved.
fn move_range(
    call: &Call<'_>,
    domain: &Domain,
    request: &AddToPhysmap,
    start: u64,
) -> Result<Outcome, Errno> {
    let size = u64::from(request.size);
    if start > size {
        return Err(Errno::EILSEQ);
    }
    let source_end = request.idx.checked_add(size).ok_or(Errno::EOVERFLOW)?;
    request.gpfn.checked_add(size).ok_or(Errno::EOVERFLOW)?;
    let backwards = request.gpfn > request.idx && request.gpfn < source_end;
    let until = size.min(start + MAPPINGS_PER_ENTRY);
    for step in start..until {
        let offset = if backwards { size - 1 - step } else { step };
        move_ram(
            call.hv,
            domain,
            Gfn(request.idx + offset),
            Gfn(request.gpfn + offset),
        )?;
    }
    Ok(if until == size {
        Outcome::OK
    } else {
        restart_at(call, until)
    })
}

#[cfg(test)]
mod tests {
    use xen_abi::compat::memory::AddToPhysmap as Narrow;
    use xen_abi::memory::XENMEM_ADD_TO_PHYSMAP as OP;

    use super::super::testing::{ARGUMENT, Bench, HOLE, MEMORY_OP};
    use super::*;
    use crate::fake_hv::RAM_PAGES;
    use crate::hypercall::Width;
    use crate::ids::Mfn;
    use crate::p2m::{P2mEntry, PageType};

    fn request(space: u32, idx: u64, gpfn: u64) -> AddToPhysmap {
        AddToPhysmap {
            domid: 0x7ff0,
            space,
            idx,
            gpfn,
            ..AddToPhysmap::default()
        }
    }

    #[test]
    fn shared_info_shows_where_it_was_mapped_last_and_nowhere_else() {
        let bench = Bench::new();
        for gfn in [HOLE, HOLE + 1, HOLE + 1, HOLE] {
            assert_eq!(
                bench.run(&bench.guest, OP, &request(XENMAPSPACE_SHARED_INFO, 0, gfn)),
                Ok(0)
            );
            let seen = [HOLE, HOLE + 1].map(|page| bench.kind(&bench.guest, page));
            let expected = [HOLE, HOLE + 1].map(|page| (page == gfn).then_some(PageType::Shared));
            assert_eq!(seen, expected);
        }
        assert_eq!(
            bench.fake.mfn(&bench.guest, Gfn(HOLE)),
            bench.guest.shared_info
        );
    }

    #[test]
    fn moving_a_shared_page_spares_what_took_its_old_place() {
        let bench = Bench::new();
        assert_eq!(
            bench.run(&bench.guest, OP, &request(XENMAPSPACE_SHARED_INFO, 0, HOLE)),
            Ok(0)
        );
        assert_eq!(
            bench.run(&bench.guest, OP, &request(XENMAPSPACE_GMFN, 9, HOLE)),
            Ok(0)
        );
        assert_eq!(
            bench.run(
                &bench.guest,
                OP,
                &request(XENMAPSPACE_SHARED_INFO, 0, HOLE + 1)
            ),
            Ok(0)
        );
        assert_eq!(bench.kind(&bench.guest, HOLE), Some(PageType::Ram));
    }

    #[test]
    fn memory_under_a_shared_page_is_freed_and_devices_are_not_covered() {
        let bench = Bench::new();
        let (free, total) = (bench.free(), bench.total(&bench.guest));
        assert_eq!(
            bench.run(&bench.guest, OP, &request(XENMAPSPACE_SHARED_INFO, 0, 9)),
            Ok(0)
        );
        assert_eq!(
            (bench.free(), bench.total(&bench.guest)),
            (free + 1, total - 1)
        );
        for (kind, errno) in [
            (PageType::Mmio, Errno::EPERM),
            (PageType::GrantRw, Errno::ENXIO),
            (PageType::Foreign, Errno::ENXIO),
        ] {
            bench.put_entry(
                &bench.guest,
                HOLE,
                P2mEntry {
                    mfn: Mfn(0xf_ee00),
                    kind,
                },
            );
            assert_eq!(
                bench.run(&bench.guest, OP, &request(XENMAPSPACE_SHARED_INFO, 0, HOLE)),
                Err(errno)
            );
            assert_eq!(
                bench.run(&bench.guest, OP, &request(XENMAPSPACE_GMFN, 10, HOLE)),
                Err(errno)
            );
        }
        assert_eq!(bench.kind(&bench.guest, 10), Some(PageType::Ram));
    }

    #[test]
    fn grant_frames_are_mapped_highest_first_as_linux_does() {
        let bench = Bench::new();
        for index in [3, 2, 1, 0] {
            let request = request(XENMAPSPACE_GRANT_TABLE, index, HOLE + index);
            assert_eq!(bench.run(&bench.guest, OP, &request), Ok(0));
        }
        for index in 0..4 {
            let frame = bench.guest.grants.shared_frame(bench.fake.hv, index, false);
            assert_eq!(
                Ok(bench.fake.mfn(&bench.guest, Gfn(HOLE + u64::from(index)))),
                frame
            );
        }
        assert_eq!(
            bench.run(
                &bench.guest,
                OP,
                &request(XENMAPSPACE_GRANT_TABLE, 4, HOLE + 4)
            ),
            Err(Errno::EINVAL)
        );
    }

    #[test]
    fn page_that_is_moved_keeps_its_contents() {
        let bench = Bench::new();
        bench.fake.put(&bench.guest, 9 << 12, &0x1234u64);
        let (frame, total) = (
            bench.fake.mfn(&bench.guest, Gfn(9)),
            bench.total(&bench.guest),
        );
        assert_eq!(
            bench.run(&bench.guest, OP, &request(XENMAPSPACE_GMFN, 9, HOLE)),
            Ok(0)
        );
        assert_eq!(
            (
                bench.kind(&bench.guest, 9),
                bench.fake.mfn(&bench.guest, Gfn(HOLE))
            ),
            (None, frame)
        );
        assert_eq!(
            bench.run(&bench.guest, OP, &request(XENMAPSPACE_GMFN, HOLE, 10)),
            Ok(0)
        );
        assert_eq!(bench.fake.get::<u64>(&bench.guest, 10 << 12), 0x1234);
        assert_eq!(bench.total(&bench.guest), total - 1);
        assert_eq!(
            bench.run(&bench.guest, OP, &request(XENMAPSPACE_GMFN, 10, 10)),
            Ok(0)
        );
        assert_eq!(bench.fake.get::<u64>(&bench.guest, 10 << 12), 0x1234);
        assert_eq!(
            bench.run(&bench.guest, OP, &request(XENMAPSPACE_GMFN, HOLE, 10)),
            Err(Errno::EACCES)
        );
    }

    #[test]
    fn page_on_demand_is_populated_to_be_moved_and_gives_way_to_one() {
        let bench = Bench::new();
        let (hv, total) = (bench.fake.hv, bench.total(&bench.guest));
        bench.fake.promise(&bench.guest, 512, 9, 1);
        assert_eq!(hv.grow_pod_cache(&bench.guest, total + 3), Ok(true));
        bench.fake.put(&bench.guest, 10 << 12, &7u64);
        for (from, to) in [(513, HOLE), (10, 514)] {
            let request = request(XENMAPSPACE_GMFN, from, to);
            assert_eq!(bench.run(&bench.guest, OP, &request), Ok(0));
        }
        assert_eq!(bench.kind(&bench.guest, HOLE), Some(PageType::Ram));
        assert_eq!(bench.fake.get::<u64>(&bench.guest, 514 << 12), 7);
        assert_eq!(bench.guest.p2m.read().pod().entries(), 510);
        assert_eq!(bench.total(&bench.guest), total + 3);
    }

    #[test]
    fn overlapping_ranges_move_without_losing_a_page() {
        for (from, to) in [(4, 7), (7, 4), (4, 4), (4, HOLE)] {
            let bench = Bench::new();
            let size = 20;
            (0..size).for_each(|page| {
                bench
                    .fake
                    .put(&bench.guest, (from + page) << 12, &(100 + page))
            });
            let range = AddToPhysmap {
                size: size as u16,
                ..request(XENMAPSPACE_GMFN_RANGE, from, to)
            };
            assert_eq!(bench.run(&bench.guest, OP, &range), Ok(0));
            for page in 0..size {
                assert_eq!(
                    bench.fake.get::<u64>(&bench.guest, (to + page) << 12),
                    100 + page,
                    "{from} to {to}"
                );
            }
        }
    }

    #[test]
    fn long_ranges_restart_where_they_stopped() {
        let bench = Bench::new();
        (RAM_PAGES..150).for_each(|gfn| bench.fake.add_page(&bench.guest, Gfn(gfn)));
        let range = AddToPhysmap {
            size: 100,
            ..request(XENMAPSPACE_GMFN_RANGE, 40, 41)
        };
        bench.fake.put(&bench.guest, ARGUMENT, &range);
        let first = bench
            .fake
            .call(&bench.guest, MEMORY_OP, &[OP.into(), ARGUMENT]);
        assert_eq!(
            first,
            Ok(Outcome::Continue([
                u64::from(OP) | 64 << 6,
                ARGUMENT,
                0,
                0,
                0
            ]))
        );
        assert_eq!(
            (bench.kind(&bench.guest, 76), bench.kind(&bench.guest, 75)),
            (None, Some(PageType::Ram))
        );
        assert_eq!(
            bench.fake.call(
                &bench.guest,
                MEMORY_OP,
                &[u64::from(OP) | 64 << 6, ARGUMENT]
            ),
            Ok(Outcome::OK)
        );
        assert_eq!(bench.kind(&bench.guest, 40), None);
        let beyond = [u64::from(OP) | 101 << 6, ARGUMENT];
        assert_eq!(
            bench.fake.call(&bench.guest, MEMORY_OP, &beyond),
            Err(Errno::EILSEQ)
        );
    }

    #[test]
    fn hostile_arguments_are_refused() {
        let bench = Bench::new();
        let range = AddToPhysmap {
            size: 9,
            ..request(XENMAPSPACE_GMFN_RANGE, 3, u64::MAX - 3)
        };
        for (request, errno) in [
            (request(XENMAPSPACE_SHARED_INFO, 1, HOLE), Errno::EINVAL),
            (request(XENMAPSPACE_SHARED_INFO, 0, u64::MAX), Errno::EINVAL),
            (request(XENMAPSPACE_SHARED_INFO, 0, 1 << 36), Errno::EINVAL),
            (
                request(XENMAPSPACE_GRANT_TABLE, u64::MAX, HOLE),
                Errno::EINVAL,
            ),
            (
                request(
                    XENMAPSPACE_GRANT_TABLE,
                    XENMAPIDX_GRANT_TABLE_STATUS.into(),
                    HOLE,
                ),
                Errno::EINVAL,
            ),
            (request(XENMAPSPACE_GMFN_FOREIGN, 0, HOLE), Errno::ENOSYS),
            (request(XENMAPSPACE_DEV_MMIO, 0, HOLE), Errno::EACCES),
            (request(77, 0, HOLE), Errno::EINVAL),
            (range, Errno::EOVERFLOW),
            (
                AddToPhysmap {
                    idx: u64::MAX,
                    gpfn: 3,
                    ..range
                },
                Errno::EOVERFLOW,
            ),
            (
                AddToPhysmap {
                    domid: 0,
                    ..request(XENMAPSPACE_SHARED_INFO, 0, HOLE)
                },
                Errno::EPERM,
            ),
        ] {
            assert_eq!(
                bench.run(&bench.guest, OP, &request),
                Err(errno),
                "{request:?}"
            );
        }
        assert_eq!(
            bench.fake.call(
                &bench.guest,
                MEMORY_OP,
                &[u64::from(OP) | 1 << 30, ARGUMENT]
            ),
            Err(Errno::EDOM)
        );
    }

    #[test]
    fn narrow_callers_have_narrow_frames() {
        let bench = Bench::new();
        let shared_info = Narrow {
            domid: 0x7ff0,
            gpfn: HOLE as u32,
            ..Narrow::default()
        };
        assert_eq!(
            bench.run_as(&bench.guest, Width::Bits32, OP, &shared_info),
            Ok(0)
        );
        assert_eq!(bench.kind(&bench.guest, HOLE), Some(PageType::Shared));
        let nowhere = Narrow {
            gpfn: u32::MAX,
            ..shared_info
        };
        assert_eq!(
            bench.run_as(&bench.guest, Width::Bits32, OP, &nowhere),
            Err(Errno::EINVAL)
        );
    }
}
