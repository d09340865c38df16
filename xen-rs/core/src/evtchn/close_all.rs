//! Closing everything: `EVTCHNOP_reset` and the destruction of a domain. Both go in steps, between which the caller tells the other ends
//! and may leave the hypervisor to be called again.

use xen_abi::errno::Errno;

use super::{Closer, EventChannels, FifoFrames, Peer};
use crate::hal::MachineMemory;
use crate::ids::Port;

/// Ports looked at in one step.
const PORTS_PER_STEP: u32 = 64;

/// What one step did.
#[must_use = "the other end of a closed channel must be told"]
pub enum Step {
    /// `port` was closed; the other end is to be told by its table's [`EventChannels::peer_closed`]. There is more to do.
    Closed {
        /// The port of this domain.
        port: Port,
        /// The other end.
        peer: Peer,
    },
    /// There is more to do; a good moment to look whether the CPU is wanted elsewhere.
    More,
    /// Everything is closed. The caller drops its references on these frames.
    Done(FifoFrames),
}

impl EventChannels {
    /// Begins `EVTCHNOP_reset`; [`EventChannels::step_reset`] carries it out. Whether the caller may is checked before: a domain resets
    /// itself, or is paused by the one that resets it.
    ///
    /// # Errors
    /// `EBUSY` while another reset of the domain goes on.
    pub fn begin_reset(&mut self) -> Result<(), Errno> {
        if self.reset_at != 0 {
            return Err(Errno::EBUSY);
        }
        self.reset_at = 1;
        Ok(())
    }

    /// One step of closing the guest's ports; the hypervisor's stay. When all are closed the domain is in two-level format again.
    ///
    /// # Errors
    /// `EBUSY` if no reset has been begun; `EAGAIN` if the guest bound new ports meanwhile, which ends the reset.
    pub fn step_reset(&mut self, mem: &dyn MachineMemory) -> Result<Step, Errno> {
        if self.reset_at == 0 {
            return Err(Errno::EBUSY);
        }
        if self.table.has_guest_ports() && self.reset_at < self.table.len() {
            let (step, next) = self.close_some(mem, self.reset_at, Closer::Guest);
            self.reset_at = next;
            return Ok(step);
        }
        self.reset_at = 0;
        if self.table.has_guest_ports() {
            return Err(Errno::EAGAIN);
        }
        Ok(Step::Done(self.leave_fifo()))
    }

    /// One step of closing all ports of a domain that is being destroyed; from the first on no new ports are bound. Guest memory must
    /// still be there until the last.
    pub fn step_teardown(&mut self, mem: &dyn MachineMemory) -> Step {
        self.dying = true;
        if self.teardown_at < self.table.len() {
            let (step, next) = self.close_some(mem, self.teardown_at, Closer::Xen);
            self.teardown_at = next;
            return step;
        }
        Step::Done(self.leave_fifo())
    }

    /// Closes ports from `first` on, to the first whose other end must be told; returns where to go on.
    fn close_some(&mut self, mem: &dyn MachineMemory, first: u32, by: Closer) -> (Step, u32) {
        let end = first.saturating_add(PORTS_PER_STEP).min(self.table.len());
        for port in (first..end).map(Port) {
            // Ports that are not open, or not the closer's, are passed over.
            if let Ok(Some(peer)) = self.close(mem, port, by) {
                return (Step::Closed { port, peer }, port.0 + 1);
            }
        }
        (Step::More, end)
    }

