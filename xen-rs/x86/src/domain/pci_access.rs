//! The machine's PCI configuration space, by CF8 or the memory-mapped window, and device registers of MSI-X tables.

use alloc::vec::Vec;

use xen_core::ids::Maddr;
use xen_core::lock::{Lock, Rank};
use xen_core::vpci::{ConfigSpace, Mmio, Sbdf};

use crate::boot::acpi_tables::ConfigWindow;
use crate::boot::address_space::map_mmio;
use crate::cpu::instructions::{port_in, port_out};

const ADDRESS_PORT: u16 = 0xcf8;
const DATA_PORT: u16 = 0xcfc;
const ENABLE: u32 = 1 << 31;

/// Real configuration space.
pub struct PciHardware {
    windows: Lock<Vec<ConfigWindow>>,
    /// CF8 and CFC belong together.
    ports: Lock<()>,
}

impl Default for PciHardware {
    fn default() -> Self {
        Self {
            windows: Lock::new(Rank::Values, Vec::new()),
            ports: Lock::new(Rank::Irq, ()),
        }
    }
}

impl PciHardware {
    /// Uses a memory-mapped window from now on.
    pub fn add_window(&self, window: &ConfigWindow) {
        self.windows.lock().push(*window);
    }

    fn window(&self, sbdf: Sbdf) -> Option<u64> {
        let windows = self.windows.lock();
        let found = windows.iter().find(|w| {
            w.segment == sbdf.segment() && (w.start_bus..=w.end_bus).contains(&sbdf.bus())
        })?;
        Some(found.base + (u64::from(sbdf.0 & 0xffff) << 12))
    }

    fn by_port<R>(&self, sbdf: Sbdf, reg: u16, access: impl FnOnce(u16) -> R) -> R {
        let _held = self.ports.lock();
        port_out(
            ADDRESS_PORT,
            4,
            ENABLE | (sbdf.0 & 0xffff) << 8 | u32::from(reg & 0xfc),
        );
        access(DATA_PORT + (reg & 3))
    }
}

impl ConfigSpace for PciHardware {
    fn read(&self, sbdf: Sbdf, reg: u16, size: u8) -> u32 {
        if sbdf.segment() == 0 && reg < 256 {
            return self.by_port(sbdf, reg, |port| port_in(port, size));
        }
        let registers = self
            .window(sbdf)
            .and_then(|base| map_mmio(Maddr(base), 4096).ok());
        registers.map_or(u32::MAX, |r| r.read(u64::from(reg), size) as u32)
    }

    fn write(&self, sbdf: Sbdf, reg: u16, size: u8, value: u32) {
        if sbdf.segment() == 0 && reg < 256 {
            return self.by_port(sbdf, reg, |port| port_out(port, size, value));
        }
        if let Some(registers) = self
            .window(sbdf)
            .and_then(|base| map_mmio(Maddr(base), 4096).ok())
        {
            registers.write(u64::from(reg), size, u64::from(value));
        }
    }
}

impl Mmio for PciHardware {
    fn read_mmio(&self, at: Maddr, size: u8) -> u64 {
        match map_mmio(Maddr(at.0 & !0xfff), 4096) {
            Ok(registers) => registers.read(at.0 & 0xfff, size),
            Err(_) => u64::MAX,
        }
    }

    fn write_mmio(&self, at: Maddr, size: u8, value: u64) {
        if let Ok(registers) = map_mmio(Maddr(at.0 & !0xfff), 4096) {
            registers.write(at.0 & 0xfff, size, value);
        }
    }
}
