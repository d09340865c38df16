//! `SCHEDOP_poll`: wait until one of some ports is pending, masked or not, or a time has come.
//!
//! An interrupt or event upcall ends the wait as well, and spurious ends are allowed: guests look for themselves.

use xen_abi::compat;
use xen_abi::errno::Errno;
use xen_abi::sched::SchedPoll;
use zerocopy::IntoBytes;

use crate::hypercall::{Call, Outcome, Width};
use crate::ids::GuestAddr;

/// Most ports in one call (Xen's arbitrary limit).
const MOST_PORTS: usize = 128;

/// See the module.
///
/// # Errors
/// `EFAULT`, `EINVAL` for more than 128 ports or one that is closed, unless one before it is pending.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let (array, count, timeout_ns) = fetch(call)?;
    let mut ports = [0u32; MOST_PORTS];
    let ports = ports.get_mut(..count as usize).ok_or(Errno::EINVAL)?;
    call.guest.read(array, ports.as_mut_bytes())?;
    if call.hv.has_deliverable_event(call.domain, call.vcpu) {
        return Ok(Outcome::OK);
    }
    // Before the poll begins, so that whatever ends it finds the timer of this poll and not of one before.
    let deadline_ns = if timeout_ns == 0 {
        u64::MAX
    } else {
        timeout_ns
    };
    call.vcpu.timers.lock().poll_ns = deadline_ns;
    let polls = call.hv.begin_poll(call.domain, call.vcpu, ports);
    if polls != Ok(true) {
        call.vcpu.timers.lock().poll_ns = u64::MAX;
        return polls.map(|_| Outcome::OK);
    }
    call.hv.rearm_timers(call.vcpu);
    Ok(Outcome::Reschedule)
}

/// Array, number of ports, time-out (0: none).
fn fetch(call: &mut Call<'_>) -> Result<(GuestAddr, u32, u64), Errno> {
    let at = call.pointer(1);
    Ok(match call.width {
        Width::Bits64 => {
            let arg: SchedPoll = call.fetch(at)?;
            (GuestAddr(arg.ports), arg.nr_ports, arg.timeout)
        }
        Width::Bits32 => {
            let arg: compat::sched::SchedPoll = call.fetch(at)?;
            (GuestAddr(arg.ports.into()), arg.nr_ports, arg.timeout)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::fake_hv::Fake;
    use crate::ids::{Port, VcpuId};
    use crate::vcpu::POLLING;
    use alloc::sync::Arc;
    use core::sync::atomic::Ordering::SeqCst;
    use xen_abi::sched::SCHEDOP_POLL;
    use xen_abi::xen::HYPERVISOR_SCHED_OP;

    fn guest_with_port() -> (Fake, Arc<Domain>, Port) {
        let fake = Fake::new();
        let guest = fake.domain(2);
        guest.callback_vector.store(0xf3, SeqCst);
        let port = guest
            .events
            .lock()
            .bind_ipi(fake.memory, VcpuId(1))
            .unwrap();
        (fake, guest, port)
    }

    fn poll(
        fake: &Fake,
        guest: &Arc<Domain>,
        ports: &[u32],
        timeout: u64,
    ) -> Result<Outcome, Errno> {
        fake.put(
            guest,
            0,
            &SchedPoll {
                ports: 64,
                nr_ports: ports.len() as u32,
                timeout,
                ..Default::default()
            },
        );
        fake.put(guest, 64, ports);
        fake.call(guest, HYPERVISOR_SCHED_OP, &[SCHEDOP_POLL.into(), 0])
    }

    fn is_polling(guest: &Domain) -> bool {
        guest.vcpus()[0].flags.load(SeqCst) & POLLING != 0
    }

    #[test]
    fn event_on_a_polled_port_of_another_vcpu_ends_the_wait() {
        let (fake, guest, port) = guest_with_port();
        assert_eq!(poll(&fake, &guest, &[port.0], 0), Ok(Outcome::Reschedule));
        assert!(is_polling(&guest));
        fake.hv.send_event(&guest, port).unwrap();
        assert!(!is_polling(&guest));
        assert_eq!(poll(&fake, &guest, &[port.0], 0), Ok(Outcome::OK));
    }

    #[test]
    fn time_out_ends_the_wait() {
        let (fake, guest, port) = guest_with_port();
        assert_eq!(
            poll(&fake, &guest, &[port.0], 5000),
            Ok(Outcome::Reschedule)
        );
        assert_eq!(fake.hv.next_timer_ns(), 5000);
        fake.machine.set_now_ns(5000);
        fake.hv.run_timers();
        assert!(!is_polling(&guest));
        assert_eq!(fake.hv.next_timer_ns(), u64::MAX);
    }

    #[test]
    fn upcall_or_interrupt_ends_the_wait_and_nothing_is_left_of_it() {
        let (fake, guest, port) = guest_with_port();
        let other = guest
            .events
            .lock()
            .bind_ipi(fake.memory, VcpuId(0))
            .unwrap();
        assert_eq!(poll(&fake, &guest, &[port.0], 0), Ok(Outcome::Reschedule));
        fake.hv.send_event(&guest, other).unwrap();
        assert!(!is_polling(&guest));
        let wake = guest.events.lock().raise_virq(fake.memory, VcpuId(0), 0);
        assert!(wake.is_nobody());
        assert_eq!(poll(&fake, &guest, &[port.0], 0), Ok(Outcome::OK));
    }

    #[test]
    fn waiting_interrupt_is_taken_first() {
        let (fake, guest, port) = guest_with_port();
        fake.vcpu_arch(&guest, 0).set_deliverable(true);
        assert_eq!(poll(&fake, &guest, &[port.0], 0), Ok(Outcome::OK));
        assert!(!is_polling(&guest));
    }

    #[test]
    fn too_many_closed_or_unreadable_ports_fail_without_waiting() {
        let (fake, guest, _) = guest_with_port();
        assert_eq!(poll(&fake, &guest, &[9; 129], 0), Err(Errno::EINVAL));
        assert_eq!(poll(&fake, &guest, &[9], 0), Err(Errno::EINVAL));
        fake.put(
            &guest,
            0,
            &SchedPoll {
                ports: 1 << 40,
                nr_ports: 1,
                ..Default::default()
            },
        );
        let unreadable = fake.call(&guest, HYPERVISOR_SCHED_OP, &[SCHEDOP_POLL.into(), 0]);
        assert_eq!(unreadable, Err(Errno::EFAULT));
        assert!(!is_polling(&guest));
    }

    #[test]
    fn short_layout_is_understood() {
        let (fake, guest, port) = guest_with_port();
        fake.put(
            &guest,
            0,
            &compat::sched::SchedPoll {
                ports: 64,
                nr_ports: 1,
                timeout: 700,
            },
        );
        fake.put(&guest, 64, &port.0);
        let args = [SCHEDOP_POLL.into(), 0];
        let done = fake.call_by(&guest, 0, Width::Bits32, HYPERVISOR_SCHED_OP, &args);
        assert_eq!(done, Ok(Outcome::Reschedule));
        assert_eq!(fake.hv.next_timer_ns(), 700);
    }
}
