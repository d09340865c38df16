//! [`Hypervisor`] over the state of a fake host.

use xen_abi::domctl::{
    DomctlCreatedomain, DomctlGetdomaininfo, DomctlGetvcpuinfo, DomctlSchedulerOp,
};
use xen_abi::errno::Errno;
use xen_abi::hvm::params::HVM_NR_PARAMS;
use xen_abi::physdev::PhysdevPciDevice;
use xen_abi::sysctl::{SysctlCputopo, SysctlMeminfo, SysctlPhysinfo, SysctlSchedulerOp};

use super::context::{featureset, host_policy};
use super::state::State;
use super::{FakeHost, FakeXen};
use crate::{
    Affinity, CompileInfo, ConsoleText, CpuPolicy, CpuPool, CpuSet, DomId, Error, Hypervisor,
    NumaInfo, Populate, Result, VersionText, call,
};

impl Hypervisor for FakeXen {
    fn version(&self) -> Result<(u32, u32)> {
        self.request(call::VERSION, |state| Ok(state.host.version))
    }

    fn version_text(&self, what: VersionText) -> Result<String> {
        let (call, text): (_, fn(&FakeHost) -> &str) = match what {
            VersionText::ExtraVersion => (call::EXTRA_VERSION, |_| ".0-fake"),
            VersionText::Capabilities => (call::CAPABILITIES, |host| &host.capabilities),
            VersionText::Changeset => (call::CHANGESET, |_| "unavailable"),
            VersionText::CommandLine => (call::COMMAND_LINE, |host| &host.command_line),
        };
        self.request(call, |state| Ok(text(&state.host).to_owned()))
    }

    fn compile_info(&self) -> Result<CompileInfo> {
        self.request(call::COMPILE_INFO, |_| {
            Ok(CompileInfo {
                compiler: "rustc".into(),
                by: "nobody".into(),
                domain: "invalid".into(),
                date: "Thu Jan  1 00:00:00 UTC 1970".into(),
            })
        })
    }

    fn page_size(&self) -> Result<u32> {
        self.request(call::PAGE_SIZE, |_| Ok(4096))
    }

    fn virtual_start(&self) -> Result<u64> {
        self.request(call::PLATFORM_PARAMETERS, |_| Ok(0xffff_8000_0000_0000))
    }

    fn build_id(&self) -> Result<Vec<u8>> {
        self.request(call::BUILD_ID, |_| Err(Errno::ENODATA))
    }

    fn physinfo(&self) -> Result<SysctlPhysinfo> {
        self.request(call::PHYSINFO, |state| Ok(physinfo(state)))
    }

    fn scheduler(&self) -> Result<u32> {
        self.request(call::SCHEDULER_ID, |state| Ok(state.host.scheduler))
    }

    fn cpu_topology(&self) -> Result<Vec<SysctlCputopo>> {
        self.request(call::CPU_TOPOLOGY, |state| {
            let place = |core| SysctlCputopo {
                core,
                ..SysctlCputopo::default()
            };
            Ok((0..state.host.cpus).map(place).collect())
        })
    }

    fn pci_nodes(&self, devices: &[PhysdevPciDevice]) -> Result<Vec<u32>> {
        self.request(call::PCI_TOPOLOGY, |_| Ok(vec![0; devices.len()]))
    }

    fn numa_info(&self) -> Result<NumaInfo> {
        self.request(call::NUMA_INFO, |state| {
            let node = SysctlMeminfo {
                memsize: state.host.total_pages.saturating_mul(4096),
                memfree: state.free_pages().saturating_mul(4096),
            };
            Ok(NumaInfo {
                nodes: vec![node],
                distances: vec![10],
            })
        })
    }

    fn cpu_idle_times(&self) -> Result<Vec<u64>> {
        self.request(call::CPU_INFO, |state| {
            Ok(vec![0; state.host.cpus as usize])
        })
    }

    fn sharing_pages(&self) -> Result<(u64, u64)> {
        self.request(call::SHARING_FREED, |_| Err(Errno::ENOSYS))
    }

    fn read_console(&self, clear: bool, from: Option<u32>) -> Result<ConsoleText> {
        self.request(call::READ_CONSOLE, |state| {
            let end = state.log.len();
            let newest = from.map_or(0, |index| index as usize);
            let start = newest.clamp(state.cleared, end);
            if clear {
                state.cleared = end;
            }
            Ok(ConsoleText {
                text: state.log[start..].to_vec(),
                index: end as u32,
            })
        })
    }

