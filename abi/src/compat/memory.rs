//! 32-bit layouts of [`crate::memory`].

use super::U64;

structures! {
    /// Extents to add, remove or fill.
    pub struct MemoryReservation("struct xen_memory_reservation", 20) {
        /// In or out: handle of `u32` frame numbers, 0 if none are wanted.
        0 extent_start: u32,
        /// In: number of extents.
        4 nr_extents: u32,
        /// In: log2 of pages in an extent.
        8 extent_order: u32,
        /// In: `XENMEMF_*`, address bits in 7:0, node plus 1 in 15:8.
        12 mem_flags: u32,
        /// In: domain.
        16 domid: u16,
        18 _pad: [u8; 2],
    }

    /// `XENMEM_EXCHANGE`.
    pub struct MemoryExchange("struct xen_memory_exchange", 44) {
        /// In: extents given back.
        0 in_: MemoryReservation => "in",
        /// In: extents wanted.
        20 out: MemoryReservation,
        /// In: 0 or the restart position; out: extents exchanged.
        40 nr_exchanged: u32,
    }

    /// `XENMEM_ADD_TO_PHYSMAP`.
    pub struct AddToPhysmap("struct xen_add_to_physmap", 16) {
        /// In: domain whose map changes.
        0 domid: u16,
        /// In: pages, for `XENMAPSPACE_GMFN_RANGE`.
        2 size: u16,
        /// In: `XENMAPSPACE_*`.
        4 space: u32,
        /// In: which page of the space.
        8 idx: u32,
        /// In: guest frame that shall show it.
        12 gpfn: u32,
    }

    /// `XENMEM_ADD_TO_PHYSMAP_BATCH`.
    pub struct AddToPhysmapBatch("struct xen_add_to_physmap_batch", 20) {
        /// In: domain whose map changes.
        0 domid: u16,
        /// In: `XENMAPSPACE_*`.
        2 space: u16,
        /// In: pages.
        4 size: u16,
        /// In: the other domain, for `XENMAPSPACE_GMFN_FOREIGN`; else 0.
        6 foreign_domid: u16 => "u.foreign_domid",
        /// In: handle of `u32` indices.
        8 idxs: u32,
        /// In: handle of `u32` guest frames.
        12 gpfns: u32,
        /// Out: handle of `i32` negative error numbers.
        16 errs: u32,
    }

    /// `XENMEM_REMOVE_FROM_PHYSMAP`.
    pub struct RemoveFromPhysmap("struct xen_remove_from_physmap", 8) {
        /// In: domain whose map changes.
        0 domid: u16,
        2 _pad: [u8; 2],
        /// In: guest frame.
        4 gpfn: u32,
    }

    /// `XENMEM_MEMORY_MAP` and `XENMEM_MACHINE_MEMORY_MAP`.
    pub struct MemoryMap("struct xen_memory_map", 8) {
        /// In: entries the buffer holds; out: entries written.
        0 nr_entries: u32,
        /// In: handle of [`crate::hvm::e820::E820Entry`].
        4 buffer: u32,
    }

    /// `XENMEM_SET_MEMORY_MAP`.
    pub struct ForeignMemoryMap("struct xen_foreign_memory_map", 12) {
        /// In: domain.
        0 domid: u16,
        2 _pad: [u8; 2],
        /// In: the map.
        4 map: MemoryMap,
    }

    /// `XENMEM_SET_POD_TARGET` and `XENMEM_GET_POD_TARGET`.
    pub struct PodTarget("struct xen_pod_target", 36) {
        /// In: target in pages.
        0 target_pages: U64,
        /// Out: pages of the domain.
        8 tot_pages: U64,
        /// Out: pages in the cache.
        16 pod_cache_pages: U64,
        /// Out: frames without a page.
        24 pod_entries: U64,
        /// In: domain.
        32 domid: u16,
        34 _pad: [u8; 2],
    }

    /// `XENMEM_ACCESS_OP`.
    pub struct MemAccessOp("struct xen_mem_access_op", 24) {
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
        16 pfn_list: u32,
        /// In: handle of accesses.
        20 access_list: u32,
    }

    /// A range of `XENMEM_RESERVED_DEVICE_MEMORY_MAP`.
    pub struct ReservedDeviceMemory("struct xen_reserved_device_memory", 8) {
        /// First frame.
        0 start_pfn: u32,
        /// Frames.
        4 nr_pages: u32,
    }

    /// `XENMEM_RESERVED_DEVICE_MEMORY_MAP`.
    pub struct ReservedDeviceMemoryMap("struct xen_reserved_device_memory_map", 16) {
        /// In: `XENMEM_RDM_ALL` or 0.
        0 flags: u32,
        /// In: entries the buffer holds; out: entries there are.
        4 nr_entries: u32,
        /// In: handle of [`ReservedDeviceMemory`].
        8 buffer: u32,
        /// In: device, without `XENMEM_RDM_ALL`.
        12 pci: crate::physdev::PhysdevPciDevice => "dev.pci",
    }

    /// `XENMEM_ACQUIRE_RESOURCE`.
    pub struct MemAcquireResource("struct xen_mem_acquire_resource", 28) {
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
        16 frame: U64,
        /// In: handle of `u32` guest frames that shall show them.
        24 frame_list: u32,
    }

    /// `XENMEM_GET_VNUMAINFO`.
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
        16 vdistance: u32 => "vdistance.h",
        20 _pad0: u32,
        /// In: handle of `u32` nodes.
        24 vcpu_to_vnode: u32 => "vcpu_to_vnode.h",
        28 _pad1: u32,
        /// In: handle of [`crate::memory::Vmemrange`].
        32 vmemrange: u32 => "vmemrange.h",
        36 _pad2: u32,
    }
}
