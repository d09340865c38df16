//! The machine's I/O APICs (Intel 82093AA datasheet). All pins start masked; dom0's vIOAPIC asks for what it unmasks.

use alloc::vec::Vec;

use spin::Once;
use xen_core::ids::Maddr;
use xen_core::info;
use xen_core::lock::{Lock, Rank};

use crate::boot::address_space::map_mmio;
use crate::direct_map::Registers;
use crate::dom0::acpi::IoApic as Description;

const SELECT: u64 = 0;
const WINDOW: u64 = 0x10;
const VERSION: u32 = 1;
const REDIRECTION: u32 = 0x10;
const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;

/// One controller.
pub struct IoApic {
    /// As the firmware describes it.
    pub description: Description,
    /// Number of pins.
    pub pins: u32,
    /// Version register's low byte.
    pub version: u8,
    registers: Lock<Registers>,
}

/// How a pin signals.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Level-triggered.
    pub level: bool,
    /// Active low.
    pub active_low: bool,
}

static ALL: Once<Vec<IoApic>> = Once::new();

/// Maps the controllers and masks every pin. Once, at boot.
pub fn init(descriptions: &[Description]) {
    ALL.call_once(|| descriptions.iter().filter_map(open).collect());
}

fn open(description: &Description) -> Option<IoApic> {
    let registers = map_mmio(Maddr(u64::from(description.address)), 4096).ok()?;
    let version = read(&registers, VERSION);
    let pins = (version >> 16 & 0xff) + 1;
    for pin in 0..pins {
        write(&registers, REDIRECTION + 2 * pin, MASKED);
        write(&registers, REDIRECTION + 2 * pin + 1, 0);
    }
    info!(
        "IOAPIC: apic_id {}, version {}, address {:#x}, GSI {}-{}",
        description.id,
        version & 0xff,
        description.address,
        description.gsi_base,
        description.gsi_base.saturating_add(pins - 1)
    );
    Some(IoApic {
        description: *description,
        pins,
        version: version as u8,
        registers: Lock::new(Rank::Irq, registers),
    })
}

fn read(registers: &Registers, index: u32) -> u32 {
    registers.write(SELECT, 4, u64::from(index));
    registers.read(WINDOW, 4) as u32
}

fn write(registers: &Registers, index: u32, value: u32) {
    registers.write(SELECT, 4, u64::from(index));
    registers.write(WINDOW, 4, u64::from(value));
}

/// All controllers.
#[must_use]
pub fn all() -> &'static [IoApic] {
    ALL.get().map_or(&[], |all| all)
}

fn find(gsi: u32) -> Option<(&'static IoApic, u32)> {
    all().iter().find_map(|io| {
        let pin = gsi.checked_sub(io.description.gsi_base)?;
        (pin < io.pins).then_some((io, pin))
    })
}

/// Routes a GSI to `vector` on the CPU with `apic_id`, masked or not. `false` if there is no such pin.
pub fn route(gsi: u32, vector: u8, apic_id: u32, signal: Signal, masked: bool) -> bool {
    let Some((io, pin)) = find(gsi) else {
        return false;
    };
    let mut low = u32::from(vector);
    low |= if signal.level { LEVEL } else { 0 };
    low |= if signal.active_low { ACTIVE_LOW } else { 0 };
    let registers = io.registers.lock();
    write(&registers, REDIRECTION + 2 * pin, low | MASKED);
    write(&registers, REDIRECTION + 2 * pin + 1, apic_id << 24);
    if !masked {
        write(&registers, REDIRECTION + 2 * pin, low);
    }
    true
}

/// Masks or unmasks a GSI's pin.
pub fn set_mask(gsi: u32, masked: bool) {
    let Some((io, pin)) = find(gsi) else { return };
    let registers = io.registers.lock();
    let low = read(&registers, REDIRECTION + 2 * pin);
    let new = if masked { low | MASKED } else { low & !MASKED };
    if new != low {
        write(&registers, REDIRECTION + 2 * pin, new);
    }
}
