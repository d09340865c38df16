//! What the vCPUs of one domain share: weight, cap and the cap's budget, and the cpupool they belong to.
//!
//! Weight and cap are atomics, read without a lock at every charge. The budget has its own lock, the innermost of the scheduler, and is
//! touched only for domains that have a cap. Semantics of weight and cap: public `domctl.h`, `xen_domctl_sched_credit2`.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use xen_abi::errno::Errno;

use crate::ids::Domid;
use crate::lock::{Lock, Rank};
use crate::sched::vtime::DEFAULT_WEIGHT;

/// Length of the accounting period of caps (Xen's default `credit2_cap_period_ms`).
pub const CAP_PERIOD_NS: u64 = 10_000_000;
/// Smallest part of the budget handed to a vCPU while there is that much: below, switching costs more than it shares.
const MIN_GRANT_NS: i64 = 250_000;
/// Most that a domain can owe: a CPU that came late to its timer must not silence a domain for long.
const MAX_DEBT_NS: i64 = 100_000_000;

/// Scheduling parameters of one domain.
pub struct DomainShare {
    domid: Domid,
    weight: AtomicU32,
    /// Percent of one physical CPU for all vCPUs together; 0: no cap.
    cap: AtomicU32,
    pub(super) vcpus: AtomicU32,
    pub(super) pool: AtomicU32,
    dying: AtomicBool,
    budget: Lock<Budget>,
}

#[derive(Debug, Default)]
struct Budget {
    /// Number of periods since boot whose budget is in `left_ns`.
    paid_periods: u64,
    left_ns: i64,
}

/// What a capped vCPU may do now.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// No cap.
    Unlimited,
    /// Run for so many ns, then ask again.
    For(u64),
    /// The budget is used up; ask again at this system time.
    WaitUntil(u64),
}

impl DomainShare {
    /// A domain's parameters with the default weight, no cap, in no cpupool yet.
    #[must_use]
    pub fn new(domid: Domid) -> Self {
        Self {
            domid,
            weight: AtomicU32::new(DEFAULT_WEIGHT),
            cap: AtomicU32::new(0),
            vcpus: AtomicU32::new(0),
            pool: AtomicU32::new(super::pools::PoolId::NONE.0),
            dying: AtomicBool::new(false),
            budget: Lock::new(Rank::Scheduler, Budget::default()),
        }
    }

    /// The domain.
    #[must_use]
    pub fn domid(&self) -> Domid {
        self.domid
    }

    /// Weight, 1 to 65535.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// Cap in percent of one CPU, 0 for none.
    #[must_use]
    pub fn cap(&self) -> u32 {
        self.cap.load(Relaxed)
    }

    /// The cpupool the domain is in.
    #[must_use]
    pub fn pool(&self) -> super::pools::PoolId {
        super::pools::PoolId(self.pool.load(Relaxed))
    }

    /// Marks the domain as being destroyed: it no longer keeps its cpupool's last CPU in place.
    pub fn set_dying(&self) {
        self.dying.store(true, Relaxed);
    }

    /// Whether the domain is being destroyed.
    #[must_use]
    pub fn is_dying(&self) -> bool {
        self.dying.load(Relaxed)
    }

    /// `XEN_DOMCTL_SCHEDOP_putinfo`: weight 0 leaves the weight, cap 0 lifts the cap. Running vCPUs notice at their next schedule.
    ///
    /// # Errors
    /// `EINVAL` for a cap above 100 % of every vCPU (the weight is changed all the same, as Xen does).
    pub fn set_params(&self, weight: u16, cap: u16) -> Result<(), Errno> {
        if weight != 0 {
            self.weight.store(u32::from(weight), Relaxed);
        }
        if u64::from(cap) > 100 * u64::from(self.vcpus.load(Relaxed)) {
            return Err(Errno::EINVAL);
        }
        self.cap.store(u32::from(cap), Relaxed);
        Ok(())
    }

