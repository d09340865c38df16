//! The machine's one hypervisor: domains, memory, scheduling and time, tied together.

mod debug_keys;
mod destroy;
mod events;
mod free_frames;
mod lifecycle;
mod pages;
mod pod;
#[cfg(test)]
mod pod_stress;
#[cfg(test)]
mod pod_testing;
mod reclaim;
mod running;
mod tidy;
mod time;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::cmdline::Options;
use crate::domain::Domain;
use crate::hal::{Arch, HostInfo, Machine, MachineMemory};
use crate::ids::Domid;
use crate::lock::{Lock, Rank, RwLock};
use crate::memory::allocator::FrameAllocator;
use crate::memory::frame::FrameTable;
use crate::sched::{CpuMask, Policy, Scheduler};
use crate::timer::TimerQueue;
use crate::vcpu::Vcpu;

pub use destroy::Teardown;
pub use free_frames::Returns;
pub use lifecycle::CreateDomain;
pub use pages::{FrameTables, GuestPage};
pub use pod::{Effort, Shortage};

/// A vCPU by name: what a timer slot belongs to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct VcpuName {
    /// Domain.
    pub domid: Domid,
    /// vCPU.
    pub vcpu: u32,
}

/// Everything the hypervisor knows. One per machine; tests make their own.
pub struct Hypervisor {
    /// RAM.
    pub memory: &'static dyn MachineMemory,
    /// CPUs and clocks.
    pub machine: &'static dyn Machine,
    /// Virtual machines' machines.
    pub arch: &'static dyn Arch,
    /// Facts.
    pub host: HostInfo,
    /// Command line.
    pub options: Options,
    /// Frame records.
    pub table: FrameTable,
    /// Free frames.
    pub frames: Lock<FrameAllocator>,
    /// Pages promised by `XENMEM_claim_pages` and not yet allocated.
    pub claimed_pages: AtomicU64,
    domains: RwLock<BTreeMap<Domid, Arc<Domain>>>,
    /// Run queues.
    pub scheduler: Scheduler<Vcpu>,
    timers: Box<[Lock<TimerQueue<VcpuName>>]>,
    next_domid: Lock<u16>,
    tidying: tidy::Progress,
    /// UTC at system time 0, ns; dom0 may set it.
    pub wallclock_ns: AtomicU64,
}

impl Hypervisor {
    /// A hypervisor without domains.
    #[must_use]
    pub fn new(
        memory: &'static dyn MachineMemory,
        machine: &'static dyn Machine,
        arch: &'static dyn Arch,
        host: HostInfo,
        options: Options,
        table: FrameTable,
        frames: FrameAllocator,
    ) -> Self {
        let policy = match options.scheduler {
            crate::cmdline::Scheduler::Null => Policy::Null,
            _ => Policy::Credit2,
        };
        let cpus = host.cpus;
        let wallclock_ns = AtomicU64::new(host.boot_utc_ns);
        Self {
            memory,
            machine,
            arch,
            host,
            options,
            table,
            frames: Lock::new(Rank::Frames, frames),
            claimed_pages: AtomicU64::new(0),
            domains: RwLock::new(Rank::Domains, BTreeMap::new()),
            scheduler: Scheduler::new(CpuMask::first(cpus), policy),
            timers: (0..cpus)
                .map(|_| Lock::new(Rank::Timers, TimerQueue::new()))
                .collect(),
            next_domid: Lock::new(Rank::DomainIds, 1),
            tidying: tidy::Progress::new(),
            wallclock_ns,
        }
    }

    /// The domain with this number, dying ones included.
    #[must_use]
    pub fn domain(&self, id: Domid) -> Option<Arc<Domain>> {
        self.domains.read().get(&id).cloned()
    }

    /// Domains from number `from` on, in order, at most `limit`.
    #[must_use]
    pub fn domains_from(&self, from: Domid, limit: usize) -> Vec<Arc<Domain>> {
        self.domains
            .read()
            .range(from..)
            .take(limit)
            .map(|(_, domain)| Arc::clone(domain))
            .collect()
    }

    /// System time in ns.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.machine.now_ns()
    }

    /// Free pages that nobody has claimed.
    #[must_use]
    pub fn unclaimed_pages(&self) -> u64 {
        self.frames
            .lock()
            .free_pages()
            .saturating_sub(self.claimed_pages.load(SeqCst))
    }
}
