//! The MSI capability: dom0 programs a message of its own choice, the device gets one that reaches a host vector.
//! (PCI Local Bus 3.0, "MSI Capability Structure".)
//!
//! One vector is offered, whatever the device has. The mask and pending registers are the device's own.

use xen_abi::errno::Errno;

use super::lanes::Lanes;
use super::sbdf::Sbdf;
use super::seam::{ConfigSpace, MsiMessage, Note, Platform};

/// Bits of the capability's first dword (message control is its upper half).
const ENABLE: u32 = 1 << 16;
const WIDE: u32 = 1 << 23;
const MASKABLE: u32 = 1 << 24;
/// Enable, multiple message capable, multiple message enable, extended message data capable and enable: the model's own. All but the
/// enable bit read as zero.
const OWN: u32 = ENABLE | 0x7 << 17 | 0x7 << 20 | 0x3 << 25;
const ENTRY: u16 = 0;

/// One function's MSI capability.
#[derive(Debug)]
pub struct Msi {
    sbdf: Sbdf,
    reg: u16,
    wide: bool,
    guest: MsiMessage,
    /// The message in the device, while a host vector is bound, which is while dom0 has MSI enabled.
    host: Option<MsiMessage>,
}

impl Msi {
    /// Takes over the capability at `reg`; if firmware left it enabled it is switched off. `None` if it does not fit into the first
    /// 256 bytes: then it is no MSI capability.
    pub(super) fn probe(sbdf: Sbdf, reg: u16, hw: &dyn ConfigSpace) -> Option<Self> {
        let control = hw.read(sbdf, reg, 4);
        let wide = control & WIDE != 0;
        let bytes = 10 + if wide { 4 } else { 0 } + if control & MASKABLE != 0 { 10 } else { 0 };
        if reg + bytes > 0x100 {
            return None;
        }
        if control & ENABLE != 0 {
            hw.write(sbdf, reg + 2, 2, (control & !OWN) >> 16);
        }
        Some(Self {
            sbdf,
            reg,
            wide,
            guest: MsiMessage::default(),
            host: None,
        })
    }

