//! What is behind the console's lock: ring, queue, and how a line comes into both. Nothing here waits.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::cmdline::Timestamps;
use crate::message_limit::MessageLimit;

use super::Sink;
use super::ring::Ring;
use super::stamp::{Stamp, now};
use super::transmit::Transmit;

/// Room in the queue that a message of the hypervisor's waits for; few lines are longer.
const LINE_ROOM: usize = 1024;

/// Something waits in the queue: a hint that can be read without the lock.
pub static WAITING: AtomicBool = AtomicBool::new(false);
/// The ring has got something since this was cleared.
pub static NEWS: AtomicBool = AtomicBool::new(false);

/// When queued bytes leave.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whoever printed waits until they are out.
    Polled,
    /// The device's interrupt, a timer or the next printer moves them.
    Queued,
}

/// The console.
pub struct State {
    pub ring: Ring,
    pub transmit: Transmit,
    pub sink: Option<&'static dyn Sink>,
    pub mode: Mode,
    pub timestamps: Timestamps,
    /// For messages between the two thresholds: ten at once and then one in five seconds, as `printk_ratelimit` of Xen allows.
    pub limit: MessageLimit,
    /// For messages about guests however much is asked for: some at once, then one a second.
    pub guest_messages: MessageLimit,
    /// For lines that guests write: some more, so that a guest that makes the hypervisor complain can still say what it does.
    pub guest_lines: MessageLimit,
    at_line_start: bool,
    /// Lines that guests caused and that were dropped, not noted yet.
    dropped_lines: u64,
}

impl State {
    pub const fn new() -> Self {
        Self {
            ring: Ring::EMPTY,
            transmit: Transmit::EMPTY,
            sink: None,
            mode: Mode::Polled,
            timestamps: Timestamps::None,
            limit: MessageLimit::new(10, 5000),
            guest_messages: MessageLimit::new(60, 1000),
            guest_lines: MessageLimit::new(100, 100),
            at_line_start: true,
            dropped_lines: 0,
        }
    }

    pub fn put(&mut self, bytes: &[u8]) {
        self.ring.put(bytes);
        NEWS.store(true, Ordering::Relaxed);
        self.put_to_sink(bytes);
    }

    pub fn put_to_sink(&mut self, bytes: &[u8]) {
        if self.sink.is_some() {
            self.transmit.push(bytes);
        }
        if let Some(last) = bytes.last() {
            self.at_line_start = *last == b'\n';
        }
    }

    /// A line of the hypervisor's; one with line feeds becomes several.
    pub fn line(&mut self, text: fmt::Arguments<'_>) {
        self.end_line();
        // Writing to the ring cannot fail.
        let _ = writeln!(Prefixed(self), "{text}");
    }

    /// A line that a guest writes, with the guest's number in front and without unprintable bytes.
    pub fn guest_line(&mut self, domid: u16, bytes: &[u8]) {
        self.end_line();
        let form = self.timestamps;
        // Writing to the ring cannot fail.
        let _ = write!(Raw(self), "(d{domid}) {}", Stamp { form, now: now() });
        for &byte in bytes {
            if byte == b'\t' || (b' '..=b'~').contains(&byte) {
                self.put(&[byte]);
            }
        }
        self.put(b"\n");
    }

    fn end_line(&mut self) {
        if !self.at_line_start {
            self.put(b"\n");
        }
    }

    /// Moves bytes on to the sink.
    pub fn pump(&mut self) {
        if let Some(sink) = self.sink {
            self.transmit.pump(sink, self.mode == Mode::Queued);
        }
        WAITING.store(self.transmit.waiting() > 0, Ordering::Relaxed);
    }

    /// Whether a message that `chosen` counts may be printed now; if so, says how many were not.
    pub fn is_within_limit(&mut self, chosen: fn(&Self) -> &MessageLimit, now_ns: u64) -> bool {
        let Some(missed) = chosen(self).pass(now_ns) else {
            return false;
        };
        if missed > 0 {
            self.line(format_args!("printk: {missed} messages suppressed"));
        }
        true
    }

    /// A line that a guest caused is dropped, for want of room.
    pub fn drop_guest_line(&mut self) {
        self.dropped_lines = self.dropped_lines.saturating_add(1);
    }

    /// Says what was lost, now that there is room to say it.
    pub fn note_losses(&mut self) {
        if self.transmit.room() < self.transmit.size() / 2 {
            return;
        }
        let (lines, bytes) = (
            core::mem::take(&mut self.dropped_lines),
            self.transmit.take_lost(),
        );
        if lines > 0 {
            self.line(format_args!(
                "console: {lines} lines of guests dropped, there was no room"
            ));
        }
        if bytes > 0 {
            self.line(format_args!(
                "console: {bytes} bytes did not reach the serial port"
            ));
        }
    }

    /// Whether the hypervisor may print a line now, or need not wait any longer.
    pub fn has_room_for_a_line(&self) -> bool {
        self.sink.is_none() || self.transmit.room() >= LINE_ROOM || self.transmit.is_stuck()
    }

    /// Whether something that a guest caused may be queued: half of the queue is the hypervisor's own.
    pub fn has_room_for_guests(&self) -> bool {
        self.sink.is_none()
            || self.mode == Mode::Polled
            || self.transmit.room() >= self.transmit.size() / 2
    }
}

/// Begins every line with `(XEN)` and, if wanted, the time.
struct Prefixed<'a>(&'a mut State);

struct Raw<'a>(&'a mut State);

impl Write for Raw<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put(text.as_bytes());
        Ok(())
    }
}

impl Write for Prefixed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive('\n') {
            if self.0.at_line_start {
                let form = self.0.timestamps;
                write!(Raw(self.0), "(XEN) {}", Stamp { form, now: now() })?;
            }
            self.0.put(line.as_bytes());
        }
        Ok(())
    }
}
