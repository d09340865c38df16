//! The serial port as the console's sink: a 16550 at I/O ports, which interrupts when it can send more or has received something. Without an
//! interrupt line a timer looks at it.
//!
//! The queue of what is to be sent is the console's (`xen_core::console`); this module moves bytes between it and the port's 16-byte queues.
#![allow(unsafe_code, reason = "claims the port's I/O addresses")]

use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};

use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::{IER, ISR, Parity as UartParity, WordLength};
use uart_16550::{BaudRate, Config, Uart16550};
use xen_core::cmdline::{Baud, Parity, SerialPlace, SerialPort};
use xen_core::console::{self, Sink};
use xen_core::lock::{Lock, Rank};

use crate::cpu::instructions::{port_in, port_out};
use crate::cpu::percpu::this_cpu;
use crate::time;

/// Line status register, and its bit for an empty transmitter (16550 datasheet).
const LINE_STATUS: u16 = 5;
const TRANSMITTER_READY: u32 = 1 << 5;
/// Polls of the line status before a byte is given up, when dying: far longer than a byte takes at 1200 baud.
const DYING_PATIENCE: u32 = 100_000;
/// What the port queues by itself.
const FIFO_SIZE: u64 = 16;
/// How long an interrupt may be overdue before a timer looks, should one have been lost.
const OVERDUE_NS: u64 = 20_000_000;

/// The port, once [`Serial::open`] found one.
pub struct Serial {
    base: AtomicU16,
    port: Lock<Option<Uart16550<PioBackend>>>,
    /// There is no interrupt: the timer looks for input as well.
    is_polled: AtomicBool,
    /// Time between two looks of the timer, and when the last one was.
    interval_ns: AtomicU64,
    last_look_ns: AtomicU64,
    /// Something was left undone, of which no interrupt will tell.
    is_unfinished: AtomicBool,
}

/// The one console port.
pub static SERIAL: Serial = Serial {
    base: AtomicU16::new(0),
    port: Lock::new(Rank::Serial, None),
    is_polled: AtomicBool::new(false),
    interval_ns: AtomicU64::new(OVERDUE_NS),
    last_look_ns: AtomicU64::new(0),
    is_unfinished: AtomicBool::new(false),
};

impl Serial {
    /// Takes the port and sets it up as asked.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open(&self, asked: &SerialPort) -> Result<(), &'static str> {
        let base = match asked.place {
            SerialPlace::Base(base) => {
                u16::try_from(base).map_err(|_| "only ports in I/O space are supported")?
            }
            _ => return Err("ports on PCI devices are not supported"),
        };
        if asked.reg_shift != 0 || asked.reg_width != 1 {
            return Err("only registers one byte apart are supported");
        }
        // SAFETY: the port is kept from every domain by the I/O permission map.
        let mut port = unsafe { Uart16550::new_port(base) }.map_err(|_| "no such I/O ports")?;
        let config = config(asked, &mut port)?;
        let bits_per_s = u64::from(config.baud_rate.to_integer().max(1));
        port.init(config)
            .map_err(|_| "no port answers, or not at this speed")?;
        *self.port.lock() = Some(port);
        self.base.store(base, Relaxed);
        self.interval_ns
            .store(FIFO_SIZE * 10 * 1_000_000_000 / bits_per_s, Relaxed);
        Ok(())
    }

    /// Its I/O ports, if it is in use.
    #[must_use]
    pub fn ports(&self) -> Option<(u16, u32)> {
        let base = self.base.load(Relaxed);
        (base != 0).then_some((base, 8))
    }

    /// From now on the port interrupts when something is typed or it can send more.
    pub fn use_interrupt(&self) {
        self.interval_ns.store(OVERDUE_NS, Relaxed);
        if let Some(port) = self.port.lock().as_mut() {
            port.enable_interrupts(IER::DATA_READY);
        }
    }

    /// From now on a timer looks at the port.
    pub fn use_timer(&self) {
        self.is_polled.store(true, Relaxed);
    }

    /// A byte that arrived, if any.
    pub fn receive(&self) -> Option<u8> {
        self.port.lock().as_mut()?.try_receive_byte().ok()
    }

    /// Whether the port has a reason to interrupt. Its line is edge-triggered: until the answer is no, there is no new edge.
    pub fn is_asking(&self) -> bool {
        let status = self.port.lock().as_mut().map(Uart16550::isr);
        status.is_some_and(|status| !status.contains(ISR::INTERRUPT_STATUS))
    }

    /// Work is left: the next timer looks again.
    pub fn look_again(&self) {
        self.is_unfinished.store(true, Relaxed);
    }

    /// When this CPU's timer should look at the port; `u64::MAX` for not at all.
    #[must_use]
    pub fn next_look_ns(&self) -> u64 {
        if console::is_waiting()
            || self.is_unfinished.load(Relaxed)
            || (self.is_polled.load(Relaxed) && this_cpu().id.0 == 0)
        {
            self.last_look_ns
                .load(Relaxed)
                .saturating_add(self.interval_ns.load(Relaxed))
        } else {
            u64::MAX
        }
    }

    /// Whether that time has come; then it starts anew.
    pub fn is_look_due(&self) -> bool {
        let due = self.next_look_ns();
        let is_due = due != u64::MAX && due <= time::now_ns();
        if is_due {
            self.is_unfinished.store(false, Relaxed);
            self.last_look_ns.store(time::now_ns(), Relaxed);
        }
        is_due
    }
}

