//! `EVTCHNOP_bind_virq` and the raising of virtual interrupts: events whose sender is the hypervisor.

use xen_abi::errno::Errno;
use xen_abi::xen::{NR_VIRQS, VIRQ_DEBUG, VIRQ_TIMER, VIRQ_XENOPROF, VIRQ_XENPMU};

use super::table::State;
use super::{EventChannels, Wake};
use crate::hal::MachineMemory;
use crate::ids::{Port, VcpuId};

/// Whether a domain has the VIRQ once, bound on vCPU 0, rather than once per vCPU.
pub(super) const fn is_global(virq: u32) -> bool {
    !matches!(virq, VIRQ_TIMER | VIRQ_DEBUG | VIRQ_XENOPROF | VIRQ_XENPMU)
}

impl EventChannels {
    /// A new port that notifies `vcpu` when the VIRQ is raised.
    ///
    /// # Errors
    /// In this order: `EINVAL` for a VIRQ that does not exist or a global one on another vCPU than 0, `ENOENT` for a vCPU that does
    /// not exist, `EEXIST` if it is bound there already, then as [`EventChannels::alloc_unbound`].
    pub fn bind_virq(
        &mut self,
        mem: &dyn MachineMemory,
        virq: u32,
        vcpu: VcpuId,
    ) -> Result<Port, Errno> {
        if virq >= NR_VIRQS || (is_global(virq) && vcpu.0 != 0) {
            return Err(Errno::EINVAL);
        }
        let index = self.vcpu_index(vcpu)?;
        if self.virq_port(vcpu, virq).is_some() {
            return Err(Errno::EEXIST);
        }
        let port = self.free_port(mem)?;
        self.table.occupy(port, State::Virq { virq }, index, None);
        self.set_virq_port(index, virq, port.0);
        Ok(port)
    }

    /// The port bound to a VIRQ on `vcpu`; for a global VIRQ whatever `vcpu` is.
    #[must_use]
    pub fn virq_port(&self, vcpu: VcpuId, virq: u32) -> Option<Port> {
        let vcpu = if is_global(virq) { 0 } else { vcpu.0 };
        let port = *self.vcpus.get(vcpu as usize)?.virqs.get(virq as usize)?;
        (port != 0).then_some(Port(port))
    }

    /// Raises a VIRQ on `vcpu` (for a global one: on the vCPU its port notifies). Nothing happens when it is not bound.
    pub fn raise_virq(&mut self, mem: &dyn MachineMemory, vcpu: VcpuId, virq: u32) -> Wake {
        match self.virq_port(vcpu, virq) {
            Some(port) => self.set_pending(mem, port),
            None => Wake::NOBODY,
        }
    }

    /// Forgets the VIRQ that `port`, notifying `vcpu`, was bound to.
    pub(super) fn unbind_virq(&mut self, vcpu: u8, virq: u32) {
        self.set_virq_port(if is_global(virq) { 0 } else { vcpu }, virq, 0);
    }

    fn set_virq_port(&mut self, vcpu: u8, virq: u32, port: u32) {
        let vcpu = self.vcpus.get_mut(usize::from(vcpu));
        if let Some(slot) = vcpu.and_then(|vcpu| vcpu.virqs.get_mut(virq as usize)) {
            *slot = port;
        }
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::xen::{VIRQ_ARCH_0, VIRQ_CONSOLE, VIRQ_DOM_EXC};

    use super::*;
    use crate::evtchn::testing::Guest;
    use crate::evtchn::{Closer, VcpuSet};

    #[test]
    fn per_vcpu_virq_is_bound_and_raised_on_each_vcpu() {
        let mut guest = Guest::new(2);
        let ports = [guest.virq(VIRQ_TIMER, 0), guest.virq(VIRQ_TIMER, 1)];
        assert_eq!(ports, [Ok(Port(1)), Ok(Port(2))]);
        let wake = guest.events.raise_virq(guest.mem, VcpuId(1), VIRQ_TIMER);
        assert_eq!(wake.upcalls, VcpuSet::of(VcpuId(1)));
        assert!(guest.is_pending(Port(2)) && !guest.is_pending(Port(1)));
    }

    #[test]
    fn global_virq_belongs_to_vcpu_0() {
        let mut guest = Guest::new(2);
        for virq in [VIRQ_CONSOLE, VIRQ_DOM_EXC, VIRQ_ARCH_0, 5] {
            assert_eq!(guest.virq(virq, 1), Err(Errno::EINVAL));
            assert!(guest.virq(virq, 0).is_ok());
        }
        // Checked before whether the vCPU exists.
        assert_eq!(guest.virq(VIRQ_CONSOLE, 77), Err(Errno::EINVAL));
    }

    #[test]
    fn bad_virq_and_bad_vcpu_are_refused() {
        let mut guest = Guest::new(2);
        assert_eq!(guest.virq(24, 0), Err(Errno::EINVAL));
        assert_eq!(guest.virq(u32::MAX, 9), Err(Errno::EINVAL));
        assert_eq!(guest.virq(VIRQ_TIMER, 2), Err(Errno::ENOENT));
        assert_eq!(guest.unbound(), Port(1));
    }

    #[test]
    fn second_binding_is_eexist_until_the_first_is_closed() {
        let mut guest = Guest::new(1);
        let port = guest.virq(VIRQ_TIMER, 0).unwrap();
        assert_eq!(guest.virq(VIRQ_TIMER, 0), Err(Errno::EEXIST));
        guest.events.close(guest.mem, port, Closer::Guest).unwrap();
        assert_eq!(guest.virq(VIRQ_TIMER, 0), Ok(port));
    }

    #[test]
    fn closing_a_moved_global_virq_frees_it() {
        let mut guest = Guest::new(2);
        let port = guest.virq(VIRQ_CONSOLE, 0).unwrap();
        guest.events.bind_vcpu(port, VcpuId(1)).unwrap();
        guest.events.close(guest.mem, port, Closer::Guest).unwrap();
        assert_eq!(guest.virq(VIRQ_CONSOLE, 0), Ok(port));
    }

    #[test]
    fn raising_an_unbound_virq_does_nothing() {
        let mut guest = Guest::new(1);
        for virq in [VIRQ_TIMER, VIRQ_CONSOLE, 24, u32::MAX] {
            assert!(
                guest
                    .events
                    .raise_virq(guest.mem, VcpuId(3), virq)
                    .is_nobody()
            );
        }
    }
}
