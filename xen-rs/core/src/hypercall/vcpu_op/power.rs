//! `VCPUOP_up`, `VCPUOP_down` and `VCPUOP_is_up`.

use alloc::sync::Arc;

use xen_abi::errno::Errno;

use super::subject;
use crate::hypercall::{Call, Outcome};

/// Starts a vCPU that is down.
///
/// # Errors
/// `ENOENT`, and `EINVAL` for one that has no state to start from.
pub fn up(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let vcpu = subject(call)?;
    if !super::has_state(call, &vcpu) {
        return Err(Errno::EINVAL);
    }
    call.hv.bring_up(&vcpu);
    Ok(Outcome::OK)
}

/// Stops a vCPU. The last one of a domain powers it off.
///
/// # Errors
/// `ENOENT`.
pub fn down(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let vcpu = subject(call)?;
    call.hv.bring_down(call.domain, &vcpu);
    Ok(if Arc::ptr_eq(&vcpu, call.vcpu) {
        Outcome::Reschedule
    } else {
        Outcome::OK
    })
}

/// 1 or 0.
///
/// # Errors
/// `ENOENT`.
pub fn is_up(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    Ok(Outcome::Done(subject(call)?.is_up().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::fake_hv::Fake;
    use core::sync::atomic::Ordering::SeqCst;
    use xen_abi::sched::SHUTDOWN_POWEROFF;
    use xen_abi::vcpu::{VCPUOP_DOWN, VCPUOP_IS_UP, VCPUOP_UP};
    use xen_abi::xen::HYPERVISOR_VCPU_OP;

    fn op(fake: &Fake, domain: &Arc<Domain>, op: u32, vcpu: u64) -> Result<Outcome, Errno> {
        fake.call(domain, HYPERVISOR_VCPU_OP, &[op.into(), vcpu, 0])
    }

    #[test]
    fn vcpu_goes_down_and_up_again() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        assert_eq!(op(&fake, &guest, VCPUOP_DOWN, 1), Ok(Outcome::OK));
        assert_eq!(op(&fake, &guest, VCPUOP_IS_UP, 1), Ok(Outcome::Done(0)));
        assert_eq!(op(&fake, &guest, VCPUOP_UP, 1), Ok(Outcome::OK));
        assert_eq!(op(&fake, &guest, VCPUOP_IS_UP, 1), Ok(Outcome::Done(1)));
        assert_eq!(op(&fake, &guest, VCPUOP_UP, 2), Err(Errno::ENOENT));
        assert!(!guest.is_shut_down.load(SeqCst));
    }

    #[test]
    fn vcpu_without_a_state_is_not_started() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        op(&fake, &guest, VCPUOP_DOWN, 1).unwrap();
        guest.vcpus()[1].arch.reset();
        assert_eq!(op(&fake, &guest, VCPUOP_UP, 1), Err(Errno::EINVAL));
    }

    #[test]
    fn last_vcpu_going_down_powers_the_domain_off() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        assert_eq!(op(&fake, &guest, VCPUOP_DOWN, 0), Ok(Outcome::Reschedule));
        assert_eq!(guest.shutdown_code.load(SeqCst), SHUTDOWN_POWEROFF as u8);
    }
}