    fn debug_keys(&self, keys: &str) -> Result<()> {
        self.request(call::DEBUG_KEYS, |state| {
            state.debug_keys.push_str(keys);
            for key in keys.chars() {
                state.print(&format!("(XEN) '{key}' pressed\n"));
            }
            Ok(())
        })
    }

    fn domains(&self) -> Result<Vec<DomctlGetdomaininfo>> {
        self.request(call::DOMAIN_LIST, |state| Ok(state.infos()))
    }

    fn domain(&self, domain: DomId) -> Result<DomctlGetdomaininfo> {
        self.request(call::DOMAIN_INFO, |state| state.info(domain))
    }

    fn create_domain(&self, wanted: DomId, how: &DomctlCreatedomain) -> Result<DomId> {
        self.request(call::CREATE_DOMAIN, |state| state.create(wanted, how))
    }

    fn destroy_domain(&self, domain: DomId) -> Result<()> {
        self.request(call::DESTROY_DOMAIN, |state| state.destroy(domain))
    }

    fn pause_domain(&self, domain: DomId) -> Result<()> {
        self.request(call::PAUSE_DOMAIN, |state| state.pause(domain))
    }

    fn unpause_domain(&self, domain: DomId) -> Result<()> {
        self.request(call::UNPAUSE_DOMAIN, |state| state.unpause(domain))
    }

    fn resume_domain(&self, domain: DomId) -> Result<()> {
        self.request(call::RESUME_DOMAIN, |state| state.resume(domain))
    }

    fn remote_shutdown(&self, domain: DomId, reason: u32) -> Result<()> {
        self.request(call::REMOTE_SHUTDOWN, |state| {
            state.shut_down(domain, reason)
        })
    }

    fn set_handle(&self, domain: DomId, handle: [u8; 16]) -> Result<()> {
        self.request(call::SET_HANDLE, |state| {
            state.domain(domain)?.handle = handle;
            Ok(())
        })
    }

    fn set_max_vcpus(&self, domain: DomId, count: u32) -> Result<()> {
        self.request(call::MAX_VCPUS, |state| state.set_max_vcpus(domain, count))
    }

    fn set_max_memory(&self, domain: DomId, kib: u64) -> Result<()> {
        self.request(call::MAX_MEMORY, |state| {
            state.domain(domain)?.max_pages = kib / 4;
            Ok(())
        })
    }

    fn set_paging_memory(&self, domain: DomId, bytes: u64) -> Result<()> {
        self.request(call::PAGING_MEMORY, |state| {
            state.set_paging_memory(domain, bytes)
        })
    }

    fn set_tsc_info(
        &self,
        domain: DomId,
        mode: u32,
        elapsed_ns: u64,
        khz: u32,
        incarnation: u32,
    ) -> Result<()> {
        self.request(call::SET_TSC_INFO, |state| {
            state.guest(domain)?.built.tsc = Some((mode, elapsed_ns, khz, incarnation));
            Ok(())
        })
    }

    fn set_time_offset(&self, domain: DomId, seconds: i64) -> Result<()> {
        self.request(call::SET_TIME_OFFSET, |state| {
            state.domain(domain)?.built.time_offset = seconds;
            Ok(())
        })
    }

    fn set_node_affinity(&self, domain: DomId, nodes: &CpuSet) -> Result<()> {
        self.request(call::SET_NODE_AFFINITY, |state| {
            if nodes.is_empty() {
                return Err(Errno::EINVAL);
            }
            state.domain(domain)?.built.nodes = nodes.clone();
            Ok(())
        })
    }

    fn node_affinity(&self, domain: DomId) -> Result<CpuSet> {
        self.request(call::GET_NODE_AFFINITY, |state| {
            let nodes = &state.domain(domain)?.built.nodes;
            match nodes.is_empty() {
                true => Ok(CpuSet::first(1)),
                false => Ok(nodes.clone()),
            }
        })
    }

    fn set_no_llc_colors(&self, _domain: DomId) -> Result<()> {
        self.request(call::SET_LLC_COLORS, |_| Err(Errno::EOPNOTSUPP))
    }

    fn permit_ports(&self, domain: DomId, first: u32, count: u32) -> Result<()> {
        self.request(call::IOPORT_PERMISSION, |state| {
            match first.checked_add(count) {
                Some(end) if count > 0 && end <= 0x1_0000 => {}
                _ => return Err(Errno::EINVAL),
            }
            state.domain(domain)?.built.ports.push((first, count));
            Ok(())
        })
    }

    fn map_irq(&self, domain: DomId, irq: i32) -> Result<i32> {
        self.request(call::MAP_PIRQ, |state| state.domain(domain).map(|_| irq))
    }

