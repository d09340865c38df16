//! `EVTCHNOP_bind_interdomain`: connect a new port to one which the remote domain left unbound for us.

use xen_abi::errno::Errno;

use super::table::State;
use super::{EventChannels, Wake};
use crate::hal::MachineMemory;
use crate::ids::{Domid, Port};

impl EventChannels {
    /// Connects a new port of this domain to `remote_port` of another domain, whose table is locked as well. Returns the new port, which is
    /// pending from the start: what the remote end sent while it was unbound is lost, and this makes up for it.
    ///
    /// # Errors
    /// `EINVAL` if `remote_port` does not wait for this domain, else as [`EventChannels::alloc_unbound`], which are checked first.
    pub fn bind_interdomain(
        &mut self,
        remote: &mut Self,
        mem: &dyn MachineMemory,
        remote_port: Port,
    ) -> Result<(Port, Wake), Errno> {
        let port = self.free_port(mem)?;
        remote.connect(remote_port, self.domid, port)?;
        Ok((
            port,
            self.bind_connected(mem, port, remote.domid, remote_port),
        ))
    }

    /// [`EventChannels::bind_interdomain`] where the remote domain is this one.
    ///
    /// # Errors
    /// The same.
    pub fn bind_interdomain_self(
        &mut self,
        mem: &dyn MachineMemory,
        remote_port: Port,
    ) -> Result<(Port, Wake), Errno> {
        let port = self.free_port(mem)?;
        self.connect(remote_port, self.domid, port)?;
        Ok((
            port,
            self.bind_connected(mem, port, self.domid, remote_port),
        ))
    }

    /// The side that was waiting.
    fn connect(&mut self, port: Port, remote: Domid, remote_port: Port) -> Result<(), Errno> {
        let channel = self.table.get_mut(port).ok_or(Errno::EINVAL)?;
        if channel.state != (State::Unbound { remote }) {
            return Err(Errno::EINVAL);
        }
        channel.state = State::Interdomain {
            remote,
            port: remote_port,
        };
        Ok(())
    }

    /// The side that connects.
    fn bind_connected(
        &mut self,
        mem: &dyn MachineMemory,
        port: Port,
        remote: Domid,
        remote_port: Port,
    ) -> Wake {
        self.table.occupy(
            port,
            State::Interdomain {
                remote,
                port: remote_port,
            },
            0,
            None,
        );
        self.set_pending(mem, port)
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::errno::Errno;

    use crate::evtchn::testing::{Guest, pair};
    use crate::evtchn::{Peer, VcpuSet};
    use crate::ids::{Domid, Port, VcpuId};

    #[test]
    fn both_ends_are_connected_and_the_new_one_is_pending() {
        let (mut a, mut b) = pair();
        let waiting = b.events.alloc_unbound(b.mem, a.domid).unwrap();
        a.ipis(0, 4);
        let (port, wake) = a
            .events
            .bind_interdomain(&mut b.events, a.mem, waiting)
            .unwrap();
        assert_eq!(port, Port(5));
        assert_eq!(wake.upcalls, VcpuSet::of(VcpuId(0)));
        assert!(a.is_pending(port) && !b.is_pending(waiting));
        assert_eq!(
            a.events.peer(port),
            Some(Peer {
                domid: b.domid,
                port: waiting
            })
        );
        assert_eq!(
            b.events.peer(waiting),
            Some(Peer {
                domid: a.domid,
                port
            })
        );
    }

    #[test]
    fn port_waiting_for_another_domain_is_einval() {
        let (mut a, mut b) = pair();
        let waiting = b.events.alloc_unbound(b.mem, Domid(99)).unwrap();
        let ipi = b.ipis(0, 1);
        for port in [waiting, ipi, Port(0), Port(40), Port(u32::MAX)] {
            let bound = a.events.bind_interdomain(&mut b.events, a.mem, port);
            assert_eq!(bound, Err(Errno::EINVAL));
        }
        assert_eq!(a.unbound(), Port(1));
    }

    #[test]
    fn connected_port_can_not_be_connected_again() {
        let (mut a, mut b) = pair();
        let waiting = b.events.alloc_unbound(b.mem, a.domid).unwrap();
        let _ = a
            .events
            .bind_interdomain(&mut b.events, a.mem, waiting)
            .unwrap();
        let again = a.events.bind_interdomain(&mut b.events, a.mem, waiting);
        assert_eq!(again, Err(Errno::EINVAL));
    }

    #[test]
    fn lack_of_local_ports_is_reported_before_a_bad_remote_port() {
        let (_, mut b) = pair();
        let mut a = Guest::with_max_port(1, 1);
        a.ipis(0, 1);
        let bound = a.events.bind_interdomain(&mut b.events, a.mem, Port(9));
        assert_eq!(bound, Err(Errno::ENOSPC));
    }

    #[test]
    fn domain_connects_to_itself() {
        let mut guest = Guest::new(1);
        let waiting = guest.events.alloc_unbound(guest.mem, guest.domid).unwrap();
        let (port, _) = guest
            .events
            .bind_interdomain_self(guest.mem, waiting)
            .unwrap();
        assert_ne!(port, waiting);
        assert_eq!(
            guest.events.peer(waiting),
            Some(Peer {
                domid: guest.domid,
                port
            })
        );
        let own = guest.events.bind_interdomain_self(guest.mem, port);
        assert_eq!(own, Err(Errno::EINVAL));
    }
}
