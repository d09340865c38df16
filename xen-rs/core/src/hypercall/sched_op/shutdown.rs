//! `SCHEDOP_shutdown` and `SCHEDOP_shutdown_code`: the caller's domain stops, and why.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::sched::SchedShutdown;

use crate::domain::NO_SHUTDOWN_CODE;
use crate::hypercall::{Call, Outcome};

/// Stops all vCPUs of the domain. A reason recorded before stands.
///
/// # Errors
/// `EFAULT`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: SchedShutdown = call.fetch(call.pointer(1))?;
    // Only the low byte counts, as in Xen.
    call.hv.shutdown_domain(call.domain, arg.reason as u8);
    Ok(Outcome::Reschedule)
}

/// Records the reason of a shutdown to come, unless there is one.
///
/// # Errors
/// `EFAULT`.
pub fn run_code(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: SchedShutdown = call.fetch(call.pointer(1))?;
    // A reason that is there already stands.
    let _ = call.domain.shutdown_code.compare_exchange(
        NO_SHUTDOWN_CODE,
        arg.reason as u8,
        SeqCst,
        SeqCst,
    );
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hal::Restart;
    use crate::sched::Schedulable;
    use xen_abi::sched::{
        SCHEDOP_SHUTDOWN, SCHEDOP_SHUTDOWN_CODE, SHUTDOWN_CRASH, SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT,
    };
    use xen_abi::xen::{HYPERVISOR_SCHED_OP, VIRQ_DOM_EXC};

    #[test]
    fn guest_stops_with_its_reason_and_dom0_is_told() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(2));
        let port = dom0
            .events
            .lock()
            .bind_virq(fake.memory, VIRQ_DOM_EXC, crate::ids::VcpuId(0))
            .unwrap();
        fake.put(
            &guest,
            0,
            &SchedShutdown {
                reason: SHUTDOWN_REBOOT,
            },
        );
        let done = fake.call(&guest, HYPERVISOR_SCHED_OP, &[SCHEDOP_SHUTDOWN.into(), 0]);
        assert_eq!(done, Ok(Outcome::Reschedule));
        assert_eq!(guest.shutdown_code.load(SeqCst), SHUTDOWN_REBOOT as u8);
        assert!(guest.vcpus().iter().all(|vcpu| !vcpu.runnable()));
        assert!(dom0.events.lock().is_pending(fake.memory, port));
    }

    #[test]
    fn recorded_reason_stands() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        for (op, reason) in [
            (SCHEDOP_SHUTDOWN_CODE, SHUTDOWN_CRASH),
            (SCHEDOP_SHUTDOWN_CODE, SHUTDOWN_REBOOT),
            (SCHEDOP_SHUTDOWN, SHUTDOWN_POWEROFF),
        ] {
            assert!(!guest.is_shut_down.load(SeqCst));
            fake.put(&guest, 0, &SchedShutdown { reason });
            fake.call(&guest, HYPERVISOR_SCHED_OP, &[op.into(), 0])
                .unwrap();
        }
        assert_eq!(guest.shutdown_code.load(SeqCst), SHUTDOWN_CRASH as u8);
    }

    #[test]
    fn shutdown_of_dom0_is_the_machines() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        fake.put(
            &dom0,
            0,
            &SchedShutdown {
                reason: SHUTDOWN_POWEROFF,
            },
        );
        fake.call(&dom0, HYPERVISOR_SCHED_OP, &[SCHEDOP_SHUTDOWN.into(), 0])
            .unwrap();
        assert_eq!(fake.arch.restarts(), [Restart::PowerOff]);
    }
}
