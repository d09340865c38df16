//! `EVTCHNOP_alloc_unbound`: a new port to which one named domain may connect, for the guest or for the hypervisor itself.

use xen_abi::errno::Errno;

use super::EventChannels;
use super::table::State;
use crate::hal::MachineMemory;
use crate::ids::{Domid, Port, VcpuId};

/// Which part of the hypervisor owns its end of a channel. The numbers are the caller's.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ConsumerId(pub u8);

impl EventChannels {
    /// A port waiting for domain `remote` (already translated from `DOMID_SELF`), notifying vCPU 0.
    ///
    /// # Errors
    /// `ENOSPC` at the limit of ports, `EINVAL` for a dying domain, `ENOMEM`.
    pub fn alloc_unbound(&mut self, mem: &dyn MachineMemory, remote: Domid) -> Result<Port, Errno> {
        let port = self.free_port(mem)?;
        self.table.occupy(port, State::Unbound { remote }, 0, None);
        Ok(port)
    }

    /// A port of this domain whose owner is the hypervisor: `remote` connects to it, and what `remote` sends comes to the caller of
    /// [`EventChannels::receive`] as [`Received::Consumer`](super::Received) for `vcpu`. The guest can neither send on nor close it.
    ///
    /// # Errors
    /// `ENOENT` for a vCPU that does not exist, else as [`EventChannels::alloc_unbound`].
    pub fn alloc_unbound_xen(
        &mut self,
        mem: &dyn MachineMemory,
        remote: Domid,
        vcpu: VcpuId,
        consumer: ConsumerId,
    ) -> Result<Port, Errno> {
        let vcpu = self.vcpu_index(vcpu)?;
        let port = self.free_port(mem)?;
        self.table
            .occupy(port, State::Unbound { remote }, vcpu, Some(consumer));
        Ok(port)
    }

    /// The lowest port that can be bound. It stays free until bound.
    pub(super) fn free_port(&mut self, mem: &dyn MachineMemory) -> Result<Port, Errno> {
        if self.dying {
            return Err(Errno::EINVAL);
        }
        let limit = self.limit();
        let fifo = self.fifo.as_ref();
        self.table.lowest_free(limit, |port| {
            fifo.is_some_and(|fifo| fifo.is_busy(mem, port))
        })
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::errno::Errno;

    use crate::evtchn::testing::Guest;
    use crate::evtchn::{Closer, ConsumerId, GuestWidth};
    use crate::ids::{Domid, Port, VcpuId};

    #[test]
    fn ports_are_given_out_from_1_up() {
        let mut guest = Guest::new(1);
        assert_eq!((guest.unbound(), guest.unbound()), (Port(1), Port(2)));
    }

    #[test]
    fn configured_maximum_counts_as_the_highest_port() {
        let mut guest = Guest::with_max_port(1, 3);
        guest.ipis(0, 3);
        assert_eq!(
            guest.events.alloc_unbound(guest.mem, Domid(7)),
            Err(Errno::ENOSPC)
        );
    }

    #[test]
    fn format_limits_the_ports_of_a_domain_without_configured_maximum() {
        let mut guest = Guest::with_max_port(1, u32::MAX);
        guest.events.set_width(GuestWidth::Bits32);
        guest.ipis(0, 1023);
        assert_eq!(
            guest.events.bind_ipi(guest.mem, VcpuId(0)),
            Err(Errno::ENOSPC)
        );
        guest.events.set_width(GuestWidth::Bits64);
        guest.ipis(0, 4095 - 1023);
        assert_eq!(
            guest.events.bind_ipi(guest.mem, VcpuId(0)),
            Err(Errno::ENOSPC)
        );
        guest.init_control(0).unwrap();
        assert_eq!(guest.ipis(0, 1000), Port(5095));
    }

    #[test]
    fn dying_domain_gets_no_port() {
        let mut guest = Guest::new(1);
        let _ = guest.events.step_teardown(guest.mem);
        assert_eq!(
            guest.events.alloc_unbound(guest.mem, Domid(7)),
            Err(Errno::EINVAL)
        );
    }

    #[test]
    fn hypervisors_port_is_out_of_the_guests_reach() {
        let mut guest = Guest::new(2);
        let id = ConsumerId(1);
        let port = guest
            .events
            .alloc_unbound_xen(guest.mem, Domid(7), VcpuId(1), id)
            .unwrap();
        assert_eq!(
            guest.events.close(guest.mem, port, Closer::Guest),
            Err(Errno::EINVAL)
        );
        assert_eq!(guest.events.bind_vcpu(port, VcpuId(0)), Err(Errno::EINVAL));
        assert!(guest.events.send(guest.mem, port).is_err());
        assert!(guest.set_pending(port).is_nobody() && !guest.is_pending(port));
        assert_eq!(guest.events.close(guest.mem, port, Closer::Xen), Ok(None));
        let nowhere = guest
            .events
            .alloc_unbound_xen(guest.mem, Domid(7), VcpuId(2), id);
        assert_eq!(nowhere, Err(Errno::ENOENT));
    }
}
