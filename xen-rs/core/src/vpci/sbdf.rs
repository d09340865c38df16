//! The name of a PCI function.

/// Segment, bus, device and function as Xen packs them: segment in bits 31:16, bus in 15:8, device in 7:3, function in 2:0.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sbdf(pub u32);

impl Sbdf {
    /// Packs the four parts; `device` keeps its low five bits and `function` its low three.
    #[must_use]
    pub const fn new(segment: u16, bus: u8, device: u8, function: u8) -> Self {
        let devfn = ((device & 0x1f) << 3) | (function & 7);
        Self((segment as u32) << 16 | (bus as u32) << 8 | devfn as u32)
    }

    /// PCI segment group.
    #[must_use]
    pub const fn segment(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Bus number.
    #[must_use]
    pub const fn bus(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Device number, 0 to 31.
    #[must_use]
    pub const fn device(self) -> u8 {
        (self.0 >> 3) as u8 & 0x1f
    }

    /// Function number, 0 to 7.
    #[must_use]
    pub const fn function(self) -> u8 {
        self.0 as u8 & 7
    }
}

impl core::fmt::Display for Sbdf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{:04x}:{:02x}:{:02x}.{}",
            self.segment(),
            self.bus(),
            self.device(),
            self.function()
        )
    }
}

impl core::fmt::Debug for Sbdf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn parts_survive_packing() {
        let at = Sbdf::new(0x1234, 0xab, 31, 7);
        assert_eq!(
            (at.segment(), at.bus(), at.device(), at.function()),
            (0x1234, 0xab, 31, 7)
        );
        assert_eq!(at.to_string(), "1234:ab:1f.7");
    }
}
