//! `EVTCHNOP_bind_interdomain`: connect a new port to one that the remote domain left unbound for the caller.

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnBindInterdomain;

use super::pair::with_both;
use crate::hypercall::{Call, Outcome};
use crate::ids::{Domid, Port};

/// See the module. The new port is pending from the start.
///
/// # Errors
/// `EFAULT`, `ESRCH`, and those of [`crate::evtchn::EventChannels::bind_interdomain`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let mut arg: EvtchnBindInterdomain = call.fetch(at)?;
    let remote = call.hv.target(call.domain, Domid(arg.remote_dom))?;
    let (memory, remote_port) = (call.hv.memory, Port(arg.remote_port));
    let (port, wake) = if remote.id == call.domain.id {
        call.domain
            .events
            .lock()
            .bind_interdomain_self(memory, remote_port)?
    } else {
        with_both(call.domain, &remote, |own, other| {
            own.bind_interdomain(other, memory, remote_port)
        })?
    };
    call.hv.wake(call.domain, wake);
    arg.local_port = port.0;
    call.store(at, &arg)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::fake_hv::Fake;
    use alloc::sync::Arc;
    use xen_abi::event_channel::{EVTCHNOP_BIND_INTERDOMAIN, EVTCHNOP_SEND, EvtchnSend};
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    fn bind(
        fake: &Fake,
        domain: &Arc<Domain>,
        remote_dom: u16,
        remote_port: u32,
    ) -> Result<u32, Errno> {
        fake.put(
            domain,
            0,
            &EvtchnBindInterdomain {
                remote_dom,
                remote_port,
                ..Default::default()
            },
        );
        fake.call(
            domain,
            HYPERVISOR_EVENT_CHANNEL_OP,
            &[EVTCHNOP_BIND_INTERDOMAIN.into(), 0],
        )?;
        Ok(fake.get::<EvtchnBindInterdomain>(domain, 0).local_port)
    }

    fn pending_word(fake: &Fake, domain: &Domain) -> u64 {
        let at = crate::ids::Maddr(domain.shared_info.maddr().0 + 2048);
        crate::hal::MachineMemory::load_u64(fake.memory, at)
    }

    #[test]
    fn connected_ports_carry_events_both_ways() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        let theirs = guest
            .events
            .lock()
            .alloc_unbound(fake.memory, dom0.id)
            .unwrap();
        let ours = bind(&fake, &dom0, guest.id.0, theirs.0).unwrap();
        assert_eq!(pending_word(&fake, &dom0), 1 << ours);
        assert_eq!(pending_word(&fake, &guest), 0);
        fake.put(&dom0, 0, &EvtchnSend { port: ours });
        fake.call(
            &dom0,
            HYPERVISOR_EVENT_CHANNEL_OP,
            &[EVTCHNOP_SEND.into(), 0],
        )
        .unwrap();
        assert_eq!(pending_word(&fake, &guest), 1 << theirs.0);
        assert_eq!(bind(&fake, &dom0, guest.id.0, theirs.0), Err(Errno::EINVAL));
    }

    #[test]
    fn domain_connects_to_itself_and_to_nobody_who_is_not_there() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let own = guest
            .events
            .lock()
            .alloc_unbound(fake.memory, guest.id)
            .unwrap();
        assert_eq!(bind(&fake, &guest, 0x7ff0, own.0), Ok(2));
        assert_eq!(bind(&fake, &guest, 7, 1), Err(Errno::ESRCH));
    }
}
