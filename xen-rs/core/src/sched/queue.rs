//! Run queue of one physical CPU: the vCPUs waiting for it in order of virtual time, those parked by their cap, and who is on it.
//!
//! Pure bookkeeping; [`super::scheduler::Scheduler`] owns one per CPU behind its lock. Memory for every inserted vCPU is reserved ahead,
//! so queueing never allocates.

use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::errno::Errno;

use crate::ids::CpuId;
use crate::sched::unit::Schedulable;
use crate::sched::vtime::{Vtime, real_ns, virtual_ns};

/// Shortest and longest time before a waiting vCPU gets its turn, once it is the waiter's turn by virtual time.
pub(super) const MIN_SLICE_NS: u64 = 2_000_000;
pub(super) const MAX_SLICE_NS: u64 = 10_000_000;
/// Virtual lead over the first waiter at which the running vCPU is interrupted inside its slice.
const PREEMPT_LEAD_NS: i64 = 1_000_000;
/// How far behind the queue a vCPU may resume after sleeping: enough to preempt, too little to hog.
const SLEEPER_BONUS_NS: u64 = 2_000_000;
/// More than any real lead; what exceeds it is an account from another age.
const MAX_LEAD_NS: u64 = 60_000_000_000;

/// Difference of two queues' clocks, in real time of the vCPU they are measured with, that still counts as the same clock: a few slices.
const SAME_CLOCK_NS: u64 = 20_000_000;

/// Virtual time by which the clocks of queues that exchange vCPUs of this weight may differ.
pub(super) fn drift_window(weight: u32) -> u64 {
    SAME_CLOCK_NS + virtual_ns(SAME_CLOCK_NS, weight, &mut 0)
}

/// A vCPU waiting for a CPU. While it is queued, its virtual time is kept here.
pub(super) struct Entry<V> {
    pub vcpu: Arc<V>,
    pub vtime: Vtime,
    pub ticket: u32,
    pub weight: u32,
}

/// How a vCPU comes to a queue.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It slept.
    Wake,
    /// It was ready all the time, on this CPU or another.
    Ready,
}

/// A vCPU on the CPU.
#[derive(Copy, Clone, Debug)]
pub(super) struct Run {
    /// Virtual time at `since_ns`.
    pub vtime: Vtime,
    pub since_ns: u64,
    pub weight: u32,
    /// Not preempted before (the rate limit).
    pub guarded_until_ns: u64,
    /// End of the budget granted under a cap.
    pub limit_ns: u64,
    pub slice_end_ns: u64,
    pub yielding: bool,
}

impl Run {
    pub fn vtime_at(&self, now_ns: u64) -> Vtime {
        self.vtime.plus(virtual_ns(
            now_ns.saturating_sub(self.since_ns),
            self.weight,
            &mut 0,
        ))
    }
}

#[derive(Copy, Clone, Debug)]
pub(super) enum Occupant {
    /// Nobody, since this time.
    Idle(u64),
    /// The CPU is in `schedule` and will look at the queue once more before it leaves.
    Deciding,
    Running(Run),
}

/// What a CPU found in its queue.
pub(super) enum Pick<V> {
    /// Go on with the previous vCPU until this time.
    Stay(u64),
    Take(Entry<V>),
    Nothing,
}

pub(super) struct RunQueue<V> {
    /// Descending virtual time: the last is next. Equals in order of arrival.
    ready: Vec<Entry<V>>,
    /// Sum of the weights in `ready`.
    ready_weight: u64,
    /// Used up their domain's budget, with the time of the next one. Not sorted.
    parked: Vec<(u64, Entry<V>)>,
    /// Virtual time that the least served vCPU here has reached; never goes back.
    floor: Vtime,
    occupant: Occupant,
    idle_ns: u64,
}

impl<V: Schedulable> RunQueue<V> {
    pub fn new() -> Self {
        Self {
            ready: Vec::new(),
            ready_weight: 0,
            parked: Vec::new(),
            floor: Vtime::default(),
            occupant: Occupant::Idle(0),
            idle_ns: 0,
        }
    }

