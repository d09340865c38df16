//! `VCPUOP_send_nmi`.

use xen_abi::errno::Errno;

use super::subject;
use crate::hypercall::{Call, Outcome};

/// Sends a non-maskable interrupt to one of the caller's vCPUs.
///
/// # Errors
/// `ENOENT`, `EINVAL` for an argument that is not null.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let vcpu = subject(call)?;
    if call.pointer(2).0 != 0 {
        return Err(Errno::EINVAL);
    }
    vcpu.arch.post_nmi();
    call.hv.notice(&vcpu);
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::vcpu::BLOCKED;
    use core::sync::atomic::Ordering::SeqCst;
    use xen_abi::vcpu::VCPUOP_SEND_NMI;
    use xen_abi::xen::HYPERVISOR_VCPU_OP;

    #[test]
    fn nmi_wakes_its_vcpu() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        guest.vcpus()[1].flags.fetch_or(BLOCKED, SeqCst);
        let nmi = |arg| {
            fake.call(
                &guest,
                HYPERVISOR_VCPU_OP,
                &[VCPUOP_SEND_NMI.into(), 1, arg],
            )
        };
        assert_eq!(nmi(8), Err(Errno::EINVAL));
        assert_eq!(fake.vcpu_arch(&guest, 1).nmis(), 0);
        assert_eq!(nmi(0), Ok(Outcome::OK));
        assert_eq!(fake.vcpu_arch(&guest, 1).nmis(), 1);
        assert!(!guest.vcpus()[1].is_blocked());
    }
}
