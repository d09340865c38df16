//! The scheduler's state, and how vCPUs enter and leave it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use xen_abi::errno::Errno;

use crate::ids::CpuId;
use crate::lock::{Lock, Rank};
use crate::sched::mask::{AtomicCpuMask, CpuMask};
use crate::sched::pools::{Policy, Pools};
use crate::sched::queue::{Arrival, Entry, Occupant, RunQueue};
use crate::sched::runstate::{RunstateKind, RunstateSnapshot};
use crate::sched::unit::{Inner, Schedulable, State, resting_kind};
use crate::sched::vtime::{Vtime, virtual_ns};

/// Rate limit of a new scheduler in µs (Xen's `sched_ratelimit_us` default).
pub const DEFAULT_RATELIMIT_US: u32 = 1_000;
/// Bounds of the rate limit in µs: `XEN_SYSCTL_SCHED_RATELIMIT_MIN` and `_MAX`.
const RATELIMIT_US: core::ops::RangeInclusive<u32> = 100..=500_000;

/// What a CPU does next.
pub struct Decision<V> {
    /// The vCPU to run; nothing: go idle.
    pub next: Option<Arc<V>>,
    /// System time in ns at which `schedule` must be called again at the latest; `u64::MAX`: no timer is needed. Applies to an idle CPU
    /// too (a vCPU parked by its cap becomes ready).
    pub slice_end_ns: u64,
    /// Other CPUs to kick: work was given to them.
    pub kick: CpuMask,
}

/// All run queues. `V` is the vCPU.
pub struct Scheduler<V> {
    pub(super) slots: Vec<CpuSlot<V>>,
    /// CPUs without a vCPU and without anybody waiting.
    pub(super) idle: AtomicCpuMask,
    /// CPUs where somebody waits.
    pub(super) crowded: AtomicCpuMask,
    pub(super) ratelimit_ns: AtomicU64,
    /// Outermost lock, only for operations of the toolstack.
    pub(super) registry: Lock<Registry<V>>,
}

pub(super) struct Registry<V> {
    pub pools: Pools,
    pub units: Vec<Arc<V>>,
    /// Null policy: CPUs that belong to a vCPU.
    pub claimed: CpuMask,
    /// Where the latest vCPU was placed at first.
    pub placed: CpuId,
}

/// One CPU: its queue, and what others may see of it without the lock.
#[repr(align(64))]
pub(super) struct CpuSlot<V> {
    queue: Lock<RunQueue<V>>,
    /// The CPU is to call `schedule` at its next chance.
    pub wanted: AtomicBool,
    pub view: QueueView,
}

/// Hints, written under the queue's lock; each is atomic, together they may be torn.
#[derive(Default)]
pub(super) struct QueueView {
    pub load: AtomicU64,
    pub waiting: AtomicU32,
    pub floor: AtomicU64,
    run_vtime: AtomicU64,
    run_since_ns: AtomicU64,
    /// 0: no vCPU.
    run_weight: AtomicU32,
    slice_end_ns: AtomicU64,
}

impl QueueView {
    fn publish<V: Schedulable>(&self, queue: &RunQueue<V>) {
        self.load.store(queue.load(), Relaxed);
        self.waiting.store(queue.waiting() as u32, Relaxed);
        self.floor.store(queue.floor().0, Relaxed);
        let Occupant::Running(run) = queue.occupant() else {
            self.run_weight.store(0, Relaxed);
            return self.slice_end_ns.store(u64::MAX, Relaxed);
        };
        self.run_vtime.store(run.vtime.0, Relaxed);
        self.run_since_ns.store(run.since_ns, Relaxed);
        self.run_weight.store(run.weight, Relaxed);
        self.slice_end_ns.store(run.slice_end_ns, Relaxed);
    }

    /// Virtual time that a newcomer would have to beat in order to run here at once, and the weight of the vCPU that runs here; `None`
    /// when none does.
    pub fn frontier(&self, now_ns: u64) -> Option<(Vtime, u32)> {
        let weight = self.run_weight.load(Relaxed);
        if weight == 0 {
            return None;
        }
        if self.waiting.load(Relaxed) != 0 {
            return Some((Vtime(self.floor.load(Relaxed)), weight));
        }
        let ran_ns = now_ns.saturating_sub(self.run_since_ns.load(Relaxed));
        Some((
            Vtime(self.run_vtime.load(Relaxed)).plus(virtual_ns(ran_ns, weight, &mut 0)),
            weight,
        ))
    }
}

impl<V: Schedulable> Scheduler<V> {
    /// A scheduler for the CPUs in `online`, all of them idle and in pool 0.
    #[must_use]
    pub fn new(online: CpuMask, policy: Policy) -> Self {
        let count = online.highest().map_or(0, |cpu| cpu.0 + 1);
        let idle = AtomicCpuMask::default();
        idle.store(online);
        Self {
            slots: (0..count).map(|_| CpuSlot::new()).collect(),
            idle,
            crowded: AtomicCpuMask::default(),
            ratelimit_ns: AtomicU64::new(u64::from(DEFAULT_RATELIMIT_US) * 1_000),
            registry: Lock::new(
                Rank::Scheduler,
                Registry {
                    pools: Pools::new(online, policy),
                    units: Vec::new(),
                    claimed: CpuMask::EMPTY,
                    placed: online.highest().unwrap_or(CpuId(0)),
                },
            ),
        }
    }

