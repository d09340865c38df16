//! Payloads about vCPUs: state, affinity, CPU policy, HVM context.

use crate::xen::CtlBitmap;

numbers! {
    /// CPUs it must run on.
    pub const XEN_VCPUAFFINITY_HARD: u32 = 1 << 0;
    /// CPUs it should run on.
    pub const XEN_VCPUAFFINITY_SOFT: u32 = 1 << 1;
    /// Override a pin.
    pub const XEN_VCPUAFFINITY_FORCE: u32 = 1 << 2;

    /// Single-step off.
    pub const XEN_DOMCTL_DEBUG_OP_SINGLE_STEP_OFF: u32 = 0;
    /// Single-step on.
    pub const XEN_DOMCTL_DEBUG_OP_SINGLE_STEP_ON: u32 = 1;
}

structures! {
    /// Register state, PV format.
    pub struct DomctlVcpucontext("struct xen_domctl_vcpucontext", 16) {
        /// In: vCPU.
        0 vcpu: u32,
        4 _pad: [u8; 4],
        /// In: handle of a `vcpu_guest_context`.
        8 ctxt: u64,
    }

    /// Scheduling state of a vCPU.
    pub struct DomctlGetvcpuinfo("struct xen_domctl_getvcpuinfo", 24) {
        /// In: vCPU.
        0 vcpu: u32,
        /// Out: up.
        4 online: u8,
        /// Out: waits for an event.
        5 blocked: u8,
        /// Out: runs now.
        6 running: u8,
        7 _pad0: u8,
        /// Out: nanoseconds of CPU time.
        8 cpu_time: u64,
        /// Out: physical CPU.
        16 cpu: u32,
        20 _pad1: [u8; 4],
    }

    /// CPUs of a vCPU.
    pub struct DomctlVcpuaffinity("struct xen_domctl_vcpuaffinity", 40) {
        /// In: vCPU.
        0 vcpu: u32,
        /// In: `XEN_VCPUAFFINITY_*`.
        4 flags: u32,
        /// In and out: hard affinity.
        8 cpumap_hard: CtlBitmap,
        /// In and out: soft affinity.
        24 cpumap_soft: CtlBitmap,
    }

    /// CPUID leaves and MSRs a domain sees.
    pub struct DomctlCpuPolicy("struct xen_domctl_cpu_policy", 40) {
        /// In: entries; out of get: entries written or needed.
        0 nr_leaves: u32,
        /// In: entries; out of get: entries written or needed.
        4 nr_msrs: u32,
        /// In: handle of [`crate::arch_x86::CpuidLeaf`].
        8 leaves: u64,
        /// In: handle of [`crate::arch_x86::MsrEntry`].
        16 msrs: u64,
        /// Out of set: leaf in error, or all ones.
        24 err_leaf: u32,
        /// Out of set: subleaf in error, or all ones.
        28 err_subleaf: u32,
        /// Out of set: MSR in error, or all ones.
        32 err_msr: u32,
        36 _pad: [u8; 4],
    }

    /// All HVM records.
    pub struct DomctlHvmcontext("struct xen_domctl_hvmcontext", 16) {
        /// In: bytes; out of get: bytes written, or needed with a null buffer.
        0 size: u32,
        4 _pad: [u8; 4],
        /// In: handle.
        8 buffer: u64,
    }

    /// One HVM record.
    pub struct DomctlHvmcontextPartial("struct xen_domctl_hvmcontext_partial", 24) {
        /// In: type code.
        0 kind: u32,
        /// In: instance.
        4 instance: u32,
        /// In: bytes; out: bytes written or needed.
        8 bufsz: u64,
        /// In: handle.
        16 buffer: u64,
    }

    /// Further state, PV and machine check.
    pub struct DomctlExtVcpucontext("struct xen_domctl_ext_vcpucontext", 64) {
        /// In: vCPU.
        0 vcpu: u32,
        /// In: bytes the caller knows; out of get: bytes written.
        4 size: u32,
        /// PV only.
        8 syscall32_callback_eip: u64,
        /// PV only.
        16 sysenter_callback_eip: u64,
        /// PV only.
        24 syscall32_callback_cs: u16,
        /// PV only.
        26 sysenter_callback_cs: u16,
        /// PV only.
        28 syscall32_disables_events: u8,
        /// PV only.
        29 sysenter_disables_events: u8,
        30 _pad: [u8; 2],
        /// Machine check capabilities.
        32 mcg_cap: u64,
        /// Machine check bank 0, second control register.
        40 mci_ctl2_bank0: u64 => "vmce.mci_ctl2_bank0",
        /// Machine check bank 1, second control register.
        48 mci_ctl2_bank1: u64 => "vmce.mci_ctl2_bank1",
        /// Local machine check control.
        56 mcg_ext_ctl: u64 => "vmce.mcg_ext_ctl",
    }

    /// Single-step.
    pub struct DomctlDebugOp("struct xen_domctl_debug_op", 8) {
        /// In: `XEN_DOMCTL_DEBUG_OP_*`.
        0 op: u32,
        /// In: vCPU.
        4 vcpu: u32,
    }

    /// XSAVE state, PV.
    pub struct DomctlVcpuextstate("struct xen_domctl_vcpuextstate", 32) {
        /// In: vCPU.
        0 vcpu: u32,
        4 _pad: [u8; 4],
        /// In or out: features.
        8 xfeature_mask: u64,
        /// In or out: bytes.
        16 size: u64,
        /// In: handle.
        24 buffer: u64,
    }

    /// An MSR of [`DomctlVcpuMsrs`].
    pub struct DomctlVcpuMsr("struct xen_domctl_vcpu_msr", 16) {
        /// MSR number.
        0 index: u32,
        /// 0.
        4 reserved: u32,
        /// Value.
        8 value: u64,
    }

    /// MSRs, PV.
    pub struct DomctlVcpuMsrs("struct xen_domctl_vcpu_msrs", 16) {
        /// In: vCPU.
        0 vcpu: u32,
        /// In: entries; out of get: entries written or needed.
        4 msr_count: u32,
        /// In: handle of [`DomctlVcpuMsr`].
        8 msrs: u64,
    }
}
