//! 32-bit layouts of [`crate::version`].

structures! {
    /// `XENVER_PLATFORM_PARAMETERS`.
    pub struct PlatformParameters("struct xen_platform_parameters", 4) {
        /// Out: start of Xen's hole in a PV guest's address space.
        0 virt_start: u32,
    }
}
