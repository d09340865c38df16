//! `EVTCHNOP_init_control`: give a vCPU its FIFO control block. The first one switches the domain to the FIFO format.

use xen_abi::errno::Errno;
use xen_abi::event_channel::{EVTCHN_FIFO_PRIORITY_DEFAULT, EvtchnFifoControlBlock};

use super::EventChannels;
use super::fifo::Fifo;
use crate::hal::MachineMemory;
use crate::ids::{Maddr, Mfn, PAGE_SIZE, VcpuId};

impl EventChannels {
    /// The checks that come before the control block's page is looked up.
    ///
    /// # Errors
    /// `ENOENT` for a vCPU that does not exist; `EINVAL` if the block would leave its page or is not 8-byte aligned, or the vCPU has
    /// one already.
    pub fn check_init_control(&self, vcpu: VcpuId, offset: u32) -> Result<(), Errno> {
        let vcpu = self.vcpu_index(vcpu)?;
        let last = PAGE_SIZE - size_of::<EvtchnFifoControlBlock>();
        let has_control = self
            .fifo
            .as_ref()
            .is_some_and(|fifo| fifo.has_control(vcpu));
        if offset as usize > last || !offset.is_multiple_of(8) || has_control {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    /// Puts the vCPU's control block at byte `offset` of `frame`, a writable page of the guest on which the caller holds a reference:
    /// on success it comes back in [`FifoFrames`](super::FifoFrames), on failure the caller drops it.
    ///
    /// On the switch to the FIFO format, events pending in the bit maps become pending again as soon as their event words exist.
    ///
    /// # Errors
    /// Those of [`EventChannels::check_init_control`], and `ENOMEM`.
    pub fn init_control(
        &mut self,
        mem: &dyn MachineMemory,
        vcpu: VcpuId,
        frame: Mfn,
        offset: u32,
    ) -> Result<(), Errno> {
        self.check_init_control(vcpu, offset)?;
        let index = self.vcpu_index(vcpu)?;
        if self.fifo.is_none() {
            let fifo = Fifo::new(self.vcpus.len())?;
            self.save_two_level(mem);
            self.fifo = Some(fifo);
        }
        if let Some(fifo) = &mut self.fifo {
            fifo.set_control(index, Maddr(frame.maddr().0 + u64::from(offset)));
        }
        Ok(())
    }

    fn save_two_level(&mut self, mem: &dyn MachineMemory) {
        let limit = self.limit();
        let two_level = &self.two_level;
        for (port, channel) in self
            .table
            .ports_mut()
            .take_while(|(port, _)| port.0 < limit)
        {
            channel.priority = EVTCHN_FIFO_PRIORITY_DEFAULT as u8;
            channel.pending = channel.is_usable() && two_level.is_pending(mem, port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evtchn::testing::Guest;
    use crate::evtchn::{VcpuSet, Wake};
    use crate::ids::Port;

    #[test]
    fn control_block_must_be_aligned_and_inside_its_page() {
        let mut guest = Guest::new(1);
        let frame = guest.mem.take_frame();
        for offset in [4, 4026, 4032, 4096, u32::MAX] {
            let set = guest
                .events
                .init_control(guest.mem, VcpuId(0), frame, offset);
            assert_eq!(set, Err(Errno::EINVAL), "offset {offset}");
        }
        assert!(!guest.events.is_fifo());
        assert_eq!(
            guest.events.init_control(guest.mem, VcpuId(0), frame, 4024),
            Ok(())
        );
        assert!(guest.events.is_fifo());
    }

    #[test]
    fn bad_vcpu_is_enoent_and_a_second_block_einval() {
        let mut guest = Guest::new(2);
        let frame = guest.mem.take_frame();
        assert_eq!(
            guest.events.check_init_control(VcpuId(2), 3),
            Err(Errno::ENOENT)
        );
        assert_eq!(
            guest.events.init_control(guest.mem, VcpuId(0), frame, 0),
            Ok(())
        );
        assert_eq!(
            guest.events.init_control(guest.mem, VcpuId(0), frame, 72),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            guest.events.init_control(guest.mem, VcpuId(1), frame, 72),
            Ok(())
        );
    }

    #[test]
    fn events_pending_at_the_switch_are_raised_when_their_words_exist() {
        let mut guest = Guest::new(1);
        guest.ipis(0, 5);
        let _ = guest.set_pending(Port(2));
        let _ = guest.set_pending(Port(5));
        guest.clear_upcall(0);
        guest.init_control(0).unwrap();
        assert!(!guest.is_pending(Port(2)) && guest.events.is_masked(guest.mem, Port(2)));
        assert_eq!(guest.set_pending(Port(4)), Wake::NOBODY);
        let wake = guest.expand_array().unwrap();
        assert_eq!(wake.upcalls, VcpuSet::of(VcpuId(0)));
        assert_eq!(guest.consume(0), [2, 4, 5]);
    }

    #[test]
    fn event_of_a_port_closed_before_its_word_existed_is_not_raised() {
        let mut guest = Guest::new(1);
        let port = guest.ipis(0, 1);
        let _ = guest.set_pending(port);
        guest.init_control(0).unwrap();
        guest
            .events
            .close(guest.mem, port, crate::evtchn::Closer::Guest)
            .unwrap();
        assert_eq!(guest.ipis(0, 1), port);
        assert_eq!(guest.expand_array(), Ok(Wake::NOBODY));
        assert_eq!(guest.word(1), 0);
    }
}
