//! The hypervisor's console: a ring that `xl dmesg` reads, and one sink (the serial port).
//!
//! A line is put into the ring and into the sink's queue under one lock, so lines of several CPUs never mix, and nobody waits for the
//! device under the lock. What leaves the queue when is decided by [`Mode`]: while the machine boots, with `sync_console` and when it
//! dies, a printer stays until its line is out; otherwise the device's interrupt or a timer empties the queue ([`poll`]). If the queue
//! is full the hypervisor's own messages wait for room, dom0's output is taken in parts ([`put_raw`]), and what other guests cause is
//! dropped, counted and noted, so that no guest can hold up the hypervisor or drown its messages.
//!
//! Messages carry a level; thresholds come from `loglvl=` and, for what guests cause, `guest_loglvl=` (docs of Xen 4.20, "loglvl").

mod ring;
mod stamp;
mod transmit;

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use spin::Once;

use crate::cmdline::{LogThreshold, Timestamps};
use crate::lock::{Guard, Lock, Rank};
use crate::message_limit::MessageLimit;

use ring::Ring;
use stamp::Stamp;
use transmit::Transmit;

pub use ring::RING_SIZE;
pub use stamp::Now;
pub use transmit::QUEUE_SIZE;

/// Room in the queue that a message of the hypervisor's waits for; few lines are longer.
const LINE_ROOM: usize = 1024;
/// Attempts to get the console's lock when dying, longer than anybody keeps it.
const DYING_PATIENCE: u32 = 1_000_000;

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
    /// Gives the device what it takes at once, without waiting; returns how many bytes that were.
    fn send(&self, bytes: &[u8]) -> usize;
    /// Asks the device to say when it can take more (which leads to [`poll`]), or not to.
    fn announce(&self, wanted: bool);
    /// Sends bytes without any lock, waiting for the device: for a machine that dies and cannot get its locks.
    fn send_dying(&self, bytes: &[u8]);
}

/// When queued bytes leave.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Mode {
    /// Whoever printed waits until they are out.
    Polled,
    /// The device's interrupt, a timer or the next printer moves them.
    Queued,
}

struct State {
    ring: Ring,
    transmit: Transmit,
    sink: Option<&'static dyn Sink>,
    mode: Mode,
    at_line_start: bool,
    timestamps: Timestamps,
    /// For messages between the two thresholds: ten at once and then one in five seconds, as `printk_ratelimit` of Xen allows.
    limit: MessageLimit,
    /// For messages about guests however much is asked for: some at once, then one a second.
    guest_messages: MessageLimit,
    /// For lines that guests write: some more, so that a guest that makes the hypervisor complain can still say what it does.
    guest_lines: MessageLimit,
    /// Lines that guests caused and that were dropped, not noted yet.
    dropped_lines: u64,
}

impl State {
    const fn new() -> Self {
        Self {
            ring: Ring::EMPTY,
            transmit: Transmit::EMPTY,
            sink: None,
            mode: Mode::Polled,
            at_line_start: true,
            timestamps: Timestamps::None,
            limit: MessageLimit::new(10, 5000),
            guest_messages: MessageLimit::new(60, 1000),
            guest_lines: MessageLimit::new(100, 100),
            dropped_lines: 0,
        }
    }
}

#[cfg(not(test))]
static CONSOLE: Lock<State> = Lock::new(Rank::Console, State::new());

/// The console.
#[cfg(not(test))]
fn console() -> &'static Lock<State> {
    &CONSOLE
}

#[cfg(test)]
std::thread_local! {
    /// Each test thread has its own, so that tests do not see what others print.
    static OWN: core::cell::Cell<Option<&'static Lock<State>>> = const { core::cell::Cell::new(None) };
}

#[cfg(test)]
fn console() -> &'static Lock<State> {
    OWN.get().unwrap_or_else(|| {
        let new = alloc::boxed::Box::new(Lock::new(Rank::Console, State::new()));
        let console = alloc::boxed::Box::leak(new);
        OWN.set(Some(console));
        console
    })
}

