//! Machine services for dom0 (`public/platform.h`): `HYPERVISOR_platform_op`. The payload is a union of 128 bytes.
//!
//! There is no layout for a 32-bit dom0: it is not supported.

numbers! {
    /// What `interface_version` must be, else `EACCES`.
    pub const XENPF_INTERFACE_VERSION: u32 = 0x0300_0001;

    /// [`Settime32`].
    pub const XENPF_SETTIME32: u32 = 17;
    /// MTRRs, gone from use.
    pub const XENPF_ADD_MEMTYPE: u32 = 31;
    /// MTRRs, gone from use.
    pub const XENPF_DEL_MEMTYPE: u32 = 32;
    /// MTRRs, gone from use.
    pub const XENPF_READ_MEMTYPE: u32 = 33;
    /// [`MicrocodeUpdate`].
    pub const XENPF_MICROCODE_UPDATE: u32 = 35;
    /// Chipset quirks.
    pub const XENPF_PLATFORM_QUIRK: u32 = 39;
    /// [`PcpuVersion`].
    pub const XENPF_GET_CPU_VERSION: u32 = 48;
    /// [`EfiRuntimeCall`].
    pub const XENPF_EFI_RUNTIME_CALL: u32 = 49;
    /// [`FirmwareInfo`].
    pub const XENPF_FIRMWARE_INFO: u32 = 50;
    /// [`EnterAcpiSleep`].
    pub const XENPF_ENTER_ACPI_SLEEP: u32 = 51;
    /// Frequency change by dom0.
    pub const XENPF_CHANGE_FREQ: u32 = 52;
    /// [`Getidletime`].
    pub const XENPF_GETIDLETIME: u32 = 53;
    /// [`SetProcessorPminfo`].
    pub const XENPF_SET_PROCESSOR_PMINFO: u32 = 54;
    /// [`Pcpuinfo`].
    pub const XENPF_GET_CPUINFO: u32 = 55;
    /// [`CpuOl`].
    pub const XENPF_CPU_ONLINE: u32 = 56;
    /// [`CpuOl`].
    pub const XENPF_CPU_OFFLINE: u32 = 57;
    /// [`CpuHotadd`].
    pub const XENPF_CPU_HOTADD: u32 = 58;
    /// [`MemHotadd`].
    pub const XENPF_MEM_HOTADD: u32 = 59;
    /// [`CoreParking`].
    pub const XENPF_CORE_PARKING: u32 = 60;
    /// [`ResourceOp`].
    pub const XENPF_RESOURCE_OP: u32 = 61;
    /// [`Settime64`].
    pub const XENPF_SETTIME64: u32 = 62;
    /// [`Symdata`].
    pub const XENPF_GET_SYMBOL: u32 = 63;
    /// [`crate::xen::Dom0VgaConsoleInfo`]; the bytes there are is the result.
    pub const XENPF_GET_DOM0_CONSOLE: u32 = 64;
    /// [`UcodeRevision`].
    pub const XENPF_GET_UCODE_REVISION: u32 = 65;
    /// [`MicrocodeUpdate2`].
    pub const XENPF_MICROCODE_UPDATE2: u32 = 66;

    /// Firmware: BIOS disk.
    pub const XEN_FW_DISK_INFO: u32 = 1;
    /// Firmware: boot sector signature.
    pub const XEN_FW_DISK_MBR_SIGNATURE: u32 = 2;
    /// Firmware: monitor.
    pub const XEN_FW_VBEDDC_INFO: u32 = 3;
    /// Firmware: EFI.
    pub const XEN_FW_EFI_INFO: u32 = 4;
    /// Firmware: keyboard.
    pub const XEN_FW_KBD_SHIFT_FLAGS: u32 = 5;
    /// EFI: version.
    pub const XEN_FW_EFI_VERSION: u32 = 0;
    /// EFI: configuration tables.
    pub const XEN_FW_EFI_CONFIG_TABLE: u32 = 1;
    /// EFI: vendor.
    pub const XEN_FW_EFI_VENDOR: u32 = 2;
    /// EFI: memory at an address.
    pub const XEN_FW_EFI_MEM_INFO: u32 = 3;
    /// EFI: version of the runtime services.
    pub const XEN_FW_EFI_RT_VERSION: u32 = 4;
    /// EFI: option ROM.
    pub const XEN_FW_EFI_PCI_ROM: u32 = 5;
    /// EFI: Apple properties.
    pub const XEN_FW_EFI_APPLE_PROPERTIES: u32 = 6;

    /// EFI runtime service.
    pub const XEN_EFI_GET_TIME: u32 = 1;
    /// EFI runtime service.
    pub const XEN_EFI_SET_TIME: u32 = 2;
    /// EFI runtime service.
    pub const XEN_EFI_GET_WAKEUP_TIME: u32 = 3;
    /// EFI runtime service.
    pub const XEN_EFI_SET_WAKEUP_TIME: u32 = 4;
    /// EFI runtime service.
    pub const XEN_EFI_GET_NEXT_HIGH_MONOTONIC_COUNT: u32 = 5;
    /// EFI runtime service.
    pub const XEN_EFI_GET_VARIABLE: u32 = 6;
    /// EFI runtime service.
    pub const XEN_EFI_SET_VARIABLE: u32 = 7;
    /// EFI runtime service.
    pub const XEN_EFI_GET_NEXT_VARIABLE_NAME: u32 = 8;
    /// EFI runtime service.
    pub const XEN_EFI_QUERY_VARIABLE_INFO: u32 = 9;
    /// EFI runtime service.
    pub const XEN_EFI_QUERY_CAPSULE_CAPABILITIES: u32 = 10;
    /// EFI runtime service.
    pub const XEN_EFI_UPDATE_CAPSULE: u32 = 11;

    /// Sleep with the extended registers.
    pub const XENPF_ACPI_SLEEP_EXTENDED: u32 = 1;
    /// Idle states.
    pub const XEN_PM_CX: u32 = 0;
    /// Frequency states.
    pub const XEN_PM_PX: u32 = 1;
    /// Throttle states.
    pub const XEN_PM_TX: u32 = 2;
    /// Capabilities.
    pub const XEN_PM_PDC: u32 = 3;
    /// CPU is online.
    pub const XEN_PCPU_FLAGS_ONLINE: u32 = 1;
    /// No such CPU.
    pub const XEN_PCPU_FLAGS_INVALID: u32 = 2;
    /// Park cores.
    pub const XEN_CORE_PARKING_SET: u32 = 1;
    /// Read what is parked.
    pub const XEN_CORE_PARKING_GET: u32 = 2;
    /// Read an MSR.
    pub const XEN_RESOURCE_OP_MSR_READ: u32 = 0;
    /// Write an MSR.
    pub const XEN_RESOURCE_OP_MSR_WRITE: u32 = 1;
    /// Load older microcode too.
    pub const XENPF_UCODE_FORCE: u32 = 1;
}

