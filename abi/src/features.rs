//! Feature bits a guest reads with `XENVER_GET_FEATURES` (`public/features.h`). Values are bit numbers in submap 0.

numbers! {
    /// Page tables need not be read-only.
    pub const XENFEAT_WRITABLE_PAGE_TABLES: u32 = 0;
    /// Descriptor tables need not be read-only.
    pub const XENFEAT_WRITABLE_DESCRIPTOR_TABLES: u32 = 1;
    /// Guest frames are translated by Xen.
    pub const XENFEAT_AUTO_TRANSLATED_PHYSMAP: u32 = 2;
    /// The kernel runs in ring 0.
    pub const XENFEAT_SUPERVISOR_MODE_KERNEL: u32 = 3;
    /// PV only.
    pub const XENFEAT_PAE_PGDIR_ABOVE_4GB: u32 = 4;
    /// PV only.
    pub const XENFEAT_MMU_PT_UPDATE_PRESERVE_AD: u32 = 5;
    /// PV only.
    pub const XENFEAT_HIGHMEM_ASSIST: u32 = 6;
    /// PV only.
    pub const XENFEAT_GNTTAB_MAP_AVAIL_BITS: u32 = 7;
    /// Events may be delivered by vector.
    pub const XENFEAT_HVM_CALLBACK_VECTOR: u32 = 8;
    /// The PV clock is safe in HVM guests.
    pub const XENFEAT_HVM_SAFE_PVCLOCK: u32 = 9;
    /// Physical interrupts may be bound to event channels by HVM guests.
    pub const XENFEAT_HVM_PIRQS: u32 = 10;
    /// The caller is the hardware domain.
    pub const XENFEAT_DOM0: u32 = 11;
    /// `XENMEMF_VNODE` is understood.
    pub const XENFEAT_MEMORY_OP_VNODE_SUPPORTED: u32 = 13;
    /// Arm only.
    pub const XENFEAT_ARM_SMCCC_SUPPORTED: u32 = 14;
    /// The RSDP may lie above 4 GiB.
    pub const XENFEAT_LINUX_RSDP_UNRESTRICTED: u32 = 15;
    /// Guest frames are not machine frames.
    pub const XENFEAT_NOT_DIRECT_MAPPED: u32 = 16;
    /// Guest frames are machine frames.
    pub const XENFEAT_DIRECT_MAPPED: u32 = 17;
    /// `VCPUOP_REGISTER_RUNSTATE_PHYS_AREA` exists.
    pub const XENFEAT_RUNSTATE_PHYS_AREA: u32 = 18;
    /// `VCPUOP_REGISTER_VCPU_TIME_PHYS_AREA` exists.
    pub const XENFEAT_VCPU_TIME_PHYS_AREA: u32 = 19;
    /// Device models see all writes to MSI-X tables.
    pub const XENFEAT_DM_MSIX_ALL_WRITES: u32 = 20;
    /// Submaps.
    pub const XENFEAT_NR_SUBMAPS: u32 = 1;
}
