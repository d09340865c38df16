//! `EVTCHNOP_close`, and its effect on the other end of a channel.

use xen_abi::errno::Errno;

use super::table::State;
use super::{EventChannels, Peer};
use crate::hal::MachineMemory;
use crate::ids::Port;

/// On whose behalf a port is closed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Closer {
    /// The guest's, which may not close the hypervisor's ports.
    Guest,
    /// The hypervisor's.
    Xen,
}

impl EventChannels {
    /// Closes a port. Its event is no longer pending. `Some(peer)`: that other domain's port must be told by
    /// [`EventChannels::peer_closed`]; the caller does both under both domains' locks so that no one sees half a channel.
    ///
    /// # Errors
    /// `EINVAL` if the port is not open, or the hypervisor's and the guest closes it.
    pub fn close(
        &mut self,
        mem: &dyn MachineMemory,
        port: Port,
        by: Closer,
    ) -> Result<Option<Peer>, Errno> {
        let channel = *self.table.get(port).ok_or(Errno::EINVAL)?;
        if channel.consumer.is_some() && by == Closer::Guest {
            return Err(Errno::EINVAL);
        }
        let mut peer = None;
        match channel.state {
            State::Free | State::Reserved => return Err(Errno::EINVAL),
            State::Unbound { .. } | State::Ipi => {}
            State::Virq { virq } => self.unbind_virq(channel.vcpu, virq),
            State::Interdomain { remote, port } => {
                peer = Some(Peer {
                    domid: remote,
                    port,
                })
            }
        }
        if channel.is_usable() {
            self.clear_pending(mem, port);
        }
        self.table.release(port);
        match peer {
            Some(own) if own.domid == self.domid => {
                self.peer_closed(
                    own.port,
                    Peer {
                        domid: self.domid,
                        port,
                    },
                );
                Ok(None)
            }
            other => Ok(other),
        }
    }

    /// The other end of `port`, which is `closed`, has been closed: the port waits for that domain again. Nothing happens if the port is
    /// no longer bound to it. Returns whether it was.
    pub fn peer_closed(&mut self, port: Port, closed: Peer) -> bool {
        let channel = self
            .table
            .get_mut(port)
            .filter(|channel| channel.is_bound_to(closed));
        let Some(channel) = channel else { return false };
        channel.state = State::Unbound {
            remote: closed.domid,
        };
        true
    }

    /// The other end of an interdomain channel.
    #[must_use]
    pub fn peer(&self, port: Port) -> Option<Peer> {
        match self.table.get(port)?.state {
            State::Interdomain { remote, port } => Some(Peer {
                domid: remote,
                port,
            }),
            _ => None,
        }
    }

    fn clear_pending(&self, mem: &dyn MachineMemory, port: Port) {
        match &self.fifo {
            Some(fifo) => fifo.clear_pending(mem, port),
            None => self.two_level.clear_pending(mem, port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evtchn::fifo::{LINKED, PENDING};
    use crate::evtchn::testing::{Guest, connected, pair};

    #[test]
    fn port_that_is_not_open_is_einval() {
        let mut guest = Guest::new(1);
        for port in [0, 1, 63, 64, 4096, u32::MAX] {
            assert_eq!(
                guest.events.close(guest.mem, Port(port), Closer::Guest),
                Err(Errno::EINVAL)
            );
        }
    }

    #[test]
    fn closed_port_is_not_pending_and_is_given_out_again() {
        let mut guest = Guest::new(1);
        let port = guest.ipis(0, 3);
        let _ = guest.set_pending(port);
        assert_eq!(guest.events.close(guest.mem, port, Closer::Guest), Ok(None));
        assert!(!guest.is_pending(port));
        assert_eq!(guest.unbound(), port);
        assert!(!guest.is_pending(port));
    }

    #[test]
    fn other_end_waits_for_the_closing_domain_again() {
        let (mut a, mut b, port, waiting) = connected();
        let peer = a.events.close(a.mem, port, Closer::Guest).unwrap().unwrap();
        assert_eq!(
            peer,
            Peer {
                domid: b.domid,
                port: waiting
            }
        );
        assert!(b.events.peer_closed(
            peer.port,
            Peer {
                domid: a.domid,
                port
            }
        ));
        assert_eq!(b.events.peer(waiting), None);
        assert!(
            a.events
                .bind_interdomain(&mut b.events, a.mem, waiting)
                .is_ok()
        );
    }

    #[test]
    fn late_news_of_a_close_do_not_touch_another_channel() {
        let (mut a, mut b, port, waiting) = connected();
        let _ = a.events.close(a.mem, port, Closer::Guest).unwrap();
        let closed = Peer {
            domid: a.domid,
            port,
        };
        b.events.close(b.mem, waiting, Closer::Guest).unwrap();
        assert!(!b.events.peer_closed(waiting, closed));
        let ipi = b.ipis(0, 1);
        assert_eq!(ipi, waiting);
        assert!(!b.events.peer_closed(ipi, closed));
        assert!(!b.events.peer_closed(Port(u32::MAX), closed));
    }

    #[test]
    fn closing_one_end_of_a_domains_own_channel_unbinds_the_other() {
        let mut guest = Guest::new(1);
        let waiting = guest.events.alloc_unbound(guest.mem, guest.domid).unwrap();
        let (port, _) = guest
            .events
            .bind_interdomain_self(guest.mem, waiting)
            .unwrap();
        assert_eq!(
            guest.events.close(guest.mem, waiting, Closer::Guest),
            Ok(None)
        );
        assert_eq!(
            guest
                .events
                .bind_interdomain_self(guest.mem, port)
                .map(|bound| bound.0),
            Ok(waiting)
        );
    }

    #[test]
    fn closed_port_that_the_guest_has_still_queued_is_not_reused() {
        let mut guest = Guest::fifo(1);
        let port = guest.ipis(0, 1);
        let _ = guest.set_pending(port);
        guest.events.close(guest.mem, port, Closer::Guest).unwrap();
        assert_eq!(guest.word(1) & (PENDING | LINKED), LINKED);
        assert_eq!(guest.unbound(), Port(2));
        assert_eq!(guest.consume(0), [] as [u32; 0]);
        assert_eq!(guest.unbound(), Port(1));
    }

    #[test]
    fn hypervisor_closes_what_the_guest_may_not() {
        let (mut a, mut b) = pair();
        let id = crate::evtchn::ConsumerId(3);
        let xen = b
            .events
            .alloc_unbound_xen(b.mem, a.domid, crate::ids::VcpuId(0), id)
            .unwrap();
        let (port, _) = a
            .events
            .bind_interdomain(&mut b.events, a.mem, xen)
            .unwrap();
        assert_eq!(
            b.events.close(b.mem, xen, Closer::Guest),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            b.events.close(b.mem, xen, Closer::Xen),
            Ok(Some(Peer {
                domid: a.domid,
                port
            }))
        );
    }
}
