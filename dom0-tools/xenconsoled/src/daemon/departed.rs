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
    /// Nothing was written since: what was written is unread only a moment later.
    quiet_since: Instant,
}

impl Departed {
    /// What a guest leaves.
    pub fn new(pty: Pty, backlog: Backlog, now: Instant) -> Self {
        Self {
            pty,
            backlog,
            until: now + PATIENCE,
            quiet_since: now,
        }
    }

    /// Shows more, if there is more. Whether there is anything left to wait for.
    pub fn lingers(&mut self, now: Instant) -> bool {
        while !self.backlog.is_empty() {
            match self.pty.write(self.backlog.next()) {
                Ok(Some(count)) if count > 0 => self.backlog.advance(count),
                Ok(_) => break,
                Err(_) => return false,
            }
            self.quiet_since = now;
        }
        let is_fresh = now < self.quiet_since + 2 * PACE;
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
        let start = Instant::now();
        let words = [b'x'; 20_000];
        let mut departed = departed(&words, start);
        let client = OpenOptions::new().read(true).open(departed.pty.name());
        let (mut client, mut read) = (client.unwrap(), 0);
        while departed.lingers(Instant::now()) {
            while departed.pty.has_unread() {
                read += client.read(&mut [0; 4096]).unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(read, words.len());
        assert!(start.elapsed() < PATIENCE, "not for want of patience");
    }

    #[test]
    fn a_terminal_nobody_reads_closes_soon() {
        let now = Instant::now();
        let mut departed = departed(b"Kernel panic", now);
        assert!(departed.lingers(now));
        assert!(departed.lingers(now + PACE));
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
        assert!(!departed.lingers(now + 2 * PACE));
    }
}
