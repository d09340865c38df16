//! How fast domains may write while transactions are open.
//!
//! A domain that changes a node again and again makes every transaction conflict that looks at it. So, as long as any transaction is open, each write
//! of a domain without privilege costs credit, and who has none is not read from until there is some again. All domains together get 200 writes a
//! second; each may save ten, and what they do not save goes into a reserve for those who need more at once. The numbers are xenstored's.

use std::collections::{BTreeMap, BTreeSet};

/// Credit is in thousandths of a write.
const WRITE: i64 = 1000;
/// What all domains get in a millisecond.
const RATE: i64 = 200;
/// What a domain may save.
const SAVED: i64 = 10 * WRITE;
/// What is in the reserve at most.
const RESERVE: i64 = 1000 * WRITE;
/// What new domains may take out of it beforehand.
const ADVANCE: i64 = 50 * WRITE;
/// Milliseconds between two looks at what those have saved who write nothing.
const SETTLE_MS: u64 = 10;
/// Milliseconds after which nothing more is saved anyway.
const LONG_MS: u64 = 1_000_000;

/// The credit of all domains with a ring.
#[derive(Default)]
pub struct Rates {
    /// The time, in milliseconds.
    pub now_ms: u64,
    /// How many transactions are open.
    pub transactions: u64,
    reserve: i64,
    /// When all accounts were updated last.
    settled_ms: u64,
    accounts: BTreeMap<u16, Account>,
    /// Those in debt: the time is told after every message, and the others must not cost anything then.
    short: BTreeSet<u16>,
}

struct Account {
    credit: i64,
    at_ms: u64,
}

impl Rates {
    /// A domain begins with what it may save.
    pub fn open(&mut self, domain: u16) {
        self.settle();
        let credit = SAVED.min(self.reserve + ADVANCE).max(0);
        self.reserve -= credit;
        let at_ms = self.now_ms;
        self.accounts.insert(domain, Account { credit, at_ms });
    }

    /// A domain is gone; what it saved goes into the reserve.
    pub fn close(&mut self, domain: u16) {
        self.short.remove(&domain);
        if let Some(account) = self.accounts.remove(&domain) {
            self.reserve = RESERVE.min(self.reserve + account.credit.max(0));
        }
    }

    /// A domain wrote a node, or ended a transaction.
    pub fn debit(&mut self, domain: u16) {
        if self.transactions == 0 {
            return;
        }
        if let Some(account) = self.accounts.get_mut(&domain) {
            account.credit -= WRITE;
        }
        self.update(domain);
    }

    /// Whether a domain may go on, as of the last [`Self::advance`].
    pub fn may_write(&self, domain: u16) -> bool {
        self.accounts
            .get(&domain)
            .is_none_or(|account| account.credit >= 0)
    }

    /// Tells the time.
    pub fn advance(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        for domain in self.short.clone() {
            self.update(domain);
        }
    }

    /// When the first domain that may not go on will.
    pub fn next_ms(&self) -> Option<u64> {
        let domains = self.accounts.len() as i64;
        let wait = |domain: &u16| {
            let account = self.accounts.get(domain)?;
            let ms = (-account.credit * domains).div_euclid(RATE) + 1;
            Some(account.at_ms.saturating_add(ms.unsigned_abs()))
        };
        self.short.iter().filter_map(wait).min()
    }

    /// What a domain got since its last update; a debt is paid from the reserve.
    fn update(&mut self, domain: u16) {
        self.pay(domain);
        if self.short.contains(&domain) && self.reserve <= 0 {
            self.settle();
        }
        if let Some(account) = self.accounts.get_mut(&domain) {
            let help = (-account.credit).clamp(0, self.reserve.max(0));
            account.credit += help;
            self.reserve -= help;
        }
        self.note(domain);
    }

    /// Notes whether a domain is in debt.
    fn note(&mut self, domain: u16) {
        if self.may_write(domain) {
            self.short.remove(&domain);
        } else {
            self.short.insert(domain);
        }
    }

