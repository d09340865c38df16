//! What the tools ask of the hypervisor: one method for each request, with the ABI's own structures.
//!
//! Errors are the hypervisor's: an unknown domain is `ESRCH`, a caller that may not is `EPERM`, a request it does not have `ENOSYS`. Requests
//! that the hypervisor interrupts to be repeated (`EAGAIN` of `domctl destroydomain`) are repeated here.

use xen_abi::domctl::{
    DomctlCreatedomain, DomctlGetdomaininfo, DomctlGetvcpuinfo, DomctlSchedulerOp,
};
use xen_abi::physdev::PhysdevPciDevice;
use xen_abi::sysctl::{SysctlCputopo, SysctlMeminfo, SysctlPhysinfo, SysctlSchedulerOp};

use crate::{CpuSet, Result};

/// A domain's number.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomId(pub u16);

impl DomId {
    /// The domain these tools run in.
    pub const DOM0: Self = Self(0);
}

impl std::fmt::Display for DomId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What [`Hypervisor::version_text`] reads: `XENVER_extraversion`, `capabilities`, `changeset`, `commandline`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum VersionText {
    /// `.3`
    ExtraVersion,
    /// `xen-3.0-x86_64 hvm-3.0-x86_32 …`
    Capabilities,
    /// Of its source.
    Changeset,
    /// Its own.
    CommandLine,
}

/// Who built the hypervisor and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompileInfo {
    /// Compiler.
    pub compiler: String,
    /// User.
    pub by: String,
    /// Host's domain.
    pub domain: String,
    /// Date.
    pub date: String,
}

/// `XEN_SYSCTL_numainfo`.
#[derive(Clone, Debug, Default)]
pub struct NumaInfo {
    /// A node each.
    pub nodes: Vec<SysctlMeminfo>,
    /// Row by row: distance from node i to node j.
    pub distances: Vec<u32>,
}

/// A CPU pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuPool {
    /// Its number.
    pub id: u32,
    /// Its scheduler, `XEN_SCHEDULER_*`.
    pub scheduler: u32,
    /// How many domains are in it.
    pub domains: u32,
    /// Its processors.
    pub cpus: CpuSet,
}

/// Hard and soft affinity of a vCPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Where it may run.
    pub hard: CpuSet,
    /// Where it should run.
    pub soft: CpuSet,
}

/// A part of the hypervisor's log, and where the next part begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleText {
    /// The text.
    pub text: Vec<u8>,
    /// To be given to the next incremental read.
    pub index: u32,
}

/// A CPUID policy: leaves and MSRs in their serialised form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuPolicy {
    /// `{leaf, subleaf, a, b, c, d}`.
    pub leaves: Vec<[u32; 6]>,
    /// `{index, flags, value}`.
    pub msrs: Vec<(u32, u32, u64)>,
}

/// How guest memory is populated: `1 << order` pages each.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Populate<'a> {
    /// 0, 9 or 18.
    pub order: u32,
    /// `XENMEMF_*`.
    pub mem_flags: u32,
    /// Where each begins.
    pub gfns: &'a [u64],
}

/// The hypervisor as the tools in dom0 see it.
pub trait Hypervisor: Send + Sync {
    // The host.

    /// Major and minor version.
    fn version(&self) -> Result<(u32, u32)>;
    /// One of its texts.
    fn version_text(&self, what: VersionText) -> Result<String>;
    /// Who built it.
    fn compile_info(&self) -> Result<CompileInfo>;
    /// Bytes of a page.
    fn page_size(&self) -> Result<u32>;
    /// `XENVER_platform_parameters`: the start of the hypervisor's virtual memory.
    fn virtual_start(&self) -> Result<u64>;
    /// The build's identification; `ENODATA` where it has none.
    fn build_id(&self) -> Result<Vec<u8>>;
    /// Processors, memory and abilities.
    fn physinfo(&self) -> Result<SysctlPhysinfo>;
    /// The scheduler of pool 0, `XEN_SCHEDULER_*`.
    fn scheduler(&self) -> Result<u32>;
    /// Where each processor is.
    fn cpu_topology(&self) -> Result<Vec<SysctlCputopo>>;
    /// The nodes of PCI devices; `XEN_INVALID_DEV` or `XEN_INVALID_NODE_ID` where one is not known.
    fn pci_nodes(&self, devices: &[PhysdevPciDevice]) -> Result<Vec<u32>>;
    /// Memory nodes.
    fn numa_info(&self) -> Result<NumaInfo>;
    /// Nanoseconds each processor was idle.
    fn cpu_idle_times(&self) -> Result<Vec<u64>>;
    /// Pages freed by sharing and pages used for shared ones; `ENOSYS` where there is no sharing.
    fn sharing_pages(&self) -> Result<(u64, u64)>;
    /// The log. `clear` empties it; with `from` only what is newer.
    fn read_console(&self, clear: bool, from: Option<u32>) -> Result<ConsoleText>;
    /// Presses debug keys.
    fn debug_keys(&self, keys: &str) -> Result<()>;

