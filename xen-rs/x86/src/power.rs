//! Powering off and restarting the machine (ACPI specification, "Reset Register"; Intel ICH datasheets, "Reset Control Register").

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use spin::Once;
use xen_core::cmdline::{Options, Reboot};
use xen_core::console::print_while_dying;
use xen_core::hal::Restart;
use xen_core::ids::Maddr;

use crate::boot::acpi_tables::Firmware;
use crate::boot::address_space::map_mmio;
use crate::cpu::instructions::{halt_forever, port_in, port_out, triple_fault};
use crate::direct_map::Registers;
use crate::panic::stop_others;
use crate::time;

/// Address spaces of the firmware's reset register.
const SYSTEM_MEMORY: u8 = 0;
const SYSTEM_IO: u8 = 1;
const KEYBOARD_CONTROLLER: u16 = 0x64;
const RESET_CONTROL: u16 = 0xcf9;
/// How long an operator has to read.
const READING_NS: u64 = 5_000_000_000;

/// The firmware's reset register.
#[derive(Copy, Clone)]
enum ResetRegister {
    Port(u16),
    Memory(Registers),
}

/// The register and what to write. Registers in memory are mapped early: who dies takes no locks.
static RESET: Once<(ResetRegister, u8)> = Once::new();
static FIRST_WAY: Once<Reboot> = Once::new();
/// `noreboot`, or `reboot=no`.
static STAYS: AtomicBool = AtomicBool::new(false);

/// Keeps what the options say about restarting.
pub fn set_options(options: &Options) {
    STAYS.store(options.noreboot || options.reboot == Reboot::Never, Relaxed);
    FIRST_WAY.call_once(|| options.reboot);
}

/// Keeps what restarting needs of the firmware's tables.
pub fn init(firmware: &Firmware) {
    let Some((space, address, value)) = firmware.reset else {
        return;
    };
    let register = match space {
        SYSTEM_IO => u16::try_from(address).ok().map(ResetRegister::Port),
        SYSTEM_MEMORY => map_mmio(Maddr(address), 1).ok().map(ResetRegister::Memory),
        _ => None,
    };
    if let Some(register) = register {
        RESET.call_once(|| (register, value));
    }
}

/// Stops the machine, or restarts it.
///
/// Powering off is dom0's own work, through ACPI on the hardware; a dom0 that asks the hypervisor instead gets a halted machine, as on Xen.
pub fn restart(reason: Restart) -> ! {
    stop_others();
    if reason == Restart::RebootLater {
        wait_for_reader();
    }
    if matches!(reason, Restart::Reboot | Restart::RebootLater) {
        reboot();
    }
    halt_forever()
}

/// What follows a report: a restart, after time to read, unless `noreboot` was given.
pub fn after_panic() -> ! {
    if STAYS.load(Relaxed) {
        print_while_dying(format_args!("Manual reset required ('noreboot' specified)"));
        halt_forever();
    }
    print_while_dying(format_args!("Reboot in five seconds..."));
    wait_for_reader();
    reboot();
    halt_forever()
}

/// Waits by the clock; a machine that dies before its clock runs counts accesses of a slow port instead.
fn wait_for_reader() {
    if time::tsc_khz() == 0 {
        (0..500).for_each(|_| pause());
        return;
    }
    let until = time::now_ns().saturating_add(READING_NS);
    while time::now_ns() < until {
        core::hint::spin_loop();
    }
}

/// The way that `reboot=` names; then the firmware's reset register, the reset control register, the keyboard controller and a triple fault,
/// in this order.
fn reboot() {
    let first = FIRST_WAY.get().copied().unwrap_or(Reboot::Default);
    let ways = [
        first,
        Reboot::Acpi,
        Reboot::PciReset,
        Reboot::Keyboard,
        Reboot::TripleFault,
    ];
    for way in ways {
        try_reboot(way);
        pause();
    }
}

fn try_reboot(way: Reboot) {
    match way {
        Reboot::Acpi => match RESET.get().copied() {
            Some((ResetRegister::Port(port), value)) => port_out(port, 1, value.into()),
            Some((ResetRegister::Memory(register), value)) => register.write(0, 1, value.into()),
            None => {}
        },
        Reboot::PciReset => {
            port_out(RESET_CONTROL, 1, 2);
            port_out(RESET_CONTROL, 1, 6);
        }
        Reboot::Keyboard => port_out(KEYBOARD_CONTROLLER, 1, 0xfe),
        Reboot::TripleFault => triple_fault(),
        // A wish not to restart is only about errors; no firmware service is used.
        Reboot::Default | Reboot::Never | Reboot::Efi => {}
    }
}

/// About ten milliseconds.
fn pause() {
    for _ in 0..10_000 {
        let _ = port_in(0x80, 1);
    }
}
