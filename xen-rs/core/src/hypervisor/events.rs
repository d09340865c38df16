//! Raising events and waking who waits for them.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;

use super::Hypervisor;
use crate::domain::Domain;
use crate::evtchn::{Peer, Received, Sent, Wake};
use crate::ids::{Domid, Port, VcpuId};
use crate::vcpu::{BLOCKED, POLLING, Vcpu};

impl Hypervisor {
    /// `EVTCHNOP_send` for `domain`.
    ///
    /// # Errors
    /// Those of [`crate::evtchn::EventChannels::send`].
    pub fn send_event(&self, domain: &Arc<Domain>, port: Port) -> Result<(), Errno> {
        let sent = domain.events.lock().send(self.memory, port)?;
        match sent {
            Sent::Local(received) => self.received(domain, received),
            Sent::Remote(peer) => self.send_to_peer(
                peer,
                Peer {
                    domid: domain.id,
                    port,
                },
            ),
            Sent::Dropped => {}
        }
        Ok(())
    }

    fn send_to_peer(&self, to: Peer, from: Peer) {
        if let Some(remote) = self.domain(to.domid) {
            let received = remote.events.lock().receive(self.memory, to.port, from);
            self.received(&remote, received);
        }
    }

    fn received(&self, domain: &Arc<Domain>, received: Received) {
        match received {
            Received::Guest(wake) => self.wake(domain, wake),
            // No part of the hypervisor owns ports: device models are not supported.
            Received::Consumer { .. } | Received::Dropped => {}
        }
    }

    /// Raises a per-vCPU VIRQ, or a global one on `vcpu` 0.
    pub fn raise_virq(&self, domain: &Arc<Domain>, vcpu: VcpuId, virq: u32) {
        let wake = domain.events.lock().raise_virq(self.memory, vcpu, virq);
        self.wake(domain, wake);
    }

    /// Raises a global VIRQ in dom0, which handles them all.
    pub fn raise_global_virq(&self, virq: u32) {
        if let Some(dom0) = self.domain(Domid::DOM0) {
            self.raise_virq(&dom0, VcpuId(0), virq);
        }
    }

    /// Does what an event-channel operation asks for once its lock is gone.
    pub fn wake(&self, domain: &Arc<Domain>, wake: Wake) {
        for id in wake.pollers {
            if let Some(vcpu) = domain.vcpu(id) {
                self.unblock(vcpu, POLLING);
            }
        }
        for id in wake.upcalls {
            if let Some(vcpu) = domain.vcpu(id) {
                self.deliver_upcall(vcpu);
            }
        }
    }

    /// The vCPU's upcall byte has been set: let it notice.
    pub fn deliver_upcall(&self, vcpu: &Arc<Vcpu>) {
        match vcpu.upcall_vector.load(SeqCst) {
            0 => {}
            vector => vcpu.arch.post_interrupt(vector),
        }
        self.notice(vcpu);
    }

    /// Something happened to the vCPU that it must look at: wakes it, also from `SCHEDOP_poll`, or makes its CPU leave the guest. Takes
    /// the lock of the domain's event channels if the vCPU polls.
    pub fn notice(&self, vcpu: &Arc<Vcpu>) {
        if vcpu.flags.load(SeqCst) & POLLING != 0
            && let Some(domain) = vcpu.domain()
        {
            self.end_poll(&domain, vcpu);
        }
        if !self.unblock(vcpu, BLOCKED)
            && let Some(cpu) = self.scheduler.is_running_on(vcpu)
            && cpu != self.machine.this_cpu()
        {
            self.machine.kick(cpu);
        }
    }

    /// Clears waiting flags; `true` if any was set and the vCPU was handed to the scheduler.
    pub fn unblock(&self, vcpu: &Arc<Vcpu>, flags: u32) -> bool {
        let was_waiting = vcpu.flags.fetch_and(!flags, SeqCst) & flags != 0;
        if was_waiting {
            self.wake_vcpu(vcpu);
        }
        was_waiting
    }

    /// Tells the scheduler that the vCPU may have become runnable.
    pub fn wake_vcpu(&self, vcpu: &Arc<Vcpu>) {
        if let Some(cpu) = self.scheduler.wake(vcpu, self.now_ns()) {
            self.machine.kick(cpu);
        }
    }

    /// Begins a `SCHEDOP_poll` of the running vCPU: it stops at the next schedule, unless something waits for it already. `true` if it polls.
    ///
    /// # Errors
    /// Those of [`crate::evtchn::EventChannels::begin_poll`].
    pub fn begin_poll(
        &self,
        domain: &Arc<Domain>,
        vcpu: &Arc<Vcpu>,
        ports: &[u32],
    ) -> Result<bool, Errno> {
        {
            let mut events = domain.events.lock();
            if !events.begin_poll(self.memory, vcpu.id, ports)? {
                return Ok(false);
            }
            // Under the same lock as the registration, so that whoever ends the poll sees both or neither.
            vcpu.flags.fetch_or(POLLING, SeqCst);
        }
        // Looked at after the flag was set, as in `block_current`.
        if self.has_deliverable_event(domain, vcpu) {
            self.end_poll(domain, vcpu);
            return Ok(false);
        }
        Ok(true)
    }

    /// The end of a `SCHEDOP_poll` that no polled port ended: a time-out, or something else that wants the vCPU to run.
    pub fn end_poll(&self, domain: &Domain, vcpu: &Arc<Vcpu>) {
        let was_polling = {
            let mut events = domain.events.lock();
            events.end_poll(vcpu.id);
            vcpu.flags.fetch_and(!POLLING, SeqCst) & POLLING != 0
        };
        if was_polling {
            self.wake_vcpu(vcpu);
        }
    }

    /// Whether the vCPU would take an interrupt or an event upcall if it ran now.
    #[must_use]
    pub fn has_deliverable_event(&self, domain: &Domain, vcpu: &Vcpu) -> bool {
        let upcall = domain.callback_vector.load(SeqCst) != 0
            && domain.events.lock().is_upcall_pending(self.memory, vcpu.id);
        upcall || vcpu.arch.has_deliverable_interrupt()
    }
}
