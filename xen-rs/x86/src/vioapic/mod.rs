//! Virtual IO-APIC: a pure state machine, one [`Vioapic`] per emulated IO-APIC.
//!
//! A hardware domain has one for each IO-APIC of the host, with its id, address, first GSI and pin count; an HVM guest has one with 48
//! pins. The model keeps the state of every input line and redirection entry, and returns messages ([`Delivery`]) for the adapter to
//! route to vLAPICs.
//!
//! Ownership: the adapter holds it under the domain's interrupt lock. No allocation, no hardware.
//!
//! Life of a level interrupt: [`Vioapic::set_line`] sends it and sets remote IRR; the guest's EOI reaches [`Vioapic::eoi`], which clears
//! remote IRR and names the pins; the adapter ends the host interrupt and drops or keeps the line of each; [`Vioapic::resample`] sends
//! again if it is still high.
//!
//! Semantics: Intel 82093AA datasheet, "IOAPIC Registers"; where guests could tell, Xen 4.20's vIOAPIC.
#![forbid(unsafe_code)]

mod entry;
mod pins;
mod record;
mod window;

pub use crate::vlapic::{Delivery, DeliveryMode, DestMode, Trigger};
pub use entry::{Entry, Polarity};
pub use pins::PinSet;
pub use record::{RECORD_BYTES, RECORD_PINS, RecordError};
pub use window::{PinChange, WriteEffects};

/// Most pins an IO-APIC can report: the version register counts 240.
pub const MAX_PINS: u8 = 240;

/// Which registers there are.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// 0x11: no EOI register. What Xen gives its guests.
    V11,
    /// 0x20: with an EOI register.
    V20,
}

/// What an IO-APIC is made as.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// APIC id, as in the MADT.
    pub id: u8,
    /// Guest physical address of the register window, 4 KiB.
    pub address: u64,
    /// Global system interrupt of pin 0.
    pub gsi_base: u32,
    /// Number of pins, 1 to [`MAX_PINS`].
    pub pins: u8,
    /// Register set.
    pub version: Version,
}

/// One virtual IO-APIC.
#[derive(Clone, Debug)]
pub struct Vioapic {
    config: Config,
    /// ID register: the guest may write it.
    id: u8,
    /// Register select. As in Xen it keeps all bits that were written, so that more than 120 pins can be reached.
    select: u32,
    entries: [Entry; MAX_PINS as usize],
    /// Asserted input lines.
    lines: PinSet,
}

impl Vioapic {
    /// An IO-APIC after reset: all pins masked, all lines low. `None` if the number of pins is not 1 to [`MAX_PINS`].
    #[must_use]
    pub const fn new(config: Config) -> Option<Self> {
        if config.pins == 0 || config.pins > MAX_PINS {
            return None;
        }
        Some(Self {
            config,
            id: config.id,
            select: 0,
            entries: [Entry::RESET; MAX_PINS as usize],
            lines: PinSet::EMPTY,
        })
    }

    /// What it was made as.
    #[must_use]
    pub const fn config(&self) -> Config {
        self.config
    }

    /// The pin of a global system interrupt, if it is one of this IO-APIC's.
    #[must_use]
    pub fn pin_of_gsi(&self, gsi: u32) -> Option<u8> {
        let pin = gsi.checked_sub(self.config.gsi_base)?;
        u8::try_from(pin).ok().filter(|&pin| pin < self.config.pins)
    }

    /// The global system interrupt of a pin.
    #[must_use]
    pub const fn gsi_of_pin(&self, pin: u8) -> u32 {
        self.config.gsi_base.wrapping_add(pin as u32)
    }

    /// Redirection entry of `pin`.
    #[must_use]
    pub fn entry(&self, pin: u8) -> Option<Entry> {
        if pin < self.config.pins {
            self.entries.get(usize::from(pin)).copied()
        } else {
            None
        }
    }

