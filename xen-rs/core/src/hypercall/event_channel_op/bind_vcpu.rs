//! `EVTCHNOP_bind_vcpu`: choose the vCPU that a port notifies.

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnBindVcpu;

use crate::hypercall::{Call, Outcome};
use crate::ids::{Port, VcpuId};

/// See the module.
///
/// # Errors
/// `EFAULT`, and those of [`crate::evtchn::EventChannels::bind_vcpu`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: EvtchnBindVcpu = call.fetch(call.pointer(1))?;
    call.domain
        .events
        .lock()
        .bind_vcpu(Port(arg.port), VcpuId(arg.vcpu))?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::event_channel::EVTCHNOP_BIND_VCPU;
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    #[test]
    fn port_moves_to_an_existing_vcpu_only() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        let port = guest
            .events
            .lock()
            .alloc_unbound(fake.memory, guest.id)
            .unwrap()
            .0;
        let args = [EVTCHNOP_BIND_VCPU.into(), 0];
        fake.put(&guest, 0, &EvtchnBindVcpu { port, vcpu: 1 });
        assert_eq!(
            fake.call(&guest, HYPERVISOR_EVENT_CHANNEL_OP, &args),
            Ok(Outcome::OK)
        );
        fake.put(&guest, 0, &EvtchnBindVcpu { port, vcpu: 2 });
        assert_eq!(
            fake.call(&guest, HYPERVISOR_EVENT_CHANNEL_OP, &args),
            Err(Errno::ENOENT)
        );
    }
}