    /// Makes room for `total` vCPUs.
    pub fn reserve(&mut self, total: usize) -> Result<(), Errno> {
        let missing = |len: usize| total.saturating_sub(len);
        self.ready
            .try_reserve(missing(self.ready.len()))
            .map_err(|_| Errno::ENOMEM)?;
        self.parked
            .try_reserve(missing(self.parked.len()))
            .map_err(|_| Errno::ENOMEM)
    }

    pub fn floor(&self) -> Vtime {
        self.floor
    }

    pub fn occupant(&self) -> &Occupant {
        &self.occupant
    }

    pub fn waiting(&self) -> usize {
        self.ready.len()
    }

    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    fn running_weight(&self) -> u32 {
        if let Occupant::Running(run) = &self.occupant {
            run.weight
        } else {
            u32::MAX
        }
    }

    /// Weights of all who wait for or hold the CPU.
    pub fn load(&self) -> u64 {
        let running = if let Occupant::Running(run) = &self.occupant {
            run.weight
        } else {
            0
        };
        self.ready_weight + u64::from(running)
    }

    /// Nanoseconds without a vCPU up to `now_ns`.
    pub fn idle_ns(&self, now_ns: u64) -> u64 {
        let present = if let Occupant::Idle(since) = self.occupant {
            now_ns.saturating_sub(since)
        } else {
            0
        };
        self.idle_ns.wrapping_add(present)
    }

    /// Virtual time of a vCPU of this weight that joins the queue. `from` is the floor of the queue it comes from, `None` when it comes from
    /// this one. Queues whose CPUs exchange vCPUs keep the same virtual clock, and the value carries over as it is: what the vCPU is owed
    /// from there is paid here. Queues without exchange drift apart; between those only the lead over the own queue means anything.
    pub fn admit(
        &mut self,
        vtime: Vtime,
        weight: u32,
        arrival: Arrival,
        from: Option<Vtime>,
        now_ns: u64,
    ) -> Vtime {
        self.raise_floor(now_ns);
        if matches!(self.occupant, Occupant::Idle(_)) && self.ready.is_empty() {
            return self.welcome(vtime);
        }
        let shift = from.map_or(0, |from| self.floor.ahead_of(from));
        let drifted = shift.unsigned_abs() > drift_window(weight.min(self.running_weight()));
        let vtime = if drifted {
            Vtime(vtime.0.wrapping_add_signed(shift))
        } else {
            vtime
        };
        let vtime = if arrival == Arrival::Wake {
            vtime.later(self.floor.minus(SLEEPER_BONUS_NS))
        } else {
            vtime
        };
        vtime.earlier(self.floor.plus(MAX_LEAD_NS))
    }

    /// The same for the only vCPU here: with nobody to compare with, the later clock counts.
    pub fn welcome(&mut self, vtime: Vtime) -> Vtime {
        self.floor = self.floor.later(vtime);
        vtime.later(self.floor.minus(SLEEPER_BONUS_NS))
    }

    /// Sets the queue's virtual clock forward, for all who wait.
    pub fn shift_clock(&mut self, by_ns: u64) {
        self.floor = self.floor.plus(by_ns);
        let parked = self.parked.iter_mut().map(|(_, entry)| entry);
        parked
            .chain(&mut self.ready)
            .for_each(|entry| entry.vtime = entry.vtime.plus(by_ns));
    }

    pub fn push(&mut self, entry: Entry<V>) {
        let at = self
            .ready
            .partition_point(|other| entry.vtime.is_before(other.vtime));
        self.ready_weight += u64::from(entry.weight);
        self.ready.insert(at, entry);
    }

    pub fn park(&mut self, until_ns: u64, entry: Entry<V>) {
        self.parked.push((until_ns, entry));
    }

    /// Whether the CPU must be kicked for the sake of those who wait: it is idle, or would let them wait too long.
    pub fn wants_kick(&self, now_ns: u64) -> bool {
        match &self.occupant {
            Occupant::Idle(_) => !self.ready.is_empty(),
            Occupant::Deciding => false,
            Occupant::Running(run) => self.slice_end(run, now_ns) < run.slice_end_ns,
        }
    }