    /// Takes a vCPU's part of the period's budget.
    pub(super) fn grant(&self, now_ns: u64) -> Grant {
        let cap = self.cap();
        if cap == 0 {
            return Grant::Unlimited;
        }
        let mut budget = self.budget.lock_second();
        budget.refill(now_ns, cap);
        if budget.left_ns <= 0 {
            return Grant::WaitUntil(budget.paid_periods.saturating_mul(CAP_PERIOD_NS));
        }
        let part = budget_of(cap) / i64::from(self.vcpus.load(Relaxed).max(1));
        let granted = part.max(MIN_GRANT_NS).min(budget.left_ns);
        budget.left_ns -= granted;
        Grant::For(granted.unsigned_abs())
    }

    /// Settles a grant: returns what was not used, or books what was used too much.
    pub(super) fn settle(&self, granted_ns: u64, ran_ns: u64) {
        let over = clamp_to_i64(ran_ns).saturating_sub(clamp_to_i64(granted_ns));
        let mut budget = self.budget.lock_second();
        budget.left_ns = budget.left_ns.saturating_sub(over).max(-MAX_DEBT_NS);
    }
}

impl Budget {
    /// Adds what the periods since the last look have brought. Nothing is saved up from one period to the next, debts stay.
    fn refill(&mut self, now_ns: u64, cap: u32) {
        let per_period = budget_of(cap);
        let periods = now_ns / CAP_PERIOD_NS + 1;
        let passed = clamp_to_i64(periods.saturating_sub(self.paid_periods));
        if passed > 0 {
            self.paid_periods = periods;
            self.left_ns = self
                .left_ns
                .saturating_add(per_period.saturating_mul(passed));
        }
        self.left_ns = self.left_ns.min(per_period);
    }
}

fn budget_of(cap: u32) -> i64 {
    i64::from(cap) * (CAP_PERIOD_NS / 100).cast_signed()
}

fn clamp_to_i64(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(vcpus: u32, cap: u16) -> DomainShare {
        let share = DomainShare::new(Domid(1));
        share.vcpus.store(vcpus, Relaxed);
        share.set_params(0, cap).unwrap();
        share
    }

    #[test]
    fn cap_above_all_vcpus_is_einval() {
        let share = share(2, 0);
        assert_eq!(share.set_params(512, 201), Err(Errno::EINVAL));
        assert_eq!((share.weight(), share.cap()), (512, 0));
        assert_eq!(share.set_params(0, 200), Ok(()));
        assert_eq!((share.weight(), share.cap()), (512, 200));
    }

    #[test]
    fn budget_is_split_and_comes_back_with_the_next_period() {
        let share = share(2, 50);
        assert_eq!(share.grant(0), Grant::For(2_500_000));
        assert_eq!(share.grant(0), Grant::For(2_500_000));
        assert_eq!(share.grant(1), Grant::WaitUntil(CAP_PERIOD_NS));
        share.settle(2_500_000, 2_000_000);
        assert_eq!(share.grant(2), Grant::For(500_000));
        assert_eq!(share.grant(CAP_PERIOD_NS), Grant::For(2_500_000));
    }

    #[test]
    fn overrun_is_paid_back_from_later_periods() {
        let share = share(1, 10);
        assert_eq!(share.grant(0), Grant::For(1_000_000));
        share.settle(1_000_000, 2_500_000);
        assert_eq!(
            share.grant(CAP_PERIOD_NS),
            Grant::WaitUntil(2 * CAP_PERIOD_NS)
        );
        assert_eq!(share.grant(2 * CAP_PERIOD_NS), Grant::For(500_000));
    }

    #[test]
    fn nothing_is_saved_up_while_asleep() {
        let share = share(1, 10);
        assert_eq!(share.grant(1000 * CAP_PERIOD_NS), Grant::For(1_000_000));
        assert!(matches!(
            share.grant(1000 * CAP_PERIOD_NS),
            Grant::WaitUntil(_)
        ));
    }
}
