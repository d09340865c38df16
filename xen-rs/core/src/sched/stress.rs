//! Concurrency: CPUs as threads, with wakers, sleepers and movers at random. No vCPU may be on two CPUs, and no wake may get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};
use std::vec::Vec;

use xen_abi::errno::Errno;

use crate::ids::{CpuId, Domid, VcpuId};
use crate::sched::*;

/// A vCPU whose pending work is a counter of events: runnable while there is some.
struct Worker {
    unit: Unit,
    pending: AtomicU32,
    paused: AtomicBool,
    /// CPU that executes it now, plus one.
    executing: AtomicU32,
    done: AtomicU64,
}

impl Schedulable for Worker {
    fn unit(&self) -> &Unit {
        &self.unit
    }
    fn runnable(&self) -> bool {
        !self.paused.load(SeqCst) && self.pending.load(SeqCst) != 0
    }
    /// The last moment at which this CPU may touch the vCPU's state.
    fn leave_cpu(&self) {
        assert_ne!(self.executing.swap(0, SeqCst), 0, "left twice");
    }
}

struct Machine {
    sched: Scheduler<Worker>,
    kicked: Vec<AtomicBool>,
    workers: Vec<Arc<Worker>>,
    stop: AtomicBool,
    started: Instant,
}

impl Machine {
    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn kick(&self, cpu: CpuId) {
        self.kicked[cpu.0 as usize].store(true, SeqCst);
    }

    fn post(&self, worker: &Arc<Worker>) {
        worker.pending.fetch_add(1, SeqCst);
        if let Some(cpu) = self.sched.wake(worker, self.now_ns()) {
            self.kick(cpu);
        }
    }

