//! `XENMEM_remove_from_physmap`: leaves nothing behind a guest frame.
//!
//! A mapping of another domain's page gives its reference back. A page of the domain's own is freed: unlike Xen, which keeps it without a
//! place until the domain dies.

use xen_abi::errno::Errno;
use xen_abi::memory::RemoveFromPhysmap;

use super::fresh;
use super::layout::Argument;
use super::place::remove_any;
use crate::hypercall::{Call, Outcome};
use crate::ids::Gfn;

/// `ENOENT` if no memory is there.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    fresh(call, Errno::EINVAL)?;
    let request = RemoveFromPhysmap::fetch(call)?;
    let domain = call.target(request.domid)?;
    remove_any(call.hv, &domain, Gfn(request.gpfn))?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use xen_abi::memory::XENMEM_REMOVE_FROM_PHYSMAP as OP;

    use super::super::testing::{Bench, HOLE};
    use super::*;
    use crate::p2m::{P2mEntry, PageType};

    fn request(domid: u16, gpfn: u64) -> RemoveFromPhysmap {
        RemoveFromPhysmap {
            domid,
            gpfn,
            ..RemoveFromPhysmap::default()
        }
    }

    #[test]
    fn foreign_mapping_gives_its_reference_back() {
        let bench = Bench::new();
        let mfn = bench.fake.mfn(&bench.guest, Gfn(3));
        assert!(bench.fake.hv.table.get(mfn, bench.guest.id));
        let foreign = P2mEntry {
            mfn,
            kind: PageType::Foreign,
        };
        bench
            .fake
            .hv
            .map_page(&bench.dom0, Gfn(HOLE), foreign)
            .expect("memory is left");
        let flushes = bench.fake.arch.flushes();
        assert_eq!(bench.run(&bench.dom0, OP, &request(0x7ff0, HOLE)), Ok(0));
        assert_eq!(
            (bench.fake.hv.table.count(mfn), bench.fake.arch.flushes()),
            (1, flushes + 1)
        );
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(0x7ff0, HOLE)),
            Err(Errno::ENOENT)
        );
    }

    #[test]
    fn promise_of_memory_is_withdrawn_with_what_was_set_aside_for_it() {
        let bench = Bench::new();
        let (hv, total) = (bench.fake.hv, bench.total(&bench.guest));
        bench.fake.promise(&bench.guest, HOLE, 0, 1);
        assert_eq!(hv.grow_pod_cache(&bench.guest, total + 1), Ok(true));
        let request = request(bench.guest.id.0, HOLE);
        assert_eq!(bench.run(&bench.dom0, OP, &request), Ok(0));
        assert_eq!(bench.total(&bench.guest), total);
        assert_eq!(bench.run(&bench.dom0, OP, &request), Err(Errno::ENOENT));
    }

    #[test]
    fn own_memory_is_freed_and_devices_stay() {
        let bench = Bench::new();
        let free = bench.free();
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(bench.guest.id.0, 9)),
            Ok(0)
        );
        assert_eq!(bench.free(), free + 1);
        let device = P2mEntry {
            mfn: crate::ids::Mfn(0xf_ee00),
            kind: PageType::Mmio,
        };
        bench
            .fake
            .hv
            .map_page(&bench.dom0, Gfn(HOLE), device)
            .expect("memory is left");
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(0, HOLE)),
            Err(Errno::ENOENT)
        );
        assert_eq!(
            bench.run(&bench.guest, OP, &request(0, 3)),
            Err(Errno::EPERM)
        );
        assert_eq!(
            bench.run(&bench.guest, OP, &request(0x7ff0, u64::MAX)),
            Err(Errno::ENOENT)
        );
    }
}
