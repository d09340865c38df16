//! The decision a CPU takes each time it stops running a vCPU.
//!
//! Order of events, each under one lock at a time: charge the previous vCPU (its unit); choose (the queue); verify and start the choice
//! (its unit); release the previous (its unit, then a queue); settle (the queue). While a CPU decides, its queue says so, and wakers
//! leave it alone: it looks at the queue once more when it settles.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::Relaxed;

use crate::ids::CpuId;
use crate::sched::mask::CpuMask;
use crate::sched::pools::Policy;
use crate::sched::queue::{Arrival, Entry, Pick, Run};
use crate::sched::runstate::RunstateKind;
use crate::sched::scheduler::{Decision, Scheduler};
use crate::sched::share::{DomainShare, Grant};
use crate::sched::unit::{Inner, Schedulable, State, resting_kind};
use crate::sched::vtime::virtual_ns;

/// The previous vCPU after it was charged.
enum Standing {
    /// Could go on.
    Fit(Run),
    /// Its domain's budget is used up until this time.
    Capped(u64),
    /// Not runnable, not allowed here, or better off on an idle CPU that it likes more.
    Unfit,
}

impl<V: Schedulable> Scheduler<V> {
    /// Chooses what `cpu` runs next. `previous` is what it ran until now: if that stays the choice, it comes back in the decision and
    /// nothing was done to it; otherwise [`Schedulable::leave_cpu`] is called for it and it goes back to a queue or to rest, and other
    /// CPUs may start it at once. Called by the CPU itself. Never allocates.
    ///
    /// # Panics
    /// If there is no such CPU.
    pub fn schedule(&self, cpu: CpuId, now_ns: u64, previous: Option<Arc<V>>) -> Decision<V> {
        self.slot(cpu)
            .wanted
            .store(false, core::sync::atomic::Ordering::SeqCst);
        let mut previous = previous.filter(|vcpu| vcpu.unit().running_on() == Some(cpu));
        let mut standing = previous
            .as_ref()
            .map_or(Standing::Unfit, |vcpu| self.charge(vcpu, cpu, now_ns));
        let mut kick = CpuMask::EMPTY;
        loop {
            let fit = if let Standing::Fit(run) = &mut standing {
                Some(run)
            } else {
                None
            };
            let choice = match self.with_queue(cpu, |queue| queue.pick(fit, now_ns)) {
                Pick::Stay(slice_end_ns) => {
                    return Decision {
                        next: previous,
                        slice_end_ns,
                        kick,
                    };
                }
                Pick::Take(entry) => Some(entry),
                Pick::Nothing => self.steal(cpu),
            };
            #[cfg(test)]
            super::race::point(super::race::Moment::Chosen);
            let mut started = match choice {
                None => None,
                Some(entry) => match self.start(entry, cpu, now_ns, &mut kick) {
                    None => continue,
                    started => started,
                },
            };
            if let Some(vcpu) = previous.take() {
                if let Some(started) = &mut started {
                    self.catch_up(&vcpu, cpu, started, now_ns);
                }
                let next = started.as_ref().map(|(_, run)| run);
                kick = kick.or(&self.release(&vcpu, cpu, &standing, next, now_ns));
                standing = Standing::Unfit;
            }
            #[cfg(test)]
            super::race::point(super::race::Moment::Settling);
            if let Some(decision) = self.settle(cpu, started, now_ns) {
                kick.remove(cpu);
                return Decision { kick, ..decision };
            }
        }
    }

    fn settle(
        &self,
        cpu: CpuId,
        started: Option<(Arc<V>, Run)>,
        now_ns: u64,
    ) -> Option<Decision<V>> {
        let kick = CpuMask::EMPTY;
        match started {
            Some((vcpu, run)) => {
                let slice_end_ns = self.with_queue(cpu, |queue| queue.settle_on(run, now_ns));
                Some(Decision {
                    next: Some(vcpu),
                    slice_end_ns,
                    kick,
                })
            }
            None => {
                let slice_end_ns = self.with_queue(cpu, |queue| queue.settle_idle(now_ns))?;
                Some(Decision {
                    next: None,
                    slice_end_ns,
                    kick,
                })
            }
        }
    }

