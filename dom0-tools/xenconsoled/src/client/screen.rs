//! The user's terminal: raw while a console is attached, and as it was afterwards.

use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

/// Whether a user sits there: both standard input and output are terminals.
pub fn is_terminal() -> bool {
    isatty(stdin()) && isatty(stdout())
}

/// While it lives, keys go to the guest as they are: even Ctrl-C.
#[derive(Debug)]
pub struct RawMode {
    /// How the terminal was; `None` if it does not tell, then it is left alone.
    before: Option<Termios>,
}

impl RawMode {
    /// Makes standard input raw.
    pub fn enter() -> Self {
        let before = tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            let _ = tcsetattr(stdin(), OptionalActions::Now, &raw);
        }
        Self { before }
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone need not be restored.
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}
