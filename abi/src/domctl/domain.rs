//! Payloads that create, describe and control a whole domain.

use crate::arch_x86::ArchDomainconfig;
use crate::xen::CtlBitmap;

numbers! {
    /// Hardware-virtualised (HVM or PVH).
    pub const XEN_DOMCTL_CDF_HVM: u32 = 1 << 0;
    /// Hardware-assisted paging.
    pub const XEN_DOMCTL_CDF_HAP: u32 = 1 << 1;
    /// Check memory across S3.
    pub const XEN_DOMCTL_CDF_S3_INTEGRITY: u32 = 1 << 2;
    /// Shadow paging detail.
    pub const XEN_DOMCTL_CDF_OOS_OFF: u32 = 1 << 3;
    /// Runs xenstored.
    pub const XEN_DOMCTL_CDF_XS_DOMAIN: u32 = 1 << 4;
    /// May get devices.
    pub const XEN_DOMCTL_CDF_IOMMU: u32 = 1 << 5;
    /// Nested virtualisation.
    pub const XEN_DOMCTL_CDF_NESTED_VIRT: u32 = 1 << 6;
    /// Virtual performance counters.
    pub const XEN_DOMCTL_CDF_VPMU: u32 = 1 << 7;
    /// Highest known flag.
    pub const XEN_DOMCTL_CDF_MAX: u32 = 1 << 7;
    /// I/O MMU option: do not share page tables with the CPU.
    pub const XEN_DOMCTL_IOMMU_NO_SHAREPT: u32 = 1 << 0;
    /// Highest known I/O MMU option.
    pub const XEN_DOMCTL_IOMMU_MAX: u32 = 1 << 0;
    /// Grant options: highest table format.
    pub const XEN_DOMCTL_GRANT_VERSION_MASK: u32 = 0xf;
    /// Bits of the alternate-map mode.
    pub const XEN_DOMCTL_ALTP2M_MODE_MASK: u32 = 3;
    /// Alternate maps: for the guest and for others.
    pub const XEN_DOMCTL_ALTP2M_MIXED: u32 = 1;
    /// Alternate maps: for others.
    pub const XEN_DOMCTL_ALTP2M_EXTERNAL: u32 = 2;
    /// Alternate maps: for others, and the guest may switch.
    pub const XEN_DOMCTL_ALTP2M_LIMITED: u32 = 3;

    /// Being destroyed.
    pub const XEN_DOMINF_DYING: u32 = 1 << 0;
    /// Hardware-virtualised.
    pub const XEN_DOMINF_HVM_GUEST: u32 = 1 << 1;
    /// Shut down; the reason is in bits 23:16.
    pub const XEN_DOMINF_SHUTDOWN: u32 = 1 << 2;
    /// Paused by the tools.
    pub const XEN_DOMINF_PAUSED: u32 = 1 << 3;
    /// All vCPUs blocked.
    pub const XEN_DOMINF_BLOCKED: u32 = 1 << 4;
    /// A vCPU runs.
    pub const XEN_DOMINF_RUNNING: u32 = 1 << 5;
    /// Being debugged.
    pub const XEN_DOMINF_DEBUGGED: u32 = 1 << 6;
    /// Runs xenstored.
    pub const XEN_DOMINF_XS_DOMAIN: u32 = 1 << 7;
    /// Uses hardware-assisted paging.
    pub const XEN_DOMINF_HAP: u32 = 1 << 8;
    /// Bits of the shutdown reason once shifted.
    pub const XEN_DOMINF_SHUTDOWNMASK: u32 = 255;
    /// Place of the shutdown reason.
    pub const XEN_DOMINF_SHUTDOWNSHIFT: u32 = 16;
    /// No vCPU.
    pub const XEN_INVALID_MAX_VCPU_ID: u32 = u32::MAX;

    /// Page kind in bits 31:28: not a page table.
    pub const XEN_DOMCTL_PFINFO_NOTAB: u32 = 0;
    /// Page kind: no page.
    pub const XEN_DOMCTL_PFINFO_XTAB: u32 = 0xf << 28;
    /// Page kind: allocated but without content.
    pub const XEN_DOMCTL_PFINFO_XALLOC: u32 = 0xe << 28;
    /// Page kind: broken memory.
    pub const XEN_DOMCTL_PFINFO_BROKEN: u32 = 0xd << 28;
    /// Bits with the page kind.
    pub const XEN_DOMCTL_PFINFO_LTAB_MASK: u32 = 0xf << 28;

    /// Stop tracking.
    pub const XEN_DOMCTL_SHADOW_OP_OFF: u32 = 0;
    /// Enable a test mode.
    pub const XEN_DOMCTL_SHADOW_OP_ENABLE_TEST: u32 = 1;
    /// Start to track written pages.
    pub const XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY: u32 = 2;
    /// Read the bitmap and clear it.
    pub const XEN_DOMCTL_SHADOW_OP_CLEAN: u32 = 11;
    /// Read the bitmap.
    pub const XEN_DOMCTL_SHADOW_OP_PEEK: u32 = 12;
    /// Read the pool size in MiB.
    pub const XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION: u32 = 30;
    /// Set the pool size in MiB.
    pub const XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION: u32 = 31;
    /// Enable with a mode.
    pub const XEN_DOMCTL_SHADOW_OP_ENABLE: u32 = 32;
    /// Mode of [`XEN_DOMCTL_SHADOW_OP_CLEAN`]: the last round.
    pub const XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL: u32 = 1;

    /// Mode of [`XEN_DOMCTL_SHADOW_OP_ENABLE`]: reference counts.
    pub const XEN_DOMCTL_SHADOW_ENABLE_REFCOUNT: u32 = 1 << 1;
    /// Mode of [`XEN_DOMCTL_SHADOW_OP_ENABLE`]: track written pages.
    pub const XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY: u32 = 1 << 2;
    /// Mode of [`XEN_DOMCTL_SHADOW_OP_ENABLE`]: translate guest frames.
    pub const XEN_DOMCTL_SHADOW_ENABLE_TRANSLATE: u32 = 1 << 3;
    /// Mode of [`XEN_DOMCTL_SHADOW_OP_ENABLE`]: Xen is outside the tables.
    pub const XEN_DOMCTL_SHADOW_ENABLE_EXTERNAL: u32 = 1 << 4;

    /// Scheduler.
    pub const XEN_SCHEDULER_CREDIT: u32 = 5;
    /// Scheduler.
    pub const XEN_SCHEDULER_CREDIT2: u32 = 6;
    /// Scheduler.
    pub const XEN_SCHEDULER_ARINC653: u32 = 7;
    /// Scheduler.
    pub const XEN_SCHEDULER_RTDS: u32 = 8;
    /// Scheduler.
    pub const XEN_SCHEDULER_NULL: u32 = 9;
    /// Set a domain's parameters.
    pub const XEN_DOMCTL_SCHEDOP_PUTINFO: u32 = 0;
    /// Read them.
    pub const XEN_DOMCTL_SCHEDOP_GETINFO: u32 = 1;
    /// Set vCPUs' parameters.
    pub const XEN_DOMCTL_SCHEDOP_PUTVCPUINFO: u32 = 2;
    /// Read them.
    pub const XEN_DOMCTL_SCHEDOP_GETVCPUINFO: u32 = 3;

    /// Send an NMI.
    pub const XEN_DOMCTL_SENDTRIGGER_NMI: u32 = 0;
    /// Reset.
    pub const XEN_DOMCTL_SENDTRIGGER_RESET: u32 = 1;
    /// Send INIT.
    pub const XEN_DOMCTL_SENDTRIGGER_INIT: u32 = 2;
    /// Press the power button.
    pub const XEN_DOMCTL_SENDTRIGGER_POWER: u32 = 3;
    /// Press the sleep button.
    pub const XEN_DOMCTL_SENDTRIGGER_SLEEP: u32 = 4;
}

