//! The operations whose result is a number of pages or a frame number.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::memory::MemoryDomain;

use super::fresh;
use crate::domain::Domain;
use crate::hypercall::{Call, Outcome};

/// `XENMEM_maximum_ram_page`: one past the machine's highest frame of RAM.
pub fn maximum_ram_page(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    fresh(call, Errno::EINVAL)?;
    Ok(number(call.hv.host.max_mfn.saturating_add(1)))
}

/// `XENMEM_current_reservation`: pages a domain owns.
pub fn current_reservation(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let domain = fetch_domain(call)?;
    Ok(number(domain.memory.total.load(SeqCst)))
}

/// `XENMEM_maximum_reservation`: pages a domain may own.
pub fn maximum_reservation(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let domain = fetch_domain(call)?;
    Ok(number(domain.memory.limit.load(SeqCst)))
}

/// `XENMEM_maximum_gpfn`: highest guest frame that ever was mapped.
pub fn maximum_gpfn(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let domain = fetch_domain(call)?;
    let highest = domain.p2m.read().highest_gfn();
    Ok(number(highest.0))
}

fn fetch_domain(call: &mut Call<'_>) -> Result<Arc<Domain>, Errno> {
    fresh(call, Errno::EINVAL)?;
    let argument: MemoryDomain = call.fetch(call.pointer(1))?;
    call.target(argument.domid)
}

fn number(value: u64) -> Outcome {
    Outcome::Done(i64::try_from(value).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use xen_abi::memory::{
        XENMEM_CURRENT_RESERVATION, XENMEM_MAXIMUM_GPFN, XENMEM_MAXIMUM_RAM_PAGE,
        XENMEM_MAXIMUM_RESERVATION,
    };

    use super::super::testing::{ARGUMENT, Bench, MEMORY_OP};
    use super::*;
    use crate::fake_hv::RAM_PAGES;

    #[test]
    fn numbers_are_the_domains() {
        let bench = Bench::new();
        bench.guest.memory.limit.store(500, SeqCst);
        let guest = MemoryDomain {
            domid: bench.guest.id.0,
        };
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_CURRENT_RESERVATION, &guest),
            Ok(RAM_PAGES as i64)
        );
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_MAXIMUM_RESERVATION, &guest),
            Ok(500)
        );
        assert_eq!(
            bench.run(&bench.dom0, XENMEM_MAXIMUM_GPFN, &guest),
            Ok(RAM_PAGES as i64 - 1)
        );
        assert_eq!(
            bench.run(&bench.guest, XENMEM_MAXIMUM_RAM_PAGE, &0u16),
            Ok(2048)
        );
    }

    #[test]
    fn guest_learns_of_itself_only() {
        let bench = Bench::new();
        for op in [
            XENMEM_CURRENT_RESERVATION,
            XENMEM_MAXIMUM_RESERVATION,
            XENMEM_MAXIMUM_GPFN,
        ] {
            assert!(
                bench
                    .run(&bench.guest, op, &MemoryDomain { domid: 0x7ff0 })
                    .is_ok()
            );
            assert_eq!(
                bench.run(&bench.guest, op, &MemoryDomain { domid: 0 }),
                Err(Errno::EPERM)
            );
            assert_eq!(
                bench.run(&bench.dom0, op, &MemoryDomain { domid: 99 }),
                Err(Errno::ESRCH)
            );
            let restarted = [u64::from(op) | 1 << 6, ARGUMENT];
            assert_eq!(
                bench.fake.call(&bench.guest, MEMORY_OP, &restarted),
                Err(Errno::EINVAL)
            );
        }
    }
}
