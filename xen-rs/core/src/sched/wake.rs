//! Waking, sleeping, yielding: events from outside that change whether a vCPU wants a CPU.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::Relaxed;

use crate::ids::CpuId;
use crate::sched::queue::Arrival;
use crate::sched::runstate::RunstateKind;
use crate::sched::scheduler::Scheduler;
use crate::sched::unit::{Schedulable, State, resting_kind};

impl<V: Schedulable> Scheduler<V> {
    /// Queues a vCPU that has become runnable. Call after [`Schedulable::runnable`] turned true; calling it too often, or for a vCPU that
    /// runs, waits or is not runnable, is harmless. Returns the CPU to kick, if one is idle or should be preempted for it. Never allocates.
    pub fn wake(&self, vcpu: &Arc<V>, now_ns: u64) -> Option<CpuId> {
        let mut inner = vcpu.unit().lock();
        if inner.state != State::Idle || inner.leaving || !vcpu.runnable() {
            return None;
        }
        let Some(target) = self.choose_cpu(&inner) else {
            inner.runstate.change(RunstateKind::Runnable, now_ns);
            return None;
        };
        self.enqueue(vcpu, &mut inner, target, Arrival::Wake, now_ns)
            .then_some(target)
    }

    /// Takes a vCPU that is no longer runnable (paused, taken down) out of its queue. Returns the CPU to kick if it is running; it has
    /// stopped once [`Self::is_running_on`] says so. Does nothing for a vCPU that is runnable.
    pub fn sleep(&self, vcpu: &Arc<V>, now_ns: u64) -> Option<CpuId> {
        let mut inner = vcpu.unit().lock();
        if vcpu.runnable() {
            return None;
        }
        match inner.state {
            State::Detached => None,
            State::Running => {
                self.want(inner.last_cpu);
                Some(inner.last_cpu)
            }
            State::Queued | State::Idle => {
                self.dequeue(vcpu, &mut inner);
                inner.rest(resting_kind(&**vcpu), now_ns);
                None
            }
        }
    }

    /// Makes the CPU of a running vCPU look at it again, after a change of its parameters. Returns the CPU to kick.
    pub fn reconsider(&self, vcpu: &V) -> Option<CpuId> {
        let cpu = vcpu.unit().running_on()?;
        self.want(cpu);
        Some(cpu)
    }

    /// `SCHEDOP_yield`: at the `schedule` that follows, the vCPU goes behind the first that waits, rate limit or not.
    pub fn yield_now(&self, vcpu: &V) {
        vcpu.unit().yielding.store(true, Relaxed);
        self.reconsider(vcpu);
    }
}
