//! Layouts of 32-bit guests where they differ from the 64-bit ones: handles, frame numbers and `long` are 32 bits, and 64-bit integers are
//! aligned to 4 bytes. What is not here is the same for both.

pub mod grant_table;
pub mod hvm;
pub mod memory;
pub mod physdev;
pub mod sched;
pub mod vcpu;
pub mod version;
pub mod xen;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A 64-bit integer aligned to 4 bytes, as in 32-bit structures.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct U64 {
    low: u32,
    high: u32,
}

impl U64 {
    /// The value.
    pub const fn get(self) -> u64 {
        (self.high as u64) << 32 | self.low as u64
    }
}

impl From<u64> for U64 {
    fn from(value: u64) -> Self {
        Self {
            low: value as u32,
            high: (value >> 32) as u32,
        }
    }
}

impl From<U64> for u64 {
    fn from(value: U64) -> Self {
        value.get()
    }
}

#[cfg(test)]
mod tests {
    use super::U64;
    use zerocopy::IntoBytes;

    #[test]
    fn halves_are_stored_low_first() {
        let value = U64::from(0x1122_3344_5566_7788);
        assert_eq!(value.as_bytes(), &0x1122_3344_5566_7788_u64.to_le_bytes());
        assert_eq!(u64::from(value), 0x1122_3344_5566_7788);
    }
}