    /// Whether the input line of `pin` is asserted.
    #[must_use]
    pub const fn line(&self, pin: u8) -> bool {
        self.lines.contains(pin)
    }

    /// Sets the input line of `pin`, in terms of assertion, not voltage. The message to send, if that makes one: on the rising edge of
    /// an unmasked edge pin, or for an asserted, unmasked level pin whose last interrupt has ended. A rising edge at a masked pin is
    /// lost. Several devices that share a line are counted by the adapter.
    #[must_use]
    pub fn set_line(&mut self, pin: u8, asserted: bool) -> Option<Delivery> {
        let entry = self.entry(pin)?;
        let was_asserted = self.lines.set(pin, asserted);
        if entry.is_level() {
            self.resample(pin)
        } else if asserted && !was_asserted {
            self.deliver(pin)
        } else {
            None
        }
    }

    /// A complete pulse: the line rises if it was low, and is low afterwards.
    #[must_use]
    pub fn pulse(&mut self, pin: u8) -> Option<Delivery> {
        let delivery = self.set_line(pin, true);
        self.lines.set(pin, false);
        delivery
    }

    /// A vLAPIC's EOI of a level-triggered `vector`: the pins whose interrupt has ended by it. The adapter lets the host's interrupt end
    /// for each, updates its line, then calls [`Self::resample`].
    #[must_use]
    pub fn eoi(&mut self, vector: u8) -> PinSet {
        let mut ended = PinSet::EMPTY;
        for (entry, pin) in self.entries.iter_mut().zip(0..self.config.pins) {
            if entry.vector() == vector && entry.remote_irr() {
                *entry = entry.with_remote_irr(false);
                ended.set(pin, true);
            }
        }
        ended
    }

    /// Looks at the line of a level pin again; the message to send if it is still asserted, unmasked and not in service.
    #[must_use]
    pub fn resample(&mut self, pin: u8) -> Option<Delivery> {
        let entry = self.entry(pin)?;
        let due = entry.is_level() && !entry.remote_irr() && self.lines.contains(pin);
        if due { self.deliver(pin) } else { None }
    }

