//! Powering off and restarting the machine (ACPI specification, "Sleeping/Wake Control" and "Reset Register").

use spin::Once;
use xen_core::hal::Restart;
use xen_core::ids::Maddr;

use crate::boot::acpi_tables::Firmware;
use crate::boot::address_space::map_mmio;
use crate::cpu::instructions::{halt_forever, port_in, port_out};

const SYSTEM_MEMORY: u8 = 0;
const SYSTEM_IO: u8 = 1;
const KEYBOARD_CONTROLLER: u16 = 0x64;
const RESET_CONTROL: u16 = 0xcf9;

static RESET: Once<Option<(u8, u64, u8)>> = Once::new();

/// Keeps what restarting needs.
pub fn init(firmware: &Firmware) {
    RESET.call_once(|| firmware.reset);
}

/// Does it. Returns only if nothing worked: then the machine halts.
///
/// Powering off is dom0's own work, through ACPI on the hardware; a dom0 that asks the hypervisor instead gets a halted machine, as on Xen.
pub fn restart(reason: Restart) {
    if reason == Restart::Reboot {
        reboot();
    }
    halt_forever();
}

/// Gives the operator time to read, then restarts.
pub fn reboot_after_panic() -> ! {
    xen_core::console::print_while_dying(format_args!("Reboot in five seconds..."));
    let until = crate::time::now_ns().saturating_add(5_000_000_000);
    while crate::time::now_ns() < until {
        core::hint::spin_loop();
    }
    reboot();
    halt_forever()
}

/// The firmware's reset register, the reset control register, the keyboard controller, in this order.
fn reboot() {
    match RESET.get().copied().flatten() {
        Some((SYSTEM_IO, port, value)) => port_out(port as u16, 1, u32::from(value)),
        Some((SYSTEM_MEMORY, at, value)) => {
            if let Ok(registers) = map_mmio(Maddr(at), 1) {
                registers.write(0, 1, u64::from(value));
            }
        }
        _ => {}
    }
    pause();
    port_out(RESET_CONTROL, 1, 2);
    port_out(RESET_CONTROL, 1, 6);
    pause();
    port_out(KEYBOARD_CONTROLLER, 1, 0xfe);
    pause();
}

fn pause() {
    for _ in 0..10_000 {
        let _ = port_in(0x80, 1);
    }
}
