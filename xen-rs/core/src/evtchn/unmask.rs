//! `EVTCHNOP_unmask`: unmask a port and deliver what became pending meanwhile.

use xen_abi::errno::Errno;

use super::raise::Raised;
use super::{EventChannels, Wake};
use crate::hal::MachineMemory;
use crate::ids::Port;

impl EventChannels {
    /// Unmasks `port`. Does nothing to ports that are closed or the hypervisor's own.
    ///
    /// # Errors
    /// `EINVAL` for a port that does not exist.
    pub fn unmask(&mut self, mem: &dyn MachineMemory, port: Port) -> Result<Wake, Errno> {
        let channel = self.table.get(port).ok_or(Errno::EINVAL)?;
        if !channel.is_usable() {
            return Ok(Wake::NOBODY);
        }
        let vcpu = channel.vcpu();
        if let Some(fifo) = &self.fifo {
            let raise = fifo.unmask(mem, port);
            return Ok(if raise {
                self.set_pending(mem, port)
            } else {
                Wake::NOBODY
            });
        }
        let info = self.vcpus.get(vcpu.0 as usize).and_then(|vcpu| vcpu.info);
        let needs_upcall = self.two_level.unmask(mem, port, info);
        Ok(self.wake(
            mem,
            port,
            vcpu,
            Raised {
                newly_pending: false,
                needs_upcall,
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evtchn::fifo::{LINKED, MASKED, PENDING};
    use crate::evtchn::testing::Guest;

    #[test]
    fn port_that_does_not_exist_is_einval_and_a_closed_one_is_left_alone() {
        let mut guest = Guest::fifo(1);
        guest.set(Port(5), MASKED | PENDING);
        assert_eq!(guest.events.unmask(guest.mem, Port(64)), Err(Errno::EINVAL));
        assert_eq!(guest.events.unmask(guest.mem, Port(5)), Ok(Wake::NOBODY));
        assert_eq!(guest.word(5), MASKED | PENDING);
    }

    #[test]
    fn fifo_event_that_is_not_pending_is_only_unmasked() {
        let mut guest = Guest::fifo(1);
        let port = guest.ipis(0, 1);
        guest.set(port, MASKED);
        assert_eq!(guest.events.unmask(guest.mem, port), Ok(Wake::NOBODY));
        assert_eq!(guest.word(1), 0);
    }

    #[test]
    fn event_still_queued_while_masked_and_unmasked_is_found_there() {
        let mut guest = Guest::fifo(1);
        let port = guest.ipis(0, 1);
        let _ = guest.set_pending(port);
        guest.set(port, MASKED);
        assert_eq!(guest.events.unmask(guest.mem, port), Ok(Wake::NOBODY));
        assert_eq!(guest.word(1), PENDING | LINKED);
        assert_eq!(guest.consume(0), [1]);
    }
}
