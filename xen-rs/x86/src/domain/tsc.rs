//! A domain's time-stamp counter: the processor's own, or one computed at each RDTSC.
//!
//! The modes are Xen's (xen/include/public/arch-x86/cpuid.h, `XEN_CPUID_TSC_MODE_*`). In the default mode a counter of another frequency
//! than the machine's is emulated, because this hypervisor does not use hardware scaling. Each vCPU adds an offset of its own.

use xen_abi::arch_x86::{
    XEN_CPUID_TSC_MODE_ALWAYS_EMULATE, XEN_CPUID_TSC_MODE_DEFAULT, XEN_CPUID_TSC_MODE_NEVER_EMULATE,
};
use xen_abi::errno::Errno;
use xen_core::hal::Clock;

use crate::time;

/// How a domain's counter is made. Changes only while the domain stands still.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Tsc {
    /// `XEN_CPUID_TSC_MODE_*`.
    pub mode: u32,
    /// What the toolstack gave last, plus one: a new domain's is 1.
    pub incarnation: u32,
    /// Frequency that the guest is told.
    pub khz: u32,
    /// RDTSC exits.
    pub is_emulated: bool,
    /// System time at which the domain's elapsed time was 0; before boot for a domain that was restored.
    since_ns: u64,
}

impl Tsc {
    /// Of a new domain on a machine of `host_khz`: the processor's own.
    #[must_use]
    pub const fn native(host_khz: u32, now_ns: u64) -> Self {
        Self {
            mode: XEN_CPUID_TSC_MODE_DEFAULT,
            incarnation: 1,
            khz: host_khz,
            is_emulated: false,
            since_ns: now_ns,
        }
    }

    /// As `XEN_DOMCTL_settscinfo` asks. A frequency of 0 is the machine's.
    ///
    /// # Errors
    /// `EINVAL` for a mode that Xen 4.20 does not know.
    pub fn configure(
        &mut self,
        mode: u32,
        elapsed_ns: u64,
        khz: u32,
        incarnation: u32,
        host: (u32, u64),
    ) -> Result<(), Errno> {
        let (host_khz, now_ns) = host;
        match mode {
            XEN_CPUID_TSC_MODE_DEFAULT | XEN_CPUID_TSC_MODE_ALWAYS_EMULATE => {
                self.since_ns = now_ns.wrapping_sub(elapsed_ns);
                self.khz = if khz == 0 { host_khz } else { khz };
                self.is_emulated =
                    mode == XEN_CPUID_TSC_MODE_ALWAYS_EMULATE || self.khz != host_khz;
            }
            XEN_CPUID_TSC_MODE_NEVER_EMULATE => self.is_emulated = false,
            _ => return Err(Errno::EINVAL),
        }
        self.mode = mode;
        self.incarnation = incarnation.wrapping_add(1);
        Ok(())
    }

    /// What `XEN_DOMCTL_gettscinfo` answers: mode, elapsed ns, kHz, incarnation.
    #[must_use]
    pub const fn report(&self, now_ns: u64) -> (u32, u64, u32, u32) {
        let elapsed_ns = now_ns.wrapping_sub(self.since_ns);
        let (elapsed_ns, khz) = match self.mode {
            XEN_CPUID_TSC_MODE_NEVER_EMULATE => (0, 0),
            _ if elapsed_ns > i64::MAX as u64 => (0, self.khz),
            _ => (elapsed_ns, self.khz),
        };
        (self.mode, elapsed_ns, khz, self.incarnation)
    }

    /// The counter before the vCPU's offset, when the processor's shows `host_tsc`, which is `now_ns` of system time.
    #[must_use]
    pub fn count(&self, host_tsc: u64, now_ns: u64) -> u64 {
        if self.is_emulated {
            (u128::from(now_ns) * u128::from(self.khz) / 1_000_000) as u64
        } else {
            host_tsc
        }
    }

