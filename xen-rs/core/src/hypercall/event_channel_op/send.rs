//! `EVTCHNOP_send`: raise the other end of a port.

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnSend;

use crate::hypercall::{Call, Outcome};
use crate::ids::Port;

/// See the module.
///
/// # Errors
/// `EFAULT`, and those of [`crate::evtchn::EventChannels::send`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: EvtchnSend = call.fetch(call.pointer(1))?;
    call.hv.send_event(call.domain, Port(arg.port))?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::ids::VcpuId;
    use crate::vcpu::BLOCKED;
    use core::sync::atomic::Ordering::SeqCst;
    use xen_abi::event_channel::EVTCHNOP_SEND;
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    #[test]
    fn send_wakes_a_blocked_vcpu_through_its_upcall_vector() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        let port = guest
            .events
            .lock()
            .bind_ipi(fake.memory, VcpuId(1))
            .unwrap()
            .0;
        let sleeper = guest.vcpu(VcpuId(1)).unwrap();
        sleeper.upcall_vector.store(0xf3, SeqCst);
        sleeper.flags.fetch_or(BLOCKED, SeqCst);
        fake.put(&guest, 0, &EvtchnSend { port });
        fake.call(
            &guest,
            HYPERVISOR_EVENT_CHANNEL_OP,
            &[EVTCHNOP_SEND.into(), 0],
        )
        .unwrap();
        assert!(!sleeper.is_blocked());
        assert_eq!(fake.vcpu_arch(&guest, 1).take_posted(), [0xf3]);
    }

    #[test]
    fn send_on_closed_port_or_from_bad_memory_fails() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        fake.put(&guest, 0, &EvtchnSend { port: 1 });
        let send = |at| {
            fake.call(
                &guest,
                HYPERVISOR_EVENT_CHANNEL_OP,
                &[EVTCHNOP_SEND.into(), at],
            )
        };
        assert_eq!(send(0), Err(Errno::EINVAL));
        assert_eq!(send(u64::MAX - 1), Err(Errno::EFAULT));
    }
}
