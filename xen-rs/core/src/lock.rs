//! Spin locks with ranks.
//!
//! Every lock belongs to a [`Rank`]. A CPU may only take locks of rising rank; test builds check this per thread, so that an order that could
//! deadlock fails a test instead of a machine. The table in `docs/locking.md` lists the ranks. Interrupt handlers run only where no lock is
//! held, so no lock masks interrupts.

use core::ops::{Deref, DerefMut};

/// Where a lock stands in the order. Higher ranks are taken later.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rank {
    /// A vCPU's architectural state, held while it runs, hypercalls included. That of a paused vCPU may be taken on top of everything.
    VcpuArch = 0,
    /// Choice of a number for a new domain, held until it is listed.
    DomainIds = 1,
    /// List of domains; creation and removal.
    Domains = 2,
    /// Toolstack operations on one domain that must not interleave.
    DomainControl = 3,
    /// Devices of a domain (IO-APIC, vPCI).
    Device = 4,
    /// Where a vCPU's areas of guest memory are.
    Areas = 5,
    /// Grant table of a domain.
    Grants = 6,
    /// Grants mapped by a domain.
    Maptrack = 7,
    /// A domain's guest-physical map.
    P2m = 8,
    /// Event channels of a domain.
    Events = 9,
    /// Small per-domain or per-vCPU values.
    Values = 10,
    /// Machine interrupt routing.
    Irq = 11,
    /// Run queues and scheduler state.
    Scheduler = 12,
    /// Timer queues.
    Timers = 13,
    /// Frame allocator.
    Frames = 14,
    /// Heap.
    Heap = 15,
    /// Console ring.
    Console = 16,
    /// The serial port.
    Serial = 17,
}

#[cfg(any(test, feature = "fake"))]
mod held {
    use super::Rank;
    use std::cell::RefCell;
    use std::vec::Vec;

    std::thread_local!(static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) });

    pub fn push(rank: Rank, nested: bool) {
        HELD.with_borrow_mut(|held| {
            if let Some(&last) = held.iter().max() {
                assert!(
                    last < rank || (nested && last == rank),
                    "lock {rank:?} taken while {last:?} is held"
                );
            }
            held.push(rank);
        });
    }

    pub fn pop(rank: Rank) {
        HELD.with_borrow_mut(|held| {
            let at = held.iter().rposition(|&r| r == rank);
            held.remove(at.expect("released a lock that was not held"));
        });
    }
}

#[cfg(not(any(test, feature = "fake")))]
mod held {
    use super::Rank;
    pub fn push(_: Rank, _: bool) {}
    pub fn pop(_: Rank) {}
}

/// A value behind a ranked spin lock.
pub struct Lock<T> {
    rank: Rank,
    inner: spin::Mutex<T>,
}

/// Proof that a [`Lock`] is held.
pub struct Guard<'a, T> {
    rank: Rank,
    inner: spin::MutexGuard<'a, T>,
}

impl<T> Lock<T> {
    /// A lock of `rank` around `value`.
    pub const fn new(rank: Rank, value: T) -> Self {
        Self {
            rank,
            inner: spin::Mutex::new(value),
        }
    }

    /// Waits for the lock.
    pub fn lock(&self) -> Guard<'_, T> {
        held::push(self.rank, false);
        Guard {
            rank: self.rank,
            inner: self.inner.lock(),
        }
    }

    /// Waits for the lock while another of the same rank is held: the caller orders the two by domain number.
    pub fn lock_second(&self) -> Guard<'_, T> {
        held::push(self.rank, true);
        Guard {
            rank: self.rank,
            inner: self.inner.lock(),
        }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        let inner = self.inner.try_lock()?;
        held::push(self.rank, true);
        Some(Guard {
            rank: self.rank,
            inner,
        })
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        held::pop(self.rank);
    }
}

/// A value behind a ranked reader-writer spin lock.
pub struct RwLock<T> {
    rank: Rank,
    inner: spin::RwLock<T>,
}

/// Proof of shared access to an [`RwLock`].
pub struct ReadGuard<'a, T> {
    rank: Rank,
    inner: spin::RwLockReadGuard<'a, T>,
}

/// Proof of exclusive access to an [`RwLock`].
pub struct WriteGuard<'a, T> {
    rank: Rank,
    inner: spin::RwLockWriteGuard<'a, T>,
}

impl<T> RwLock<T> {
    /// A lock of `rank` around `value`.
    pub const fn new(rank: Rank, value: T) -> Self {
        Self {
            rank,
            inner: spin::RwLock::new(value),
        }
    }

    /// Waits for shared access.
    pub fn read(&self) -> ReadGuard<'_, T> {
        held::push(self.rank, false);
        ReadGuard {
            rank: self.rank,
            inner: self.inner.read(),
        }
    }

    /// Waits for exclusive access.
    pub fn write(&self) -> WriteGuard<'_, T> {
        held::push(self.rank, false);
        WriteGuard {
            rank: self.rank,
            inner: self.inner.write(),
        }
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        held::pop(self.rank);
    }
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        held::pop(self.rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "taken while")]
    fn taking_a_lower_rank_while_holding_a_higher_one_fails() {
        let low = Lock::new(Rank::Domains, ());
        let high = Lock::new(Rank::Console, ());
        let _held = high.lock();
        let _ = low.lock();
    }

    #[test]
    fn rising_ranks_and_a_second_of_the_same_rank_are_fine() {
        let a = Lock::new(Rank::Events, 1);
        let b = Lock::new(Rank::Events, 2);
        let low = RwLock::new(Rank::P2m, 3);
        let shared = low.read();
        let (first, second) = (a.lock(), b.lock_second());
        assert_eq!(*first + *second + *shared, 6);
    }
}
