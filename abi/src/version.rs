//! Version queries (`public/version.h`): arguments of `HYPERVISOR_xen_version`.

/// What [`XENVER_VERSION`] returns: 4.20.
pub const XEN_VERSION_4_20: u32 = 4 << 16 | 20;

numbers! {
    /// Major in the high half, minor in the low half of the result.
    pub const XENVER_VERSION: u32 = 0;
    /// 16 bytes: what follows the minor version.
    pub const XENVER_EXTRAVERSION: u32 = 1;
    /// [`CompileInfo`].
    pub const XENVER_COMPILE_INFO: u32 = 2;
    /// 1024 bytes: guest kinds.
    pub const XENVER_CAPABILITIES: u32 = 3;
    /// 64 bytes: source revision.
    pub const XENVER_CHANGESET: u32 = 4;
    /// [`PlatformParameters`].
    pub const XENVER_PLATFORM_PARAMETERS: u32 = 5;
    /// [`FeatureInfo`].
    pub const XENVER_GET_FEATURES: u32 = 6;
    /// The page size is the result.
    pub const XENVER_PAGESIZE: u32 = 7;
    /// 16 bytes: the caller's UUID.
    pub const XENVER_GUEST_HANDLE: u32 = 8;
    /// 1024 bytes: Xen's command line.
    pub const XENVER_COMMANDLINE: u32 = 9;
    /// [`Varbuf`] with the build id.
    pub const XENVER_BUILD_ID: u32 = 10;
    /// [`Varbuf`].
    pub const XENVER_EXTRAVERSION2: u32 = 11;
    /// [`Varbuf`].
    pub const XENVER_CAPABILITIES2: u32 = 12;
    /// [`Varbuf`].
    pub const XENVER_CHANGESET2: u32 = 13;
    /// [`Varbuf`].
    pub const XENVER_COMMANDLINE2: u32 = 14;

    /// Bytes of [`XENVER_EXTRAVERSION`].
    pub const XEN_EXTRAVERSION_LEN: usize = 16;
    /// Bytes of [`XENVER_CAPABILITIES`].
    pub const XEN_CAPABILITIES_INFO_LEN: usize = 1024;
    /// Bytes of [`XENVER_CHANGESET`].
    pub const XEN_CHANGESET_INFO_LEN: usize = 64;
    /// Bytes of [`XENVER_COMMANDLINE`].
    pub const XEN_COMMANDLINE_LEN: usize = 1024 => "sizeof(xen_commandline_t)";
}

structures! {
    /// How Xen was built; NUL-padded text.
    pub struct CompileInfo("struct xen_compile_info", 144) {
        /// Compiler and its version.
        0 compiler: [u8; 64],
        /// User.
        64 compile_by: [u8; 16],
        /// Domain.
        80 compile_domain: [u8; 32],
        /// Date.
        112 compile_date: [u8; 32],
    }

    /// [`XENVER_PLATFORM_PARAMETERS`].
    pub struct PlatformParameters("struct xen_platform_parameters", 8) {
        /// Out: start of Xen's hole in a PV guest's address space.
        0 virt_start: u64,
    }

    /// [`XENVER_GET_FEATURES`].
    pub struct FeatureInfo("struct xen_feature_info", 8) {
        /// In: which 32 features.
        0 submap_idx: u32,
        /// Out: the features.
        4 submap: u32,
    }

    /// Header of a buffer of variable size; the bytes follow.
    pub struct Varbuf("struct xen_varbuf", 4) {
        /// In: bytes the buffer holds after this field.
        0 len: u32,
    }
}
