//! The APIC timer: a 32-bit count-down in one-shot or periodic mode, or a comparison with the TSC.
//!
//! Time is nanoseconds of system time, handed in by the caller. The count runs at 100 MHz (10 ns, the bus cycle Xen's HVM guests see),
//! divided by the divide configuration. Semantics: Intel SDM vol. 3, "APIC Timer" and "TSC-Deadline Mode".

use super::regs::{TIMER_DIVIDE_DEFINED, lvt};

/// Nanoseconds of one APIC bus cycle.
pub const BUS_CYCLE_NS: u64 = 10;

/// Least distance between two interrupts of a periodic timer. A guest may program a period of 10 ns; the count then runs as programmed, but
/// the ticks that would come closer than this merge, so that the host is not kept busy with one guest's timer.
pub const MIN_PERIODIC_NS: u64 = 50_000;

/// Bits 18:17 of the timer's LVT entry.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    OneShot,
    Periodic,
    TscDeadline,
    /// The reserved encoding: the timer is off.
    Reserved,
}

impl Mode {
    pub const fn from_lvt(entry: u32) -> Self {
        match (entry & lvt::TIMER_MODE) >> 17 {
            0 => Self::OneShot,
            1 => Self::Periodic,
            2 => Self::TscDeadline,
            _ => Self::Reserved,
        }
    }

    const fn counts(self) -> bool {
        matches!(self, Self::OneShot | Self::Periodic)
    }
}

/// State of the timer. It does not know its LVT entry: the mode is handed in, the mask is the owner's business.
#[derive(Clone, Debug)]
pub(super) struct Timer {
    initial: u32,
    /// Divide configuration register.
    divide: u32,
    /// The count was `anchor_count` at `anchor_ns` and runs down since; 0 if stopped.
    anchor_ns: u64,
    anchor_count: u32,
    /// When the timer fires next, in any mode.
    expiry_ns: Option<u64>,
    /// IA32_TSC_DEADLINE; 0 if not armed.
    tsc_deadline: u64,
}

impl Timer {
    pub const fn stopped() -> Self {
        Self {
            initial: 0,
            divide: 0,
            anchor_ns: 0,
            anchor_count: 0,
            expiry_ns: None,
            tsc_deadline: 0,
        }
    }

    pub const fn initial(&self) -> u32 {
        self.initial
    }

    pub const fn divide(&self) -> u32 {
        self.divide
    }

    pub const fn expiry_ns(&self) -> Option<u64> {
        self.expiry_ns
    }

    /// IA32_TSC_DEADLINE as armed, whether or not it has expired meanwhile.
    pub const fn armed_tsc_deadline(&self) -> u64 {
        self.tsc_deadline
    }

    /// IA32_TSC_DEADLINE as it reads at `now_ns`: an expired deadline reads as 0 even if nobody has called [`Self::expire`] yet.
    pub fn tsc_deadline(&self, now_ns: u64) -> u64 {
        if self.expiry_ns.is_some_and(|at| at <= now_ns) {
            0
        } else {
            self.tsc_deadline
        }
    }

    /// Divisors 1 to 128.
    pub const fn divisor(&self) -> u32 {
        let code = (self.divide & 3) | ((self.divide & 8) >> 1);
        1 << ((code + 1) & 7)
    }

    /// Nanoseconds of one count: at most 1280.
    fn count_ns(&self) -> u64 {
        BUS_CYCLE_NS * u64::from(self.divisor())
    }

    /// Current count register.
    pub fn count(&self, mode: Mode, now_ns: u64) -> u32 {
        if self.anchor_count == 0 || !mode.counts() {
            return 0;
        }
        let elapsed = now_ns.saturating_sub(self.anchor_ns) / self.count_ns();
        let anchor = u64::from(self.anchor_count);
        let count = match (elapsed.checked_sub(anchor), mode) {
            (None, _) => anchor - elapsed,
            (Some(past), Mode::Periodic) => {
                let period = u64::from(self.initial.max(1));
                period - past % period
            }
            (Some(_), _) => 0,
        };
        // At most the larger of two 32-bit counts.
        count as u32
    }