    fn permit_irq(&self, domain: DomId, pirq: i32) -> Result<()> {
        self.request(call::IRQ_PERMISSION, |state| {
            state.domain(domain)?.built.irqs.push(pirq);
            Ok(())
        })
    }

    fn permit_memory(&self, domain: DomId, first: u64, count: u64) -> Result<()> {
        self.request(call::IOMEM_PERMISSION, |state| {
            if count == 0 || first.checked_add(count).is_none() {
                return Err(Errno::EINVAL);
            }
            state.domain(domain)?.built.io_memory.push((first, count));
            Ok(())
        })
    }

    /// Only what the domain was permitted.
    fn map_memory(&self, domain: DomId, gfn: u64, mfn: u64, count: u64) -> Result<()> {
        self.request(call::MEMORY_MAPPING, |state| {
            let built = &mut state.guest(domain)?.built;
            let holds = |&(first, permitted): &(u64, u64)| {
                first <= mfn && mfn - first <= permitted && count <= permitted - (mfn - first)
            };
            if !built.io_memory.iter().any(holds) {
                return Err(Errno::EPERM);
            }
            built.mapped.push((gfn, mfn, count));
            Ok(())
        })
    }

    fn send_trigger(&self, domain: DomId, trigger: u32, vcpu: u32) -> Result<()> {
        self.request(call::SEND_TRIGGER, |state| {
            state.send_trigger(domain, trigger, vcpu)
        })
    }

    fn vcpu(&self, domain: DomId, vcpu: u32) -> Result<DomctlGetvcpuinfo> {
        self.request(call::VCPU_INFO, |state| state.vcpu(domain, vcpu))
    }

    fn vcpu_affinity(&self, domain: DomId, vcpu: u32) -> Result<Affinity> {
        self.request(call::GET_AFFINITY, |state| state.affinity(domain, vcpu))
    }

    fn set_vcpu_affinity(
        &self,
        domain: DomId,
        vcpu: u32,
        hard: Option<&CpuSet>,
        soft: Option<&CpuSet>,
        _force: bool,
    ) -> Result<Affinity> {
        self.request(call::SET_AFFINITY, |state| {
            state.set_affinity(domain, vcpu, hard, soft)
        })
    }

    fn domain_scheduler(&self, domain: DomId, op: DomctlSchedulerOp) -> Result<DomctlSchedulerOp> {
        self.request(call::DOMAIN_SCHEDULER, |state| {
            state.domain_scheduler(domain, op)
        })
    }

    fn pool_scheduler(&self, op: SysctlSchedulerOp) -> Result<SysctlSchedulerOp> {
        self.request(call::POOL_SCHEDULER, |state| state.pool_scheduler(op))
    }

    fn cpu_pools(&self) -> Result<Vec<CpuPool>> {
        self.request(call::POOL_INFO, |state| Ok(state.cpu_pools()))
    }

    fn free_cpus(&self) -> Result<CpuSet> {
        self.request(call::POOL_FREE_INFO, |state| Ok(state.free_cpus()))
    }

    fn create_pool(&self, scheduler: u32) -> Result<u32> {
        self.request(call::POOL_CREATE, |state| state.create_pool(scheduler))
    }

    fn destroy_pool(&self, pool: u32) -> Result<()> {
        self.request(call::POOL_DESTROY, |state| state.destroy_pool(pool))
    }

    fn add_pool_cpu(&self, pool: u32, cpu: Option<u32>) -> Result<()> {
        self.request(call::POOL_ADD_CPU, |state| state.add_pool_cpu(pool, cpu))
    }

    fn remove_pool_cpu(&self, pool: u32, cpu: Option<u32>) -> Result<()> {
        self.request(call::POOL_REMOVE_CPU, |state| {
            state.remove_pool_cpu(pool, cpu)
        })
    }

    fn move_to_pool(&self, pool: u32, domain: DomId) -> Result<()> {
        self.request(call::POOL_MOVE_DOMAIN, |state| {
            state.move_to_pool(pool, domain)
        })
    }

    fn claim_pages(&self, domain: DomId, pages: u64) -> Result<()> {
        self.request(call::CLAIM_PAGES, |state| state.claim(domain, pages))
    }

    fn set_memory_map(&self, domain: DomId, map: &[(u64, u64, u32)]) -> Result<()> {
        self.request(call::SET_MEMORY_MAP, |state| {
            state.guest(domain)?.built.memory_map = map.to_vec();
            Ok(())
        })
    }

    fn populate(&self, domain: DomId, what: Populate<'_>) -> Result<usize> {
        self.request(call::POPULATE, |state| state.populate(domain, what))
    }

