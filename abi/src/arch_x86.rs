//! x86 parts of the ABI: domain configuration, CPU policy entries and Xen's CPUID leaves (`public/arch-x86/xen.h`,
//! `public/arch-x86/cpuid.h`).

numbers! {
    /// Emulate the local APIC.
    pub const XEN_X86_EMU_LAPIC: u32 = 1 << 0;
    /// Emulate the HPET.
    pub const XEN_X86_EMU_HPET: u32 = 1 << 1;
    /// Emulate the ACPI power management timer.
    pub const XEN_X86_EMU_PM: u32 = 1 << 2;
    /// Emulate the real-time clock.
    pub const XEN_X86_EMU_RTC: u32 = 1 << 3;
    /// Emulate the I/O APIC.
    pub const XEN_X86_EMU_IOAPIC: u32 = 1 << 4;
    /// Emulate the 8259s.
    pub const XEN_X86_EMU_PIC: u32 = 1 << 5;
    /// Emulate the VGA memory.
    pub const XEN_X86_EMU_VGA: u32 = 1 << 6;
    /// Emulate an I/O MMU.
    pub const XEN_X86_EMU_IOMMU: u32 = 1 << 7;
    /// Emulate the timer 8254.
    pub const XEN_X86_EMU_PIT: u32 = 1 << 8;
    /// Physical interrupts by event channel.
    pub const XEN_X86_EMU_USE_PIRQ: u32 = 1 << 9;
    /// Emulate PCI configuration space in Xen.
    pub const XEN_X86_EMU_VPCI: u32 = 1 << 10;
    /// All of them.
    pub const XEN_X86_EMU_ALL: u32 = 0x7ff;
    /// Unknown MSRs read as 0.
    pub const XEN_X86_MSR_RELAXED: u32 = 1 << 0;
    /// Highest known flag.
    pub const XEN_X86_MISC_FLAGS_MAX: u32 = 1 << 0;

    /// The leaf has no subleaves.
    pub const XEN_CPUID_NO_SUBLEAF: u32 = u32::MAX;

    /// First leaf.
    pub const XEN_CPUID_FIRST_LEAF: u32 = 0x4000_0000;
    /// Signature in `ebx`.
    pub const XEN_CPUID_SIGNATURE_EBX: u32 = 0x566e_6558;
    /// Signature in `ecx`.
    pub const XEN_CPUID_SIGNATURE_ECX: u32 = 0x6558_4d4d;
    /// Signature in `edx`.
    pub const XEN_CPUID_SIGNATURE_EDX: u32 = 0x4d4d_566e;
    /// Leaf 2, `ecx`: PV only.
    pub const XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD: u32 = 1 << 0;
    /// Leaf 3: the TSC is emulated.
    pub const XEN_CPUID_TSC_EMULATED: u32 = 1 << 0 => "XEN_CPUID_TSC_EMULATED";
    /// Leaf 3: the host's TSC is reliable.
    pub const XEN_CPUID_HOST_TSC_RELIABLE: u32 = 1 << 1;
    /// Leaf 3: RDTSCP is there.
    pub const XEN_CPUID_RDTSCP_INSTR_AVAIL: u32 = 1 << 2;
    /// Leaf 3, TSC mode: emulate when the frequency differs.
    pub const XEN_CPUID_TSC_MODE_DEFAULT: u32 = 0;
    /// Leaf 3, TSC mode: always emulate.
    pub const XEN_CPUID_TSC_MODE_ALWAYS_EMULATE: u32 = 1;
    /// Leaf 3, TSC mode: never emulate.
    pub const XEN_CPUID_TSC_MODE_NEVER_EMULATE: u32 = 2;
    /// Leaf 4: APIC register accesses are virtualised by hardware.
    pub const XEN_HVM_CPUID_APIC_ACCESS_VIRT: u32 = 1 << 0;
    /// Leaf 4: x2APIC MSRs are virtualised by hardware.
    pub const XEN_HVM_CPUID_X2APIC_VIRT: u32 = 1 << 1;
    /// Leaf 4: foreign and granted pages may be used for DMA.
    pub const XEN_HVM_CPUID_IOMMU_MAPPINGS: u32 = 1 << 2;
    /// Leaf 4: `ebx` is the vCPU id.
    pub const XEN_HVM_CPUID_VCPU_ID_PRESENT: u32 = 1 << 3;
    /// Leaf 4: `ecx` is the domain id.
    pub const XEN_HVM_CPUID_DOMID_PRESENT: u32 = 1 << 4;
    /// Leaf 4: extended destinations in messages.
    pub const XEN_HVM_CPUID_EXT_DEST_ID: u32 = 1 << 5;
    /// Leaf 4: `HVMOP_SET_EVTCHN_UPCALL_VECTOR` exists.
    pub const XEN_HVM_CPUID_UPCALL_VECTOR: u32 = 1 << 6;
    /// Highest leaf, relative.
    pub const XEN_CPUID_MAX_NUM_LEAVES: u32 = 5;
}

structures! {
    /// What to emulate for a domain.
    pub struct ArchDomainconfig("struct xen_arch_domainconfig", 8) {
        /// `XEN_X86_EMU_*`.
        0 emulation_flags: u32,
        /// [`XEN_X86_MSR_RELAXED`] or 0.
        4 misc_flags: u32,
    }

    /// A CPUID leaf of a policy.
    pub struct CpuidLeaf("xen_cpuid_leaf_t", 24) {
        /// Leaf.
        0 leaf: u32,
        /// Subleaf or [`XEN_CPUID_NO_SUBLEAF`].
        4 subleaf: u32,
        /// `eax`.
        8 a: u32,
        /// `ebx`.
        12 b: u32,
        /// `ecx`.
        16 c: u32,
        /// `edx`.
        20 d: u32,
    }

    /// An MSR of a policy.
    pub struct MsrEntry("xen_msr_entry_t", 16) {
        /// MSR number.
        0 idx: u32,
        /// 0.
        4 flags: u32,
        /// Value.
        8 val: u64,
    }
}