    /// Write of the initial count: starts the count-down, or stops it with 0.
    pub fn start(&mut self, initial: u32, now_ns: u64) {
        self.initial = initial;
        self.run_from(initial, now_ns);
    }

    /// Write of the divide configuration: the remaining count goes on at the new rate. Expiry must have been dealt with.
    pub fn set_divide(&mut self, divide: u32, mode: Mode, now_ns: u64) {
        let divide = divide & TIMER_DIVIDE_DEFINED;
        if divide == self.divide {
            return;
        }
        let count = self.count(mode, now_ns);
        self.divide = divide;
        if mode.counts() {
            self.run_from(count, now_ns);
        }
    }

    /// Change of mode: between one-shot and periodic the count goes on; into or out of TSC-deadline mode disarms the timer.
    /// Expiry must have been dealt with.
    pub fn change_mode(&mut self, from: Mode, to: Mode, now_ns: u64) {
        if from == to {
            return;
        }
        let was_deadline = from == Mode::TscDeadline;
        if was_deadline != (to == Mode::TscDeadline) {
            self.start(0, now_ns);
            self.tsc_deadline = 0;
        } else {
            let count = if to.counts() {
                self.count(from, now_ns)
            } else {
                0
            };
            self.run_from(count, now_ns);
        }
    }

    /// Arms TSC-deadline mode: `value` is reached at `expiry_ns`. A value of 0 disarms.
    pub fn arm_tsc_deadline(&mut self, value: u64, expiry_ns: u64) {
        self.tsc_deadline = value;
        self.expiry_ns = (value != 0).then_some(expiry_ns);
    }

    /// Sets IA32_TSC_DEADLINE without arming: the clock it is compared with is not known yet.
    pub const fn restore_tsc_deadline(&mut self, value: u64) {
        self.tsc_deadline = value;
    }

    /// Starts a full count from a saved register file.
    pub fn restore(&mut self, initial: u32, divide: u32, mode: Mode, now_ns: u64) {
        self.divide = divide & TIMER_DIVIDE_DEFINED;
        self.start(if mode.counts() { initial } else { 0 }, now_ns);
    }

    /// Stops counting until the next arming; registers keep their values.
    pub const fn halt(&mut self) {
        self.anchor_count = 0;
        self.expiry_ns = None;
    }

    /// If the timer has expired by `now_ns`: true, and a periodic timer is set to its next period, any other stops.
    pub fn expire(&mut self, mode: Mode, now_ns: u64) -> bool {
        let Some(expiry_ns) = self.expiry_ns.filter(|&at| at <= now_ns) else {
            return false;
        };
        if mode == Mode::Periodic && self.initial != 0 {
            self.anchor_ns = expiry_ns;
            self.anchor_count = self.initial;
            self.expiry_ns = Some(self.next_period(expiry_ns, now_ns));
        } else {
            self.halt();
            self.tsc_deadline = 0;
        }
        true
    }

    /// The first end of a period, counted from `expiry_ns`, that is at least [`MIN_PERIODIC_NS`] after `now_ns` or one period after
    /// `expiry_ns`.
    fn next_period(&self, expiry_ns: u64, now_ns: u64) -> u64 {
        let period_ns = self.count_ns() * u64::from(self.initial.max(1));
        let earliest_ns = if period_ns >= MIN_PERIODIC_NS {
            now_ns.saturating_add(1)
        } else {
            now_ns.saturating_add(MIN_PERIODIC_NS)
        };
        let periods = earliest_ns
            .saturating_sub(expiry_ns)
            .div_ceil(period_ns)
            .max(1);
        expiry_ns.saturating_add(periods.saturating_mul(period_ns))
    }

