//! `EVTCHNOP_expand_array`: add a page of event words to the FIFO event array.

use xen_abi::errno::Errno;

use super::fifo::WORDS_PER_PAGE;
use super::{EventChannels, Wake};
use crate::hal::MachineMemory;
use crate::ids::{Mfn, Port};

impl EventChannels {
    /// The checks that come before the page is looked up.
    ///
    /// # Errors
    /// `EOPNOTSUPP` before the switch to the FIFO format, `ENOSPC` when the array has all its 128 pages.
    pub fn check_expand_array(&self) -> Result<(), Errno> {
        match &self.fifo {
            None => Err(Errno::EOPNOTSUPP),
            Some(fifo) if fifo.is_array_full() => Err(Errno::ENOSPC),
            Some(_) => Ok(()),
        }
    }

    /// Makes `frame`, a writable page of the guest on which the caller holds a reference, the next page of event words. On success it comes
    /// back in [`FifoFrames`](super::FifoFrames), on failure the caller drops it. Events that became pending before their words
    /// existed are raised.
    ///
    /// # Errors
    /// Those of [`EventChannels::check_expand_array`].
    pub fn expand_array(&mut self, mem: &dyn MachineMemory, frame: Mfn) -> Result<Wake, Errno> {
        self.check_expand_array()?;
        let Some(fifo) = &mut self.fifo else {
            return Err(Errno::EOPNOTSUPP);
        };
        let first = fifo.add_page(frame);
        let mut wake = Wake::NOBODY;
        for port in first..first.saturating_add(WORDS_PER_PAGE).min(self.table.len()) {
            let saved = self
                .table
                .get_mut(Port(port))
                .map(|channel| &mut channel.pending);
            if saved.is_some_and(core::mem::take) {
                wake |= self.set_pending(mem, Port(port));
            }
        }
        Ok(wake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evtchn::VcpuSet;
    use crate::evtchn::testing::Guest;
    use crate::ids::VcpuId;

    #[test]
    fn two_level_domain_has_no_array() {
        let mut guest = Guest::new(1);
        assert_eq!(guest.expand_array(), Err(Errno::EOPNOTSUPP));
    }

    #[test]
    fn array_ends_at_128_pages() {
        let mut guest = Guest::new(1);
        guest.init_control(0).unwrap();
        for _ in 0..128 {
            assert_eq!(guest.expand_array(), Ok(Wake::NOBODY));
        }
        assert_eq!(guest.expand_array(), Err(Errno::ENOSPC));
    }

    #[test]
    fn page_raises_the_events_of_its_own_ports_on_their_vcpus() {
        let mut guest = Guest::new(3);
        (0..3).for_each(|vcpu| guest.init_control(vcpu).unwrap());
        guest.ipis(1, 1023);
        guest.ipis(2, 1000);
        for port in [5, 1023, 1024, 2000] {
            assert_eq!(guest.set_pending(Port(port)), Wake::NOBODY);
        }
        assert_eq!(
            guest.expand_array().unwrap().upcalls,
            VcpuSet::of(VcpuId(1))
        );
        assert_eq!(
            guest.expand_array().unwrap().upcalls,
            VcpuSet::of(VcpuId(2))
        );
        assert_eq!(guest.expand_array(), Ok(Wake::NOBODY));
        assert_eq!(guest.consume(1), [5, 1023]);
        assert_eq!(guest.consume(2), [1024, 2000]);
    }
}