    /// Adds a vCPU whose domain is in a cpupool; starts it if it is runnable. All memory its scheduling will need is taken here.
    /// Returns the CPU to kick.
    ///
    /// # Errors
    /// `EEXIST`: it is in already. `ESRCH`: its domain is in no cpupool. `ENOMEM`.
    pub fn insert(&self, vcpu: &Arc<V>, now_ns: u64) -> Result<Option<CpuId>, Errno> {
        let mut registry = self.registry.lock();
        let share = vcpu.unit().share();
        let pool = registry
            .pools
            .exactly(share.pool())
            .map_err(|_| Errno::ESRCH)?;
        if vcpu.unit().lock().state != State::Detached {
            return Err(Errno::EEXIST);
        }
        self.reserve(&mut registry)?;
        registry.units.push(Arc::clone(vcpu));
        share.vcpus.fetch_add(1, Relaxed);
        {
            let mut inner = vcpu.unit().lock();
            inner.rest(resting_kind(&**vcpu), now_ns);
            inner.leaving = false;
            inner.policy = pool.policy;
            inner.pool_cpus = if pool.policy == Policy::Null {
                CpuMask::EMPTY
            } else {
                pool.cpus
            };
            inner.derive_allowed(&vcpu.unit().allowed_hint);
            inner.last_cpu = pool.cpus.next_after(registry.placed).unwrap_or(CpuId(0));
            registry.placed = inner.last_cpu;
        }
        let kick = if pool.policy == Policy::Null {
            self.fill_null_cpus(&mut registry, now_ns).lowest()
        } else {
            None
        };
        Ok(kick.or_else(|| self.wake(vcpu, now_ns)))
    }

    /// Removes a vCPU for good. It must not be running: if it is, it will not be queued again, and the caller retries once the returned
    /// error's cause is gone (kick [`Unit::running_on`](super::Unit::running_on)).
    ///
    /// # Errors
    /// `EBUSY`: it is running. `ENOENT`: it is not in.
    pub fn remove(&self, vcpu: &Arc<V>, now_ns: u64) -> Result<CpuMask, Errno> {
        let mut registry = self.registry.lock();
        let mut inner = vcpu.unit().lock();
        match inner.state {
            State::Detached => return Err(Errno::ENOENT),
            State::Running => {
                inner.leaving = true;
                self.want(inner.last_cpu);
                return Err(Errno::EBUSY);
            }
            State::Queued | State::Idle => self.dequeue(vcpu, &mut inner),
        }
        inner.state = State::Detached;
        inner.runstate.change(RunstateKind::Offline, now_ns);
        if inner.policy == Policy::Null {
            registry.claimed = registry.claimed.without(&inner.pool_cpus);
        }
        inner.pool_cpus = CpuMask::EMPTY;
        drop(inner);
        registry.units.retain(|other| !Arc::ptr_eq(other, vcpu));
        vcpu.unit().share().vcpus.fetch_sub(1, Relaxed);
        Ok(self.fill_null_cpus(&mut registry, now_ns))
    }

    /// Where the vCPU runs now. Lock-free.
    #[must_use]
    pub fn is_running_on(&self, vcpu: &V) -> Option<CpuId> {
        vcpu.unit().running_on()
    }

    /// Nanoseconds the vCPU has run, including the present slice.
    #[must_use]
    pub fn cpu_time_ns(&self, vcpu: &V, now_ns: u64) -> u64 {
        vcpu.unit().lock().runstate.running_ns(now_ns)
    }

    /// The vCPU's run state account.
    #[must_use]
    pub fn runstate(&self, vcpu: &V, now_ns: u64) -> RunstateSnapshot {
        vcpu.unit().lock().runstate.snapshot(now_ns)
    }

    /// Nanoseconds the CPU has been without a vCPU; 0 for a CPU that does not exist.
    #[must_use]
    pub fn idle_time_ns(&self, cpu: CpuId, now_ns: u64) -> u64 {
        self.slots
            .get(cpu.0 as usize)
            .map_or(0, |slot| slot.queue.lock_second().idle_ns(now_ns))
    }

    /// The rate limit in µs.
    #[must_use]
    pub fn ratelimit_us(&self) -> u32 {
        (self.ratelimit_ns.load(Relaxed) / 1_000) as u32
    }

    /// Sets for how long a vCPU runs at least before another may preempt it; 0 switches the limit off (`XEN_SYSCTL_SCHEDOP_putinfo`).
    ///
    /// # Errors
    /// `EINVAL`: neither 0 nor 100 to 500000 µs.
    pub fn set_ratelimit_us(&self, ratelimit_us: u32) -> Result<(), Errno> {
        if ratelimit_us != 0 && !RATELIMIT_US.contains(&ratelimit_us) {
            return Err(Errno::EINVAL);
        }
        self.ratelimit_ns
            .store(u64::from(ratelimit_us) * 1_000, Relaxed);
        Ok(())
    }

