//! `HVMOP_pagetable_dying`: a hint for shadow page tables, which there are none of. Guests probe for it and go without.

use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_op::HvmPagetableDying;

use crate::hypercall::{Call, Outcome};
use crate::ids::Domid;

/// Refuses as Xen does with hardware-assisted paging.
///
/// # Errors
/// `EFAULT`, `ESRCH`, `EOPNOTSUPP` for another domain, `EINVAL` for the caller.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: HvmPagetableDying = call.fetch(call.pointer(1))?;
    let domain = call.hv.target(call.domain, Domid(arg.domid))?;
    Err(if domain.id == call.domain.id {
        Errno::EINVAL
    } else {
        Errno::EOPNOTSUPP
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::hvm::hvm_op::HVMOP_PAGETABLE_DYING;
    use xen_abi::xen::HYPERVISOR_HVM_OP;

    #[test]
    fn probe_finds_nothing() {
        let fake = Fake::new();
        let (_dom0, guest) = (fake.dom0(1), fake.domain(1));
        for (domid, errno) in [
            (0x7ff0, Errno::EINVAL),
            (0, Errno::EOPNOTSUPP),
            (5, Errno::ESRCH),
        ] {
            fake.put(
                &guest,
                0,
                &HvmPagetableDying {
                    domid,
                    ..Default::default()
                },
            );
            let probe = fake.call(
                &guest,
                HYPERVISOR_HVM_OP,
                &[HVMOP_PAGETABLE_DYING.into(), 0],
            );
            assert_eq!(probe, Err(errno));
        }
    }
}
