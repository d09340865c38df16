//! Payloads that describe the host: console, memory, CPUs, nodes, domains.

numbers! {
    /// Can run HVM and PVH guests.
    pub const XEN_SYSCTL_PHYSCAP_HVM: u32 = 1 << 0;
    /// Can run PV guests.
    pub const XEN_SYSCTL_PHYSCAP_PV: u32 = 1 << 1;
    /// Has an I/O MMU.
    pub const XEN_SYSCTL_PHYSCAP_DIRECTIO: u32 = 1 << 2;
    /// Has hardware-assisted paging.
    pub const XEN_SYSCTL_PHYSCAP_HAP: u32 = 1 << 3;
    /// Has shadow paging.
    pub const XEN_SYSCTL_PHYSCAP_SHADOW: u32 = 1 << 4;
    /// CPU and I/O MMU can share page tables.
    pub const XEN_SYSCTL_PHYSCAP_IOMMU_HAP_PT_SHARE: u32 = 1 << 5;
    /// Has processor trace for guests.
    pub const XEN_SYSCTL_PHYSCAP_VMTRACE: u32 = 1 << 6;
    /// Has virtual performance counters.
    pub const XEN_SYSCTL_PHYSCAP_VPMU: u32 = 1 << 7;
    /// Has grant tables of format 1.
    pub const XEN_SYSCTL_PHYSCAP_GNTTAB_V1: u32 = 1 << 8;
    /// Has grant tables of format 2.
    pub const XEN_SYSCTL_PHYSCAP_GNTTAB_V2: u32 = 1 << 9;

    /// Reset counters.
    pub const XEN_SYSCTL_PERFCOP_RESET: u32 = 1;
    /// Read counters.
    pub const XEN_SYSCTL_PERFCOP_QUERY: u32 = 2;

    /// No such CPU.
    pub const XEN_INVALID_CORE_ID: u32 = u32::MAX;
    /// No such CPU.
    pub const XEN_INVALID_SOCKET_ID: u32 = u32::MAX;
    /// No such node.
    pub const XEN_INVALID_NODE_ID: u32 = u32::MAX;
    /// No such node.
    pub const XEN_INVALID_MEM_SZ: u32 = u32::MAX;
    /// No distance known.
    pub const XEN_INVALID_NODE_DIST: u32 = u32::MAX;
    /// No such device.
    pub const XEN_INVALID_DEV: u32 = u32::MAX - 1;

    /// Feature set: the CPU's.
    pub const XEN_SYSCTL_CPU_FEATURESET_RAW: u32 = 0;
    /// Feature set: what Xen uses.
    pub const XEN_SYSCTL_CPU_FEATURESET_HOST: u32 = 1;
    /// Feature set: PV default.
    pub const XEN_SYSCTL_CPU_FEATURESET_PV: u32 = 2;
    /// Feature set: HVM default.
    pub const XEN_SYSCTL_CPU_FEATURESET_HVM: u32 = 3;
    /// Feature set: PV maximum.
    pub const XEN_SYSCTL_CPU_FEATURESET_PV_MAX: u32 = 4;
    /// Feature set: HVM maximum.
    pub const XEN_SYSCTL_CPU_FEATURESET_HVM_MAX: u32 = 5;

    /// Policy: the CPU's.
    pub const XEN_SYSCTL_CPU_POLICY_RAW: u32 = 0;
    /// Policy: what Xen uses.
    pub const XEN_SYSCTL_CPU_POLICY_HOST: u32 = 1;
    /// Policy: PV maximum.
    pub const XEN_SYSCTL_CPU_POLICY_PV_MAX: u32 = 2;
    /// Policy: HVM maximum.
    pub const XEN_SYSCTL_CPU_POLICY_HVM_MAX: u32 = 3;
    /// Policy: PV default.
    pub const XEN_SYSCTL_CPU_POLICY_PV_DEFAULT: u32 = 4;
    /// Policy: HVM default.
    pub const XEN_SYSCTL_CPU_POLICY_HVM_DEFAULT: u32 = 5;

    /// Take pages out of use.
    pub const SYSCTL_PAGE_OFFLINE: u32 = 1;
    /// Put them back.
    pub const SYSCTL_PAGE_ONLINE: u32 = 2;
    /// Read their state.
    pub const SYSCTL_QUERY_PAGE_OFFLINE: u32 = 3;
}

