//! The serial port as the console's sink: 16550-compatible, polled.
#![allow(unsafe_code, reason = "claims the port's I/O addresses")]

use core::sync::atomic::{AtomicU16, Ordering::Relaxed};

use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::IER;
use uart_16550::{BaudRate, Config, Uart16550};
use xen_core::console::Sink;
use xen_core::lock::{Lock, Rank};

/// Standard address of COM1.
pub const COM1: u16 = 0x3f8;
/// Polls of the line status before a byte is given up: far longer than a byte takes at 9600 baud.
const PATIENCE: u32 = 100_000;

/// The port, once [`Serial::open`] found one. It belongs to the console, whose lock is held around every access.
pub struct Serial {
    base: AtomicU16,
    port: Lock<Option<Uart16550<PioBackend>>>,
}

/// The one console port.
pub static SERIAL: Serial = Serial {
    base: AtomicU16::new(COM1),
    port: Lock::new(Rank::Serial, None),
};

impl Serial {
    /// Takes the port at `base` and sets it to `baud`, 8n1. `false` if no port answers.
    pub fn open(&self, base: u16, baud: u32) -> bool {
        // SAFETY: the port is kept from every domain by the I/O permission map.
        let Ok(mut port) = (unsafe { Uart16550::new_port(base) }) else {
            return false;
        };
        let config = Config {
            baud_rate: BaudRate::from_integer(baud),
            ..Config::DEFAULT
        };
        if port.init(config).is_err() {
            return false;
        }
        *self.port.lock() = Some(port);
        self.base.store(base, Relaxed);
        true
    }

    /// Its first I/O port.
    #[must_use]
    pub fn base(&self) -> u16 {
        self.base.load(Relaxed)
    }

    /// Makes the port interrupt when something is typed.
    pub fn interrupt_on_input(&self) {
        if let Some(port) = self.port.lock().as_mut() {
            port.enable_interrupts(IER::DATA_READY);
        }
    }

    /// A byte that arrived, if any.
    pub fn receive(&self) -> Option<u8> {
        self.port.lock().as_mut()?.try_receive_byte().ok()
    }
}

fn send(port: &mut Uart16550<PioBackend>, byte: u8) {
    for _ in 0..PATIENCE {
        if port.try_send_byte(byte).is_ok() {
            return;
        }
        core::hint::spin_loop();
    }
}

impl Sink for Serial {
    fn put(&self, bytes: &[u8]) {
        let mut port = self.port.lock();
        let Some(port) = port.as_mut() else { return };
        for &byte in bytes {
            if byte == b'\n' {
                send(port, b'\r');
            }
            send(port, byte);
        }
    }
}
