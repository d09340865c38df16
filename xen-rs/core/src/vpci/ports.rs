//! Configuration mechanism #1: the address port 0xcf8 and the data ports 0xcfc to 0xcff (PCI Local Bus 3.0, "Software Generation of
//! Configuration Transactions").

use super::sbdf::Sbdf;

/// The address port.
pub const ADDRESS_PORT: u16 = 0xcf8;
/// First data port.
pub const DATA_PORT: u16 = 0xcfc;

const ENABLE: u32 = 1 << 31;

/// The latch behind port 0xcf8. One per domain, as on a machine with one host bridge.
#[derive(Copy, Clone, Debug, Default)]
pub struct ConfigAddressPort {
    latched: u32,
}

impl ConfigAddressPort {
    /// A write to 0xcf8. Only dwords reach the latch; narrower ones belong to other devices (0xcf9 is the reset register) and give `false`.
    pub fn write(&mut self, size: u8, value: u32) -> bool {
        if size == 4 {
            self.latched = value;
        }
        size == 4
    }

    /// A read from 0xcf8; `None` if it is not a dword and so not for this port.
    #[must_use]
    pub fn read(&self, size: u8) -> Option<u32> {
        (size == 4).then_some(self.latched)
    }

    /// The register that an access to a data port means. `None` while the enable bit is clear, or if the access leaves the four ports.
    ///
    /// Bits 27:24, AMD's extended register number, are ignored: dom0 has ECAM for those registers.
    #[must_use]
    pub fn decode(&self, port: u16, size: u8) -> Option<(Sbdf, u16)> {
        let byte = port.checked_sub(DATA_PORT)?;
        let fits = matches!(size, 1 | 2 | 4) && byte + u16::from(size) <= 4;
        if !fits || self.latched & ENABLE == 0 {
            return None;
        }
        let sbdf = Sbdf((self.latched >> 8) & 0xffff);
        Some((sbdf, (self.latched & 0xfc) as u16 + byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latched(value: u32) -> ConfigAddressPort {
        let mut port = ConfigAddressPort::default();
        assert!(port.write(4, value));
        port
    }

    #[test]
    fn only_dwords_reach_the_latch() {
        let mut port = latched(0x8000_1234);
        assert!(!port.write(1, 0xff) && !port.write(2, 0xffff));
        assert_eq!(port.read(4), Some(0x8000_1234));
        assert_eq!(port.read(1), None);
    }

    #[test]
    fn data_port_selects_bytes_of_the_register() {
        let port = latched(0x8000_0000 | 3 << 16 | 5 << 11 | 2 << 8 | 0x43);
        assert_eq!(port.decode(0xcfc, 4), Some((Sbdf::new(0, 3, 5, 2), 0x40)));
        assert_eq!(port.decode(0xcfe, 2), Some((Sbdf::new(0, 3, 5, 2), 0x42)));
        assert_eq!(port.decode(0xcff, 1), Some((Sbdf::new(0, 3, 5, 2), 0x43)));
    }

    #[test]
    fn access_outside_the_data_ports_is_not_decoded() {
        let port = latched(0x8000_0000);
        assert_eq!(port.decode(0xcfd, 4), None);
        assert_eq!(port.decode(0xcff, 2), None);
        assert_eq!(port.decode(0xd00, 1), None);
        assert_eq!(port.decode(0xffff, 4), None);
        assert_eq!(port.decode(0xcf8, 4), None);
        assert_eq!(port.decode(0xcfc, 8), None);
    }

    #[test]
    fn clear_enable_bit_disables_the_data_ports() {
        assert_eq!(latched(0x7fff_ffff).decode(0xcfc, 4), None);
    }

    #[test]
    fn extended_register_bits_are_ignored() {
        assert_eq!(latched(0x8f00_0010).decode(0xcfc, 4), Some((Sbdf(0), 0x10)));
    }
}
