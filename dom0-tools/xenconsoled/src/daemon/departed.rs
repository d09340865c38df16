//! Terminals of guests that are gone: whoever is attached should still see the last words, which closing the terminal would take away.

use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::pty::Pty;

/// How long somebody has to read them.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often is looked whether somebody did.
const PACE: Duration = Duration::from_millis(50);

/// A terminal that closes when all was read, or when nobody seems to read.
#[derive(Debug)]
pub struct Departed {
    pty: Pty,
    backlog: Backlog,
    until: Instant,
    /// Something was written lately: the kernel counts it as unread a moment later.
    is_fresh: bool,
}

impl Departed {
    /// What a guest leaves.
    pub fn new(pty: Pty, backlog: Backlog, now: Instant) -> Self {
        Self {
            pty,
            backlog,
            until: now + PATIENCE,
            is_fresh: true,
        }
    }

    /// Shows more, if there is more. Whether there is anything left to wait for.
    pub fn lingers(&mut self, now: Instant) -> bool {
        let was_fresh = std::mem::take(&mut self.is_fresh);
        while !self.backlog.is_empty() {
            match self.pty.write(self.backlog.next()) {
                Ok(Some(count)) if count > 0 => self.backlog.advance(count),
                Ok(_) => break,
                Err(_) => return false,
            }
            self.is_fresh = true;
        }
        let is_fresh = was_fresh || self.is_fresh;
        now < self.until && (is_fresh || !self.backlog.is_empty() || self.pty.has_unread())
    }

    /// When to look again.
    pub fn wakes_at(now: Instant) -> Instant {
        now + PACE
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Read;

    use super::super::backlog::Overflow;
    use super::*;

    fn departed(words: &[u8], now: Instant) -> Departed {
        let mut backlog = Backlog::new(100_000, Overflow::Discard);
        backlog.push(words);
        Departed::new(Pty::open().unwrap(), backlog, now)
    }

    #[test]
    fn a_terminal_closes_when_the_last_words_were_read() {
        let now = Instant::now();
        let words = [b'x'; 20_000];
        let mut departed = departed(&words, now);
        let client = OpenOptions::new().read(true).open(departed.pty.name());
        let (mut client, mut read) = (client.unwrap(), Vec::new());
        while departed.lingers(now) {
            let mut some = [0; 512];
            let count = client.read(&mut some).unwrap();
            read.extend_from_slice(&some[..count]);
        }
        assert!(read.len() > words.len() - 512, "only {} bytes", read.len());
    }

    #[test]
    fn a_terminal_nobody_reads_closes_soon() {
        let now = Instant::now();
        let mut departed = departed(b"Kernel panic", now);
        for _ in 0..3 {
            assert!(departed.lingers(now));
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!departed.lingers(now + PATIENCE));
    }

    #[test]
    fn nothing_to_read_is_nothing_to_wait_for() {
        let now = Instant::now();
        let mut departed = departed(b"", now);
        assert!(
            departed.lingers(now),
            "perhaps something was written a moment ago"
        );
        assert!(!departed.lingers(now));
    }
}
