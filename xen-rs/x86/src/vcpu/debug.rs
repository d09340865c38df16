//! MOV to and from debug registers, where the processor leaves them to the hypervisor: emulated ones do, see [`super::svm_backend`].
//!
//! Privilege, register numbers and the high halves are checked before. Semantics: AMD APM volume 2, "Debug Registers" and "General Detect".

use x86_emu::Fault;

use super::backend::Backend;
use super::entry::Running;

const DEBUG: u8 = 1;
const DR6_ONES: u64 = 0xffff_0ff0;
/// B0 to B3, BD, BS, BT.
const DR6_WRITABLE: u64 = 0xe00f;
/// BD: a debug register was about to be accessed.
const DR6_DETECTED: u64 = 1 << 13;
const DR7_ONES: u64 = 0x400;
/// Enables, LE, GE, GD, conditions and lengths.
const DR7_WRITABLE: u64 = 0xffff_23ff;
/// GD: accesses to debug registers raise #DB.
const DR7_DETECT: u64 = 1 << 13;

/// Reads DR0 to DR3, DR6 or DR7.
pub fn read(running: &mut Running<'_>, number: u8) -> Result<u64, Fault> {
    detect(running)?;
    let (dr6, dr7) = running.state.hw.debug_control();
    Ok(match number {
        0..=3 => running.state.extended.debug_address(number.into()),
        6 => dr6,
        _ => dr7,
    })
}

/// Writes DR0 to DR3, DR6 or DR7.
pub fn write(running: &mut Running<'_>, number: u8, value: u64) -> Result<(), Fault> {
    detect(running)?;
    let hw = &mut running.state.hw;
    let (dr6, dr7) = hw.debug_control();
    match number {
        0..=3 => {
            let extended = &mut running.state.extended;
            extended.set_debug_address(number.into(), value);
        }
        6 => hw.set_debug_control(value & DR6_WRITABLE | DR6_ONES, dr7),
        _ => hw.set_debug_control(dr6, value & DR7_WRITABLE | DR7_ONES),
    }
    Ok(())
}

/// #DB instead of the access if the guest asked for it, which ends with that.
fn detect(running: &mut Running<'_>) -> Result<(), Fault> {
    let hw = &mut running.state.hw;
    let (dr6, dr7) = hw.debug_control();
    if dr7 & DR7_DETECT == 0 {
        return Ok(());
    }
    hw.set_debug_control(dr6 | DR6_DETECTED, dr7 & !DR7_DETECT);
    Err(Fault::Exception {
        vector: DEBUG,
        error_code: None,
        cr2: None,
    })
}

#[cfg(test)]
mod tests {
    use crate::vcpu::testing::{CODE, Guest};
    use crate::vcpu::{Backend, Event, Exit};

    const RAX: usize = 0;
    const RDX: usize = 2;

    /// Executes the instruction at [`CODE`], which the processor left to the hypervisor.
    fn execute(guest: &Guest, code: &[u8]) {
        guest.put(CODE, code);
        guest.with(|r| {
            r.state.hw.set_rip(CODE);
            r.state.pending = None;
        });
        guest.exit(Exit::Emulate);
    }

    fn rip(guest: &Guest) -> u64 {
        guest.with(|r| r.state.hw.rip())
    }

    const FROM_RAX: [[u8; 3]; 4] = [
        [0x0f, 0x23, 0xc0],
        [0x0f, 0x23, 0xd8],
        [0x0f, 0x23, 0xf0],
        [0x0f, 0x23, 0xf8],
    ];
    const TO_RDX: [[u8; 3]; 4] = [
        [0x0f, 0x21, 0xc2],
        [0x0f, 0x21, 0xda],
        [0x0f, 0x21, 0xf2],
        [0x0f, 0x21, 0xfa],
    ];

    #[test]
    fn what_is_written_is_read_but_for_reserved_bits() {
        let guest = Guest::new();
        let written = 0x1234_5678_u64;
        let read = [written, written, 0xffff_4ff8, 0x1234_0678];
        for ((write, look), expected) in FROM_RAX.iter().zip(&TO_RDX).zip(read) {
            guest.set(&[(RAX, written), (RDX, 0)]);
            execute(&guest, write);
            assert_eq!(rip(&guest), CODE + 3);
            execute(&guest, look);
            assert_eq!(guest.register(RDX), expected);
        }
    }

    #[test]
    fn an_access_is_detected_once_if_the_guest_asks_for_it() {
        let guest = Guest::new();
        guest.set(&[(RAX, 1 << 13), (RDX, 0)]);
        execute(&guest, &FROM_RAX[3]);
        execute(&guest, &TO_RDX[0]);
        let debug = Event::Exception {
            vector: 1,
            error_code: None,
        };
        let (pending, control) = guest.with(|r| (r.state.pending, r.state.hw.debug_control()));
        assert_eq!((pending, rip(&guest)), (Some(debug), CODE));
        assert_eq!(control, (0xffff_2ff0, 0x400));
        execute(&guest, &TO_RDX[3]);
        assert_eq!(guest.register(RDX), 0x400);
    }
}
