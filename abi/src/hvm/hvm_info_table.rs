//! What the domain builder tells hvmloader (`public/hvm/hvm_info_table.h`).

numbers! {
    /// Frame of the table.
    pub const HVM_INFO_PFN: u64 = 0x9f;
    /// Place in the frame.
    pub const HVM_INFO_OFFSET: u64 = 0x800;
    /// Physical address.
    pub const HVM_INFO_PADDR: u64 = 0x9_f800;
    /// Most vCPUs of an HVM domain.
    pub const HVM_MAX_VCPUS: u32 = 128;
}

structures! {
    /// The table.
    pub struct HvmInfoTable("struct hvm_info_table", 48) {
        /// `HVM INFO`.
        0 signature: [u8; 8],
        /// Bytes of the table.
        8 length: u32,
        /// Makes the sum of all bytes 0.
        12 checksum: u8,
        /// 1: announce the APICs.
        13 apic_mode: u8,
        14 _pad: [u8; 2],
        /// vCPUs.
        16 nr_vcpus: u32,
        /// End of memory below 4 GiB, frame.
        20 low_mem_pgend: u32,
        /// Start of special frames.
        24 reserved_mem_pgstart: u32,
        /// End of memory above 4 GiB, frame, or 0.
        28 high_mem_pgend: u32,
        /// Bit map of vCPUs to start.
        32 vcpu_online: [u8; 16],
    }
}