/// Thresholds, see [`LogThreshold`].
static LOWER: AtomicU8 = AtomicU8::new(LogThreshold::HYPERVISOR.lower);
static UPPER: AtomicU8 = AtomicU8::new(LogThreshold::HYPERVISOR.upper);
static GUEST_LOWER: AtomicU8 = AtomicU8::new(LogThreshold::GUEST.lower);
static GUEST_UPPER: AtomicU8 = AtomicU8::new(LogThreshold::GUEST.upper);
/// Something waits in the queue: a hint that can be read without the lock.
static WAITING: AtomicBool = AtomicBool::new(false);
/// The ring has got something since [`take_news`].
static NEWS: AtomicBool = AtomicBool::new(false);
static CLOCKS: Once<fn() -> Now> = Once::new();
/// The sink once more, for when the lock cannot be had.
static LAST_RESORT: Once<&'static dyn Sink> = Once::new();
/// The lock's holder will never give it back.
static LOCK_IS_LOST: AtomicBool = AtomicBool::new(false);

/// Sends everything from now on to `sink` as well, waiting for it until [`stop_waiting`].
pub fn set_sink(sink: &'static dyn Sink) {
    LAST_RESORT.call_once(|| sink);
    console().lock().sink = Some(sink);
}

/// Sets the thresholds for the hypervisor's messages and for those that guests cause.
pub fn set_levels(own: LogThreshold, guest: LogThreshold) {
    LOWER.store(own.lower, Ordering::Relaxed);
    UPPER.store(own.upper, Ordering::Relaxed);
    GUEST_LOWER.store(guest.lower, Ordering::Relaxed);
    GUEST_UPPER.store(guest.upper, Ordering::Relaxed);
}

/// Sets what stands before each line (`console_timestamps=`).
pub fn set_timestamps(form: Timestamps) {
    console().lock().timestamps = form;
}

/// Tells how to read the clocks, once they run.
pub fn set_clocks(read: fn() -> Now) {
    CLOCKS.call_once(|| read);
}

/// Gives the ring (`conring_size`) and the queue (`serial_tx_buffer`) more room. Empty slices change nothing.
pub fn grow(ring: &'static mut [u8], queue: &'static mut [u8]) {
    let mut state = console().lock();
    state.ring.grow(ring);
    state.transmit.grow(queue);
}

/// From now on printers do not wait for the sink: somebody calls [`poll`] when it announces that it can take more.
pub fn stop_waiting() {
    console().lock().mode = Mode::Queued;
}

/// Bytes that the ring keeps.
#[must_use]
pub fn ring_size() -> usize {
    console().lock().ring.size()
}

/// Moves queued bytes on. Returns at once if there is nothing to do.
pub fn poll() {
    if is_waiting() {
        console().lock().pump();
    }
}

/// Whether bytes wait for the sink.
#[cfg(not(test))]
#[must_use]
pub fn is_waiting() -> bool {
    WAITING.load(Ordering::Relaxed)
}

/// As above, without the hint, which all test threads share.
#[cfg(test)]
#[must_use]
pub fn is_waiting() -> bool {
    console().lock().transmit.waiting() > 0
}

/// Whether the ring has got something since the last call (for `VIRQ_CON_RING`).
#[must_use]
pub fn take_news() -> bool {
    NEWS.load(Ordering::Relaxed) && NEWS.swap(false, Ordering::Relaxed)
}

fn now() -> Now {
    CLOCKS.get().map_or(Now::default(), |read| read())
}

impl State {
    fn put(&mut self, bytes: &[u8]) {
        self.ring.put(bytes);
        NEWS.store(true, Ordering::Relaxed);
        self.put_to_sink(bytes);
    }

    fn put_to_sink(&mut self, bytes: &[u8]) {
        if self.sink.is_some() {
            self.transmit.push(bytes);
        }
        if let Some(last) = bytes.last() {
            self.at_line_start = *last == b'\n';
        }
    }

    fn limit(&self) -> &MessageLimit {
        &self.limit
    }

