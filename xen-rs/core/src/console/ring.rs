//! What was printed last: bytes with numbers that only grow, of which the newest are kept for `xl dmesg`.
//!
//! Pure state, owned by the console and behind its lock.

use super::circle::Circle;

/// Bytes kept until [`Ring::grow`] gives more room, and the least there are (Xen's default `conring_size`).
pub const RING_SIZE: usize = 16384;

/// The newest bytes of the console.
pub struct Ring {
    circle: Circle<RING_SIZE>,
    /// Number of the oldest byte that may be read.
    start: u64,
}

impl Ring {
    /// Nothing printed yet.
    pub const EMPTY: Self = Self {
        circle: Circle::EMPTY,
        start: 0,
    };

    /// Bytes kept.
    pub fn size(&self) -> usize {
        self.circle.size()
    }

    /// Appends bytes; the oldest make room.
    pub fn put(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.circle.put(byte));
        let oldest = self.circle.end().saturating_sub(self.size() as u64);
        self.start = self.start.max(oldest);
    }

    /// Copies from byte number `from` on (clamped to what is there). Returns the bytes copied and the number of the byte after them.
    pub fn read(&self, from: u64, into: &mut [u8]) -> (usize, u64) {
        let from = from.clamp(self.start, self.circle.end());
        let mut done = 0;
        // What is kept lies in two pieces at most.
        for _ in 0..2 {
            let piece = self.circle.piece(from + done as u64);
            let len = piece.len().min(into.len() - done);
            into[done..done + len].copy_from_slice(&piece[..len]);
            done += len;
        }
        (done, from + done as u64)
    }

    /// Forgets everything written so far; numbers go on.
    pub fn clear(&mut self) {
        self.start = self.circle.end();
    }

    /// Moves to `room`, if that is larger, with everything that is kept ([`Circle::grow`]).
    pub fn grow(&mut self, room: &'static mut [u8]) {
        self.circle.grow(room, self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec;
    use std::vec::Vec;

    fn kept(ring: &Ring) -> Vec<u8> {
        let mut bytes = vec![0; ring.size()];
        let (len, _) = ring.read(0, &mut bytes);
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn the_newest_bytes_are_kept_and_numbers_only_grow() {
        let mut ring = Ring::EMPTY;
        for n in 0..RING_SIZE {
            ring.put(&[n as u8, 1, 2]);
        }
        assert_eq!(kept(&ring).len(), RING_SIZE);
        assert_eq!(kept(&ring).last(), Some(&2));
        let mut three = [0; 3];
        assert_eq!(ring.read(u64::MAX, &mut three), (0, 3 * RING_SIZE as u64));
        assert_eq!(ring.read(3 * RING_SIZE as u64 - 2, &mut three).0, 2);
        ring.clear();
        assert_eq!(kept(&ring), b"");
        ring.put(b"new");
        assert_eq!(kept(&ring), b"new");
    }

    #[test]
    fn growing_keeps_what_was_there() {
        let mut ring = Ring::EMPTY;
        ring.put(&[7; 3 * RING_SIZE / 2]);
        ring.put(b"end");
        let before = kept(&ring);
        ring.grow(Box::leak(vec![0; 5 * RING_SIZE].into_boxed_slice()));
        assert_eq!((ring.size(), kept(&ring)), (4 * RING_SIZE, before));
        ring.put(&[8; RING_SIZE]);
        assert_eq!(kept(&ring).len(), 2 * RING_SIZE);
        ring.grow(Box::leak(vec![0; 64].into_boxed_slice()));
        ring.grow(Box::leak(Box::default()));
        assert_eq!(ring.size(), 4 * RING_SIZE);
    }
}
