//! 32-bit layouts of [`crate::vcpu`].

use super::U64;

structures! {
    /// Time spent in each state.
    pub struct VcpuRunstateInfo("struct vcpu_runstate_info", 44) {
        /// `RUNSTATE_*` now.
        0 state: u32,
        /// System time in nanoseconds when the state was entered.
        4 state_entry_time: U64,
        /// Nanoseconds in each state up to `state_entry_time`.
        12 time: [U64; 4],
    }

    /// `VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA`.
    pub struct VcpuRegisterRunstateMemoryArea("struct vcpu_register_runstate_memory_area", 8) {
        /// In: linear address.
        0 addr: u32 => "addr.h",
        4 _pad: u32,
    }

    /// `VCPUOP_SET_SINGLESHOT_TIMER`.
    pub struct VcpuSetSingleshotTimer("struct vcpu_set_singleshot_timer", 12) {
        /// In: system time in nanoseconds.
        0 timeout_abs_ns: U64,
        /// In: `VCPU_SSHOTTMR_FUTURE` or 0.
        8 flags: u32,
    }

    /// `VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA`.
    pub struct VcpuRegisterTimeMemoryArea("struct vcpu_register_time_memory_area", 8) {
        /// In: linear address.
        0 addr: u32 => "addr.h",
        4 _pad: u32,
    }
}
