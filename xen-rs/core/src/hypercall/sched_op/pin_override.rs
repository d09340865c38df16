//! `SCHEDOP_pin_override`: pin dom0's vCPU to a physical CPU for a while, for firmware calls that insist on one.
//!
//! Not offered: no CPU can be chosen, as if none of the numbers were online, and there never is an override to end.

use xen_abi::errno::Errno;
use xen_abi::sched::SchedPinOverride;

use crate::hypercall::{Call, Outcome};

/// Refuses.
///
/// # Errors
/// `EFAULT`, then `EINVAL`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let _: SchedPinOverride = call.fetch(call.pointer(1))?;
    Err(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::xen::HYPERVISOR_SCHED_OP;

    #[test]
    fn nobody_overrides_affinity() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        assert_eq!(
            fake.call(&dom0, HYPERVISOR_SCHED_OP, &[7, 0]),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            fake.call(&guest, HYPERVISOR_SCHED_OP, &[7, 0]),
            Err(Errno::EPERM)
        );
    }
}
