//! What a guest wrote and its terminal has not yet taken: nobody need be attached.

use std::collections::VecDeque;

/// What happens to output when the terminal takes none and the backlog is full.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The middle is lost: the beginning tells how it began, the end what came last.
    #[default]
    Discard,
    /// The guest waits.
    Keep,
}

/// The limit of a console that names none, in bytes: what libxl gives all consoles.
pub const DEFAULT_LIMIT: usize = 1024 * 1024;

/// Bytes on their way to a terminal.
#[derive(Debug)]
pub struct Backlog {
    bytes: VecDeque<u8>,
    limit: usize,
    overflow: Overflow,
}

impl Backlog {
    /// An empty backlog that holds about `limit` bytes.
    pub fn new(limit: usize, overflow: Overflow) -> Self {
        let bytes = VecDeque::new();
        Self {
            bytes,
            limit,
            overflow,
        }
    }

    /// Adds output. Beyond five quarters of the limit, output is lost unless it is to be kept.
    pub fn push(&mut self, output: &[u8]) {
        self.bytes.extend(output);
        let (limit, len) = (self.limit, self.bytes.len());
        if self.overflow == Overflow::Discard && len > limit.saturating_add(limit / 4) {
            let newest = (len - limit).min(limit);
            self.bytes.drain(limit / 2..len - newest);
        }
    }

    /// Whether the guest has to wait.
    pub fn is_full(&self) -> bool {
        self.overflow == Overflow::Keep && self.bytes.len() >= self.limit
    }

    /// Whether the terminal has all.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What comes next. Empty only when all is.
    pub fn next(&self) -> &[u8] {
        let (first, second) = self.bytes.as_slices();
        if first.is_empty() { second } else { first }
    }

    /// The terminal took `count` bytes.
    pub fn advance(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
        if self.bytes.is_empty() {
            self.bytes.shrink_to(self.limit.min(64 * 1024));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(backlog: &mut Backlog) -> Vec<u8> {
        let mut all = Vec::new();
        while !backlog.is_empty() {
            let next = backlog.next().to_vec();
            backlog.advance(next.len());
            all.extend(next);
        }
        all
    }

    #[test]
    fn the_terminal_gets_everything_in_order() {
        let mut backlog = Backlog::new(100, Overflow::Discard);
        backlog.push(b"one ");
        backlog.push(b"two");
        backlog.advance(2);
        assert_eq!(all(&mut backlog), b"e two");
    }

    #[test]
    fn a_full_backlog_keeps_its_beginning_and_its_end() {
        let mut backlog = Backlog::new(8, Overflow::Discard);
        backlog.push(b"0123456789");
        assert_eq!(
            backlog.bytes.len(),
            10,
            "up to five quarters nothing is lost"
        );
        backlog.push(b"a");
        assert_eq!(all(&mut backlog), b"012389a");
    }

    #[test]
    fn a_shouting_guest_can_not_grow_the_backlog() {
        let mut backlog = Backlog::new(1000, Overflow::Discard);
        for _ in 0..10_000 {
            backlog.push(&[b'x'; 2048]);
            assert!(backlog.bytes.len() <= 1250 + 2048);
        }
        assert!(
            !backlog.is_full(),
            "a guest never waits where output may be lost"
        );
    }

    #[test]
    fn a_limit_smaller_than_the_ring_holds_too() {
        for limit in [0, 1, 5, 100] {
            let mut backlog = Backlog::new(limit, Overflow::Discard);
            backlog.push(&[b'x'; 2048]);
            backlog.push(&[b'x'; 2048]);
            assert!(backlog.bytes.len() <= limit + limit / 2);
        }
    }

    #[test]
    fn a_guest_waits_when_its_output_is_kept() {
        let mut backlog = Backlog::new(8, Overflow::Keep);
        backlog.push(b"0123456");
        assert!(!backlog.is_full());
        backlog.push(b"789abcdef");
        assert!(backlog.is_full());
        assert_eq!(all(&mut backlog), b"0123456789abcdef");
        assert!(!backlog.is_full());
    }

    #[test]
    fn taking_more_than_there_is_leaves_nothing() {
        let mut backlog = Backlog::new(8, Overflow::Keep);
        backlog.push(b"0");
        backlog.advance(7);
        assert!(backlog.is_empty() && backlog.next().is_empty());
    }
}