    // Domains.

    /// All domains, by number.
    fn domains(&self) -> Result<Vec<DomctlGetdomaininfo>>;
    /// One domain; `ESRCH` where there is none.
    fn domain(&self, domain: DomId) -> Result<DomctlGetdomaininfo>;
    /// Makes a domain, paused. Number 0 asks for a free one.
    fn create_domain(&self, wanted: DomId, how: &DomctlCreatedomain) -> Result<DomId>;
    /// Takes a domain apart, to the end.
    fn destroy_domain(&self, domain: DomId) -> Result<()>;
    /// Counted.
    fn pause_domain(&self, domain: DomId) -> Result<()>;
    /// Counted.
    fn unpause_domain(&self, domain: DomId) -> Result<()>;
    /// Lets a domain that shut down to suspend run on.
    fn resume_domain(&self, domain: DomId) -> Result<()>;
    /// `SCHEDOP_remote_shutdown` with `SHUTDOWN_*`.
    fn remote_shutdown(&self, domain: DomId, reason: u32) -> Result<()>;
    /// Its UUID.
    fn set_handle(&self, domain: DomId, handle: [u8; 16]) -> Result<()>;
    /// How many vCPUs it has.
    fn set_max_vcpus(&self, domain: DomId, count: u32) -> Result<()>;
    /// The most memory it may have, in KiB.
    fn set_max_memory(&self, domain: DomId, kib: u64) -> Result<()>;
    /// Memory for its nested page tables, in bytes.
    fn set_paging_memory(&self, domain: DomId, bytes: u64) -> Result<()>;
    /// TSC mode, elapsed ns, kHz, incarnation.
    fn set_tsc_info(
        &self,
        domain: DomId,
        mode: u32,
        elapsed_ns: u64,
        khz: u32,
        incarnation: u32,
    ) -> Result<()>;
    /// Its clock's distance from UTC.
    fn set_time_offset(&self, domain: DomId, seconds: i64) -> Result<()>;
    /// NUMA nodes it prefers.
    fn set_node_affinity(&self, domain: DomId, nodes: &CpuSet) -> Result<()>;
    /// NUMA nodes it prefers.
    fn node_affinity(&self, domain: DomId) -> Result<CpuSet>;
    /// `set_llc_colors` with none; `EOPNOTSUPP` is usual.
    fn set_no_llc_colors(&self, domain: DomId) -> Result<()>;
    /// Lets a domain use I/O ports of the host; `EPERM` for those that nobody may.
    fn permit_ports(&self, domain: DomId, first: u32, count: u32) -> Result<()>;
    /// `PHYSDEVOP_map_pirq` of an interrupt of the host, numbered the same in the domain if that is free; gives its number there.
    fn map_irq(&self, domain: DomId, irq: i32) -> Result<i32>;
    /// Lets a domain use an interrupt that was mapped.
    fn permit_irq(&self, domain: DomId, pirq: i32) -> Result<()>;
    /// Lets a domain use frames of I/O memory.
    fn permit_memory(&self, domain: DomId, first: u64, count: u64) -> Result<()>;
    /// Maps frames of I/O memory from `mfn` on to a domain's frames from `gfn` on.
    fn map_memory(&self, domain: DomId, gfn: u64, mfn: u64, count: u64) -> Result<()>;
    /// Presses a button: `XEN_DOMCTL_SENDTRIGGER_*`.
    fn send_trigger(&self, domain: DomId, trigger: u32, vcpu: u32) -> Result<()>;

    // vCPUs and scheduling.

