//! The console of a machine that dies: waits for the device, and does without the lock if its holder never comes back.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;

use crate::lock::Guard;

use super::state::{Mode, State};
use super::{Sink, console};

/// Attempts to get the console's lock when dying, longer than anybody keeps it.
const DYING_PATIENCE: u32 = 1_000_000;

/// The sink once more, for when the lock cannot be had.
static LAST_RESORT: Once<&'static dyn Sink> = Once::new();
/// The lock's holder will never give it back.
static LOCK_IS_LOST: AtomicBool = AtomicBool::new(false);
/// Something was printed without the lock.
static WENT_ON: AtomicBool = AtomicBool::new(false);

/// Remembers the sink; only the first one counts.
pub(super) fn remember(sink: &'static dyn Sink) {
    LAST_RESORT.call_once(|| sink);
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
            // Whoever held the lock may have been in the middle of a line. The sink cannot say that it failed.
            let start = if WENT_ON.swap(true, Ordering::Relaxed) {
                ""
            } else {
                "\r\n"
            };
            let _ = LAST_RESORT
                .get()
                .map(|sink| write!(Dying(*sink), "{start}(XEN) {text}\r\n"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::testing::attach;
    use crate::console::{print, stop_waiting};

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
}