    /// Charges the vCPU for its run up to now, and says whether it may go on.
    fn charge(&self, vcpu: &Arc<V>, cpu: CpuId, now_ns: u64) -> Standing {
        let unit = vcpu.unit();
        let weight = unit.share().weight();
        let mut inner = unit.lock();
        let ran_ns = now_ns.saturating_sub(inner.charged_ns);
        let cost = virtual_ns(ran_ns, weight, &mut inner.residual);
        inner.vtime = inner.vtime.plus(cost);
        inner.charged_ns = now_ns.max(inner.charged_ns);
        if let Some(granted_ns) = inner.granted_ns.take() {
            unit.share().settle(granted_ns, ran_ns);
        }
        let yielding = unit.yielding.swap(false, Relaxed);
        if inner.leaving
            || !inner.allowed.contains(cpu)
            || !vcpu.runnable()
            || self.likes_to_move(&inner, cpu)
        {
            return Standing::Unfit;
        }
        match take_grant(&mut inner, unit.share(), now_ns) {
            Err(until_ns) => Standing::Capped(until_ns),
            Ok(limit_ns) => Standing::Fit(Run {
                yielding,
                ..self.run_of(&inner, weight, limit_ns)
            }),
        }
    }

    /// Starts a vCPU taken from a queue, unless that entry has become void, the vCPU is no longer runnable, may not run here, or its
    /// domain has no budget; then it goes where it belongs.
    fn start(
        &self,
        entry: Entry<V>,
        cpu: CpuId,
        now_ns: u64,
        kick: &mut CpuMask,
    ) -> Option<(Arc<V>, Run)> {
        let vcpu = Arc::clone(&entry.vcpu);
        let unit = vcpu.unit();
        let mut inner = unit.lock();
        if inner.state != State::Queued || inner.ticket != entry.ticket {
            return None;
        }
        inner.vtime = entry.vtime;
        if !vcpu.runnable() {
            inner.rest(resting_kind(&*vcpu), now_ns);
            return None;
        }
        if !inner.allowed.contains(cpu) {
            if let Some(target) = self.requeue(&vcpu, &mut inner, now_ns) {
                kick.insert(target);
            }
            return None;
        }
        if inner.last_cpu != cpu {
            inner.vtime = self.with_queue(cpu, |queue| queue.welcome(inner.vtime));
            inner.last_cpu = cpu;
        }
        match take_grant(&mut inner, unit.share(), now_ns) {
            Err(until_ns) => {
                let entry = Entry {
                    vtime: inner.vtime,
                    ..entry
                };
                self.with_queue(cpu, |queue| queue.park(until_ns, entry));
                None
            }
            Ok(limit_ns) => {
                inner.state = State::Running;
                inner.dispatched_ns = now_ns;
                inner.charged_ns = now_ns;
                inner.runstate.change(RunstateKind::Running, now_ns);
                unit.yielding.store(false, Relaxed);
                unit.set_running_on(Some(cpu));
                let run = self.run_of(&inner, entry.weight, limit_ns);
                drop(inner);
                Some((vcpu, run))
            }
        }
    }

    /// Sets this CPU's virtual clock right before the previous vCPU goes back to the queues, if it lags far behind where that could go.
    fn catch_up(&self, previous: &Arc<V>, cpu: CpuId, next: &mut (Arc<V>, Run), now_ns: u64) {
        let mut inner = previous.unit().lock();
        let Some(lag) = self.clock_lag(&inner, cpu, now_ns) else {
            return;
        };
        inner.vtime = inner.vtime.plus(lag);
        drop(inner);
        self.with_queue(cpu, |queue| queue.shift_clock(lag));
        let (vcpu, run) = next;
        run.vtime = run.vtime.plus(lag);
        let mut inner = vcpu.unit().lock();
        inner.vtime = inner.vtime.plus(lag);
    }

