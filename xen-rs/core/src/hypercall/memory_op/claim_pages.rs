//! `XENMEM_claim_pages`: sets memory aside for a domain that is about to be built, so that no other build takes it.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::memory::MemoryReservation;

use super::fresh;
use super::layout::Argument;
use crate::domain::Domain;
use crate::hypercall::{Call, Outcome};
use crate::hypervisor::Hypervisor;
use crate::ids::Domid;

/// The number of extents is what the domain shall have in all; 0 gives back what was claimed and not used.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    fresh(call, Errno::EINVAL)?;
    let request = MemoryReservation::fetch(call)?;
    if request.extent_start != 0 || request.extent_order != 0 || request.mem_flags != 0 {
        return Err(Errno::EINVAL);
    }
    let domain = call.hv.domain(Domid(request.domid)).ok_or(Errno::EINVAL)?;
    claim(call.hv, &domain, request.nr_extents)?;
    Ok(Outcome::OK)
}

/// The lock of the free frames guards both numbers. A domain that dies gives its claim back under it too, so that none can come later.
fn claim(hv: &Hypervisor, domain: &Domain, pages: u64) -> Result<(), Errno> {
    let frames = hv.frames.lock();
    if domain.is_dying() {
        return Err(Errno::EINVAL);
    }
    let claimed = domain.memory.claimed.load(SeqCst);
    if pages == 0 {
        hv.claimed_pages.fetch_sub(claimed, SeqCst);
        domain.memory.claimed.store(0, SeqCst);
        return Ok(());
    }
    let owned = domain.memory.total.load(SeqCst);
    if claimed != 0 || pages <= owned || pages > domain.memory.limit.load(SeqCst) {
        return Err(Errno::EINVAL);
    }
    let more = pages - owned;
    if more
        > frames
            .free_pages()
            .saturating_sub(hv.claimed_pages.load(SeqCst))
    {
        return Err(Errno::ENOMEM);
    }
    domain.memory.claimed.store(more, SeqCst);
    hv.claimed_pages.fetch_add(more, SeqCst);
    Ok(())
}

#[cfg(test)]
mod tests {
    use xen_abi::memory::XENMEM_CLAIM_PAGES as OP;

    use super::super::testing::Bench;
    use super::*;
    use crate::domain::Life;
    use crate::fake_hv::RAM_PAGES;

    fn request(domid: Domid, nr_extents: u64) -> MemoryReservation {
        MemoryReservation {
            nr_extents,
            domid: domid.0,
            ..MemoryReservation::default()
        }
    }

    #[test]
    fn claim_is_for_what_the_domain_does_not_have_yet_and_can_be_given_back() {
        let bench = Bench::new();
        let before = bench.fake.hv.unclaimed_pages();
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(bench.guest.id, RAM_PAGES + 100)),
            Ok(0)
        );
        assert_eq!(bench.fake.hv.unclaimed_pages(), before - 100);
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(bench.guest.id, RAM_PAGES + 50)),
            Err(Errno::EINVAL)
        );
        for _ in 0..2 {
            assert_eq!(
                bench.run(&bench.dom0, OP, &request(bench.guest.id, 0)),
                Ok(0)
            );
            assert_eq!(bench.fake.hv.unclaimed_pages(), before);
        }
    }

    #[test]
    fn domain_that_began_to_die_meanwhile_claims_nothing() {
        let bench = Bench::new();
        let before = bench.fake.hv.unclaimed_pages();
        assert!(bench.guest.advance_life(Life::Alive, Life::Dying));
        let late = claim(bench.fake.hv, &bench.guest, RAM_PAGES + 100);
        assert_eq!(late, Err(Errno::EINVAL));
        assert_eq!(bench.fake.hv.unclaimed_pages(), before);
    }

    #[test]
    fn others_cannot_take_what_is_claimed() {
        let bench = Bench::new();
        let free = bench.free();
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(bench.guest.id, RAM_PAGES + free)),
            Ok(0)
        );
        assert_eq!(bench.fake.hv.allocate_domain_pages(&bench.dom0, 0), None);
        assert!(
            bench
                .fake
                .hv
                .allocate_domain_pages(&bench.guest, 0)
                .is_some()
        );
    }

    #[test]
    fn impossible_claims_are_refused() {
        let bench = Bench::new();
        let guest = bench.guest.id;
        let limit = bench.guest.memory.limit.load(SeqCst);
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(guest, RAM_PAGES)),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(guest, limit + 1)),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(guest, u64::MAX)),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(guest, limit)),
            Err(Errno::ENOMEM)
        );
        assert_eq!(
            bench.run(&bench.dom0, OP, &request(Domid(77), 9)),
            Err(Errno::EINVAL)
        );
        let odd = MemoryReservation {
            extent_order: 1,
            ..request(guest, 100)
        };
        assert_eq!(bench.run(&bench.dom0, OP, &odd), Err(Errno::EINVAL));
        assert_eq!(
            bench.run(&bench.guest, OP, &request(guest, 100)),
            Err(Errno::EPERM)
        );
    }
}
