//! Bits read backwards, from a stream's last byte to its first (RFC 8878, "Bitstreams").

use super::super::Why;
use super::INVALID;

/// What is left of a stream.
pub struct Reversed<'a> {
    data: &'a [u8],
    /// Bits not read yet. Below 0 after reading past the beginning, where there are zeroes.
    left: i64,
}

impl<'a> Reversed<'a> {
    /// A stream; its last byte has a 1 above the first bit.
    pub fn new(data: &'a [u8]) -> Result<Self, Why> {
        let last = data.last().filter(|byte| **byte != 0).ok_or(INVALID)?;
        let left = data.len() as i64 * 8 - i64::from(last.leading_zeros()) - 1;
        Ok(Self { data, left })
    }

    /// Bits not read yet; negative when too many were read.
    pub fn left(&self) -> i64 {
        self.left
    }

    /// The next bits in the upper end of a word, at least 56 of them; zeroes past the beginning.
    #[inline(always)]
    pub fn window(&self) -> u64 {
        // Below the beginning this is far beyond the end.
        let end = (self.left.wrapping_add(7) >> 3) as usize;
        let unused = self.left.wrapping_neg() & 7;
        let word = match self.data.get(end.wrapping_sub(8)..end) {
            Some(bytes) => bytes
                .first_chunk()
                .map_or(0, |bytes| u64::from_le_bytes(*bytes)),
            None => self.short_window(end),
        };
        word << unused
    }

    /// The first bytes of the stream, up to seven, in the upper end.
    #[cold]
    fn short_window(&self, end: usize) -> u64 {
        let bytes = self.data.get(..end).filter(|bytes| bytes.len() < 8);
        let bytes = bytes.unwrap_or(&[]).iter().rev();
        bytes
            .fold((0, 64), |(word, at), byte| {
                (word | u64::from(*byte) << (at - 8), at - 8)
            })
            .0
    }

    /// Takes bits that were looked at.
    #[inline(always)]
    pub fn take(&mut self, count: u32) {
        self.left = self.left.wrapping_sub(count.into());
    }

    /// Reads up to 32 bits.
    pub fn read(&mut self, count: u32) -> u32 {
        let value = upper(self.window(), count);
        self.take(count);
        value as u32
    }
}

/// The upper bits of a word, fewer than 64.
#[inline(always)]
pub fn upper(word: u64, count: u32) -> u64 {
    word >> 1 >> (63 - (count & 63))
}

/// Bits read forwards, for table descriptions.
pub struct Forward<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Forward<'a> {
    /// From the first bit on.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// The next bits without taking them, up to 16; zeroes past the end.
    pub fn peek(&self, count: u32) -> u32 {
        let byte =
            |index: usize| u32::from(self.data.get(self.at / 8 + index).copied().unwrap_or(0));
        let word = byte(0) | byte(1) << 8 | byte(2) << 16;
        word >> (self.at % 8) & ((1 << count) - 1)
    }

    /// Takes bits.
    pub fn take(&mut self, count: u32) {
        self.at += count as usize;
    }

    /// Reads bits, up to 16.
    pub fn read(&mut self, count: u32) -> u32 {
        let value = self.peek(count);
        self.take(count);
        value
    }

    /// What follows the byte of the last bit; `None` if that is past the end.
    pub fn rest(&self) -> Option<&'a [u8]> {
        self.data.get(self.at.div_ceil(8)..)
    }
}
