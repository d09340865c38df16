//! `HVMOP_altp2m`: alternate guest-physical maps, which are not offered.

use xen_abi::errno::Errno;

use crate::hypercall::{Call, Outcome};

/// Refuses as Xen does on processors without support.
///
/// # Errors
/// `EOPNOTSUPP`.
pub fn run(_call: &mut Call<'_>) -> Result<Outcome, Errno> {
    Err(Errno::EOPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::hvm::hvm_op::HVMOP_ALTP2M;
    use xen_abi::xen::HYPERVISOR_HVM_OP;

    #[test]
    fn there_are_no_alternate_maps() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let done = fake.call(&dom0, HYPERVISOR_HVM_OP, &[HVMOP_ALTP2M.into(), 0]);
        assert_eq!(done, Err(Errno::EOPNOTSUPP));
    }
}
