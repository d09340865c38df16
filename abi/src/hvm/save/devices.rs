//! Records of the emulated devices.

numbers! {
    /// Pins of the I/O APIC.
    pub const VIOAPIC_NUM_PINS: usize = 48;
    /// Bytes of the real-time clock.
    pub const RTC_CMOS_SIZE: usize = 14;
    /// Comparators of the HPET.
    pub const HPET_TIMER_NUM: usize = 3;
}

structures! {
    /// An 8259.
    pub struct HvmHwVpic("struct hvm_hw_vpic", 8) {
        /// Requested.
        0 irr: u8,
        /// Masked.
        1 imr: u8,
        /// In service.
        2 isr: u8,
        /// First vector.
        3 irq_base: u8,
        /// Initialisation step in 3:0, rotation in 7:4.
        4 init_and_priority: u8 => "",
        /// From bit 0: read ISR, poll, automatic EOI, rotate on it, fully nested, special mask, master.
        5 modes: u8 => "",
        /// Level-triggered inputs.
        6 elcr: u8,
        /// Output is raised.
        7 int_output: u8,
    }

    /// The I/O APIC.
    pub struct HvmHwVioapic("struct hvm_hw_vioapic", 400) {
        /// Physical address.
        0 base_address: u64,
        /// Register selected.
        8 ioregsel: u32,
        /// APIC id.
        12 id: u32,
        /// Redirection entries as in the manual.
        16 redirtbl: [u64; 48],
    }

    /// A local APIC outside its registers.
    pub struct HvmHwLapic("struct hvm_hw_lapic", 32) {
        /// MSR `APIC_BASE`.
        0 apic_base_msr: u64,
        /// Bit 0: by hardware, bit 1: by software.
        8 disabled: u32,
        /// Divisor in force.
        12 timer_divisor: u32,
        /// MSR `TSC_DEADLINE`.
        16 tdt_msr: u64,
        /// Errors not yet shown.
        24 pending_esr: u32,
        28 _pad: u32,
    }

    /// Registers of a local APIC.
    pub struct HvmHwLapicRegs("struct hvm_hw_lapic_regs", 1024) {
        /// First KiB of the register page.
        0 data: [u8; 1024],
    }

    /// PCI interrupt pins.
    pub struct HvmHwPciIrqs("struct hvm_hw_pci_irqs", 16) {
        /// Bit map, four pins for each device.
        0 pad: [u64; 2],
    }

    /// ISA interrupts.
    pub struct HvmHwIsaIrqs("struct hvm_hw_isa_irqs", 8) {
        /// Bit map.
        0 pad: [u64; 1],
    }

    /// PCI links.
    pub struct HvmHwPciLink("struct hvm_hw_pci_link", 8) {
        /// Interrupt of each link, 0 for none.
        0 route: [u8; 4],
        4 pad0: [u8; 4],
    }

    /// A channel of the 8254.
    pub struct HvmHwPitChannel("struct hvm_hw_pit_channel", 16) {
        /// Start value; up to 65536.
        0 count: u32,
        /// Latched.
        4 latched_count: u16,
        /// A count is latched.
        6 count_latched: u8,
        /// A status is latched.
        7 status_latched: u8,
        /// Latched.
        8 status: u8,
        /// Position of reads.
        9 read_state: u8,
        /// Position of writes.
        10 write_state: u8,
        /// Byte written.
        11 write_latch: u8,
        /// Access mode.
        12 rw_mode: u8,
        /// Mode.
        13 mode: u8,
        /// Counts in decimal.
        14 bcd: u8,
        /// Gate input.
        15 gate: u8,
    }

    /// The 8254.
    pub struct HvmHwPit("struct hvm_hw_pit", 56) {
        /// Channels.
        0 channels: [HvmHwPitChannel; 3],
        /// Speaker is on.
        48 speaker_data_on: u32,
        52 pad0: u32,
    }

    /// The real-time clock.
    pub struct HvmHwRtc("struct hvm_hw_rtc", 24) {
        /// Registers.
        0 cmos_data: [u8; 14],
        /// Register selected.
        14 cmos_index: u8,
        15 pad0: u8,
        /// Seconds from the host's clock.
        16 rtc_offset: i64,
    }

    /// A comparator of the HPET.
    pub struct HvmHwHpetTimer("__typeof__(((struct hvm_hw_hpet *)0)->timers[0])", 32) {
        /// Register.
        0 config: u64,
        /// Register.
        8 cmp: u64,
        /// Register.
        16 fsb: u64,
        24 res4: u64,
    }

    /// The HPET.
    pub struct HvmHwHpet("struct hvm_hw_hpet", 1048) {
        /// Register.
        0 capability: u64,
        8 res0: u64,
        /// Register.
        16 config: u64,
        24 res1: u64,
        /// Register.
        32 isr: u64,
        40 res2: [u64; 25],
        /// Counter.
        240 mc64: u64,
        248 res3: u64,
        /// Comparators.
        256 timers: [HvmHwHpetTimer; 3],
        352 res5: [u64; 84],
        /// Periods of the comparators.
        1024 period: [u64; 3],
    }

    /// The ACPI timer and event block.
    pub struct HvmHwPmtimer("struct hvm_hw_pmtimer", 8) {
        /// Timer.
        0 tmr_val: u32,
        /// Status.
        4 pm1a_sts: u16,
        /// Enable.
        6 pm1a_en: u16,
    }

    /// Viridian state of the domain.
    pub struct HvmViridianDomainContext("struct hvm_viridian_domain_context", 32) {
        /// Hypercall page.
        0 hypercall_gpa: u64,
        /// Identity.
        8 guest_os_id: u64,
        /// Reference time.
        16 time_ref_count: u64,
        /// Reference TSC page.
        24 reference_tsc: u64,
    }
}
