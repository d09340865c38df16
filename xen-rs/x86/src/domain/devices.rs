//! dom0's devices: emulated I/O APICs over real ones, and the PCI configuration model over real devices.
//!
//! Both are pure models; this adapter owns their lock and does what they ask for.

use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::errno::Errno;
use xen_core::console::{Level, log_guest};
use xen_core::domain::Domain;
use xen_core::hal::PciNews;
use xen_core::hypervisor::Hypervisor;
use xen_core::ids::{Gfn, Gpa, Mfn};
use xen_core::lock::{Lock, Rank};
use xen_core::p2m::{P2mEntry, PageType};
use xen_core::vpci::{Effects, MsiMessage, Note, Sbdf, Vpci};

use super::interrupts::{self, Messages};
use super::pci_access::PciHardware;
use super::routing::deliver;
use crate::dom0::PhysRange;
use crate::interrupts::{Source, io_apic};
use crate::vioapic::{Config, Vioapic};
use crate::vlapic::{Audience, Delivery};

const IO_APIC_WINDOW: u64 = 4096;
const LOCAL_APIC_PAGE: u64 = 0xfee00;
/// HyperTransport's reserved range on AMD systems.
const HT_RANGE: PhysRange = PhysRange {
    start: 0xfd_0000_0000,
    end: 0x100_0000_0000,
};

/// What dom0 sees of the machine.
pub struct Models {
    /// I/O APICs.
    pub io_apics: Vec<Vioapic>,
    /// PCI.
    pub pci: Vpci,
    /// RAM of the machine and the registers of the hypervisor's own devices: nothing here is dom0's device memory.
    pub withheld: Vec<PhysRange>,
    messages: Messages,
}

impl Models {
    /// The PCI model, and the adapter for what it asks for.
    fn pci_with_adapter<'a>(
        &'a mut self,
        hv: &'a Hypervisor,
        domain: &'a Arc<Domain>,
    ) -> (&'a mut Vpci, Adapter<'a>) {
        let adapter = Adapter {
            hv,
            domain,
            withheld: &self.withheld,
            messages: &mut self.messages,
            io_apics: &self.io_apics,
        };
        (&mut self.pci, adapter)
    }
}

/// The models and the hardware under them.
pub struct Devices {
    models: Lock<Models>,
    hardware: PciHardware,
}

impl Devices {
    /// Without devices yet.
    #[must_use]
    pub fn new() -> Self {
        let models = Models {
            io_apics: Vec::new(),
            pci: Vpci::new(),
            withheld: Vec::new(),
            messages: Messages::default(),
        };
        Self {
            models: Lock::new(Rank::Device, models),
            hardware: PciHardware::default(),
        }
    }

    /// Emulates every real I/O APIC and finds the PCI devices. dom0's p2m exists.
    pub fn discover(
        &self,
        hv: &Hypervisor,
        domain: &Arc<Domain>,
        withheld: Vec<PhysRange>,
        windows: &[crate::boot::acpi_tables::ConfigWindow],
    ) {
        let mut models = self.models.lock();
        models.withheld = withheld;
        models.io_apics = io_apic::all().iter().filter_map(emulated).collect();
        for w in windows {
            self.hardware.add_window(w);
            // Windows that make no sense are left to CF8.
            let _ = models.pci.add_ecam(xen_core::vpci::EcamWindow {
                base: Gpa(w.base),
                segment: w.segment,
                start_bus: w.start_bus,
                end_bus: w.end_bus,
            });
        }
        let (pci, mut adapter) = models.pci_with_adapter(hv, domain);
        pci.discover(0..=255, &self.hardware, &mut adapter);
    }

    /// Whether the PCI model knows the device.
    #[must_use]
    pub fn pci_device_exists(&self, sbdf: Sbdf) -> bool {
        self.models.lock().pci.device(sbdf).is_some()
    }

