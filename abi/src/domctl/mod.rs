//! Control of a domain (`public/domctl.h`): the operation numbers and the frame of `HYPERVISOR_domctl`.
//!
//! The payload is a union of 128 bytes; handlers read their own structure from its start and write it back. The layout is the same for
//! 32-bit callers.

pub mod device;
pub mod domain;
pub mod vcpu;

pub use device::*;
pub use domain::*;
pub use vcpu::*;

numbers! {
    /// What `interface_version` must be, else `EACCES`.
    pub const XEN_DOMCTL_INTERFACE_VERSION: u32 = 0x17;

    /// [`DomctlCreatedomain`].
    pub const XEN_DOMCTL_CREATEDOMAIN: u32 = 1;
    /// No payload; restarts until the domain's memory is gone.
    pub const XEN_DOMCTL_DESTROYDOMAIN: u32 = 2;
    /// No payload.
    pub const XEN_DOMCTL_PAUSEDOMAIN: u32 = 3;
    /// No payload.
    pub const XEN_DOMCTL_UNPAUSEDOMAIN: u32 = 4;
    /// [`DomctlGetdomaininfo`].
    pub const XEN_DOMCTL_GETDOMAININFO: u32 = 5;
    /// [`DomctlVcpuaffinity`].
    pub const XEN_DOMCTL_SETVCPUAFFINITY: u32 = 9;
    /// [`DomctlShadowOp`].
    pub const XEN_DOMCTL_SHADOW_OP: u32 = 10;
    /// [`DomctlMaxMem`].
    pub const XEN_DOMCTL_MAX_MEM: u32 = 11;
    /// [`DomctlVcpucontext`].
    pub const XEN_DOMCTL_SETVCPUCONTEXT: u32 = 12;
    /// [`DomctlVcpucontext`].
    pub const XEN_DOMCTL_GETVCPUCONTEXT: u32 = 13;
    /// [`DomctlGetvcpuinfo`].
    pub const XEN_DOMCTL_GETVCPUINFO: u32 = 14;
    /// [`DomctlMaxVcpus`].
    pub const XEN_DOMCTL_MAX_VCPUS: u32 = 15;
    /// [`DomctlSchedulerOp`].
    pub const XEN_DOMCTL_SCHEDULER_OP: u32 = 16;
    /// [`DomctlSetdomainhandle`].
    pub const XEN_DOMCTL_SETDOMAINHANDLE: u32 = 17;
    /// [`DomctlSetdebugging`].
    pub const XEN_DOMCTL_SETDEBUGGING: u32 = 18;
    /// [`DomctlIrqPermission`].
    pub const XEN_DOMCTL_IRQ_PERMISSION: u32 = 19;
    /// [`DomctlIomemPermission`].
    pub const XEN_DOMCTL_IOMEM_PERMISSION: u32 = 20;
    /// [`DomctlIoportPermission`].
    pub const XEN_DOMCTL_IOPORT_PERMISSION: u32 = 21;
    /// [`DomctlHypercallInit`].
    pub const XEN_DOMCTL_HYPERCALL_INIT: u32 = 22;
    /// [`DomctlSettimeoffset`].
    pub const XEN_DOMCTL_SETTIMEOFFSET: u32 = 24;
    /// [`DomctlVcpuaffinity`].
    pub const XEN_DOMCTL_GETVCPUAFFINITY: u32 = 25;
    /// Gone.
    pub const XEN_DOMCTL_REAL_MODE_AREA: u32 = 26;
    /// No payload.
    pub const XEN_DOMCTL_RESUMEDOMAIN: u32 = 27;
    /// [`DomctlSendtrigger`].
    pub const XEN_DOMCTL_SENDTRIGGER: u32 = 28;
    /// [`DomctlSubscribe`].
    pub const XEN_DOMCTL_SUBSCRIBE: u32 = 29;
    /// [`DomctlHvmcontext`].
    pub const XEN_DOMCTL_GETHVMCONTEXT: u32 = 33;
    /// [`DomctlHvmcontext`].
    pub const XEN_DOMCTL_SETHVMCONTEXT: u32 = 34;
    /// [`DomctlAddressSize`].
    pub const XEN_DOMCTL_SET_ADDRESS_SIZE: u32 = 35;
    /// [`DomctlAddressSize`].
    pub const XEN_DOMCTL_GET_ADDRESS_SIZE: u32 = 36;
    /// [`DomctlAssignDevice`].
    pub const XEN_DOMCTL_ASSIGN_DEVICE: u32 = 37;
    /// [`DomctlBindPtIrq`].
    pub const XEN_DOMCTL_BIND_PT_IRQ: u32 = 38;
    /// [`DomctlMemoryMapping`].
    pub const XEN_DOMCTL_MEMORY_MAPPING: u32 = 39;
    /// [`DomctlIoportMapping`].
    pub const XEN_DOMCTL_IOPORT_MAPPING: u32 = 40;
    /// [`DomctlExtVcpucontext`].
    pub const XEN_DOMCTL_SET_EXT_VCPUCONTEXT: u32 = 42;
    /// [`DomctlExtVcpucontext`].
    pub const XEN_DOMCTL_GET_EXT_VCPUCONTEXT: u32 = 43;
    /// Gone.
    pub const XEN_DOMCTL_SET_OPT_FEATURE: u32 = 44;
    /// [`DomctlAssignDevice`].
    pub const XEN_DOMCTL_TEST_ASSIGN_DEVICE: u32 = 45;
    /// [`DomctlSetTarget`].
    pub const XEN_DOMCTL_SET_TARGET: u32 = 46;
    /// [`DomctlAssignDevice`].
    pub const XEN_DOMCTL_DEASSIGN_DEVICE: u32 = 47;
    /// [`DomctlBindPtIrq`].
    pub const XEN_DOMCTL_UNBIND_PT_IRQ: u32 = 48;
    /// [`DomctlGetDeviceGroup`].
    pub const XEN_DOMCTL_GET_DEVICE_GROUP: u32 = 50;
    /// [`DomctlDebugOp`].
    pub const XEN_DOMCTL_DEBUG_OP: u32 = 54;
    /// [`DomctlHvmcontextPartial`].
    pub const XEN_DOMCTL_GETHVMCONTEXT_PARTIAL: u32 = 55;
    /// Introspection.
    pub const XEN_DOMCTL_VM_EVENT_OP: u32 = 56;
    /// Memory sharing.
    pub const XEN_DOMCTL_MEM_SHARING_OP: u32 = 57;
    /// [`DomctlTscInfo`].
    pub const XEN_DOMCTL_GETTSCINFO: u32 = 59;
    /// [`DomctlTscInfo`].
    pub const XEN_DOMCTL_SETTSCINFO: u32 = 60;
    /// [`DomctlGetpageframeinfo3`].
    pub const XEN_DOMCTL_GETPAGEFRAMEINFO3: u32 = 61;
    /// [`DomctlVcpuextstate`].
    pub const XEN_DOMCTL_SETVCPUEXTSTATE: u32 = 62;
    /// [`DomctlVcpuextstate`].
    pub const XEN_DOMCTL_GETVCPUEXTSTATE: u32 = 63;
    /// Introspection.
    pub const XEN_DOMCTL_SET_ACCESS_REQUIRED: u32 = 64;
    /// Debugging of Xen.
    pub const XEN_DOMCTL_AUDIT_P2M: u32 = 65;
    /// [`DomctlSetVirqHandler`].
    pub const XEN_DOMCTL_SET_VIRQ_HANDLER: u32 = 66;
    /// Machine check tests.
    pub const XEN_DOMCTL_SET_BROKEN_PAGE_P2M: u32 = 67;
    /// [`DomctlNodeaffinity`].
    pub const XEN_DOMCTL_SETNODEAFFINITY: u32 = 68;
    /// [`DomctlNodeaffinity`].
    pub const XEN_DOMCTL_GETNODEAFFINITY: u32 = 69;
    /// Arm only.
    pub const XEN_DOMCTL_CACHEFLUSH: u32 = 71;
    /// [`DomctlVcpuMsrs`].
    pub const XEN_DOMCTL_GET_VCPU_MSRS: u32 = 72;
    /// [`DomctlVcpuMsrs`].
    pub const XEN_DOMCTL_SET_VCPU_MSRS: u32 = 73;
    /// [`DomctlVnuma`].
    pub const XEN_DOMCTL_SETVNUMAINFO: u32 = 74;
    /// Cache monitoring.
    pub const XEN_DOMCTL_PSR_CMT_OP: u32 = 75;
    /// Introspection.
    pub const XEN_DOMCTL_MONITOR_OP: u32 = 77;
    /// Cache allocation.
    pub const XEN_DOMCTL_PSR_ALLOC: u32 = 78;
    /// No payload.
    pub const XEN_DOMCTL_SOFT_RESET: u32 = 79;
    /// Arm only.
    pub const XEN_DOMCTL_VUART_OP: u32 = 81;
    /// [`DomctlCpuPolicy`].
    pub const XEN_DOMCTL_GET_CPU_POLICY: u32 = 82;
    /// [`DomctlCpuPolicy`].
    pub const XEN_DOMCTL_SET_CPU_POLICY: u32 = 83;
    /// Processor trace.
    pub const XEN_DOMCTL_VMTRACE_OP: u32 = 84;
    /// [`DomctlPagingMempool`].
    pub const XEN_DOMCTL_GET_PAGING_MEMPOOL_SIZE: u32 = 85;
    /// [`DomctlPagingMempool`].
    pub const XEN_DOMCTL_SET_PAGING_MEMPOOL_SIZE: u32 = 86;
    /// Arm only.
    pub const XEN_DOMCTL_DT_OVERLAY: u32 = 87;
    /// [`DomctlGsiPermission`].
    pub const XEN_DOMCTL_GSI_PERMISSION: u32 = 88;
    /// [`DomctlSetLlcColors`]; `EOPNOTSUPP` without cache colouring.
    pub const XEN_DOMCTL_SET_LLC_COLORS: u32 = 89;
    /// Debugger.
    pub const XEN_DOMCTL_GDBSX_GUESTMEMIO: u32 = 1000;
    /// Debugger.
    pub const XEN_DOMCTL_GDBSX_PAUSEVCPU: u32 = 1001;
    /// Debugger.
    pub const XEN_DOMCTL_GDBSX_UNPAUSEVCPU: u32 = 1002;
    /// Debugger.
    pub const XEN_DOMCTL_GDBSX_DOMSTATUS: u32 = 1003;
}

structures! {
    /// Argument of `HYPERVISOR_domctl`.
    pub struct Domctl("struct xen_domctl", 144) {
        /// In: `XEN_DOMCTL_*`.
        0 cmd: u32,
        /// In: [`XEN_DOMCTL_INTERFACE_VERSION`].
        4 interface_version: u32,
        /// In: domain; out of createdomain and getdomaininfo: the domain found.
        8 domain: u16,
        10 _pad: [u16; 3],
        /// In and out: the operation's structure.
        16 u: [u8; 128],
    }
}
