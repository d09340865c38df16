//! `VCPUOP_get_physid`: not offered. Xen answers only a dom0 all of whose vCPUs are pinned by its command line, which this hypervisor does
//! not tie to physical identities.

use xen_abi::errno::Errno;

use super::subject;
use crate::hypercall::{Call, Outcome};

/// Refuses as Xen does for a vCPU that is not pinned.
///
/// # Errors
/// `ENOENT`, then `EINVAL`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    subject(call)?;
    Err(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::vcpu::VCPUOP_GET_PHYSID;
    use xen_abi::xen::HYPERVISOR_VCPU_OP;

    #[test]
    fn no_vcpu_has_a_physical_identity() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let ask = |vcpu| {
            fake.call(
                &dom0,
                HYPERVISOR_VCPU_OP,
                &[VCPUOP_GET_PHYSID.into(), vcpu, 0],
            )
        };
        assert_eq!((ask(0), ask(1)), (Err(Errno::EINVAL), Err(Errno::ENOENT)));
    }
}
