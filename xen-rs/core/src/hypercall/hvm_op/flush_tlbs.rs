//! `HVMOP_flush_tlbs`: flush the translations of all the caller's vCPUs.

use xen_abi::errno::Errno;

use crate::hypercall::{Call, Outcome};

/// See the module.
///
/// # Errors
/// `EINVAL` for an argument that is not null.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    if call.pointer(1).0 != 0 {
        return Err(Errno::EINVAL);
    }
    call.hv.arch.flush_domain(call.domain);
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::hvm::hvm_op::HVMOP_FLUSH_TLBS;
    use xen_abi::xen::HYPERVISOR_HVM_OP;

    #[test]
    fn flush_takes_no_argument() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let before = fake.arch.flushes();
        let flush = |arg| fake.call(&guest, HYPERVISOR_HVM_OP, &[HVMOP_FLUSH_TLBS.into(), arg]);
        assert_eq!(flush(1), Err(Errno::EINVAL));
        assert_eq!(flush(0), Ok(Outcome::OK));
        assert_eq!(fake.arch.flushes(), before + 1);
    }
}
