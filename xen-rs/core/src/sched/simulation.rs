//! Test bench: the real scheduler under a simulated clock, with simulated CPUs and guests.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::vec::Vec;

use crate::ids::{CpuId, Domid, VcpuId};
use crate::sched::*;

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000 * MS;

pub(super) struct FakeVcpu {
    pub unit: Unit,
    pub index: usize,
    pub awake: AtomicBool,
}

impl FakeVcpu {
    pub fn new(index: usize, share: &Arc<DomainShare>) -> Arc<Self> {
        let unit = Unit::new(VcpuId(index as u32), Arc::clone(share), 0);
        Arc::new(Self {
            unit,
            index,
            awake: AtomicBool::new(true),
        })
    }
}

impl Schedulable for FakeVcpu {
    fn unit(&self) -> &Unit {
        &self.unit
    }
    fn runnable(&self) -> bool {
        self.awake.load(SeqCst)
    }
}

/// What a simulated guest does.
#[derive(Copy, Clone)]
pub(super) enum Work {
    Forever,
    /// Runs, sleeps, and again.
    Cycle {
        run_ns: u64,
        sleep_ns: u64,
    },
}

pub(super) struct Guest {
    pub vcpu: Arc<FakeVcpu>,
    pub work: Work,
    /// Still to run before the next sleep.
    pub left_ns: u64,
    pub wakes_at: Option<u64>,
    pub woken_at: Option<u64>,
    pub worst_latency_ns: u64,
    pub latency_sum_ns: u64,
    pub wakes: u64,
}

#[derive(Default)]
pub(super) struct Cpu {
    pub current: Option<usize>,
    pub timer_ns: u64,
    pub switches: u64,
}

pub(super) struct Sim {
    pub sched: Scheduler<FakeVcpu>,
    pub cpus: Vec<Cpu>,
    pub guests: Vec<Guest>,
    pub kicked: BTreeSet<u32>,
    pub now: u64,
}

impl Sim {
    pub fn new(cpus: u32) -> Self {
        Self::with_policy(cpus, Policy::Credit2)
    }

    pub fn with_policy(cpus: u32, policy: Policy) -> Self {
        let idle = || Cpu {
            timer_ns: u64::MAX,
            ..Cpu::default()
        };
        Self {
            sched: Scheduler::new(CpuMask::first(cpus), policy),
            cpus: (0..cpus).map(|_| idle()).collect(),
            guests: Vec::new(),
            kicked: BTreeSet::new(),
            now: 5 * SECOND,
        }
    }

    pub fn domain(&self, domid: u16) -> Arc<DomainShare> {
        let share = Arc::new(DomainShare::new(Domid(domid)));
        self.sched.add_domain(&share, PoolId::ZERO).unwrap();
        share
    }

    pub fn add(&mut self, share: &Arc<DomainShare>, work: Work) -> usize {
        let index = self.guests.len();
        let vcpu = FakeVcpu::new(index, share);
        let left_ns = match work {
            Work::Forever => u64::MAX,
            Work::Cycle { run_ns, .. } => run_ns,
        };
        let kick = self.sched.insert(&vcpu, self.now).unwrap();
        self.kicked.extend(kick.map(|cpu| cpu.0));
        self.guests.push(Guest {
            vcpu,
            work,
            left_ns,
            wakes_at: None,
            woken_at: None,
            worst_latency_ns: 0,
            latency_sum_ns: 0,
            wakes: 0,
        });
        index
    }

    /// A domain of its own for a busy vCPU of this weight.
    pub fn add_weighted(&mut self, weight: u16) -> usize {
        let share = self.domain(self.guests.len() as u16);
        share.set_params(weight, 0).unwrap();
        self.add(&share, Work::Forever)
    }

    pub fn pin(&mut self, guest: usize, cpus: CpuMask) {
        let vcpu = Arc::clone(&self.guests[guest].vcpu);
        let kick = self.sched.set_hard_affinity(&vcpu, cpus, self.now).unwrap();
        self.kick_all(kick);
    }

    pub fn kick_all(&mut self, cpus: CpuMask) {
        self.kicked.extend(cpus.iter().map(|cpu| cpu.0));
    }

    pub fn ran(&self, guest: usize) -> u64 {
        self.sched.cpu_time_ns(&self.guests[guest].vcpu, self.now)
    }

