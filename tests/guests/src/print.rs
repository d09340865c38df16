//! Text for whoever reads the hypervisor's console: by `console_io` from dom0, by the debug port from any other domain.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use xen_abi::xen::{CONSOLEIO_WRITE, HYPERVISOR_CONSOLE_IO, XEN_HVM_DEBUGCONS_IOPORT};

use crate::{cpu, hypercall};

static USES_PORT: AtomicBool = AtomicBool::new(false);

/// From now on by the debug port.
pub fn to_port() {
    USES_PORT.store(true, Ordering::Relaxed);
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !USES_PORT.load(Ordering::Relaxed) {
            let args = [
                CONSOLEIO_WRITE.into(),
                text.len() as u64,
                text.as_ptr() as u64,
                0,
                0,
            ];
            if hypercall::raw(HYPERVISOR_CONSOLE_IO.into(), args) == 0 {
                return Ok(());
            }
            to_port();
        }
        for byte in text.bytes() {
            let _ = cpu::port_out(XEN_HVM_DEBUGCONS_IOPORT, 1, byte.into());
        }
        Ok(())
    }
}

/// What [`println!`] expands to.
pub fn print(text: fmt::Arguments<'_>) {
    // The console never fails.
    let _ = Console.write_fmt(text);
}

/// Prints a line.
#[macro_export]
macro_rules! println {
    ($($text:tt)*) => { $crate::print::print(format_args!("{}\n", format_args!($($text)*))) };
}
