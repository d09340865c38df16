//! Register access: an index register and a data window, and in version 0x20 an EOI register. Intel 82093AA datasheet, "Memory Mapped
//! Registers".
//!
//! As in Xen, the low byte of the address selects the register and the width of the access does not matter.

use super::{Delivery, Entry, Version, Vioapic};

/// Offsets in the memory window.
mod offset {
    pub const SELECT: u8 = 0x00;
    pub const WINDOW: u8 = 0x10;
    pub const EOI: u8 = 0x40;
}

/// Indices behind the window.
mod index {
    pub const ID: u32 = 0;
    pub const VERSION: u32 = 1;
    pub const ARBITRATION: u32 = 2;
    pub const REDIRECTION: u32 = 0x10;
}

/// A redirection entry that was programmed anew.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PinChange {
    /// The pin.
    pub pin: u8,
    /// Before the write.
    pub before: Entry,
    /// After it.
    pub after: Entry,
}

impl PinChange {
    /// The pin was masked and no longer is: bind the real interrupt, with the trigger and polarity of `after`.
    #[must_use]
    pub const fn is_unmasked(&self) -> bool {
        self.before.is_masked() && !self.after.is_masked()
    }

    /// The pin was unmasked and no longer is.
    #[must_use]
    pub const fn is_masked(&self) -> bool {
        !self.before.is_masked() && self.after.is_masked()
    }
}

/// What the adapter must do after a write.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct WriteEffects {
    /// This entry differs from before.
    pub changed: Option<PinChange>,
    /// The guest ended the interrupt of this pin by making it edge triggered: treat it as after [`Vioapic::eoi`].
    pub ended: Option<u8>,
    /// Send this: the pin's line is asserted and nothing holds it back any more.
    pub delivery: Option<Delivery>,
    /// Write of the EOI register: call [`Vioapic::eoi`] with this vector, on this IO-APIC only.
    pub eoi: Option<u8>,
}

impl Vioapic {
    /// Read at `offset` in the register window; 0 where there is no register.
    #[must_use]
    pub const fn read(&self, offset: u16) -> u32 {
        match offset as u8 {
            offset::SELECT => self.select,
            offset::WINDOW => self.read_selected(),
            _ => 0,
        }
    }

    /// Write at `offset` in the register window; ignored where there is no register.
    pub fn write(&mut self, offset: u16, value: u32) -> WriteEffects {
        match offset as u8 {
            offset::SELECT => self.select = value,
            offset::WINDOW => return self.write_selected(value),
            offset::EOI if self.config.version == Version::V20 => {
                return WriteEffects {
                    eoi: Some(value as u8),
                    ..WriteEffects::default()
                };
            }
            _ => {}
        }
        WriteEffects::default()
    }

    const fn read_selected(&self) -> u32 {
        match self.select {
            index::ID | index::ARBITRATION => (self.id as u32) << 24,
            index::VERSION => self.version_register(),
            _ => match self.selected_pin() {
                Some(pin) if self.select & 1 != 0 => {
                    (self.entries[pin as usize].bits() >> 32) as u32
                }
                Some(pin) => self.entries[pin as usize].bits() as u32,
                None => 0,
            },
        }
    }

    fn write_selected(&mut self, value: u32) -> WriteEffects {
        if self.select == index::ID {
            self.id = (value >> 24) as u8;
        }
        let Some(pin) = self.selected_pin() else {
            return WriteEffects::default();
        };
        let before = self.entries[usize::from(pin)];
        let after = if self.select & 1 != 0 {
            before.with_high(value)
        } else {
            before.with_low(value)
        };
        self.entries[usize::from(pin)] = after;
        WriteEffects {
            changed: after.differs_as_programmed(before).then_some(PinChange {
                pin,
                before,
                after,
            }),
            ended: (before.remote_irr() && !after.remote_irr()).then_some(pin),
            delivery: self.resample(pin),
            eoi: None,
        }
    }

    const fn version_register(&self) -> u32 {
        let version = match self.config.version {
            Version::V11 => 0x11,
            Version::V20 => 0x20,
        };
        // There is at least one pin.
        version | (self.config.pins as u32).saturating_sub(1) << 16
    }