    /// Whether the CPU should call `schedule` at its next chance. Lock-free; asked after every kick and before entering a guest.
    #[must_use]
    pub fn reschedule_wanted(&self, cpu: CpuId) -> bool {
        self.slot(cpu).wanted.load(SeqCst)
    }

    /// Notes that the CPU's timer fired: asks for `schedule` if the slice is over. Returns [`Self::reschedule_wanted`].
    pub fn tick(&self, cpu: CpuId, now_ns: u64) -> bool {
        if now_ns >= self.slot(cpu).view.slice_end_ns.load(Relaxed) {
            self.want(cpu);
        }
        self.reschedule_wanted(cpu)
    }

    pub(super) fn want(&self, cpu: CpuId) {
        self.slot(cpu).wanted.store(true, SeqCst);
    }

    /// The CPU's slot. CPU numbers come from the hypervisor alone: one without a slot is a bug of ours.
    pub(super) fn slot(&self, cpu: CpuId) -> &CpuSlot<V> {
        &self.slots[cpu.0 as usize]
    }

    /// Works on a CPU's queue under its lock, and publishes the result.
    pub(super) fn with_queue<R>(&self, cpu: CpuId, work: impl FnOnce(&mut RunQueue<V>) -> R) -> R {
        let mut queue = self.slot(cpu).queue.lock_second();
        let result = work(&mut queue);
        self.publish(cpu, &queue);
        result
    }

    /// As [`Self::with_queue`], unless somebody holds the lock.
    pub(super) fn try_with_queue<R>(
        &self,
        cpu: CpuId,
        work: impl FnOnce(&mut RunQueue<V>) -> R,
    ) -> Option<R> {
        let mut queue = self.slot(cpu).queue.try_lock()?;
        let result = work(&mut queue);
        self.publish(cpu, &queue);
        Some(result)
    }

    /// Queues a vCPU on `target`. Returns whether that CPU must be kicked.
    pub(super) fn enqueue(
        &self,
        vcpu: &Arc<V>,
        inner: &mut Inner,
        target: CpuId,
        arrival: Arrival,
        now_ns: u64,
    ) -> bool {
        let from = self.floor_if_moving(inner, target);
        inner.ticket = inner.ticket.wrapping_add(1);
        inner.state = State::Queued;
        inner.last_cpu = target;
        inner.runstate.change(RunstateKind::Runnable, now_ns);
        let weight = vcpu.unit().share().weight();
        let ticket = inner.ticket;
        let vtime = inner.vtime;
        let kick = self.with_queue(target, |queue| {
            let vtime = queue.admit(vtime, weight, arrival, from, now_ns);
            queue.push(Entry {
                vcpu: Arc::clone(vcpu),
                vtime,
                ticket,
                weight,
            });
            queue.wants_kick(now_ns)
        });
        if kick {
            self.want(target);
        }
        kick
    }

    /// The virtual clock of the queue the vCPU comes from, if that is not `target`'s.
    fn floor_if_moving(&self, inner: &Inner, target: CpuId) -> Option<Vtime> {
        let from = inner.last_cpu;
        (from != target).then(|| Vtime(self.slot(from).view.floor.load(Relaxed)))
    }

    /// Takes a vCPU's entry out of its queue, if it is there and not in the hands of a CPU (whose ticket or state then is void).
    pub(super) fn dequeue(&self, vcpu: &Arc<V>, inner: &mut Inner) {
        if inner.state == State::Queued
            && let Some(entry) = self.with_queue(inner.last_cpu, |queue| queue.take(vcpu))
        {
            inner.vtime = entry.vtime;
        }
    }

    fn reserve(&self, registry: &mut Registry<V>) -> Result<(), Errno> {
        registry.units.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let total = registry.units.len() + 1;
        self.slots
            .iter()
            .try_for_each(|slot| slot.queue.lock_second().reserve(total))
    }

    fn publish(&self, cpu: CpuId, queue: &RunQueue<V>) {
        self.slot(cpu).view.publish(queue);
        let waiting = queue.waiting() != 0;
        let idle = !waiting && matches!(queue.occupant(), Occupant::Idle(_));
        for (mask, member) in [(&self.idle, idle), (&self.crowded, waiting)] {
            match (mask.contains(cpu), member) {
                (false, true) => mask.insert(cpu),
                (true, false) => mask.remove(cpu),
                _ => {}
            }
        }
    }
}

impl<V: Schedulable> CpuSlot<V> {
    fn new() -> Self {
        Self {
            queue: Lock::new(Rank::Scheduler, RunQueue::new()),
            wanted: AtomicBool::new(false),
            view: QueueView {
                slice_end_ns: AtomicU64::new(u64::MAX),
                ..QueueView::default()
            },
        }
    }
}
