//! The hypervisor's console: a ring that `xl dmesg` reads, and one sink (the serial port) that sees everything at once.
//!
//! Messages carry a level; thresholds come from `loglvl=` and, for what guests cause, `guest_loglvl=` (docs of Xen 4.20, "loglvl"). What
//! guests cause is also limited in rate, so that no guest can drown the log.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};

use crate::lock::{Lock, Rank};
use crate::message_limit::MessageLimit;

/// Bytes kept for `xl dmesg` (Xen's default `conring_size`).
pub const RING_SIZE: usize = 16384;
/// Messages about guests: some at once, then one a second.
static GUEST_MESSAGES: MessageLimit = MessageLimit::new(60, 1000);
/// Lines that guests write themselves: some more, so that a guest that makes the hypervisor complain can still say what it does.
static GUEST_LINES: MessageLimit = MessageLimit::new(100, 100);

/// How much a message matters; smaller matters more.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is odd.
    Warning = 2,
    /// Progress.
    Info = 3,
    /// Detail.
    Debug = 4,
}

/// Where console bytes go besides the ring.
pub trait Sink: Sync {
    /// Writes bytes; may wait for the device, never for a lock.
    fn put(&self, bytes: &[u8]);
}

struct State {
    ring: [u8; RING_SIZE],
    /// Bytes ever written; the ring holds the last [`RING_SIZE`] of them.
    produced: u64,
    /// Where reading from the oldest byte starts.
    start: u64,
    sink: Option<&'static dyn Sink>,
    at_line_start: bool,
}

impl State {
    const EMPTY: Self = Self {
        ring: [0; RING_SIZE],
        produced: 0,
        start: 0,
        sink: None,
        at_line_start: true,
    };
}

#[cfg(not(test))]
static CONSOLE: Lock<State> = Lock::new(Rank::Console, State::EMPTY);

/// The console.
#[cfg(not(test))]
fn console() -> &'static Lock<State> {
    &CONSOLE
}

/// Each test thread has its own, so that tests do not see what others print.
#[cfg(test)]
fn console() -> &'static Lock<State> {
    std::thread_local!(static CONSOLE: &'static Lock<State> =
        alloc::boxed::Box::leak(alloc::boxed::Box::new(Lock::new(Rank::Console, State::EMPTY))));
    CONSOLE.with(|console| *console)
}

static LOG_LEVEL: AtomicU8 = AtomicU8::new(Level::Warning as u8);
static GUEST_LEVEL: AtomicU8 = AtomicU8::new(Level::Error as u8);

/// Sends everything from now on to `sink` as well.
pub fn set_sink(sink: &'static dyn Sink) {
    console().lock().sink = Some(sink);
}

/// Sets the thresholds: messages of these levels (1 to 4) and below are shown, 0 shows none.
pub fn set_levels(own: u8, guest: u8) {
    LOG_LEVEL.store(own, Ordering::Relaxed);
    GUEST_LEVEL.store(guest, Ordering::Relaxed);
}

impl State {
    fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.ring[(self.produced % RING_SIZE as u64) as usize] = byte;
            self.produced += 1;
        }
        self.start = self
            .start
            .max(self.produced.saturating_sub(RING_SIZE as u64));
        self.put_to_sink(bytes);
    }

    fn put_to_sink(&mut self, bytes: &[u8]) {
        if let Some(sink) = self.sink {
            sink.put(bytes);
        }
        if let Some(last) = bytes.last() {
            self.at_line_start = *last == b'\n';
        }
    }
}

/// Prefixes every line.
struct Prefixed<'a> {
    state: &'a mut State,
    prefix: fmt::Arguments<'a>,
}

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
            if self.state.at_line_start {
                Raw(self.state).write_fmt(self.prefix)?;
            }
            self.state.put(line.as_bytes());
        }
        Ok(())
    }
}

/// Prints a line of the hypervisor's own, whatever the level.
pub fn print(text: fmt::Arguments<'_>) {
    let mut state = console().lock();
    if !state.at_line_start {
        state.put(b"\n");
    }
    // Writing to the ring cannot fail.
    let _ = writeln!(
        Prefixed {
            state: &mut state,
            prefix: format_args!("(XEN) ")
        },
        "{text}"
    );
}

/// Prints a line of the hypervisor's own if `loglvl=` lets it.
pub fn log(level: Level, text: fmt::Arguments<'_>) {
    if level as u8 <= LOG_LEVEL.load(Ordering::Relaxed) {
        print(text);
    }
}