    /// Takes out the entry of this vCPU, waiting or parked.
    pub fn take(&mut self, vcpu: &Arc<V>) -> Option<Entry<V>> {
        if let Some(at) = self
            .ready
            .iter()
            .position(|entry| Arc::ptr_eq(&entry.vcpu, vcpu))
        {
            return Some(self.take_ready(at));
        }
        let at = self
            .parked
            .iter()
            .position(|(_, entry)| Arc::ptr_eq(&entry.vcpu, vcpu))?;
        Some(self.parked.swap_remove(at).1)
    }

    /// Takes out the first waiter that may run on `cpu`.
    pub fn steal(&mut self, cpu: CpuId) -> Option<Entry<V>> {
        let at = self
            .ready
            .iter()
            .rposition(|entry| entry.vcpu.unit().allowed_hint.contains(cpu))?;
        Some(self.take_ready(at))
    }

    /// The CPU's choice: `standing` is the vCPU that was on it, if that could go on.
    pub fn pick(&mut self, standing: Option<&mut Run>, now_ns: u64) -> Pick<V> {
        self.unpark(now_ns);
        self.idle_ns = self.idle_ns(now_ns);
        let before = core::mem::replace(&mut self.occupant, Occupant::Deciding);
        if let Some(run) = standing {
            if let Occupant::Running(old) = before {
                run.slice_end_ns = old.slice_end_ns;
            }
            if self.keeps(run, now_ns) {
                return Pick::Stay(self.settle_on(*run, now_ns));
            }
        }
        match self.ready.len().checked_sub(1) {
            Some(last) => Pick::Take(self.take_ready(last)),
            None => Pick::Nothing,
        }
    }

    /// Puts a vCPU on the CPU; returns when `schedule` must be called again at the latest.
    pub fn settle_on(&mut self, mut run: Run, now_ns: u64) -> u64 {
        run.yielding = false;
        run.slice_end_ns = self.slice_end(&run, now_ns);
        self.occupant = Occupant::Running(run);
        self.raise_floor(now_ns);
        run.slice_end_ns
    }

    /// Leaves the CPU idle, unless somebody came meanwhile; returns when `schedule` must be called again at the latest.
    pub fn settle_idle(&mut self, now_ns: u64) -> Option<u64> {
        if !self.ready.is_empty() {
            return None;
        }
        self.occupant = Occupant::Idle(now_ns);
        Some(self.next_unpark())
    }

