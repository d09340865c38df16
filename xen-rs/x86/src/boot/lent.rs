//! RAM that will be dom0's, lent to the heap while dom0 is built.
//!
//! Unpacking a kernel takes large objects, and what dom0 leaves free may be too little, or in pieces that are too small: without `dom0_mem`
//! it is a sixteenth of the machine at most. Only the boot CPU runs then. Objects follow each other; the room of the last one is used
//! again when it goes.

use spin::Mutex;

use crate::direct_map::BASE;
use crate::dom0::PhysRange;

static LENT: Mutex<Lent> = Mutex::new(Lent::NOTHING);

struct Lent {
    range: PhysRange,
    /// What is not given out yet.
    free: PhysRange,
    /// Objects that live in it.
    objects: usize,
}

impl Lent {
    const NOTHING: Self = Self::new(PhysRange { start: 0, end: 0 });

    const fn new(range: PhysRange) -> Self {
        Self {
            range,
            free: range,
            objects: 0,
        }
    }

    fn take(&mut self, size: u64, align: u64) -> Option<u64> {
        let start = self.free.start.checked_next_multiple_of(align)?;
        let end = start
            .checked_add(size)
            .filter(|end| *end <= self.free.end)?;
        self.free.start = end;
        self.objects += 1;
        Some(start)
    }

    fn give_back(&mut self, address: u64, size: u64) -> bool {
        if !(self.range.start..self.range.end).contains(&address) {
            return false;
        }
        self.objects -= 1;
        if address + size == self.free.start {
            self.free.start = address;
        }
        true
    }
}

/// Lends a range of RAM that nobody uses.
pub fn lend(range: PhysRange) {
    *LENT.lock() = Lent::new(range);
}

/// Takes the range back.
///
/// # Panics
/// If something still lives there.
pub fn end() {
    let lent = core::mem::replace(&mut *LENT.lock(), Lent::NOTHING);
    assert_eq!(lent.objects, 0, "objects in memory that was only lent");
}

/// Room for an object of the heap, by its address in the direct map.
#[must_use]
pub fn take(size: usize, align: usize) -> Option<u64> {
    Some(BASE + LENT.lock().take(size as u64, align as u64)?)
}

/// An object of the heap goes; `false` if its address is not in what was lent.
pub fn give_back(address: u64, size: usize) -> bool {
    let machine = address.checked_sub(BASE);
    machine.is_some_and(|machine| LENT.lock().give_back(machine, size as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_follow_each_other_aligned_until_the_room_is_used_up() {
        let mut lent = Lent::new(PhysRange::from_len(0x1000, 0x3000));
        assert_eq!(lent.take(0x10, 1), Some(0x1000));
        assert_eq!(lent.take(0x1000, 0x1000), Some(0x2000));
        assert_eq!(lent.take(0x1001, 1), None);
        assert_eq!(lent.take(u64::MAX, 1), None);
        assert_eq!(lent.take(0x1000, 1), Some(0x3000));
        assert_eq!(lent.take(1, 1), None);
    }

    #[test]
    fn the_last_objects_room_is_used_again() {
        let mut lent = Lent::new(PhysRange::from_len(0x1000, 0x2000));
        let first = lent.take(0x1000, 8).unwrap();
        for _ in 0..3 {
            let second = lent.take(0x1000, 8).unwrap();
            assert!(lent.give_back(second, 0x1000));
        }
        assert!(lent.take(0x1000, 8).is_some());
        // Somebody is behind this one.
        assert!(lent.give_back(first, 0x1000));
        assert_eq!(lent.take(1, 1), None);
    }

    #[test]
    fn only_what_was_lent_is_given_back_here() {
        let mut lent = Lent::new(PhysRange::from_len(0x1000, 0x1000));
        let object = lent.take(0x800, 8).unwrap();
        assert!(!lent.give_back(0x2000, 1) && !lent.give_back(0xfff, 1));
        assert_eq!(lent.objects, 1);
        assert!(lent.give_back(object, 0x800));
        assert_eq!(lent.objects, 0);
        let mut nothing = Lent::NOTHING;
        assert!(!nothing.give_back(0, 1));
        assert_eq!(nothing.take(1, 1), None);
    }
}