/// Prints a line that a guest caused, if `guest_loglvl=` and the rate limit let it.
pub fn log_guest(level: Level, now_ns: u64, text: fmt::Arguments<'_>) {
    if level as u8 <= GUEST_LEVEL.load(Ordering::Relaxed) && may_print(&GUEST_MESSAGES, now_ns) {
        print(text);
    }
}

/// Whether a message within this limit may be printed; says how many were not.
fn may_print(limit: &MessageLimit, now_ns: u64) -> bool {
    let Some(dropped) = limit.pass(now_ns) else {
        return false;
    };
    if dropped > 0 {
        print(format_args!("{dropped} messages of guests suppressed"));
    }
    true
}

/// Passes on bytes that dom0 writes to the console, without a prefix, and keeps them in the ring (`console_to_ring`).
pub fn put_raw(bytes: &[u8]) {
    console().lock().put(bytes);
}

/// The same without the ring, which then has more room for the hypervisor's own messages.
pub fn put_to_sink(bytes: &[u8]) {
    console().lock().put_to_sink(bytes);
}

/// Passes on a line that a guest other than dom0 writes, with its number in front and unprintable bytes replaced.
pub fn put_guest_line(domid: u16, now_ns: u64, bytes: &[u8]) {
    let shown = GUEST_LEVEL.load(Ordering::Relaxed) >= Level::Debug as u8;
    if !shown || !may_print(&GUEST_LINES, now_ns) {
        return;
    }
    let mut state = console().lock();
    if !state.at_line_start {
        state.put(b"\n");
    }
    // Writing to the ring cannot fail.
    let _ = write!(Raw(&mut state), "(XEN) (d{domid}) ");
    for &byte in bytes {
        state.put(&[if byte == b'\t' || (b' '..=b'~').contains(&byte) {
            byte
        } else {
            b'?'
        }]);
    }
    state.put(b"\n");
}

/// Copies ring contents from byte number `from` on (clamped to what is still there) into `into`. Returns the bytes copied and the number of
/// the byte after the last one.
#[must_use]
pub fn read(from: u64, into: &mut [u8]) -> (usize, u64) {
    let state = console().lock();
    let from = from.clamp(state.start, state.produced);
    let len = into.len().min((state.produced - from) as usize);
    for (offset, byte) in into[..len].iter_mut().enumerate() {
        *byte = state.ring[((from + offset as u64) % RING_SIZE as u64) as usize];
    }
    (len, from + len as u64)
}

/// Forgets everything written so far, as `xl dmesg -c` does.
pub fn clear() {
    let mut state = console().lock();
    state.start = state.produced;
}

/// Lets a dying machine print even if a lock holder will never come back.
pub fn print_while_dying(text: fmt::Arguments<'_>) {
    if let Some(mut state) = (0..1_000_000).find_map(|_| console().try_lock()) {
        // Writing to the ring cannot fail.
        let _ = writeln!(
            Prefixed {
                state: &mut state,
                prefix: format_args!("(XEN) ")
            },
            "{text}"
        );
    }
}

/// Prints an error.
#[macro_export]
macro_rules! error { ($($arg:tt)*) => { $crate::console::log($crate::console::Level::Error, format_args!($($arg)*)) }; }
/// Prints a warning.
#[macro_export]
macro_rules! warning { ($($arg:tt)*) => { $crate::console::log($crate::console::Level::Warning, format_args!($($arg)*)) }; }
/// Prints progress.
#[macro_export]
macro_rules! info { ($($arg:tt)*) => { $crate::console::log($crate::console::Level::Info, format_args!($($arg)*)) }; }
/// Prints detail.
#[macro_export]
macro_rules! debug { ($($arg:tt)*) => { $crate::console::log($crate::console::Level::Debug, format_args!($($arg)*)) }; }

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn everything_after(from: u64) -> String {
        let mut bytes = [0; RING_SIZE];
        let (len, _) = read(from, &mut bytes);
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    // The ring is one per machine, so one test walks through it.
    #[test]
    fn ring_keeps_the_newest_bytes_and_prefixes_lines() {
        print(format_args!("one\ntwo"));
        assert!(everything_after(0).ends_with("(XEN) one\n(XEN) two\n"));
        put_raw(b"half");
        print(format_args!("own"));
        assert!(everything_after(0).ends_with("half\n(XEN) own\n"));
        set_levels(2, Level::Debug as u8);
        put_guest_line(7, 0, b"a\x1b[b");
        assert!(everything_after(0).ends_with("(XEN) (d7) a?[b\n"));
        for n in 0..RING_SIZE {
            print(format_args!("{n}"));
        }
        assert_eq!(everything_after(0).len(), RING_SIZE);
        clear();
        assert_eq!(everything_after(0), "");
    }
}