    /// Nanoseconds in which the counter moves by `ticks`.
    #[must_use]
    pub fn ns_of_ticks(&self, ticks: u64) -> u64 {
        if self.is_emulated {
            let ns = u128::from(ticks) * 1_000_000 / u128::from(self.khz.max(1));
            u64::try_from(ns).unwrap_or(u64::MAX)
        } else {
            time::ns_of_ticks(ticks)
        }
    }

    /// How system time follows from the counter of a vCPU with this offset.
    #[must_use]
    pub fn clock(&self, host: Clock, offset: u64) -> Clock {
        if self.is_emulated {
            let (tsc_to_system_mul, tsc_shift) = time::scale(self.khz.into());
            Clock {
                tsc_timestamp: offset,
                system_time_ns: 0,
                tsc_to_system_mul,
                tsc_shift,
            }
        } else {
            Clock {
                tsc_timestamp: host.tsc_timestamp.wrapping_add(offset),
                ..host
            }
        }
    }

    /// Elapsed nanoseconds that a guest with a native counter has to subtract (Xen CPUID leaf 3).
    #[must_use]
    pub const fn offset_ns(&self) -> u64 {
        if self.is_emulated { 0 } else { self.since_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: (u32, u64) = (2_000_000, 5_000);

    fn configured(mode: u32, elapsed_ns: u64, khz: u32) -> Tsc {
        let mut tsc = Tsc::native(HOST.0, 1_000);
        tsc.configure(mode, elapsed_ns, khz, 0, HOST).unwrap();
        tsc
    }

    #[test]
    fn only_mode_one_and_foreign_frequencies_are_emulated() {
        for (mode, khz, is_emulated) in [
            (0, 0, false),
            (0, 2_000_000, false),
            (0, 1_000_000, true),
            (1, 0, true),
            (2, 1_000_000, false),
        ] {
            assert_eq!(
                configured(mode, 0, khz).is_emulated,
                is_emulated,
                "{mode} {khz}"
            );
        }
        let mut tsc = Tsc::native(HOST.0, 0);
        assert_eq!(tsc.configure(3, 0, 0, 0, HOST), Err(Errno::EINVAL));
        assert_eq!(tsc, Tsc::native(HOST.0, 0));
    }

    #[test]
    fn what_was_set_is_reported_with_the_next_incarnation() {
        let tsc = configured(1, 300, 1_000_000);
        assert_eq!(tsc.report(5_000), (1, 300, 1_000_000, 1));
        assert_eq!(tsc.report(6_000), (1, 1_300, 1_000_000, 1));
        assert_eq!(configured(2, 300, 7).report(6_000), (2, 0, 0, 1));
        // Restored on a machine that has not been up as long.
        assert_eq!(
            configured(0, 50_000, 0).report(5_000),
            (0, 50_000, 2_000_000, 1)
        );
    }

    #[test]
    fn an_emulated_counter_and_its_clock_agree() {
        let tsc = configured(1, 0, 1_000_000);
        let clock = tsc.clock(Clock::default(), 77);
        let count = tsc.count(0, 1_000_000_000).wrapping_add(77);
        let ticks = u128::from(count - clock.tsc_timestamp) << clock.tsc_shift;
        let ns = (ticks * u128::from(clock.tsc_to_system_mul)) >> 32;
        assert!((999_999_990..=1_000_000_000).contains(&ns), "{ns}");
        assert_eq!(tsc.ns_of_ticks(1_000_000), 1_000_000);
        assert_eq!(configured(1, 0, 500_000).ns_of_ticks(1_000), 2_000);
    }

    #[test]
    fn a_native_counter_follows_the_processor() {
        let tsc = configured(0, 0, 0);
        let host = Clock {
            tsc_timestamp: 10,
            system_time_ns: 0,
            tsc_to_system_mul: 3,
            tsc_shift: 1,
        };
        assert_eq!(tsc.count(1234, 5), 1234);
        assert_eq!(tsc.clock(host, u64::MAX).tsc_timestamp, 9);
        assert_eq!(tsc.clock(host, 0), host);
    }
}
