//! Bit streams: forward for table descriptions, backward for everything else (RFC 8878, "Bitstreams" in section 4).

/// Reads from the last byte to the first. Past the beginning it yields zeroes and counts the debt.
pub(super) struct Backward<'a> {
    /// Bytes not yet in `container`.
    rest: &'a [u8],
    /// The next bits, from the top down. Below the `available` ones there may be some of the next byte, the same that it will bring.
    container: u64,
    /// Bits in `container`; negative when more were used than there are.
    available: i32,
}

impl<'a> Backward<'a> {
    /// Starts below the highest set bit of the last byte, which is a marker; `None` without one.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (last, rest) = bytes.split_last()?;
        let marker = last.checked_ilog2()?;
        let container = if marker == 0 {
            0
        } else {
            u64::from(*last) << (64 - marker)
        };
        Some(Self {
            rest,
            container,
            available: marker as i32,
        })
    }

    /// Makes at least 56 bits available, if there are as many.
    #[inline]
    pub fn refill(&mut self) {
        if self.available >= 56 || self.available < 0 {
            return;
        }
        if let Some(word) = self.rest.last_chunk::<8>() {
            self.container |= u64::from_le_bytes(*word) >> self.available;
            let bytes = (63 - self.available) >> 3;
            // `bytes` is at most 7, and 8 were there.
            self.rest = self
                .rest
                .get(..self.rest.len() - bytes as usize)
                .unwrap_or(&[]);
            self.available += bytes << 3;
        } else {
            self.refill_bytewise();
        }
    }

    #[cold]
    fn refill_bytewise(&mut self) {
        while self.available < 56
            && let Some((last, rest)) = self.rest.split_last()
        {
            self.container |= u64::from(*last) << (56 - self.available);
            self.available += 8;
            self.rest = rest;
        }
    }

    /// The next `count` bits, at most 56, without using them. Needs a [`Self::refill`] before.
    #[inline]
    pub fn peek(&self, count: u8) -> u64 {
        (self.container >> 1) >> (63 - (count & 63))
    }

    /// Uses up `count` bits, at most 56.
    #[inline]
    pub fn skip(&mut self, count: u8) {
        self.container <<= count & 63;
        self.available = self.available.saturating_sub(i32::from(count));
    }

    /// The next `count` bits, at most 56, used up. Needs a [`Self::refill`] before.
    #[inline]
    pub fn take(&mut self, count: u8) -> u64 {
        let bits = self.peek(count);
        self.skip(count);
        bits
    }

    /// [`Self::refill`] and [`Self::take`].
    #[inline]
    pub fn read(&mut self, count: u8) -> u64 {
        self.refill();
        self.take(count)
    }

    /// Whether more bits were used than there are.
    pub fn is_overdrawn(&self) -> bool {
        self.available < 0
    }

    /// Whether exactly all bits were used.
    pub fn is_finished(&self) -> bool {
        self.available == 0 && self.rest.is_empty()
    }
}

/// Reads from the first byte, low bits first.
pub(super) struct Forward<'a> {
    bytes: &'a [u8],
    /// Bits used.
    at: usize,
}

impl<'a> Forward<'a> {
    /// Starts at the first bit.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, at most 16, without using them; zeroes past the end.
    pub fn peek(&self, count: u32) -> u32 {
        let byte = |index| u32::from(self.bytes.get(index).copied().unwrap_or(0));
        let first = self.at / 8;
        let word = byte(first) | byte(first + 1) << 8 | byte(first + 2) << 16;
        (word >> (self.at % 8)) & ((1 << count) - 1)
    }

    /// Uses up `count` bits.
    pub fn skip(&mut self, count: u32) {
        self.at = self.at.saturating_add(count as usize);
    }

    /// What follows the byte of the last used bit; `None` when more was used than there is.
    pub fn rest(&self) -> Option<&'a [u8]> {
        self.bytes.get(self.at.div_ceil(8)..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits of `bytes` as [`Backward`] has to give them.
    fn expected(bytes: &[u8]) -> alloc::vec::Vec<u64> {
        let bits = bytes
            .iter()
            .rev()
            .flat_map(|byte| (0..8).rev().map(move |bit| u64::from(byte >> bit & 1)));
        bits.skip_while(|bit| *bit == 0).skip(1).collect()
    }

    #[test]
    fn backward_bits_come_in_order_whatever_the_step() {
        let bytes: [u8; 40] = core::array::from_fn(|n| (n * 89 + 13) as u8);
        let bits = expected(&bytes);
        for step in 1..=56_u8 {
            let mut reader = Backward::new(&bytes).unwrap();
            for chunk in bits.chunks_exact(usize::from(step)) {
                assert_eq!(
                    reader.read(step),
                    chunk.iter().fold(0, |value, bit| value << 1 | bit),
                    "{step}"
                );
            }
            let left = bits.len() % usize::from(step);
            assert_eq!(reader.is_finished(), left == 0);
            reader.read(left as u8);
            assert!(reader.is_finished() && !reader.is_overdrawn());
            assert_eq!(reader.read(1), 0);
            assert!(reader.is_overdrawn());
        }
    }

    #[test]
    fn stream_without_marker_is_refused() {
        assert!(Backward::new(&[]).is_none() && Backward::new(&[1, 0]).is_none());
        assert!(Backward::new(&[1]).unwrap().is_finished());
    }

    #[test]
    fn forward_bits_are_low_first() {
        let mut reader = Forward::new(&[0b1010_0110, 0xff, 3]);
        assert_eq!(reader.peek(4), 6);
        reader.skip(4);
        assert_eq!(reader.peek(16), 0x3ffa);
        reader.skip(5);
        assert_eq!(reader.rest(), Some(&[3_u8][..]));
        reader.skip(16);
        assert_eq!(reader.rest(), None);
    }
}
