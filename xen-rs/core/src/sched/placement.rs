//! Which CPU a ready vCPU waits for.
//!
//! Reads only the published hints: a stale hint costs a detour, never correctness, because the CPU that picks the vCPU checks again.

use core::sync::atomic::Ordering::Relaxed;

use crate::ids::CpuId;
use crate::sched::mask::CpuMask;
use crate::sched::queue::drift_window;
use crate::sched::scheduler::Scheduler;
use crate::sched::unit::{Inner, Schedulable};
use crate::sched::vtime::Vtime;

/// Virtual time by which another CPU must be further on before a vCPU moves there: less is not worth a cold cache.
const MOVE_LEAD_NS: i64 = 2_000_000;

impl<V: Schedulable> Scheduler<V> {
    /// The CPU for a vCPU that becomes ready: idle and liked, else idle, else the least loaded liked one; the last one where that is as
    /// good. Nothing when it may run nowhere (null policy, all CPUs taken).
    pub(super) fn choose_cpu(&self, inner: &Inner) -> Option<CpuId> {
        let liked = inner.preferred();
        self.idle_cpu(inner, &liked).or_else(|| {
            let load = |cpu: &CpuId| {
                (
                    self.slot(*cpu).view.load.load(Relaxed),
                    *cpu != inner.last_cpu,
                )
            };
            liked.iter().min_by_key(load)
        })
    }

    /// The CPU for a vCPU that ran on `here` and is still ready, after `next_weight` took its place.
    pub(super) fn place_again(
        &self,
        inner: &Inner,
        here: CpuId,
        weight: u32,
        next_weight: u32,
        now_ns: u64,
    ) -> Option<CpuId> {
        if !inner.allowed.contains(here) {
            return self.choose_cpu(inner);
        }
        let liked = inner.preferred();
        if !liked.contains(here)
            && let Some(better) = self.idle.load().and(&liked).next_after(here)
        {
            return Some(better);
        }
        if next_weight == 0 {
            return Some(here);
        }
        let weight = u64::from(weight);
        let total = self.slot(here).view.load.load(Relaxed) + weight + u64::from(next_weight);
        self.idle_cpu(inner, &liked)
            .or_else(|| self.lighter_cpu(&liked, here, total.saturating_sub(weight)))
            .or_else(|| self.later_cpu(inner, &liked, here, now_ns))
            .or(Some(here))
    }

    /// Whether a vCPU that could stay at `here` should rather move to a CPU it likes better, because that is idle.
    pub(super) fn likes_to_move(&self, inner: &Inner, here: CpuId) -> bool {
        let liked = inner.preferred();
        !liked.contains(here) && !self.idle.load().and(&liked).is_empty()
    }

    fn idle_cpu(&self, inner: &Inner, liked: &CpuMask) -> Option<CpuId> {
        let idle = self.idle.load().and(&inner.allowed);
        if idle.is_empty() {
            return None;
        }
        let best = idle.and(liked);
        let choice = if best.is_empty() { idle } else { best };
        if choice.contains(inner.last_cpu) {
            Some(inner.last_cpu)
        } else {
            choice.next_after(inner.last_cpu)
        }
    }

    /// The least loaded CPU, if it would still be less loaded than here once the vCPU is there: `rest` is what stays here.
    fn lighter_cpu(&self, liked: &CpuMask, here: CpuId, rest: u64) -> Option<CpuId> {
        let others = liked.iter().filter(|cpu| *cpu != here);
        let (load, cpu) = others
            .map(|cpu| (self.slot(cpu).view.load.load(Relaxed), cpu))
            .min()?;
        (load < rest).then_some(cpu)
    }

    /// The CPU where everybody has been served so much more that the vCPU would run at once: how vCPUs that cannot be dealt out evenly
    /// (three on two CPUs) get equal shares.
    fn later_cpu(&self, inner: &Inner, liked: &CpuMask, here: CpuId, now_ns: u64) -> Option<CpuId> {
        let others = liked.iter().filter(|cpu| *cpu != here);
        let leads = others.filter_map(|cpu| {
            let (frontier, _) = self.slot(cpu).view.frontier(now_ns)?;
            Some((frontier.ahead_of(inner.vtime), cpu))
        });
        leads
            .max()
            .filter(|(lead, _)| *lead > MOVE_LEAD_NS)
            .map(|(_, cpu)| cpu)
    }

    /// Virtual time by which the clock at `here` lags behind those of the CPUs that the vCPU may move to, if that is too much to come from
    /// dealing vCPUs out unevenly: affinities kept the CPUs apart, and what was missed meanwhile is not to be made up for.
    pub(super) fn clock_lag(&self, inner: &Inner, here: CpuId, now_ns: u64) -> Option<u64> {
        let floor = Vtime(self.slot(here).view.floor.load(Relaxed));
        let others = inner.preferred();
        let lags = others.iter().filter(|cpu| *cpu != here).filter_map(|cpu| {
            let (frontier, weight) = self.slot(cpu).view.frontier(now_ns)?;
            let lag = frontier.ahead_of(floor).max(0).unsigned_abs();
            (lag > drift_window(weight)).then_some(lag)
        });
        lags.max()
    }
}
