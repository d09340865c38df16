//! Room for the newest of a stream of bytes, each of which has a number: the first ever written is byte 0.
//!
//! Pure state: the owner decides from which number on bytes still matter. There is room in the image for the time before there is a heap, and
//! more can be handed in later.

/// The newest bytes written: `FIRST` of them, a power of two, until [`Circle::grow`] gives more room.
pub struct Circle<const FIRST: usize> {
    first: [u8; FIRST],
    /// Used instead, once there is a heap and more is wanted; its length is a power of two.
    larger: Option<&'static mut [u8]>,
    /// Bytes ever written.
    end: u64,
}

impl<const FIRST: usize> Circle<FIRST> {
    /// Nothing written yet.
    pub const EMPTY: Self = {
        assert!(FIRST.is_power_of_two());
        Self {
            first: [0; FIRST],
            larger: None,
            end: 0,
        }
    };

    fn bytes(&self) -> &[u8] {
        self.larger.as_deref().unwrap_or(&self.first)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.larger.as_deref_mut().unwrap_or(&mut self.first)
    }

    /// Bytes there is room for.
    pub fn size(&self) -> usize {
        self.bytes().len()
    }

    /// Number of the byte that will be written next.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Writes a byte in the place of the one that is [`Self::size`] older.
    pub fn put(&mut self, byte: u8) {
        let number = self.end;
        let bytes = self.bytes_mut();
        bytes[place(number, bytes.len())] = byte;
        self.end = number.wrapping_add(1);
    }

    /// The bytes from number `from` to [`Self::end`], or as many as lie side by side. `from` must not be older than what there is room for.
    pub fn piece(&self, from: u64) -> &[u8] {
        let bytes = self.bytes();
        let at = place(from, bytes.len());
        let left = self.end.wrapping_sub(from);
        let len = left.min((bytes.len() - at) as u64) as usize;
        &bytes[at..at + len]
    }

    /// Moves to `room`, if that is larger, with the bytes from number `from` on. Of a length that is no power of two the beginning is used.
    pub fn grow(&mut self, room: &'static mut [u8], from: u64) {
        let size = 1 << room.len().max(1).ilog2();
        if size <= self.size() {
            return;
        }
        let (room, _) = room.split_at_mut(size);
        let old = self.bytes();
        for number in from..self.end {
            room[place(number, size)] = old[place(number, old.len())];
        }
        self.larger = Some(room);
    }
}

/// Where a byte is in room for `size` bytes, a power of two.
const fn place(number: u64, size: usize) -> usize {
    (number & (size as u64 - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec;
    use std::vec::Vec;

    fn all(circle: &Circle<8>, from: u64) -> Vec<u8> {
        let first = circle.piece(from);
        let rest = circle.piece(from + first.len() as u64);
        [first, rest].concat()
    }

    fn numbered(count: u8) -> Circle<8> {
        let mut circle = Circle::EMPTY;
        (0..count).for_each(|byte| circle.put(byte));
        circle
    }

    #[test]
    fn newest_bytes_are_found_by_their_numbers() {
        let circle = numbered(21);
        assert_eq!((circle.size(), circle.end()), (8, 21));
        assert_eq!(circle.piece(13), [13, 14, 15]);
        assert_eq!(circle.piece(16), [16, 17, 18, 19, 20]);
        assert_eq!(all(&circle, 14), [14, 15, 16, 17, 18, 19, 20]);
        assert_eq!(circle.piece(21), []);
    }

    #[test]
    fn growing_keeps_bytes_and_numbers_and_uses_a_power_of_two() {
        let mut circle = numbered(21);
        circle.grow(Box::leak(vec![0; 40].into()), 14);
        assert_eq!((circle.size(), circle.end()), (32, 21));
        assert_eq!(all(&circle, 14), [14, 15, 16, 17, 18, 19, 20]);
        (21..60).for_each(|byte| circle.put(byte));
        assert_eq!(all(&circle, 28), (28..60).collect::<Vec<u8>>());
    }

    #[test]
    fn room_that_is_not_larger_changes_nothing() {
        let mut circle = numbered(9);
        circle.grow(Box::leak(vec![0; 15].into()), 1);
        circle.grow(Box::leak(Box::default()), 1);
        assert_eq!(circle.size(), 8);
        assert_eq!(all(&circle, 1), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
