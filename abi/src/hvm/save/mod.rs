//! Records of an HVM domain's state (`public/hvm/save.h`, `public/arch-x86/hvm/save.h`): what `XEN_DOMCTL_GETHVMCONTEXT` returns.
//!
//! A context is a sequence of [`HvmSaveDescriptor`] and payload: first the header, last the end. The instance is the vCPU id, or the number
//! of the chip.

pub mod cpu;
pub mod devices;

pub use cpu::*;
pub use devices::*;

numbers! {
    /// Magic of the header.
    pub const HVM_FILE_MAGIC: u32 = 0x5438_1286;
    /// Version of the header.
    pub const HVM_FILE_VERSION: u32 = 1;

    /// No payload; ends the records.
    pub const HVM_SAVE_CODE_END: u16 = 0 => "HVM_SAVE_CODE(END)";
    /// [`HvmSaveHeader`].
    pub const HVM_SAVE_CODE_HEADER: u16 = 1 => "HVM_SAVE_CODE(HEADER)";
    /// [`HvmHwCpu`].
    pub const HVM_SAVE_CODE_CPU: u16 = 2 => "HVM_SAVE_CODE(CPU)";
    /// [`HvmHwVpic`].
    pub const HVM_SAVE_CODE_PIC: u16 = 3 => "HVM_SAVE_CODE(PIC)";
    /// [`HvmHwVioapic`].
    pub const HVM_SAVE_CODE_IOAPIC: u16 = 4 => "HVM_SAVE_CODE(IOAPIC)";
    /// [`HvmHwLapic`].
    pub const HVM_SAVE_CODE_LAPIC: u16 = 5 => "HVM_SAVE_CODE(LAPIC)";
    /// [`HvmHwLapicRegs`].
    pub const HVM_SAVE_CODE_LAPIC_REGS: u16 = 6 => "HVM_SAVE_CODE(LAPIC_REGS)";
    /// [`HvmHwPciIrqs`].
    pub const HVM_SAVE_CODE_PCI_IRQ: u16 = 7 => "HVM_SAVE_CODE(PCI_IRQ)";
    /// [`HvmHwIsaIrqs`].
    pub const HVM_SAVE_CODE_ISA_IRQ: u16 = 8 => "HVM_SAVE_CODE(ISA_IRQ)";
    /// [`HvmHwPciLink`].
    pub const HVM_SAVE_CODE_PCI_LINK: u16 = 9 => "HVM_SAVE_CODE(PCI_LINK)";
    /// [`HvmHwPit`].
    pub const HVM_SAVE_CODE_PIT: u16 = 10 => "HVM_SAVE_CODE(PIT)";
    /// [`HvmHwRtc`].
    pub const HVM_SAVE_CODE_RTC: u16 = 11 => "HVM_SAVE_CODE(RTC)";
    /// [`HvmHwHpet`].
    pub const HVM_SAVE_CODE_HPET: u16 = 12 => "HVM_SAVE_CODE(HPET)";
    /// [`HvmHwPmtimer`].
    pub const HVM_SAVE_CODE_PMTIMER: u16 = 13 => "HVM_SAVE_CODE(PMTIMER)";
    /// [`HvmHwMtrr`].
    pub const HVM_SAVE_CODE_MTRR: u16 = 14 => "HVM_SAVE_CODE(MTRR)";
    /// [`HvmViridianDomainContext`].
    pub const HVM_SAVE_CODE_VIRIDIAN_DOMAIN: u16 = 15 => "HVM_SAVE_CODE(VIRIDIAN_DOMAIN)";
    /// [`HvmViridianVcpuContext`].
    pub const HVM_SAVE_CODE_VIRIDIAN_VCPU: u16 = 17 => "HVM_SAVE_CODE(VIRIDIAN_VCPU)";
    /// [`HvmVmceVcpu`].
    pub const HVM_SAVE_CODE_VMCE_VCPU: u16 = 18 => "HVM_SAVE_CODE(VMCE_VCPU)";
    /// [`HvmTscAdjust`].
    pub const HVM_SAVE_CODE_TSC_ADJUST: u16 = 19 => "HVM_SAVE_CODE(TSC_ADJUST)";
    /// [`HvmHwCpuXsave`] and the rest of the XSAVE area.
    pub const CPU_XSAVE_CODE: u16 = 16;
    /// [`HvmMsr`] and its entries.
    pub const CPU_MSR_CODE: u16 = 20;
    /// Highest code.
    pub const HVM_SAVE_CODE_MAX: u16 = 20;
}

structures! {
    /// Start of a record.
    pub struct HvmSaveDescriptor("struct hvm_save_descriptor", 8) {
        /// `HVM_SAVE_CODE_*`.
        0 typecode: u16,
        /// vCPU or chip.
        2 instance: u16,
        /// Bytes of payload.
        4 length: u32,
    }

    /// First record.
    pub struct HvmSaveHeader("struct hvm_save_header", 24) {
        /// [`HVM_FILE_MAGIC`].
        0 magic: u32,
        /// [`HVM_FILE_VERSION`].
        4 version: u32,
        /// Source revision of Xen.
        8 changeset: u64,
        /// CPUID 1 `eax` of the host.
        16 cpuid: u32,
        /// Guest TSC frequency in kHz.
        20 gtsc_khz: u32,
    }
}