    /// The per-CPU loop: runs what it is told, and calls `schedule` only for a reason, as a real CPU does.
    fn cpu_loop(&self, cpu: CpuId) {
        let mut current: Option<Arc<Worker>> = None;
        let mut slice_end_ns = 0;
        race::always(|_| thread::yield_now());
        while !self.stop.load(SeqCst) {
            let kicked = self.kicked[cpu.0 as usize].swap(false, SeqCst);
            let blocked = current.as_ref().is_some_and(|worker| !worker.runnable());
            let wanted = kicked && self.sched.reschedule_wanted(cpu);
            if wanted || blocked || self.now_ns() >= slice_end_ns {
                let before = current.clone();
                let decision = self.sched.schedule(cpu, self.now_ns(), current.take());
                decision.kick.iter().for_each(|cpu| self.kick(cpu));
                slice_end_ns = decision.slice_end_ns;
                current = decision.next;
                let stays = matches!((&before, &current), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
                if let Some(worker) = &current {
                    let expected = if stays && worker.executing.load(SeqCst) != 0 {
                        cpu.0 + 1
                    } else {
                        0
                    };
                    assert_eq!(
                        worker.executing.swap(cpu.0 + 1, SeqCst),
                        expected,
                        "on two CPUs"
                    );
                }
            }
            match &current {
                Some(worker) => self.execute(worker, cpu),
                None => thread::yield_now(),
            }
        }
        if let Some(worker) = current {
            worker.pending.store(0, SeqCst);
            self.sched.schedule(cpu, self.now_ns(), Some(worker));
        }
    }

    fn execute(&self, worker: &Worker, cpu: CpuId) {
        assert_eq!(worker.executing.load(SeqCst), cpu.0 + 1);
        if worker
            .pending
            .try_update(SeqCst, SeqCst, |pending| pending.checked_sub(1))
            .is_ok()
        {
            worker.done.fetch_add(1, SeqCst);
        }
        thread::yield_now();
    }

    fn disturb(&self, mut seed: u64, posted: &AtomicU64, rounds: u32) {
        for _ in 0..rounds {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let worker = &self.workers[(seed >> 8) as usize % self.workers.len()];
            let cpus = self.kicked.len() as u64;
            match seed % 16 {
                0 => self.pin(worker, CpuMask::only(CpuId(((seed >> 32) % cpus) as u32))),
                1 => self.pin(worker, CpuMask::ALL),
                3 if seed.is_multiple_of(5) => self.replace(worker),
                4 if seed.is_multiple_of(5) => self.borrow_cpu(CpuId(((seed >> 32) % cpus) as u32)),
                2 => {
                    worker.paused.store(true, SeqCst);
                    self.sched
                        .sleep(worker, self.now_ns())
                        .into_iter()
                        .for_each(|cpu| self.kick(cpu));
                    worker.paused.store(false, SeqCst);
                    self.sched
                        .wake(worker, self.now_ns())
                        .into_iter()
                        .for_each(|cpu| self.kick(cpu));
                }
                _ => {
                    posted.fetch_add(1, SeqCst);
                    self.post(worker);
                }
            }
            if seed.is_multiple_of(32) {
                thread::yield_now();
            }
        }
    }

    fn kick_all(&self, cpus: CpuMask) {
        cpus.iter().for_each(|cpu| self.kick(cpu));
    }

    fn pin(&self, worker: &Arc<Worker>, mask: CpuMask) {
        match self.sched.set_hard_affinity(worker, mask, self.now_ns()) {
            Ok(kick) => self.kick_all(kick),
            Err(errno) => assert_eq!(errno, Errno::EINVAL),
        }
    }

    /// Removes a vCPU, once it has stopped, and inserts it again.
    fn replace(&self, worker: &Arc<Worker>) {
        self.retry(|| match self.sched.remove(worker, self.now_ns()) {
            Err(Errno::EBUSY) => {
                worker
                    .unit
                    .running_on()
                    .into_iter()
                    .for_each(|cpu| self.kick(cpu));
                false
            }
            gone => {
                assert!(matches!(gone, Ok(_) | Err(Errno::ENOENT)));
                true
            }
        });
        match self.sched.insert(worker, self.now_ns()) {
            Ok(kick) => kick.into_iter().for_each(|cpu| self.kick(cpu)),
            Err(errno) => assert_eq!(errno, Errno::EEXIST),
        }
    }

    /// Takes a CPU out of the pool and puts it back once it is free.
    fn borrow_cpu(&self, cpu: CpuId) {
        let Ok(kick) = self
            .sched
            .remove_cpu_from_pool(PoolId::ZERO, Some(cpu), self.now_ns())
        else {
            return;
        };
        self.kick_all(kick);
        self.retry(|| {
            match self
                .sched
                .add_cpu_to_pool(PoolId::ZERO, Some(cpu), self.now_ns())
            {
                Err(Errno::EADDRNOTAVAIL) => false,
                added => {
                    self.kick_all(added.unwrap());
                    true
                }
            }
        });
    }

    fn retry(&self, attempt: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !attempt() {
            assert!(Instant::now() < deadline, "a CPU does not react");
            thread::yield_now();
        }
    }

    /// Until so much work is done, or nothing more gets done. On a busy host what is left may take long; only standing still is wrong.
    fn wait_for(&self, posted: u64) {
        const STANDSTILL: Duration = Duration::from_secs(20);
        let (mut done, mut since) = (self.done(), Instant::now());
        while done < posted && since.elapsed() < STANDSTILL {
            thread::sleep(Duration::from_millis(1));
            let now_done = self.done();
            if now_done != done {
                (done, since) = (now_done, Instant::now());
            }
        }
    }

    fn done(&self) -> u64 {
        self.workers
            .iter()
            .map(|worker| worker.done.load(SeqCst))
            .sum()
    }
}

fn stress(cpus: u32, workers: u32, cap: u16) {
    let sched = Scheduler::new(CpuMask::first(cpus), Policy::Credit2);
    let share = Arc::new(DomainShare::new(Domid(1)));
    sched.add_domain(&share, PoolId::ZERO).unwrap();
    let new_worker = |index| {
        let unit = Unit::new(VcpuId(index), Arc::clone(&share), 0);
        let (paused, executing) = (AtomicBool::new(false), AtomicU32::new(0));
        Arc::new(Worker {
            unit,
            pending: AtomicU32::new(0),
            paused,
            executing,
            done: AtomicU64::new(0),
        })
    };
    let workers: Vec<_> = (0..workers).map(new_worker).collect();
    for worker in &workers {
        sched.insert(worker, 0).unwrap();
    }
    share.set_params(0, cap).unwrap();
    let kicked = (0..cpus).map(|_| AtomicBool::new(false)).collect();
    let machine = Machine {
        sched,
        kicked,
        workers,
        stop: AtomicBool::new(false),
        started: Instant::now(),
    };
    let posted = AtomicU64::new(0);
    thread::scope(|scope| {
        (0..cpus).for_each(|cpu| {
            drop(scope.spawn({
                let machine = &machine;
                move || machine.cpu_loop(CpuId(cpu))
            }))
        });
        let wakers: Vec<_> = (1..=3u64)
            .map(|seed| {
                scope.spawn({
                    let (machine, posted) = (&machine, &posted);
                    move || {
                        machine.disturb(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), posted, 20_000)
                    }
                })
            })
            .collect();
        let failed = wakers.into_iter().any(|waker| waker.join().is_err());
        if !failed {
            machine.wait_for(posted.load(SeqCst));
        }
        machine.stop.store(true, SeqCst);
        assert!(!failed);
        let mut text = std::string::String::new();
        machine.sched.dump(&mut text, machine.now_ns()).unwrap();
        assert_eq!(
            machine.done(),
            posted.load(SeqCst),
            "a wake was lost:\n{text}"
        );
    });
    for worker in &machine.workers {
        machine.sched.remove(worker, machine.now_ns()).unwrap();
        assert_eq!(
            Arc::strong_count(worker),
            1,
            "somebody still holds a removed vCPU"
        );
    }
}

#[test]
fn no_wake_is_lost_with_more_vcpus_than_cpus() {
    stress(4, 11, 0);
}

#[test]
fn no_wake_is_lost_on_mostly_idle_cpus() {
    stress(6, 3, 0);
}

#[test]
fn no_wake_is_lost_under_a_cap() {
    stress(3, 6, 150);
}
