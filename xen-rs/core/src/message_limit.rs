//! How many messages may be printed: a burst, then some in each second. What is too much is counted.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

const MS: u64 = 1_000_000;
/// Milliseconds by which clocks that CPUs read at one moment may seem to differ; far more than they do.
const ONE_MOMENT_MS: u32 = 60_000;

/// Credit for messages, in milliseconds of waiting; shared by all CPUs without a lock.
pub struct MessageLimit {
    /// Milliseconds of waiting that one message costs.
    cost_ms: u32,
    /// Messages that may come at once.
    burst: u32,
    /// Upper half: what is missing to the full burst, in milliseconds; lower half: the clock then, in milliseconds and wrapped.
    state: AtomicU64,
    dropped: AtomicU32,
}

impl MessageLimit {
    /// Lets `burst` messages pass at once and then one in `cost_ms` milliseconds.
    #[must_use]
    pub const fn new(burst: u32, cost_ms: u32) -> Self {
        Self {
            cost_ms,
            burst,
            state: AtomicU64::new(0),
            dropped: AtomicU32::new(0),
        }
    }

    /// Whether a message may be printed now: the number of those dropped since the last one that was. `None` to drop it.
    pub fn pass(&self, now_ns: u64) -> Option<u32> {
        let now = (now_ns / MS) as u32;
        let full = self.burst * self.cost_ms;
        let spend = |state: u64| {
            let (used, since) = ((state >> 32) as u32, state as u32);
            // Another CPU may have read its clock a moment later. Any other difference, up to the wrap after 49 days, is time that passed.
            let passed = Some(now.wrapping_sub(since))
                .filter(|passed| *passed < ONE_MOMENT_MS.wrapping_neg());
            let used = used.saturating_sub(passed.unwrap_or(0)) + self.cost_ms;
            let since = passed.map_or(since, |_| now);
            (used <= full).then_some(u64::from(used) << 32 | u64::from(since))
        };
        if self.state.fetch_update(Relaxed, Relaxed, spend).is_ok() {
            return Some(self.dropped.swap(0, Relaxed));
        }
        self.dropped.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_and_then_one_in_each_interval() {
        let limit = MessageLimit::new(3, 500);
        assert!((0..3).all(|_| limit.pass(SECOND) == Some(0)));
        assert_eq!(limit.pass(SECOND), None);
        assert_eq!(limit.pass(SECOND + SECOND / 4), None);
        assert_eq!(limit.pass(2 * SECOND), Some(2));
        assert_eq!(limit.pass(2 * SECOND), Some(0));
        assert_eq!(limit.pass(2 * SECOND), None);
    }

    #[test]
    fn silence_restores_no_more_than_the_burst() {
        let limit = MessageLimit::new(2, 100);
        assert!(limit.pass(0).is_some());
        let later = 1000 * SECOND;
        assert_eq!((0..10).filter(|_| limit.pass(later).is_some()).count(), 2);
    }

    #[test]
    fn a_clock_that_another_cpu_read_earlier_gives_no_credit() {
        let limit = MessageLimit::new(1, 100);
        assert!(limit.pass(10 * SECOND).is_some());
        assert_eq!(limit.pass(0), None);
        assert_eq!(limit.pass(10 * SECOND), None);
    }

    #[test]
    fn month_without_a_message_gives_the_full_burst_and_then_the_rate() {
        let limit = MessageLimit::new(2, 1000);
        let month = 30 * 24 * 3600 * SECOND;
        for start in [month, 2 * month] {
            assert!((0..10).filter(|_| limit.pass(start).is_some()).count() == 2);
            let next = (1..=5).map(|second| limit.pass(start + second * SECOND));
            assert!(next.into_iter().all(|passed| passed.is_some()), "{start}");
        }
    }

    #[test]
    fn a_wrapped_clock_goes_on() {
        const WRAP: u64 = (1 << 32) * MS;
        let limit = MessageLimit::new(1, 100);
        assert!(limit.pass(WRAP - SECOND).is_some());
        assert_eq!(limit.pass(WRAP - SECOND), None);
        assert_eq!(limit.pass(WRAP + SECOND), Some(1));
        assert_eq!(limit.pass(WRAP + 2 * SECOND), Some(0));
    }
}
