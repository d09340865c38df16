//! Guest memory (`public/memory.h`): arguments of `HYPERVISOR_memory_op`.
//!
//! The command word of a restarted call carries the first extent still to do above [`MEMOP_EXTENT_SHIFT`].

/// Bits of the command word below the restart position.
pub const MEMOP_EXTENT_SHIFT: u32 = 6;
/// The command without the restart position.
pub const MEMOP_CMD_MASK: u32 = (1 << MEMOP_EXTENT_SHIFT) - 1;

numbers! {
    /// Give the caller more memory, unmapped (PV): [`MemoryReservation`].
    pub const XENMEM_INCREASE_RESERVATION: u32 = 0;
    /// Take memory back: [`MemoryReservation`].
    pub const XENMEM_DECREASE_RESERVATION: u32 = 1;
    /// Highest machine frame is the result.
    pub const XENMEM_MAXIMUM_RAM_PAGE: u32 = 2;
    /// Pages of a domain are the result: [`MemoryDomain`].
    pub const XENMEM_CURRENT_RESERVATION: u32 = 3;
    /// Limit of pages is the result: [`MemoryDomain`].
    pub const XENMEM_MAXIMUM_RESERVATION: u32 = 4;
    /// PV only.
    pub const XENMEM_MACHPHYS_MFN_LIST: u32 = 5;
    /// Fill guest frames with memory: [`MemoryReservation`].
    pub const XENMEM_POPULATE_PHYSMAP: u32 = 6;
    /// Map a special page: [`AddToPhysmap`].
    pub const XENMEM_ADD_TO_PHYSMAP: u32 = 7;
    /// The caller's memory map: [`MemoryMap`].
    pub const XENMEM_MEMORY_MAP: u32 = 9;
    /// The machine's memory map: [`MemoryMap`].
    pub const XENMEM_MACHINE_MEMORY_MAP: u32 = 10;
    /// Exchange pages: [`MemoryExchange`].
    pub const XENMEM_EXCHANGE: u32 = 11;
    /// PV only.
    pub const XENMEM_MACHPHYS_MAPPING: u32 = 12;
    /// Set a domain's memory map: [`ForeignMemoryMap`].
    pub const XENMEM_SET_MEMORY_MAP: u32 = 13;
    /// Highest guest frame is the result: [`MemoryDomain`].
    pub const XENMEM_MAXIMUM_GPFN: u32 = 14;
    /// Unmap a guest frame: [`RemoveFromPhysmap`].
    pub const XENMEM_REMOVE_FROM_PHYSMAP: u32 = 15;
    /// Set the populate-on-demand target: [`PodTarget`].
    pub const XENMEM_SET_POD_TARGET: u32 = 16;
    /// Get it: [`PodTarget`].
    pub const XENMEM_GET_POD_TARGET: u32 = 17;
    /// Pages saved by sharing.
    pub const XENMEM_GET_SHARING_FREED_PAGES: u32 = 18;
    /// Pages shared.
    pub const XENMEM_GET_SHARING_SHARED_PAGES: u32 = 19;
    /// Paging to disk.
    pub const XENMEM_PAGING_OP: u32 = 20;
    /// Access rights of guest frames.
    pub const XENMEM_ACCESS_OP: u32 = 21;
    /// Sharing.
    pub const XENMEM_SHARING_OP: u32 = 22;
    /// Map several pages: [`AddToPhysmapBatch`].
    pub const XENMEM_ADD_TO_PHYSMAP_BATCH: u32 = 23;
    /// Set memory aside for a domain being built: [`MemoryReservation`].
    pub const XENMEM_CLAIM_PAGES: u32 = 24;
    /// PV only.
    pub const XENMEM_MACHPHYS_COMPAT_MFN_LIST: u32 = 25;
    /// Virtual NUMA of the caller: [`VnumaTopologyInfo`].
    pub const XENMEM_GET_VNUMAINFO: u32 = 26;
    /// Memory that devices need mapped one to one: [`ReservedDeviceMemoryMap`].
    pub const XENMEM_RESERVED_DEVICE_MEMORY_MAP: u32 = 27;
    /// Map pages of a resource of Xen: [`MemAcquireResource`].
    pub const XENMEM_ACQUIRE_RESOURCE: u32 = 28;

    /// Reservation flag: populate on demand.
    pub const XENMEMF_POPULATE_ON_DEMAND: u32 = 1 << 16;
    /// Reservation flag: only from the given node.
    pub const XENMEMF_EXACT_NODE_REQUEST: u32 = 1 << 17;
    /// Reservation flag: the node is a virtual one.
    pub const XENMEMF_VNODE: u32 = 1 << 18;

    /// The shared info page.
    pub const XENMAPSPACE_SHARED_INFO: u32 = 0;
    /// A grant table page.
    pub const XENMAPSPACE_GRANT_TABLE: u32 = 1;
    /// A page of the guest, moved.
    pub const XENMAPSPACE_GMFN: u32 = 2;
    /// A range of pages of the guest, moved.
    pub const XENMAPSPACE_GMFN_RANGE: u32 = 3;
    /// A page of another domain.
    pub const XENMAPSPACE_GMFN_FOREIGN: u32 = 4;
    /// Arm only: device memory.
    pub const XENMAPSPACE_DEV_MMIO: u32 = 5;
    /// Bit of the index: status page of the grant table.
    pub const XENMAPIDX_GRANT_TABLE_STATUS: u32 = 0x8000_0000;

    /// Ioreq server pages.
    pub const XENMEM_RESOURCE_IOREQ_SERVER: u16 = 0;
    /// Grant table pages.
    pub const XENMEM_RESOURCE_GRANT_TABLE: u16 = 1;
    /// Trace buffer pages.
    pub const XENMEM_RESOURCE_VMTRACE_BUF: u16 = 2;
    /// Grant table resource: entries.
    pub const XENMEM_RESOURCE_GRANT_TABLE_ID_SHARED: u32 = 0;
    /// Grant table resource: status words.
    pub const XENMEM_RESOURCE_GRANT_TABLE_ID_STATUS: u32 = 1;
    /// Ioreq server resource: frame of the buffered ring.
    pub const XENMEM_RESOURCE_IOREQ_SERVER_FRAME_BUFIOREQ: u64 = 0;
    /// Ioreq server resource: first frame of synchronous requests.
    pub const XENMEM_RESOURCE_IOREQ_SERVER_FRAME_IOREQ0: u64 = 1 => "XENMEM_resource_ioreq_server_frame_ioreq(0)";

    /// Access operation: set a range.
    pub const XENMEM_ACCESS_OP_SET_ACCESS: u8 = 0;
    /// Access operation: read one frame.
    pub const XENMEM_ACCESS_OP_GET_ACCESS: u8 = 1;
    /// Access operation: set a list.
    pub const XENMEM_ACCESS_OP_SET_ACCESS_MULTI: u8 = 4;

    /// All reserved device memory, not one device's.
    pub const XENMEM_RDM_ALL: u32 = 1;
}

