//! A virtual CPU: why it may not run, its timers, and the areas of guest memory the hypervisor keeps up to date for it.
//!
//! Register state is in the machine-specific half. A vCPU runs when nothing in its pause state speaks against it; whoever removes the last
//! obstacle wakes it.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst};

use crate::domain::{Domain, PauseState};
use crate::hal::VcpuArch;
use crate::ids::{CpuId, Domid, Gpa, Maddr, VcpuId};
use crate::lock::{Lock, Rank};
use crate::sched::{DomainShare, Schedulable, Unit};
use crate::timer::SlotId;

/// The vCPU waits for an event.
pub const BLOCKED: u32 = 1;
/// The vCPU is offline.
pub const DOWN: u32 = 2;
/// The vCPU waits in `SCHEDOP_poll`.
pub const POLLING: u32 = 4;

/// Deadlines in ns of system time; `u64::MAX` is "off".
#[derive(Copy, Clone, Debug)]
pub struct Timers {
    /// `VCPUOP_set_singleshot_timer`.
    pub singleshot_ns: u64,
    /// `VCPUOP_set_periodic_timer`: next tick.
    pub periodic_ns: u64,
    /// Its period.
    pub period_ns: u64,
    /// Time-out of `SCHEDOP_poll`.
    pub poll_ns: u64,
    /// The domain's `SCHEDOP_watchdog` timers, kept by vCPU 0.
    pub watchdogs: [Watchdog; 2],
    /// CPU whose queue holds the vCPU's slot armed.
    pub armed_on: Option<CpuId>,
    /// The vCPU has given its slots back.
    pub retired: bool,
}

/// One of a domain's watchdogs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Watchdog {
    /// Not in use.
    Free,
    /// Shuts the domain down at this time; `u64::MAX` once it has.
    At(u64),
}

impl Watchdog {
    /// When it expires.
    #[must_use]
    pub const fn deadline_ns(self) -> u64 {
        match self {
            Self::Free => u64::MAX,
            Self::At(deadline_ns) => deadline_ns,
        }
    }
}

impl Timers {
    const OFF: Self = Self {
        singleshot_ns: u64::MAX,
        periodic_ns: u64::MAX,
        period_ns: 0,
        poll_ns: u64::MAX,
        watchdogs: [Watchdog::Free; 2],
        armed_on: None,
        retired: false,
    };

    /// The earliest of them.
    #[must_use]
    pub fn earliest_ns(&self) -> u64 {
        let watchdogs = self.watchdogs.map(Watchdog::deadline_ns);
        self.singleshot_ns
            .min(self.periodic_ns)
            .min(self.poll_ns)
            .min(watchdogs[0])
            .min(watchdogs[1])
    }
}

/// A range of guest memory, at most two pieces where it crosses a page.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct GuestArea {
    /// Start and length of each piece; an unused second piece has length 0.
    pub pieces: [(Gpa, usize); 2],
}

/// Areas of guest memory the hypervisor writes.
#[derive(Copy, Clone, Debug, Default)]
pub struct Areas {
    /// `vcpu_runstate_info`.
    pub runstate: Option<GuestArea>,
    /// A copy of `vcpu_time_info`.
    pub time: Option<GuestArea>,
}

/// A virtual CPU.
pub struct Vcpu {
    /// Its number in the domain.
    pub id: VcpuId,
    /// The domain's number.
    pub domid: Domid,
    domain: Weak<Domain>,
    unit: Unit,
    domain_pause: Arc<PauseState>,
    /// [`BLOCKED`], [`DOWN`], [`POLLING`].
    pub flags: AtomicU32,
    pause_count: AtomicU32,
    /// Machine address of `vcpu_info`, 0 while it has none.
    info: AtomicU64,
    /// The guest gave `vcpu_info` a place of its own (and a reference on that frame is held).
    pub info_registered: AtomicBool,
    /// Vector set by `HVMOP_set_evtchn_upcall_vector`, 0 for none.
    pub upcall_vector: AtomicU8,
    /// Timers.
    pub timers: Lock<Timers>,
    /// Slot in every CPU's timer queue.
    pub timer_slots: Box<[SlotId]>,
    /// Areas.
    pub areas: Lock<Areas>,
    /// The machine-specific half.
    pub arch: Box<dyn VcpuArch>,
}

impl Vcpu {
    /// A vCPU that is down.
    #[must_use]
    pub fn new(
        domain: &Arc<Domain>,
        id: VcpuId,
        share: Arc<DomainShare>,
        timer_slots: Box<[SlotId]>,
        arch: Box<dyn VcpuArch>,
        now_ns: u64,
    ) -> Self {
        Self {
            id,
            domid: domain.id,
            domain: Arc::downgrade(domain),
            unit: Unit::new(id, share, now_ns),
            domain_pause: Arc::clone(&domain.pause),
            flags: AtomicU32::new(DOWN),
            pause_count: AtomicU32::new(0),
            info: AtomicU64::new(0),
            info_registered: AtomicBool::new(false),
            upcall_vector: AtomicU8::new(0),
            timers: Lock::new(Rank::Values, Timers::OFF),
            timer_slots,
            areas: Lock::new(Rank::Areas, Areas::default()),
            arch,
        }
    }

    /// The domain, unless it is being freed.
    #[must_use]
    pub fn domain(&self) -> Option<Arc<Domain>> {
        self.domain.upgrade()
    }

    /// Machine address of `vcpu_info`.
    #[must_use]
    pub fn info(&self) -> Option<Maddr> {
        match self.info.load(SeqCst) {
            0 => None,
            at => Some(Maddr(at)),
        }
    }

    /// Moves `vcpu_info`.
    pub fn set_info(&self, at: Option<Maddr>) {
        self.info.store(at.map_or(0, |at| at.0), SeqCst);
    }

    /// Takes one more reason not to run. The caller kicks the CPU that runs it.
    pub fn pause(&self) {
        self.pause_count.fetch_add(1, SeqCst);
    }

    /// Gives one reason back; `true` if it was the last.
    pub fn unpause(&self) -> bool {
        self.pause_count.fetch_sub(1, SeqCst) == 1
    }

    /// Whether the vCPU is online.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.flags.load(SeqCst) & DOWN == 0
    }

    /// Whether the vCPU waits for an event.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.flags.load(SeqCst) & BLOCKED != 0
    }
}

impl Schedulable for Vcpu {
    fn unit(&self) -> &Unit {
        &self.unit
    }

    fn runnable(&self) -> bool {
        self.flags.load(SeqCst) == 0
            && self.pause_count.load(SeqCst) == 0
            && !self.domain_pause.is_paused()
    }

    fn blocked(&self) -> bool {
        self.flags.load(SeqCst) & DOWN == 0
    }

    fn leave_cpu(&self) {
        self.arch.leave_cpu();
    }
}
