//! The firmware's tables as far as the hypervisor needs them: CPUs, interrupt controllers, PCI configuration windows, timers, power.
//!
//! Firmware tables are untrusted: whatever is malformed is left out, with a note.
#![allow(
    unsafe_code,
    reason = "the acpi crate maps tables through raw addresses"
)]

use alloc::vec::Vec;
use core::ptr::NonNull;

use acpi::madt::{Madt, MadtEntry};
use acpi::mcfg::Mcfg;
use acpi::{AcpiHandler, AcpiTables, HpetInfo, PhysicalMapping};
use xen_core::warning;

use super::loader::AcpiRoot;
use crate::direct_map::BASE;
use crate::dom0::acpi::{HEADER_LEN, HostTable, InterruptOverride, IoApic};

/// A CPU that may be started.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Processor {
    /// Local APIC identifier.
    pub apic_id: u32,
    /// Processor identifier, by which other tables name it.
    pub acpi_id: u32,
}

/// A PCI configuration window.
#[derive(Copy, Clone, Debug)]
pub struct ConfigWindow {
    /// Address of bus 0's space.
    pub base: u64,
    /// Segment.
    pub segment: u16,
    /// First bus.
    pub start_bus: u8,
    /// Last bus.
    pub end_bus: u8,
}

/// What the tables say.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// Enabled CPUs in MADT order.
    pub processors: Vec<Processor>,
    /// I/O APICs.
    pub io_apics: Vec<IoApic>,
    /// Overrides.
    pub overrides: Vec<InterruptOverride>,
    /// Configuration windows.
    pub config_windows: Vec<ConfigWindow>,
    /// HPET registers.
    pub hpet: Option<u64>,
    /// PM timer port, and whether it has 32 bits.
    pub pm_timer: Option<(u16, bool)>,
    /// PM1a and PM1b control ports.
    pub pm1_control: [Option<u16>; 2],
    /// Reset register: address space, address, value.
    pub reset: Option<(u8, u64, u8)>,
    /// All tables of the root table.
    pub tables: Vec<HostTable>,
    /// OEM identification of the RSDP.
    pub rsdp_oem: [u8; 6],
    /// Header of the root table.
    pub root_header: [u8; HEADER_LEN],
    /// Header of the MADT.
    pub madt_header: [u8; HEADER_LEN],
}

#[derive(Clone)]
struct DirectMapped;

impl AcpiHandler for DirectMapped {
    unsafe fn map_physical_region<T>(
        &self,
        physical_address: usize,
        size: usize,
    ) -> PhysicalMapping<Self, T> {
        let at = NonNull::new((BASE + physical_address as u64) as *mut T)
            .expect("the direct map is not at zero");
        // SAFETY: firmware tables lie in the direct map, which covers all of the low 4 GiB that the loader's map lists.
        unsafe { PhysicalMapping::new(physical_address, at, size, size, self.clone()) }
    }

    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}
}

fn header_at(address: u64) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    xen_core::hal::MachineMemory::read(
        &crate::direct_map::DIRECT_MAP,
        xen_core::ids::Maddr(address),
        &mut header,
    );
    header
}

/// Reads all tables.
///
/// # Errors
/// A message when there is no usable root table or MADT.
pub fn read(root: &AcpiRoot) -> Result<Firmware, &'static str> {
    // SAFETY: the address comes from an RSDP whose checksum was right; the crate checks every table's length and checksum.
    let tables =
        unsafe { AcpiTables::from_rsdt(DirectMapped, root.revision, root.address as usize) }
            .map_err(|_| "no usable ACPI root table")?;
    let mut firmware = Firmware {
        processors: Vec::new(),
        io_apics: Vec::new(),
        overrides: Vec::new(),
        config_windows: Vec::new(),
        hpet: HpetInfo::new(&tables)
            .ok()
            .map(|hpet| hpet.base_address as u64),
        pm_timer: None,
        pm1_control: [None; 2],
        reset: None,
        tables: list(root),
        rsdp_oem: root.oem,
        root_header: header_at(root.address),
        madt_header: [0; HEADER_LEN],
    };
    read_madt(&tables, &mut firmware)?;
    read_mcfg(&tables, &mut firmware);
    read_fadt(&tables, &mut firmware);
    Ok(firmware)
}

