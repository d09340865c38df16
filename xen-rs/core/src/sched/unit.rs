//! Per-vCPU scheduling state and the protocol that keeps a vCPU on at most one physical CPU.
//!
//! ```text
//!            wake, runnable()                 picked by a CPU
//!   Idle ───────────────────────▶ Queued ───────────────────────▶ Running
//!    ▲                              │ ▲                              │
//!    └──────── not runnable() ──────┘ └───────── runnable() ─────────┤
//!    ▲                                                               │
//!    └────────────────────── not runnable() ─────────────────────────┘
//! ```
//!
//! Every arrow is taken under the unit's lock, and [`Schedulable::runnable`] is asked under that same lock. That is why no wake is lost
//! and no fourth state "running, wake pending" is needed: a waker first makes `runnable()` true and then calls `wake`. If `wake` gets the
//! lock before the CPU that gives the vCPU up, that CPU sees `runnable()` and queues it again; if after, it finds `Idle` and queues it.
//!
//! A queued unit has one entry in one run queue, except for the moment between a CPU taking the entry out (queue lock) and starting the
//! vCPU (unit lock): then the entry is in that CPU's hands. Each queueing draws a new ticket; an entry whose ticket is not the unit's
//! is void, so an entry in somebody's hands can be revoked by changing the state or by queueing the unit elsewhere.
//!
//! Lock order inside [`Rank::Scheduler`]: registry, unit, run queue, domain budget; never two units, never two queues.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst, fence};

use crate::ids::{CpuId, VcpuId};
use crate::lock::{Guard, Lock, Rank};
use crate::sched::mask::{AtomicCpuMask, CpuMask};
use crate::sched::pools::Policy;
use crate::sched::runstate::{Runstate, RunstateKind};
use crate::sched::share::DomainShare;
use crate::sched::vtime::Vtime;

/// What the scheduler needs to know of a vCPU.
pub trait Schedulable: Send + Sync + 'static {
    /// The embedded scheduling state.
    fn unit(&self) -> &Unit;

    /// Whether the vCPU could make progress now. Asked with scheduler locks held: must be short, and call nothing of the scheduler.
    fn runnable(&self) -> bool;

    /// Whether a vCPU that is not runnable waits for an event (`RUNSTATE_blocked`) rather than being down or paused
    /// (`RUNSTATE_offline`). Same restrictions as [`Self::runnable`].
    fn blocked(&self) -> bool {
        true
    }

    /// Called on the CPU that gives this vCPU up, without locks, before any other CPU may start it: the place to save register state
    /// that was left in the CPU. Not called while the vCPU stays where it is.
    fn leave_cpu(&self) {}
}

const NO_CPU: u32 = u32::MAX;

/// Scheduling state embedded in a vCPU.
pub struct Unit {
    vcpu: VcpuId,
    share: Arc<DomainShare>,
    /// The CPU while running. Written under `inner`, read by anyone.
    running_on: AtomicU32,
    /// Copy of [`Inner::allowed`] for CPUs that look for something to steal.
    pub(super) allowed_hint: AtomicCpuMask,
    pub(super) yielding: AtomicBool,
    inner: Lock<Inner>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not inserted, or removed: wakes are ignored.
    Detached,
    /// In no queue.
    Idle,
    /// One entry in the run queue of `last_cpu`, or in the hands of a CPU that took it from there.
    Queued,
    /// On `last_cpu`.
    Running,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub state: State,
    /// Where it runs, is queued, or was last.
    pub last_cpu: CpuId,
    pub ticket: u32,
    pub vtime: Vtime,
    /// Remainder of the last charge, see [`super::vtime::virtual_ns`].
    pub residual: u32,
    /// Start of the present run on a CPU.
    pub dispatched_ns: u64,
    /// Up to when the present run has been charged.
    pub charged_ns: u64,
    /// Part of the domain's capped budget taken for the present run.
    pub granted_ns: Option<u64>,
    /// `remove` found it running: it is not to be queued again.
    pub leaving: bool,
    pub runstate: Runstate,
    pub policy: Policy,
    /// Null policy: the vCPU is down and lays no claim to a CPU.
    pub stood_down: bool,
    pub hard: CpuMask,
    pub soft: CpuMask,
    /// CPUs of the cpupool; one CPU or none in a pool with the null policy.
    pub pool_cpus: CpuMask,
    /// Where it may run: derived from the three above.
    pub allowed: CpuMask,
}