    /// Whether dom0 has MSI enabled and a host vector is bound.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.host.is_some()
    }

    /// Value and mask of the bits which the model supplies for a dword; `None` if it is all the hardware's.
    pub(super) fn overlay(&self, dword: u16) -> Option<(u32, u32)> {
        match self.register(dword)? {
            Register::Control => Some((if self.is_enabled() { ENABLE } else { 0 }, OWN)),
            Register::AddressLow => Some((self.guest.address as u32, u32::MAX)),
            Register::AddressHigh => Some(((self.guest.address >> 32) as u32, u32::MAX)),
            Register::Data => Some((self.guest.data, u32::MAX)),
        }
    }

    /// Carries out a write; `false` if the dword is not the model's.
    pub(super) fn write(&mut self, at: Lanes, value: u32, platform: &mut Platform<'_>) -> bool {
        let Some(register) = self.register(at.dword()) else {
            return false;
        };
        let address = self.guest.address;
        match register {
            Register::Control => self.write_control(at, value, platform),
            Register::AddressLow => {
                self.guest.address =
                    (address >> 32 << 32) | u64::from(at.merge(address as u32, value) & !3);
            }
            Register::AddressHigh => {
                self.guest.address = u64::from(at.merge((address >> 32) as u32, value)) << 32
                    | u64::from(address as u32);
            }
            Register::Data => self.guest.data = at.merge(self.guest.data, value) & 0xffff,
        }
        if register != Register::Control && self.is_enabled() {
            self.retarget(platform);
        }
        true
    }

    /// Gives the host vector back. The device is gone or about to be.
    pub(super) fn release(&mut self, platform: &mut Platform<'_>) {
        if self.host.take().is_some() {
            platform.effects.disable_msi(self.sbdf, ENTRY);
        }
    }

    fn register(&self, dword: u16) -> Option<Register> {
        match (dword.checked_sub(self.reg)?, self.wide) {
            (0, _) => Some(Register::Control),
            (4, _) => Some(Register::AddressLow),
            (8, true) => Some(Register::AddressHigh),
            (8, false) | (12, true) => Some(Register::Data),
            _ => None,
        }
    }

    fn write_control(&mut self, at: Lanes, value: u32, platform: &mut Platform<'_>) {
        if at.mask() & ENABLE != 0 {
            match at.place(value) & ENABLE != 0 {
                true => self.enable(platform),
                false => self.disable(platform),
            }
        }
    }

    fn enable(&mut self, platform: &mut Platform<'_>) {
        let lost = platform.hw.read(self.sbdf, self.reg + 2, 2) & (ENABLE >> 16) == 0;
        if self.is_enabled() && !lost {
            return;
        }
        let bound = match self.host {
            // Enabled here but not in the device: it was reset behind our back and has forgotten the message.
            Some(_) => platform.effects.update_msi(self.sbdf, ENTRY, self.guest),
            None => platform.effects.enable_msi(self.sbdf, ENTRY, self.guest),
        };
        match bound.and_then(|message| self.program(message, platform)) {
            Ok(()) => self.write_enable(true, platform),
            Err(error) => self.refuse(error, platform),
        }
    }

    /// Writes the device's message and records it, also on an error, so that the vector is known to be bound.
    fn program(&mut self, message: MsiMessage, platform: &mut Platform<'_>) -> Result<(), Errno> {
        self.host = Some(message);
        if !self.wide && message.address >> 32 != 0 {
            return Err(Errno::ERANGE);
        }
        platform
            .hw
            .write(self.sbdf, self.reg + 4, 4, message.address as u32);
        if self.wide {
            platform
                .hw
                .write(self.sbdf, self.reg + 8, 4, (message.address >> 32) as u32);
        }
        let data = self.reg + if self.wide { 12 } else { 8 };
        platform.hw.write(self.sbdf, data, 2, message.data);
        Ok(())
    }

    /// dom0 changed its message while MSI is enabled. An update leads to at most one change of the device.
    fn retarget(&mut self, platform: &mut Platform<'_>) {
        let result = match platform.effects.update_msi(self.sbdf, ENTRY, self.guest) {
            Ok(message) if self.host == Some(message) => Ok(()),
            Ok(message) => self.program(message, platform),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            self.refuse(error, platform);
        }
    }

    /// dom0 finds the enable bit clear and so learns that there is no vector.
    fn refuse(&mut self, error: Errno, platform: &mut Platform<'_>) {
        platform.effects.note(
            self.sbdf,
            Note::MsiRefused {
                entry: ENTRY,
                error,
            },
        );
        self.disable(platform);
    }

    fn disable(&mut self, platform: &mut Platform<'_>) {
        self.write_enable(false, platform);
        self.release(platform);
    }

    fn write_enable(&self, enable: bool, platform: &mut Platform<'_>) {
        let control =
            (platform.hw.read(self.sbdf, self.reg, 4) & !OWN) | if enable { ENABLE } else { 0 };
        platform.hw.write(self.sbdf, self.reg + 2, 2, control >> 16);
    }
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Register {
    Control,
    AddressLow,
    AddressHigh,
    Data,
}

#[cfg(test)]
mod tests {
    use super::super::MsiMessage;
    use super::super::fake::{Bench, FakeFunction, HERE, host_message};
    use super::super::{ConfigSpace, Note};

    const GUEST: MsiMessage = MsiMessage {
        address: 0xfee0_1000,
        data: 0x4041,
    };

    fn bench() -> Bench {
        let mut function = FakeFunction::endpoint();
        function.capabilities(&[(0x50, 0x05)]).msi(0x50);
        Bench::with(function)
    }

    fn enabled() -> Bench {
        let mut bench = bench();
        bench.write(0x54, 4, GUEST.address as u32);
        bench.write(0x58, 4, 0);
        bench.write(0x5c, 2, GUEST.data);
        bench.write(0x52, 2, 0x0181);
        bench
    }

    fn hardware_message(bench: &Bench) -> MsiMessage {
        let low = bench.hw.read(HERE, 0x54, 4);
        let high = bench.hw.read(HERE, 0x58, 4);
        MsiMessage {
            address: u64::from(high) << 32 | u64::from(low),
            data: bench.hw.read(HERE, 0x5c, 2),
        }
    }

    #[test]
    fn enabling_programs_the_host_message_and_shows_the_guests() {
        let mut bench = enabled();
        assert_eq!(bench.effects.bound[&(HERE, 0)], GUEST);
        assert_eq!(hardware_message(&bench), host_message(GUEST));
        assert_eq!(bench.hw.read(HERE, 0x52, 2) & 0x71, 1);
        assert_eq!(bench.read(0x54, 4), 0xfee0_1000);
        assert_eq!(bench.read(0x5c, 2), 0x4041);
        assert_eq!(bench.read(0x52, 2), 0x0181);
    }

    #[test]
    fn one_message_is_offered() {
        let mut bench = bench();
        assert_eq!(bench.read(0x50, 4), 0x0180_0005);
        bench.write(0x52, 2, 0x0031);
        assert_eq!(bench.read(0x52, 2), 0x0181);
        assert_eq!(bench.hw.read(HERE, 0x52, 2) & 0x70, 0);
    }

