//! The firmware's tables as far as the hypervisor needs them: CPUs, interrupt controllers, PCI configuration windows, timers, power.
//!
//! Firmware tables are untrusted: whatever is malformed is left out, with a note.
#![allow(
    unsafe_code,
    reason = "the acpi crate maps tables through raw addresses"
)]

use alloc::vec;
use alloc::vec::Vec;
use core::ptr::NonNull;

use acpi::madt::Madt;
use acpi::mcfg::Mcfg;
use acpi::{AcpiHandler, AcpiTable, AcpiTables, HpetInfo, PhysicalMapping};
use xen_core::hal::MachineMemory;
use xen_core::ids::Maddr;
use xen_core::warning;

use super::loader::AcpiRoot;
use crate::direct_map::{BASE, DIRECT_MAP};
use crate::dom0::acpi::{HEADER_LEN, HostTable, InterruptOverride, IoApic};
use crate::panic::fatal;
use kernel_image::little_endian::{bytes_at, u16_at, u32_at};

/// The direct map reaches this far before the machine's memory is known.
const MAPPED: usize = 1 << 32;
/// Kinds of MADT entries.
const LOCAL_APIC: u8 = 0;
const IO_APIC: u8 = 1;
const INTERRUPT_OVERRIDE: u8 = 2;
const LOCAL_X2APIC: u8 = 9;
/// The CPU may be used.
const ENABLED: u32 = 1;
/// Where they begin: behind the header, the local APIC's address and the flags.
const MADT_ENTRIES: usize = HEADER_LEN + 8;

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
        if physical_address
            .checked_add(size)
            .is_none_or(|end| end > MAPPED)
        {
            fatal("an ACPI table lies above 4 GiB");
        }
        let at = NonNull::new((BASE + physical_address as u64) as *mut T)
            .expect("the direct map is not at zero");
        // SAFETY: the table lies in the low 4 GiB, all of which the direct map has from the beginning.
        unsafe { PhysicalMapping::new(physical_address, at, size, size, self.clone()) }
    }

    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}
}

fn header_at(address: u64) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    DIRECT_MAP.read(Maddr(address), &mut header);
    header
}

/// Reads all tables. Needs the direct map as the assembly made it, no more.
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
    let word = |at: u64, len: usize| {
        let mut bytes = [0; 8];
        DIRECT_MAP.read(Maddr(at), &mut bytes[..len]);
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
    let mut entries = vec![0; (madt.get().header().length as usize).saturating_sub(MADT_ENTRIES)];
    let first = Maddr((madt.physical_start() + MADT_ENTRIES) as u64);
    DIRECT_MAP.read(first, &mut entries);
    read_madt_entries(&entries, firmware);
    Ok(())
}

/// What follows the MADT's header and flags (ACPI 6.4, "Interrupt Controller Structure Types"). An entry that is cut short ends the list.
fn read_madt_entries(mut rest: &[u8], firmware: &mut Firmware) {
    while let Some(&[kind, length]) = rest.first_chunk() {
        let length = usize::from(length);
        let Some((entry, following)) = rest.split_at_checked(length).filter(|_| length >= 2) else {
            warning!("ACPI: the MADT is cut short");
            return;
        };
        if read_madt_entry(kind, entry, firmware).is_none() {
            warning!("ACPI: a MADT entry of kind {kind} has only {length} bytes");
        }
        rest = following;
    }
}

/// `None` if the entry is shorter than its kind needs.
fn read_madt_entry(kind: u8, entry: &[u8], firmware: &mut Firmware) -> Option<()> {
    match kind {
        LOCAL_APIC => {
            let [_, _, processor, apic] = bytes_at(entry, 0)?;
            if u32_at(entry, 4)? & ENABLED != 0 && apic != u8::MAX {
                add_processor(firmware, apic.into(), processor.into());
            }
        }
        LOCAL_X2APIC => {
            let apic = u32_at(entry, 4)?;
            if u32_at(entry, 8)? & ENABLED != 0 && apic != u32::MAX {
                add_processor(firmware, apic, u32_at(entry, 12)?);
            }
        }
        IO_APIC => firmware.io_apics.push(IoApic {
            id: bytes_at::<1>(entry, 2)?[0],
            address: u32_at(entry, 4)?,
            gsi_base: u32_at(entry, 8)?,
        }),
        INTERRUPT_OVERRIDE => {
            let [_, _, bus, source] = bytes_at(entry, 0)?;
            firmware.overrides.push(InterruptOverride {
                bus,
                source,
                gsi: u32_at(entry, 4)?,
                flags: u16_at(entry, 8)?,
            });
        }
        _ => {}
    }
    Some(())
}