/// Highest address bits a reservation may use (0: any).
pub const fn xenmemf_get_address_bits(mem_flags: u32) -> u32 {
    mem_flags & 0xff
}

/// Node a reservation asks for; 255 is none.
pub const fn xenmemf_get_node(mem_flags: u32) -> u32 {
    (mem_flags >> 8).wrapping_sub(1) & 0xff
}

structures! {
    /// Extents to add, remove or fill.
    pub struct MemoryReservation("struct xen_memory_reservation", 32) {
        /// In or out: handle of frame numbers, 0 if none are wanted.
        0 extent_start: u64,
        /// In: number of extents.
        8 nr_extents: u64,
        /// In: log2 of pages in an extent.
        16 extent_order: u32,
        /// In: `XENMEMF_*`, address bits in 7:0, node plus 1 in 15:8.
        20 mem_flags: u32,
        /// In: domain.
        24 domid: u16,
        26 _pad: [u8; 6],
    }

    /// [`XENMEM_EXCHANGE`].
    pub struct MemoryExchange("struct xen_memory_exchange", 72) {
        /// In: extents given back.
        0 in_: MemoryReservation => "in",
        /// In: extents wanted.
        32 out: MemoryReservation,
        /// In: 0 or the restart position; out: extents exchanged.
        64 nr_exchanged: u64,
    }

    /// A domain.
    pub struct MemoryDomain("struct xen_memory_domain", 2) {
        /// In: domain.
        0 domid: u16,
    }

    /// [`XENMEM_ADD_TO_PHYSMAP`].
    pub struct AddToPhysmap("struct xen_add_to_physmap", 24) {
        /// In: domain whose map changes.
        0 domid: u16,
        /// In: pages, for [`XENMAPSPACE_GMFN_RANGE`].
        2 size: u16,
        /// In: `XENMAPSPACE_*`.
        4 space: u32,
        /// In: which page of the space.
        8 idx: u64,
        /// In: guest frame that shall show it.
        16 gpfn: u64,
    }

    /// [`XENMEM_ADD_TO_PHYSMAP_BATCH`].
    pub struct AddToPhysmapBatch("struct xen_add_to_physmap_batch", 32) {
        /// In: domain whose map changes.
        0 domid: u16,
        /// In: `XENMAPSPACE_*`.
        2 space: u16,
        /// In: pages.
        4 size: u16,
        /// In: the other domain, for [`XENMAPSPACE_GMFN_FOREIGN`]; else 0.
        6 foreign_domid: u16 => "u.foreign_domid",
        /// In: handle of indices.
        8 idxs: u64,
        /// In: handle of guest frames.
        16 gpfns: u64,
        /// Out: handle of `i32` negative error numbers.
        24 errs: u64,
    }

    /// [`XENMEM_REMOVE_FROM_PHYSMAP`].
    pub struct RemoveFromPhysmap("struct xen_remove_from_physmap", 16) {
        /// In: domain whose map changes.
        0 domid: u16,
        2 _pad: [u8; 6],
        /// In: guest frame.
        8 gpfn: u64,
    }

    /// [`XENMEM_MEMORY_MAP`] and [`XENMEM_MACHINE_MEMORY_MAP`].
    pub struct MemoryMap("struct xen_memory_map", 16) {
        /// In: entries the buffer holds; out: entries written.
        0 nr_entries: u32,
        4 _pad: [u8; 4],
        /// In: handle of [`crate::hvm::e820::E820Entry`] of 20 bytes each.
        8 buffer: u64,
    }

    /// [`XENMEM_SET_MEMORY_MAP`].
    pub struct ForeignMemoryMap("struct xen_foreign_memory_map", 24) {
        /// In: domain.
        0 domid: u16,
        2 _pad: [u8; 6],
        /// In: the map.
        8 map: MemoryMap,
    }

    /// [`XENMEM_SET_POD_TARGET`] and [`XENMEM_GET_POD_TARGET`].
    pub struct PodTarget("struct xen_pod_target", 40) {
        /// In: target in pages.
        0 target_pages: u64,
        /// Out: pages of the domain.
        8 tot_pages: u64,
        /// Out: pages in the cache.
        16 pod_cache_pages: u64,
        /// Out: frames without a page.
        24 pod_entries: u64,
        /// In: domain.
        32 domid: u16,
        34 _pad: [u8; 6],
    }

    /// [`XENMEM_ACCESS_OP`].
    pub struct MemAccessOp("struct xen_mem_access_op", 32) {
        /// In: operation.
        0 op: u8,
        /// In or out: access.
        1 access: u8,
        /// In: domain.
        2 domid: u16,
        /// In: frames.
        4 nr: u32,
        /// In: first frame.
        8 pfn: u64,
        /// In: handle of frames.
        16 pfn_list: u64,
        /// In: handle of accesses.
        24 access_list: u64,
    }

    /// A range of [`XENMEM_RESERVED_DEVICE_MEMORY_MAP`].
    pub struct ReservedDeviceMemory("struct xen_reserved_device_memory", 16) {
        /// First frame.
        0 start_pfn: u64,
        /// Frames.
        8 nr_pages: u64,
    }

    /// [`XENMEM_RESERVED_DEVICE_MEMORY_MAP`].
    pub struct ReservedDeviceMemoryMap("struct xen_reserved_device_memory_map", 24) {
        /// In: [`XENMEM_RDM_ALL`] or 0.
        0 flags: u32,
        /// In: entries the buffer holds; out: entries there are.
        4 nr_entries: u32,
        /// In: handle of [`ReservedDeviceMemory`].
        8 buffer: u64,
        /// In: device, without [`XENMEM_RDM_ALL`].
        16 pci: crate::physdev::PhysdevPciDevice => "dev.pci",
        20 _pad: [u8; 4],
    }

    /// [`XENMEM_ACQUIRE_RESOURCE`].
    pub struct MemAcquireResource("struct xen_mem_acquire_resource", 32) {
        /// In: domain whose resource it is.
        0 domid: u16,
        /// In: `XENMEM_RESOURCE_*`.
        2 kind: u16,
        /// In: which one, by kind.
        4 id: u32,
        /// In: frames wanted; out with a null list: frames there are.
        8 nr_frames: u32,
        12 pad: u32,
        /// In: first frame of the resource.
        16 frame: u64,
        /// In: handle of guest frames that shall show them.
        24 frame_list: u64,
    }

    /// Memory of a virtual node.
    pub struct Vmemrange("struct xen_vmemrange", 24) {
        /// First address.
        0 start: u64,
        /// Address after the last.
        8 end: u64,
        /// None defined.
        16 flags: u32,
        /// Virtual node.
        20 nid: u32,
    }

    /// [`XENMEM_GET_VNUMAINFO`].
    pub struct VnumaTopologyInfo("struct xen_vnuma_topology_info", 40) {
        /// In: domain.
        0 domid: u16,
        2 pad: u16,
        /// In: space; out: nodes.
        4 nr_vnodes: u32,
        /// In: space; out: vCPUs.
        8 nr_vcpus: u32,
        /// In: space; out: ranges.
        12 nr_vmemranges: u32,
        /// In: handle of `u32` distances.
        16 vdistance: u64 => "vdistance.h",
        /// In: handle of `u32` nodes.
        24 vcpu_to_vnode: u64 => "vcpu_to_vnode.h",
        /// In: handle of [`Vmemrange`].
        32 vmemrange: u64 => "vmemrange.h",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_flag_of_zero_means_no_node() {
        assert_eq!(xenmemf_get_node(0), 255);
        assert_eq!(xenmemf_get_node(3 << 8 | XENMEMF_VNODE | 32), 2);
        assert_eq!(xenmemf_get_address_bits(3 << 8 | 32), 32);
    }
}