    #[test]
    fn bytes_of_the_message_are_merged() {
        let mut bench = bench();
        bench.write(0x54, 4, 0xfee0_1003);
        bench.write(0x55, 2, 0xe020);
        assert_eq!(bench.read(0x54, 4), 0xfee0_2000);
        bench.write(0x5a, 4, 0x0031_0000);
        assert_eq!((bench.read(0x5c, 4), bench.read(0x58, 4)), (0x31, 0));
    }

    #[test]
    fn disabling_gives_the_vector_back() {
        let mut bench = enabled();
        bench.write(0x52, 1, 0x80);
        assert!(bench.effects.bound.is_empty());
        assert_eq!(bench.hw.read(HERE, 0x52, 2) & 1, 0);
        assert_eq!(bench.read(0x52, 2) & 1, 0);
    }

    #[test]
    fn change_while_enabled_is_followed() {
        let mut bench = enabled();
        bench.write(0x54, 4, 0xfee0_3000);
        let guest = MsiMessage {
            address: 0xfee0_3000,
            ..GUEST
        };
        assert_eq!(bench.effects.bound[&(HERE, 0)], guest);
        assert_eq!(hardware_message(&bench), host_message(guest));
    }

    #[test]
    fn enabling_twice_binds_once() {
        let mut bench = enabled();
        bench.write(0x52, 2, 1);
        assert_eq!((bench.effects.bound.len(), bench.effects.updates), (1, 0));
    }

    #[test]
    fn upper_byte_of_control_alone_changes_nothing() {
        let mut bench = enabled();
        bench.write(0x53, 1, 0);
        assert!(
            bench
                .vpci
                .device(HERE)
                .and_then(|device| device.msi())
                .is_some_and(|msi| msi.is_enabled())
        );
    }

    #[test]
    fn mask_and_pending_are_the_devices() {
        let mut bench = enabled();
        bench.write(0x60, 4, 1);
        assert_eq!(bench.hw.read(HERE, 0x60, 4), 1);
        assert_eq!(bench.read(0x60, 4), 1);
    }

    #[test]
    fn without_a_vector_the_enable_bit_stays_clear() {
        let mut bench = bench();
        bench.effects.vectors_left = Some(0);
        bench.write(0x52, 2, 1);
        assert_eq!(bench.read(0x52, 2) & 1, 0);
        assert_eq!(bench.hw.read(HERE, 0x52, 2) & 1, 0);
        assert!(matches!(
            bench.effects.notes[..],
            [Note::MsiRefused { entry: 0, .. }]
        ));
    }

    #[test]
    fn reset_device_is_programmed_again() {
        let mut bench = enabled();
        bench.hw.reset(HERE);
        bench.write(0x52, 2, 0x0181);
        assert_eq!(hardware_message(&bench), host_message(GUEST));
        assert_eq!(bench.hw.read(HERE, 0x52, 2) & 1, 1);
    }

    #[test]
    fn msi_left_on_by_firmware_is_switched_off() {
        let mut function = FakeFunction::endpoint();
        function
            .capabilities(&[(0x50, 0x05)])
            .set(0x50, 0x0001_0005, 0x0001_0000);
        let mut bench = Bench::with(function);
        assert_eq!(bench.hw.read(HERE, 0x52, 2), 0);
        assert_eq!(bench.read(0x52, 2), 0);
    }

    #[test]
    fn narrow_capability_has_data_after_the_low_address() {
        let mut function = FakeFunction::endpoint();
        function
            .capabilities(&[(0x50, 0x05)])
            .set(0x50, 0x0000_0005, 0x0001_0000);
        function
            .set(0x54, 0, !3)
            .set(0x58, 0, 0xffff)
            .set(0x5c, 0, u32::MAX);
        let mut bench = Bench::with(function);
        bench.write(0x54, 4, 0xfee0_1000);
        bench.write(0x58, 2, 0x31);
        bench.write(0x5c, 4, 0x1234_5678);
        bench.write(0x52, 2, 1);
        assert_eq!(bench.hw.read(HERE, 0x58, 2), 0x31 ^ 0x80);
        assert_eq!(
            (bench.read(0x58, 2), bench.read(0x5c, 4)),
            (0x31, 0x1234_5678)
        );
    }

    #[test]
    fn removed_device_gives_its_vector_back() {
        let mut bench = enabled();
        assert!(
            bench
                .vpci
                .remove_device(HERE, &bench.hw, &mut bench.effects)
        );
        assert!(bench.effects.bound.is_empty());
    }
}
