//! `EVTCHNOP_send`, on the side of the sender and of the receiver, and the hypervisor's own sending.

use xen_abi::errno::Errno;

use super::table::State;
use super::{ConsumerId, EventChannels, Peer, Wake};
use crate::hal::MachineMemory;
use crate::ids::{Port, VcpuId};

/// What came of a send.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use = "a remote end that is not told loses the event"]
pub enum Sent {
    /// Delivered inside the domain.
    Local(Received),
    /// To be delivered by the peer's [`EventChannels::receive`].
    Remote(Peer),
    /// The port waits for its peer: nobody is there to be told, and that is no error.
    Dropped,
}

/// What came of an event at its destination.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use = "vCPUs that are not woken lose events"]
pub enum Received {
    /// Pending for the guest.
    Guest(Wake),
    /// For the hypervisor: the port is its own.
    Consumer {
        /// Its owner.
        id: ConsumerId,
        /// The vCPU named when it was allocated.
        vcpu: VcpuId,
        /// The port.
        port: Port,
    },
    /// The port is not, or no longer, the sender's other end.
    Dropped,
}

impl EventChannels {
    /// Sends on one of the guest's ports.
    ///
    /// # Errors
    /// `EINVAL` for a port that is closed, bound to a VIRQ, or the hypervisor's.
    pub fn send(&mut self, mem: &dyn MachineMemory, port: Port) -> Result<Sent, Errno> {
        let channel = self
            .table
            .get(port)
            .filter(|channel| channel.consumer.is_none());
        match channel.ok_or(Errno::EINVAL)?.state {
            State::Interdomain {
                remote,
                port: there,
            } if remote == self.domid => Ok(Sent::Local(self.receive(
                mem,
                there,
                Peer {
                    domid: remote,
                    port,
                },
            ))),
            State::Interdomain { remote, port } => Ok(Sent::Remote(Peer {
                domid: remote,
                port,
            })),
            State::Ipi => Ok(Sent::Local(Received::Guest(self.set_pending(mem, port)))),
            State::Unbound { .. } => Ok(Sent::Dropped),
            State::Free | State::Reserved | State::Virq { .. } => Err(Errno::EINVAL),
        }
    }

    /// An event for `port`, sent on `from`.
    pub fn receive(&mut self, mem: &dyn MachineMemory, port: Port, from: Peer) -> Received {
        let channel = self
            .table
            .get(port)
            .filter(|channel| channel.is_bound_to(from));
        match channel.map(|channel| (channel.consumer, channel.vcpu())) {
            None => Received::Dropped,
            Some((Some(id), vcpu)) => Received::Consumer { id, vcpu, port },
            Some((None, _)) => Received::Guest(self.set_pending(mem, port)),
        }
    }

    /// Where the hypervisor's sending on its own port goes: to [`EventChannels::receive`] of the peer (which may be in this same table).
    /// `None` while nobody is connected.
    #[must_use]
    pub fn send_from_xen(&self, port: Port) -> Option<Peer> {
        self.table
            .get(port)
            .filter(|channel| channel.consumer.is_some())?;
        self.peer(port)
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::xen::VIRQ_TIMER;

    use super::*;
    use crate::evtchn::testing::{Guest, connected, pair};
    use crate::evtchn::{Closer, VcpuSet};

    #[test]
    fn send_on_closed_port_is_einval() {
        let mut guest = Guest::new(1);
        let virq = guest.virq(VIRQ_TIMER, 0).unwrap();
        for port in [Port(0), virq, Port(2), Port(64), Port(u32::MAX)] {
            assert_eq!(guest.events.send(guest.mem, port), Err(Errno::EINVAL));
        }
    }

    #[test]
    fn send_on_unbound_port_is_dropped() {
        let mut guest = Guest::new(1);
        let port = guest.unbound();
        assert_eq!(guest.events.send(guest.mem, port), Ok(Sent::Dropped));
        assert!(!guest.is_pending(port));
    }

    #[test]
    fn ipi_notifies_its_vcpu() {
        let mut guest = Guest::new(2);
        let port = guest.ipis(1, 1);
        let Ok(Sent::Local(Received::Guest(wake))) = guest.events.send(guest.mem, port) else {
            panic!("an IPI is delivered in the domain");
        };
        assert_eq!(wake.upcalls, VcpuSet::of(VcpuId(1)));
    }

    #[test]
    fn event_arrives_at_the_other_end() {
        let (mut a, mut b, port, waiting) = connected();
        let Ok(Sent::Remote(peer)) = a.events.send(a.mem, port) else {
            panic!("remote")
        };
        assert_eq!(
            peer,
            Peer {
                domid: b.domid,
                port: waiting
            }
        );
        let received = b.events.receive(
            b.mem,
            peer.port,
            Peer {
                domid: a.domid,
                port,
            },
        );
        let Received::Guest(wake) = received else {
            panic!("guest")
        };
        assert_eq!(wake.upcalls, VcpuSet::of(VcpuId(0)));
        assert!(b.is_pending(waiting));
    }

    #[test]
    fn event_from_someone_who_is_not_the_other_end_is_dropped() {
        let (mut a, mut b, port, waiting) = connected();
        let stranger = Peer {
            domid: a.domid,
            port: Port(port.0 + 1),
        };
        assert_eq!(
            b.events.receive(b.mem, waiting, stranger),
            Received::Dropped
        );
        b.events.close(b.mem, waiting, Closer::Guest).unwrap();
        assert_eq!(b.ipis(0, 1), waiting);
        let Ok(Sent::Remote(peer)) = a.events.send(a.mem, port) else {
            panic!("remote")
        };
        let late = b.events.receive(
            b.mem,
            peer.port,
            Peer {
                domid: a.domid,
                port,
            },
        );
        assert_eq!(late, Received::Dropped);
        assert!(!b.is_pending(waiting));
    }

    #[test]
    fn event_on_a_domains_own_channel_arrives_at_its_other_end() {
        let mut guest = Guest::new(1);
        let waiting = guest.events.alloc_unbound(guest.mem, guest.domid).unwrap();
        let (port, _) = guest
            .events
            .bind_interdomain_self(guest.mem, waiting)
            .unwrap();
        let sent = guest.events.send(guest.mem, port);
        assert!(matches!(sent, Ok(Sent::Local(Received::Guest(_)))));
        assert!(guest.is_pending(waiting));
    }

    #[test]
    fn event_for_the_hypervisor_touches_no_guest_memory() {
        let (mut a, mut b) = pair();
        let id = ConsumerId(2);
        let xen = b
            .events
            .alloc_unbound_xen(b.mem, a.domid, VcpuId(1), id)
            .unwrap();
        assert_eq!(b.events.send_from_xen(xen), None);
        let (port, _) = a
            .events
            .bind_interdomain(&mut b.events, a.mem, xen)
            .unwrap();
        let before = b.mem.frame(b.shared_info);
        let received = b.events.receive(
            b.mem,
            xen,
            Peer {
                domid: a.domid,
                port,
            },
        );
        assert_eq!(
            received,
            Received::Consumer {
                id,
                vcpu: VcpuId(1),
                port: xen
            }
        );
        assert_eq!(b.mem.frame(b.shared_info), before);
        assert_eq!(
            b.events.send_from_xen(xen),
            Some(Peer {
                domid: a.domid,
                port
            })
        );
        assert_eq!(b.events.send(b.mem, xen), Err(Errno::EINVAL));
    }
}