fn config(asked: &SerialPort, port: &mut Uart16550<PioBackend>) -> Result<Config, &'static str> {
    let baud = match asked.baud {
        Baud::Rate(rate) => rate,
        Baud::Auto => {
            let (low, high) = port.dll_dlm();
            let divisor = u32::from(u16::from_le_bytes([low, high]));
            (asked.clock_hz / 16)
                .checked_div(divisor)
                .ok_or("firmware has set no speed")?
        }
    };
    Ok(Config {
        frequency: asked.clock_hz,
        baud_rate: BaudRate::from_integer(baud),
        data_bits: match asked.data_bits {
            5 => WordLength::FiveBits,
            6 => WordLength::SixBits,
            7 => WordLength::SevenBits,
            _ => WordLength::EightBits,
        },
        extra_stop_bits: asked.stop_bits == 2,
        parity: match asked.parity {
            Parity::None => UartParity::Disabled,
            Parity::Odd => UartParity::Odd,
            Parity::Even => UartParity::Even,
            Parity::Mark => UartParity::Forced1,
            Parity::Space => UartParity::Forced0,
        },
        ..Config::DEFAULT
    })
}

impl Sink for Serial {
    fn send(&self, bytes: &[u8]) -> usize {
        // Somebody else may just be receiving; and who stopped with the lock held must not hold up a dying machine.
        let Some(mut port) = self.port.try_lock() else {
            return 0;
        };
        port.as_mut().map_or(0, |port| port.send_bytes(bytes))
    }

    fn announce(&self, wanted: bool) {
        if self.is_polled.load(Relaxed) {
            return;
        }
        if let Some(port) = self.port.lock().as_mut() {
            if wanted {
                port.enable_interrupts(IER::THR_EMPTY);
            } else {
                port.disable_interrupts(IER::THR_EMPTY);
            }
        }
    }

    fn send_dying(&self, bytes: &[u8]) {
        let Some((base, _)) = self.ports() else {
            return;
        };
        for &byte in bytes {
            let is_ready = |_: &u32| port_in(base + LINE_STATUS, 1) & TRANSMITTER_READY != 0;
            if (0..DYING_PATIENCE).any(|n| is_ready(&n)) {
                port_out(base, 1, u32::from(byte));
            }
        }
    }
}
