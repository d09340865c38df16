//! `EVTCHNOP_set_priority`: choose a port's FIFO queue.

use xen_abi::errno::Errno;
use xen_abi::event_channel::EVTCHN_FIFO_PRIORITY_MIN;

use super::EventChannels;
use crate::ids::Port;

impl EventChannels {
    /// Events to come on `port` have this priority, 0 (highest) to 15.
    ///
    /// # Errors
    /// `EINVAL` for a port that does not exist, `ENOSYS` in two-level format, `EACCES` for one that is closed or the hypervisor's,
    /// `EINVAL` for the priority, in this order.
    pub fn set_priority(&mut self, port: Port, priority: u32) -> Result<(), Errno> {
        let is_fifo = self.is_fifo();
        let channel = self.table.get_mut(port).ok_or(Errno::EINVAL)?;
        if !is_fifo {
            return Err(Errno::ENOSYS);
        }
        if !channel.is_usable() {
            return Err(Errno::EACCES);
        }
        if priority > EVTCHN_FIFO_PRIORITY_MIN {
            return Err(Errno::EINVAL);
        }
        channel.priority = priority as u8;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evtchn::Closer;
    use crate::evtchn::testing::Guest;

    #[test]
    fn two_level_format_has_no_priorities() {
        let mut guest = Guest::new(1);
        let port = guest.ipis(0, 1);
        assert_eq!(guest.events.set_priority(port, 3), Err(Errno::ENOSYS));
        assert_eq!(guest.events.set_priority(Port(999), 3), Err(Errno::EINVAL));
    }

    #[test]
    fn priority_beyond_15_and_closed_ports_are_refused() {
        let mut guest = Guest::fifo(1);
        let port = guest.ipis(0, 1);
        assert_eq!(guest.events.set_priority(port, 15), Ok(()));
        assert_eq!(guest.events.set_priority(port, 16), Err(Errno::EINVAL));
        assert_eq!(guest.events.set_priority(Port(2), 3), Err(Errno::EACCES));
    }

    #[test]
    fn new_binding_has_the_default_priority_again() {
        let mut guest = Guest::fifo(1);
        let port = guest.ipis(0, 1);
        guest.events.set_priority(port, 0).unwrap();
        guest.events.close(guest.mem, port, Closer::Guest).unwrap();
        assert_eq!(guest.ipis(0, 1), port);
        let _ = guest.set_pending(port);
        assert_eq!(guest.ready(0), 1 << 7);
    }
}
