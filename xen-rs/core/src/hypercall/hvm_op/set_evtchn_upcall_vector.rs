//! `HVMOP_set_evtchn_upcall_vector`: announce a vCPU's events as an edge interrupt of its local APIC.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_op::HvmEvtchnUpcallVector;

use crate::hypercall::{Call, Outcome};
use crate::ids::VcpuId;

/// Vectors below are exceptions.
const LOWEST_VECTOR: u8 = 0x10;

/// See the module. The vCPU gets one such interrupt at once, whether an event is pending or not.
///
/// # Errors
/// `EFAULT`, `EINVAL` for a vector below 16, `ENOENT` for a vCPU that does not exist.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: HvmEvtchnUpcallVector = call.fetch(call.pointer(1))?;
    if arg.vector < LOWEST_VECTOR {
        return Err(Errno::EINVAL);
    }
    let vcpu = call.domain.vcpu(VcpuId(arg.vcpu)).ok_or(Errno::ENOENT)?;
    vcpu.upcall_vector.store(arg.vector, SeqCst);
    call.hv.deliver_upcall(vcpu);
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::hvm::hvm_op::HVMOP_SET_EVTCHN_UPCALL_VECTOR;
    use xen_abi::xen::HYPERVISOR_HVM_OP;

    #[test]
    fn vector_is_checked_stored_and_posted() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        let set = |vcpu, vector| {
            fake.put(
                &guest,
                0,
                &HvmEvtchnUpcallVector {
                    vcpu,
                    vector,
                    ..Default::default()
                },
            );
            fake.call(
                &guest,
                HYPERVISOR_HVM_OP,
                &[HVMOP_SET_EVTCHN_UPCALL_VECTOR.into(), 0],
            )
        };
        assert_eq!(set(9, 15), Err(Errno::EINVAL));
        assert_eq!(set(2, 16), Err(Errno::ENOENT));
        assert_eq!(set(1, 0xf3), Ok(Outcome::OK));
        assert_eq!(guest.vcpus()[1].upcall_vector.load(SeqCst), 0xf3);
        assert_eq!(fake.vcpu_arch(&guest, 1).take_posted(), [0xf3]);
    }
}
