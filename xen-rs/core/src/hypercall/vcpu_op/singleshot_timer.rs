//! `VCPUOP_set_singleshot_timer` and `VCPUOP_stop_singleshot_timer`: raise `VIRQ_TIMER` once, on the calling vCPU.
//!
//! A deadline that is past raises it at once and is no error, whatever the flags say (Xen 4.20).

use alloc::sync::Arc;

use xen_abi::compat;
use xen_abi::errno::Errno;
use xen_abi::vcpu::VcpuSetSingleshotTimer;
use xen_abi::xen::VIRQ_TIMER;

use super::subject;
use crate::hypercall::{Call, Outcome, Width};

/// Starts it.
///
/// # Errors
/// `ENOENT`, `EINVAL` for another vCPU than the caller, `EFAULT`.
pub fn set(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    own(call)?;
    let at = call.pointer(2);
    let deadline_ns = match call.width {
        Width::Bits64 => call.fetch::<VcpuSetSingleshotTimer>(at)?.timeout_abs_ns,
        Width::Bits32 => call
            .fetch::<compat::vcpu::VcpuSetSingleshotTimer>(at)?
            .timeout_abs_ns
            .get(),
    };
    arm(call, deadline_ns);
    Ok(Outcome::OK)
}

/// Stops it.
///
/// # Errors
/// `ENOENT`, `EINVAL` for another vCPU than the caller.
pub fn stop(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    own(call)?;
    disarm(call);
    Ok(Outcome::OK)
}

fn own(call: &Call<'_>) -> Result<(), Errno> {
    if Arc::ptr_eq(&subject(call)?, call.vcpu) {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

/// Sets the calling vCPU's timer to `deadline_ns` of system time; raises the event now if that is not in the future.
pub fn arm(call: &Call<'_>, deadline_ns: u64) {
    let is_past = deadline_ns <= call.hv.now_ns();
    call.vcpu.timers.lock().singleshot_ns = if is_past { u64::MAX } else { deadline_ns };
    call.hv.rearm_timers(call.vcpu);
    if is_past {
        call.hv.raise_virq(call.domain, call.vcpu.id, VIRQ_TIMER);
    }
}

/// Stops the calling vCPU's timer.
pub fn disarm(call: &Call<'_>) {
    call.vcpu.timers.lock().singleshot_ns = u64::MAX;
    call.hv.rearm_timers(call.vcpu);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::fake_hv::Fake;
    use crate::ids::{Port, VcpuId};
    use xen_abi::vcpu::{
        VCPU_SSHOTTMR_FUTURE, VCPUOP_SET_SINGLESHOT_TIMER, VCPUOP_STOP_SINGLESHOT_TIMER,
    };
    use xen_abi::xen::HYPERVISOR_VCPU_OP;

    fn guest_with_timer() -> (Fake, Arc<Domain>, Port) {
        let fake = Fake::new();
        let guest = fake.domain(2);
        let port = guest
            .events
            .lock()
            .bind_virq(fake.memory, VIRQ_TIMER, VcpuId(0))
            .unwrap();
        fake.machine.set_now_ns(1000);
        (fake, guest, port)
    }

    fn set_timer(
        fake: &Fake,
        guest: &Arc<Domain>,
        vcpu: u64,
        timeout_abs_ns: u64,
    ) -> Result<Outcome, Errno> {
        let flags = VCPU_SSHOTTMR_FUTURE;
        fake.put(
            guest,
            0,
            &VcpuSetSingleshotTimer {
                timeout_abs_ns,
                flags,
                ..Default::default()
            },
        );
        fake.call(
            guest,
            HYPERVISOR_VCPU_OP,
            &[VCPUOP_SET_SINGLESHOT_TIMER.into(), vcpu, 0],
        )
    }

    #[test]
    fn past_deadline_raises_the_event_at_once() {
        let (fake, guest, port) = guest_with_timer();
        assert_eq!(set_timer(&fake, &guest, 0, 999), Ok(Outcome::OK));
        assert!(guest.events.lock().is_pending(fake.memory, port));
        assert_eq!(fake.hv.next_timer_ns(), u64::MAX);
    }

    #[test]
    fn future_deadline_fires_once_when_it_comes() {
        let (fake, guest, port) = guest_with_timer();
        assert_eq!(set_timer(&fake, &guest, 0, 1500), Ok(Outcome::OK));
        assert!(!guest.events.lock().is_pending(fake.memory, port));
        assert_eq!(fake.hv.next_timer_ns(), 1500);
        fake.machine.set_now_ns(1500);
        fake.hv.run_timers();
        assert!(guest.events.lock().is_pending(fake.memory, port));
        assert_eq!(fake.hv.next_timer_ns(), u64::MAX);
    }

    #[test]
    fn stopped_timer_does_not_fire() {
        let (fake, guest, _) = guest_with_timer();
        set_timer(&fake, &guest, 0, 1500).unwrap();
        let stop = |vcpu| {
            fake.call(
                &guest,
                HYPERVISOR_VCPU_OP,
                &[VCPUOP_STOP_SINGLESHOT_TIMER.into(), vcpu],
            )
        };
        assert_eq!(stop(1), Err(Errno::EINVAL));
        assert_eq!(stop(0), Ok(Outcome::OK));
        assert_eq!(fake.hv.next_timer_ns(), u64::MAX);
    }

    #[test]
    fn only_the_callers_own_timer_is_set() {
        let (fake, guest, _) = guest_with_timer();
        assert_eq!(set_timer(&fake, &guest, 1, 1500), Err(Errno::EINVAL));
        assert_eq!(set_timer(&fake, &guest, 2, 1500), Err(Errno::ENOENT));
    }

    #[test]
    fn short_layout_is_twelve_bytes() {
        let (fake, guest, _) = guest_with_timer();
        let end = crate::fake_hv::RAM_PAGES * crate::fake_hv::GUEST_PAGE - 12;
        fake.put(&guest, end, &[5000u32, 0, 0]);
        let args = [VCPUOP_SET_SINGLESHOT_TIMER.into(), 0, end];
        let done = fake.call_by(&guest, 0, Width::Bits32, HYPERVISOR_VCPU_OP, &args);
        assert_eq!(done, Ok(Outcome::OK));
        assert_eq!(fake.hv.next_timer_ns(), 5000);
    }
}
