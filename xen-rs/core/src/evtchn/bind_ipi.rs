//! `EVTCHNOP_bind_ipi`: a port on which the domain signals one of its own vCPUs.

use xen_abi::errno::Errno;

use super::EventChannels;
use super::table::State;
use crate::hal::MachineMemory;
use crate::ids::{Port, VcpuId};

impl EventChannels {
    /// A new port that notifies `vcpu` when sent on.
    ///
    /// # Errors
    /// `ENOENT` for a vCPU that does not exist, else as [`EventChannels::alloc_unbound`].
    pub fn bind_ipi(&mut self, mem: &dyn MachineMemory, vcpu: VcpuId) -> Result<Port, Errno> {
        let vcpu = self.vcpu_index(vcpu)?;
        let port = self.free_port(mem)?;
        self.table.occupy(port, State::Ipi, vcpu, None);
        Ok(port)
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::errno::Errno;

    use crate::evtchn::testing::Guest;
    use crate::ids::{Port, VcpuId};

    #[test]
    fn ipi_for_a_vcpu_that_does_not_exist_is_enoent_and_takes_no_port() {
        let mut guest = Guest::new(2);
        for vcpu in [2, 256, u32::MAX] {
            assert_eq!(
                guest.events.bind_ipi(guest.mem, VcpuId(vcpu)),
                Err(Errno::ENOENT)
            );
        }
        assert_eq!(guest.events.bind_ipi(guest.mem, VcpuId(1)), Ok(Port(1)));
    }
}
