//! Making a port pending, whatever the format, and telling who must look at it.

use super::{EventChannels, VcpuSet, Wake};
use crate::hal::MachineMemory;
use crate::ids::{Port, VcpuId};

/// What making a port pending changed in guest memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Raised {
    /// It was not pending before: whoever polls for it must wake.
    pub newly_pending: bool,
    /// The guest would not find it without an upcall.
    pub needs_upcall: bool,
}

impl Raised {
    pub const NOTHING: Self = Self {
        newly_pending: false,
        needs_upcall: false,
    };
}

impl EventChannels {
    /// Makes `port` pending and returns who must be woken: its vCPU only if it would not find the event by itself. Does nothing to ports
    /// that are closed or the hypervisor's own.
    pub fn set_pending(&mut self, mem: &dyn MachineMemory, port: Port) -> Wake {
        let Some(channel) = self
            .table
            .get_mut(port)
            .filter(|channel| channel.is_usable())
        else {
            return Wake::NOBODY;
        };
        let vcpu = channel.vcpu();
        let raised = match &mut self.fifo {
            Some(fifo) => fifo.set_pending(mem, port, channel),
            None => {
                let info = self.vcpus.get(vcpu.0 as usize).and_then(|vcpu| vcpu.info);
                self.two_level.set_pending(mem, port, info)
            }
        };
        self.wake(mem, port, vcpu, raised)
    }

    pub(super) fn wake(
        &mut self,
        mem: &dyn MachineMemory,
        port: Port,
        vcpu: VcpuId,
        raised: Raised,
    ) -> Wake {
        let upcalls = if raised.needs_upcall {
            self.mark_upcall(mem, vcpu)
        } else {
            VcpuSet::EMPTY
        };
        let pollers = if raised.newly_pending {
            self.take_pollers(port)
        } else {
            VcpuSet::EMPTY
        };
        Wake { upcalls, pollers }
    }

    /// Whether the guest sees `port` pending. Never for ports that are closed or the hypervisor's own.
    #[must_use]
    pub fn is_pending(&self, mem: &dyn MachineMemory, port: Port) -> bool {
        self.table
            .get(port)
            .is_some_and(|channel| channel.is_usable())
            && match &self.fifo {
                Some(fifo) => fifo.is_pending(mem, port),
                None => self.two_level.is_pending(mem, port),
            }
    }

    /// Whether the guest has masked `port`. Always for ports that are closed or the hypervisor's own.
    #[must_use]
    pub fn is_masked(&self, mem: &dyn MachineMemory, port: Port) -> bool {
        !self
            .table
            .get(port)
            .is_some_and(|channel| channel.is_usable())
            || match &self.fifo {
                Some(fifo) => fifo.is_masked(mem, port),
                None => self.two_level.is_masked(mem, port),
            }
    }
}
