//! The hypervisor's console: a ring that `xl dmesg` reads, and one sink (the serial port).
//!
//! A line is put into the ring and into the sink's queue under one lock, so lines of several CPUs never mix, and nobody waits for the
//! device under the lock. What leaves the queue when is decided by [`Mode`]: while the machine boots, with `sync_console` and when it
//! dies, a printer stays until its line is out; otherwise the device's interrupt or a timer empties the queue ([`poll`]). If the queue
//! is full the hypervisor's own messages wait for room, dom0's output is taken in parts ([`put_raw`]), and what other guests cause is
//! dropped, counted and noted, so that no guest can hold up the hypervisor or drown its messages.
//!
//! Messages carry a level; thresholds come from `loglvl=` and, for what guests cause, `guest_loglvl=` (docs of Xen 4.20, "loglvl").
//!
//! | file | concept |
//! |---|---|
//! | `circle` | room for the newest of a stream of bytes |
//! | `ring`, `transmit` | what `xl dmesg` reads, and what is on its way to the sink |
//! | `stamp` | what stands before each line |
//! | `state` | all that is behind the lock |
//! | `dying` | printing when others may never give the lock back |

mod circle;
mod dying;
mod ring;
mod stamp;
mod state;
#[cfg(test)]
mod testing;
mod transmit;

use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};

use crate::cmdline::{LogThreshold, Timestamps};
use crate::lock::{Guard, Lock, Rank};
use crate::message_limit::MessageLimit;

use state::{Mode, NEWS, State};

pub use dying::{begin_dying, print_while_dying};
pub use ring::RING_SIZE;
pub use stamp::{Now, set_clocks};
pub use transmit::QUEUE_SIZE;

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

/// Sends everything from now on to `sink` as well, waiting for it until [`stop_waiting`].
pub fn set_sink(sink: &'static dyn Sink) {
    dying::remember(sink);
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
    state::WAITING.load(Ordering::Relaxed)
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
        if state.is_within_limit(between_thresholds, stamp::now().system_ns) {
            state.line(text);
        }
        finish(state);
    }
}

/// What counts messages that are neither always printed nor never.
fn between_thresholds(state: &State) -> &MessageLimit {
    &state.limit
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
    let limit = if always { limit } else { between_thresholds };
    let mut state = console().lock();
    if !state.has_room_for_guests() {
        state.drop_guest_line();
    } else if state.is_within_limit(limit, now_ns) {
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
    for_guest(
        Level::Debug,
        now_ns,
        |state| &state.guest_lines,
        |state| state.guest_line(domid, bytes),
    );
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
    use super::testing::attach;
    use super::*;
    use alloc::boxed::Box;
    use std::string::String;
    use std::vec;

    fn everything_after(from: u64) -> String {
        let mut bytes = vec![0; ring_size()];
        let (len, _) = read(from, &mut bytes);
        String::from_utf8_lossy(&bytes[..len]).into_owned()
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
        state.transmit.push(&[b'.'; QUEUE_SIZE / 2 + 100]);
        drop(state);
        for n in 0..3 {
            log_guest(Level::Error, 0, format_args!("flood {n}"));
        }
        device.never_full();
        while is_waiting() {
            poll();
        }
        print(format_args!("own"));
        let text = device.text();
        assert!(!everything_after(0).contains("flood"), "{text}");
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
