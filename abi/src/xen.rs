//! Hypercall numbers, domain ids, virtual interrupts and the pages shared with every guest (`public/xen.h`, `public/arch-x86/xen.h`).

numbers! {
    /// PV only.
    pub const HYPERVISOR_SET_TRAP_TABLE: u32 = 0;
    /// PV only.
    pub const HYPERVISOR_MMU_UPDATE: u32 = 1;
    /// PV only.
    pub const HYPERVISOR_SET_GDT: u32 = 2;
    /// PV only.
    pub const HYPERVISOR_STACK_SWITCH: u32 = 3;
    /// PV only.
    pub const HYPERVISOR_SET_CALLBACKS: u32 = 4;
    /// PV only.
    pub const HYPERVISOR_FPU_TASKSWITCH: u32 = 5;
    /// Old form of [`HYPERVISOR_SCHED_OP`].
    pub const HYPERVISOR_SCHED_OP_COMPAT: u32 = 6;
    /// Machine services for dom0: [`crate::platform`].
    pub const HYPERVISOR_PLATFORM_OP: u32 = 7;
    /// PV only.
    pub const HYPERVISOR_SET_DEBUGREG: u32 = 8;
    /// PV only.
    pub const HYPERVISOR_GET_DEBUGREG: u32 = 9;
    /// PV only.
    pub const HYPERVISOR_UPDATE_DESCRIPTOR: u32 = 10;
    /// Guest memory: [`crate::memory`].
    pub const HYPERVISOR_MEMORY_OP: u32 = 12;
    /// Several hypercalls in one: [`MulticallEntry`].
    pub const HYPERVISOR_MULTICALL: u32 = 13;
    /// PV only.
    pub const HYPERVISOR_UPDATE_VA_MAPPING: u32 = 14;
    /// One-shot timer; the argument is system time in nanoseconds, 0 stops it.
    pub const HYPERVISOR_SET_TIMER_OP: u32 = 15;
    /// Old form of [`HYPERVISOR_EVENT_CHANNEL_OP`].
    pub const HYPERVISOR_EVENT_CHANNEL_OP_COMPAT: u32 = 16;
    /// Version, build and features: [`crate::version`].
    pub const HYPERVISOR_XEN_VERSION: u32 = 17;
    /// Hypervisor console: `CONSOLEIO_*`, count, buffer.
    pub const HYPERVISOR_CONSOLE_IO: u32 = 18;
    /// Old form of [`HYPERVISOR_PHYSDEV_OP`].
    pub const HYPERVISOR_PHYSDEV_OP_COMPAT: u32 = 19;
    /// Grants: [`crate::grant_table`].
    pub const HYPERVISOR_GRANT_TABLE_OP: u32 = 20;
    /// Behaviour switches: `VMASST_*`.
    pub const HYPERVISOR_VM_ASSIST: u32 = 21;
    /// PV only.
    pub const HYPERVISOR_UPDATE_VA_MAPPING_OTHERDOMAIN: u32 = 22;
    /// PV only.
    pub const HYPERVISOR_IRET: u32 = 23;
    /// vCPUs: [`crate::vcpu`].
    pub const HYPERVISOR_VCPU_OP: u32 = 24;
    /// PV only.
    pub const HYPERVISOR_SET_SEGMENT_BASE: u32 = 25;
    /// PV only.
    pub const HYPERVISOR_MMUEXT_OP: u32 = 26;
    /// Security modules.
    pub const HYPERVISOR_XSM_OP: u32 = 27;
    /// PV only.
    pub const HYPERVISOR_NMI_OP: u32 = 28;
    /// Scheduling: [`crate::sched`].
    pub const HYPERVISOR_SCHED_OP: u32 = 29;
    /// PV only: [`crate::callback`].
    pub const HYPERVISOR_CALLBACK_OP: u32 = 30;
    /// Profiling, gone.
    pub const HYPERVISOR_XENOPROF_OP: u32 = 31;
    /// Event channels: [`crate::event_channel`].
    pub const HYPERVISOR_EVENT_CHANNEL_OP: u32 = 32;
    /// Interrupts and PCI: [`crate::physdev`].
    pub const HYPERVISOR_PHYSDEV_OP: u32 = 33;
    /// HVM services: [`crate::hvm::hvm_op`].
    pub const HYPERVISOR_HVM_OP: u32 = 34;
    /// Control of the system: [`crate::sysctl`].
    pub const HYPERVISOR_SYSCTL: u32 = 35;
    /// Control of a domain: [`crate::domctl`].
    pub const HYPERVISOR_DOMCTL: u32 = 36;
    /// Kernel to run after a crash.
    pub const HYPERVISOR_KEXEC_OP: u32 = 37;
    /// Transcendent memory, gone.
    pub const HYPERVISOR_TMEM_OP: u32 = 38;
    /// Messages between domains.
    pub const HYPERVISOR_ARGO_OP: u32 = 39;
    /// Performance counters.
    pub const HYPERVISOR_XENPMU_OP: u32 = 40;
    /// Device models: [`crate::hvm::dm_op`].
    pub const HYPERVISOR_DM_OP: u32 = 41;
    /// Hypervisor file system.
    pub const HYPERVISOR_HYPFS_OP: u32 = 42;
    /// Machine checks.
    pub const HYPERVISOR_ARCH_0: u32 = 48;
    /// Continuation of paging domctls.
    pub const HYPERVISOR_ARCH_1: u32 = 49;

    /// Timer, per vCPU.
    pub const VIRQ_TIMER: u32 = 0;
    /// Debug key, per vCPU.
    pub const VIRQ_DEBUG: u32 = 1;
    /// Input on the hypervisor console.
    pub const VIRQ_CONSOLE: u32 = 2;
    /// A domain shut down or died.
    pub const VIRQ_DOM_EXC: u32 = 3;
    /// Trace buffers have records.
    pub const VIRQ_TBUF: u32 = 4;
    /// A domain paused for its debugger.
    pub const VIRQ_DEBUGGER: u32 = 6;
    /// Profiling sample, per vCPU.
    pub const VIRQ_XENOPROF: u32 = 7;
    /// Output in the hypervisor's console ring.
    pub const VIRQ_CON_RING: u32 = 8;
    /// A physical CPU changed its state.
    pub const VIRQ_PCPU_STATE: u32 = 9;
    /// A memory event.
    pub const VIRQ_MEM_EVENT: u32 = 10;
    /// An argo message.
    pub const VIRQ_ARGO: u32 = 11;
    /// Memory runs low.
    pub const VIRQ_ENOMEM: u32 = 12;
    /// Performance counter overflow, per vCPU.
    pub const VIRQ_XENPMU: u32 = 13;
    /// First architecture VIRQ: machine check.
    pub const VIRQ_ARCH_0: u32 = 16;
    /// Last architecture VIRQ.
    pub const VIRQ_ARCH_7: u32 = 23;
    /// Number of VIRQs.
    pub const NR_VIRQS: u32 = 24;

    /// Console output.
    pub const CONSOLEIO_WRITE: u32 = 0;
    /// Console input.
    pub const CONSOLEIO_READ: u32 = 1;

    /// `vm_assist`: switch on.
    pub const VMASST_CMD_ENABLE: u32 = 0;
    /// `vm_assist`: switch off.
    pub const VMASST_CMD_DISABLE: u32 = 1;
    /// PV only.
    pub const VMASST_TYPE_4GB_SEGMENTS: u32 = 0;
    /// PV only.
    pub const VMASST_TYPE_4GB_SEGMENTS_NOTIFY: u32 = 1;
    /// PV only.
    pub const VMASST_TYPE_WRITABLE_PAGETABLES: u32 = 2;
    /// PV only.
    pub const VMASST_TYPE_PAE_EXTENDED_CR3: u32 = 3;
    /// PV only.
    pub const VMASST_TYPE_ARCHITECTURAL_IOPL: u32 = 4;
    /// Set `XEN_RUNSTATE_UPDATE` while a runstate copy is written.
    pub const VMASST_TYPE_RUNSTATE_UPDATE_FLAG: u32 = 5;
    /// PV only.
    pub const VMASST_TYPE_M2P_STRICT: u32 = 32;

    /// Ids from here on are not ordinary domains.
    pub const DOMID_FIRST_RESERVED: u16 = 0x7ff0;
    /// The caller.
    pub const DOMID_SELF: u16 = 0x7ff0;
    /// Owner of I/O memory.
    pub const DOMID_IO: u16 = 0x7ff1;
    /// Owner of Xen's own pages.
    pub const DOMID_XEN: u16 = 0x7ff2;
    /// Owner of shared pages.
    pub const DOMID_COW: u16 = 0x7ff3;
    /// No domain.
    pub const DOMID_INVALID: u16 = 0x7ff4;
    /// The idle domain.
    pub const DOMID_IDLE: u16 = 0x7fff;
    /// Bits of a domain id.
    pub const DOMID_MASK: u16 = 0x7fff;

    /// Start flag: may use privileged calls.
    pub const SIF_PRIVILEGED: u32 = 1 << 0;
    /// Start flag: the initial domain.
    pub const SIF_INITDOMAIN: u32 = 1 << 1;
    /// Start flag, PV only: the module is a list of modules.
    pub const SIF_MULTIBOOT_MOD: u32 = 1 << 2;
    /// Start flag, PV only: the module is given by frame.
    pub const SIF_MOD_START_PFN: u32 = 1 << 3;
    /// Start flag, PV only.
    pub const SIF_VIRT_P2M_4TOOLS: u32 = 1 << 4;
    /// Start flags: power management bits.
    pub const SIF_PM_MASK: u32 = 0xff << 8;

    /// vCPUs that have a place in [`SharedInfo`].
    pub const XEN_LEGACY_MAX_VCPUS: u32 = 32;
    /// Time flag: values of all vCPUs agree.
    pub const XEN_PVCLOCK_TSC_STABLE_BIT: u8 = 1 << 0;
    /// Time flag: the guest was stopped.
    pub const XEN_PVCLOCK_GUEST_STOPPED: u8 = 1 << 1;

    /// Text mode.
    pub const XEN_VGATYPE_TEXT_MODE_3: u8 = 0x03;
    /// VESA frame buffer.
    pub const XEN_VGATYPE_VESA_LFB: u8 = 0x23;
    /// EFI frame buffer.
    pub const XEN_VGATYPE_EFI_LFB: u8 = 0x70;

    /// I/O port that prints characters on the hypervisor's console.
    pub const XEN_HVM_DEBUGCONS_IOPORT: u16 = 0xe9;
}

