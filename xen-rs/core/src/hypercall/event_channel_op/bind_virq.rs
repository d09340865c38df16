//! `EVTCHNOP_bind_virq`: a port that the hypervisor raises.

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnBindVirq;

use crate::hypercall::{Call, Outcome};
use crate::ids::VcpuId;

/// See the module.
///
/// # Errors
/// `EFAULT`, and those of [`crate::evtchn::EventChannels::bind_virq`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let mut arg: EvtchnBindVirq = call.fetch(at)?;
    let port = call
        .domain
        .events
        .lock()
        .bind_virq(call.hv.memory, arg.virq, VcpuId(arg.vcpu))?;
    arg.port = port.0;
    call.store(at, &arg)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hypercall::Width;
    use xen_abi::event_channel::EVTCHNOP_BIND_VIRQ;
    use xen_abi::xen::{HYPERVISOR_EVENT_CHANNEL_OP, VIRQ_TIMER};

    #[test]
    fn virq_is_bound_once_per_vcpu_by_callers_of_either_width() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        let bind = |vcpu, width| {
            fake.put(
                &guest,
                8,
                &EvtchnBindVirq {
                    virq: VIRQ_TIMER,
                    vcpu,
                    port: 0,
                },
            );
            // The upper half of a 32-bit caller's registers means nothing.
            let args = [
                u64::from(EVTCHNOP_BIND_VIRQ),
                if width == Width::Bits32 {
                    0xdead_0000_0000_0008
                } else {
                    8
                },
            ];
            let done = fake.call_by(&guest, 0, width, HYPERVISOR_EVENT_CHANNEL_OP, &args);
            done.map(|_| fake.get::<EvtchnBindVirq>(&guest, 8).port)
        };
        assert_eq!(bind(0, Width::Bits64), Ok(1));
        assert_eq!(bind(1, Width::Bits32), Ok(2));
        assert_eq!(bind(1, Width::Bits64), Err(Errno::EEXIST));
        assert_eq!(bind(2, Width::Bits64), Err(Errno::ENOENT));
    }
}
