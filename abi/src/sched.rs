//! Scheduling calls of a guest (`public/sched.h`): arguments of `HYPERVISOR_sched_op`.

numbers! {
    /// Give up the CPU, stay runnable.
    pub const SCHEDOP_YIELD: u32 = 0;
    /// Block until an event is pending, with event delivery enabled.
    pub const SCHEDOP_BLOCK: u32 = 1;
    /// Stop the caller's domain: [`SchedShutdown`].
    pub const SCHEDOP_SHUTDOWN: u32 = 2;
    /// Block until one of some ports is pending: [`SchedPoll`].
    pub const SCHEDOP_POLL: u32 = 3;
    /// Record why another domain is to be shut down: [`SchedRemoteShutdown`].
    pub const SCHEDOP_REMOTE_SHUTDOWN: u32 = 4;
    /// Record the reason of a later shutdown: [`SchedShutdown`].
    pub const SCHEDOP_SHUTDOWN_CODE: u32 = 5;
    /// Set up, poke or remove a watchdog: [`SchedWatchdog`].
    pub const SCHEDOP_WATCHDOG: u32 = 6;
    /// Pin the vCPU to a physical CPU for a while: [`SchedPinOverride`].
    pub const SCHEDOP_PIN_OVERRIDE: u32 = 7;

    /// Powered off.
    pub const SHUTDOWN_POWEROFF: u32 = 0;
    /// Reboot wanted.
    pub const SHUTDOWN_REBOOT: u32 = 1;
    /// Suspended.
    pub const SHUTDOWN_SUSPEND: u32 = 2;
    /// Crashed.
    pub const SHUTDOWN_CRASH: u32 = 3;
    /// Watchdog expired.
    pub const SHUTDOWN_WATCHDOG: u32 = 4;
    /// Soft reset wanted.
    pub const SHUTDOWN_SOFT_RESET: u32 = 5;
    /// Highest reason.
    pub const SHUTDOWN_MAX: u32 = 5;
}

structures! {
    /// [`SCHEDOP_SHUTDOWN`].
    pub struct SchedShutdown("struct sched_shutdown", 4) {
        /// In: `SHUTDOWN_*`.
        0 reason: u32,
    }

    /// [`SCHEDOP_POLL`].
    pub struct SchedPoll("struct sched_poll", 24) {
        /// In: handle of `u32` ports.
        0 ports: u64,
        /// In: number of ports, at most 128.
        8 nr_ports: u32,
        12 _pad: [u8; 4],
        /// In: system time in nanoseconds, 0 for none.
        16 timeout: u64,
    }

    /// [`SCHEDOP_REMOTE_SHUTDOWN`].
    pub struct SchedRemoteShutdown("struct sched_remote_shutdown", 8) {
        /// In: the domain.
        0 domain_id: u16,
        2 _pad: [u8; 2],
        /// In: `SHUTDOWN_*`.
        4 reason: u32,
    }

    /// [`SCHEDOP_WATCHDOG`].
    pub struct SchedWatchdog("struct sched_watchdog", 8) {
        /// In: watchdog, 0 to get a new one.
        0 id: u32,
        /// In: seconds from now, 0 to remove it.
        4 timeout: u32,
    }

    /// [`SCHEDOP_PIN_OVERRIDE`].
    pub struct SchedPinOverride("struct sched_pin_override", 4) {
        /// In: physical CPU, negative to end the override.
        0 pcpu: i32,
    }
}
