//! `XENMEM_acquire_resource`: maps pages that the hypervisor keeps for another domain into dom0. The only such pages are grant tables.
//!
//! The mapping holds a reference of its own on each frame, so it stays good when the domain dies.

use core::mem::offset_of;

use xen_abi::errno::Errno;
use xen_abi::memory::{
    MEMOP_EXTENT_SHIFT, MemAcquireResource, XENMEM_RESOURCE_GRANT_TABLE,
    XENMEM_RESOURCE_GRANT_TABLE_ID_SHARED,
};

use super::foreign::place_reference;
use super::layout::{Argument, LIST_CHUNK, fetch_frames};
use super::{MAPPINGS_PER_ENTRY, restart_at, restart_position};
use crate::domain::Domain;
use crate::hypercall::{Call, Outcome};
use crate::hypervisor::Hypervisor;
use crate::ids::{Domid, Gfn, GuestAddr, Mfn};

/// Without a list of guest frames: how many frames the resource has.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    if !call.domain.hardware {
        return Err(Errno::EACCES);
    }
    let request = MemAcquireResource::fetch(call)?;
    let end = request
        .frame
        .checked_add(u64::from(request.nr_frames))
        .ok_or(Errno::EINVAL)?;
    if request.pad != 0 || end > u64::from(u32::MAX) {
        return Err(Errno::EINVAL);
    }
    let owner = remote(call, Domid(request.domid))?;
    let frames = resource_frames(&owner, &request)?;
    if request.frame_list == 0 {
        return report_size(call, &request, frames);
    }
    map(call, &owner, &request)
}

/// Another living domain, to which the caller has every right.
fn remote(call: &Call<'_>, id: Domid) -> Result<alloc::sync::Arc<Domain>, Errno> {
    if id == call.domain.id {
        return Err(Errno::EPERM);
    }
    if !call.domain.privileged {
        return Err(Errno::EPERM);
    }
    call.hv
        .domain(id)
        .filter(|domain| !domain.is_dying())
        .ok_or(Errno::ESRCH)
}

/// Frames of the whole resource; `EINVAL` if there is none.
fn resource_frames(owner: &Domain, request: &MemAcquireResource) -> Result<u32, Errno> {
    match (request.kind, request.id) {
        (XENMEM_RESOURCE_GRANT_TABLE, XENMEM_RESOURCE_GRANT_TABLE_ID_SHARED)
            if owner.config.max_grant_frames > 0 =>
        {
            Ok(owner.config.max_grant_frames)
        }
        _ => Err(Errno::EINVAL),
    }
}

fn report_size(
    call: &mut Call<'_>,
    request: &MemAcquireResource,
    frames: u32,
) -> Result<Outcome, Errno> {
    if request.nr_frames != 0 || restart_position(call) != 0 {
        return Err(Errno::EINVAL);
    }
    // At the same offset in both widths.
    let at = call
        .pointer(1)
        .0
        .wrapping_add(offset_of!(MemAcquireResource, nr_frames) as u64);
    call.store(GuestAddr(at), &frames)?;
    Ok(Outcome::OK)
}

fn map(
    call: &mut Call<'_>,
    owner: &Domain,
    request: &MemAcquireResource,
) -> Result<Outcome, Errno> {
    let (start, count) = (restart_position(call), u64::from(request.nr_frames));
    if start >= count || count > u64::from(u32::MAX >> MEMOP_EXTENT_SHIFT) {
        return Err(Errno::EINVAL);
    }
    let until = count.min(start + MAPPINGS_PER_ENTRY);
    let mut done = start;
    while done < until {
        let mut gfns = [0; LIST_CHUNK];
        let wanted = (until - done).min(LIST_CHUNK as u64) as usize;
        let read = fetch_frames(call, request.frame_list, done, &mut gfns[..wanted]);
        if read == 0 {
            return Err(Errno::EFAULT);
        }
        for (offset, &gfn) in gfns[..read].iter().enumerate() {
            let index = request.frame + done + offset as u64;
            map_frame(call, owner, index as u32, Gfn(gfn))
                .map_err(|errno| blame(errno, done + offset as u64))?;
        }
        done += read as u64;
    }
    Ok(if until == count {
        Outcome::OK
    } else {
        restart_at(call, until)
    })
}

