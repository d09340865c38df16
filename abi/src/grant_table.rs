//! Grants (`public/grant_table.h`): the table's entries and the arguments of `HYPERVISOR_grant_table_op`.

numbers! {
    /// Map a granted page: [`GnttabMapGrantRef`].
    pub const GNTTABOP_MAP_GRANT_REF: u32 = 0;
    /// Unmap it: [`GnttabUnmapGrantRef`].
    pub const GNTTABOP_UNMAP_GRANT_REF: u32 = 1;
    /// Grow the table and list its frames: [`GnttabSetupTable`].
    pub const GNTTABOP_SETUP_TABLE: u32 = 2;
    /// Print the table: [`GnttabDumpTable`].
    pub const GNTTABOP_DUMP_TABLE: u32 = 3;
    /// Give a page away: [`GnttabTransfer`].
    pub const GNTTABOP_TRANSFER: u32 = 4;
    /// Copy between granted or own pages: [`GnttabCopy`].
    pub const GNTTABOP_COPY: u32 = 5;
    /// Frames of the table: [`GnttabQuerySize`].
    pub const GNTTABOP_QUERY_SIZE: u32 = 6;
    /// Unmap and move another mapping there: [`GnttabUnmapAndReplace`].
    pub const GNTTABOP_UNMAP_AND_REPLACE: u32 = 7;
    /// Choose the entry format: [`GnttabSetVersion`].
    pub const GNTTABOP_SET_VERSION: u32 = 8;
    /// List the status frames of format 2: [`GnttabGetStatusFrames`].
    pub const GNTTABOP_GET_STATUS_FRAMES: u32 = 9;
    /// Entry format of a domain: [`GnttabGetVersion`].
    pub const GNTTABOP_GET_VERSION: u32 = 10;
    /// Swap two entries: [`GnttabSwapGrantRef`].
    pub const GNTTABOP_SWAP_GRANT_REF: u32 = 11;
    /// Clean or invalidate caches: [`GnttabCacheFlush`].
    pub const GNTTABOP_CACHE_FLUSH: u32 = 12;

    /// Entries a guest keeps for the tools.
    pub const GNTTAB_NR_RESERVED_ENTRIES: u32 = 8;
    /// Entry with the console page.
    pub const GNTTAB_RESERVED_CONSOLE: u32 = 0;
    /// Entry with the xenstore page.
    pub const GNTTAB_RESERVED_XENSTORE: u32 = 1;

    /// Entry kind: unused.
    pub const GTF_INVALID: u16 = 0;
    /// Entry kind: the domain may map or copy.
    pub const GTF_PERMIT_ACCESS: u16 = 1;
    /// Entry kind: the domain may transfer a page here.
    pub const GTF_ACCEPT_TRANSFER: u16 = 2;
    /// Entry kind: refers to another domain's grant (format 2).
    pub const GTF_TRANSITIVE: u16 = 3;
    /// Bits with the kind.
    pub const GTF_TYPE_MASK: u16 = 3;
    /// Read only.
    pub const GTF_READONLY: u16 = 1 << 2;
    /// Set by Xen: mapped or being read.
    pub const GTF_READING: u16 = 1 << 3;
    /// Set by Xen: mapped or being written.
    pub const GTF_WRITING: u16 = 1 << 4;
    /// Cache attribute.
    pub const GTF_PWT: u16 = 1 << 5;
    /// Cache attribute.
    pub const GTF_PCD: u16 = 1 << 6;
    /// Cache attribute.
    pub const GTF_PAT: u16 = 1 << 7;
    /// Only part of the page, only for copying (format 2).
    pub const GTF_SUB_PAGE: u16 = 1 << 8;
    /// Set by Xen: a transfer began.
    pub const GTF_TRANSFER_COMMITTED: u16 = 1 << 2;
    /// Set by Xen: a transfer is done.
    pub const GTF_TRANSFER_COMPLETED: u16 = 1 << 3;

    /// Map for the device (I/O MMU).
    pub const GNTMAP_DEVICE_MAP: u32 = 1 << 0;
    /// Map for the CPU.
    pub const GNTMAP_HOST_MAP: u32 = 1 << 1;
    /// Map read only.
    pub const GNTMAP_READONLY: u32 = 1 << 2;
    /// PV only: map for user space.
    pub const GNTMAP_APPLICATION_MAP: u32 = 1 << 3;
    /// PV only: `host_addr` is a page table entry.
    pub const GNTMAP_CONTAINS_PTE: u32 = 1 << 4;

    /// Copy: the source is a grant.
    pub const GNTCOPY_SOURCE_GREF: u16 = 1 << 0;
    /// Copy: the destination is a grant.
    pub const GNTCOPY_DEST_GREF: u16 = 1 << 1;

    /// Clean the cache.
    pub const GNTTAB_CACHE_CLEAN: u32 = 1 << 0;
    /// Invalidate the cache.
    pub const GNTTAB_CACHE_INVAL: u32 = 1 << 1;
    /// The page is named by a grant.
    pub const GNTTAB_CACHE_SOURCE_GREF: u32 = 1 << 31;

    /// Done.
    pub const GNTST_OKAY: i16 = 0;
    /// Any other error.
    pub const GNTST_GENERAL_ERROR: i16 = -1;
    /// No such domain.
    pub const GNTST_BAD_DOMAIN: i16 = -2;
    /// No such grant, or not for the caller.
    pub const GNTST_BAD_GNTREF: i16 = -3;
    /// No such mapping.
    pub const GNTST_BAD_HANDLE: i16 = -4;
    /// Bad host address.
    pub const GNTST_BAD_VIRT_ADDR: i16 = -5;
    /// Bad device address.
    pub const GNTST_BAD_DEV_ADDR: i16 = -6;
    /// No space in the I/O MMU.
    pub const GNTST_NO_DEVICE_SPACE: i16 = -7;
    /// Not permitted.
    pub const GNTST_PERMISSION_DENIED: i16 = -8;
    /// Not a page that can be granted.
    pub const GNTST_BAD_PAGE: i16 = -9;
    /// A copy would cross a page.
    pub const GNTST_BAD_COPY_ARG: i16 = -10;
    /// Page address too large.
    pub const GNTST_ADDRESS_TOO_BIG: i16 = -11;
    /// Try again.
    pub const GNTST_EAGAIN: i16 = -12;
    /// No space for handles.
    pub const GNTST_NO_SPACE: i16 = -13;
}