    /// Takes what others saved and do not need into the reserve, so that many quiet domains do not leave a new one without credit.
    fn settle(&mut self) {
        if self.now_ms < self.settled_ms.saturating_add(SETTLE_MS) {
            return;
        }
        self.settled_ms = self.now_ms;
        let domains: Vec<u16> = self.accounts.keys().copied().collect();
        for domain in domains {
            self.pay(domain);
        }
    }

    /// Gives a domain what it got since its last update; what is more than it may save goes into the reserve.
    fn pay(&mut self, domain: u16) {
        let domains = self.accounts.len() as i64;
        let Some(account) = self.accounts.get_mut(&domain) else {
            return;
        };
        let ms = self.now_ms.saturating_sub(account.at_ms).min(LONG_MS);
        let income = ms.cast_signed() * RATE / domains.max(1);
        // Time for which a fraction is all there is to get counts the next time.
        if income > 0 {
            account.at_ms = self.now_ms;
        }
        account.credit += income;
        let surplus = (account.credit - SAVED).max(0);
        account.credit -= surplus;
        self.reserve = RESERVE.min(self.reserve + surplus);
        self.note(domain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(domains: u16) -> Rates {
        let mut rates = Rates {
            transactions: 1,
            ..Rates::default()
        };
        (1..=domains).for_each(|domain| rates.open(domain));
        rates
    }

    /// Writes as long as the domain may; how often that was.
    fn write(rates: &mut Rates, domain: u16) -> u32 {
        let mut writes = 0;
        while rates.may_write(domain) && writes < 1_000_000 {
            rates.debit(domain);
            writes += 1;
        }
        writes
    }

    #[test]
    fn writes_cost_nothing_while_no_transaction_is_open() {
        let mut rates = rates(1);
        rates.transactions = 0;
        assert_eq!(write(&mut rates, 1), 1_000_000);
    }

    #[test]
    fn only_domains_in_debt_are_looked_at_when_the_time_is_told() {
        let mut rates = rates(50);
        rates.advance(1);
        assert!(rates.short.is_empty());
        for domain in [7, 9] {
            write(&mut rates, domain);
        }
        assert_eq!(rates.short, BTreeSet::from([7, 9]));
        rates.close(9);
        rates.advance(100_000);
        assert!(rates.short.is_empty() && rates.may_write(7));
    }

    #[test]
    fn a_domain_gets_its_share_of_two_hundred_writes_a_second() {
        let mut rates = rates(4);
        assert_eq!(write(&mut rates, 1), 11);
        assert_eq!(rates.next_ms(), Some(21));
        rates.advance(15);
        assert!(!rates.may_write(1));
        rates.advance(21);
        assert!(rates.may_write(1));
        let mut writes = 0;
        for second in 1..=100 {
            rates.advance(1000 * second);
            writes += write(&mut rates, 1);
        }
        assert!(
            (4_900..=5_100).contains(&writes),
            "{writes} of 50 a second, ten saved"
        );
    }

    #[test]
    fn others_are_not_held_up() {
        let mut rates = rates(2);
        write(&mut rates, 1);
        assert!(rates.may_write(2));
        assert!(rates.may_write(0), "who has no account is not limited");
    }

    #[test]
    fn a_new_domain_among_many_quiet_ones_begins_with_credit() {
        let mut rates = rates(100);
        rates.advance(30_000);
        rates.open(101);
        assert!(write(&mut rates, 101) > 10);
        assert!(rates.may_write(100));
    }

    #[test]
    fn what_nobody_saves_helps_who_needs_it() {
        let mut rates = rates(2);
        rates.advance(60_000);
        // The other one's savings overflow into the reserve.
        rates.debit(2);
        assert!(write(&mut rates, 1) > 500);
        rates.close(1);
        rates.close(2);
        assert_eq!(rates.next_ms(), None);
    }
}
