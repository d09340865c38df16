//! What takes more than a second says so, where somebody looks.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A line on the terminal that counts seconds until this is dropped, and is gone then.
pub struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Says what is being done, from the first full second on; only if standard error is a terminal.
    pub fn of(what: impl Into<String>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self {
                stop: None,
                thread: None,
            };
        }
        let what = what.into();
        let (stop, stopped) = channel();
        let start = Instant::now();
        let thread = std::thread::spawn(move || {
            let mut shown = false;
            while stopped.recv_timeout(SECOND) == Err(RecvTimeoutError::Timeout) {
                show(&format!("\r{what} … {} s", start.elapsed().as_secs()));
                shown = true;
            }
            if shown {
                show("\r\x1b[K");
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn show(text: &str) {
    let mut terminal = std::io::stderr();
    // The terminal may be gone, and with it whoever looked.
    let _ = terminal.write_all(text.as_bytes());
    let _ = terminal.flush();
}
