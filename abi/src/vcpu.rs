//! vCPU calls of a guest (`public/vcpu.h`): arguments of `HYPERVISOR_vcpu_op`.

numbers! {
    /// Set a vCPU's start state.
    pub const VCPUOP_INITIALISE: u32 = 0;
    /// Start a vCPU.
    pub const VCPUOP_UP: u32 = 1;
    /// Stop a vCPU.
    pub const VCPUOP_DOWN: u32 = 2;
    /// Whether a vCPU is up: 1 or 0.
    pub const VCPUOP_IS_UP: u32 = 3;
    /// Time spent in each state: [`VcpuRunstateInfo`].
    pub const VCPUOP_GET_RUNSTATE_INFO: u32 = 4;
    /// Keep a copy of the runstate at a linear address: [`VcpuRegisterRunstateMemoryArea`].
    pub const VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA: u32 = 5;
    /// Start the periodic timer: [`VcpuSetPeriodicTimer`].
    pub const VCPUOP_SET_PERIODIC_TIMER: u32 = 6;
    /// Stop the periodic timer.
    pub const VCPUOP_STOP_PERIODIC_TIMER: u32 = 7;
    /// Start the one-shot timer: [`VcpuSetSingleshotTimer`].
    pub const VCPUOP_SET_SINGLESHOT_TIMER: u32 = 8;
    /// Stop the one-shot timer.
    pub const VCPUOP_STOP_SINGLESHOT_TIMER: u32 = 9;
    /// Move `vcpu_info` to a place of the guest's choice, once: [`VcpuRegisterVcpuInfo`].
    pub const VCPUOP_REGISTER_VCPU_INFO: u32 = 10;
    /// Send a non-maskable interrupt.
    pub const VCPUOP_SEND_NMI: u32 = 11;
    /// Physical CPU of a pinned vCPU: [`VcpuGetPhysid`].
    pub const VCPUOP_GET_PHYSID: u32 = 12;
    /// Keep a second copy of the time at a linear address: [`VcpuRegisterTimeMemoryArea`].
    pub const VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA: u32 = 13;
    /// As 5, with a guest-physical address.
    pub const VCPUOP_REGISTER_RUNSTATE_PHYS_AREA: u32 = 14;
    /// As 13, with a guest-physical address.
    pub const VCPUOP_REGISTER_VCPU_TIME_PHYS_AREA: u32 = 15;

    /// Running on a physical CPU.
    pub const RUNSTATE_RUNNING: u32 = 0;
    /// Could run, waits for a physical CPU.
    pub const RUNSTATE_RUNNABLE: u32 = 1;
    /// Idle, waits for an event.
    pub const RUNSTATE_BLOCKED: u32 = 2;
    /// Down or paused.
    pub const RUNSTATE_OFFLINE: u32 = 3;
    /// Set in `state_entry_time` while Xen updates the copy, if the guest enabled `VMASST_TYPE_RUNSTATE_UPDATE_FLAG`.
    pub const XEN_RUNSTATE_UPDATE: u64 = 1 << 63;

    /// Flag of [`VcpuSetSingleshotTimer`]: fail with `ETIME` if the time is past.
    pub const VCPU_SSHOTTMR_FUTURE: u32 = 1;
}

structures! {
    /// Time spent in each state.
    pub struct VcpuRunstateInfo("struct vcpu_runstate_info", 48) {
        /// `RUNSTATE_*` now.
        0 state: u32,
        4 _pad: [u8; 4],
        /// System time in nanoseconds when the state was entered.
        8 state_entry_time: u64,
        /// Nanoseconds in each state up to `state_entry_time`.
        16 time: [u64; 4],
    }

    /// [`VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA`] and [`VCPUOP_REGISTER_RUNSTATE_PHYS_AREA`].
    pub struct VcpuRegisterRunstateMemoryArea("struct vcpu_register_runstate_memory_area", 8) {
        /// In: linear or physical address, 0 to stop.
        0 addr: u64 => "addr.p",
    }

    /// [`VCPUOP_SET_PERIODIC_TIMER`].
    pub struct VcpuSetPeriodicTimer("struct vcpu_set_periodic_timer", 8) {
        /// In: period in nanoseconds.
        0 period_ns: u64,
    }

    /// [`VCPUOP_SET_SINGLESHOT_TIMER`].
    pub struct VcpuSetSingleshotTimer("struct vcpu_set_singleshot_timer", 16) {
        /// In: system time in nanoseconds.
        0 timeout_abs_ns: u64,
        /// In: [`VCPU_SSHOTTMR_FUTURE`] or 0.
        8 flags: u32,
        12 _pad: [u8; 4],
    }

    /// [`VCPUOP_REGISTER_VCPU_INFO`].
    pub struct VcpuRegisterVcpuInfo("struct vcpu_register_vcpu_info", 16) {
        /// In: guest frame.
        0 mfn: u64,
        /// In: byte offset in the frame.
        8 offset: u32,
        /// In: ignored.
        12 rsvd: u32,
    }

    /// [`VCPUOP_GET_PHYSID`].
    pub struct VcpuGetPhysid("struct vcpu_get_physid", 8) {
        /// Out: APIC id in the low half, ACPI id in the high half.
        0 phys_id: u64,
    }

    /// [`VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA`] and [`VCPUOP_REGISTER_VCPU_TIME_PHYS_AREA`].
    pub struct VcpuRegisterTimeMemoryArea("struct vcpu_register_time_memory_area", 8) {
        /// In: linear or physical address, 0 to stop.
        0 addr: u64 => "addr.p",
    }
}