    fn run_from(&mut self, count: u32, now_ns: u64) {
        self.anchor_ns = now_ns;
        self.anchor_count = count;
        // At most 2^32 * 1280 ns.
        let left_ns = u64::from(count) * self.count_ns();
        self.expiry_ns = (count != 0).then(|| now_ns.saturating_add(left_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divide_by_one() -> Timer {
        let mut timer = Timer::stopped();
        timer.set_divide(0b1011, Mode::OneShot, 0);
        timer
    }

    #[test]
    fn divide_codes_give_1_to_128() {
        let mut timer = Timer::stopped();
        for (code, divisor) in [
            (0, 2),
            (1, 4),
            (2, 8),
            (3, 16),
            (8, 32),
            (9, 64),
            (10, 128),
            (11, 1),
        ] {
            timer.set_divide(code, Mode::OneShot, 0);
            assert_eq!(timer.divisor(), divisor);
        }
    }

    #[test]
    fn one_shot_counts_down_and_fires_once() {
        let mut timer = divide_by_one();
        timer.start(100, 1_000);
        assert_eq!(timer.expiry_ns(), Some(2_000));
        assert_eq!(timer.count(Mode::OneShot, 1_500), 50);
        assert!(!timer.expire(Mode::OneShot, 1_999));
        assert!(timer.expire(Mode::OneShot, 2_000));
        assert!(!timer.expire(Mode::OneShot, 9_000));
        assert_eq!(
            (timer.count(Mode::OneShot, 3_000), timer.expiry_ns()),
            (0, None)
        );
    }

    #[test]
    fn periodic_keeps_its_phase_when_ticks_are_late() {
        let mut timer = divide_by_one();
        timer.start(10_000, 0);
        assert!(timer.expire(Mode::Periodic, 100_000));
        assert_eq!(timer.expiry_ns(), Some(200_000));
        assert!(timer.expire(Mode::Periodic, 530_000));
        assert_eq!(timer.expiry_ns(), Some(600_000));
        assert_eq!(timer.count(Mode::Periodic, 530_000), 7_000);
    }

    #[test]
    fn tiny_period_is_merged_for_the_host_but_not_in_the_count() {
        let mut timer = divide_by_one();
        timer.start(3, 0);
        assert!(timer.expire(Mode::Periodic, 30));
        let next = timer.expiry_ns().expect("periodic timers go on");
        assert!(next >= 30 + MIN_PERIODIC_NS && next.is_multiple_of(30));
        assert_eq!(timer.count(Mode::Periodic, 40), 2);
        assert_eq!(timer.count(Mode::Periodic, 60), 3);
    }

    #[test]
    fn new_divisor_stretches_what_is_left() {
        let mut timer = divide_by_one();
        timer.start(100, 0);
        timer.set_divide(0, Mode::OneShot, 500);
        assert_eq!(timer.expiry_ns(), Some(500 + 50 * 20));
        assert_eq!(timer.count(Mode::OneShot, 700), 40);
    }

    #[test]
    fn count_survives_one_shot_to_periodic_but_not_tsc_deadline() {
        let mut timer = divide_by_one();
        timer.start(100, 0);
        timer.change_mode(Mode::OneShot, Mode::Periodic, 400);
        assert_eq!(
            (timer.count(Mode::Periodic, 400), timer.expiry_ns()),
            (60, Some(1_000))
        );
        timer.change_mode(Mode::Periodic, Mode::TscDeadline, 500);
        assert_eq!((timer.initial(), timer.expiry_ns()), (0, None));
    }

    #[test]
    fn far_ends_of_time_saturate() {
        let mut timer = Timer::stopped();
        timer.set_divide(0b1010, Mode::Periodic, 0);
        timer.start(u32::MAX, u64::MAX - 1);
        assert_eq!(timer.expiry_ns(), Some(u64::MAX));
        assert!(timer.expire(Mode::Periodic, u64::MAX));
        assert_eq!(timer.count(Mode::Periodic, 0), u32::MAX);
    }
}
