//! Enhanced configuration access: configuration space as memory (PCI Express Base 5.0, "PCI Express Enhanced Configuration Access
//! Mechanism (ECAM)"). Windows come from the firmware's MCFG table and from `PHYSDEVOP_pci_mmcfg_reserved`.

use super::sbdf::Sbdf;
use crate::ids::Gpa;

/// Bytes of ECAM per bus.
pub const BUS_BYTES: u64 = 1 << 20;

/// One window. `base` is the address of bus 0, as MCFG gives it, even where `start_bus` is not 0.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct EcamWindow {
    /// Address that bus 0 of the segment has or would have.
    pub base: Gpa,
    /// PCI segment group.
    pub segment: u16,
    /// First bus decoded.
    pub start_bus: u8,
    /// Last bus decoded.
    pub end_bus: u8,
}

impl EcamWindow {
    /// The register behind an address; `None` if the window does not decode it.
    #[must_use]
    pub fn decode(&self, at: Gpa) -> Option<(Sbdf, u16)> {
        let offset = at.0.checked_sub(self.base.0)?;
        let bus = u8::try_from(offset / BUS_BYTES).ok()?;
        if !(self.start_bus..=self.end_bus).contains(&bus) {
            return None;
        }
        let bdf = ((offset >> 12) & 0xffff) as u32;
        Some((
            Sbdf(u32::from(self.segment) << 16 | bdf),
            (offset & 0xfff) as u16,
        ))
    }

    /// The addresses that must trap: first byte and length. `None` if the firmware's numbers make no sense.
    #[must_use]
    pub fn range(&self) -> Option<(Gpa, u64)> {
        let buses = u64::from(self.end_bus.checked_sub(self.start_bus)?) + 1;
        let first = self
            .base
            .0
            .checked_add(u64::from(self.start_bus) * BUS_BYTES)?;
        first.checked_add(buses * BUS_BYTES)?;
        Some((Gpa(first), buses * BUS_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: EcamWindow = EcamWindow {
        base: Gpa(0xe000_0000),
        segment: 2,
        start_bus: 4,
        end_bus: 5,
    };

    #[test]
    fn address_names_function_and_register() {
        let at = Gpa(0xe000_0000 + (5 << 20) + (3 << 15) + (1 << 12) + 0x104);
        assert_eq!(WINDOW.decode(at), Some((Sbdf::new(2, 5, 3, 1), 0x104)));
    }

    #[test]
    fn buses_outside_the_window_are_not_decoded() {
        assert_eq!(WINDOW.decode(Gpa(0xe03f_ffff)), None);
        assert_eq!(WINDOW.decode(Gpa(0xe060_0000)), None);
        assert_eq!(WINDOW.decode(Gpa(0xdfff_ffff)), None);
        assert_eq!(WINDOW.decode(Gpa(u64::MAX)), None);
        assert_eq!(WINDOW.range(), Some((Gpa(0xe040_0000), 2 << 20)));
    }

    #[test]
    fn nonsense_window_has_no_range() {
        assert_eq!(
            EcamWindow {
                start_bus: 6,
                ..WINDOW
            }
            .range(),
            None
        );
        assert_eq!(
            EcamWindow {
                base: Gpa(u64::MAX - 5),
                ..WINDOW
            }
            .range(),
            None
        );
    }
}
