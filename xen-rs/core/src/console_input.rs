//! What is typed on the serial console: for dom0, through a ring that it reads, or for the hypervisor, as debug keys.
//!
//! Three times Ctrl-a, or another letter, switches between the two (docs of Xen 4.20, "conswitch"). The serial driver calls [`push`] for
//! every byte and does what it says; dom0 reads with `CONSOLEIO_read`. The ring and the state are behind one lock of rank `Console`.

use crate::console;
use crate::lock::{Lock, Rank};

/// Bytes kept for dom0; more are dropped until it reads.
pub const RING_SIZE: usize = 4096;
/// How often it must come.
const SWITCH_TIMES: u8 = 3;

/// Who gets what is typed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Dom0's console.
    Dom0,
    /// The hypervisor's debug keys.
    Hypervisor,
}

/// What the serial driver does about a byte.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum InputAction {
    /// Raise `VIRQ_CONSOLE` in dom0.
    ToDom0,
    /// Act on this debug key.
    Hypervisor(u8),
    /// Nothing.
    None,
}

struct State {
    ring: [u8; RING_SIZE],
    /// Bytes ever put in and taken out.
    produced: usize,
    consumed: usize,
    reader: Reader,
    /// The letter that switches, typed with Ctrl; `None` for none.
    letter: Option<u8>,
    /// How often it came in a row, held back until it is clear whether they switch.
    switches: u8,
}

static STATE: Lock<State> = Lock::new(
    Rank::Console,
    State {
        ring: [0; RING_SIZE],
        produced: 0,
        consumed: 0,
        reader: Reader::Hypervisor,
        letter: Some(b'a'),
        switches: 0,
    },
);

impl State {
    fn put(&mut self, byte: u8) {
        if self.produced.wrapping_sub(self.consumed) < RING_SIZE {
            self.ring[self.produced % RING_SIZE] = byte;
            self.produced = self.produced.wrapping_add(1);
        }
    }

    /// The action, and the reader after a switch.
    fn push(&mut self, byte: u8) -> (InputAction, Option<Reader>) {
        let switch = self.letter.map(control);
        if Some(byte) == switch {
            self.switches += 1;
            if self.switches < SWITCH_TIMES {
                return (InputAction::None, None);
            }
            self.switches = 0;
            self.reader = match self.reader {
                Reader::Dom0 => Reader::Hypervisor,
                Reader::Hypervisor => Reader::Dom0,
            };
            return (InputAction::None, Some(self.reader));
        }
        let held_back = core::mem::take(&mut self.switches);
        if self.reader == Reader::Hypervisor {
            // A control character is no debug key.
            return (InputAction::Hypervisor(byte), None);
        }
        (0..held_back).for_each(|_| self.put(switch.unwrap_or_default()));
        self.put(byte);
        // Also when the ring is full: dom0 may have missed the last one.
        (InputAction::ToDom0, None)
    }
}

/// The byte that Ctrl and a lower-case letter send.
const fn control(letter: u8) -> u8 {
    letter & 0x1f
}

/// Chooses the letter that switches with Ctrl (`conswitch=`); `None` for none.
pub fn set_switch(letter: Option<u8>) {
    STATE.lock().letter = letter;
}

/// A byte was typed.
pub fn push(byte: u8) -> InputAction {
    let (action, switched, letter) = {
        let mut state = STATE.lock();
        let (action, switched) = state.push(byte);
        (action, switched, state.letter)
    };
    if let Some(reader) = switched {
        announce(reader, letter);
    }
    action
}

/// Gives the input to `reader`, as at the end of boot to dom0, and says so on the console.
pub fn switch_to(reader: Reader) {
    let letter = {
        let mut state = STATE.lock();
        state.reader = reader;
        state.switches = 0;
        state.letter
    };
    announce(reader, letter);
}

fn announce(reader: Reader, letter: Option<u8>) {
    let name = match reader {
        Reader::Dom0 => "DOM0",
        Reader::Hypervisor => "Xen",
    };
    match letter.map(char::from) {
        Some(letter) => console::print(format_args!(
            "*** Serial input to {name} (type 'CTRL-{letter}' three times to switch input)"
        )),
        None => console::print(format_args!("*** Serial input to {name}")),
    }
}

/// Takes bytes that wait for dom0, oldest first; returns how many.
#[must_use]
pub fn take(into: &mut [u8]) -> usize {
    let mut state = STATE.lock();
    let len = state.produced.wrapping_sub(state.consumed).min(into.len());
    for byte in &mut into[..len] {
        *byte = state.ring[state.consumed % RING_SIZE];
        state.consumed = state.consumed.wrapping_add(1);
    }
    len
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// The input is the machine's, so tests of it take turns. Empties the ring.
    pub fn alone() -> MutexGuard<'static, ()> {
        static TURN: Mutex<()> = Mutex::new(());
        let guard = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = take(&mut [0; RING_SIZE]);
        guard
    }

    fn taken(expected: &[u8]) -> bool {
        let mut bytes = [0; RING_SIZE];
        let len = take(&mut bytes);
        &bytes[..len] == expected
    }

    #[test]
    fn three_times_ctrl_a_switches_and_fewer_do_not() {
        let _alone = alone();
        switch_to(Reader::Dom0);
        assert_eq!(push(b'a'), InputAction::ToDom0);
        assert_eq!(
            [push(1), push(1), push(b'b')],
            [InputAction::None, InputAction::None, InputAction::ToDom0]
        );
        assert!(taken(&[b'a', 1, 1, b'b']));
        assert_eq!([push(1), push(1), push(1)], [InputAction::None; 3]);
        assert_eq!(
            [push(1), push(b'q')],
            [InputAction::None, InputAction::Hypervisor(b'q')]
        );
        assert!(taken(&[]));
        assert_eq!([push(1), push(1), push(1)], [InputAction::None; 3]);
        assert_eq!(push(b'c'), InputAction::ToDom0);
        assert!(taken(b"c"));
    }

    #[test]
    fn another_letter_switches_if_chosen_and_none_if_none_is() {
        let _alone = alone();
        switch_to(Reader::Dom0);
        set_switch(Some(b'b'));
        assert_eq!(push(1), InputAction::ToDom0);
        assert_eq!([push(2), push(2), push(2)], [InputAction::None; 3]);
        assert_eq!(push(b'x'), InputAction::Hypervisor(b'x'));
        switch_to(Reader::Dom0);
        set_switch(None);
        assert_eq!([push(0), push(2), push(1)], [InputAction::ToDom0; 3]);
        set_switch(Some(b'a'));
        assert!(taken(&[1, 0, 2, 1]));
    }

    #[test]
    fn full_ring_drops_but_still_notifies() {
        let _alone = alone();
        switch_to(Reader::Dom0);
        for _ in 0..RING_SIZE + 10 {
            assert_eq!(push(b'x'), InputAction::ToDom0);
        }
        assert!(taken(&[b'x'; RING_SIZE]));
        assert_eq!(push(b'y'), InputAction::ToDom0);
        assert!(taken(b"y"));
    }
}
