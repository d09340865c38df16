//! Device model operations (`public/hvm/dm_op.h`): `HYPERVISOR_dm_op` with a domain, a count and an array of [`DmOpBuf`], of which the first
//! holds a [`DmOp`].

numbers! {
    /// [`DmOpCreateIoreqServer`].
    pub const XEN_DMOP_CREATE_IOREQ_SERVER: u32 = 1;
    /// [`DmOpGetIoreqServerInfo`].
    pub const XEN_DMOP_GET_IOREQ_SERVER_INFO: u32 = 2;
    /// [`DmOpIoreqServerRange`].
    pub const XEN_DMOP_MAP_IO_RANGE_TO_IOREQ_SERVER: u32 = 3;
    /// [`DmOpIoreqServerRange`].
    pub const XEN_DMOP_UNMAP_IO_RANGE_FROM_IOREQ_SERVER: u32 = 4;
    /// [`DmOpSetIoreqServerState`].
    pub const XEN_DMOP_SET_IOREQ_SERVER_STATE: u32 = 5;
    /// [`DmOpDestroyIoreqServer`].
    pub const XEN_DMOP_DESTROY_IOREQ_SERVER: u32 = 6;
    /// [`DmOpTrackDirtyVram`].
    pub const XEN_DMOP_TRACK_DIRTY_VRAM: u32 = 7;
    /// [`DmOpSetPciIntxLevel`].
    pub const XEN_DMOP_SET_PCI_INTX_LEVEL: u32 = 8;
    /// [`DmOpSetIsaIrqLevel`].
    pub const XEN_DMOP_SET_ISA_IRQ_LEVEL: u32 = 9;
    /// [`DmOpSetPciLinkRoute`].
    pub const XEN_DMOP_SET_PCI_LINK_ROUTE: u32 = 10;
    /// [`DmOpModifiedMemory`].
    pub const XEN_DMOP_MODIFIED_MEMORY: u32 = 11;
    /// [`DmOpSetMemType`].
    pub const XEN_DMOP_SET_MEM_TYPE: u32 = 12;
    /// [`DmOpInjectEvent`].
    pub const XEN_DMOP_INJECT_EVENT: u32 = 13;
    /// [`DmOpInjectMsi`].
    pub const XEN_DMOP_INJECT_MSI: u32 = 14;
    /// Send writes of a kind of memory to a server.
    pub const XEN_DMOP_MAP_MEM_TYPE_TO_IOREQ_SERVER: u32 = 15;
    /// [`DmOpRemoteShutdown`].
    pub const XEN_DMOP_REMOTE_SHUTDOWN: u32 = 16;
    /// [`DmOpRelocateMemory`].
    pub const XEN_DMOP_RELOCATE_MEMORY: u32 = 17;
    /// [`DmOpPinMemoryCacheattr`].
    pub const XEN_DMOP_PIN_MEMORY_CACHEATTR: u32 = 18;
    /// Arm only.
    pub const XEN_DMOP_SET_IRQ_LEVEL: u32 = 19;
    /// [`DmOpNrVcpus`].
    pub const XEN_DMOP_NR_VCPUS: u32 = 20;

    /// Do not place the pages in the guest.
    pub const XEN_DMOP_NO_GFNS: u16 = 1;
    /// Range of ports.
    pub const XEN_DMOP_IO_RANGE_PORT: u32 = 0;
    /// Range of memory.
    pub const XEN_DMOP_IO_RANGE_MEMORY: u32 = 1;
    /// PCI functions.
    pub const XEN_DMOP_IO_RANGE_PCI: u32 = 2;
    /// Cache attribute: uncached.
    pub const XEN_DMOP_MEM_CACHEATTR_UC: u32 = 0;
    /// Cache attribute: write combining.
    pub const XEN_DMOP_MEM_CACHEATTR_WC: u32 = 1;
    /// Cache attribute: write through.
    pub const XEN_DMOP_MEM_CACHEATTR_WT: u32 = 4;
    /// Cache attribute: write protected.
    pub const XEN_DMOP_MEM_CACHEATTR_WP: u32 = 5;
    /// Cache attribute: write back.
    pub const XEN_DMOP_MEM_CACHEATTR_WB: u32 = 6;
    /// Cache attribute: uncached, MTRRs may override it.
    pub const XEN_DMOP_MEM_CACHEATTR_UCM: u32 = 7;
    /// No attribute any more.
    pub const XEN_DMOP_DELETE_MEM_CACHEATTR: u32 = u32::MAX;
    /// External interrupt.
    pub const XEN_DMOP_EVENT_EXT_INT: u8 = 0;
    /// Non-maskable interrupt.
    pub const XEN_DMOP_EVENT_NMI: u8 = 2;
    /// Exception.
    pub const XEN_DMOP_EVENT_HW_EXC: u8 = 3;
    /// `int n`.
    pub const XEN_DMOP_EVENT_SW_INT: u8 = 4;
    /// `int1`.
    pub const XEN_DMOP_EVENT_PRI_SW_EXC: u8 = 5;
    /// `int3`, `into`.
    pub const XEN_DMOP_EVENT_SW_EXC: u8 = 6;
}

