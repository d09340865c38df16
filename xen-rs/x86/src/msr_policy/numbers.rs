//! MSR numbers. Names: AMD APM vol. 2, appendix A "MSR Cross-Reference"; Intel SDM vol. 4.

/// Time stamp counter.
pub const TSC: u32 = 0x10;
/// Sum of what software has added to the TSC.
pub const TSC_ADJUST: u32 = 0x3b;
/// Speculation controls.
pub const SPEC_CTRL: u32 = 0x48;
/// Prediction barriers, write-only.
pub const PRED_CMD: u32 = 0x49;
/// Microcode revision, at the same number for both vendors.
pub const PATCH_LEVEL: u32 = 0x8b;
/// L1 data cache flush, write-only.
pub const FLUSH_CMD: u32 = 0x10b;
/// Enables CPUID faulting.
pub const MISC_FEATURES_ENABLES: u32 = 0x140;
/// Last-branch and single-step-on-branch control.
pub const DEBUGCTL: u32 = 0x1d9;
/// First of the four last-branch and last-interrupt addresses.
pub const LAST_BRANCH_FROM: u32 = 0x1db;
/// Last of them.
pub const LAST_INTERRUPT_TO: u32 = 0x1de;
/// Page attribute table.
pub const PAT: u32 = 0x277;
/// Supervisor state components.
pub const XSS: u32 = 0xda0;
/// What RDTSCP and RDPID return.
pub const TSC_AUX: u32 = 0xc000_0103;

/// MTRRs.
pub mod mtrr {
    /// Capabilities.
    pub const CAP: u32 = 0xfe;
    /// Base of variable range 0; its mask follows, then the next range.
    pub const VARIABLE: u32 = 0x200;
    /// 64 KiB ranges.
    pub const FIXED_64K: u32 = 0x250;
    /// First of two with 16 KiB ranges.
    pub const FIXED_16K: u32 = 0x258;
    /// First of eight with 4 KiB ranges.
    pub const FIXED_4K: u32 = 0x268;
    /// Default type and enables.
    pub const DEF_TYPE: u32 = 0x2ff;
}

/// Machine check.
pub mod machine_check {
    /// Pentium's address register.
    pub const P5_ADDR: u32 = 0;
    /// Pentium's type register.
    pub const P5_TYPE: u32 = 1;
    /// Capabilities.
    pub const CAP: u32 = 0x179;
    /// State.
    pub const STATUS: u32 = 0x17a;
    /// Global enable.
    pub const CTL: u32 = 0x17b;
    /// Bank 0's corrected-error interrupt control; the other banks follow.
    pub const CTL2: u32 = 0x280;
    /// Of bank 31.
    pub const CTL2_LAST: u32 = 0x29f;
    /// Bank 0's control; status, address, miscellaneous, then the next bank.
    pub const BANKS: u32 = 0x400;
    /// Of bank 31.
    pub const BANKS_LAST: u32 = 0x47f;
    /// Local machine checks.
    pub const EXT_CTL: u32 = 0x4d0;
}

/// AMD's own.
pub mod amd {
    /// Further threshold registers of bank 4.
    pub const MC4_MISC1: u32 = 0xc000_0408;
    /// The last of them.
    pub const MC4_MISC3: u32 = 0xc000_040a;
    /// Four event selectors, then four counters.
    pub const EVNTSEL0: u32 = 0xc001_0000;
    /// The last counter.
    pub const PERFCTR3: u32 = 0xc001_0007;
    /// System configuration.
    pub const SYSCFG: u32 = 0xc001_0010;
    /// Hardware configuration.
    pub const HWCR: u32 = 0xc001_0015;
    /// First of two I/O range pairs.
    pub const IORR_BASE0: u32 = 0xc001_0016;
    /// The last mask.
    pub const IORR_MASK1: u32 = 0xc001_0019;
    /// End of RAM below 4 GiB.
    pub const TOP_MEM: u32 = 0xc001_001a;
    /// End of RAM above 4 GiB.
    pub const TOP_MEM2: u32 = 0xc001_001d;
    /// Northbridge configuration.
    pub const NB_CFG: u32 = 0xc001_001f;
    /// Microcode loader, write-only.
    pub const PATCH_LOADER: u32 = 0xc001_0020;
    /// C1E control.
    pub const INT_PENDING: u32 = 0xc001_0055;
    /// Memory-mapped PCI configuration space.
    pub const MMIO_CONF_BASE: u32 = 0xc001_0058;
    /// SMM memory.
    pub const TSEG_BASE: u32 = 0xc001_0112;
    /// Its mask.
    pub const TSEG_MASK: u32 = 0xc001_0113;
    /// Virtualisation control.
    pub const VM_CR: u32 = 0xc001_0114;
    /// What a hypervisor offers in place of a family's own control of speculation.
    pub const VIRT_SPEC_CTRL: u32 = 0xc001_011f;
    /// Host state save area.
    pub const VM_HSAVE_PA: u32 = 0xc001_0117;
    /// Six pairs of event selector and counter.
    pub const EVNTSEL0_EXT: u32 = 0xc001_0200;
    /// The last counter.
    pub const PERFCTR5_EXT: u32 = 0xc001_020b;
    /// Breakpoint 1's address mask; 2 and 3 follow.
    pub const DR1_MASK: u32 = 0xc001_1019;
    /// Breakpoint 3's.
    pub const DR3_MASK: u32 = 0xc001_101b;
    /// Bus unit configuration.
    pub const BU_CFG: u32 = 0xc001_1023;
    /// Breakpoint 0's address mask.
    pub const DR0_MASK: u32 = 0xc001_1027;
    /// Decode configuration.
    pub const DE_CFG: u32 = 0xc001_1029;
    /// Bus unit configuration 2.
    pub const BU_CFG2: u32 = 0xc001_102a;
    /// Execution unit configuration.
    pub const EX_CFG: u32 = 0xc001_102c;
}

/// Intel's own.
pub mod intel {
    /// Platform id.
    pub const PLATFORM_ID: u32 = 0x17;
    /// Bus frequency of a Pentium 4.
    pub const EBC_FREQUENCY_ID: u32 = 0x2c;
    /// Locks features like VMX.
    pub const FEATURE_CONTROL: u32 = 0x3a;
    /// Microcode loader, write-only.
    pub const UCODE_WRITE: u32 = 0x79;
    /// Eight counters.
    pub const PERFCTR0: u32 = 0xc1;
    /// The last.
    pub const PERFCTR7: u32 = 0xc8;
    /// Eight event selectors.
    pub const EVNTSEL0: u32 = 0x186;
    /// The last.
    pub const EVNTSEL7: u32 = 0x18d;
    /// Current performance state.
    pub const PERF_STATUS: u32 = 0x198;
    /// Wanted performance state.
    pub const PERF_CTL: u32 = 0x199;
    /// Temperature.
    pub const THERM_STATUS: u32 = 0x19c;
    /// Assorted enables.
    pub const MISC_ENABLE: u32 = 0x1a0;
    /// Three fixed counters.
    pub const FIXED_CTR0: u32 = 0x309;
    /// The last.
    pub const FIXED_CTR2: u32 = 0x30b;
    /// Fixed counter control, global status, control and overflow control.
    pub const FIXED_CTR_CTRL: u32 = 0x38d;
    /// The last.
    pub const GLOBAL_OVF_CTRL: u32 = 0x390;
}
