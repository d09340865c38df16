//! [`Hypervisor`] over the devices: each request is in the module of its subject.

use xen_abi::domctl::{
    DomctlCreatedomain, DomctlGetdomaininfo, DomctlGetvcpuinfo, DomctlSchedulerOp, DomctlTscInfo,
    XEN_DOMCTL_PAUSEDOMAIN, XEN_DOMCTL_RESUMEDOMAIN, XEN_DOMCTL_UNPAUSEDOMAIN,
};
use xen_abi::physdev::PhysdevPciDevice;
use xen_abi::sysctl::{SysctlCputopo, SysctlPhysinfo, SysctlSchedulerOp};

use super::{Xen, cpus, domains, grants, host, memory, policy, pools, resources};
use crate::{
    Affinity, CompileInfo, ConsoleText, CpuPolicy, CpuPool, CpuSet, DomId, Hypervisor, NumaInfo,
    Populate, Result, VersionText, call,
};

impl Hypervisor for Xen {
    fn version(&self) -> Result<(u32, u32)> {
        host::version(self)
    }

    fn version_text(&self, what: VersionText) -> Result<String> {
        host::version_text(self, what)
    }

    fn compile_info(&self) -> Result<CompileInfo> {
        host::compile_info(self)
    }

    fn page_size(&self) -> Result<u32> {
        host::page_size(self)
    }

    fn virtual_start(&self) -> Result<u64> {
        host::virtual_start(self)
    }

    fn build_id(&self) -> Result<Vec<u8>> {
        host::build_id(self)
    }

    fn physinfo(&self) -> Result<SysctlPhysinfo> {
        host::physinfo(self)
    }

    fn scheduler(&self) -> Result<u32> {
        host::scheduler(self)
    }

    fn cpu_topology(&self) -> Result<Vec<SysctlCputopo>> {
        host::cpu_topology(self)
    }

    fn pci_nodes(&self, devices: &[PhysdevPciDevice]) -> Result<Vec<u32>> {
        host::pci_nodes(self, devices)
    }

    fn numa_info(&self) -> Result<NumaInfo> {
        host::numa_info(self)
    }

    fn cpu_idle_times(&self) -> Result<Vec<u64>> {
        host::cpu_idle_times(self)
    }

    fn sharing_pages(&self) -> Result<(u64, u64)> {
        host::sharing_pages(self)
    }

    fn read_console(&self, clear: bool, from: Option<u32>) -> Result<ConsoleText> {
        host::read_console(self, clear, from)
    }

    fn debug_keys(&self, keys: &str) -> Result<()> {
        host::debug_keys(self, keys)
    }

    fn domains(&self) -> Result<Vec<DomctlGetdomaininfo>> {
        domains::list(self)
    }

    fn domain(&self, domain: DomId) -> Result<DomctlGetdomaininfo> {
        domains::info(self, domain)
    }

    fn create_domain(&self, wanted: DomId, how: &DomctlCreatedomain) -> Result<DomId> {
        domains::create(self, wanted, how)
    }

    fn destroy_domain(&self, domain: DomId) -> Result<()> {
        domains::destroy(self, domain)
    }

    fn pause_domain(&self, domain: DomId) -> Result<()> {
        self.bare_domctl(call::PAUSE_DOMAIN, XEN_DOMCTL_PAUSEDOMAIN, domain)
    }

    fn unpause_domain(&self, domain: DomId) -> Result<()> {
        self.bare_domctl(call::UNPAUSE_DOMAIN, XEN_DOMCTL_UNPAUSEDOMAIN, domain)
    }

    fn resume_domain(&self, domain: DomId) -> Result<()> {
        self.bare_domctl(call::RESUME_DOMAIN, XEN_DOMCTL_RESUMEDOMAIN, domain)
    }

    fn remote_shutdown(&self, domain: DomId, reason: u32) -> Result<()> {
        domains::remote_shutdown(self, domain, reason)
    }

    fn set_handle(&self, domain: DomId, handle: [u8; 16]) -> Result<()> {
        domains::set_handle(self, domain, handle)
    }

    fn set_max_vcpus(&self, domain: DomId, count: u32) -> Result<()> {
        domains::set_max_vcpus(self, domain, count)
    }

    fn set_max_memory(&self, domain: DomId, kib: u64) -> Result<()> {
        domains::set_max_memory(self, domain, kib)
    }

    fn set_paging_memory(&self, domain: DomId, bytes: u64) -> Result<()> {
        domains::set_paging_memory(self, domain, bytes)
    }

    fn set_tsc_info(
        &self,
        domain: DomId,
        mode: u32,
        elapsed_ns: u64,
        khz: u32,
        incarnation: u32,
    ) -> Result<()> {
        domains::set_tsc_info(
            self,
            domain,
            DomctlTscInfo {
                tsc_mode: mode,
                gtsc_khz: khz,
                incarnation,
                elapsed_nsec: elapsed_ns,
                ..DomctlTscInfo::default()
            },
        )
    }

    fn set_time_offset(&self, domain: DomId, seconds: i64) -> Result<()> {
        domains::set_time_offset(self, domain, seconds)
    }

    fn set_node_affinity(&self, domain: DomId, nodes: &CpuSet) -> Result<()> {
        domains::set_node_affinity(self, domain, nodes)
    }

    fn node_affinity(&self, domain: DomId) -> Result<CpuSet> {
        domains::node_affinity(self, domain)
    }

