//! `EVTCHNOP_unmask`: unmask a port and deliver what is pending.

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnUnmask;

use crate::hypercall::{Call, Outcome};
use crate::ids::Port;

/// See the module.
///
/// # Errors
/// `EFAULT`, and `EINVAL` for a port that does not exist.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: EvtchnUnmask = call.fetch(call.pointer(1))?;
    let wake = call
        .domain
        .events
        .lock()
        .unmask(call.hv.memory, Port(arg.port))?;
    call.hv.wake(call.domain, wake);
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hal::MachineMemory;
    use crate::ids::{Maddr, VcpuId};
    use xen_abi::event_channel::EVTCHNOP_UNMASK;
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    #[test]
    fn pending_masked_event_is_delivered() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let port = guest
            .events
            .lock()
            .bind_ipi(fake.memory, VcpuId(0))
            .unwrap();
        let mask = Maddr(guest.shared_info.maddr().0 + 2560);
        fake.memory.store_u64(mask, 1 << port.0);
        fake.hv.send_event(&guest, port).unwrap();
        assert!(
            !guest
                .events
                .lock()
                .is_upcall_pending(fake.memory, VcpuId(0))
        );
        fake.put(&guest, 0, &EvtchnUnmask { port: port.0 });
        fake.call(
            &guest,
            HYPERVISOR_EVENT_CHANNEL_OP,
            &[EVTCHNOP_UNMASK.into(), 0],
        )
        .unwrap();
        assert!(
            guest
                .events
                .lock()
                .is_upcall_pending(fake.memory, VcpuId(0))
        );
        assert_eq!(fake.memory.load_u64(mask), 0);
    }
}