/// The root table's entries with their signatures and lengths.
fn list(root: &AcpiRoot) -> Vec<HostTable> {
    use xen_core::hal::MachineMemory;
    let memory = &crate::direct_map::DIRECT_MAP;
    let word = |at: u64, len: usize| {
        let mut bytes = [0; 8];
        memory.read(xen_core::ids::Maddr(at), &mut bytes[..len]);
        u64::from_le_bytes(bytes)
    };
    let width = if root.revision == 0 { 4 } else { 8 };
    let length = word(root.address + 4, 4).min(4096);
    (HEADER_LEN as u64..length)
        .step_by(width)
        .take_while(|at| at + width as u64 <= length)
        .map(|at| word(root.address + at, width))
        .filter(|&address| address != 0 && address < 1 << 32)
        .map(|address| HostTable {
            signature: (word(address, 4) as u32).to_le_bytes(),
            address,
            length: word(address + 4, 4) as u32,
        })
        .collect()
}

fn read_madt(
    tables: &AcpiTables<DirectMapped>,
    firmware: &mut Firmware,
) -> Result<(), &'static str> {
    let madt = tables.find_table::<Madt>().map_err(|_| "no usable MADT")?;
    firmware.madt_header = header_at(madt.physical_start() as u64);
    for entry in madt.get().entries() {
        match entry {
            MadtEntry::LocalApic(cpu) if cpu.flags & 1 != 0 => {
                firmware.processors.push(Processor {
                    apic_id: u32::from(cpu.apic_id),
                    acpi_id: u32::from(cpu.processor_id),
                })
            }
            MadtEntry::LocalX2Apic(cpu) if cpu.flags & 1 != 0 => {
                firmware.processors.push(Processor {
                    apic_id: cpu.x2apic_id,
                    acpi_id: cpu.processor_uid,
                })
            }
            MadtEntry::IoApic(io) => firmware.io_apics.push(IoApic {
                id: io.io_apic_id,
                address: io.io_apic_address,
                gsi_base: io.global_system_interrupt_base,
            }),
            MadtEntry::InterruptSourceOverride(o) => firmware.overrides.push(InterruptOverride {
                bus: o.bus,
                source: o.irq,
                gsi: o.global_system_interrupt,
                flags: o.flags,
            }),
            _ => {}
        }
    }
    firmware
        .processors
        .dedup_by_key(|processor| processor.apic_id);
    Ok(())
}

fn read_mcfg(tables: &AcpiTables<DirectMapped>, firmware: &mut Firmware) {
    let Ok(mcfg) = tables.find_table::<Mcfg>() else {
        return;
    };
    firmware.config_windows = mcfg
        .entries()
        .iter()
        .map(|e| ConfigWindow {
            base: e.base_address,
            segment: e.pci_segment_group,
            start_bus: e.bus_number_start,
            end_bus: e.bus_number_end,
        })
        .collect();
}

fn read_fadt(tables: &AcpiTables<DirectMapped>, firmware: &mut Firmware) {
    let Ok(fadt) = tables.find_table::<acpi::fadt::Fadt>() else {
        warning!("ACPI: no usable FADT");
        return;
    };
    let port = |block: Option<acpi::address::GenericAddress>| {
        block
            .and_then(|b| u16::try_from(b.address).ok())
            .filter(|&p| p != 0)
    };
    firmware.pm1_control = [
        port(fadt.pm1a_control_block().ok()),
        port(fadt.pm1b_control_block().ok().flatten()),
    ];
    let flags = fadt.flags;
    let wide = flags.pm_timer_is_32_bit();
    firmware.pm_timer = port(fadt.pm_timer_block().ok().flatten()).map(|p| (p, wide));
    if flags.supports_system_reset_via_fadt()
        && let Ok(register) = fadt.reset_register()
    {
        let space = match register.address_space {
            acpi::address::AddressSpace::SystemIo => 1,
            acpi::address::AddressSpace::SystemMemory => 0,
            _ => u8::MAX,
        };
        firmware.reset = Some((space, register.address, fadt.reset_value));
    }
}
