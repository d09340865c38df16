//! A dom0 that does what is typed: says which character came, and with some of them ends in a certain way or prints much.
#![no_std]
#![no_main]

use guests::{Start, hypercall, println};
use xen_abi::sched::{
    SCHEDOP_YIELD, SHUTDOWN_CRASH, SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT, SHUTDOWN_SUSPEND,
};
use xen_abi::xen::{CONSOLEIO_READ, HYPERVISOR_CONSOLE_IO, HYPERVISOR_SCHED_OP};

guests::entry!(main);

/// Lines that are much: more than any queue to a serial port holds.
const MANY: u32 = 2000;

fn main(_start: Start) -> ! {
    println!("OPERATOR waits");
    loop {
        let mut bytes = [0u8; 16];
        for &byte in typed(&mut bytes) {
            act(byte);
        }
        let _ = hypercall::raw(
            HYPERVISOR_SCHED_OP.into(),
            [SCHEDOP_YIELD.into(), 0, 0, 0, 0],
        );
    }
}

/// What came since the last call.
fn typed(into: &mut [u8]) -> &[u8] {
    let args = [
        CONSOLEIO_READ.into(),
        into.len() as u64,
        into.as_mut_ptr() as u64,
        0,
        0,
    ];
    let len = hypercall::raw(HYPERVISOR_CONSOLE_IO.into(), args);
    &into[..usize::try_from(len).unwrap_or(0)]
}

fn act(byte: u8) {
    println!("OPERATOR got {:?}", char::from(byte));
    match byte {
        b'p' => hypercall::shutdown(SHUTDOWN_POWEROFF),
        b'c' => hypercall::shutdown(SHUTDOWN_CRASH),
        b'r' => hypercall::shutdown(SHUTDOWN_REBOOT),
        b's' => hypercall::shutdown(SHUTDOWN_SUSPEND),
        b'm' => (0..MANY).for_each(|n| println!("OPERATOR line {n} of {MANY}")),
        _ => {}
    }
}