    fn set_pod_target(&self, domain: DomId, pages: u64) -> Result<()> {
        self.request(call::SET_POD_TARGET, |state| {
            let free = state.free_pages();
            let guest = state.guest(domain)?;
            guest.built.pod_target = Some(pages);
            if guest.memory.pages() > 0 {
                // Only a domain that is being made gets a pool; for others the target is where its balloon goes.
                return Ok(());
            }
            if pages > free || pages > guest.max_pages {
                return Err(Errno::ENOMEM);
            }
            guest.memory.set_pool(pages);
            Ok(())
        })
    }

    fn write_guest(&self, domain: DomId, address: u64, bytes: &[u8]) -> Result<()> {
        let about = |error: Error| error.about(format!("{address:#x} of domain {domain}"));
        self.request(call::MAP_FOREIGN, |state| {
            state.domain(domain)?.memory.write(address, bytes)
        })
        .map_err(about)
    }

    fn read_guest(&self, domain: DomId, address: u64, bytes: &mut [u8]) -> Result<()> {
        let about = |error: Error| error.about(format!("{address:#x} of domain {domain}"));
        self.request(call::MAP_FOREIGN, |state| {
            state.domain(domain)?.memory.read(address, bytes)
        })
        .map_err(about)
    }

    fn hvm_param(&self, domain: DomId, index: u32) -> Result<u64> {
        self.request(call::GET_PARAM, |state| {
            let params = &state.domain(domain)?.built.params;
            match index < HVM_NR_PARAMS {
                true => Ok(params.get(&index).copied().unwrap_or(0)),
                false => Err(Errno::EINVAL),
            }
        })
    }

    fn set_hvm_param(&self, domain: DomId, index: u32, value: u64) -> Result<()> {
        self.request(call::SET_PARAM, |state| {
            let params = &mut state.domain(domain)?.built.params;
            if index >= HVM_NR_PARAMS {
                return Err(Errno::EINVAL);
            }
            params.insert(index, value);
            Ok(())
        })
    }

    fn hvm_context(&self, domain: DomId) -> Result<Vec<u8>> {
        self.request(call::GET_HVM_CONTEXT, |state| state.hvm_context(domain))
    }

    fn set_hvm_context(&self, domain: DomId, records: &[u8]) -> Result<()> {
        self.request(call::SET_HVM_CONTEXT, |state| {
            state.set_hvm_context(domain, records)
        })
    }

    fn seed_grant(&self, domain: DomId, reference: u32, gfn: u64, to: DomId) -> Result<()> {
        self.request(call::ACQUIRE_RESOURCE, |state| {
            let guest = state.guest(domain)?;
            guest.built.grants.insert(reference, (gfn, to));
            Ok(())
        })
    }

    fn host_cpu_policy(&self, index: u32) -> Result<CpuPolicy> {
        self.request(call::HOST_CPU_POLICY, |_| host_policy(index))
    }

    fn cpu_policy(&self, domain: DomId) -> Result<CpuPolicy> {
        self.request(call::GET_CPU_POLICY, |state| state.policy(domain))
    }

    fn set_cpu_policy(&self, domain: DomId, policy: &CpuPolicy) -> Result<()> {
        let mut refused = None;
        let result = self.request(call::SET_CPU_POLICY, |state| {
            state.set_policy(domain, policy).map_err(|(errno, leaf)| {
                refused = leaf;
                errno
            })
        });
        result.map_err(|error| match refused {
            Some((leaf, subleaf)) => error.about(format!("leaf {leaf:#x}, subleaf {subleaf:#x}")),
            None => error,
        })
    }

    fn featureset(&self, index: u32) -> Result<Vec<u32>> {
        self.request(call::FEATURESET, |_| featureset(index))
    }

    fn alloc_unbound_port(&self, domain: DomId, remote: DomId) -> Result<u32> {
        self.request(call::ALLOC_UNBOUND, |state| {
            state.domain(remote)?;
            state.domain(domain)?;
            state.ports.alloc_unbound(domain, remote)
        })
    }
}

fn physinfo(state: &State) -> SysctlPhysinfo {
    SysctlPhysinfo {
        threads_per_core: 1,
        cores_per_socket: state.host.cpus,
        nr_cpus: state.host.cpus,
        max_cpu_id: state.host.cpus.saturating_sub(1),
        nr_nodes: 1,
        cpu_khz: 2_000_000,
        capabilities: state.host.abilities,
        total_pages: state.host.total_pages,
        free_pages: state.free_pages(),
        outstanding_pages: state.claimed_pages(),
        max_mfn: state.host.total_pages,
        ..SysctlPhysinfo::default()
    }
}
