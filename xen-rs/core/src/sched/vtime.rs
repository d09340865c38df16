//! Virtual time: time a vCPU has run, slowed down by its weight. The fair choice is always the least virtual time.

use core::cmp::Ordering;

/// Weight at which virtual and real nanoseconds pass alike; what a new domain gets (Xen's credit2 default).
pub const DEFAULT_WEIGHT: u32 = 256;

/// Virtual nanoseconds. Wraps around: only the difference of two nearby values means anything, so there is no total order.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Vtime(pub u64);

impl Vtime {
    /// This many virtual nanoseconds later.
    #[must_use]
    pub fn plus(self, virtual_ns: u64) -> Self {
        Self(self.0.wrapping_add(virtual_ns))
    }

    /// This many virtual nanoseconds earlier.
    #[must_use]
    pub fn minus(self, virtual_ns: u64) -> Self {
        Self(self.0.wrapping_sub(virtual_ns))
    }

    /// Virtual nanoseconds by which this is ahead of (later than) `other`; negative when behind.
    #[must_use]
    pub fn ahead_of(self, other: Self) -> i64 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// Whether this is strictly earlier.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        self.ahead_of(other) < 0
    }

    /// The later of two.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if self.is_before(other) { other } else { self }
    }

    /// The earlier of two.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        if self.is_before(other) { self } else { other }
    }

    /// Order for sorting values that are near each other.
    #[must_use]
    pub fn compare(self, other: Self) -> Ordering {
        self.ahead_of(other).cmp(&0)
    }
}

/// Virtual nanoseconds for `ran_ns` at `weight`. `residual` carries the remainder of the division from one charge to the next: without
/// it, many short runs at a high weight would cost nothing.
pub fn virtual_ns(ran_ns: u64, weight: u32, residual: &mut u32) -> u64 {
    let weight = u64::from(weight.max(1));
    let scale = u64::from(DEFAULT_WEIGHT);
    let rest = (ran_ns % weight) * scale + u64::from(*residual).min(weight - 1);
    *residual = (rest % weight) as u32;
    (ran_ns / weight)
        .wrapping_mul(scale)
        .wrapping_add(rest / weight)
}

/// Real nanoseconds in which a vCPU of `weight` uses up `virtual_ns`, saturating.
#[must_use]
pub fn real_ns(virtual_ns: u64, weight: u32) -> u64 {
    let product = u128::from(virtual_ns) * u128::from(weight.max(1)) / u128::from(DEFAULT_WEIGHT);
    u64::try_from(product).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_weight_passes_like_real_time() {
        assert_eq!(virtual_ns(12_345, DEFAULT_WEIGHT, &mut 0), 12_345);
        assert_eq!(virtual_ns(1_000, 2 * DEFAULT_WEIGHT, &mut 0), 500);
        assert_eq!(real_ns(500, 2 * DEFAULT_WEIGHT), 1_000);
    }

    #[test]
    fn short_runs_cost_as_much_as_one_long_run() {
        let mut residual = 0;
        let pieces: u64 = (0..100_000)
            .map(|_| virtual_ns(7, 65_535, &mut residual))
            .sum();
        assert_eq!(pieces, virtual_ns(700_000, 65_535, &mut 0));
    }

    #[test]
    fn extremes_do_not_overflow() {
        virtual_ns(u64::MAX, 1, &mut u32::MAX.clone());
        virtual_ns(u64::MAX, 65_535, &mut 0);
        assert_eq!(real_ns(u64::MAX, u32::MAX), u64::MAX);
    }

    #[test]
    fn order_survives_the_wrap() {
        let old = Vtime(u64::MAX - 5);
        let new = old.plus(10);
        assert!(old.is_before(new) && new.ahead_of(old) == 10);
        assert_eq!(old.later(new), new);
        assert_eq!(new.minus(10), old);
    }
}
