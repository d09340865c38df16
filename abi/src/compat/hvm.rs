//! 32-bit layouts of [`crate::hvm`].

structures! {
    /// Buffer of a device model call.
    pub struct DmOpBuf("struct xen_dm_op_buf", 8) {
        /// Handle.
        0 h: u32,
        /// Bytes.
        4 size: u32,
    }
}