    fn end_line(&mut self) {
        if !self.at_line_start {
            self.put(b"\n");
        }
    }

    /// A line of the hypervisor's; one with line feeds becomes several.
    fn line(&mut self, text: fmt::Arguments<'_>) {
        self.end_line();
        // Writing to the ring cannot fail.
        let _ = writeln!(Prefixed(self), "{text}");
    }

    fn pump(&mut self) {
        if let Some(sink) = self.sink {
            self.transmit.pump(sink, self.mode == Mode::Queued);
        }
        WAITING.store(self.transmit.waiting() > 0, Ordering::Relaxed);
    }

    /// Says what was lost, now that there is room to say it.
    fn note_losses(&mut self) {
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

    fn has_room_for_a_line(&self) -> bool {
        self.sink.is_none() || self.transmit.room() >= LINE_ROOM || self.transmit.is_stuck()
    }

    /// Whether something that a guest caused may be queued: half of the queue is the hypervisor's own.
    fn has_room_for_guests(&self) -> bool {
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

/// Waits, not under the lock, until there is room for a line of the hypervisor's.
fn with_room() -> Guard<'static, State> {
    loop {
        let mut state = console().lock();
        if state.has_room_for_a_line() {
            state.note_losses();
            return state;
        }
        state.pump();
        drop(state);
        core::hint::spin_loop();
    }
}

/// Ends a piece of output: starts sending it and, if that is the mode, stays until it is out.
fn finish(mut state: Guard<'_, State>) {
    state.pump();
    let (mode, end) = (state.mode, state.transmit.queued());
    drop(state);
    if mode == Mode::Polled {
        while !pumped_until(end) {
            core::hint::spin_loop();
        }
    }
}

/// Moves bytes on; true when the byte numbered `end` is reached, or never will be.
fn pumped_until(end: u64) -> bool {
    let mut state = console().lock();
    state.pump();
    state.sink.is_none() || state.transmit.sent() >= end || state.transmit.is_stuck()
}

/// Prints a line of the hypervisor's own, whatever the level.
pub fn print(text: fmt::Arguments<'_>) {
    let mut state = with_room();
    state.line(text);
    finish(state);
}

/// Prints a line of the hypervisor's own if `loglvl=` lets it.
pub fn log(level: Level, text: fmt::Arguments<'_>) {
    if (level as u8) <= LOWER.load(Ordering::Relaxed) {
        print(text);
    } else if (level as u8) <= UPPER.load(Ordering::Relaxed) {
        let mut state = with_room();
        if within_limit(&mut state, |state| &state.limit, now().system_ns) {
            state.line(text);
        }
        finish(state);
    }
}

/// Whether a message that `chosen` counts may be printed now; if so, says how many were not.
fn within_limit(state: &mut State, chosen: fn(&State) -> &MessageLimit, now_ns: u64) -> bool {
    let Some(missed) = chosen(state).pass(now_ns) else {
        return false;
    };
    if missed > 0 {
        state.line(format_args!("printk: {missed} messages suppressed"));
    }
    true
}

/// Prints a line that a guest caused, if `guest_loglvl=`, a rate limit and the room in the queue let it.
pub fn log_guest(level: Level, now_ns: u64, text: fmt::Arguments<'_>) {
    for_guest(
        level,
        now_ns,
        |state| &state.guest_messages,
        |state| state.line(text),
    );
}

fn for_guest(
    level: Level,
    now_ns: u64,
    limit: fn(&State) -> &MessageLimit,
    write: impl FnOnce(&mut State),
) {
    let always = (level as u8) <= GUEST_LOWER.load(Ordering::Relaxed);
    if !always && (level as u8) > GUEST_UPPER.load(Ordering::Relaxed) {
        return;
    }
    let limit = if always { limit } else { State::limit };
    let mut state = console().lock();
    if !state.has_room_for_guests() {
        state.dropped_lines = state.dropped_lines.saturating_add(1);
    } else if within_limit(&mut state, limit, now_ns) {
        state.note_losses();
        write(&mut state);
    }
    finish(state);
}

/// Passes on bytes that dom0 writes to the console, without a prefix, and keeps them in the ring if `to_ring` (`console_to_ring`). Returns
/// how many were taken; the caller offers the rest again later.
#[must_use]
pub fn put_raw(bytes: &[u8], to_ring: bool) -> usize {
    let mut state = console().lock();
    let len = if state.has_room_for_guests() || state.transmit.is_stuck() {
        bytes.len()
    } else {
        0
    };
    if to_ring {
        state.put(&bytes[..len]);
    } else {
        state.put_to_sink(&bytes[..len]);
    }
    finish(state);
    len
}

/// Passes on a line that a guest writes to the debug port, with its number in front and without unprintable bytes.
pub fn put_guest_line(domid: u16, now_ns: u64, bytes: &[u8]) {
    let write = |state: &mut State| {
        state.end_line();
        let form = state.timestamps;
        // Writing to the ring cannot fail.
        let _ = write!(Raw(state), "(d{domid}) {}", Stamp { form, now: now() });
        for &byte in bytes {
            if byte == b'\t' || (b' '..=b'~').contains(&byte) {
                state.put(&[byte]);
            }
        }
        state.put(b"\n");
    };
    for_guest(Level::Debug, now_ns, |state| &state.guest_lines, write);
}

/// Copies ring contents from byte number `from` on (clamped to what is still there) into `into`. Returns the bytes copied and the number of
/// the byte after the last one.
#[must_use]
pub fn read(from: u64, into: &mut [u8]) -> (usize, u64) {
    console().lock().ring.read(from, into)
}

/// Forgets everything written so far, as `xl dmesg -c` does.
pub fn clear() {
    console().lock().ring.clear();
}

fn try_lock_patiently() -> Option<Guard<'static, State>> {
    if LOCK_IS_LOST.load(Ordering::Relaxed) {
        return None;
    }
    let state = (0..DYING_PATIENCE).find_map(|_| console().try_lock());
    LOCK_IS_LOST.store(state.is_none(), Ordering::Relaxed);
    state
}

/// The machine dies: everything queued is sent, and `stop_others` is called while nobody else can hold the console's lock, if it
/// can be had at all. Afterwards [`print_while_dying`] waits for the device.
pub fn begin_dying(stop_others: impl FnOnce()) {
    let mut state = try_lock_patiently();
    stop_others();
    if let Some(state) = &mut state {
        state.mode = Mode::Polled;
        flush(state);
    }
}

/// Waits under the lock: nobody else is there any more.
fn flush(state: &mut State) {
    while state.sink.is_some() && state.transmit.waiting() > 0 && !state.transmit.is_stuck() {
        state.pump();
    }
}

/// Lets a dying machine print, even if a lock holder will never come back.
pub fn print_while_dying(text: fmt::Arguments<'_>) {
    match try_lock_patiently() {
        Some(mut state) if !state.transmit.is_stuck() => {
            state.line(text);
            flush(&mut state);
        }
        _ => {
            // The sink cannot say that it failed.
            let _ = LAST_RESORT
                .get()
                .map(|sink| write!(Dying(*sink), "\r\n(XEN) {text}"));
        }
    }
}

struct Dying(&'static dyn Sink);

impl Write for Dying {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.send_dying(text.as_bytes());
        Ok(())
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
mod testing {
    use super::Sink;
    use std::string::String;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    use std::vec::Vec;

    /// A serial port with a queue of its own of some bytes, which empties when told to.
    pub struct Device {
        fifo: usize,
        room: AtomicUsize,
        is_endless: AtomicBool,
        announcing: AtomicBool,
        sent: Mutex<Vec<u8>>,
    }

    impl Device {
        pub fn new(fifo: usize) -> Self {
            Self {
                fifo,
                room: AtomicUsize::new(fifo),
                is_endless: AtomicBool::new(false),
                announcing: AtomicBool::new(false),
                sent: Mutex::default(),
            }
        }

        /// It has sent what it had.
        pub fn ready(&self) {
            self.room.store(self.fifo, SeqCst);
        }

        /// It sends faster than anybody can write.
        pub fn never_full(&self) {
            self.is_endless.store(true, SeqCst);
            self.ready();
        }

        pub fn is_announcing(&self) -> bool {
            self.announcing.load(SeqCst)
        }

        pub fn text(&self) -> String {
            String::from_utf8_lossy(&self.sent.lock().unwrap()).into_owned()
        }
    }

    impl Sink for Device {
        fn send(&self, bytes: &[u8]) -> usize {
            let len = bytes.len().min(self.room.load(SeqCst));
            self.sent.lock().unwrap().extend_from_slice(&bytes[..len]);
            if !self.is_endless.load(SeqCst) {
                // As a 16550: nothing more until all is sent.
                self.room
                    .store(if len == 0 { self.room.load(SeqCst) } else { 0 }, SeqCst);
            }
            len
        }

        fn announce(&self, wanted: bool) {
            self.announcing.store(wanted, SeqCst);
        }

        fn send_dying(&self, bytes: &[u8]) {
            self.sent.lock().unwrap().extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Device;
    use super::*;
    use alloc::boxed::Box;
    use std::string::String;
    use std::vec;

    fn everything_after(from: u64) -> String {
        let mut bytes = vec![0; ring_size()];
        let (len, _) = read(from, &mut bytes);
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    fn attach(fifo: usize) -> &'static Device {
        let device = Box::leak(Box::new(Device::new(fifo)));
        set_sink(device);
        device
    }

    const ALL: LogThreshold = LogThreshold { lower: 4, upper: 4 };

    // Levels are the machine's, so one test walks through them.
    #[test]
    fn lines_have_prefixes_and_levels() {
        print(format_args!("one\ntwo"));
        assert!(everything_after(0).ends_with("(XEN) one\n(XEN) two\n"));
        assert_eq!(put_raw(b"half", true), 4);
        print(format_args!("own"));
        assert!(everything_after(0).ends_with("half\n(XEN) own\n"));
        set_levels(ALL, ALL);
        put_guest_line(7, 0, b"a\x1b[b");
        assert!(everything_after(0).ends_with("(d7) a[b\n"));
        set_levels(
            LogThreshold { lower: 2, upper: 3 },
            LogThreshold { lower: 0, upper: 2 },
        );
        clear();
        put_guest_line(7, 0, b"not shown");
        log(Level::Debug, format_args!("not shown"));
        log(Level::Warning, format_args!("shown"));
        for n in 0..9 {
            log_guest(Level::Warning, 0, format_args!("{n}"));
        }
        log(Level::Info, format_args!("tenth"));
        log_guest(Level::Error, 0, format_args!("not shown"));
        log_guest(Level::Error, 6_000_000_000, format_args!("later"));
        let text = everything_after(0);
        assert!(
            !text.contains("not shown") && text.contains("(XEN) shown\n"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "(XEN) 8\n(XEN) tenth\n(XEN) printk: 1 messages suppressed\n(XEN) later\n"
            ),
            "{text}"
        );
        set_levels(LogThreshold::HYPERVISOR, LogThreshold::GUEST);
    }

    #[test]
    fn while_booting_a_line_is_out_when_print_returns() {
        let device = attach(16);
        device.never_full();
        print(format_args!("{}", "x".repeat(3 * QUEUE_SIZE)));
        // More than the queue holds at once is lost, and said so.
        print(format_args!("next"));
        let text = device.text();
        assert!(text.contains("bytes did not reach the serial port\r\n"));
        assert!(text.ends_with("(XEN) next\r\n"), "{}", text.len());
    }

    #[test]
    fn later_nobody_waits_until_the_queue_is_full() {
        let device = attach(16);
        stop_waiting();
        print(format_args!("0123456789abcdef"));
        assert_eq!(device.text(), "(XEN) 0123456789");
        assert!(device.is_announcing());
        device.ready();
        poll();
        assert_eq!(device.text(), "(XEN) 0123456789abcdef\r\n");
        assert!(!device.is_announcing());
    }

    #[test]
    fn dom0_is_taken_in_parts_and_keeps_half_of_the_queue_free() {
        let device = attach(16);
        stop_waiting();
        let mut taken = 0;
        while put_raw(&[b'd'; 100], false) == 100 {
            taken += 100;
        }
        assert!((QUEUE_SIZE / 2..QUEUE_SIZE / 2 + 200).contains(&taken));
        print(format_args!("own"));
        device.never_full();
        (0..QUEUE_SIZE).for_each(|_| poll());
        assert_eq!(device.text().matches('d').count(), taken);
        assert!(device.text().ends_with("\r\n(XEN) own\r\n"));
        assert_eq!(put_raw(&[b'd'; 100], false), 100);
    }

    #[test]
    fn guests_are_dropped_and_counted_when_the_device_is_slow() {
        let device = attach(16);
        stop_waiting();
        let mut state = console().lock();
        state.transmit.push(&[b'.'; QUEUE_SIZE / 2 + 1]);
        drop(state);
        let flood = |count| {
            let mut state = console().lock();
            for _ in 0..count {
                if !state.has_room_for_guests() {
                    state.dropped_lines += 1;
                }
            }
        };
        flood(3);
        device.never_full();
        while is_waiting() {
            poll();
        }
        print(format_args!("own"));
        let text = device.text();
        assert!(
            text.ends_with(
                "console: 3 lines of guests dropped, there was no room\r\n(XEN) own\r\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn device_that_never_answers_holds_nobody_up() {
        let _device = attach(0);
        stop_waiting();
        for n in 0..QUEUE_SIZE {
            print(format_args!("{n}"));
        }
        assert!(everything_after(0).ends_with("16383\n"));
        assert_eq!(put_raw(&[b'd'; 100], false), 100);
    }

    #[test]
    fn dying_machine_sends_what_is_queued_first() {
        let device = attach(16);
        stop_waiting();
        print(format_args!("a line that does not go out at once"));
        device.never_full();
        let mut stopped = false;
        begin_dying(|| stopped = true);
        print_while_dying(format_args!("the end"));
        assert!(stopped);
        assert_eq!(
            device.text(),
            "(XEN) a line that does not go out at once\r\n(XEN) the end\r\n"
        );
    }

    #[test]
    fn lines_of_several_cpus_never_mix() {
        const LINES: usize = 300;
        let device = attach(16);
        device.never_full();
        stop_waiting();
        let shared = console();
        let cpus: std::vec::Vec<_> = (0..4)
            .map(|cpu: usize| {
                std::thread::spawn(move || {
                    OWN.set(Some(shared));
                    let word = ["alpha", "beta", "gamma", "delta"][cpu].repeat(10);
                    (0..LINES).for_each(|n| print(format_args!("{word} {n}")));
                    poll();
                })
            })
            .collect();
        cpus.into_iter().for_each(|cpu| cpu.join().unwrap());
        let text = device.text();
        assert_eq!(text.lines().count(), 4 * LINES);
        for line in text.lines() {
            let words: std::vec::Vec<_> = line.split(' ').collect();
            let [prefix, word, _] = words[..] else {
                panic!("{line:?}");
            };
            let is_whole = ["alpha", "beta", "gamma", "delta"]
                .iter()
                .any(|part| word == part.repeat(10));
            assert!(prefix == "(XEN)" && is_whole, "{line:?}");
        }
    }

    #[test]
    fn stamps_stand_behind_the_prefix() {
        set_timestamps(Timestamps::Raw);
        print(format_args!("x"));
        let text = everything_after(0);
        assert!(
            text.starts_with("(XEN) [") && text.ends_with("] x\n"),
            "{text}"
        );
    }

    #[test]
    fn ring_grows_without_losing_lines() {
        print(format_args!("before"));
        grow(
            Box::leak(vec![0; 65536].into()),
            Box::leak(vec![0; 65536].into()),
        );
        print(format_args!("after"));
        assert_eq!(ring_size(), 65536);
        assert!(everything_after(0).ends_with("(XEN) before\n(XEN) after\n"));
    }
}
