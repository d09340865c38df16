//! Control of the whole system (`public/sysctl.h`): the operation numbers and the frame of `HYPERVISOR_sysctl`.
//!
//! The payload is a union of 128 bytes; handlers read their own structure from its start and write it back. The layout is the same for
//! 32-bit callers.

pub mod host;
pub mod power;
pub mod schedule;

pub use host::*;
pub use power::*;
pub use schedule::*;

numbers! {
    /// What `interface_version` must be, else `EACCES`.
    pub const XEN_SYSCTL_INTERFACE_VERSION: u32 = 0x15;

    /// [`SysctlReadconsole`].
    pub const XEN_SYSCTL_READCONSOLE: u32 = 1;
    /// [`SysctlTbufOp`].
    pub const XEN_SYSCTL_TBUF_OP: u32 = 2;
    /// [`SysctlPhysinfo`].
    pub const XEN_SYSCTL_PHYSINFO: u32 = 3;
    /// [`SysctlSchedId`].
    pub const XEN_SYSCTL_SCHED_ID: u32 = 4;
    /// [`SysctlPerfcOp`].
    pub const XEN_SYSCTL_PERFC_OP: u32 = 5;
    /// [`SysctlGetdomaininfolist`].
    pub const XEN_SYSCTL_GETDOMAININFOLIST: u32 = 6;
    /// [`SysctlDebugKeys`].
    pub const XEN_SYSCTL_DEBUG_KEYS: u32 = 7;
    /// [`SysctlGetcpuinfo`].
    pub const XEN_SYSCTL_GETCPUINFO: u32 = 8;
    /// [`SysctlAvailheap`].
    pub const XEN_SYSCTL_AVAILHEAP: u32 = 9;
    /// [`SysctlGetPmstat`].
    pub const XEN_SYSCTL_GET_PMSTAT: u32 = 10;
    /// [`SysctlCpuHotplug`].
    pub const XEN_SYSCTL_CPU_HOTPLUG: u32 = 11;
    /// [`SysctlPmOp`].
    pub const XEN_SYSCTL_PM_OP: u32 = 12;
    /// [`SysctlPageOfflineOp`].
    pub const XEN_SYSCTL_PAGE_OFFLINE_OP: u32 = 14;
    /// [`SysctlLockprofOp`].
    pub const XEN_SYSCTL_LOCKPROF_OP: u32 = 15;
    /// [`SysctlCputopoinfo`].
    pub const XEN_SYSCTL_CPUTOPOINFO: u32 = 16;
    /// [`SysctlNumainfo`].
    pub const XEN_SYSCTL_NUMAINFO: u32 = 17;
    /// [`SysctlCpupoolOp`].
    pub const XEN_SYSCTL_CPUPOOL_OP: u32 = 18;
    /// [`SysctlSchedulerOp`].
    pub const XEN_SYSCTL_SCHEDULER_OP: u32 = 19;
    /// Code coverage.
    pub const XEN_SYSCTL_COVERAGE_OP: u32 = 20;
    /// Cache monitoring.
    pub const XEN_SYSCTL_PSR_CMT_OP: u32 = 21;
    /// [`SysctlPcitopoinfo`].
    pub const XEN_SYSCTL_PCITOPOINFO: u32 = 22;
    /// Cache allocation.
    pub const XEN_SYSCTL_PSR_ALLOC: u32 = 23;
    /// [`SysctlCpuLevellingCaps`].
    pub const XEN_SYSCTL_GET_CPU_LEVELLING_CAPS: u32 = 25;
    /// [`SysctlCpuFeatureset`].
    pub const XEN_SYSCTL_GET_CPU_FEATURESET: u32 = 26;
    /// Live patches.
    pub const XEN_SYSCTL_LIVEPATCH_OP: u32 = 27;
    /// [`SysctlCpuPolicy`].
    pub const XEN_SYSCTL_GET_CPU_POLICY: u32 = 29;
}

structures! {
    /// Argument of `HYPERVISOR_sysctl`.
    pub struct Sysctl("struct xen_sysctl", 136) {
        /// In: `XEN_SYSCTL_*`.
        0 cmd: u32,
        /// In: [`XEN_SYSCTL_INTERFACE_VERSION`].
        4 interface_version: u32,
        /// In and out: the operation's structure.
        8 u: [u8; 128],
    }
}
