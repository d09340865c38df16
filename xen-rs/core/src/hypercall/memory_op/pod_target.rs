//! `XENMEM_set_pod_target` and `XENMEM_get_pod_target`: how much memory a populate-on-demand domain shall own.
//!
//! The toolstack sets a target when it builds such a domain, which fills the cache that its pages are populated from, and again whenever it
//! changes any domain's size. To a domain that has its memory a target means nothing, which is success. What a target changes is
//! [`crate::p2m::pod::Pod::missing`].

use alloc::sync::Arc;
use core::mem::offset_of;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::memory::PodTarget;

use super::fresh;
use super::layout::Argument;
use crate::console::{Level, log_guest};
use crate::domain::Domain;
use crate::hypercall::{Call, Outcome};
use crate::ids::GuestAddr;

/// `EINVAL` for a target above the domain's limit, `ENOMEM` if the machine has no more; what the cache got stays.
pub fn set(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let (request, domain) = fetch(call)?;
    if request.target_pages > domain.memory.limit.load(SeqCst) {
        return Err(Errno::EINVAL);
    }
    match call.hv.grow_pod_cache(&domain, request.target_pages) {
        Ok(true) => report(call, &domain),
        // Nothing of the call's progress needs to be remembered: the cache has grown.
        Ok(false) => Ok(Outcome::Continue(call.args)),
        Err(errno) => {
            let why = "not enough memory to set aside for what is populated on demand";
            log_guest(
                Level::Error,
                call.hv.now_ns(),
                format_args!("{}: {why}", domain.id),
            );
            Err(errno)
        }
    }
}

/// Only reports.
pub fn get(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let (_, domain) = fetch(call)?;
    report(call, &domain)
}

fn fetch(call: &mut Call<'_>) -> Result<(PodTarget, Arc<Domain>), Errno> {
    fresh(call, Errno::ENOSYS)?;
    let request = PodTarget::fetch(call)?;
    let domain = call.target(request.domid)?;
    Ok((request, domain))
}

/// The numbers are 64 bits wide and at the same offsets in both widths.
fn report(call: &mut Call<'_>, domain: &Domain) -> Result<Outcome, Errno> {
    let at = call
        .pointer(1)
        .0
        .wrapping_add(offset_of!(PodTarget, tot_pages) as u64);
    let numbers = {
        let map = domain.p2m.read();
        let owned = domain.memory.total.load(SeqCst);
        [owned, map.pod().cached(), map.pod().entries()]
    };
    call.store(GuestAddr(at), &numbers)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use xen_abi::compat::memory::PodTarget as Narrow;
    use xen_abi::memory::{XENMEM_GET_POD_TARGET, XENMEM_SET_POD_TARGET};

    use super::super::testing::{ARGUMENT, Bench, MEMORY_OP};
    use super::*;
    use crate::fake_hv::RAM_PAGES;
    use crate::hypercall::Width;

    #[test]
    fn any_target_of_a_domain_with_memory_is_met_already() {
        let bench = Bench::new();
        bench.guest.memory.limit.store(100, SeqCst);
        let target = |target_pages| PodTarget {
            target_pages,
            domid: bench.guest.id.0,
            ..PodTarget::default()
        };
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_SET_POD_TARGET, &target(100)),
            Ok(0)
        );
        let reported: PodTarget = bench.fake.get(&bench.dom0, ARGUMENT);
        assert_eq!(
            (
                reported.tot_pages,
                reported.pod_cache_pages,
                reported.pod_entries
            ),
            (RAM_PAGES, 0, 0)
        );
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_SET_POD_TARGET, &target(101)),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_GET_POD_TARGET, &target(u64::MAX)),
            Ok(0)
        );
    }

    #[test]
    fn target_sets_frames_aside_over_several_entries_and_reports_them() {
        let bench = Bench::new();
        bench.fake.promise(&bench.guest, 512, 9, 2);
        let target = PodTarget {
            target_pages: RAM_PAGES + 700,
            domid: bench.guest.id.0,
            ..PodTarget::default()
        };
        bench.fake.put(&bench.dom0, ARGUMENT, &target);
        let args = [XENMEM_SET_POD_TARGET.into(), ARGUMENT];
        let first = bench.fake.call(&bench.dom0, MEMORY_OP, &args);
        assert_eq!(first, Ok(Outcome::Continue([args[0], args[1], 0, 0, 0])));
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_SET_POD_TARGET, &target),
            Ok(0)
        );
        let reported: PodTarget = bench.fake.get(&bench.dom0, ARGUMENT);
        assert_eq!(
            (
                reported.tot_pages,
                reported.pod_cache_pages,
                reported.pod_entries
            ),
            (RAM_PAGES + 700, 700, 1024)
        );
    }

    #[test]
    fn target_beyond_free_memory_is_enomem() {
        let bench = Bench::new();
        bench.fake.promise(&bench.guest, 512, 9, 8);
        let target = PodTarget {
            target_pages: 4096,
            domid: bench.guest.id.0,
            ..PodTarget::default()
        };
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_SET_POD_TARGET, &target),
            Err(Errno::ENOMEM)
        );
    }

    #[test]
    fn only_dom0_may_ask_and_in_either_width() {
        let bench = Bench::new();
        let own = PodTarget {
            domid: 0x7ff0,
            ..PodTarget::default()
        };
        assert_eq!(
            bench.run(&bench.guest, XENMEM_SET_POD_TARGET, &own),
            Err(Errno::EPERM)
        );
        assert_eq!(
            bench.run(&bench.guest, XENMEM_GET_POD_TARGET, &own),
            Err(Errno::EPERM)
        );
        let narrow = Narrow {
            domid: bench.guest.id.0,
            ..Narrow::default()
        };
        assert_eq!(
            bench.run_as(&bench.dom0, Width::Bits32, XENMEM_GET_POD_TARGET, &narrow),
            Ok(0)
        );
        assert_eq!(
            bench
                .fake
                .get::<Narrow>(&bench.dom0, ARGUMENT)
                .tot_pages
                .get(),
            RAM_PAGES
        );
    }
}