structures! {
    /// Time of a vCPU: system time is `system_time` plus the scaled TSC difference. Written by Xen; `version` is odd meanwhile.
    pub struct VcpuTimeInfo("struct vcpu_time_info", 32) {
        /// Odd while the rest changes.
        0 version: u32,
        4 _pad0: u32,
        /// Guest TSC when this was written.
        8 tsc_timestamp: u64,
        /// System time in nanoseconds at `tsc_timestamp`.
        16 system_time: u64,
        /// 0.32 fixed point factor from shifted TSC ticks to nanoseconds.
        24 tsc_to_system_mul: u32,
        /// Left shift of the TSC difference, right if negative.
        28 tsc_shift: i8,
        /// `XEN_PVCLOCK_*`.
        29 flags: u8,
        30 _pad1: [u8; 2],
    }

    /// What a vCPU shares with Xen.
    pub struct VcpuInfo("struct vcpu_info", 64) {
        /// Nonzero: an event is pending.
        0 evtchn_upcall_pending: u8,
        /// PV only.
        1 evtchn_upcall_mask: u8,
        2 _pad: [u8; 6],
        /// Two-level format: words of `evtchn_pending` that have bits set.
        8 evtchn_pending_sel: u64,
        /// PV only.
        16 arch_cr2: u64 => "arch.cr2",
        24 _pad1: u64,
        /// Time.
        32 time: VcpuTimeInfo,
    }

    /// x86 part of [`SharedInfo`], for PV guests.
    pub struct ArchSharedInfo("struct arch_shared_info", 48) {
        /// PV only.
        0 max_pfn: u64,
        /// PV only.
        8 pfn_to_mfn_frame_list_list: u64,
        /// Reason of an NMI for dom0.
        16 nmi_reason: u64,
        /// PV only.
        24 p2m_cr3: u64,
        /// PV only.
        32 p2m_vaddr: u64,
        /// PV only.
        40 p2m_generation: u64,
    }

    /// The page a domain shares with Xen.
    pub struct SharedInfo("struct shared_info", 3136) {
        /// Default places of `vcpu_info`.
        0 vcpu_info: [VcpuInfo; 32],
        /// Two-level format: pending bits.
        2048 evtchn_pending: [u64; 64],
        /// Two-level format: masks.
        2560 evtchn_mask: [u64; 64],
        /// Odd while the wall clock changes.
        3072 wc_version: u32,
        /// UTC at system time 0: seconds, low half.
        3076 wc_sec: u32,
        /// UTC at system time 0: nanoseconds.
        3080 wc_nsec: u32,
        /// UTC at system time 0: seconds, high half.
        3084 wc_sec_hi: u32,
        /// PV only.
        3088 arch: ArchSharedInfo,
    }

    /// One call of [`HYPERVISOR_MULTICALL`].
    pub struct MulticallEntry("struct multicall_entry", 64) {
        /// In: hypercall number.
        0 op: u64,
        /// Out: result.
        8 result: u64,
        /// In: arguments.
        16 args: [u64; 6],
    }

    /// Dom0's screen. Either `text_mode_3` (five `u16` at 2) or the frame buffer fields below are valid.
    pub struct Dom0VgaConsoleInfo("struct dom0_vga_console_info", 40) {
        /// `XEN_VGATYPE_*`.
        0 video_type: u8,
        1 _pad0: [u8; 3],
        /// Frame buffer: pixels; text: font height.
        4 width: u16 => "u.vesa_lfb.width",
        /// Frame buffer: pixels; text: cursor column.
        6 height: u16 => "u.vesa_lfb.height",
        /// Frame buffer: bytes of a line; text: cursor row.
        8 bytes_per_line: u16 => "u.vesa_lfb.bytes_per_line",
        /// Frame buffer: bits of a pixel; text: rows.
        10 bits_per_pixel: u16 => "u.vesa_lfb.bits_per_pixel",
        /// Frame buffer: physical address, low half; text: columns in the low 16 bits.
        12 lfb_base: u32 => "u.vesa_lfb.lfb_base",
        /// Frame buffer: size in 64 KiB units (VESA) or bytes (EFI).
        16 lfb_size: u32 => "u.vesa_lfb.lfb_size",
        /// Red, green, blue and reserved: position and width of each.
        20 colour_fields: [u8; 8] => "u.vesa_lfb.red_pos",
        /// Capabilities.
        28 gbl_caps: u32 => "u.vesa_lfb.gbl_caps",
        /// VESA mode attributes.
        32 mode_attrs: u16 => "u.vesa_lfb.mode_attrs",
        34 _pad1: [u8; 2],
        /// Frame buffer: physical address, high half.
        36 ext_lfb_base: u32 => "u.vesa_lfb.ext_lfb_base",
    }

    /// Bitmap in the caller's memory.
    pub struct CtlBitmap("struct xenctl_bitmap", 16) {
        /// Handle of the bytes.
        0 bitmap: u64,
        /// Number of bits.
        8 nr_bits: u32,
        12 _pad: [u8; 4],
    }
}
