//! The console on this machine: which port it uses, how much it keeps, and what becomes of what is typed.

use alloc::boxed::Box;
use alloc::vec::Vec;

use xen_abi::xen::{VIRQ_CON_RING, VIRQ_CONSOLE};
use xen_core::cmdline::{Options, SerialPort};
use xen_core::console::{self, Now};
use xen_core::console_input::{self, InputAction, Reader};
use xen_core::hypervisor::Hypervisor;

use crate::boot::acpi_tables::Firmware;
use crate::cpu::instructions::rdtsc;
use crate::domain::interrupts;
use crate::machine::try_hv;
use crate::serial::SERIAL;
use crate::time;

/// Most that `conring_size` and `serial_tx_buffer` can ask for.
const LARGEST: u64 = 64 << 20;
/// Bytes taken from the port in one go: what it queues by itself.
const BYTES_AT_ONCE: usize = 16;
/// How often its wishes are met before others have a turn.
const ROUNDS: usize = 16;

/// Opens the port that `console=` and `com1=`, `com2=` choose, and applies the options about messages.
pub fn open(options: &Options) {
    console::set_levels(options.loglvl, options.guest_loglvl);
    console::set_timestamps(options.console_timestamps);
    console_input::set_switch(options.conswitch.letter);
    let chosen = [
        ("com1", options.console.com1, &options.com1),
        ("com2", options.console.com2, &options.com2),
    ];
    let mut wanted = chosen
        .iter()
        .filter(|(_, is_console, _)| *is_console)
        .filter_map(|(name, _, port)| Some((name, port.as_ref()?)));
    let Some((name, port)) = wanted.next() else {
        return;
    };
    match SERIAL.open(port) {
        Ok(()) => console::set_sink(&SERIAL),
        Err(why) => console::print(format_args!("{name}: {why}")),
    }
    if options.sync_console {
        console::print(format_args!("Console output is synchronous."));
    }
}

/// Opens the first port as firmware left it to most machines: for a boot that fails before there are options.
pub fn open_default() {
    let port = SerialPort {
        baud: xen_core::cmdline::Baud::Rate(115_200),
        ..SerialPort::COM1
    };
    if SERIAL.open(&port).is_ok() {
        console::set_sink(&SERIAL);
    }
}

/// Once the heap has all free memory to grow into: gives ring and queue the sizes that were asked for.
pub fn enlarge(options: &Options, cpus: u32) {
    let ring = match options.conring_size {
        0 => u64::from(cpus) << (9 + options.loglvl.lower),
        size => size,
    };
    let before = console::ring_size();
    console::grow(
        room(ring, console::RING_SIZE),
        room(options.serial_tx_buffer, console::QUEUE_SIZE),
    );
    if console::ring_size() != before {
        console::print(format_args!(
            "Allocated console ring of {} KiB.",
            console::ring_size() >> 10
        ));
    }
}

/// Zeroed bytes of the next power of two, never freed; nothing if that is no more than `present`, or if there is no memory.
fn room(size: u64, present: usize) -> &'static mut [u8] {
    let size = size.min(LARGEST).next_power_of_two() as usize;
    let mut bytes = Vec::new();
    if size > present && bytes.try_reserve_exact(size).is_ok() {
        bytes.resize(size, 0);
    }
    Box::leak(bytes.into_boxed_slice())
}

/// Once time runs: lines can be stamped with it.
pub fn start_clocks() {
    console::set_clocks(|| {
        let system_ns = time::now_ns();
        let at_boot_ns = try_hv().map_or(0, |hv| {
            hv.wallclock_ns.load(core::sync::atomic::Ordering::Relaxed)
        });
        Now {
            system_ns,
            utc_ns: if at_boot_ns == 0 {
                0
            } else {
                at_boot_ns.saturating_add(system_ns)
            },
            ticks: rdtsc(),
        }
    });
}

/// At the end of boot: output no longer holds up who prints, and what is typed arrives, at dom0 to begin with.
pub fn start_input(options: &Options, firmware: &Firmware) {
    if SERIAL.ports().is_some() {
        let irq = port_irq(options);
        let moved = firmware
            .overrides
            .iter()
            .find(|o| o.bus == 0 && u32::from(o.source) == irq);
        let gsi = moved.map_or(irq, |o| o.gsi);
        if irq != 0 && interrupts::claim_for_console(gsi) {
            SERIAL.use_interrupt();
        } else {
            SERIAL.use_timer();
        }
        if !options.sync_console {
            console::stop_waiting();
        }
    }
    console_input::switch_to(if options.conswitch.stays {
        Reader::Hypervisor
    } else {
        Reader::Dom0
    });
}

/// The interrupt line of the port in use; 0 for none.
fn port_irq(options: &Options) -> u32 {
    let ports = [
        (options.console.com1, &options.com1),
        (options.console.com2, &options.com2),
    ];
    ports
        .iter()
        .find_map(|(is_console, port)| port.as_ref().filter(|_| *is_console))
        .map_or(0, |port| port.irq)
}

/// The port asks, or the timer looks: hands on what was typed, and moves output on.
pub fn serve(hv: &Hypervisor) {
    for _ in 0..ROUNDS {
        for _ in 0..BYTES_AT_ONCE {
            let Some(byte) = SERIAL.receive() else { break };
            typed(hv, byte);
        }
        console::poll();
        // Asked even if it is not for input: reading the reason ends it.
        if !SERIAL.is_asking() {
            return;
        }
    }
    SERIAL.look_again();
}

fn typed(hv: &Hypervisor, byte: u8) {
    match console_input::push(byte) {
        InputAction::ToDom0 => hv.raise_global_virq(VIRQ_CONSOLE),
        InputAction::Hypervisor(key) => hv.press_debug_key(key),
        InputAction::None => {}
    }
}

/// Between two decisions of the scheduler: moves output on, and tells dom0 of new messages (`xenconsoled --log=hv`).
pub fn between_runs(hv: &Hypervisor) {
    console::poll();
    if console::take_news() {
        hv.raise_global_virq(VIRQ_CON_RING);
    }
}
