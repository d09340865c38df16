//! `EVTCHNOP_status`: what a port is bound to.

use xen_abi::errno::Errno;
use xen_abi::event_channel as abi;
use xen_abi::event_channel::EvtchnStatus;

use super::EventChannels;
use super::table::State;
use crate::ids::{Domid, Port};

impl EventChannels {
    /// Fills in the answer for `status.port`. A closed port is an answer, not an error. Fields that say nothing about such a port keep
    /// the caller's bytes.
    ///
    /// # Errors
    /// `EINVAL` for a port beyond those that exist so far.
    pub fn status(&self, status: &mut EvtchnStatus) -> Result<(), Errno> {
        let channel = self.table.get(Port(status.port)).ok_or(Errno::EINVAL)?;
        status.status = match channel.state {
            State::Free | State::Reserved => abi::EVTCHNSTAT_CLOSED,
            State::Unbound { remote } => {
                set_domid(status, remote);
                abi::EVTCHNSTAT_UNBOUND
            }
            State::Interdomain { remote, port } => {
                set_domid(status, remote);
                status.remote_port = port.0;
                abi::EVTCHNSTAT_INTERDOMAIN
            }
            State::Virq { virq } => {
                status.bound_to = virq;
                abi::EVTCHNSTAT_VIRQ
            }
            State::Ipi => abi::EVTCHNSTAT_IPI,
        };
        status.vcpu = channel.vcpu().0;
        Ok(())
    }
}

/// The domain is the low half of the word.
fn set_domid(status: &mut EvtchnStatus, domid: Domid) {
    status.bound_to = (status.bound_to & !0xffff) | u32::from(domid.0);
}

#[cfg(test)]
mod tests {
    use xen_abi::event_channel::*;
    use xen_abi::xen::VIRQ_CONSOLE;
    use zerocopy::FromZeros;

    use super::*;
    use crate::evtchn::testing::{Guest, connected};
    use crate::ids::VcpuId;

    fn status(guest: &Guest, port: Port) -> Result<(u32, u32, u32, u32), Errno> {
        let mut status = EvtchnStatus::new_zeroed();
        status.port = port.0;
        guest.events.status(&mut status)?;
        Ok((
            status.status,
            status.vcpu,
            status.bound_to,
            status.remote_port,
        ))
    }

    #[test]
    fn every_kind_of_port_is_described() {
        let mut guest = Guest::new(2);
        let unbound = guest.unbound();
        guest.events.bind_vcpu(unbound, VcpuId(1)).unwrap();
        let virq = guest.virq(VIRQ_CONSOLE, 0).unwrap();
        let ipi = guest.ipis(1, 1);
        assert_eq!(status(&guest, unbound), Ok((EVTCHNSTAT_UNBOUND, 1, 77, 0)));
        assert_eq!(
            status(&guest, virq),
            Ok((EVTCHNSTAT_VIRQ, 0, VIRQ_CONSOLE, 0))
        );
        assert_eq!(status(&guest, ipi), Ok((EVTCHNSTAT_IPI, 1, 0, 0)));
    }

    #[test]
    fn interdomain_port_names_its_other_end() {
        let (a, b, port, waiting) = connected();
        let expected = (EVTCHNSTAT_INTERDOMAIN, 0, u32::from(b.domid.0), waiting.0);
        assert_eq!(status(&a, port), Ok(expected));
        assert_eq!(status(&b, waiting).unwrap().3, port.0);
    }

    #[test]
    fn free_port_is_closed_and_a_port_beyond_the_table_is_einval() {
        let guest = Guest::new(1);
        assert_eq!(status(&guest, Port(0)), Ok((EVTCHNSTAT_CLOSED, 0, 0, 0)));
        assert_eq!(status(&guest, Port(63)), Ok((EVTCHNSTAT_CLOSED, 0, 0, 0)));
        assert_eq!(status(&guest, Port(64)), Err(Errno::EINVAL));
    }
}
