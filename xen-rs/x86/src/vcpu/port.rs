//! Port accesses that exit.

use xen_core::console;

use super::entry::{Next, Running};
use crate::cpu::instructions::{port_in, port_out};
use crate::domain::X86Domain;

/// Where guests print (hvmloader and microkernels use it; Linux without a console as well).
const DEBUG_PORT: u16 = 0xe9;

/// The counter of the PIT's channel 2. No guest has that device, but on AMD processors Linux looks for it at every boot to calibrate the TSC
/// (`quick_pit_calibrate` in arch/x86/kernel/tsc.c): it reads until the upper byte is no longer 0xff, 100,000 times when what is not there
/// reads as ones. Another value has it give up at the first.
const PIT_COUNTER: u16 = 0x42;

/// Handles a simple IN or OUT.
pub fn handle(running: &mut Running<'_>, port: u16, size: u8, write: bool, next_rip: u64) -> Next {
    let mask = u64::MAX >> (64 - 8 * u32::from(size.clamp(1, 4)));
    let rax = running.state.registers.0[0];
    if write {
        output(running, port, size, (rax & mask) as u32);
    } else {
        let value = u64::from(input(running, port, size)) & mask;
        // A 32-bit result clears the upper half of RAX.
        running.state.registers.0[0] = if size == 4 {
            value
        } else {
            rax & !mask | value
        };
    }
    running.skip_to(next_rip);
    Next::Resume
}

/// Reads a port for the guest. What is not there reads as all ones, but for [`PIT_COUNTER`].
pub fn input(running: &mut Running<'_>, port: u16, size: u8) -> u32 {
    let devices = X86Domain::of(running.domain).devices.as_ref();
    if let Some(value) = devices.and_then(|d| d.port_read(running.hv, running.domain, port, size)) {
        return value;
    }
    if devices.is_some() && is_passed_on(port, size) {
        return port_in(port, size);
    }
    if port == PIT_COUNTER { 0 } else { u32::MAX }
}

/// Writes a port for the guest.
pub fn output(running: &mut Running<'_>, port: u16, size: u8, value: u32) {
    if port == DEBUG_PORT {
        return debug_output(running, value as u8);
    }
    let Some(devices) = X86Domain::of(running.domain).devices.as_ref() else {
        return;
    };
    if !devices.port_write(running.hv, running.domain, port, size, value)
        && is_passed_on(port, size)
    {
        port_out(port, size, value);
    }
}

/// Byte and word accesses to CF8 and CF9 to CFB are not for the configuration model: among them is the reset control register.
fn is_passed_on(port: u16, size: u8) -> bool {
    (0xcf9..=0xcfb).contains(&port) && size == 1
}

fn debug_output(running: &mut Running<'_>, byte: u8) {
    let line = &mut running.state.debug_line;
    if byte != b'\n' && !line.is_full() {
        line.push(byte);
    }
    if byte == b'\n' || line.is_full() {
        console::put_guest_line(running.domain.id.0, running.hv.now_ns(), line);
        line.clear();
    }
}