    /// Follows what dom0 says happened to a function: one that was reset is looked at afresh.
    ///
    /// # Errors
    /// `ENODEV` if there is nothing, or nothing that dom0 may use.
    pub fn pci_news(
        &self,
        hv: &Hypervisor,
        domain: &Arc<Domain>,
        news: PciNews,
        sbdf: Sbdf,
    ) -> Result<(), Errno> {
        let mut models = self.models.lock();
        let Models {
            pci,
            withheld,
            messages,
            io_apics,
        } = &mut *models;
        let mut adapter = Adapter {
            hv,
            domain,
            withheld,
            messages,
            io_apics,
        };
        let hardware = &self.hardware;
        let is_done = match news {
            PciNews::Appeared => pci.add_device(sbdf, hardware, &mut adapter),
            PciNews::Vanished => pci.remove_device(sbdf, hardware, &mut adapter),
            PciNews::Reset => {
                pci.remove_device(sbdf, hardware, &mut adapter)
                    && pci.add_device(sbdf, hardware, &mut adapter)
            }
        };
        if is_done { Ok(()) } else { Err(Errno::ENODEV) }
    }

    /// A configuration port read; `None` if the port is another.
    pub fn port_read(
        &self,
        hv: &Hypervisor,
        domain: &Arc<Domain>,
        port: u16,
        size: u8,
    ) -> Option<u32> {
        let mut models = self.models.lock();
        let (pci, mut adapter) = models.pci_with_adapter(hv, domain);
        pci.port_read(port, size, &self.hardware, &mut adapter)
    }

    /// A configuration port write; `false` if the port is another.
    pub fn port_write(
        &self,
        hv: &Hypervisor,
        domain: &Arc<Domain>,
        port: u16,
        size: u8,
        value: u32,
    ) -> bool {
        let mut models = self.models.lock();
        let (pci, mut adapter) = models.pci_with_adapter(hv, domain);
        pci.port_write(port, size, value, &self.hardware, &mut adapter)
    }

    /// Whether an emulated device answers at the address.
    #[must_use]
    pub fn traps(&self, at: Gpa) -> bool {
        let models = self.models.lock();
        models.pci.traps(at) || io_apic_at(&models.io_apics, at).is_some()
    }

    /// An access to an emulated device; `None` if there is none.
    pub fn mmio_read(
        &self,
        hv: &Hypervisor,
        domain: &Arc<Domain>,
        at: Gpa,
        size: u8,
    ) -> Option<u64> {
        let mut models = self.models.lock();
        if let Some(index) = io_apic_at(&models.io_apics, at) {
            return Some(u64::from(
                models.io_apics[index].read((at.0 & 0xfff) as u16),
            ));
        }
        let (pci, mut adapter) = models.pci_with_adapter(hv, domain);
        pci.mmio_read(at, size, &self.hardware, &mut adapter)
    }

    /// As [`Self::mmio_read`]; `false` if there is no device.
    pub fn mmio_write(
        &self,
        hv: &Hypervisor,
        domain: &Arc<Domain>,
        at: Gpa,
        size: u8,
        value: u64,
    ) -> bool {
        let mut models = self.models.lock();
        if let Some(index) = io_apic_at(&models.io_apics, at) {
            let effects = models.io_apics[index].write((at.0 & 0xfff) as u16, value as u32);
            if let Some(pin) = effects.ended {
                // The real line is looked at when the pin is unmasked; one that went down meanwhile must not be found asserted here.
                let _ = models.io_apics[index].set_line(pin, false);
            }
            if let Some(change) = effects.changed {
                interrupts::bind_pin(models.io_apics[index].gsi_of_pin(change.pin), &change);
            }
            if let Some(delivery) = effects.delivery {
                deliver(hv, domain, &delivery, Audience::Addressed);
            }
            return true;
        }
        let (pci, mut adapter) = models.pci_with_adapter(hv, domain);
        pci.mmio_write(at, size, value, &self.hardware, &mut adapter)
    }

    /// Whether dom0 may reach this page directly at the same machine address.
    #[must_use]
    pub fn may_map(&self, page: Gfn) -> bool {
        let models = self.models.lock();
        is_device_memory(&models.withheld, &models.io_apics, Mfn(page.0), 1)
            && !models.pci.traps(page.gpa())
    }

