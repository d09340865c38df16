//! `HVMOP_guest_request_vm_event`: call the domain's monitor. No domain has one, and as on Xen that is no error.

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
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::hvm::hvm_op::HVMOP_GUEST_REQUEST_VM_EVENT;
    use xen_abi::xen::HYPERVISOR_HVM_OP;

    #[test]
    fn nobody_listens() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let ask = |arg| {
            fake.call(
                &guest,
                HYPERVISOR_HVM_OP,
                &[HVMOP_GUEST_REQUEST_VM_EVENT.into(), arg],
            )
        };
        assert_eq!((ask(0), ask(1)), (Ok(Outcome::OK), Err(Errno::EINVAL)));
    }
}
