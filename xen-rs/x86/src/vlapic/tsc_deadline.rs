//! IA32_TSC_DEADLINE (MSR 0x6e0): the timer fires when the guest's TSC reaches a value.
//!
//! Only the caller knows the guest's TSC and its rate, so both come with the call. Semantics: Intel SDM vol. 3, "TSC-Deadline Mode".

use super::timer::Mode;
use super::{Effects, Vlapic};

impl Vlapic {
    /// IA32_TSC_DEADLINE: 0 outside TSC-deadline mode, when not armed and when expired.
    #[must_use]
    pub fn tsc_deadline(&self, now_ns: u64) -> u64 {
        if self.timer_mode() == Mode::TscDeadline {
            self.timer.tsc_deadline(now_ns)
        } else {
            0
        }
    }

    /// Write of IA32_TSC_DEADLINE; ignored outside TSC-deadline mode. 0 disarms, a value already reached fires at once.
    ///
    /// `guest_tsc` is the guest's TSC at `now_ns`; `ticks_to_ns` converts a difference of guest TSC values.
    pub fn write_tsc_deadline(
        &mut self,
        value: u64,
        guest_tsc: u64,
        now_ns: u64,
        ticks_to_ns: impl FnOnce(u64) -> u64,
    ) -> Effects {
        if self.timer_mode() != Mode::TscDeadline || !self.is_globally_enabled() {
            return Effects::default();
        }
        self.tick(now_ns);
        let left_ns = value.checked_sub(guest_tsc).map_or(0, ticks_to_ns);
        self.timer
            .arm_tsc_deadline(value, now_ns.saturating_add(left_ns));
        self.tick(now_ns);
        Effects {
            timer_changed: true,
            ..Effects::default()
        }
    }

    /// Arms the deadline that came with a loaded record, now that the guest's TSC is known.
    pub fn rearm_tsc_deadline(
        &mut self,
        guest_tsc: u64,
        now_ns: u64,
        ticks_to_ns: impl FnOnce(u64) -> u64,
    ) -> Effects {
        self.write_tsc_deadline(
            self.timer.armed_tsc_deadline(),
            guest_tsc,
            now_ns,
            ticks_to_ns,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, put, xapic};
    use super::*;

    const TSC_DEADLINE: u32 = 2 << 17;

    fn armed(value: u64, guest_tsc: u64, now_ns: u64) -> Vlapic {
        let mut apic = xapic(0);
        put(&mut apic, at::LVT_TIMER, TSC_DEADLINE | 0x40, 0);
        assert!(
            apic.write_tsc_deadline(value, guest_tsc, now_ns, |ticks| ticks / 2)
                .timer_changed
        );
        apic
    }

    #[test]
    fn fires_when_the_tsc_gets_there_and_reads_zero_from_then_on() {
        let mut apic = armed(3_000, 1_000, 500);
        assert_eq!(
            (apic.next_deadline(), apic.tsc_deadline(600)),
            (Some(1_500), 3_000)
        );
        assert_eq!(apic.tsc_deadline(1_500), 0);
        assert!(apic.tick(1_500));
        assert_eq!(
            (
                apic.highest_pending(),
                apic.next_deadline(),
                apic.tsc_deadline(1_500)
            ),
            (Some(0x40), None, 0)
        );
    }

    #[test]
    fn past_value_fires_at_once_and_zero_disarms() {
        let apic = armed(1_000, 1_000, 500);
        assert_eq!(
            (apic.highest_pending(), apic.tsc_deadline(500)),
            (Some(0x40), 0)
        );
        let mut apic = armed(3_000, 1_000, 500);
        let _ = apic.write_tsc_deadline(0, 1_100, 550, |ticks| ticks / 2);
        assert_eq!((apic.highest_pending(), apic.next_deadline()), (None, None));
    }

    #[test]
    fn masked_expiry_is_lost_but_disarms() {
        let mut apic = armed(3_000, 1_000, 500);
        put(&mut apic, at::LVT_TIMER, 1 << 16 | TSC_DEADLINE | 0x40, 600);
        assert_eq!(
            (apic.next_deadline(), apic.tsc_deadline(700)),
            (None, 3_000)
        );
        put(&mut apic, at::LVT_TIMER, TSC_DEADLINE | 0x40, 2_000);
        assert_eq!(
            (
                apic.highest_requested(),
                apic.next_deadline(),
                apic.tsc_deadline(2_000)
            ),
            (None, None, 0)
        );
    }

    #[test]
    fn ignored_outside_its_mode_and_disarmed_by_leaving_it() {
        let mut apic = xapic(0);
        assert_eq!(
            apic.write_tsc_deadline(1, 1_000, 0, |ticks| ticks),
            Effects::default()
        );
        assert_eq!((apic.tsc_deadline(0), apic.highest_requested()), (0, None));
        let mut apic = armed(3_000, 1_000, 500);
        put(&mut apic, at::LVT_TIMER, 0x40, 600);
        put(&mut apic, at::LVT_TIMER, TSC_DEADLINE | 0x40, 600);
        assert_eq!((apic.tsc_deadline(600), apic.next_deadline()), (0, None));
    }

    #[test]
    fn far_deadline_saturates() {
        assert_eq!(
            armed(u64::MAX, 0, u64::MAX - 5).next_deadline(),
            Some(u64::MAX)
        );
    }

    #[test]
    fn loaded_deadline_waits_for_the_clock() {
        let (hidden, registers) = armed(3_000, 1_000, 500).save();
        let mut apic = xapic(0);
        assert_eq!(apic.load(&hidden, &registers, 0), Ok(()));
        assert_eq!(apic.next_deadline(), None);
        assert!(
            apic.rearm_tsc_deadline(2_000, 100, |ticks| ticks)
                .timer_changed
        );
        assert_eq!(apic.next_deadline(), Some(1_100));
    }
}
