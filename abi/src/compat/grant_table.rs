//! 32-bit layouts of [`crate::grant_table`].

structures! {
    /// `GNTTABOP_SETUP_TABLE`.
    pub struct GnttabSetupTable("struct gnttab_setup_table", 16) {
        /// In: domain.
        0 dom: u16,
        2 _pad0: [u8; 2],
        /// In: frames wanted.
        4 nr_frames: u32,
        /// Out: `GNTST_*`.
        8 status: i16,
        10 _pad1: [u8; 2],
        /// In: handle of `nr_frames` `u32` frame numbers.
        12 frame_list: u32,
    }

    /// `GNTTABOP_TRANSFER`.
    pub struct GnttabTransfer("struct gnttab_transfer", 16) {
        /// In: frame.
        0 mfn: u32,
        /// In: domain that gets it.
        4 domid: u16,
        6 _pad0: [u8; 2],
        /// In: entry in that domain's table.
        8 ref_: u32 => "ref",
        /// Out: `GNTST_*`.
        12 status: i16,
        14 _pad1: [u8; 2],
    }

    /// One side of [`GnttabCopy`].
    pub struct GnttabCopyPtr("struct gnttab_copy_ptr", 8) {
        /// In: guest frame or grant reference.
        0 gmfn_or_ref: u32 => "u.gmfn",
        /// In: domain.
        4 domid: u16,
        /// In: first byte in the page.
        6 offset: u16,
    }

    /// `GNTTABOP_COPY`.
    pub struct GnttabCopy("struct gnttab_copy", 24) {
        /// In: from.
        0 source: GnttabCopyPtr,
        /// In: to.
        8 dest: GnttabCopyPtr,
        /// In: bytes.
        16 len: u16,
        /// In: `GNTCOPY_*`.
        18 flags: u16,
        /// Out: `GNTST_*`.
        20 status: i16,
        22 _pad: [u8; 2],
    }

    /// `GNTTABOP_GET_STATUS_FRAMES`.
    pub struct GnttabGetStatusFrames("struct gnttab_get_status_frames", 12) {
        /// In: frames wanted.
        0 nr_frames: u32,
        /// In: domain.
        4 dom: u16,
        /// Out: `GNTST_*`.
        6 status: i16,
        /// In: handle of `u64` frame numbers.
        8 frame_list: u32,
    }
}