    /// State of a vCPU.
    fn vcpu(&self, domain: DomId, vcpu: u32) -> Result<DomctlGetvcpuinfo>;
    /// Where a vCPU may and should run.
    fn vcpu_affinity(&self, domain: DomId, vcpu: u32) -> Result<Affinity>;
    /// Sets either or both; gives what is in force then. `force` overrides a temporary pin.
    fn set_vcpu_affinity(
        &self,
        domain: DomId,
        vcpu: u32,
        hard: Option<&CpuSet>,
        soft: Option<&CpuSet>,
        force: bool,
    ) -> Result<Affinity>;
    /// `XEN_DOMCTL_SCHEDOP_{get,put}info`, in and out.
    fn domain_scheduler(&self, domain: DomId, op: DomctlSchedulerOp) -> Result<DomctlSchedulerOp>;
    /// Parameters of a pool's scheduler, in and out.
    fn pool_scheduler(&self, op: SysctlSchedulerOp) -> Result<SysctlSchedulerOp>;
    /// All CPU pools.
    fn cpu_pools(&self) -> Result<Vec<CpuPool>>;
    /// Processors in no pool.
    fn free_cpus(&self) -> Result<CpuSet>;
    /// Makes a pool; gives its number.
    fn create_pool(&self, scheduler: u32) -> Result<u32>;
    /// Removes an empty pool.
    fn destroy_pool(&self, pool: u32) -> Result<()>;
    /// Puts a processor into a pool; `None`: any free one.
    fn add_pool_cpu(&self, pool: u32, cpu: Option<u32>) -> Result<()>;
    /// Takes a processor out; `None`: any.
    fn remove_pool_cpu(&self, pool: u32, cpu: Option<u32>) -> Result<()>;
    /// Moves a domain.
    fn move_to_pool(&self, pool: u32, domain: DomId) -> Result<()>;

    // Building.

    /// `XENMEM_claim_pages`.
    fn claim_pages(&self, domain: DomId, pages: u64) -> Result<()>;
    /// The guest's e820: start, size, kind.
    fn set_memory_map(&self, domain: DomId, map: &[(u64, u64, u32)]) -> Result<()>;
    /// Gives memory; the answer is how many of the extents were populated.
    fn populate(&self, domain: DomId, what: Populate<'_>) -> Result<usize>;
    /// `XENMEM_set_pod_target`, in pages.
    fn set_pod_target(&self, domain: DomId, pages: u64) -> Result<()>;
    /// Writes guest memory, at any guest-physical address that is populated RAM.
    fn write_guest(&self, domain: DomId, address: u64, bytes: &[u8]) -> Result<()>;
    /// Reads guest memory.
    fn read_guest(&self, domain: DomId, address: u64, bytes: &mut [u8]) -> Result<()>;
    /// `HVM_PARAM_*`.
    fn hvm_param(&self, domain: DomId, index: u32) -> Result<u64>;
    /// `HVM_PARAM_*`.
    fn set_hvm_param(&self, domain: DomId, index: u32, value: u64) -> Result<()>;
    /// The domain's machine state, as a stream of records.
    fn hvm_context(&self, domain: DomId) -> Result<Vec<u8>>;
    /// Sets the machine state.
    fn set_hvm_context(&self, domain: DomId, records: &[u8]) -> Result<()>;
    /// Grants reserved entry `reference` (0 console, 1 store) of the domain's table to dom0.
    fn seed_grant(&self, domain: DomId, reference: u32, gfn: u64, to: DomId) -> Result<()>;
    /// A host policy: `XEN_SYSCTL_cpu_policy_*`.
    fn host_cpu_policy(&self, index: u32) -> Result<CpuPolicy>;
    /// A domain's policy.
    fn cpu_policy(&self, domain: DomId) -> Result<CpuPolicy>;
    /// Sets a domain's policy; the error names the leaf or MSR.
    fn set_cpu_policy(&self, domain: DomId, policy: &CpuPolicy) -> Result<()>;
    /// `XEN_SYSCTL_get_cpu_featureset`: a bitmap.
    fn featureset(&self, index: u32) -> Result<Vec<u32>>;
    /// A port of `domain` that `remote` may bind.
    fn alloc_unbound_port(&self, domain: DomId, remote: DomId) -> Result<u32>;
}
