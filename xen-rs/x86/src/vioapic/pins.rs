//! Set of pins of one IO-APIC.

use super::MAX_PINS;

/// Up to [`MAX_PINS`] pins, as bits.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct PinSet([u64; 4]);

impl PinSet {
    /// No pins.
    pub const EMPTY: Self = Self([0; 4]);

    /// Whether `pin` is a member.
    #[must_use]
    pub const fn contains(&self, pin: u8) -> bool {
        self.0[(pin >> 6) as usize] & (1 << (pin & 63)) != 0
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// The members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u8> {
        let set = *self;
        (0..MAX_PINS).filter(move |&pin| set.contains(pin))
    }

    /// Adds or removes `pin`; true if it was a member before.
    pub(super) const fn set(&mut self, pin: u8, member: bool) -> bool {
        let was_member = self.contains(pin);
        if was_member != member {
            self.0[(pin >> 6) as usize] ^= 1 << (pin & 63);
        }
        was_member
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_out_in_order() {
        let mut set = PinSet::EMPTY;
        assert!(set.is_empty());
        for pin in [239, 0, 63, 64] {
            assert!(!set.set(pin, true));
            assert!(set.set(pin, true));
        }
        assert!(set.iter().eq([0, 63, 64, 239]));
        assert!(set.set(63, false) && !set.set(62, false));
        assert!(set.iter().eq([0, 64, 239]));
    }
}