    /// A real interrupt for dom0.
    pub fn interrupt(&self, hv: &Hypervisor, domain: &Arc<Domain>, source: Source) {
        let mut models = self.models.lock();
        let delivery = match source {
            Source::Gsi { gsi, level } => {
                if level {
                    io_apic::set_mask(u32::from(gsi), true);
                }
                raise(&mut models.io_apics, u32::from(gsi), level)
            }
            Source::Message(index) => models.messages.delivery(index),
            Source::Serial | Source::None => None,
        };
        if let Some(delivery) = delivery {
            deliver(hv, domain, &delivery, Audience::Addressed);
        }
    }

    /// dom0 has ended a level-triggered interrupt: let the real one come again.
    pub fn end_of_interrupt(&self, hv: &Hypervisor, domain: &Arc<Domain>, vector: u8) {
        let mut models = self.models.lock();
        for io in &mut models.io_apics {
            for pin in io.eoi(vector).iter() {
                // A line that goes down delivers nothing.
                let _ = io.set_line(pin, false);
                let masked = io.entry(pin).is_none_or(|entry| entry.is_masked());
                if !masked {
                    io_apic::set_mask(io.gsi_of_pin(pin), false);
                }
                if let Some(delivery) = io.resample(pin) {
                    deliver(hv, domain, &delivery, Audience::Addressed);
                }
            }
        }
    }
}

impl Default for Devices {
    fn default() -> Self {
        Self::new()
    }
}

fn emulated(real: &io_apic::IoApic) -> Option<Vioapic> {
    Vioapic::new(Config {
        id: real.description.id,
        address: u64::from(real.description.address),
        gsi_base: real.description.gsi_base,
        pins: u8::try_from(real.pins).ok()?,
        // As on Xen, whatever the real one is: dom0 needs no EOI register.
        version: crate::vioapic::Version::V11,
    })
}

fn io_apic_at(all: &[Vioapic], at: Gpa) -> Option<usize> {
    all.iter()
        .position(|io| (io.config().address..io.config().address + IO_APIC_WINDOW).contains(&at.0))
}

fn raise(all: &mut [Vioapic], gsi: u32, level: bool) -> Option<Delivery> {
    let (io, pin) = all
        .iter_mut()
        .find_map(|io| io.pin_of_gsi(gsi).map(|pin| (io, pin)))?;
    if level {
        io.set_line(pin, true)
    } else {
        io.pulse(pin)
    }
}

fn is_device_memory(withheld: &[PhysRange], io_apics: &[Vioapic], first: Mfn, count: u64) -> bool {
    let range = PhysRange::from_len(first.maddr().0, count.saturating_mul(4096));
    let overlaps = |start: u64, len: u64| range.overlaps(&PhysRange::from_len(start, len));
    first.0 < 1 << 40
        && !withheld.iter().any(|r| r.overlaps(&range))
        && !overlaps(LOCAL_APIC_PAGE << 12, 4096)
        && !range.overlaps(&HT_RANGE)
        && !io_apics
            .iter()
            .any(|io| overlaps(io.config().address, IO_APIC_WINDOW))
}

/// What the PCI model asks for.
struct Adapter<'a> {
    hv: &'a Hypervisor,
    domain: &'a Arc<Domain>,
    withheld: &'a [PhysRange],
    messages: &'a mut Messages,
    io_apics: &'a [Vioapic],
}

