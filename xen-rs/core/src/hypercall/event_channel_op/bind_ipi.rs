//! `EVTCHNOP_bind_ipi`: a port by which the domain signals one of its own vCPUs.

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnBindIpi;

use crate::hypercall::{Call, Outcome};
use crate::ids::VcpuId;

/// See the module.
///
/// # Errors
/// `EFAULT`, and those of [`crate::evtchn::EventChannels::bind_ipi`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let mut arg: EvtchnBindIpi = call.fetch(at)?;
    let port = call
        .domain
        .events
        .lock()
        .bind_ipi(call.hv.memory, VcpuId(arg.vcpu))?;
    arg.port = port.0;
    call.store(at, &arg)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::event_channel::EVTCHNOP_BIND_IPI;
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    #[test]
    fn ipi_port_comes_back_and_a_missing_vcpu_is_enoent() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        let args = [EVTCHNOP_BIND_IPI.into(), 16];
        fake.put(&guest, 16, &EvtchnBindIpi { vcpu: 1, port: 0 });
        assert_eq!(
            fake.call(&guest, HYPERVISOR_EVENT_CHANNEL_OP, &args),
            Ok(Outcome::OK)
        );
        assert_eq!(fake.get::<EvtchnBindIpi>(&guest, 16).port, 1);
        fake.put(&guest, 16, &EvtchnBindIpi { vcpu: 2, port: 0 });
        assert_eq!(
            fake.call(&guest, HYPERVISOR_EVENT_CHANNEL_OP, &args),
            Err(Errno::ENOENT)
        );
    }
}