    /// Gives the previous vCPU up. Returns the CPU it went to, if that must be kicked.
    fn release(
        &self,
        vcpu: &Arc<V>,
        cpu: CpuId,
        standing: &Standing,
        next: Option<&Run>,
        now_ns: u64,
    ) -> CpuMask {
        vcpu.leave_cpu();
        let unit = vcpu.unit();
        let mut inner = unit.lock();
        unit.set_running_on(None);
        if let Some(granted_ns) = inner.granted_ns.take() {
            unit.share().settle(granted_ns, 0);
        }
        if let (Standing::Fit(Run { yielding: true, .. }), Some(next)) = (standing, next) {
            inner.vtime = inner.vtime.later(next.vtime.plus(1));
        }
        if inner.leaving || !vcpu.runnable() {
            inner.rest(resting_kind(&**vcpu), now_ns);
            return CpuMask::EMPTY;
        }
        if let Standing::Capped(until_ns) = standing
            && inner.allowed.contains(cpu)
        {
            self.park_here(vcpu, &mut inner, cpu, *until_ns, now_ns);
            return CpuMask::EMPTY;
        }
        let next_weight = next.map_or(0, |run| run.weight);
        let Some(target) =
            self.place_again(&inner, cpu, unit.share().weight(), next_weight, now_ns)
        else {
            inner.rest(RunstateKind::Runnable, now_ns);
            return CpuMask::EMPTY;
        };
        let kick = self.enqueue(vcpu, &mut inner, target, Arrival::Ready, now_ns);
        if kick {
            CpuMask::only(target)
        } else {
            CpuMask::EMPTY
        }
    }

    fn park_here(&self, vcpu: &Arc<V>, inner: &mut Inner, cpu: CpuId, until_ns: u64, now_ns: u64) {
        inner.state = State::Queued;
        inner.ticket = inner.ticket.wrapping_add(1);
        inner.runstate.change(RunstateKind::Runnable, now_ns);
        let weight = vcpu.unit().share().weight();
        let entry = Entry {
            vcpu: Arc::clone(vcpu),
            vtime: inner.vtime,
            ticket: inner.ticket,
            weight,
        };
        self.with_queue(cpu, |queue| queue.park(until_ns, entry));
    }

    /// Takes a waiting vCPU from another CPU. Only tries each lock: whoever holds one is about to serve that queue himself.
    fn steal(&self, cpu: CpuId) -> Option<Entry<V>> {
        let crowded = self.crowded.load();
        let start = crowded.next_after(cpu)?;
        let behind = CpuMask::first(start.0);
        let in_turn = crowded
            .without(&behind)
            .iter()
            .chain(crowded.and(&behind).iter());
        let mut others = in_turn.filter(|other| *other != cpu);
        others.find_map(|other| {
            self.try_with_queue(other, |queue| queue.steal(cpu))
                .flatten()
        })
    }

    fn run_of(&self, inner: &Inner, weight: u32, limit_ns: u64) -> Run {
        Run {
            vtime: inner.vtime,
            since_ns: inner.charged_ns,
            weight,
            guarded_until_ns: inner
                .dispatched_ns
                .saturating_add(self.ratelimit_ns.load(Relaxed)),
            limit_ns,
            slice_end_ns: u64::MAX,
            yielding: false,
        }
    }
}

/// Takes a part of the domain's budget for the vCPU: until when it may run, or from when it may ask again.
fn take_grant(inner: &mut Inner, share: &DomainShare, now_ns: u64) -> Result<u64, u64> {
    if inner.policy == Policy::Null {
        return Ok(u64::MAX);
    }
    match share.grant(now_ns) {
        Grant::Unlimited => Ok(u64::MAX),
        Grant::WaitUntil(until_ns) => Err(until_ns),
        Grant::For(granted_ns) => {
            inner.granted_ns = Some(granted_ns);
            Ok(now_ns.saturating_add(granted_ns))
        }
    }
}