impl Effects for Adapter<'_> {
    fn check_mmio(&self, first: Mfn, count: u64) -> Result<(), Errno> {
        if is_device_memory(self.withheld, self.io_apics, first, count) {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        }
    }

    fn map_mmio(&mut self, first: Mfn, count: u64) -> Result<(), Errno> {
        // Large windows are mapped when they are touched; see `crate::vcpu::mmio`.
        if count > 4096 {
            return Ok(());
        }
        for offset in 0..count {
            let page = P2mEntry {
                mfn: Mfn(first.0 + offset),
                kind: PageType::Mmio,
            };
            self.hv.map_page(self.domain, Gfn(page.mfn.0), page)?;
        }
        Ok(())
    }

    fn unmap_mmio(&mut self, first: Mfn, count: u64) {
        let mut map = self.domain.p2m.write();
        for gfn in (first.0..first.0.saturating_add(count)).map(Gfn) {
            if map.lookup(gfn).is_some_and(|m| m.kind == PageType::Mmio) {
                // Splitting can only fail without memory; the page then stays a device page of dom0's own.
                let _ = map.remove(&mut self.hv.tables(self.domain), gfn);
            }
        }
        drop(map);
        self.hv.arch.flush_domain(self.domain);
    }

    fn enable_msi(
        &mut self,
        sbdf: Sbdf,
        entry: u16,
        guest: MsiMessage,
    ) -> Result<MsiMessage, Errno> {
        self.messages.enable(sbdf, entry, guest)
    }

    fn update_msi(
        &mut self,
        sbdf: Sbdf,
        entry: u16,
        guest: MsiMessage,
    ) -> Result<MsiMessage, Errno> {
        self.messages.update(sbdf, entry, guest)
    }

    fn disable_msi(&mut self, sbdf: Sbdf, entry: u16) {
        self.messages.disable(sbdf, entry);
    }

    fn note(&mut self, sbdf: Sbdf, note: Note) {
        log_guest(
            Level::Warning,
            self.hv.now_ns(),
            format_args!("{}: {sbdf}: {note}", self.domain.id),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcpu::testing::Guest;

    fn io_apic() -> Vioapic {
        Vioapic::new(Config {
            id: 0,
            address: 0xfec0_0000,
            gsi_base: 0,
            pins: 24,
            version: crate::vioapic::Version::V11,
        })
        .expect("a usual one")
    }

    #[test]
    fn device_memory_is_neither_ram_nor_an_interrupt_controller() {
        let ram = [PhysRange::from_len(0, 0x8000_0000)];
        let io_apics = [io_apic()];
        let device = |first, count| is_device_memory(&ram, &io_apics, Mfn(first), count);
        assert!(device(0x8_0000, 1) && device(0xc_0000, 0x1000));
        for (first, count) in [
            (0x7_ffff, 1),
            (0x7_fff0, 0x20),
            (0xfec00, 1),
            (0xfe000, 0x1000),
            (0xfee00, 1),
            (0xfd0_0000, 1),
            (1 << 40, 1),
            (0x8_0000, u64::MAX),
        ] {
            assert!(!device(first, count), "{first:#x} {count:#x}");
        }
    }

    #[test]
    fn the_io_apics_page_is_its_own() {
        let all = [io_apic()];
        assert_eq!(io_apic_at(&all, Gpa(0xfec0_0fff)), Some(0));
        assert_eq!(io_apic_at(&all, Gpa(0xfec0_1000)), None);
    }

    #[test]
    fn a_level_interrupt_that_was_ended_as_an_edge_does_not_come_again() {
        const LEVEL: u64 = 1 << 15;
        const MASKED: u64 = 1 << 16;
        const PIN: u32 = 4;
        let (guest, devices) = (Guest::new(), Devices::new());
        devices.models.lock().io_apics.push(io_apic());
        let write = |offset: u64, value| {
            let at = Gpa(0xfec0_0000 + offset);
            assert!(devices.mmio_write(guest.hv, &guest.domain, at, 4, value));
        };
        let remote_irr = || {
            let entry = devices.models.lock().io_apics[0].entry(PIN as u8);
            entry.expect("there are 24").remote_irr()
        };
        write(0, 0x10 + 2 * u64::from(PIN));
        write(0x10, LEVEL | 0x41);
        assert!(raise(&mut devices.models.lock().io_apics, PIN, true).is_some());
        assert!(remote_irr());
        write(0x10, MASKED | 0x41);
        write(0x10, LEVEL | 0x41);
        assert!(!remote_irr());
    }

    #[test]
    fn an_unmasked_pin_delivers_and_an_unknown_gsi_does_not() {
        let mut all = [io_apic()];
        assert!(raise(&mut all, 24, false).is_none());
        assert!(raise(&mut all, 4, false).is_none());
        // Redirection entry 4: vector 0x41, edge, not masked.
        let _ = all[0].write(0, 0x18);
        let _ = all[0].write(0x10, 0x41);
        let delivery = raise(&mut all, 4, false).expect("it is not masked");
        assert_eq!(delivery.vector, 0x41);
    }
}
