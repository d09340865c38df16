//! A vCPU's `vcpu_info`: the upcall-pending byte by which the guest learns that some event is pending.

use super::{EventChannels, VcpuSet, Wake};
use crate::hal::MachineMemory;
use crate::ids::{Maddr, VcpuId};

impl EventChannels {
    /// Address of a vCPU's `vcpu_info`, 4-byte aligned and inside one frame: its slot of the shared info page, or where the guest
    /// registered it. After a move, [`EventChannels::vcpu_info_moved`] must follow.
    pub fn set_vcpu_info(&mut self, vcpu: VcpuId, at: Maddr) {
        if let Some(vcpu) = self.vcpus.get_mut(vcpu.0 as usize) {
            vcpu.info = Some(at);
        }
    }

    /// The vCPU has no `vcpu_info` any more: it gets no upcalls until it has one again.
    pub fn clear_vcpu_info(&mut self, vcpu: VcpuId) {
        if let Some(vcpu) = self.vcpus.get_mut(vcpu.0 as usize) {
            vcpu.info = None;
        }
    }

    /// Makes the vCPU look at everything after `VCPUOP_register_vcpu_info`: events that arrived around the move may have been
    /// selected in the old place. The guest sees spurious events and copes.
    pub fn vcpu_info_moved(&self, mem: &dyn MachineMemory, vcpu: VcpuId) -> Wake {
        if let Some(info) = self.info(vcpu) {
            self.two_level.select_all(mem, info);
        }
        Wake {
            upcalls: self.mark_upcall(mem, vcpu),
            pollers: VcpuSet::EMPTY,
        }
    }

    /// Whether the vCPU's upcall-pending byte is set.
    #[must_use]
    pub fn is_upcall_pending(&self, mem: &dyn MachineMemory, vcpu: VcpuId) -> bool {
        self.info(vcpu).is_some_and(|info| mem.load_u8(info) != 0)
    }

    /// Sets the upcall-pending byte, the first of `vcpu_info`; the vCPU is in the set if it was clear.
    pub(super) fn mark_upcall(&self, mem: &dyn MachineMemory, vcpu: VcpuId) -> VcpuSet {
        match self.info(vcpu) {
            Some(info) if mem.swap_u8(info, 1) == 0 => VcpuSet::of(vcpu),
            _ => VcpuSet::EMPTY,
        }
    }

    fn info(&self, vcpu: VcpuId) -> Option<Maddr> {
        self.vcpus.get(vcpu.0 as usize)?.info
    }
}
