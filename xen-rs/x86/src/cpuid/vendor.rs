//! Who made the processor.

use super::leaf::Leaf;

/// Processor vendor, from the signature in CPUID leaf 0.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// `GenuineIntel`.
    Intel,
    /// `AuthenticAMD`.
    Amd,
    /// `HygonGenuine`: AMD's Zen under another name.
    Hygon,
    /// Any other.
    Unknown,
}

impl Vendor {
    /// The vendor that `leaf` (leaf 0) names.
    #[must_use]
    pub fn of(leaf: &Leaf) -> Self {
        let mut signature = [0; 12];
        for (bytes, word) in signature.chunks_exact_mut(4).zip([leaf.b, leaf.d, leaf.c]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        match &signature {
            b"GenuineIntel" => Self::Intel,
            b"AuthenticAMD" => Self::Amd,
            b"HygonGenuine" => Self::Hygon,
            _ => Self::Unknown,
        }
    }

    /// Whether the AMD manuals describe it.
    #[must_use]
    pub const fn is_amd_like(self) -> bool {
        matches!(self, Self::Amd | Self::Hygon)
    }
}
