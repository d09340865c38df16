//! Operand width of an integer instruction.

/// 1, 2, 4 or 8 bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Byte,
    Word,
    Dword,
    Qword,
}

impl Width {
    /// Width of that many bytes, if it is one.
    pub(crate) const fn of_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }

    pub(crate) const fn bytes(self) -> usize {
        1 << self as usize
    }

    pub(crate) const fn bits(self) -> u32 {
        8 << self as u32
    }

    pub(crate) const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// The most significant bit alone.
    pub(crate) const fn sign(self) -> u64 {
        1 << (self.bits() - 1)
    }

    pub(crate) const fn truncate(self, value: u64) -> u64 {
        value & self.mask()
    }

    /// Copies the sign bit to all higher bits.
    pub(crate) const fn sign_extend(self, value: u64) -> u64 {
        let unused = 64 - self.bits();
        (((value << unused) as i64) >> unused) as u64
    }

    /// A register's new 64-bit value after a write of this width: 4 bytes clear the upper half, 1 and 2 bytes keep the rest
    /// (APM volume 1, "Zero-Extension of 32-Bit Results").
    pub(crate) const fn merge(self, old: u64, value: u64) -> u64 {
        match self {
            Self::Dword | Self::Qword => self.truncate(value),
            Self::Byte | Self::Word => old & !self.mask() | self.truncate(value),
        }
    }
}
