//! HVM services (`public/hvm/hvm_op.h`): arguments of `HYPERVISOR_hvm_op`.

numbers! {
    /// Set a parameter: [`HvmParam`].
    pub const HVMOP_SET_PARAM: u32 = 0;
    /// Read a parameter: [`HvmParam`].
    pub const HVMOP_GET_PARAM: u32 = 1;
    /// Flush the caller's translations; the argument is null.
    pub const HVMOP_FLUSH_TLBS: u32 = 5;
    /// Hint for shadow paging: [`HvmPagetableDying`].
    pub const HVMOP_PAGETABLE_DYING: u32 = 9;
    /// System time: [`HvmGetTime`].
    pub const HVMOP_GET_TIME: u32 = 10;
    /// Trace record: [`HvmXentrace`].
    pub const HVMOP_XENTRACE: u32 = 11;
    /// Gone.
    pub const HVMOP_SET_MEM_ACCESS: u32 = 12;
    /// Gone.
    pub const HVMOP_GET_MEM_ACCESS: u32 = 13;
    /// Kind of a guest frame: [`HvmGetMemType`].
    pub const HVMOP_GET_MEM_TYPE: u32 = 15;
    /// Announce events of one vCPU through its local APIC: [`HvmEvtchnUpcallVector`].
    pub const HVMOP_SET_EVTCHN_UPCALL_VECTOR: u32 = 23;
    /// Tell the monitor.
    pub const HVMOP_GUEST_REQUEST_VM_EVENT: u32 = 24;
    /// Alternate guest maps.
    pub const HVMOP_ALTP2M: u32 = 25 => "HVMOP_altp2m";

    /// Memory.
    pub const HVMMEM_RAM_RW: u16 = 0 => "HVMMEM_ram_rw";
    /// Read-only memory.
    pub const HVMMEM_RAM_RO: u16 = 1 => "HVMMEM_ram_ro";
    /// Emulated by the device model.
    pub const HVMMEM_MMIO_DM: u16 = 2 => "HVMMEM_mmio_dm";
    /// Not used.
    pub const HVMMEM_UNUSED: u16 = 3 => "HVMMEM_unused";
    /// Writes go to an ioreq server.
    pub const HVMMEM_IOREQ_SERVER: u16 = 4 => "HVMMEM_ioreq_server";

    /// No buffered requests.
    pub const HVM_IOREQSRV_BUFIOREQ_OFF: u8 = 0;
    /// Buffered requests, unsynchronised pointers.
    pub const HVM_IOREQSRV_BUFIOREQ_LEGACY: u8 = 1;
    /// Buffered requests, atomic pointers.
    pub const HVM_IOREQSRV_BUFIOREQ_ATOMIC: u8 = 2;
}

structures! {
    /// [`HVMOP_SET_PARAM`] and [`HVMOP_GET_PARAM`].
    pub struct HvmParam("struct xen_hvm_param", 16) {
        /// In: domain.
        0 domid: u16,
        /// In: ignored.
        2 pad: u16,
        /// In: `HVM_PARAM_*`.
        4 index: u32,
        /// In or out: value.
        8 value: u64,
    }

    /// [`HVMOP_PAGETABLE_DYING`].
    pub struct HvmPagetableDying("struct xen_hvm_pagetable_dying", 16) {
        /// In: domain.
        0 domid: u16,
        2 _pad: [u16; 3],
        /// In: physical address of the table.
        8 gpa: u64,
    }

    /// [`HVMOP_GET_TIME`].
    pub struct HvmGetTime("struct xen_hvm_get_time", 8) {
        /// Out: nanoseconds.
        0 now: u64,
    }

    /// [`HVMOP_XENTRACE`].
    pub struct HvmXentrace("struct xen_hvm_xentrace", 32) {
        /// In: event.
        0 event: u16,
        /// In: bytes of `extra` in use.
        2 extra_bytes: u16,
        /// In: record.
        4 extra: [u8; 28],
    }

    /// [`HVMOP_GET_MEM_TYPE`].
    pub struct HvmGetMemType("struct xen_hvm_get_mem_type", 16) {
        /// In: domain.
        0 domid: u16,
        /// Out: `HVMMEM_*`.
        2 mem_type: u16,
        4 _pad: [u16; 2],
        /// In: guest frame.
        8 pfn: u64,
    }

    /// [`HVMOP_SET_EVTCHN_UPCALL_VECTOR`].
    pub struct HvmEvtchnUpcallVector("struct xen_hvm_evtchn_upcall_vector", 8) {
        /// In: vCPU.
        0 vcpu: u32,
        /// In: vector, 16 or more.
        4 vector: u8,
        5 _pad: [u8; 3],
    }
}
