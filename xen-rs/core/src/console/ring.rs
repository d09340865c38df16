//! What was printed last: bytes with numbers that only grow, of which the newest are kept for `xl dmesg`.
//!
//! Pure state, owned by the console and behind its lock.

/// Bytes kept until [`Ring::grow`] gives more room, and the least there are (Xen's default `conring_size`).
pub const RING_SIZE: usize = 16384;

/// The newest bytes of the console.
pub struct Ring {
    /// Used before there is a heap.
    first: [u8; RING_SIZE],
    /// Used afterwards, if more is wanted; its length is a power of two.
    larger: Option<&'static mut [u8]>,
    /// Bytes ever written.
    produced: u64,
    /// Number of the oldest byte that may be read.
    start: u64,
}

impl Ring {
    /// Nothing printed yet.
    pub const EMPTY: Self = Self {
        first: [0; RING_SIZE],
        larger: None,
        produced: 0,
        start: 0,
    };

    fn bytes(&self) -> &[u8] {
        self.larger.as_deref().unwrap_or(&self.first)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.larger.as_deref_mut().unwrap_or(&mut self.first)
    }

    /// Bytes kept.
    pub fn size(&self) -> usize {
        self.bytes().len()
    }

    /// Appends bytes; the oldest make room.
    pub fn put(&mut self, bytes: &[u8]) {
        let at = self.produced;
        let ring = self.bytes_mut();
        let mask = ring.len() as u64 - 1;
        for (offset, &byte) in bytes.iter().enumerate() {
            ring[(at.wrapping_add(offset as u64) & mask) as usize] = byte;
        }
        self.produced = at.wrapping_add(bytes.len() as u64);
        self.start = self
            .start
            .max(self.produced.saturating_sub(self.size() as u64));
    }

    /// Copies from byte number `from` on (clamped to what is there). Returns the bytes copied and the number of the byte after them.
    pub fn read(&self, from: u64, into: &mut [u8]) -> (usize, u64) {
        let from = from.clamp(self.start, self.produced);
        let len = into.len().min((self.produced - from) as usize);
        let ring = self.bytes();
        let mask = ring.len() as u64 - 1;
        for (offset, byte) in into[..len].iter_mut().enumerate() {
            *byte = ring[((from + offset as u64) & mask) as usize];
        }
        (len, from + len as u64)
    }

    /// Forgets everything written so far; numbers go on.
    pub fn clear(&mut self) {
        self.start = self.produced;
    }

    /// Moves to `room`, if that is larger, with everything that is kept. Of a length that is no power of two the beginning is used.
    pub fn grow(&mut self, room: &'static mut [u8]) {
        let size = 1 << room.len().max(1).ilog2();
        if size <= self.size() {
            return;
        }
        let (room, _) = room.split_at_mut(size);
        let ring = self.bytes();
        let (old, new) = (ring.len() as u64 - 1, size as u64 - 1);
        for number in self.start..self.produced {
            room[(number & new) as usize] = ring[(number & old) as usize];
        }
        self.larger = Some(room);
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