impl Unit {
    /// State of vCPU `vcpu` of the domain behind `share`: offline, not inserted, free to run anywhere.
    #[must_use]
    pub fn new(vcpu: VcpuId, share: Arc<DomainShare>, now_ns: u64) -> Self {
        Self {
            vcpu,
            share,
            running_on: AtomicU32::new(NO_CPU),
            allowed_hint: AtomicCpuMask::default(),
            yielding: AtomicBool::new(false),
            inner: Lock::new(Rank::Scheduler, Inner::new(now_ns)),
        }
    }

    /// The vCPU's number in its domain.
    #[must_use]
    pub fn vcpu(&self) -> VcpuId {
        self.vcpu
    }

    /// The domain's parameters.
    #[must_use]
    pub fn share(&self) -> &Arc<DomainShare> {
        &self.share
    }

    /// The CPU this vCPU is on. Lock-free. A caller that first publishes work for the vCPU and then asks either gets the CPU to kick, or
    /// the CPU sees the work when it starts the vCPU: both sides put a full fence between their store and their load.
    #[must_use]
    pub fn running_on(&self) -> Option<CpuId> {
        fence(SeqCst);
        let cpu = self.running_on.load(SeqCst);
        (cpu != NO_CPU).then_some(CpuId(cpu))
    }

    /// Inside the registry lock at most; outside the queue and budget locks.
    pub(super) fn lock(&self) -> Guard<'_, Inner> {
        self.inner.lock_second()
    }

    pub(super) fn set_running_on(&self, cpu: Option<CpuId>) {
        self.running_on
            .store(cpu.map_or(NO_CPU, |cpu| cpu.0), SeqCst);
        fence(SeqCst);
    }

    /// Hard and soft affinity as set.
    #[must_use]
    pub fn affinity(&self) -> (CpuMask, CpuMask) {
        let inner = self.lock();
        (inner.hard, inner.soft)
    }

    /// The CPU it runs on, waits for, or ran on last.
    #[must_use]
    pub fn last_cpu(&self) -> CpuId {
        self.lock().last_cpu
    }
}

impl Inner {
    fn new(now_ns: u64) -> Self {
        Self {
            state: State::Detached,
            last_cpu: CpuId(0),
            ticket: 0,
            vtime: Vtime::default(),
            residual: 0,
            dispatched_ns: 0,
            charged_ns: 0,
            granted_ns: None,
            leaving: false,
            runstate: Runstate::new(now_ns),
            policy: Policy::Credit2,
            stood_down: false,
            hard: CpuMask::ALL,
            soft: CpuMask::ALL,
            pool_cpus: CpuMask::EMPTY,
            allowed: CpuMask::EMPTY,
        }
    }

    /// Recomputes where the unit may run. A hard affinity that its pool cannot satisfy is set aside, as Xen does when the last suitable
    /// CPU goes away: running elsewhere beats never running.
    pub fn derive_allowed(&mut self, hint: &AtomicCpuMask) {
        let wanted = self.hard.and(&self.pool_cpus);
        self.allowed = if wanted.is_empty() {
            self.pool_cpus
        } else {
            wanted
        };
        hint.store(self.allowed);
    }

    /// The allowed CPUs that soft affinity prefers; all allowed ones when it prefers none of them.
    pub fn preferred(&self) -> CpuMask {
        let liked = self.allowed.and(&self.soft);
        if liked.is_empty() {
            self.allowed
        } else {
            liked
        }
    }

    /// Leaves the queues: `Idle`, with the run state the vCPU claims.
    pub fn rest(&mut self, kind: RunstateKind, now_ns: u64) {
        self.state = State::Idle;
        self.runstate.change(kind, now_ns);
    }
}

/// The run state of a vCPU that is not runnable.
pub(super) fn resting_kind<V: Schedulable>(vcpu: &V) -> RunstateKind {
    if vcpu.blocked() {
        RunstateKind::Blocked
    } else {
        RunstateKind::Offline
    }
}