    fn leave_fifo(&mut self) -> FifoFrames {
        self.fifo
            .take()
            .map(super::fifo::Fifo::into_frames)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use xen_abi::xen::VIRQ_TIMER;

    use super::*;
    use crate::evtchn::testing::{Guest, connected};
    use crate::evtchn::{ConsumerId, Wake};
    use crate::ids::{Domid, Mfn, VcpuId};

    fn reset(guest: &mut Guest) -> Result<(Vec<Peer>, Vec<Mfn>), Errno> {
        guest.events.begin_reset()?;
        let mut peers = Vec::new();
        loop {
            match guest.events.step_reset(guest.mem)? {
                Step::Closed { peer, .. } => peers.push(peer),
                Step::More => {}
                Step::Done(frames) => return Ok((peers, frames.collect())),
            }
        }
    }

    #[test]
    fn reset_closes_everything_and_returns_to_two_level() {
        let (mut a, b, port, waiting) = connected();
        a.ipis(0, 300);
        a.virq(VIRQ_TIMER, 0).unwrap();
        a.init_control(0).unwrap();
        let _ = a.expand_array().unwrap();
        let frames = a.fifo_frames.clone();
        assert_eq!(
            reset(&mut a).unwrap(),
            (
                Vec::from([Peer {
                    domid: b.domid,
                    port: waiting
                }]),
                frames
            )
        );
        assert!(!a.events.is_fifo());
        assert_eq!(a.events.peer(port), None);
        assert_eq!(a.virq(VIRQ_TIMER, 0), Ok(Port(1)));
        let _ = a.set_pending(Port(1));
        assert!(a.is_pending(Port(1)) && a.mem.frame(a.shared_info)[2048] == 2);
    }

    #[test]
    fn fifo_may_be_entered_again_after_a_reset() {
        let mut guest = Guest::fifo(1);
        let port = guest.ipis(0, 1);
        let _ = guest.set_pending(port);
        guest.clear_upcall(0);
        reset(&mut guest).unwrap();
        guest.array.clear();
        guest.init_control(0).unwrap();
        assert_eq!(guest.expand_array(), Ok(Wake::NOBODY));
        assert_eq!(guest.ipis(0, 1), port);
        assert!(!guest.set_pending(port).is_nobody());
        assert_eq!(guest.consume(0), [1]);
    }

    #[test]
    fn hypervisors_ports_survive_a_reset_and_not_the_domain() {
        let mut guest = Guest::new(1);
        let xen = guest
            .events
            .alloc_unbound_xen(guest.mem, Domid(7), VcpuId(0), ConsumerId(1))
            .unwrap();
        guest.ipis(0, 1);
        reset(&mut guest).unwrap();
        assert_eq!(
            guest.events.close(guest.mem, Port(2), Closer::Xen),
            Err(Errno::EINVAL)
        );
        while !matches!(guest.events.step_teardown(guest.mem), Step::Done(_)) {}
        assert_eq!(
            guest.events.close(guest.mem, xen, Closer::Xen),
            Err(Errno::EINVAL)
        );
    }

    #[test]
    fn reset_that_is_going_on_keeps_others_out() {
        let mut guest = Guest::new(1);
        guest.ipis(0, 1);
        assert!(matches!(
            guest.events.step_reset(guest.mem),
            Err(Errno::EBUSY)
        ));
        guest.events.begin_reset().unwrap();
        assert_eq!(guest.events.begin_reset(), Err(Errno::EBUSY));
        while !matches!(guest.events.step_reset(guest.mem), Ok(Step::Done(_))) {}
        assert_eq!(guest.events.begin_reset(), Ok(()));
    }

    #[test]
    fn ports_bound_behind_a_resets_back_are_eagain() {
        let mut guest = Guest::new(1);
        guest.ipis(0, 100);
        guest.events.begin_reset().unwrap();
        assert!(matches!(guest.events.step_reset(guest.mem), Ok(Step::More)));
        assert_eq!(guest.ipis(0, 1), Port(1));
        let result = loop {
            match guest.events.step_reset(guest.mem) {
                Ok(Step::More) => {}
                other => break other.err(),
            }
        };
        assert_eq!(result, Some(Errno::EAGAIN));
        assert_eq!(guest.events.begin_reset(), Ok(()));
    }

    #[test]
    fn dying_domain_tells_every_peer_once_and_binds_nothing() {
        let (mut a, b, port, waiting) = connected();
        let mut told = Vec::new();
        loop {
            match a.events.step_teardown(a.mem) {
                Step::Closed { port, peer } => told.push((port, peer)),
                Step::More => assert_eq!(a.events.bind_ipi(a.mem, VcpuId(0)), Err(Errno::EINVAL)),
                Step::Done(mut frames) => break assert_eq!(frames.next(), None),
            }
        }
        assert_eq!(
            told,
            [(
                port,
                Peer {
                    domid: b.domid,
                    port: waiting
                }
            )]
        );
    }
}
