//! Notes in a guest kernel's image, owner `Xen` (`public/elfnote.h`).

/// Owner name of the notes, with its NUL.
pub const XEN_ELFNOTE_NAME: &[u8; 4] = b"Xen\0";

numbers! {
    /// Free text.
    pub const XEN_ELFNOTE_INFO: u32 = 0;
    /// PV entry point.
    pub const XEN_ELFNOTE_ENTRY: u32 = 1;
    /// Address of the hypercall page.
    pub const XEN_ELFNOTE_HYPERCALL_PAGE: u32 = 2;
    /// PV: where the kernel's memory is mapped.
    pub const XEN_ELFNOTE_VIRT_BASE: u32 = 3;
    /// PV: difference of physical addresses.
    pub const XEN_ELFNOTE_PADDR_OFFSET: u32 = 4;
    /// Version of Xen, text.
    pub const XEN_ELFNOTE_XEN_VERSION: u32 = 5;
    /// Name of the system, text.
    pub const XEN_ELFNOTE_GUEST_OS: u32 = 6;
    /// Version of the system, text.
    pub const XEN_ELFNOTE_GUEST_VERSION: u32 = 7;
    /// Loader, text.
    pub const XEN_ELFNOTE_LOADER: u32 = 8;
    /// PV, 32 bits.
    pub const XEN_ELFNOTE_PAE_MODE: u32 = 9;
    /// Features, text.
    pub const XEN_ELFNOTE_FEATURES: u32 = 10;
    /// Load the symbols.
    pub const XEN_ELFNOTE_BSD_SYMTAB: u32 = 11;
    /// PV: lowest address for Xen.
    pub const XEN_ELFNOTE_HV_START_LOW: u32 = 12;
    /// PV: meaning of page table entries.
    pub const XEN_ELFNOTE_L1_MFN_VALID: u32 = 13;
    /// Suspend can be cancelled.
    pub const XEN_ELFNOTE_SUSPEND_CANCEL: u32 = 14;
    /// PV: address of the frame list.
    pub const XEN_ELFNOTE_INIT_P2M: u32 = 15;
    /// PV: the module may be given by frame.
    pub const XEN_ELFNOTE_MOD_START_PFN: u32 = 16;
    /// Features, bit map.
    pub const XEN_ELFNOTE_SUPPORTED_FEATURES: u32 = 17;
    /// PVH entry point, physical.
    pub const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;
    /// PVH: the image may be moved; alignment, lowest and highest address.
    pub const XEN_ELFNOTE_PHYS32_RELOC: u32 = 19;
    /// Highest number.
    pub const XEN_ELFNOTE_MAX: u32 = 19;
}
