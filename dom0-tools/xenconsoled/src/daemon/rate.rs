//! How often a guest may be looked at: a guest that notifies without end must not keep the daemon from the others.
//!
//! In the long run as in Xen's own daemon: 30 looks in each period of 200 ms. As a look gives at most one ring's worth of bytes, that bounds the
//! bytes of a guest, too (300 kB/s). Beyond it the guest's event channel stays masked until its next period. Other than there a guest saves
//! what it does not use: a kernel writes some hundred lines within its first second, each with a notification, and would else spin on a full
//! ring for a good part of its boot.

use std::time::{Duration, Instant};

const ALLOWANCE: u32 = 30;
const PERIOD: Duration = Duration::from_millis(200);
/// Most that a guest may have saved, and has at its start.
const SAVED_MAX: u32 = 20 * ALLOWANCE;

/// A guest's use of its allowance.
#[derive(Debug)]
pub struct RateLimit {
    left: u32,
    period_end: Instant,
}

impl RateLimit {
    /// A new guest's.
    pub fn new(now: Instant) -> Self {
        Self {
            left: SAVED_MAX,
            period_end: now + PERIOD,
        }
    }

    /// Counts a look.
    pub fn count(&mut self, now: Instant) {
        if let Some(late) = now.checked_duration_since(self.period_end) {
            // More periods than fill the savings make no difference.
            let periods = 1 + late.as_nanos() / PERIOD.as_nanos();
            let gained = u32::try_from(periods).unwrap_or(u32::MAX);
            let gained = gained.saturating_mul(ALLOWANCE);
            self.left = self.left.saturating_add(gained).min(SAVED_MAX);
            self.period_end = now + PERIOD;
        }
        self.left = self.left.saturating_sub(1);
    }

    /// When a guest that used up its allowance gets another; `None` while it may be looked at.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        (self.left == 0 && now < self.period_end).then_some(self.period_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_guest_is_never_held() {
        let start = Instant::now();
        let mut rate = RateLimit::new(start);
        for i in 0..1000 {
            let now = start + i * Duration::from_millis(10);
            rate.count(now);
            assert_eq!(rate.held_until(now), None);
        }
    }

    #[test]
    fn a_booting_guest_is_not_held() {
        let start = Instant::now();
        let mut rate = RateLimit::new(start);
        for i in 0..SAVED_MAX - 1 {
            let now = start + i * Duration::from_micros(100);
            rate.count(now);
            assert_eq!(rate.held_until(now), None);
        }
    }

    #[test]
    fn a_shouting_guest_waits_for_its_next_period_every_time() {
        let start = Instant::now();
        let mut rate = RateLimit::new(start);
        for _ in 0..SAVED_MAX {
            assert_eq!(rate.held_until(start), None);
            rate.count(start);
        }
        let next = start + PERIOD;
        assert_eq!(rate.held_until(start), Some(next));
        assert_eq!(rate.held_until(start + PERIOD / 2), Some(next));
        for _ in 0..ALLOWANCE {
            assert_eq!(rate.held_until(next), None);
            rate.count(next);
        }
        assert_eq!(rate.held_until(next), Some(next + PERIOD));
    }

    #[test]
    fn what_is_saved_has_a_bound() {
        let start = Instant::now();
        let mut rate = RateLimit::new(start);
        let later = start + Duration::from_secs(3600);
        let looks = (0..10_000).take_while(|_| {
            rate.count(later);
            rate.held_until(later).is_none()
        });
        assert_eq!(looks.count(), SAVED_MAX as usize - 1);
    }
}
