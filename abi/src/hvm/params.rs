//! Parameters of an HVM domain (`public/hvm/params.h`), set and read with `HVMOP_SET_PARAM` and `HVMOP_GET_PARAM`.

numbers! {
    /// How events are announced: type in the top byte.
    pub const HVM_PARAM_CALLBACK_IRQ: u32 = 0;
    /// Frame of the xenstore ring.
    pub const HVM_PARAM_STORE_PFN: u32 = 1;
    /// Port of the xenstore ring.
    pub const HVM_PARAM_STORE_EVTCHN: u32 = 2;
    /// Gone.
    pub const HVM_PARAM_PAE_ENABLED: u32 = 4;
    /// Frame of I/O requests.
    pub const HVM_PARAM_IOREQ_PFN: u32 = 5;
    /// Frame of buffered I/O requests.
    pub const HVM_PARAM_BUFIOREQ_PFN: u32 = 6;
    /// Viridian features: `HVMPV_*`.
    pub const HVM_PARAM_VIRIDIAN: u32 = 9;
    /// What to do about missed timer ticks: `HVMPTM_*`.
    pub const HVM_PARAM_TIMER_MODE: u32 = 10;
    /// There is an HPET.
    pub const HVM_PARAM_HPET_ENABLED: u32 = 11;
    /// Identity page table for guests without paging.
    pub const HVM_PARAM_IDENT_PT: u32 = 12;
    /// Domain of the device model.
    pub const HVM_PARAM_DM_DOMAIN: u32 = 13;
    /// ACPI sleep state.
    pub const HVM_PARAM_ACPI_S_STATE: u32 = 14;
    /// TSS for virtual 8086 mode.
    pub const HVM_PARAM_VM86_TSS: u32 = 15;
    /// Align periodic timers.
    pub const HVM_PARAM_VPT_ALIGN: u32 = 16;
    /// Frame of the console ring.
    pub const HVM_PARAM_CONSOLE_PFN: u32 = 17;
    /// Port of the console ring.
    pub const HVM_PARAM_CONSOLE_EVTCHN: u32 = 18;
    /// Place of the ACPI ports: 0 old, 1 new.
    pub const HVM_PARAM_ACPI_IOPORTS_LOCATION: u32 = 19;
    /// Gone.
    pub const HVM_PARAM_MEMORY_EVENT_CR0: u32 = 20;
    /// Gone.
    pub const HVM_PARAM_MEMORY_EVENT_CR3: u32 = 21;
    /// Gone.
    pub const HVM_PARAM_MEMORY_EVENT_CR4: u32 = 22;
    /// Gone.
    pub const HVM_PARAM_MEMORY_EVENT_INT3: u32 = 23;
    /// Nested virtualisation, gone.
    pub const HVM_PARAM_NESTEDHVM: u32 = 24;
    /// Gone.
    pub const HVM_PARAM_MEMORY_EVENT_SINGLE_STEP: u32 = 25;
    /// Port of the buffered ring.
    pub const HVM_PARAM_BUFIOREQ_EVTCHN: u32 = 26;
    /// Frame of the paging ring.
    pub const HVM_PARAM_PAGING_RING_PFN: u32 = 27;
    /// Frame of the monitor ring.
    pub const HVM_PARAM_MONITOR_RING_PFN: u32 = 28;
    /// Frame of the sharing ring.
    pub const HVM_PARAM_SHARING_RING_PFN: u32 = 29;
    /// Gone.
    pub const HVM_PARAM_MEMORY_EVENT_MSR: u32 = 30;
    /// Shutdown reason of a triple fault.
    pub const HVM_PARAM_TRIPLE_FAULT_REASON: u32 = 31;
    /// First frame for ioreq servers.
    pub const HVM_PARAM_IOREQ_SERVER_PFN: u32 = 32;
    /// Number of them.
    pub const HVM_PARAM_NR_IOREQ_SERVER_PAGES: u32 = 33;
    /// Address of the generation id.
    pub const HVM_PARAM_VM_GENERATION_ID_ADDR: u32 = 34;
    /// Alternate guest maps: `XEN_ALTP2M_*`.
    pub const HVM_PARAM_ALTP2M: u32 = 35;
    /// Width of the x87 instruction pointer.
    pub const HVM_PARAM_X87_FIP_WIDTH: u32 = 36;
    /// TSS for virtual 8086 mode, size in the high half.
    pub const HVM_PARAM_VM86_TSS_SIZED: u32 = 37;
    /// Machine check features: `XEN_HVM_MCA_CAP_*`.
    pub const HVM_PARAM_MCA_CAP: u32 = 38;
    /// Number of parameters.
    pub const HVM_NR_PARAMS: u32 = 39;

    /// Bits of the callback parameter with its type.
    pub const HVM_PARAM_CALLBACK_IRQ_TYPE_MASK: u64 = 0xff00_0000_0000_0000;
    /// Callback by global system interrupt.
    pub const HVM_PARAM_CALLBACK_TYPE_GSI: u64 = 0;
    /// Callback by PCI interrupt pin.
    pub const HVM_PARAM_CALLBACK_TYPE_PCI_INTX: u64 = 1;
    /// Callback by vector.
    pub const HVM_PARAM_CALLBACK_TYPE_VECTOR: u64 = 2;

    /// Inject missed ticks, and delay time for them.
    pub const HVMPTM_DELAY_FOR_MISSED_TICKS: u64 = 0;
    /// Inject missed ticks, keep real time.
    pub const HVMPTM_NO_DELAY_FOR_MISSED_TICKS: u64 = 1;
    /// Drop missed ticks.
    pub const HVMPTM_NO_MISSED_TICKS_PENDING: u64 = 2;
    /// Collapse missed ticks into one.
    pub const HVMPTM_ONE_MISSED_TICK_PENDING: u64 = 3;

    /// Viridian: base features and frequencies.
    pub const HVMPV_BASE_FREQ: u64 = 1 << 0;
    /// Viridian: no frequencies.
    pub const HVMPV_NO_FREQ: u64 = 1 << 1;
    /// Viridian: reference counter.
    pub const HVMPV_TIME_REF_COUNT: u64 = 1 << 2;
    /// Viridian: reference TSC page.
    pub const HVMPV_REFERENCE_TSC: u64 = 1 << 3;
    /// Viridian: remote flush.
    pub const HVMPV_HCALL_REMOTE_TLB_FLUSH: u64 = 1 << 4;
    /// Viridian: end of interrupt assist.
    pub const HVMPV_APIC_ASSIST: u64 = 1 << 5;
    /// Viridian: crash registers.
    pub const HVMPV_CRASH_CTL: u64 = 1 << 6;
    /// Viridian: synthetic interrupts.
    pub const HVMPV_SYNIC: u64 = 1 << 7;
    /// Viridian: synthetic timers.
    pub const HVMPV_STIMER: u64 = 1 << 8;
    /// Viridian: interrupts between CPUs by hypercall.
    pub const HVMPV_HCALL_IPI: u64 = 1 << 9;
    /// Viridian: masks of more than 64 CPUs.
    pub const HVMPV_EX_PROCESSOR_MASKS: u64 = 1 << 10;
    /// Viridian: no limit of CPUs told.
    pub const HVMPV_NO_VP_LIMIT: u64 = 1 << 11;
    /// Viridian: CPU hotplug.
    pub const HVMPV_CPU_HOTPLUG: u64 = 1 << 12;
    /// Viridian: all known features.
    pub const HVMPV_FEATURE_MASK: u64 = 0x1fff;

    /// No alternate maps.
    pub const XEN_ALTP2M_DISABLED: u64 = 0;
    /// For guest and tools.
    pub const XEN_ALTP2M_MIXED: u64 = 1;
    /// For tools only.
    pub const XEN_ALTP2M_EXTERNAL: u64 = 2;
    /// Limited for the guest.
    pub const XEN_ALTP2M_LIMITED: u64 = 3;

    /// Local machine checks.
    pub const XEN_HVM_MCA_CAP_LMCE: u64 = 1;
    /// Known machine check features.
    pub const XEN_HVM_MCA_CAP_MASK: u64 = 1;
}