structures! {
    /// Buffer of a call.
    pub struct DmOpBuf("struct xen_dm_op_buf", 16) {
        /// Handle.
        0 h: u64,
        /// Bytes.
        8 size: u64,
    }

    /// The operation.
    pub struct DmOp("struct xen_dm_op", 32) {
        /// In: `XEN_DMOP_*`.
        0 op: u32,
        4 pad: u32,
        /// In and out: the operation's structure.
        8 u: [u8; 24],
    }

    /// Register a device model.
    pub struct DmOpCreateIoreqServer("struct xen_dm_op_create_ioreq_server", 6) {
        /// In: `HVM_IOREQSRV_BUFIOREQ_*`.
        0 handle_bufioreq: u8,
        1 pad: [u8; 3],
        /// Out: server.
        4 id: u16,
    }

    /// Pages and port of a server.
    pub struct DmOpGetIoreqServerInfo("struct xen_dm_op_get_ioreq_server_info", 24) {
        /// In: server.
        0 id: u16,
        /// In: [`XEN_DMOP_NO_GFNS`] or 0.
        2 flags: u16,
        /// Out: port of buffered requests.
        4 bufioreq_port: u32,
        /// Out: frame of requests.
        8 ioreq_gfn: u64,
        /// Out: frame of buffered requests.
        16 bufioreq_gfn: u64,
    }

    /// Range that a server emulates.
    pub struct DmOpIoreqServerRange("struct xen_dm_op_ioreq_server_range", 24) {
        /// In: server.
        0 id: u16,
        2 pad: u16,
        /// In: `XEN_DMOP_IO_RANGE_*`.
        4 kind: u32,
        /// In: first.
        8 start: u64,
        /// In: last.
        16 end: u64,
    }

    /// Enable a server.
    pub struct DmOpSetIoreqServerState("struct xen_dm_op_set_ioreq_server_state", 4) {
        /// In: server.
        0 id: u16,
        /// In: nonzero to enable.
        2 enabled: u8,
        3 pad: u8,
    }

    /// Remove a server.
    pub struct DmOpDestroyIoreqServer("struct xen_dm_op_destroy_ioreq_server", 4) {
        /// In: server.
        0 id: u16,
        2 pad: u16,
    }

    /// Pages of the frame buffer written; the bit map is in buffer 1.
    pub struct DmOpTrackDirtyVram("struct xen_dm_op_track_dirty_vram", 16) {
        /// In: pages.
        0 nr: u32,
        4 pad: u32,
        /// In: first frame.
        8 first_pfn: u64,
    }

    /// Level of a PCI pin.
    pub struct DmOpSetPciIntxLevel("struct xen_dm_op_set_pci_intx_level", 6) {
        /// In: PCI segment.
        0 domain: u16,
        /// In: bus.
        2 bus: u8,
        /// In: device.
        3 device: u8,
        /// In: pin.
        4 intx: u8,
        /// In: level.
        5 level: u8,
    }

    /// Level of an ISA interrupt.
    pub struct DmOpSetIsaIrqLevel("struct xen_dm_op_set_isa_irq_level", 2) {
        /// In: interrupt.
        0 isa_irq: u8,
        /// In: level.
        1 level: u8,
    }

    /// Route of a PCI link.
    pub struct DmOpSetPciLinkRoute("struct xen_dm_op_set_pci_link_route", 2) {
        /// In: link.
        0 link: u8,
        /// In: interrupt.
        1 isa_irq: u8,
    }

    /// The device model wrote memory; extents are in buffer 1.
    pub struct DmOpModifiedMemory("struct xen_dm_op_modified_memory", 8) {
        /// In: extents.
        0 nr_extents: u32,
        /// In: 0; in of a restart: position.
        4 opaque: u32,
    }

    /// An extent of [`DmOpModifiedMemory`].
    pub struct DmOpModifiedMemoryExtent("struct xen_dm_op_modified_memory_extent", 16) {
        /// Frames.
        0 nr: u32,
        4 pad: u32,
        /// First frame.
        8 first_pfn: u64,
    }

    /// Kind of memory.
    pub struct DmOpSetMemType("struct xen_dm_op_set_mem_type", 16) {
        /// In: frames.
        0 nr: u32,
        /// In: `HVMMEM_*`.
        4 mem_type: u16,
        6 pad: u16,
        /// In: first frame.
        8 first_pfn: u64,
    }

    /// Inject an exception or interrupt.
    pub struct DmOpInjectEvent("struct xen_dm_op_inject_event", 24) {
        /// In: vCPU.
        0 vcpuid: u32,
        /// In: vector.
        4 vector: u8,
        /// In: `XEN_DMOP_EVENT_*`.
        5 kind: u8,
        /// In: bytes of the instruction.
        6 insn_len: u8,
        7 pad0: u8,
        /// In: error code, or all ones.
        8 error_code: u32,
        12 pad1: u32,
        /// In: fault address.
        16 cr2: u64,
    }

    /// Inject a message.
    pub struct DmOpInjectMsi("struct xen_dm_op_inject_msi", 16) {
        /// In: data.
        0 data: u32,
        4 pad: u32,
        /// In: address.
        8 addr: u64,
    }

    /// Shut the domain down.
    pub struct DmOpRemoteShutdown("struct xen_dm_op_remote_shutdown", 4) {
        /// In: `SHUTDOWN_*`.
        0 reason: u32,
    }

    /// Move memory.
    pub struct DmOpRelocateMemory("struct xen_dm_op_relocate_memory", 24) {
        /// In: frames.
        0 size: u32,
        4 pad: u32,
        /// In: from.
        8 src_gfn: u64,
        /// In: to.
        16 dst_gfn: u64,
    }

    /// Fix a cache attribute.
    pub struct DmOpPinMemoryCacheattr("struct xen_dm_op_pin_memory_cacheattr", 24) {
        /// In: first frame.
        0 start: u64,
        /// In: last frame.
        8 end: u64,
        /// In: attribute, all ones to remove it.
        16 kind: u32,
        20 pad: u32,
    }

    /// vCPUs of the domain.
    pub struct DmOpNrVcpus("struct xen_dm_op_nr_vcpus", 4) {
        /// Out: number.
        0 vcpus: u32,
    }
}