    /// Sends the interrupt of `pin` unless it is masked or of a kind that guests are not offered.
    fn deliver(&mut self, pin: u8) -> Option<Delivery> {
        let entry = self
            .entries
            .get_mut(usize::from(pin))
            .filter(|entry| !entry.is_masked())?;
        let delivery = entry.delivery()?;
        if delivery.trigger == Trigger::Level {
            *entry = entry.with_remote_irr(true);
        }
        Some(delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in super::super) const CONFIG: Config = Config {
        id: 9,
        address: 0xfec0_0000,
        gsi_base: 24,
        pins: 24,
        version: Version::V11,
    };
    pub(in super::super) const LEVEL: u32 = 1 << 15;
    pub(in super::super) const MASKED: u32 = 1 << 16;

    pub(in super::super) fn ioapic() -> Vioapic {
        Vioapic::new(CONFIG).expect("24 pins are allowed")
    }

    pub(in super::super) fn program(ioapic: &mut Vioapic, pin: u8, low: u32) -> WriteEffects {
        let _ = ioapic.write(0, 0x10 + 2 * u32::from(pin));
        ioapic.write(0x10, low)
    }

    #[test]
    fn pin_counts_are_checked() {
        for (pins, allowed) in [(0, false), (1, true), (240, true), (241, false)] {
            assert_eq!(Vioapic::new(Config { pins, ..CONFIG }).is_some(), allowed);
        }
    }

    #[test]
    fn gsis_map_to_pins_and_back() {
        let ioapic = ioapic();
        assert_eq!(
            [23, 24, 47, 48, u32::MAX].map(|gsi| ioapic.pin_of_gsi(gsi)),
            [None, Some(0), Some(23), None, None]
        );
        assert_eq!(ioapic.gsi_of_pin(23), 47);
    }

    #[test]
    fn edge_pin_sends_on_each_rising_edge_only() {
        let mut ioapic = ioapic();
        let _ = program(&mut ioapic, 3, 0x41);
        let sent = ioapic.set_line(3, true).expect("rising edge");
        assert_eq!((sent.vector, sent.trigger), (0x41, Trigger::Edge));
        assert_eq!(ioapic.set_line(3, true), None);
        assert_eq!(ioapic.set_line(3, false), None);
        assert!(ioapic.set_line(3, true).is_some());
        assert_eq!(ioapic.eoi(0x41), PinSet::EMPTY);
    }

    #[test]
    fn level_pin_waits_for_eoi_and_then_sends_again_while_asserted() {
        let mut ioapic = ioapic();
        let _ = program(&mut ioapic, 5, LEVEL | 0x51);
        assert_eq!(
            ioapic.set_line(5, true).map(|sent| sent.trigger),
            Some(Trigger::Level)
        );
        assert!(ioapic.entry(5).is_some_and(Entry::remote_irr));
        assert_eq!(ioapic.set_line(5, false), None);
        assert_eq!(ioapic.set_line(5, true), None);
        assert_eq!(ioapic.eoi(0x52), PinSet::EMPTY);
        assert!(ioapic.eoi(0x51).iter().eq([5]));
        assert!(ioapic.resample(5).is_some());
        assert!(ioapic.eoi(0x51).iter().eq([5]));
        assert_eq!(ioapic.set_line(5, false), None);
        assert_eq!(ioapic.resample(5), None);
        assert_eq!(ioapic.eoi(0x51), PinSet::EMPTY);
    }

    #[test]
    fn shared_vector_ends_on_all_its_pins() {
        let mut ioapic = ioapic();
        for pin in [1, 7, 23] {
            let _ = program(&mut ioapic, pin, LEVEL | 0x60);
            assert!(ioapic.set_line(pin, true).is_some());
        }
        assert!(ioapic.eoi(0x60).iter().eq([1, 7, 23]));
    }

    #[test]
    fn masked_pin_sends_nothing() {
        let mut ioapic = ioapic();
        let _ = program(&mut ioapic, 2, MASKED | 0x41);
        assert_eq!(ioapic.pulse(2), None);
        let _ = program(&mut ioapic, 4, LEVEL | MASKED | 0x42);
        assert_eq!(ioapic.set_line(4, true), None);
        assert!(ioapic.entry(4).is_some_and(|entry| !entry.remote_irr()));
    }

    #[test]
    fn pulse_can_be_repeated() {
        let mut ioapic = ioapic();
        let _ = program(&mut ioapic, 2, 0x41);
        assert!(ioapic.pulse(2).is_some());
        assert!(ioapic.pulse(2).is_some());
        assert!(!ioapic.line(2));
    }

    #[test]
    fn pins_that_do_not_exist_do_nothing() {
        let mut ioapic = ioapic();
        for pin in [24, 239, 240, 255] {
            assert_eq!(ioapic.set_line(pin, true), None);
            assert_eq!(ioapic.pulse(pin), None);
            assert_eq!(ioapic.resample(pin), None);
            assert_eq!(ioapic.entry(pin), None);
            assert!(!ioapic.line(pin));
        }
    }

    #[test]
    fn nmi_is_an_edge_and_unoffered_modes_are_not_sent() {
        let mut ioapic = ioapic();
        let _ = program(&mut ioapic, 1, LEVEL | 4 << 8);
        assert_eq!(
            ioapic
                .set_line(1, true)
                .map(|sent| (sent.delivery_mode, sent.trigger)),
            Some((DeliveryMode::Nmi, Trigger::Edge))
        );
        assert_eq!(ioapic.set_line(1, true), None);
        assert_eq!(program(&mut ioapic, 1, LEVEL | 4 << 8).delivery, None);
        for mode in [2, 3, 5, 6, 7] {
            let _ = program(&mut ioapic, 2, mode << 8 | 0x41);
            assert_eq!(ioapic.pulse(2), None);
        }
    }
}
