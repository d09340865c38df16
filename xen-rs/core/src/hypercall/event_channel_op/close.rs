//! `EVTCHNOP_close`: close a port of the caller; the other end of a channel goes back to waiting.

use alloc::sync::Arc;

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnClose;

use super::pair::with_both;
use crate::domain::Domain;
use crate::evtchn::{Closer, Peer};
use crate::hypercall::{Call, Outcome};
use crate::hypervisor::Hypervisor;
use crate::ids::Port;

/// See the module.
///
/// # Errors
/// `EFAULT`, and those of [`crate::evtchn::EventChannels::close`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: EvtchnClose = call.fetch(call.pointer(1))?;
    close(call.hv, call.domain, Port(arg.port))?;
    Ok(Outcome::OK)
}

fn close(hv: &Hypervisor, domain: &Arc<Domain>, port: Port) -> Result<(), Errno> {
    let peer = domain.events.lock().peer(port);
    let remote = peer
        .filter(|peer| peer.domid != domain.id)
        .and_then(|peer| hv.domain(peer.domid));
    let closed = Peer {
        domid: domain.id,
        port,
    };
    let left =
        match &remote {
            None => domain.events.lock().close(hv.memory, port, Closer::Guest)?,
            Some(remote) => with_both(domain, remote, |own, other| {
                let peer = own.close(hv.memory, port, Closer::Guest)?;
                Ok(peer.filter(|peer| {
                    peer.domid != remote.id || !other.peer_closed(peer.port, closed)
                }))
            })?,
        };
    // Between the look and the locks the port may have been connected to somebody else.
    if let Some(peer) = left {
        tell_peer(hv, peer, closed);
    }
    Ok(())
}

/// Tells the other end of a channel that `closed`, its peer, has been closed.
pub fn tell_peer(hv: &Hypervisor, peer: Peer, closed: Peer) {
    if let Some(remote) = hv.domain(peer.domid) {
        remote.events.lock().peer_closed(peer.port, closed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::event_channel::{
        EVTCHNOP_CLOSE, EVTCHNSTAT_CLOSED, EVTCHNSTAT_UNBOUND, EvtchnStatus,
    };
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    fn close_port(fake: &Fake, domain: &Arc<Domain>, port: u32) -> Result<Outcome, Errno> {
        fake.put(domain, 0, &EvtchnClose { port });
        fake.call(
            domain,
            HYPERVISOR_EVENT_CHANNEL_OP,
            &[EVTCHNOP_CLOSE.into(), 0],
        )
    }

    fn status(domain: &Domain, port: u32) -> u32 {
        let mut status = EvtchnStatus {
            port,
            ..Default::default()
        };
        domain.events.lock().status(&mut status).unwrap();
        status.status
    }

    #[test]
    fn other_end_waits_again_whichever_domain_number_is_lower() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        for (closer, waiter) in [(&dom0, &guest), (&guest, &dom0)] {
            let port = waiter
                .events
                .lock()
                .alloc_unbound(fake.memory, closer.id)
                .unwrap();
            let bound = with_both(closer, waiter, |own, other| {
                own.bind_interdomain(other, fake.memory, port)
            });
            let own = bound.unwrap().0;
            assert_eq!(close_port(&fake, closer, own.0), Ok(Outcome::OK));
            assert_eq!(
                (status(closer, own.0), status(waiter, port.0)),
                (EVTCHNSTAT_CLOSED, EVTCHNSTAT_UNBOUND)
            );
            assert_eq!(close_port(&fake, closer, own.0), Err(Errno::EINVAL));
        }
    }
}
