//! `XEN_DOMCTL_destroydomain`: ends a domain, in as many restarts of the hypercall as it takes.

use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;

/// See the module. A dead domain whose pages are still mapped elsewhere stays listed; that is success.
///
/// # Errors
/// `EINVAL` for the caller itself and for the domain that owns the hardware.
pub fn run(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    if call.hv.destroy_step(&domain)? {
        Ok(Copyback::Nothing)
    } else {
        Ok(Copyback::Again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::Outcome;
    use crate::hypercall::domctl::testing::*;
    use crate::ids::Domid;
    use xen_abi::domctl::*;

    #[test]
    fn destroyed_domain_is_gone_and_so_are_its_pages() {
        let (fake, dom0, _) = machine();
        let free = fake.hv.frames.lock().free_pages();
        let id = fake.domain(2).id.0;
        done(&fake, &dom0, XEN_DOMCTL_DESTROYDOMAIN, id, &0u8);
        assert_eq!(fake.hv.frames.lock().free_pages(), free);
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_DESTROYDOMAIN, id, &0u8),
            Errno::ESRCH
        );
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_GETDOMAININFO, id, &0u8),
            Errno::ESRCH
        );
    }

    #[test]
    fn domain_can_be_destroyed_at_any_point_of_its_creation() {
        let (fake, dom0, _) = machine();
        let free = fake.hv.frames.lock().free_pages();
        for with_vcpus in [false, true] {
            let id = create(&fake, &dom0).id.0;
            if with_vcpus {
                done(
                    &fake,
                    &dom0,
                    XEN_DOMCTL_MAX_VCPUS,
                    id,
                    &DomctlMaxVcpus { max: 2 },
                );
            }
            done(&fake, &dom0, XEN_DOMCTL_DESTROYDOMAIN, id, &0u8);
            assert_eq!(fake.hv.frames.lock().free_pages(), free);
        }
    }

    #[test]
    fn destruction_is_made_again_until_it_is_done() {
        let (fake, dom0, guest) = machine();
        fake.put(&dom0, AT, &frame(XEN_DOMCTL_DESTROYDOMAIN, 1, &0u8));
        assert_eq!(
            fake.call(&dom0, HYPERCALL, &[AT]),
            Ok(Outcome::Continue([AT, 0, 0, 0, 0]))
        );
        assert!(guest.is_dying() && fake.hv.domain(Domid(1)).is_some());
        assert_eq!(
            fails(
                &fake,
                &dom0,
                XEN_DOMCTL_MAX_VCPUS,
                1,
                &DomctlMaxVcpus { max: 2 }
            ),
            Errno::EINVAL
        );
        done(&fake, &dom0, XEN_DOMCTL_DESTROYDOMAIN, 1, &0u8);
    }

    #[test]
    fn dom0_is_not_destroyed() {
        let (fake, dom0, _) = machine();
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_DESTROYDOMAIN, 0, &0u8),
            Errno::EINVAL
        );
        assert!(!dom0.is_dying());
    }
}