structures! {
    /// Argument of `HYPERVISOR_platform_op`.
    pub struct PlatformOp("struct xen_platform_op", 136) {
        /// In: `XENPF_*`.
        0 cmd: u32,
        /// In: [`XENPF_INTERFACE_VERSION`].
        4 interface_version: u32,
        /// In and out: the operation's structure.
        8 u: [u8; 128],
    }

    /// Wall clock, seconds in 32 bits.
    pub struct Settime32("struct xenpf_settime32", 16) {
        /// In: seconds of UTC.
        0 secs: u32,
        /// In: nanoseconds.
        4 nsecs: u32,
        /// In: system time of it, nanoseconds.
        8 system_time: u64,
    }

    /// Wall clock.
    pub struct Settime64("struct xenpf_settime64", 24) {
        /// In: seconds of UTC.
        0 secs: u64,
        /// In: nanoseconds.
        8 nsecs: u32,
        /// In: must be 0.
        12 mbz: u32,
        /// In: system time of it, nanoseconds.
        16 system_time: u64,
    }

    /// Load microcode.
    pub struct MicrocodeUpdate("struct xenpf_microcode_update", 16) {
        /// In: handle.
        0 data: u64,
        /// In: bytes.
        8 length: u32,
        12 _pad: [u8; 4],
    }

    /// Load microcode, with flags.
    pub struct MicrocodeUpdate2("struct xenpf_microcode_update2", 16) {
        /// In: [`XENPF_UCODE_FORCE`] or 0.
        0 flags: u32,
        /// In: bytes.
        4 length: u32,
        /// In: handle.
        8 data: u64,
    }

    /// Microcode of a CPU.
    pub struct UcodeRevision("struct xenpf_ucode_revision", 16) {
        /// In: CPU.
        0 cpu: u32,
        /// Out: CPUID 1 `eax`.
        4 signature: u32,
        /// Out: platform flags.
        8 pf: u32,
        /// Out: revision.
        12 revision: u32,
    }

    /// Start of an EFI runtime call.
    pub struct EfiRuntimeCall("struct xenpf_efi_runtime_call", 56) {
        /// In: `XEN_EFI_*`.
        0 function: u32,
        /// In or out: by function.
        4 misc: u32,
        /// Out: EFI status.
        8 status: u64,
        /// In or out: by function.
        16 u: [u8; 40],
    }

    /// A firmware query.
    pub struct FirmwareInfo("struct xenpf_firmware_info", 40) {
        /// In: `XEN_FW_*`.
        0 kind: u32,
        /// In: which one.
        4 index: u32,
        /// Out: by kind.
        8 u: [u8; 32],
    }

    /// Sleep.
    pub struct EnterAcpiSleep("struct xenpf_enter_acpi_sleep", 12) {
        /// In: control value.
        0 val_a: u16,
        /// In: second control value.
        2 val_b: u16,
        /// In: state.
        4 sleep_state: u32,
        /// In: [`XENPF_ACPI_SLEEP_EXTENDED`] or 0.
        8 flags: u32,
    }

    /// Idle time of CPUs.
    pub struct Getidletime("struct xenpf_getidletime", 32) {
        /// In or out: handle of the CPU bit map.
        0 cpumap_bitmap: u64,
        /// In: bits.
        8 cpumap_nr_cpus: u32,
        12 _pad: [u8; 4],
        /// In: handle of `u64` nanoseconds.
        16 idletime: u64,
        /// Out: system time in nanoseconds.
        24 now: u64,
    }

    /// What dom0 read from ACPI about a CPU's power states.
    pub struct SetProcessorPminfo("struct xenpf_set_processor_pminfo", 112) {
        /// In: ACPI id.
        0 id: u32,
        /// In: `XEN_PM_*`.
        4 kind: u32,
        /// In: by kind.
        8 u: [u8; 104],
    }

    /// A physical CPU.
    pub struct Pcpuinfo("struct xenpf_pcpuinfo", 20) {
        /// In: CPU.
        0 xen_cpuid: u32,
        /// Out: highest CPU.
        4 max_present: u32,
        /// Out: `XEN_PCPU_FLAGS_*`.
        8 flags: u32,
        /// Out: APIC id.
        12 apic_id: u32,
        /// Out: ACPI id.
        16 acpi_id: u32,
    }

    /// Model of a physical CPU.
    pub struct PcpuVersion("struct xenpf_pcpu_version", 32) {
        /// In: CPU.
        0 xen_cpuid: u32,
        /// Out: highest CPU.
        4 max_present: u32,
        /// Out: vendor.
        8 vendor_id: [u8; 12],
        /// Out: family.
        20 family: u32,
        /// Out: model.
        24 model: u32,
        /// Out: stepping.
        28 stepping: u32,
    }

    /// Take a CPU up or down.
    pub struct CpuOl("struct xenpf_cpu_ol", 4) {
        /// In: CPU.
        0 cpuid: u32,
    }

    /// A CPU was added.
    pub struct CpuHotadd("struct xenpf_cpu_hotadd", 12) {
        /// In: APIC id.
        0 apic_id: u32,
        /// In: ACPI id.
        4 acpi_id: u32,
        /// In: proximity domain.
        8 pxm: u32,
    }

    /// Memory was added.
    pub struct MemHotadd("struct xenpf_mem_hotadd", 24) {
        /// In: first frame.
        0 spfn: u64,
        /// In: frame after the last.
        8 epfn: u64,
        /// In: proximity domain.
        16 pxm: u32,
        /// In: none defined.
        20 flags: u32,
    }

    /// Park cores.
    pub struct CoreParking("struct xenpf_core_parking", 8) {
        /// In: `XEN_CORE_PARKING_*`.
        0 kind: u32,
        /// In or out: CPUs.
        4 idle_nums: u32,
    }

    /// An access of [`ResourceOp`].
    pub struct ResourceEntry("struct xenpf_resource_entry", 24) {
        /// In: `XEN_RESOURCE_OP_*`; out: result.
        0 cmd: u32 => "u.cmd",
        4 rsvd: u32,
        /// In: MSR.
        8 idx: u64,
        /// In or out: value.
        16 val: u64,
    }

    /// MSR accesses on a CPU.
    pub struct ResourceOp("struct xenpf_resource_op", 16) {
        /// In: entries.
        0 nr_entries: u32,
        /// In: CPU.
        4 cpu: u32,
        /// In: handle of [`ResourceEntry`].
        8 entries: u64,
    }

    /// A symbol of the hypervisor.
    pub struct Symdata("struct xenpf_symdata", 32) {
        /// In: bytes of the buffer; out: bytes of the name.
        0 namelen: u32,
        /// In: position; out: next position.
        4 symnum: u32,
        /// In: handle.
        8 name: u64,
        /// Out: address.
        16 address: u64,
        /// Out: kind letter.
        24 kind: u8,
        25 _pad: [u8; 7],
    }
}
