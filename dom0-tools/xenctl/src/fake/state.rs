//! The fake host as a whole.

use std::collections::BTreeMap;

use xen_abi::domctl::{
    DomctlCreatedomain, XEN_DOMCTL_CDF_HAP, XEN_DOMCTL_CDF_HVM, XEN_SCHEDULER_CREDIT2,
};
use xen_abi::errno::Errno;
use xen_abi::sysctl::SysctlSchedulerOp;
use xen_abi::xen::VIRQ_CON_RING;

use super::FakeHost;
use super::domain::{Domain, Vcpu};
use super::page::MemoryPage;
use super::ports::Ports;
use crate::{Affinity, CpuSet, DomId};

/// Rate limit of a new credit2 scheduler in microseconds.
const RATE_LIMIT_US: u32 = 1000;

/// A CPU pool.
pub(super) struct Pool {
    pub(super) scheduler: u32,
    pub(super) cpus: CpuSet,
    pub(super) parameters: SysctlSchedulerOp,
}

impl Pool {
    pub(super) fn new(scheduler: u32, cpus: CpuSet) -> Self {
        Self {
            scheduler,
            cpus,
            parameters: SysctlSchedulerOp {
                value0: if scheduler == XEN_SCHEDULER_CREDIT2 {
                    RATE_LIMIT_US
                } else {
                    30
                },
                value1: RATE_LIMIT_US,
                ..SysctlSchedulerOp::default()
            },
        }
    }
}

/// A request that is to fail.
struct Failure {
    call: &'static str,
    errno: Errno,
    /// How many of these requests still succeed before.
    after: usize,
}

/// Everything a fake host knows.
pub(super) struct State {
    pub(super) host: FakeHost,
    pub(super) domains: BTreeMap<DomId, Domain>,
    pub(super) last_domain: DomId,
    pub(super) pools: BTreeMap<u32, Pool>,
    pub(super) ports: Ports,
    pub(super) log: Vec<u8>,
    /// Bytes of the log that were cleared.
    pub(super) cleared: usize,
    pub(super) debug_keys: String,
    pub(super) kernel_ring: Option<(MemoryPage, u32)>,
    calls: Vec<&'static str>,
    failures: Vec<Failure>,
}

impl State {
    pub(super) fn new(host: FakeHost) -> Self {
        let mut state = Self {
            domains: BTreeMap::new(),
            last_domain: DomId::DOM0,
            pools: BTreeMap::new(),
            ports: Ports::default(),
            log: b"(XEN) Fake hypervisor\n".to_vec(),
            cleared: 0,
            debug_keys: String::new(),
            kernel_ring: None,
            calls: Vec::new(),
            failures: Vec::new(),
            host,
        };
        let all = CpuSet::first(state.host.cpus);
        state.pools.insert(0, Pool::new(state.host.scheduler, all));
        state.add_dom0();
        state
    }

    fn add_dom0(&mut self) {
        let mut dom0 = Domain::new(&DomctlCreatedomain {
            flags: XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP,
            max_vcpus: self.host.cpus,
            ..DomctlCreatedomain::default()
        });
        dom0.paused = 0;
        dom0.max_pages = self.host.dom0_pages;
        dom0.vcpus = vec![self.new_vcpu(true); self.host.cpus as usize];
        // Nothing is populated yet, so nothing can be in the way.
        let _ = dom0.memory.populate(0..self.host.dom0_pages);
        self.domains.insert(DomId::DOM0, dom0);
    }

    pub(super) fn new_vcpu(&self, online: bool) -> Vcpu {
        let all = CpuSet::first(self.host.cpus);
        Vcpu {
            online,
            cpu_time_ns: 0,
            affinity: Affinity {
                hard: all.clone(),
                soft: all,
            },
        }
    }

    pub(super) fn domain(&mut self, domain: DomId) -> Result<&mut Domain, Errno> {
        self.domains.get_mut(&domain).ok_or(Errno::ESRCH)
    }

    /// A domain other than dom0: what pausing or destroying needs.
    pub(super) fn guest(&mut self, domain: DomId) -> Result<&mut Domain, Errno> {
        match domain {
            DomId::DOM0 => Err(Errno::EINVAL),
            _ => self.domain(domain),
        }
    }

    /// Pages that belong to nobody.
    pub(super) fn free_pages(&self) -> u64 {
        let used: u64 = self
            .domains
            .values()
            .map(|domain| domain.memory.pages() + domain.built.paging_bytes.div_ceil(4096))
            .sum();
        self.host.total_pages.saturating_sub(used)
    }

    /// Pages that are promised.
    pub(super) fn claimed_pages(&self) -> u64 {
        self.domains
            .values()
            .map(|domain| domain.built.claimed)
            .sum()
    }

    pub(super) fn print(&mut self, text: &str) {
        self.log.extend_from_slice(text.as_bytes());
        self.ports.raise_virq(DomId::DOM0, VIRQ_CON_RING);
    }

    /// Writes down that a request came, and says whether it is to fail.
    pub(super) fn admit(&mut self, call: &'static str) -> Result<(), Errno> {
        self.calls.push(call);
        let due = self
            .failures
            .iter()
            .position(|failure| failure.call == call);
        let Some(failure) = due.and_then(|index| self.failures.get_mut(index)) else {
            return Ok(());
        };
        if failure.after > 0 {
            failure.after -= 1;
            return Ok(());
        }
        let errno = failure.errno;
        self.failures.retain({
            let mut is_first = true;
            move |failure| failure.call != call || !std::mem::take(&mut is_first)
        });
        Err(errno)
    }

    pub(super) fn plan_failure(&mut self, call: &'static str, after: usize, errno: Errno) {
        assert!(crate::call::ALL.contains(&call), "no request {call:?}");
        self.failures.push(Failure { call, errno, after });
    }

    pub(super) fn calls(&self) -> &[&'static str] {
        &self.calls
    }

    pub(super) fn forget_calls(&mut self) {
        self.calls.clear();
    }
}
