//! `XEN_SYSCTL_getdomaininfolist`: what `xl list` shows.

use xen_abi::errno::Errno;
use xen_abi::sysctl::SysctlGetdomaininfolist;

use super::SysctlFrame;
use crate::hypercall::Call;
use crate::hypercall::domctl::describe;
use crate::hypercall::framed::Copyback;
use crate::ids::{Domid, GuestAddr};

/// Domains looked up at a time.
const BATCH: usize = 32;

/// Describes domains from a number on, in order, dead ones that still have pages included.
///
/// # Errors
/// `EFAULT`.
pub fn run(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let mut op: SysctlGetdomaininfolist = frame.payload.get();
    let mut next = Some(Domid(op.first_domain));
    op.num_domains = 0;
    while let Some(from) = next
        && op.num_domains < op.max_domains
    {
        let batch = call
            .hv
            .domains_from(from, BATCH.min((op.max_domains - op.num_domains) as usize));
        for domain in &batch {
            let info = describe(call.hv, domain);
            call.store_at(GuestAddr(op.buffer), u64::from(op.num_domains), &info)?;
            op.num_domains += 1;
        }
        next = batch
            .last()
            .and_then(|domain| domain.id.0.checked_add(1))
            .map(Domid);
    }
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::sysctl::testing::*;
    use xen_abi::domctl::DomctlGetdomaininfo;
    use xen_abi::sysctl::XEN_SYSCTL_GETDOMAININFOLIST;

    fn op(first_domain: u16, max_domains: u32, buffer: u64) -> SysctlGetdomaininfolist {
        SysctlGetdomaininfolist {
            first_domain,
            max_domains,
            buffer,
            ..SysctlGetdomaininfolist::default()
        }
    }

    #[test]
    fn domains_are_listed_in_order_from_a_number_on() {
        let (fake, dom0) = machine();
        (0..40).for_each(|_| _ = fake.domain(0));
        let list = |first, max| {
            let count = done(
                &fake,
                &dom0,
                XEN_SYSCTL_GETDOMAININFOLIST,
                &op(first, max, BUFFER),
            )
            .num_domains;
            let last = BUFFER + u64::from(count.max(1) - 1) * 112;
            (count, fake.get::<DomctlGetdomaininfo>(&dom0, last).domain)
        };
        assert_eq!(list(0, 1024), (41, 40));
        assert_eq!(list(0, u32::MAX), (41, 40));
        assert_eq!(list(5, 34), (34, 38));
        assert_eq!(list(u16::MAX, 5).0, 0);
        assert_eq!(list(0, 0).0, 0);
    }

    #[test]
    fn buffer_that_is_not_there_is_efault() {
        let (fake, dom0) = machine();
        for buffer in [0x10_0000_0000, u64::MAX - 8] {
            assert_eq!(
                fails(
                    &fake,
                    &dom0,
                    XEN_SYSCTL_GETDOMAININFOLIST,
                    &op(0, 9, buffer)
                ),
                Errno::EFAULT
            );
        }
    }
}
