//! The event-channel half of `SCHEDOP_poll`: a vCPU blocks until one of some ports is pending, masked or not.
//!
//! Testing the ports and registering the vCPU is one step under the table's lock, as is making a port pending and taking its pollers out,
//! so that no event falls between. The vCPU's blocking, time-out and upcalls are the scheduler's.

use xen_abi::errno::Errno;

use super::{EventChannels, VcpuSet};
use crate::hal::MachineMemory;
use crate::ids::{Port, VcpuId};

/// What a vCPU polls for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Polling {
    No,
    /// Several ports: it is woken by each event and looks itself.
    Any,
    One(Port),
}

impl EventChannels {
    /// Begins a poll. True: the vCPU must block, and is registered until an event wakes it or [`EventChannels::end_poll`]. False: one of
    /// the ports is pending already.
    ///
    /// # Errors
    /// `EINVAL` for a port that is closed or the hypervisor's, unless one before it is pending.
    pub fn begin_poll(
        &mut self,
        mem: &dyn MachineMemory,
        vcpu: VcpuId,
        ports: &[u32],
    ) -> Result<bool, Errno> {
        for port in ports {
            self.table
                .get(Port(*port))
                .filter(|channel| channel.is_usable())
                .ok_or(Errno::EINVAL)?;
            if self.is_pending(mem, Port(*port)) {
                return Ok(false);
            }
        }
        let Some(state) = self.vcpus.get_mut(vcpu.0 as usize) else {
            return Err(Errno::EINVAL);
        };
        state.polling = match ports {
            [port] => Polling::One(Port(*port)),
            _ => Polling::Any,
        };
        self.pollers |= VcpuSet::of(vcpu);
        Ok(true)
    }

    /// The vCPU no longer polls: timed out, or woken by something else.
    pub fn end_poll(&mut self, vcpu: VcpuId) {
        if let Some(state) = self.vcpus.get_mut(vcpu.0 as usize) {
            state.polling = Polling::No;
        }
        self.pollers.remove(vcpu);
    }

    /// The vCPUs that poll for `port`; they no longer do.
    pub(super) fn take_pollers(&mut self, port: Port) -> VcpuSet {
        let mut woken = VcpuSet::EMPTY;
        if self.pollers.is_empty() {
            return woken;
        }
        for vcpu in self.pollers {
            let polling = self.vcpus.get(vcpu.0 as usize).map(|vcpu| vcpu.polling);
            if polling != Some(Polling::One(port)) && polling != Some(Polling::Any) {
                continue;
            }
            self.end_poll(vcpu);
            woken |= VcpuSet::of(vcpu);
        }
        woken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evtchn::Wake;
    use crate::evtchn::fifo::MASKED;
    use crate::evtchn::testing::Guest;

    #[test]
    fn poll_of_a_pending_port_does_not_block() {
        let mut guest = Guest::new(1);
        guest.ipis(0, 2);
        let _ = guest.set_pending(Port(2));
        assert_eq!(
            guest.events.begin_poll(guest.mem, VcpuId(0), &[1, 2, 999]),
            Ok(false)
        );
        assert_eq!(
            guest.events.begin_poll(guest.mem, VcpuId(0), &[1]),
            Ok(true)
        );
    }

    #[test]
    fn poll_of_a_closed_port_is_einval() {
        let mut guest = Guest::new(1);
        let port = guest.ipis(0, 1);
        for bad in [0, 2, 64, u32::MAX] {
            let polled = guest
                .events
                .begin_poll(guest.mem, VcpuId(0), &[port.0, bad]);
            assert_eq!(polled, Err(Errno::EINVAL));
        }
        assert_eq!(guest.set_pending(port).pollers, VcpuSet::EMPTY);
    }

    #[test]
    fn masked_event_wakes_its_poller_once_and_no_other() {
        for mut guest in [Guest::new(3), Guest::fifo(3)] {
            guest.ipis(0, 2);
            if guest.events.is_fifo() {
                guest.set(Port(2), MASKED);
            }
            assert_eq!(
                guest.events.begin_poll(guest.mem, VcpuId(1), &[2]),
                Ok(true)
            );
            assert_eq!(
                guest.events.begin_poll(guest.mem, VcpuId(2), &[1]),
                Ok(true)
            );
            assert_eq!(guest.set_pending(Port(2)).pollers, VcpuSet::of(VcpuId(1)));
            assert_eq!(guest.set_pending(Port(2)), Wake::NOBODY);
            assert_eq!(guest.set_pending(Port(1)).pollers, VcpuSet::of(VcpuId(2)));
        }
    }

    #[test]
    fn poller_of_several_ports_is_woken_by_any() {
        let mut guest = Guest::new(1);
        guest.ipis(0, 3);
        assert_eq!(
            guest.events.begin_poll(guest.mem, VcpuId(0), &[1, 2]),
            Ok(true)
        );
        assert_eq!(guest.set_pending(Port(3)).pollers, VcpuSet::of(VcpuId(0)));
        assert!(guest.set_pending(Port(1)).pollers.is_empty());
    }

    #[test]
    fn ended_poll_wakes_nobody() {
        let mut guest = Guest::new(1);
        let port = guest.ipis(0, 1);
        assert_eq!(
            guest.events.begin_poll(guest.mem, VcpuId(0), &[port.0]),
            Ok(true)
        );
        guest.events.end_poll(VcpuId(0));
        assert!(guest.set_pending(port).pollers.is_empty());
    }
}