structures! {
    /// Create a domain.
    pub struct DomctlCreatedomain("struct xen_domctl_createdomain", 68) {
        /// In: security label.
        0 ssidref: u32,
        /// In: UUID.
        4 handle: [u8; 16],
        /// In: `XEN_DOMCTL_CDF_*`.
        20 flags: u32,
        /// In: `XEN_DOMCTL_IOMMU_*`.
        24 iommu_opts: u32,
        /// In: number of vCPUs.
        28 max_vcpus: u32,
        /// In: highest event port.
        32 max_evtchn_port: u32,
        /// In: limit, negative for the default.
        36 max_grant_frames: i32,
        /// In: limit, negative for the default.
        40 max_maptrack_frames: i32,
        /// In: highest grant table format in the low 4 bits.
        44 grant_opts: u32,
        /// In: alternate-map mode.
        48 altp2m_opts: u32,
        /// In: bytes of trace buffer for each vCPU.
        52 vmtrace_size: u32,
        /// In: CPU pool.
        56 cpupool_id: u32,
        /// In: architecture part.
        60 arch: ArchDomainconfig,
    }

    /// Describe a domain.
    pub struct DomctlGetdomaininfo("struct xen_domctl_getdomaininfo", 112) {
        /// Out: domain.
        0 domain: u16,
        2 pad1: u16,
        /// Out: `XEN_DOMINF_*`.
        4 flags: u32,
        /// Out: pages it has.
        8 tot_pages: u64,
        /// Out: pages it may have.
        16 max_pages: u64,
        /// Out: pages claimed.
        24 outstanding_pages: u64,
        /// Out: pages shared.
        32 shr_pages: u64,
        /// Out: pages paged out.
        40 paged_pages: u64,
        /// Out: frame of the shared info page.
        48 shared_info_frame: u64,
        /// Out: nanoseconds of CPU time.
        56 cpu_time: u64,
        /// Out: vCPUs up.
        64 nr_online_vcpus: u32,
        /// Out: highest vCPU id, or [`XEN_INVALID_MAX_VCPU_ID`].
        68 max_vcpu_id: u32,
        /// Out: security label.
        72 ssidref: u32,
        /// Out: UUID.
        76 handle: [u8; 16],
        /// Out: CPU pool.
        92 cpupool: u32,
        /// Out: bits of a guest-physical address.
        96 gpaddr_bits: u8,
        97 pad2: [u8; 7],
        /// Out: architecture part.
        104 arch_config: ArchDomainconfig,
    }

    /// Kinds of pages.
    pub struct DomctlGetpageframeinfo3("struct xen_domctl_getpageframeinfo3", 16) {
        /// In: entries.
        0 num: u64,
        /// In and out: handle of `u64` frames, replaced by their kinds.
        8 array: u64,
    }

    /// Track written pages.
    pub struct DomctlShadowOp("struct xen_domctl_shadow_op", 40) {
        /// In: `XEN_DOMCTL_SHADOW_OP_*`.
        0 op: u32,
        /// In: mode of the operation.
        4 mode: u32,
        /// In or out: pool size in MiB.
        8 mb: u32,
        12 _pad: [u8; 4],
        /// In: handle of the bitmap, 0 for none.
        16 dirty_bitmap: u64,
        /// In: pages the bitmap holds; out: pages written to it.
        24 pages: u64,
        /// Out: faults since the last clean.
        32 fault_count: u32 => "stats.fault_count",
        /// Out: dirty pages since the last clean.
        36 dirty_count: u32 => "stats.dirty_count",
    }

    /// Limit of memory.
    pub struct DomctlMaxMem("struct xen_domctl_max_mem", 8) {
        /// In: limit in KiB.
        0 max_memkb: u64,
    }

    /// Nodes to take memory from.
    pub struct DomctlNodeaffinity("struct xen_domctl_nodeaffinity", 16) {
        /// In or out: nodes.
        0 nodemap: CtlBitmap,
    }

    /// Number of vCPUs.
    pub struct DomctlMaxVcpus("struct xen_domctl_max_vcpus", 4) {
        /// In: must be what createdomain said.
        0 max: u32,
    }

    /// Parameters of the credit schedulers.
    pub struct DomctlSchedCredit("struct xen_domctl_sched_credit", 4) {
        /// In or out: weight.
        0 weight: u16,
        /// In or out: limit in percent of a CPU, 0 for none.
        2 cap: u16,
    }

    /// Parameters of a vCPU in [`DomctlSchedulerOp`].
    pub struct DomctlSchedparamVcpu("xen_domctl_schedparam_vcpu_t", 16) {
        /// In or out: weight, or period in microseconds.
        0 credit: DomctlSchedCredit => "u.credit",
        /// In or out: budget in microseconds.
        4 budget: u32 => "u.rtds.budget",
        /// In or out: flags.
        8 flags: u32 => "u.rtds.flags",
        /// In: vCPU.
        12 vcpuid: u32,
    }

    /// Scheduling parameters. For the `VCPUINFO` commands the 16 bytes from 8 on are [`DomctlSchedulerOpVcpus`].
    pub struct DomctlSchedulerOp("struct xen_domctl_scheduler_op", 24) {
        /// In: `XEN_SCHEDULER_*`.
        0 sched_id: u32,
        /// In: `XEN_DOMCTL_SCHEDOP_*`.
        4 cmd: u32,
        /// In or out: credit and credit2.
        8 credit: DomctlSchedCredit => "u.credit",
        12 _pad: [u8; 12],
    }

    /// The vCPU form of [`DomctlSchedulerOp`].
    pub struct DomctlSchedulerOpVcpus("struct xen_domctl_scheduler_op", 24) {
        /// In: `XEN_SCHEDULER_*`.
        0 sched_id: u32,
        /// In: `XEN_DOMCTL_SCHEDOP_*`.
        4 cmd: u32,
        /// In: handle of [`DomctlSchedparamVcpu`].
        8 vcpus: u64 => "u.v.vcpus",
        /// In: entries; out: entries done.
        16 nr_vcpus: u32 => "u.v.nr_vcpus",
        20 _pad: [u8; 4],
    }

    /// Set the UUID.
    pub struct DomctlSetdomainhandle("struct xen_domctl_setdomainhandle", 16) {
        /// In: UUID.
        0 handle: [u8; 16],
    }

    /// Mark as debugged.
    pub struct DomctlSetdebugging("struct xen_domctl_setdebugging", 1) {
        /// In: nonzero to enable.
        0 enable: u8,
    }

    /// Fill a hypercall page.
    pub struct DomctlHypercallInit("struct xen_domctl_hypercall_init", 8) {
        /// In: guest frame.
        0 gmfn: u64,
    }

    /// Offset of the domain's wall clock.
    pub struct DomctlSettimeoffset("struct xen_domctl_settimeoffset", 8) {
        /// In: seconds.
        0 time_offset_seconds: i64,
    }

    /// TSC behaviour.
    pub struct DomctlTscInfo("struct xen_domctl_tsc_info", 24) {
        /// In or out: 0 default, 1 always emulate, 2 never emulate.
        0 tsc_mode: u32,
        /// In or out: guest TSC frequency in kHz.
        4 gtsc_khz: u32,
        /// In or out: number of migrations.
        8 incarnation: u32,
        12 pad: u32,
        /// In or out: guest time in nanoseconds.
        16 elapsed_nsec: u64,
    }

    /// Address width.
    pub struct DomctlAddressSize("struct xen_domctl_address_size", 4) {
        /// In or out: 32 or 64.
        0 size: u32,
    }

    /// Send a trigger.
    pub struct DomctlSendtrigger("struct xen_domctl_sendtrigger", 8) {
        /// In: `XEN_DOMCTL_SENDTRIGGER_*`.
        0 trigger: u32,
        /// In: vCPU.
        4 vcpu: u32,
    }

    /// Port to raise when the domain suspends.
    pub struct DomctlSubscribe("struct xen_domctl_subscribe", 4) {
        /// In: port of the domain.
        0 port: u32,
    }

    /// Domain whose device model this is.
    pub struct DomctlSetTarget("struct xen_domctl_set_target", 2) {
        /// In: domain.
        0 target: u16,
    }

    /// Domain that gets a global VIRQ.
    pub struct DomctlSetVirqHandler("struct xen_domctl_set_virq_handler", 4) {
        /// In: `VIRQ_*`.
        0 virq: u32,
    }

    /// Memory for guest page tables.
    pub struct DomctlPagingMempool("struct xen_domctl_paging_mempool", 8) {
        /// In or out: bytes.
        0 size: u64,
    }

    /// Virtual NUMA.
    pub struct DomctlVnuma("struct xen_domctl_vnuma", 48) {
        /// In: nodes.
        0 nr_vnodes: u32,
        /// In: memory ranges.
        4 nr_vmemranges: u32,
        /// In: vCPUs.
        8 nr_vcpus: u32,
        12 pad: u32,
        /// In: handle of `u32` distances.
        16 vdistance: u64,
        /// In: handle of `u32` nodes of vCPUs.
        24 vcpu_to_vnode: u64,
        /// In: handle of `u32` physical nodes.
        32 vnode_to_pnode: u64,
        /// In: handle of [`crate::memory::Vmemrange`].
        40 vmemrange: u64,
    }

    /// Cache colours.
    pub struct DomctlSetLlcColors("struct xen_domctl_set_llc_colors", 16) {
        /// In: colours.
        0 num_llc_colors: u32,
        4 pad: u32,
        /// In: handle of `u32` colours.
        8 llc_colors: u64,
    }
}
