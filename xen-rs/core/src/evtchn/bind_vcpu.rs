//! `EVTCHNOP_bind_vcpu`: choose the vCPU that is notified.

use xen_abi::errno::Errno;

use super::EventChannels;
use super::bind_virq::is_global;
use super::table::State;
use crate::ids::{Port, VcpuId};

impl EventChannels {
    /// Events to come on `port` notify `vcpu`; one that is on a queue already stays there.
    ///
    /// # Errors
    /// `ENOENT` for a vCPU that does not exist, then `EINVAL` for a port that is closed, the hypervisor's, an IPI or a per-vCPU VIRQ.
    pub fn bind_vcpu(&mut self, port: Port, vcpu: VcpuId) -> Result<(), Errno> {
        let vcpu = self.vcpu_index(vcpu)?;
        let channel = self
            .table
            .get_mut(port)
            .filter(|channel| channel.consumer.is_none());
        let channel = channel.ok_or(Errno::EINVAL)?;
        match channel.state {
            State::Unbound { .. } | State::Interdomain { .. } => {}
            State::Virq { virq } if is_global(virq) => {}
            _ => return Err(Errno::EINVAL),
        }
        channel.vcpu = vcpu;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::errno::Errno;
    use xen_abi::xen::{VIRQ_CONSOLE, VIRQ_TIMER};

    use crate::evtchn::VcpuSet;
    use crate::evtchn::testing::Guest;
    use crate::ids::{Port, VcpuId};

    #[test]
    fn events_go_to_the_chosen_vcpu() {
        let mut guest = Guest::new(2);
        let port = guest.unbound();
        guest.events.bind_vcpu(port, VcpuId(1)).unwrap();
        assert_eq!(guest.set_pending(port).upcalls, VcpuSet::of(VcpuId(1)));
    }

    #[test]
    fn global_virq_may_move_and_per_vcpu_virq_and_ipi_may_not() {
        let mut guest = Guest::new(2);
        let console = guest.virq(VIRQ_CONSOLE, 0).unwrap();
        let timer = guest.virq(VIRQ_TIMER, 0).unwrap();
        let ipi = guest.ipis(0, 1);
        assert_eq!(guest.events.bind_vcpu(console, VcpuId(1)), Ok(()));
        assert_eq!(guest.events.bind_vcpu(timer, VcpuId(1)), Err(Errno::EINVAL));
        assert_eq!(guest.events.bind_vcpu(ipi, VcpuId(1)), Err(Errno::EINVAL));
        let wake = guest.events.raise_virq(guest.mem, VcpuId(0), VIRQ_CONSOLE);
        assert_eq!(wake.upcalls, VcpuSet::of(VcpuId(1)));
    }

    #[test]
    fn bad_vcpu_is_enoent_even_for_a_bad_port() {
        let mut guest = Guest::new(1);
        assert_eq!(
            guest.events.bind_vcpu(Port(9999), VcpuId(1)),
            Err(Errno::ENOENT)
        );
        assert_eq!(
            guest.events.bind_vcpu(Port(9999), VcpuId(0)),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            guest.events.bind_vcpu(Port(1), VcpuId(0)),
            Err(Errno::EINVAL)
        );
    }
}
