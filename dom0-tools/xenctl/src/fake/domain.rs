//! What the fake host remembers about a domain.

use std::collections::BTreeMap;

use xen_abi::domctl::{
    DomctlCreatedomain, DomctlGetdomaininfo, DomctlGetvcpuinfo, DomctlSchedCredit,
    XEN_DOMINF_BLOCKED, XEN_DOMINF_DYING, XEN_DOMINF_HAP, XEN_DOMINF_HVM_GUEST, XEN_DOMINF_PAUSED,
    XEN_DOMINF_RUNNING, XEN_DOMINF_SHUTDOWN, XEN_DOMINF_SHUTDOWNSHIFT, XEN_INVALID_MAX_VCPU_ID,
};

use super::memory::GuestMemory;
use crate::{Affinity, CpuPolicy, CpuSet, DomId};

/// Weight of a new domain in the credit schedulers.
pub(super) const DEFAULT_WEIGHT: u16 = 256;

/// A vCPU.
#[derive(Clone, Debug)]
pub(super) struct Vcpu {
    pub(super) online: bool,
    pub(super) cpu_time_ns: u64,
    pub(super) affinity: Affinity,
}

/// What is told about a domain besides its information, for tests that look at what the tools built.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// As it was asked for.
    pub created: DomctlCreatedomain,
    /// Its e820: start, size, kind.
    pub memory_map: Vec<(u64, u64, u32)>,
    /// Bytes for its nested page tables.
    pub paging_bytes: u64,
    /// Mode, elapsed ns, kHz, incarnation.
    pub tsc: Option<(u32, u64, u32, u32)>,
    /// Distance from UTC in seconds.
    pub time_offset: i64,
    /// Nodes it prefers.
    pub nodes: CpuSet,
    /// Triggers sent to it, with the vCPU.
    pub triggers: Vec<(u32, u32)>,
    /// Pages claimed for it.
    pub claimed: u64,
    /// Target of its populate-on-demand, in pages.
    pub pod_target: Option<u64>,
    /// Parameters that were set.
    pub params: BTreeMap<u32, u64>,
    /// Grant entries: frame and whom for.
    pub grants: BTreeMap<u32, (u64, DomId)>,
    /// Records of its machine state: type, instance, payload.
    pub records: BTreeMap<(u16, u16), Vec<u8>>,
    /// I/O ports of the host it may use: first and how many.
    pub ports: Vec<(u32, u32)>,
    /// Interrupts of the host it may use.
    pub irqs: Vec<i32>,
    /// Frames of I/O memory it may use: first and how many.
    pub io_memory: Vec<(u64, u64)>,
    /// Those that are mapped: its own first frame, the host's, and how many.
    pub mapped: Vec<(u64, u64, u64)>,
    /// Its CPUID policy, once set.
    pub policy: Option<CpuPolicy>,
}

/// A domain.
pub(super) struct Domain {
    pub(super) built: Built,
    pub(super) memory: GuestMemory,
    pub(super) handle: [u8; 16],
    pub(super) max_pages: u64,
    pub(super) paused: u32,
    pub(super) shutdown: Option<u32>,
    pub(super) dying: bool,
    pub(super) vcpus: Vec<Vcpu>,
    pub(super) pool: u32,
    pub(super) credit: DomctlSchedCredit,
}

impl Domain {
    /// A new domain, paused.
    pub(super) fn new(created: &DomctlCreatedomain) -> Self {
        Self {
            built: Built {
                created: *created,
                ..Built::default()
            },
            memory: GuestMemory::default(),
            handle: created.handle,
            max_pages: 0,
            paused: 1,
            shutdown: None,
            dying: false,
            vcpus: Vec::new(),
            pool: created.cpupool_id,
            credit: DomctlSchedCredit {
                weight: DEFAULT_WEIGHT,
                cap: 0,
            },
        }
    }

    /// As `domctl getdomaininfo` tells it.
    pub(super) fn info(&self, number: DomId) -> DomctlGetdomaininfo {
        let online = self.vcpus.iter().filter(|vcpu| vcpu.online).count();
        DomctlGetdomaininfo {
            domain: number.0,
            flags: self.flags(online > 0),
            tot_pages: self.memory.pages(),
            max_pages: self.max_pages,
            outstanding_pages: self.built.claimed,
            cpu_time: self.vcpus.iter().map(|vcpu| vcpu.cpu_time_ns).sum(),
            nr_online_vcpus: online as u32,
            max_vcpu_id: (self.vcpus.len() as u32)
                .checked_sub(1)
                .unwrap_or(XEN_INVALID_MAX_VCPU_ID),
            handle: self.handle,
            cpupool: self.pool,
            gpaddr_bits: 48,
            arch_config: self.built.created.arch,
            ..DomctlGetdomaininfo::default()
        }
    }

    /// As `domctl getvcpuinfo` tells it.
    pub(super) fn vcpu_info(&self, number: u32) -> Option<DomctlGetvcpuinfo> {
        let vcpu = self.vcpus.get(number as usize)?;
        Some(DomctlGetvcpuinfo {
            vcpu: number,
            online: vcpu.online.into(),
            blocked: vcpu.online.into(),
            running: 0,
            cpu_time: vcpu.cpu_time_ns,
            cpu: vcpu.affinity.hard.iter().next().unwrap_or(0),
            ..DomctlGetvcpuinfo::default()
        })
    }

    fn flags(&self, is_up: bool) -> u32 {
        let bits = [
            (self.dying, XEN_DOMINF_DYING),
            (self.shutdown.is_some(), XEN_DOMINF_SHUTDOWN),
            (self.paused > 0, XEN_DOMINF_PAUSED),
            (is_up, XEN_DOMINF_BLOCKED),
        ];
        let state: u32 = bits
            .iter()
            .filter(|(is_so, _)| *is_so)
            .map(|(_, bit)| bit)
            .sum();
        // All ones: no reason yet.
        let reason = self.shutdown.unwrap_or(u32::MAX) << XEN_DOMINF_SHUTDOWNSHIFT;
        state | XEN_DOMINF_HVM_GUEST | XEN_DOMINF_HAP | reason
    }

    /// Its information while it is the one that asks.
    pub(super) fn info_of_caller(&self, number: DomId) -> DomctlGetdomaininfo {
        let mut info = self.info(number);
        info.flags = info.flags & !XEN_DOMINF_BLOCKED | XEN_DOMINF_RUNNING;
        info
    }
}