structures! {
    /// Read the hypervisor's console ring.
    pub struct SysctlReadconsole("struct xen_sysctl_readconsole", 24) {
        /// In: nonzero to empty the ring.
        0 clear: u8,
        /// In: nonzero to start at `index`.
        1 incremental: u8,
        2 pad0: u8,
        3 pad1: u8,
        /// In: start; out: where to go on.
        4 index: u32,
        /// In: handle of the bytes.
        8 buffer: u64,
        /// In: bytes the buffer holds; out: bytes written.
        16 count: u32,
        20 _pad: [u8; 4],
    }

    /// The machine.
    pub struct SysctlPhysinfo("struct xen_sysctl_physinfo", 112) {
        /// Out: threads of a core.
        0 threads_per_core: u32,
        /// Out: cores of a socket.
        4 cores_per_socket: u32,
        /// Out: CPUs online.
        8 nr_cpus: u32,
        /// Out: highest CPU id.
        12 max_cpu_id: u32,
        /// Out: nodes online.
        16 nr_nodes: u32,
        /// Out: highest node id.
        20 max_node_id: u32,
        /// Out: TSC frequency in kHz.
        24 cpu_khz: u32,
        /// Out: `XEN_SYSCTL_PHYSCAP_*`.
        28 capabilities: u32,
        /// Out: architecture part, 0.
        32 arch_capabilities: u32,
        36 pad: u32,
        /// Out: pages of memory.
        40 total_pages: u64,
        /// Out: pages free.
        48 free_pages: u64,
        /// Out: pages to be cleared.
        56 scrub_pages: u64,
        /// Out: pages claimed.
        64 outstanding_pages: u64,
        /// Out: highest frame.
        72 max_mfn: u64,
        /// Out: CPUID feature words.
        80 hw_cap: [u32; 8],
    }

    /// Software counters.
    pub struct SysctlPerfcOp("struct xen_sysctl_perfc_op", 32) {
        /// In: `XEN_SYSCTL_PERFCOP_*`.
        0 cmd: u32,
        /// Out: counters.
        4 nr_counters: u32,
        /// Out: values.
        8 nr_vals: u32,
        12 _pad: [u8; 4],
        /// In: handle of [`SysctlPerfcDesc`].
        16 desc: u64,
        /// In: handle of `u32`.
        24 val: u64,
    }

    /// A software counter.
    pub struct SysctlPerfcDesc("struct xen_sysctl_perfc_desc", 84) {
        /// Name, NUL-padded.
        0 name: [u8; 80],
        /// Values.
        80 nr_vals: u32,
    }

    /// List domains.
    pub struct SysctlGetdomaininfolist("struct xen_sysctl_getdomaininfolist", 24) {
        /// In: first domain.
        0 first_domain: u16,
        2 _pad0: [u8; 2],
        /// In: entries.
        4 max_domains: u32,
        /// In: handle of [`crate::domctl::DomctlGetdomaininfo`].
        8 buffer: u64,
        /// Out: entries written.
        16 num_domains: u32,
        20 _pad1: [u8; 4],
    }

    /// Press debug keys.
    pub struct SysctlDebugKeys("struct xen_sysctl_debug_keys", 16) {
        /// In: handle of the keys.
        0 keys: u64,
        /// In: keys.
        8 nr_keys: u32,
        12 _pad: [u8; 4],
    }

    /// Idle time of a CPU.
    pub struct SysctlCpuinfo("struct xen_sysctl_cpuinfo", 8) {
        /// Nanoseconds.
        0 idletime: u64,
    }

    /// Idle time of the CPUs.
    pub struct SysctlGetcpuinfo("struct xen_sysctl_getcpuinfo", 24) {
        /// In: entries.
        0 max_cpus: u32,
        4 _pad0: [u8; 4],
        /// In: handle of [`SysctlCpuinfo`].
        8 info: u64,
        /// Out: entries written.
        16 nr_cpus: u32,
        20 _pad1: [u8; 4],
    }

    /// Free memory by address width.
    pub struct SysctlAvailheap("struct xen_sysctl_availheap", 24) {
        /// In: least width, 0 for any.
        0 min_bitwidth: u32,
        /// In: largest width, 0 for any.
        4 max_bitwidth: u32,
        /// In: node, -1 for any.
        8 node: i32,
        12 _pad: [u8; 4],
        /// Out: bytes.
        16 avail_bytes: u64,
    }

    /// Take pages in and out of use.
    pub struct SysctlPageOfflineOp("struct xen_sysctl_page_offline_op", 24) {
        /// In: `SYSCTL_PAGE_*`.
        0 cmd: u32,
        /// In: first frame.
        4 start: u32,
        /// In: last frame.
        8 end: u32,
        12 _pad: [u8; 4],
        /// In: handle of `u32` states.
        16 status: u64,
    }

    /// Place of a CPU.
    pub struct SysctlCputopo("struct xen_sysctl_cputopo", 12) {
        /// Core.
        0 core: u32,
        /// Socket.
        4 socket: u32,
        /// Node.
        8 node: u32,
    }

    /// Places of the CPUs.
    pub struct SysctlCputopoinfo("struct xen_sysctl_cputopoinfo", 16) {
        /// In: entries; out: CPUs there are.
        0 num_cpus: u32,
        4 _pad: [u8; 4],
        /// In: handle of [`SysctlCputopo`].
        8 cputopo: u64,
    }

    /// Memory of a node.
    pub struct SysctlMeminfo("struct xen_sysctl_meminfo", 16) {
        /// Bytes.
        0 memsize: u64,
        /// Bytes free.
        8 memfree: u64,
    }

    /// Memory and distances of the nodes.
    pub struct SysctlNumainfo("struct xen_sysctl_numainfo", 24) {
        /// In: entries; out: nodes there are.
        0 num_nodes: u32,
        4 _pad: [u8; 4],
        /// In: handle of [`SysctlMeminfo`].
        8 meminfo: u64,
        /// In: handle of `u32` distances, row by row.
        16 distance: u64,
    }

    /// Nodes of PCI devices.
    pub struct SysctlPcitopoinfo("struct xen_sysctl_pcitopoinfo", 24) {
        /// In: entries; out: entries done.
        0 num_devs: u32,
        4 _pad: [u8; 4],
        /// In: handle of [`crate::physdev::PhysdevPciDevice`].
        8 devs: u64,
        /// In: handle of `u32` nodes.
        16 nodes: u64,
    }

    /// How PV guests' CPUID can be masked.
    pub struct SysctlCpuLevellingCaps("struct xen_sysctl_cpu_levelling_caps", 4) {
        /// Out: flags.
        0 caps: u32,
    }

    /// CPU feature words.
    pub struct SysctlCpuFeatureset("struct xen_sysctl_cpu_featureset", 16) {
        /// In: `XEN_SYSCTL_CPU_FEATURESET_*`.
        0 index: u32,
        /// In: words; out: words written or needed.
        4 nr_features: u32,
        /// In: handle of `u32` words.
        8 features: u64,
    }

    /// A CPU policy.
    pub struct SysctlCpuPolicy("struct xen_sysctl_cpu_policy", 32) {
        /// In: `XEN_SYSCTL_CPU_POLICY_*`.
        0 index: u32,
        /// In: entries; out: entries written or needed.
        4 nr_leaves: u32,
        /// In: entries; out: entries written or needed.
        8 nr_msrs: u32,
        /// In: 0.
        12 _rsvd: u32,
        /// In: handle of [`crate::arch_x86::CpuidLeaf`].
        16 leaves: u64,
        /// In: handle of [`crate::arch_x86::MsrEntry`].
        24 msrs: u64,
    }

    /// Lock profile.
    pub struct SysctlLockprofOp("struct xen_sysctl_lockprof_op", 32) {
        /// In: operation.
        0 cmd: u32,
        /// In: entries.
        4 max_elem: u32,
        /// Out: entries there are.
        8 nr_elem: u32,
        12 _pad: [u8; 4],
        /// Out: nanoseconds profiled.
        16 time: u64,
        /// In: handle.
        24 data: u64,
    }

    /// Trace buffers.
    pub struct SysctlTbufOp("struct xen_sysctl_tbuf_op", 48) {
        /// In: operation.
        0 cmd: u32,
        4 _pad0: [u8; 4],
        /// In: CPUs.
        8 cpu_mask: crate::xen::CtlBitmap,
        /// In or out: events.
        24 evt_mask: u32,
        28 _pad1: [u8; 4],
        /// Out: first frame.
        32 buffer_mfn: u64,
        /// In or out: pages of a buffer.
        40 size: u32,
        44 _pad2: [u8; 4],
    }
}