/// Anything but `EIO` says that nothing was mapped.
fn blame(errno: Errno, mapped: u64) -> Errno {
    if mapped == 0 { errno } else { Errno::EIO }
}

fn map_frame(call: &Call<'_>, owner: &Domain, index: u32, gfn: Gfn) -> Result<(), Errno> {
    let mfn = reference(call.hv, owner, index)?;
    place_reference(call.hv, call.domain, gfn, mfn)
}

/// Takes a reference on a frame of the grant table, which grows up to it.
fn reference(hv: &Hypervisor, owner: &Domain, index: u32) -> Result<Mfn, Errno> {
    let frame = owner.grants.shared_frame(hv, index, true)?;
    if !hv.table.get(frame, Domid::XEN) {
        return Err(Errno::EINVAL);
    }
    // Between the two steps the table may have been freed with its domain and the frame used for something else of the hypervisor's. If
    // the domain lives on, it was not.
    if owner.is_dying() {
        hv.put_page(frame);
        return Err(Errno::ESRCH);
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use xen_abi::compat::memory::MemAcquireResource as Narrow;
    use xen_abi::memory::{
        RemoveFromPhysmap, XENMEM_ACQUIRE_RESOURCE as OP, XENMEM_REMOVE_FROM_PHYSMAP,
        XENMEM_RESOURCE_GRANT_TABLE_ID_STATUS, XENMEM_RESOURCE_IOREQ_SERVER,
        XENMEM_RESOURCE_VMTRACE_BUF,
    };

    use super::super::testing::{ARGUMENT, Bench, HOLE, LIST, MEMORY_OP};
    use super::*;
    use crate::domain::Life;
    use crate::hypercall::Width;
    use crate::p2m::PageType;

    fn request(bench: &Bench, nr_frames: u32, frame: u64) -> MemAcquireResource {
        MemAcquireResource {
            domid: bench.guest.id.0,
            kind: XENMEM_RESOURCE_GRANT_TABLE,
            nr_frames,
            frame,
            frame_list: LIST,
            ..MemAcquireResource::default()
        }
    }

    #[test]
    fn dom0_writes_into_the_guests_grant_table() {
        let bench = Bench::new();
        bench.list(&bench.dom0, LIST, &[HOLE, HOLE + 1]);
        assert_eq!(bench.run(&bench.dom0, OP, &request(&bench, 2, 0)), Ok(0));
        let frame = bench
            .guest
            .grants
            .shared_frame(bench.fake.hv, 1, false)
            .expect("the table has grown");
        assert_eq!(
            (
                bench.fake.mfn(&bench.dom0, Gfn(HOLE + 1)),
                bench.kind(&bench.dom0, HOLE)
            ),
            (frame, Some(PageType::Foreign))
        );
        bench.fake.put(&bench.dom0, (HOLE + 1) << 12, &77u64);
        assert_eq!(
            crate::hal::MachineMemory::load_u64(bench.fake.memory, frame.maddr()),
            77
        );
    }

    #[test]
    fn frame_outlives_its_domain_until_it_is_unmapped() {
        let bench = Bench::new();
        bench.list(&bench.dom0, LIST, &[HOLE]);
        assert_eq!(bench.run(&bench.dom0, OP, &request(&bench, 1, 0)), Ok(0));
        let frame = bench.fake.mfn(&bench.dom0, Gfn(HOLE));
        assert!(bench.guest.advance_life(Life::Alive, Life::Dying));
        while !bench
            .guest
            .grants
            .teardown_step(bench.fake.hv, &bench.guest, 100)
        {}
        assert_eq!(bench.fake.hv.table.owner(frame), Some(Domid::XEN));
        let free = bench.free();
        let unmap = RemoveFromPhysmap {
            domid: 0x7ff0,
            gpfn: HOLE,
            ..RemoveFromPhysmap::default()
        };
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_REMOVE_FROM_PHYSMAP, &unmap),
            Ok(0)
        );
        assert_eq!(
            (bench.free(), bench.fake.hv.table.owner(frame)),
            (free + 1, None)
        );
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(&bench, 1, 0)),
            Err(Errno::ESRCH)
        );
    }

    #[test]
    fn size_is_what_the_table_may_have() {
        let bench = Bench::new();
        let ask = MemAcquireResource {
            frame_list: 0,
            ..request(&bench, 0, 0)
        };
        assert_eq!(bench.run(&bench.dom0, OP, &ask), Ok(0));
        assert_eq!(
            bench
                .fake
                .get::<MemAcquireResource>(&bench.dom0, ARGUMENT)
                .nr_frames,
            4
        );
        assert_eq!(
            bench.run(
                &bench.dom0,
                OP,
                &MemAcquireResource {
                    nr_frames: 1,
                    ..ask
                }
            ),
            Err(Errno::EINVAL)
        );
        let narrow = Narrow {
            domid: bench.guest.id.0,
            kind: XENMEM_RESOURCE_GRANT_TABLE,
            ..Narrow::default()
        };
        assert_eq!(bench.run_as(&bench.dom0, Width::Bits32, OP, &narrow), Ok(0));
        assert_eq!(bench.fake.get::<Narrow>(&bench.dom0, ARGUMENT).nr_frames, 4);
    }

    #[test]
    fn errors_say_whether_anything_was_mapped() {
        let bench = Bench::new();
        bench.list(
            &bench.dom0,
            LIST,
            &[HOLE, HOLE + 1, HOLE + 2, HOLE + 3, HOLE + 4],
        );
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(&bench, 1, 4)),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(&bench, 5, 0)),
            Err(Errno::EIO)
        );
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(&bench, 1, 0)),
            Err(Errno::ENXIO)
        );
        bench.list(&bench.dom0, LIST, &[1 << 40]);
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(&bench, 1, 0)),
            Err(Errno::EINVAL)
        );
        let frame = bench
            .guest
            .grants
            .shared_frame(bench.fake.hv, 0, false)
            .expect("the first frame is always there");
        assert_eq!(bench.fake.hv.table.count(frame), 2);
    }

    #[test]
    fn hostile_arguments_are_refused() {
        let bench = Bench::new();
        bench.list(&bench.dom0, LIST, &[HOLE]);
        let good = request(&bench, 1, 0);
        for (request, errno) in [
            (MemAcquireResource { pad: 1, ..good }, Errno::EINVAL),
            (
                MemAcquireResource {
                    frame: 1 << 32,
                    ..good
                },
                Errno::EINVAL,
            ),
            (
                MemAcquireResource {
                    frame: u64::MAX,
                    ..good
                },
                Errno::EINVAL,
            ),
            (
                MemAcquireResource {
                    frame: u32::MAX.into(),
                    ..good
                },
                Errno::EINVAL,
            ),
            (
                MemAcquireResource {
                    nr_frames: u32::MAX,
                    ..good
                },
                Errno::EINVAL,
            ),
            (
                MemAcquireResource {
                    nr_frames: 0,
                    ..good
                },
                Errno::EINVAL,
            ),
            (
                MemAcquireResource {
                    kind: XENMEM_RESOURCE_IOREQ_SERVER,
                    ..good
                },
                Errno::EINVAL,
            ),
            (
                MemAcquireResource {
                    kind: XENMEM_RESOURCE_VMTRACE_BUF,
                    ..good
                },
                Errno::EINVAL,
            ),
            (
                MemAcquireResource {
                    id: XENMEM_RESOURCE_GRANT_TABLE_ID_STATUS,
                    ..good
                },
                Errno::EINVAL,
            ),
            (MemAcquireResource { domid: 0, ..good }, Errno::EPERM),
            (
                MemAcquireResource {
                    domid: 0x7ff0,
                    ..good
                },
                Errno::ESRCH,
            ),
            (MemAcquireResource { domid: 99, ..good }, Errno::ESRCH),
            (
                MemAcquireResource {
                    frame_list: u64::MAX - 3,
                    ..good
                },
                Errno::EFAULT,
            ),
        ] {
            assert_eq!(
                bench.run(&bench.dom0, OP, &request),
                Err(errno),
                "{request:?}"
            );
        }
        assert_eq!(
            bench.run(&bench.guest, OP, &MemAcquireResource { domid: 0, ..good }),
            Err(Errno::EACCES)
        );
        let restarted = [u64::from(OP) | 1 << 6, ARGUMENT];
        bench.fake.put(&bench.dom0, ARGUMENT, &good);
        assert_eq!(
            bench.fake.call(&bench.dom0, MEMORY_OP, &restarted),
            Err(Errno::EINVAL)
        );
    }
}
