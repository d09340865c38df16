//! `VCPUOP_set_periodic_timer` and `VCPUOP_stop_periodic_timer`: raise `VIRQ_TIMER` at a fixed period.

use xen_abi::errno::Errno;
use xen_abi::vcpu::VcpuSetPeriodicTimer;

use super::subject;
use crate::hypercall::{Call, Outcome};

/// Shortest period: 1 ms.
const SHORTEST_NS: u64 = 1_000_000;
/// Longest period (`STIME_DELTA_MAX` of Xen).
const LONGEST_NS: u64 = u64::MAX >> 2;

/// Starts it; the first tick is a period away.
///
/// # Errors
/// `ENOENT`, `EFAULT`, `EINVAL` for a period that is too short or too long.
pub fn set(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let vcpu = subject(call)?;
    let period_ns = call
        .fetch::<VcpuSetPeriodicTimer>(call.pointer(2))?
        .period_ns;
    if !(SHORTEST_NS..=LONGEST_NS).contains(&period_ns) {
        return Err(Errno::EINVAL);
    }
    {
        let mut timers = vcpu.timers.lock();
        timers.period_ns = period_ns;
        timers.periodic_ns = call.hv.now_ns().saturating_add(period_ns);
    }
    call.hv.rearm_timers(&vcpu);
    Ok(Outcome::OK)
}

/// Stops it.
///
/// # Errors
/// `ENOENT`.
pub fn stop(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let vcpu = subject(call)?;
    {
        let mut timers = vcpu.timers.lock();
        timers.period_ns = 0;
        timers.periodic_ns = u64::MAX;
    }
    call.hv.rearm_timers(&vcpu);
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::ids::VcpuId;
    use xen_abi::vcpu::{VCPUOP_SET_PERIODIC_TIMER, VCPUOP_STOP_PERIODIC_TIMER};
    use xen_abi::xen::{HYPERVISOR_VCPU_OP, VIRQ_TIMER};

    #[test]
    fn ticks_come_until_stopped_even_for_another_vcpu() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        let port = guest
            .events
            .lock()
            .bind_virq(fake.memory, VIRQ_TIMER, VcpuId(1))
            .unwrap();
        fake.put(
            &guest,
            0,
            &VcpuSetPeriodicTimer {
                period_ns: 2_000_000,
            },
        );
        let set = fake.call(
            &guest,
            HYPERVISOR_VCPU_OP,
            &[VCPUOP_SET_PERIODIC_TIMER.into(), 1, 0],
        );
        assert_eq!(set, Ok(Outcome::OK));
        assert_eq!(fake.hv.next_timer_ns(), 2_000_000);
        fake.machine.set_now_ns(2_500_000);
        fake.hv.run_timers();
        assert!(guest.events.lock().is_pending(fake.memory, port));
        assert_eq!(fake.hv.next_timer_ns(), 4_500_000);
        let stop = fake.call(
            &guest,
            HYPERVISOR_VCPU_OP,
            &[VCPUOP_STOP_PERIODIC_TIMER.into(), 1],
        );
        assert_eq!(stop, Ok(Outcome::OK));
        assert_eq!(fake.hv.next_timer_ns(), u64::MAX);
    }

    #[test]
    fn period_below_a_millisecond_or_beyond_reason_is_einval() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        for period_ns in [0, SHORTEST_NS - 1, LONGEST_NS + 1, u64::MAX] {
            fake.put(&guest, 0, &VcpuSetPeriodicTimer { period_ns });
            let set = fake.call(
                &guest,
                HYPERVISOR_VCPU_OP,
                &[VCPUOP_SET_PERIODIC_TIMER.into(), 0, 0],
            );
            assert_eq!(set, Err(Errno::EINVAL));
        }
    }
}
