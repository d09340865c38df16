//! Hard and soft affinity, and moving vCPUs that are where they may no longer be.

use alloc::sync::Arc;

use xen_abi::errno::Errno;

use crate::ids::CpuId;
use crate::sched::mask::CpuMask;
use crate::sched::pools::Policy;
use crate::sched::queue::Arrival;
use crate::sched::runstate::RunstateKind;
use crate::sched::scheduler::Scheduler;
use crate::sched::unit::{Inner, Schedulable, State};

impl<V: Schedulable> Scheduler<V> {
    /// Sets the CPUs the vCPU may run on (`XEN_DOMCTL_setvcpuaffinity`, hard). Returns the CPUs to kick: the one it is on and may not
    /// stay on, or the one it was moved to.
    ///
    /// # Errors
    /// `EINVAL`: none of them is in the vCPU's cpupool.
    pub fn set_hard_affinity(
        &self,
        vcpu: &Arc<V>,
        mask: CpuMask,
        now_ns: u64,
    ) -> Result<CpuMask, Errno> {
        let mut registry = self.registry.lock();
        let pool = registry
            .pools
            .exactly(vcpu.unit().share().pool())
            .map_err(|_| Errno::EINVAL)?;
        if mask.and(&pool.cpus).is_empty() {
            return Err(Errno::EINVAL);
        }
        let mut inner = vcpu.unit().lock();
        inner.hard = mask;
        if inner.policy == Policy::Null && inner.pool_cpus.and(&mask).is_empty() {
            registry.claimed = registry.claimed.without(&inner.pool_cpus);
            inner.pool_cpus = CpuMask::EMPTY;
        }
        inner.derive_allowed(&vcpu.unit().allowed_hint);
        let kick = self
            .relocate(vcpu, &mut inner, now_ns)
            .map_or(CpuMask::EMPTY, CpuMask::only);
        drop(inner);
        Ok(kick.or(&self.fill_null_cpus(&mut registry, now_ns)))
    }

    /// Sets the CPUs the vCPU prefers (`XEN_DOMCTL_setvcpuaffinity`, soft). Returns the CPU to kick: the one it is on and would rather
    /// leave.
    pub fn set_soft_affinity(&self, vcpu: &Arc<V>, mask: CpuMask) -> Option<CpuId> {
        let mut inner = vcpu.unit().lock();
        inner.soft = mask;
        if inner.state != State::Running || inner.preferred().contains(inner.last_cpu) {
            return None;
        }
        self.want(inner.last_cpu);
        Some(inner.last_cpu)
    }

    /// Moves a vCPU that waits where it may not run; asks the CPU it runs on to let it go. Returns the CPU to kick.
    pub(super) fn relocate(&self, vcpu: &Arc<V>, inner: &mut Inner, now_ns: u64) -> Option<CpuId> {
        if inner.allowed.contains(inner.last_cpu) {
            return None;
        }
        match inner.state {
            State::Detached | State::Idle => None,
            State::Running => {
                self.want(inner.last_cpu);
                Some(inner.last_cpu)
            }
            State::Queued => {
                self.dequeue(vcpu, inner);
                self.requeue(vcpu, inner, now_ns)
            }
        }
    }

    /// Queues a ready vCPU where it may run, or lets it wait for a CPU of its own. Returns the CPU to kick.
    pub(super) fn requeue(&self, vcpu: &Arc<V>, inner: &mut Inner, now_ns: u64) -> Option<CpuId> {
        let Some(target) = self.choose_cpu(inner) else {
            inner.rest(RunstateKind::Runnable, now_ns);
            return None;
        };
        self.enqueue(vcpu, inner, target, Arrival::Ready, now_ns)
            .then_some(target)
    }
}
