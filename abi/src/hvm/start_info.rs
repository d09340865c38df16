//! What a PVH guest finds at its start, its address in `ebx` (`public/arch-x86/hvm/start_info.h`).

numbers! {
    /// First word of the structure.
    pub const XEN_HVM_START_MAGIC_VALUE: u32 = 0x336e_c578;
    /// Memory map: ordinary memory.
    pub const XEN_HVM_MEMMAP_TYPE_RAM: u32 = 1;
    /// Memory map: not to be used.
    pub const XEN_HVM_MEMMAP_TYPE_RESERVED: u32 = 2;
    /// Memory map: ACPI tables.
    pub const XEN_HVM_MEMMAP_TYPE_ACPI: u32 = 3;
    /// Memory map: ACPI non-volatile storage.
    pub const XEN_HVM_MEMMAP_TYPE_NVS: u32 = 4;
    /// Memory map: memory with errors.
    pub const XEN_HVM_MEMMAP_TYPE_UNUSABLE: u32 = 5;
    /// Memory map: disabled memory.
    pub const XEN_HVM_MEMMAP_TYPE_DISABLED: u32 = 6;
    /// Memory map: persistent memory.
    pub const XEN_HVM_MEMMAP_TYPE_PMEM: u32 = 7;
}

structures! {
    /// Start of everything. Addresses are physical; 0 is none.
    pub struct HvmStartInfo("struct hvm_start_info", 56) {
        /// [`XEN_HVM_START_MAGIC_VALUE`].
        0 magic: u32,
        /// 1: the memory map is there.
        4 version: u32,
        /// `SIF_*`.
        8 flags: u32,
        /// Modules.
        12 nr_modules: u32,
        /// Array of [`HvmModlistEntry`].
        16 modlist_paddr: u64,
        /// Command line, NUL-terminated.
        24 cmdline_paddr: u64,
        /// ACPI root pointer.
        32 rsdp_paddr: u64,
        /// Array of [`HvmMemmapTableEntry`].
        40 memmap_paddr: u64,
        /// Entries of the memory map.
        48 memmap_entries: u32,
        /// 0.
        52 reserved: u32,
    }

    /// A module, such as an initial RAM disk.
    pub struct HvmModlistEntry("struct hvm_modlist_entry", 32) {
        /// Start.
        0 paddr: u64,
        /// Bytes.
        8 size: u64,
        /// Its command line.
        16 cmdline_paddr: u64,
        /// 0.
        24 reserved: u64,
    }

    /// A range of the memory map.
    pub struct HvmMemmapTableEntry("struct hvm_memmap_table_entry", 24) {
        /// Start.
        0 addr: u64,
        /// Bytes.
        8 size: u64,
        /// `XEN_HVM_MEMMAP_TYPE_*`.
        16 kind: u32,
        /// 0.
        20 reserved: u32,
    }
}