/// Some firmware describes a CPU twice, as local APIC and as local x2APIC. Starting it again would reset it.
fn add_processor(firmware: &mut Firmware, apic_id: u32, acpi_id: u32) {
    if firmware.processors.iter().all(|p| p.apic_id != apic_id) {
        firmware.processors.push(Processor { apic_id, acpi_id });
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn firmware() -> Firmware {
        Firmware {
            processors: Vec::new(),
            io_apics: Vec::new(),
            overrides: Vec::new(),
            config_windows: Vec::new(),
            hpet: None,
            pm_timer: None,
            reset: None,
            tables: Vec::new(),
            rsdp_oem: [0; 6],
            root_header: [0; HEADER_LEN],
            madt_header: [0; HEADER_LEN],
        }
    }

    fn read(entries: &[&[u8]]) -> Firmware {
        let mut firmware = firmware();
        read_madt_entries(&entries.concat(), &mut firmware);
        firmware
    }

    fn apic_ids(firmware: &Firmware) -> Vec<u32> {
        firmware.processors.iter().map(|p| p.apic_id).collect()
    }

    const CPU_2: &[u8] = &[0, 8, 7, 2, 1, 0, 0, 0];
    const CPU_4: &[u8] = &[0, 8, 8, 4, 1, 0, 0, 0];
    const CPU_2_AGAIN: &[u8] = &[9, 16, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0];
    const CPU_300: &[u8] = &[9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0];

    #[test]
    fn a_cpu_that_is_described_twice_counts_once() {
        let found = read(&[CPU_2, CPU_4, CPU_2_AGAIN, CPU_300]);
        assert_eq!(apic_ids(&found), [2, 4, 300]);
        assert_eq!(found.processors[2].acpi_id, 9);
    }

    #[test]
    fn disabled_cpus_and_broadcast_identifiers_are_left_out() {
        let disabled = [0, 8, 7, 2, 2, 0, 0, 0];
        let everybody = [0, 8, 7, 0xff, 1, 0, 0, 0];
        let all = [9, 16, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 7, 0, 0, 0];
        assert_eq!(apic_ids(&read(&[&disabled, &everybody, &all, CPU_4])), [4]);
    }

    #[test]
    fn controllers_and_overrides_are_read_and_other_entries_skipped() {
        let found = read(&[
            &[0x80, 3, 9],
            &[1, 12, 5, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0],
            &[2, 10, 0, 9, 20, 0, 0, 0, 0xd, 0],
        ]);
        assert_eq!(
            found.io_apics,
            [IoApic {
                id: 5,
                address: 0xfec0_0000,
                gsi_base: 24
            }]
        );
        assert_eq!(
            found.overrides,
            [InterruptOverride {
                bus: 0,
                source: 9,
                gsi: 20,
                flags: 13
            }]
        );
    }

    #[test]
    fn malformed_entries_end_the_list_or_are_left_out() {
        for broken in [&[0, 0, 7, 2][..], &[0, 1], &[0], &[0, 9, 7, 2, 1, 0, 0, 0]] {
            assert_eq!(apic_ids(&read(&[CPU_4, broken])), [4], "{broken:?}");
        }
        // Long enough to be skipped, too short for what it says to be.
        for short in [
            &[0, 4, 7, 2][..],
            &[9, 8, 0, 0, 2, 0, 0, 0],
            &[1, 3, 0],
            &[2, 2],
        ] {
            assert_eq!(apic_ids(&read(&[short, CPU_4])), [4], "{short:?}");
        }
    }
}
