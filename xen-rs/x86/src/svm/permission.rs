//! I/O and MSR permission maps (AMD APM volume 2, "IOIO Intercept" and "MSR Intercepts"): a set bit intercepts.

use alloc::boxed::Box;

/// 64 Ki ports, one bit each, and a page that catches accesses across the end.
#[repr(C, align(4096))]
pub struct PortMap([u8; 12288]);

impl PortMap {
    /// Everything is intercepted.
    #[must_use]
    pub fn closed() -> Box<Self> {
        Box::new(Self([0xff; 12288]))
    }

    /// Opens or closes a range of ports.
    pub fn set(&mut self, first: u16, count: u32, open: bool) {
        for port in (u32::from(first)..u32::from(first) + count).take_while(|&p| p < 0x1_0000) {
            let (byte, bit) = (port as usize / 8, 1 << (port % 8));
            self.0[byte] = if open {
                self.0[byte] & !bit
            } else {
                self.0[byte] | bit
            };
        }
    }

    /// Whether the guest reaches all ports of a range directly. There are none beyond 64 Ki.
    #[must_use]
    pub fn all_open(&self, first: u32, count: u32) -> bool {
        first.checked_add(count).is_some_and(|end| {
            (first..end).all(|port| u16::try_from(port).is_ok_and(|port| self.is_open(port)))
        })
    }

    /// Whether the guest reaches the port directly.
    #[must_use]
    pub fn is_open(&self, port: u16) -> bool {
        self.0[usize::from(port) / 8] & 1 << (port % 8) == 0
    }
}

/// Two bits (read, write) for three ranges of MSRs.
#[repr(C, align(4096))]
pub struct MsrMap([u8; 8192]);

impl MsrMap {
    /// Everything is intercepted.
    #[must_use]
    pub fn closed() -> Box<Self> {
        Box::new(Self([0xff; 8192]))
    }

    /// Lets the guest read and write an MSR that VMLOAD, VMSAVE or VMRUN switch.
    pub fn open(&mut self, msr: u32) {
        let base = match msr {
            0..0x2000 => 0,
            0xc000_0000..0xc000_2000 => 0x800,
            0xc001_0000..0xc001_2000 => 0x1000,
            _ => return,
        };
        let bit = (msr as usize & 0x1fff) * 2;
        self.0[base + bit / 8] &= !(3 << (bit % 8));
    }

    /// Whether the guest reaches the MSR directly.
    #[must_use]
    pub fn is_open(&self, msr: u32) -> bool {
        let base = match msr {
            0..0x2000 => 0,
            0xc000_0000..0xc000_2000 => 0x800,
            0xc001_0000..0xc001_2000 => 0x1000,
            _ => return false,
        };
        let bit = (msr as usize & 0x1fff) * 2;
        self.0[base + bit / 8] & 3 << (bit % 8) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_opened_ports_are_open() {
        let mut map = PortMap::closed();
        map.set(0xcf8, 8, true);
        map.set(0xcfc, 4, false);
        assert!(
            map.is_open(0xcf8) && map.is_open(0xcfb) && !map.is_open(0xcfc) && !map.is_open(0xcf7)
        );
        map.set(0xffff, 4, true);
        assert!(map.is_open(0xffff));
    }

    #[test]
    fn range_is_open_if_every_port_of_it_is_and_exists() {
        let mut map = PortMap::closed();
        map.set(0, 0x1_0000, true);
        map.set(0xcf8, 8, false);
        assert!(map.all_open(0xcf0, 8) && map.all_open(0xd00, 0xf300) && map.all_open(0, 0));
        for (first, count) in [
            (0xcf0, 9),
            (0xcff, 1),
            (0xd00, 0xf301),
            (0x1_0000, 1),
            (u32::MAX, 2),
        ] {
            assert!(!map.all_open(first, count), "{first:#x}, {count:#x}");
        }
    }

    #[test]
    fn only_opened_msrs_are_open() {
        let mut map = MsrMap::closed();
        map.open(0xc000_0100);
        assert!(
            map.is_open(0xc000_0100)
                && !map.is_open(0xc000_0101)
                && !map.is_open(0x100)
                && !map.is_open(0x4000_0000)
        );
    }
}
