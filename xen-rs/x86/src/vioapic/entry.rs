//! Redirection entry: where the interrupt of one pin goes, and how. Intel 82093AA datasheet, "IOREDTBL\[23:0\]".

use crate::vlapic::{Delivery, DeliveryMode, DestMode, Trigger};

/// Which voltage asserts a pin. Of interest only to whoever programs the real IO-APIC.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// Asserted when high.
    ActiveHigh,
    /// Asserted when low.
    ActiveLow,
}

/// A redirection entry, as a 64-bit register without its reserved bits.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Entry(u64);

const DELIVERY_STATUS: u64 = 1 << 12;
const REMOTE_IRR: u64 = 1 << 14;
const MASKED: u64 = 1 << 16;
const DEST_SHIFT: u32 = 56;
/// Bits a guest can write: neither reserved, delivery status nor remote IRR. No extended destination id is offered.
const WRITABLE: u64 = (0xff << DEST_SHIFT) | (0x1_ffff & !(DELIVERY_STATUS | REMOTE_IRR));

impl Entry {
    /// After reset: masked.
    pub const RESET: Self = Self(MASKED);

    /// Reads an entry from a record, without the bits that cannot be set. A pin that is edge triggered has no remote IRR.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & (WRITABLE | REMOTE_IRR)).normalised()
    }

    /// The register.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Vector.
    #[must_use]
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// Delivery mode.
    #[must_use]
    pub const fn delivery_mode(self) -> DeliveryMode {
        DeliveryMode::from_field((self.0 >> 8) as u32)
    }

    /// How the destination is read.
    #[must_use]
    pub const fn dest_mode(self) -> DestMode {
        DestMode::from_bit(self.0 & (1 << 11) != 0)
    }

    /// Input polarity.
    #[must_use]
    pub const fn polarity(self) -> Polarity {
        if self.0 & (1 << 13) != 0 {
            Polarity::ActiveLow
        } else {
            Polarity::ActiveHigh
        }
    }

    /// Whether a level interrupt has been sent and not ended.
    #[must_use]
    pub const fn remote_irr(self) -> bool {
        self.0 & REMOTE_IRR != 0
    }

    /// Edge or level.
    #[must_use]
    pub const fn trigger(self) -> Trigger {
        Trigger::from_bit(self.0 & (1 << 15) != 0)
    }

    /// Whether the pin is masked.
    #[must_use]
    pub const fn is_masked(self) -> bool {
        self.0 & MASKED != 0
    }

    /// Destination.
    #[must_use]
    pub const fn dest(self) -> u8 {
        (self.0 >> DEST_SHIFT) as u8
    }

    /// The message of this entry, whether or not it is masked; `None` for delivery modes that guests are not offered. NMI is always an
    /// edge.
    #[must_use]
    pub const fn delivery(self) -> Option<Delivery> {
        let delivery_mode = self.delivery_mode();
        let trigger = match delivery_mode {
            DeliveryMode::Fixed | DeliveryMode::LowestPriority => self.trigger(),
            DeliveryMode::Nmi => Trigger::Edge,
            _ => return None,
        };
        let (vector, dest, dest_mode) = (self.vector(), self.dest() as u32, self.dest_mode());
        Some(Delivery {
            vector,
            dest,
            dest_mode,
            delivery_mode,
            trigger,
        })
    }

    /// Whether the line is looked at as a level: what is not a vector has no EOI and so is always an edge.
    #[must_use]
    pub const fn is_level(self) -> bool {
        matches!(self.trigger(), Trigger::Level) && self.delivery_mode().is_vectored()
    }

    pub(super) const fn with_remote_irr(self, set: bool) -> Self {
        Self(if set {
            self.0 | REMOTE_IRR
        } else {
            self.0 & !REMOTE_IRR
        })
    }

    /// The entry after a write of its low half.
    pub(super) const fn with_low(self, low: u32) -> Self {
        let kept = self.0 & (0xffff_ffff_0000_0000 | REMOTE_IRR);
        Self(kept | (low as u64 & WRITABLE)).normalised()
    }

    /// The entry after a write of its high half.
    pub(super) const fn with_high(self, high: u32) -> Self {
        Self(self.0 & 0xffff_ffff | ((high as u64) << 32 & WRITABLE))
    }

    /// Whether the guest sees a difference that it made: remote IRR aside.
    pub(super) const fn differs_as_programmed(self, other: Self) -> bool {
        (self.0 ^ other.0) & WRITABLE != 0
    }

    const fn normalised(self) -> Self {
        match self.trigger() {
            Trigger::Edge => self.with_remote_irr(false),
            Trigger::Level => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_datasheet_says() {
        let entry = Entry::RESET.with_low(0x0000_a941).with_high(0x0700_0000);
        assert_eq!(
            (entry.vector(), entry.delivery_mode(), entry.dest_mode()),
            (0x41, DeliveryMode::LowestPriority, DestMode::Logical)
        );
        assert_eq!(
            (
                entry.polarity(),
                entry.trigger(),
                entry.is_masked(),
                entry.dest()
            ),
            (Polarity::ActiveLow, Trigger::Level, false, 7)
        );
    }

    #[test]
    fn guest_cannot_write_status_remote_irr_or_reserved_bits() {
        let entry = Entry::RESET.with_low(u32::MAX).with_high(u32::MAX);
        assert_eq!(entry.bits(), 0xff00_0000_0001_afff);
        assert_eq!(
            entry.with_remote_irr(true).with_low(LEVEL_ONLY).bits(),
            0xff00_0000_0000_c000
        );
    }

    #[test]
    fn edge_entry_never_has_remote_irr() {
        assert!(
            !Entry::RESET
                .with_low(LEVEL_ONLY)
                .with_remote_irr(true)
                .with_low(0)
                .remote_irr()
        );
        assert!(!Entry::from_bits(REMOTE_IRR).remote_irr());
    }

    const LEVEL_ONLY: u32 = 1 << 15;
}
