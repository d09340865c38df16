//! Payloads about power: CPU states, frequencies and hotplug.

numbers! {
    /// Frequency states: number of them.
    pub const PMSTAT_GET_MAX_PX: u32 = 0x11;
    /// Frequency states: statistics.
    pub const PMSTAT_GET_PXSTAT: u32 = 0x12;
    /// Frequency states: reset statistics.
    pub const PMSTAT_RESET_PXSTAT: u32 = 0x13;
    /// Idle states: number of them.
    pub const PMSTAT_GET_MAX_CX: u32 = 0x21;
    /// Idle states: statistics.
    pub const PMSTAT_GET_CXSTAT: u32 = 0x22;
    /// Idle states: reset statistics.
    pub const PMSTAT_RESET_CXSTAT: u32 = 0x23;

    /// Bring a CPU up.
    pub const XEN_SYSCTL_CPU_HOTPLUG_ONLINE: u32 = 0;
    /// Take a CPU down.
    pub const XEN_SYSCTL_CPU_HOTPLUG_OFFLINE: u32 = 1;
    /// Bring second threads up.
    pub const XEN_SYSCTL_CPU_HOTPLUG_SMT_ENABLE: u32 = 2;
    /// Take second threads down.
    pub const XEN_SYSCTL_CPU_HOTPLUG_SMT_DISABLE: u32 = 3;

    /// Frequency parameters.
    pub const GET_CPUFREQ_PARA: u32 = 0x11;
    /// Choose a governor.
    pub const SET_CPUFREQ_GOV: u32 = 0x12;
    /// Set a frequency parameter.
    pub const SET_CPUFREQ_PARA: u32 = 0x13;
    /// Average frequency.
    pub const GET_CPUFREQ_AVGFREQ: u32 = 0x14;
    /// Set performance bounds.
    pub const SET_CPUFREQ_CPPC: u32 = 0x15;
    /// Prefer idle cores.
    pub const XEN_SYSCTL_PM_OP_SET_SCHED_OPT_SMT: u32 = 0x21;
    /// Deepest idle state.
    pub const XEN_SYSCTL_PM_OP_GET_MAX_CSTATE: u32 = 0x22;
    /// Set the deepest idle state.
    pub const XEN_SYSCTL_PM_OP_SET_MAX_CSTATE: u32 = 0x23;
    /// How long a vCPU counts as cache-hot: set.
    pub const XEN_SYSCTL_PM_OP_SET_VCPU_MIGRATION_DELAY: u32 = 0x24;
    /// How long a vCPU counts as cache-hot: read.
    pub const XEN_SYSCTL_PM_OP_GET_VCPU_MIGRATION_DELAY: u32 = 0x25;
    /// Turbo on.
    pub const XEN_SYSCTL_PM_OP_ENABLE_TURBO: u32 = 0x26;
    /// Turbo off.
    pub const XEN_SYSCTL_PM_OP_DISABLE_TURBO: u32 = 0x27;
    /// No limit of idle states.
    pub const XEN_SYSCTL_CX_UNLIMITED: u32 = u32::MAX;
}

structures! {
    /// Idle statistics; the other form, for frequencies, is [`SysctlGetPmstatPx`].
    pub struct SysctlGetPmstat("struct xen_sysctl_get_pmstat", 64) {
        /// In: `PMSTAT_*`.
        0 kind: u32,
        /// In: CPU.
        4 cpuid: u32,
        /// In: entries; out: states.
        8 nr: u32 => "u.getcx.nr",
        /// Out: last state.
        12 last: u32 => "u.getcx.last",
        /// Out: nanoseconds idle.
        16 idle_time: u64 => "u.getcx.idle_time",
        /// In: handle of `u64` counts.
        24 triggers: u64 => "u.getcx.triggers",
        /// In: handle of `u64` nanoseconds.
        32 residencies: u64 => "u.getcx.residencies",
        /// In: entries; out: package states.
        40 nr_pc: u32 => "u.getcx.nr_pc",
        /// In: entries; out: core states.
        44 nr_cc: u32 => "u.getcx.nr_cc",
        /// In: handle of `u64` nanoseconds.
        48 pc: u64 => "u.getcx.pc",
        /// In: handle of `u64` nanoseconds.
        56 cc: u64 => "u.getcx.cc",
    }

    /// Frequency statistics, the other form of [`SysctlGetPmstat`].
    pub struct SysctlGetPmstatPx("struct xen_sysctl_get_pmstat", 64) {
        /// In: `PMSTAT_*`.
        0 kind: u32,
        /// In: CPU.
        4 cpuid: u32,
        /// Out: states.
        8 total: u8 => "u.getpx.total",
        /// Out: states that may be used.
        9 usable: u8 => "u.getpx.usable",
        /// Out: state before.
        10 last: u8 => "u.getpx.last",
        /// Out: state now.
        11 cur: u8 => "u.getpx.cur",
        12 _pad0: [u8; 4],
        /// In: handle of `u64` counts of each change.
        16 trans_pt: u64 => "u.getpx.trans_pt",
        /// In: handle of [`PmPxVal`].
        24 pt: u64 => "u.getpx.pt",
        32 _pad1: [u8; 32],
    }

    /// Statistics of a frequency state.
    pub struct PmPxVal("struct pm_px_val", 24) {
        /// MHz.
        0 freq: u64,
        /// Nanoseconds.
        8 residency: u64,
        /// Times entered.
        16 count: u64,
    }

    /// Power policy; frequency parameters have their own structures.
    pub struct SysctlPmOp("struct xen_sysctl_pm_op", 128) {
        /// In: `*_CPUFREQ_*` or `XEN_SYSCTL_PM_OP_*`.
        0 cmd: u32,
        /// In: CPU.
        4 cpuid: u32,
        /// In or out: value of the single-word operations.
        8 value: u32 => "u.get_max_cstate",
        12 _pad: [u8; 116],
    }

    /// Take CPUs up and down.
    pub struct SysctlCpuHotplug("struct xen_sysctl_cpu_hotplug", 8) {
        /// In: CPU.
        0 cpu: u32,
        /// In: `XEN_SYSCTL_CPU_HOTPLUG_*`.
        4 op: u32,
    }
}
