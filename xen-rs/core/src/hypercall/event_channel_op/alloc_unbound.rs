//! `EVTCHNOP_alloc_unbound`: a port, in the caller or (for the toolstack) in another domain, to which one named domain may connect.

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnAllocUnbound;

use crate::hypercall::{Call, Outcome};
use crate::ids::Domid;

/// See the module.
///
/// # Errors
/// `EFAULT`, `ESRCH`, `EPERM`, and those of [`crate::evtchn::EventChannels::alloc_unbound`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let mut arg: EvtchnAllocUnbound = call.fetch(at)?;
    let domain = call.subject(arg.dom)?;
    let remote = match Domid(arg.remote_dom) {
        Domid::SELF => call.domain.id,
        other => other,
    };
    let port = domain.events.lock().alloc_unbound(call.hv.memory, remote)?;
    arg.port = port.0;
    call.store(at, &arg)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::event_channel::EVTCHNOP_ALLOC_UNBOUND;
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    fn alloc(
        fake: &Fake,
        caller: &alloc::sync::Arc<crate::domain::Domain>,
        dom: u16,
    ) -> Result<u32, Errno> {
        fake.put(
            caller,
            0,
            &EvtchnAllocUnbound {
                dom,
                remote_dom: 0x7ff0,
                port: 0,
            },
        );
        fake.call(
            caller,
            HYPERVISOR_EVENT_CHANNEL_OP,
            &[EVTCHNOP_ALLOC_UNBOUND.into(), 0],
        )?;
        Ok(fake.get::<EvtchnAllocUnbound>(caller, 0).port)
    }

    #[test]
    fn only_a_privileged_domain_allocates_in_another() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        assert_eq!(alloc(&fake, &dom0, 1), Ok(1));
        assert_eq!(alloc(&fake, &guest, 0x7ff0), Ok(2));
        assert_eq!(alloc(&fake, &guest, 1), Ok(3));
        assert_eq!(alloc(&fake, &guest, 0), Err(Errno::EPERM));
        assert_eq!(alloc(&fake, &guest, 9), Err(Errno::ESRCH));
    }

    #[test]
    fn bad_pointer_is_efault_and_allocates_nothing() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let args = [EVTCHNOP_ALLOC_UNBOUND.into(), 1 << 40];
        assert_eq!(
            fake.call(&dom0, HYPERVISOR_EVENT_CHANNEL_OP, &args),
            Err(Errno::EFAULT)
        );
        assert_eq!(alloc(&fake, &dom0, 0), Ok(1));
    }
}