    /// Ready vCPUs, next first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<V>> {
        self.ready.iter().rev()
    }

    fn take_ready(&mut self, at: usize) -> Entry<V> {
        let entry = self.ready.remove(at);
        self.ready_weight -= u64::from(entry.weight);
        entry
    }

    fn keeps(&self, run: &Run, now_ns: u64) -> bool {
        let Some(first) = self.ready.last() else {
            return true;
        };
        if run.yielding {
            return false;
        }
        let lead = run.vtime.ahead_of(first.vtime);
        now_ns < run.guarded_until_ns
            || lead <= 0
            || (now_ns < run.slice_end_ns && lead <= PREEMPT_LEAD_NS)
    }

    /// When the vCPU on the CPU must give way: never, as long as nobody waits.
    fn slice_end(&self, run: &Run, now_ns: u64) -> u64 {
        let turn = self.ready.last().map_or(u64::MAX, |first| {
            let gap = first.vtime.ahead_of(run.vtime_at(now_ns));
            let slice = if gap < -PREEMPT_LEAD_NS {
                0
            } else {
                real_ns(gap.max(0).unsigned_abs(), run.weight).clamp(MIN_SLICE_NS, MAX_SLICE_NS)
            };
            now_ns.saturating_add(slice).max(run.guarded_until_ns)
        });
        turn.min(self.next_unpark()).min(run.limit_ns)
    }

    fn next_unpark(&self) -> u64 {
        self.parked
            .iter()
            .map(|(until, _)| *until)
            .min()
            .unwrap_or(u64::MAX)
    }

    fn unpark(&mut self, now_ns: u64) {
        while let Some(at) = self.parked.iter().position(|(until, _)| *until <= now_ns) {
            let (_, mut entry) = self.parked.swap_remove(at);
            entry.vtime = self.admit(entry.vtime, entry.weight, Arrival::Wake, None, now_ns);
            self.push(entry);
        }
    }

    fn raise_floor(&mut self, now_ns: u64) {
        let running = if let Occupant::Running(run) = &self.occupant {
            Some(run.vtime_at(now_ns))
        } else {
            None
        };
        let first = self.ready.last().map(|entry| entry.vtime);
        let least = match (running, first) {
            (Some(running), Some(first)) => running.earlier(first),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => return,
        };
        self.floor = self.floor.later(least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Domid;
    use crate::sched::DomainShare;
    use crate::sched::simulation::FakeVcpu;

    fn entry(index: usize, vtime: u64) -> Entry<FakeVcpu> {
        let vcpu = FakeVcpu::new(index, &Arc::new(DomainShare::new(Domid(1))));
        Entry {
            vcpu,
            vtime: Vtime(vtime),
            ticket: 0,
            weight: 256,
        }
    }

    fn taken(queue: &mut RunQueue<FakeVcpu>) -> Option<usize> {
        match queue.pick(None, 0) {
            Pick::Take(entry) => Some(entry.vcpu.index),
            _ => None,
        }
    }

    #[test]
    fn least_virtual_time_goes_first_and_equals_in_order_of_arrival() {
        let mut queue = RunQueue::new();
        for (index, vtime) in [(0, 7), (1, 5), (2, 7), (3, u64::MAX), (4, 5)] {
            queue.push(entry(index, vtime));
        }
        assert_eq!(queue.load(), 5 * 256);
        let order: std::vec::Vec<_> = core::iter::from_fn(|| taken(&mut queue)).collect();
        assert_eq!(order, [3, 1, 4, 0, 2]);
        assert_eq!(queue.load(), 0);
    }

    #[test]
    fn queueing_stays_within_the_reserved_memory() {
        let mut queue = RunQueue::new();
        queue.reserve(33).unwrap();
        let capacity = (queue.ready.capacity(), queue.parked.capacity());
        for index in 0..33 {
            queue.push(entry(index, index as u64));
        }
        while let Pick::Take(entry) = queue.pick(None, 0) {
            queue.park(10, entry);
        }
        assert_eq!(
            (queue.waiting(), queue.parked(), queue.settle_idle(0)),
            (0, 33, Some(10))
        );
        assert_eq!(taken(&mut queue), None);
        queue.pick(None, 10);
        assert_eq!((queue.waiting(), queue.parked()), (32, 0));
        assert_eq!((queue.ready.capacity(), queue.parked.capacity()), capacity);
    }

    #[test]
    fn taking_finds_waiting_and_parked_entries() {
        let mut queue = RunQueue::new();
        let (a, b, c) = (entry(0, 1), entry(1, 2), entry(2, 3));
        let [first, second, third] = [&a, &b, &c].map(|entry| Arc::clone(&entry.vcpu));
        queue.push(a);
        queue.park(5, b);
        assert!(queue.take(&first).is_some() && queue.take(&second).is_some());
        assert!(queue.take(&first).is_none() && queue.take(&third).is_none());
        assert_eq!(queue.load(), 0);
    }

    #[test]
    fn sleeper_gets_a_small_bonus_and_no_more() {
        let mut queue = RunQueue::new();
        queue.push(entry(0, 1_000_000_000));
        let now = queue.admit(Vtime(0), 256, Arrival::Wake, None, 0);
        assert_eq!(now, Vtime(1_000_000_000 - SLEEPER_BONUS_NS));
        let debtor = queue.admit(Vtime(1_500_000_000), 256, Arrival::Wake, None, 0);
        assert_eq!(debtor, Vtime(1_500_000_000));
    }

    #[test]
    fn drifted_clocks_carry_over_the_lead_only() {
        let mut queue = RunQueue::new();
        queue.push(entry(0, 1_000_000_000));
        let near = queue.admit(
            Vtime(995_000_000),
            256,
            Arrival::Ready,
            Some(Vtime(990_000_000)),
            0,
        );
        assert_eq!(near, Vtime(995_000_000));
        let far = queue.admit(
            Vtime(5_000_000_003),
            256,
            Arrival::Ready,
            Some(Vtime(5_000_000_000)),
            0,
        );
        assert_eq!(far, Vtime(1_000_000_003));
    }
}
