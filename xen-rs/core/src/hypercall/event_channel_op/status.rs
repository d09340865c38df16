//! `EVTCHNOP_status`: what a port, of the caller or (with privilege) of another domain, is bound to.

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnStatus;

use crate::hypercall::{Call, Outcome};

/// See the module.
///
/// # Errors
/// `EFAULT`, `ESRCH`, `EPERM`, and `EINVAL` for a port that does not exist.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let mut arg: EvtchnStatus = call.fetch(at)?;
    let domain = call.subject(arg.dom)?;
    domain.events.lock().status(&mut arg)?;
    call.store(at, &arg)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::event_channel::{EVTCHNOP_STATUS, EVTCHNSTAT_UNBOUND};
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    #[test]
    fn privileged_domain_sees_the_ports_of_others() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        let port = guest
            .events
            .lock()
            .alloc_unbound(fake.memory, dom0.id)
            .unwrap()
            .0;
        let args = [EVTCHNOP_STATUS.into(), 0];
        fake.put(
            &dom0,
            0,
            &EvtchnStatus {
                dom: guest.id.0,
                port,
                ..Default::default()
            },
        );
        assert_eq!(
            fake.call(&dom0, HYPERVISOR_EVENT_CHANNEL_OP, &args),
            Ok(Outcome::OK)
        );
        assert_eq!(
            fake.get::<EvtchnStatus>(&dom0, 0).status,
            EVTCHNSTAT_UNBOUND
        );
        fake.put(
            &guest,
            0,
            &EvtchnStatus {
                dom: 0,
                port,
                ..Default::default()
            },
        );
        assert_eq!(
            fake.call(&guest, HYPERVISOR_EVENT_CHANNEL_OP, &args),
            Err(Errno::EPERM)
        );
    }
}