    /// The pin, below the number of pins, whose entry is selected.
    const fn selected_pin(&self) -> Option<u8> {
        match self.select.checked_sub(index::REDIRECTION) {
            Some(half) if half / 2 < self.config.pins as u32 => Some((half / 2) as u8),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CONFIG, LEVEL, MASKED, ioapic, program};
    use super::super::{Config, MAX_PINS, PinSet, Trigger};
    use super::*;

    fn read_index(ioapic: &mut Vioapic, index: u32) -> u32 {
        let _ = ioapic.write(0, index);
        ioapic.read(0x10)
    }

    #[test]
    fn identification_registers() {
        let mut ioapic = ioapic();
        assert_eq!(read_index(&mut ioapic, 0), 9 << 24);
        assert_eq!(read_index(&mut ioapic, 1), 23 << 16 | 0x11);
        assert_eq!(read_index(&mut ioapic, 2), 9 << 24);
        let _ = ioapic.write(0, 0);
        let _ = ioapic.write(0x10, 0x0b00_0000);
        assert_eq!(read_index(&mut ioapic, 0), 0x0b00_0000);
    }

    #[test]
    fn version_register_is_read_only() {
        let mut ioapic = ioapic();
        let _ = ioapic.write(0, 1);
        let _ = ioapic.write(0x10, u32::MAX);
        assert_eq!(ioapic.read(0x10), 23 << 16 | 0x11);
    }

    #[test]
    fn unmasking_and_masking_are_reported_with_the_entry() {
        let mut ioapic = ioapic();
        let change = program(&mut ioapic, 6, LEVEL | 0x41)
            .changed
            .expect("unmasked");
        assert!(change.is_unmasked() && !change.is_masked());
        assert_eq!(
            (change.pin, change.after.vector(), change.after.trigger()),
            (6, 0x41, Trigger::Level)
        );
        assert!(
            program(&mut ioapic, 6, LEVEL | MASKED | 0x41)
                .changed
                .is_some_and(|change| change.is_masked())
        );
        assert_eq!(
            program(&mut ioapic, 6, LEVEL | MASKED | 0x41),
            WriteEffects::default()
        );
    }

    #[test]
    fn unmasking_an_asserted_level_pin_sends_it() {
        let mut ioapic = ioapic();
        let _ = program(&mut ioapic, 6, LEVEL | MASKED | 0x41);
        assert_eq!(ioapic.set_line(6, true), None);
        assert_eq!(
            program(&mut ioapic, 6, LEVEL | 0x41)
                .delivery
                .map(|sent| sent.vector),
            Some(0x41)
        );
        assert_eq!(program(&mut ioapic, 6, LEVEL | 0x41).delivery, None);
    }

    #[test]
    fn unmasking_an_asserted_edge_pin_sends_nothing() {
        let mut ioapic = ioapic();
        assert_eq!(ioapic.set_line(6, true), None);
        assert_eq!(program(&mut ioapic, 6, 0x41).delivery, None);
    }

    #[test]
    fn remote_irr_survives_masking_and_ends_by_edge_mode() {
        let mut ioapic = ioapic();
        let _ = program(&mut ioapic, 6, LEVEL | 0x41);
        assert!(ioapic.set_line(6, true).is_some());
        assert_eq!(program(&mut ioapic, 6, LEVEL | MASKED | 0x41).ended, None);
        assert!(ioapic.entry(6).is_some_and(Entry::remote_irr));
        assert_eq!(program(&mut ioapic, 6, MASKED | 0x41).ended, Some(6));
        assert!(program(&mut ioapic, 6, LEVEL | 0x41).delivery.is_some());
    }

    #[test]
    fn destination_is_in_the_high_half() {
        let mut ioapic = ioapic();
        let _ = program(&mut ioapic, 0, 0x41);
        let _ = ioapic.write(0, 0x11);
        let effects = ioapic.write(0x10, 0x0500_0000);
        assert!(
            effects
                .changed
                .is_some_and(|change| change.after.dest() == 5 && !change.is_unmasked())
        );
        assert_eq!(ioapic.pulse(0).map(|sent| sent.dest), Some(5));
        assert_eq!(read_index(&mut ioapic, 0x11), 0x0500_0000);
    }

    #[test]
    fn eoi_register_exists_only_in_version_20() {
        assert_eq!(ioapic().write(0x40, 0x41), WriteEffects::default());
        let mut ioapic = Vioapic::new(Config {
            version: Version::V20,
            ..CONFIG
        })
        .expect("24 pins");
        assert_eq!(ioapic.write(0x40, 0x41).eoi, Some(0x41));
    }

    #[test]
    fn last_of_240_pins_can_be_programmed() {
        let mut ioapic = Vioapic::new(Config {
            pins: MAX_PINS,
            ..CONFIG
        })
        .expect("240 pins");
        let _ = program(&mut ioapic, 239, LEVEL | 0x41);
        assert!(ioapic.set_line(239, true).is_some());
        assert!(ioapic.eoi(0x41).iter().eq([239]));
        let _ = ioapic.write(0, 0x10 + 480);
        assert_eq!(ioapic.write(0x10, 0), WriteEffects::default());
    }

    #[test]
    fn any_sequence_of_writes_keeps_the_invariants() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for pins in [1, 24, MAX_PINS] {
            let mut ioapic = Vioapic::new(Config {
                pins,
                version: Version::V20,
                ..CONFIG
            })
            .expect("allowed");
            for _ in 0..20_000 {
                let value = random() as u32;
                let _ = match random() % 4 {
                    0 => ioapic.write(0, value % 600),
                    1 => ioapic.write(0x10, value),
                    _ => ioapic.write(random() as u16, value),
                };
                let _ = ioapic.read(random() as u16);
                let _ = ioapic.set_line(random() as u8, random() % 2 == 0);
                let ended: PinSet = ioapic.eoi(random() as u8);
                assert!(ended.iter().all(|pin| pin < pins));
                let remote_irr_on_edge =
                    |entry: &Entry| entry.remote_irr() && entry.trigger() == Trigger::Edge;
                assert!(!ioapic.entries.iter().any(remote_irr_on_edge));
            }
        }
    }
}
