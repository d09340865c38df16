//! One CPUID result, and where the host's results come from.

use core::ops::Range;

/// `eax`, `ebx`, `ecx`, `edx` of one CPUID leaf or subleaf.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaf {
    /// `eax`.
    pub a: u32,
    /// `ebx`.
    pub b: u32,
    /// `ecx`.
    pub c: u32,
    /// `edx`.
    pub d: u32,
}

impl Leaf {
    /// All registers 0: what a leaf that does not exist returns.
    pub const EMPTY: Self = Self {
        a: 0,
        b: 0,
        c: 0,
        d: 0,
    };

    /// From `[eax, ebx, ecx, edx]`.
    #[must_use]
    pub const fn new([a, b, c, d]: [u32; 4]) -> Self {
        Self { a, b, c, d }
    }

    /// As `[eax, ebx, ecx, edx]`.
    #[must_use]
    pub const fn registers(self) -> [u32; 4] {
        [self.a, self.b, self.c, self.d]
    }
}

/// The CPUID instruction of the machine we run on.
pub trait HostCpuid {
    /// `[eax, ebx, ecx, edx]` of `leaf` with `ecx = subleaf`.
    fn leaf(&self, leaf: u32, subleaf: u32) -> [u32; 4];
}

/// The `bits` of `word` as a number.
pub(super) const fn field(word: u32, bits: Range<u32>) -> u32 {
    (word >> bits.start) & (u32::MAX >> (32 - (bits.end - bits.start)))
}

/// `word` with `bits` replaced by the low bits of `value`.
pub(super) const fn with_field(word: u32, bits: Range<u32>, value: u32) -> u32 {
    let mask = (u32::MAX >> (32 - (bits.end - bits.start))) << bits.start;
    (word & !mask) | ((value << bits.start) & mask)
}
