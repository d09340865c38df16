//! 32-bit layouts of [`crate::sched`].

structures! {
    /// `SCHEDOP_POLL`.
    pub struct SchedPoll("struct sched_poll", 16) {
        /// In: handle of `u32` ports.
        0 ports: u32,
        /// In: number of ports, at most 128.
        4 nr_ports: u32,
        /// In: system time in nanoseconds, 0 for none.
        8 timeout: u64,
    }
}
