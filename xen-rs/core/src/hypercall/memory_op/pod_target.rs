//! `XENMEM_set_pod_target` and `XENMEM_get_pod_target`: how much memory a populate-on-demand domain shall own.
//!
//! Nothing is ever populated on demand (see [`super`]). To a domain that has its memory a target therefore means nothing, which is success:
//! the toolstack sets one whenever it changes a domain's size. For a domain without memory it announces populate-on-demand.

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

/// `EINVAL` for a target above the domain's limit, `EOPNOTSUPP` before the domain has memory.
pub fn set(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let (request, domain) = fetch(call)?;
    if request.target_pages > domain.memory.limit.load(SeqCst) {
        return Err(Errno::EINVAL);
    }
    if domain.memory.total.load(SeqCst) == 0 && request.target_pages != 0 {
        refuse(call, &domain);
        return Err(Errno::EOPNOTSUPP);
    }
    report(call, &domain)
}

/// Only reports.
pub fn get(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let (_, domain) = fetch(call)?;
    report(call, &domain)
}

/// Says in the log what the toolstack cannot know. A guest that asks for itself knows what it does.
pub fn refuse(call: &Call<'_>, domain: &Domain) {
    if call.domain.id == domain.id {
        return;
    }
    let why = "memory cannot be populated on demand: maxmem must not exceed memory";
    log_guest(
        Level::Error,
        call.hv.now_ns(),
        format_args!("{}: {why}", domain.id),
    );
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
    let (cache_pages, entries) = (0u64, 0u64);
    call.store(
        GuestAddr(at),
        &[domain.memory.total.load(SeqCst), cache_pages, entries],
    )?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use xen_abi::compat::memory::PodTarget as Narrow;
    use xen_abi::memory::{XENMEM_GET_POD_TARGET, XENMEM_SET_POD_TARGET};

    use super::super::testing::{ARGUMENT, Bench};
    use super::*;
    use crate::fake_hv::{Fake, RAM_PAGES};
    use crate::hypercall::Width;
    use crate::hypervisor::CreateDomain;
    use crate::sched::PoolId;

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
    fn populate_on_demand_is_refused_when_the_toolstack_announces_it() {
        let bench = Bench::new();
        let new = CreateDomain {
            id: None,
            handle: [0; 16],
            config: Fake::config(1),
            pool: PoolId(0),
            privileged: false,
        };
        let empty = bench.fake.hv.create_domain(new).expect("memory is left");
        let target = |target_pages| PodTarget {
            target_pages,
            domid: empty.id.0,
            ..PodTarget::default()
        };
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_SET_POD_TARGET, &target(64)),
            Err(Errno::EOPNOTSUPP)
        );
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_SET_POD_TARGET, &target(0)),
            Ok(0)
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