    /// Runs for `duration_ns` and returns what each guest ran meanwhile.
    pub fn run(&mut self, duration_ns: u64) -> Vec<u64> {
        let before: Vec<u64> = (0..self.guests.len())
            .map(|guest| self.ran(guest))
            .collect();
        let end = self.now + duration_ns;
        self.deliver_kicks();
        while let Some(at) = self.next_event().filter(|at| *at < end) {
            self.advance(at);
            self.handle_due();
            self.deliver_kicks();
        }
        self.advance(end);
        before
            .iter()
            .enumerate()
            .map(|(guest, before)| self.ran(guest) - before)
            .collect()
    }

    pub fn next_event(&self) -> Option<u64> {
        let timers = self
            .cpus
            .iter()
            .map(|cpu| cpu.timer_ns)
            .filter(|at| *at != u64::MAX);
        let wakes = self.guests.iter().filter_map(|guest| guest.wakes_at);
        let current = self.cpus.iter().filter_map(|cpu| cpu.current);
        let sleeps = current.filter_map(|guest| self.now.checked_add(self.guests[guest].left_ns));
        timers
            .chain(wakes)
            .chain(sleeps)
            .min()
            .map(|at| at.max(self.now))
    }

    pub fn advance(&mut self, to: u64) {
        for cpu in &self.cpus {
            if let Some(guest) = cpu.current.map(|guest| &mut self.guests[guest])
                && guest.left_ns != u64::MAX
            {
                guest.left_ns -= to - self.now;
            }
        }
        self.now = to;
    }

    pub fn handle_due(&mut self) {
        for cpu in 0..self.cpus.len() {
            let sleeps = self.cpus[cpu]
                .current
                .is_some_and(|guest| self.fall_asleep(guest));
            if sleeps || self.cpus[cpu].timer_ns <= self.now {
                self.schedule(cpu);
            }
        }
        for index in 0..self.guests.len() {
            let guest = &mut self.guests[index];
            if guest.wakes_at.is_some_and(|at| at <= self.now) {
                guest.wakes_at = None;
                guest.woken_at = Some(self.now);
                guest.vcpu.awake.store(true, SeqCst);
                let kick = self.sched.wake(&guest.vcpu, self.now);
                self.kicked.extend(kick.map(|cpu| cpu.0));
            }
        }
    }

    pub fn fall_asleep(&mut self, guest: usize) -> bool {
        let guest = &mut self.guests[guest];
        let Work::Cycle { run_ns, sleep_ns } = guest.work else {
            return false;
        };
        if guest.left_ns != 0 {
            return false;
        }
        guest.left_ns = run_ns;
        guest.wakes_at = Some(self.now + sleep_ns);
        guest.vcpu.awake.store(false, SeqCst);
        true
    }

    pub fn deliver_kicks(&mut self) {
        let mut rounds = 0;
        while let Some(cpu) = self.kicked.pop_first() {
            self.schedule(cpu as usize);
            rounds += 1;
            assert!(rounds < 1_000, "CPUs keep kicking each other");
        }
    }

    pub fn schedule(&mut self, cpu: usize) {
        let before = self.cpus[cpu].current.take();
        let previous = before.map(|guest| Arc::clone(&self.guests[guest].vcpu));
        let decision = self.sched.schedule(CpuId(cpu as u32), self.now, previous);
        self.kick_all(decision.kick);
        assert!(
            decision.slice_end_ns > self.now,
            "a slice that is over before it starts"
        );
        let next = decision.next.map(|vcpu| vcpu.index);
        self.cpus[cpu] = Cpu {
            current: next,
            timer_ns: decision.slice_end_ns,
            switches: self.cpus[cpu].switches,
        };
        self.cpus[cpu].switches += u64::from(next != before);
        self.check(cpu, next);
    }

    pub fn check(&mut self, cpu: usize, next: Option<usize>) {
        let Some(index) = next else { return };
        let holders = self
            .cpus
            .iter()
            .filter(|cpu| cpu.current == Some(index))
            .count();
        assert_eq!(holders, 1, "vCPU {index} is on {holders} CPUs");
        let guest = &mut self.guests[index];
        assert_eq!(
            self.sched.is_running_on(&guest.vcpu),
            Some(CpuId(cpu as u32))
        );
        assert!(
            guest.vcpu.unit.lock().allowed.contains(CpuId(cpu as u32)),
            "vCPU {index} on CPU {cpu}"
        );
        if let Some(woken_at) = guest.woken_at.take() {
            guest.worst_latency_ns = guest.worst_latency_ns.max(self.now - woken_at);
            guest.latency_sum_ns += self.now - woken_at;
            guest.wakes += 1;
        }
    }
}
