//! How often a guest may be looked at: a guest that notifies without end must not keep the daemon from the others.
//!
//! As in Xen's own daemon: 30 looks in each period of 200 ms. As a look gives at most one ring's worth of bytes, that bounds the bytes of a
//! guest, too (300 kB/s). Beyond it the guest's event channel stays masked until its next period.

use std::time::{Duration, Instant};

const ALLOWANCE: u32 = 30;
const PERIOD: Duration = Duration::from_millis(200);

/// A guest's use of its allowance.
#[derive(Debug)]
pub struct RateLimit {
    looks: u32,
    period_end: Instant,
}

impl RateLimit {
    /// A fresh allowance.
    pub fn new(now: Instant) -> Self {
        Self {
            looks: 0,
            period_end: now + PERIOD,
        }
    }

    /// Counts a look.
    pub fn count(&mut self, now: Instant) {
        if now >= self.period_end {
            *self = Self::new(now);
        }
        self.looks = self.looks.saturating_add(1);
    }

    /// When a guest that used up its allowance gets another; `None` while it may be looked at.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        (self.looks >= ALLOWANCE && now < self.period_end).then_some(self.period_end)
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
    fn a_shouting_guest_waits_for_its_next_period() {
        let start = Instant::now();
        let mut rate = RateLimit::new(start);
        for _ in 0..ALLOWANCE {
            assert_eq!(rate.held_until(start), None);
            rate.count(start);
        }
        let next = start + PERIOD;
        assert_eq!(rate.held_until(start), Some(next));
        assert_eq!(rate.held_until(start + PERIOD / 2), Some(next));
        assert_eq!(rate.held_until(next), None);
        rate.count(next);
        assert_eq!(rate.held_until(next), None);
    }
}