structures! {
    /// Entry of format 1.
    pub struct GrantEntryV1("struct grant_entry_v1", 8) {
        /// `GTF_*`.
        0 flags: u16,
        /// Domain that is granted access.
        2 domid: u16,
        /// Guest frame.
        4 frame: u32,
    }

    /// Start of an entry of format 2.
    pub struct GrantEntryHeader("struct grant_entry_header", 4) {
        /// `GTF_*`.
        0 flags: u16,
        /// Domain that is granted access.
        2 domid: u16,
    }

    /// Entry of format 2. For a transitive grant `page_off` is the other domain, and `frame` its grant reference.
    pub struct GrantEntryV2("union grant_entry_v2", 16) {
        /// Flags and domain.
        0 hdr: GrantEntryHeader,
        /// Sub-page grant: first byte.
        4 page_off: u16 => "sub_page.page_off",
        /// Sub-page grant: bytes.
        6 length: u16 => "sub_page.length",
        /// Guest frame.
        8 frame: u64 => "sub_page.frame",
    }

    /// [`GNTTABOP_MAP_GRANT_REF`].
    pub struct GnttabMapGrantRef("struct gnttab_map_grant_ref", 32) {
        /// In: where to map; a guest-physical address for translated guests.
        0 host_addr: u64,
        /// In: `GNTMAP_*`.
        8 flags: u32,
        /// In: entry in the granting domain's table.
        12 ref_: u32 => "ref",
        /// In: granting domain.
        16 dom: u16,
        /// Out: `GNTST_*`.
        18 status: i16,
        /// Out: handle for unmapping.
        20 handle: u32,
        /// Out: bus address, with [`GNTMAP_DEVICE_MAP`].
        24 dev_bus_addr: u64,
    }

    /// [`GNTTABOP_UNMAP_GRANT_REF`].
    pub struct GnttabUnmapGrantRef("struct gnttab_unmap_grant_ref", 24) {
        /// In: as given when mapped, or 0.
        0 host_addr: u64,
        /// In: as returned when mapped, or 0.
        8 dev_bus_addr: u64,
        /// In: handle.
        16 handle: u32,
        /// Out: `GNTST_*`.
        20 status: i16,
        22 _pad: [u8; 2],
    }

    /// [`GNTTABOP_SETUP_TABLE`].
    pub struct GnttabSetupTable("struct gnttab_setup_table", 24) {
        /// In: domain.
        0 dom: u16,
        2 _pad0: [u8; 2],
        /// In: frames wanted.
        4 nr_frames: u32,
        /// Out: `GNTST_*`.
        8 status: i16,
        10 _pad1: [u8; 6],
        /// In: handle of `nr_frames` frame numbers.
        16 frame_list: u64,
    }

    /// [`GNTTABOP_DUMP_TABLE`].
    pub struct GnttabDumpTable("struct gnttab_dump_table", 4) {
        /// In: domain.
        0 dom: u16,
        /// Out: `GNTST_*`.
        2 status: i16,
    }

    /// [`GNTTABOP_TRANSFER`].
    pub struct GnttabTransfer("struct gnttab_transfer", 24) {
        /// In: frame.
        0 mfn: u64,
        /// In: domain that gets it.
        8 domid: u16,
        10 _pad0: [u8; 2],
        /// In: entry in that domain's table.
        12 ref_: u32 => "ref",
        /// Out: `GNTST_*`.
        16 status: i16,
        18 _pad1: [u8; 6],
    }

    /// One side of [`GnttabCopy`].
    pub struct GnttabCopyPtr("struct gnttab_copy_ptr", 16) {
        /// In: guest frame, or grant reference in the low 32 bits.
        0 gmfn_or_ref: u64 => "u.gmfn",
        /// In: domain.
        8 domid: u16,
        /// In: first byte in the page.
        10 offset: u16,
        12 _pad: [u8; 4],
    }

    /// [`GNTTABOP_COPY`].
    pub struct GnttabCopy("struct gnttab_copy", 40) {
        /// In: from.
        0 source: GnttabCopyPtr,
        /// In: to.
        16 dest: GnttabCopyPtr,
        /// In: bytes.
        32 len: u16,
        /// In: `GNTCOPY_*`.
        34 flags: u16,
        /// Out: `GNTST_*`.
        36 status: i16,
        38 _pad: [u8; 2],
    }

    /// [`GNTTABOP_QUERY_SIZE`].
    pub struct GnttabQuerySize("struct gnttab_query_size", 16) {
        /// In: domain.
        0 dom: u16,
        2 _pad0: [u8; 2],
        /// Out: frames now.
        4 nr_frames: u32,
        /// Out: frames allowed.
        8 max_nr_frames: u32,
        /// Out: `GNTST_*`.
        12 status: i16,
        14 _pad1: [u8; 2],
    }

    /// [`GNTTABOP_UNMAP_AND_REPLACE`].
    pub struct GnttabUnmapAndReplace("struct gnttab_unmap_and_replace", 24) {
        /// In: mapping to remove.
        0 host_addr: u64,
        /// In: mapping to move there.
        8 new_addr: u64,
        /// In: handle.
        16 handle: u32,
        /// Out: `GNTST_*`.
        20 status: i16,
        22 _pad: [u8; 2],
    }

    /// [`GNTTABOP_SET_VERSION`].
    pub struct GnttabSetVersion("struct gnttab_set_version", 4) {
        /// In: wanted; out: in force.
        0 version: u32,
    }

    /// [`GNTTABOP_GET_STATUS_FRAMES`].
    pub struct GnttabGetStatusFrames("struct gnttab_get_status_frames", 16) {
        /// In: frames wanted.
        0 nr_frames: u32,
        /// In: domain.
        4 dom: u16,
        /// Out: `GNTST_*`.
        6 status: i16,
        /// In: handle of `u64` frame numbers.
        8 frame_list: u64,
    }

    /// [`GNTTABOP_GET_VERSION`].
    pub struct GnttabGetVersion("struct gnttab_get_version", 8) {
        /// In: domain.
        0 dom: u16,
        2 _pad: u16,
        /// Out: version.
        4 version: u32,
    }

    /// [`GNTTABOP_SWAP_GRANT_REF`].
    pub struct GnttabSwapGrantRef("struct gnttab_swap_grant_ref", 12) {
        /// In: one entry.
        0 ref_a: u32,
        /// In: the other.
        4 ref_b: u32,
        /// Out: `GNTST_*`.
        8 status: i16,
        10 _pad: [u8; 2],
    }

    /// [`GNTTABOP_CACHE_FLUSH`].
    pub struct GnttabCacheFlush("struct gnttab_cache_flush", 16) {
        /// In: bus address, or grant reference in the low 32 bits.
        0 address_or_ref: u64 => "a.dev_bus_addr",
        /// In: first byte.
        8 offset: u16,
        /// In: bytes.
        10 length: u16,
        /// In: `GNTTAB_CACHE_*`.
        12 op: u32,
    }
}
