//! Payloads about schedulers and CPU pools.

use crate::xen::CtlBitmap;

numbers! {
    /// New pool.
    pub const XEN_SYSCTL_CPUPOOL_OP_CREATE: u32 = 1;
    /// Remove a pool.
    pub const XEN_SYSCTL_CPUPOOL_OP_DESTROY: u32 = 2;
    /// Describe the first pool from an id on.
    pub const XEN_SYSCTL_CPUPOOL_OP_INFO: u32 = 3;
    /// Give a CPU to a pool.
    pub const XEN_SYSCTL_CPUPOOL_OP_ADDCPU: u32 = 4;
    /// Take a CPU from a pool.
    pub const XEN_SYSCTL_CPUPOOL_OP_RMCPU: u32 = 5;
    /// Move a domain to a pool.
    pub const XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN: u32 = 6;
    /// CPUs of no pool.
    pub const XEN_SYSCTL_CPUPOOL_OP_FREEINFO: u32 = 7;
    /// Any pool, or any CPU.
    pub const XEN_SYSCTL_CPUPOOL_PAR_ANY: u32 = u32::MAX;

    /// Set parameters.
    pub const XEN_SYSCTL_SCHEDOP_PUTINFO: u32 = 0;
    /// Read parameters.
    pub const XEN_SYSCTL_SCHEDOP_GETINFO: u32 = 1;
    /// Largest rate limit in microseconds.
    pub const XEN_SYSCTL_SCHED_RATELIMIT_MAX: u32 = 500_000;
    /// Least rate limit in microseconds, apart from 0.
    pub const XEN_SYSCTL_SCHED_RATELIMIT_MIN: u32 = 100;
    /// Longest migration delay in microseconds.
    pub const XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US: u32 = 100_000;
    /// Longest time slice in milliseconds.
    pub const XEN_SYSCTL_CSCHED_TSLICE_MAX: u32 = 1000;
    /// Shortest time slice in milliseconds.
    pub const XEN_SYSCTL_CSCHED_TSLICE_MIN: u32 = 1;
}

structures! {
    /// The default scheduler.
    pub struct SysctlSchedId("struct xen_sysctl_sched_id", 4) {
        /// Out: `XEN_SCHEDULER_*`.
        0 sched_id: u32,
    }

    /// CPU pools.
    pub struct SysctlCpupoolOp("struct xen_sysctl_cpupool_op", 40) {
        /// In: `XEN_SYSCTL_CPUPOOL_OP_*`.
        0 op: u32,
        /// In: pool; out of create and info: the pool.
        4 cpupool_id: u32,
        /// In of create, out of info: `XEN_SCHEDULER_*`.
        8 sched_id: u32,
        /// In: domain to move.
        12 domid: u32,
        /// In: CPU to add or remove.
        16 cpu: u32,
        /// Out: domains.
        20 n_dom: u32,
        /// Out: CPUs.
        24 cpumap: CtlBitmap,
    }

    /// Scheduler parameters of a pool. For credit `value0` is the time slice in milliseconds, `value1` the rate limit and `value2` the
    /// migration delay in microseconds; for credit2 `value0` is the rate limit.
    pub struct SysctlSchedulerOp("struct xen_sysctl_scheduler_op", 32) {
        /// In: pool.
        0 cpupool_id: u32,
        /// In: `XEN_SCHEDULER_*`.
        4 sched_id: u32,
        /// In: `XEN_SYSCTL_SCHEDOP_*`.
        8 cmd: u32,
        12 _pad0: [u8; 4],
        /// In or out: see above.
        16 value0: u32 => "u.sched_credit.tslice_ms",
        /// In or out: see above.
        20 value1: u32 => "u.sched_credit.ratelimit_us",
        /// In or out: see above.
        24 value2: u32 => "u.sched_credit.vcpu_migr_delay_us",
        28 _pad1: [u8; 4],
    }
}