    fn set_no_llc_colors(&self, domain: DomId) -> Result<()> {
        domains::set_no_llc_colors(self, domain)
    }

    fn permit_ports(&self, domain: DomId, first: u32, count: u32) -> Result<()> {
        resources::permit_ports(self, domain, first, count)
    }

    fn map_irq(&self, domain: DomId, irq: i32) -> Result<i32> {
        resources::map_irq(self, domain, irq)
    }

    fn permit_irq(&self, domain: DomId, pirq: i32) -> Result<()> {
        resources::permit_irq(self, domain, pirq)
    }

    fn permit_memory(&self, domain: DomId, first: u64, count: u64) -> Result<()> {
        resources::permit_memory(self, domain, first, count)
    }

    fn map_memory(&self, domain: DomId, gfn: u64, mfn: u64, count: u64) -> Result<()> {
        resources::map_memory(self, domain, gfn, mfn, count)
    }

    fn send_trigger(&self, domain: DomId, trigger: u32, vcpu: u32) -> Result<()> {
        domains::send_trigger(self, domain, trigger, vcpu)
    }

    fn vcpu(&self, domain: DomId, vcpu: u32) -> Result<DomctlGetvcpuinfo> {
        cpus::info(self, domain, vcpu)
    }

    fn vcpu_affinity(&self, domain: DomId, vcpu: u32) -> Result<Affinity> {
        cpus::affinity(self, domain, vcpu)
    }

    fn set_vcpu_affinity(
        &self,
        domain: DomId,
        vcpu: u32,
        hard: Option<&CpuSet>,
        soft: Option<&CpuSet>,
        force: bool,
    ) -> Result<Affinity> {
        cpus::set_affinity(self, domain, vcpu, hard, soft, force)
    }

    fn domain_scheduler(&self, domain: DomId, op: DomctlSchedulerOp) -> Result<DomctlSchedulerOp> {
        cpus::domain_scheduler(self, domain, op)
    }

    fn pool_scheduler(&self, op: SysctlSchedulerOp) -> Result<SysctlSchedulerOp> {
        cpus::pool_scheduler(self, op)
    }

    fn cpu_pools(&self) -> Result<Vec<CpuPool>> {
        pools::list(self)
    }

    fn free_cpus(&self) -> Result<CpuSet> {
        pools::free_cpus(self)
    }

    fn create_pool(&self, scheduler: u32) -> Result<u32> {
        pools::create(self, scheduler)
    }

    fn destroy_pool(&self, pool: u32) -> Result<()> {
        pools::destroy(self, pool)
    }

    fn add_pool_cpu(&self, pool: u32, cpu: Option<u32>) -> Result<()> {
        pools::add_cpu(self, pool, cpu)
    }

    fn remove_pool_cpu(&self, pool: u32, cpu: Option<u32>) -> Result<()> {
        pools::remove_cpu(self, pool, cpu)
    }

    fn move_to_pool(&self, pool: u32, domain: DomId) -> Result<()> {
        pools::move_domain(self, pool, domain)
    }

    fn claim_pages(&self, domain: DomId, pages: u64) -> Result<()> {
        memory::claim(self, domain, pages)
    }

    fn set_memory_map(&self, domain: DomId, map: &[(u64, u64, u32)]) -> Result<()> {
        memory::set_map(self, domain, map)
    }

    fn populate(&self, domain: DomId, what: Populate<'_>) -> Result<usize> {
        memory::populate(self, domain, what)
    }

    fn set_pod_target(&self, domain: DomId, pages: u64) -> Result<()> {
        memory::set_pod_target(self, domain, pages)
    }

    fn write_guest(&self, domain: DomId, address: u64, bytes: &[u8]) -> Result<()> {
        memory::write(self, domain, address, bytes)
    }

    fn read_guest(&self, domain: DomId, address: u64, bytes: &mut [u8]) -> Result<()> {
        memory::read(self, domain, address, bytes)
    }

    fn hvm_param(&self, domain: DomId, index: u32) -> Result<u64> {
        domains::param(self, domain, index)
    }

    fn set_hvm_param(&self, domain: DomId, index: u32, value: u64) -> Result<()> {
        domains::set_param(self, domain, index, value)
    }

    fn hvm_context(&self, domain: DomId) -> Result<Vec<u8>> {
        policy::context(self, domain)
    }

    fn set_hvm_context(&self, domain: DomId, records: &[u8]) -> Result<()> {
        policy::set_context(self, domain, records)
    }

    fn seed_grant(&self, domain: DomId, reference: u32, gfn: u64, to: DomId) -> Result<()> {
        grants::seed(self, domain, reference, gfn, to)
    }

    fn host_cpu_policy(&self, index: u32) -> Result<CpuPolicy> {
        policy::of_host(self, index)
    }

    fn cpu_policy(&self, domain: DomId) -> Result<CpuPolicy> {
        policy::of_domain(self, domain)
    }

    fn set_cpu_policy(&self, domain: DomId, policy: &CpuPolicy) -> Result<()> {
        policy::set(self, domain, policy)
    }

    fn featureset(&self, index: u32) -> Result<Vec<u32>> {
        policy::featureset(self, index)
    }

    fn alloc_unbound_port(&self, domain: DomId, remote: DomId) -> Result<u32> {
        domains::alloc_unbound_port(self, domain, remote)
    }
}
