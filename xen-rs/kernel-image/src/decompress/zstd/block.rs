//! Compressed blocks (RFC 8878, "Compressed_Block"), each with what the ones before left: tables and recent offsets.

use alloc::vec::Vec;

use super::super::{TOO_LONG, Why};
use super::huffman::Table;
use super::sequences::{self, Sequence, Tables};
use super::{BLOCK_MAX, INVALID, literals};

/// Bytes copied at once where there is room for them.
const SHORT: usize = 16;

/// What blocks of a frame hand on.
pub struct Decoder {
    huffman: Option<Table>,
    tables: Tables,
    offsets: [usize; 3],
    literals: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            huffman: None,
            tables: Tables::default(),
            offsets: [1, 4, 8],
            literals: Vec::with_capacity(BLOCK_MAX),
        }
    }
}

impl Decoder {
    /// Unpacks a block to `start` of the frame's output, and gives its length.
    pub fn block(&mut self, data: &[u8], output: &mut [u8], start: usize) -> Result<usize, Why> {
        let rest = literals::read(data, &mut self.huffman, &mut self.literals)?;
        let mut writer = Writer {
            output,
            at: start,
            literals: &self.literals,
            offsets: self.offsets,
        };
        sequences::read(rest, &mut self.tables, |sequence| writer.step(sequence))?;
        let remaining = writer.literals.len();
        writer.take_literals(remaining)?;
        self.offsets = writer.offsets;
        let length = writer.at - start;
        if length <= BLOCK_MAX {
            Ok(length)
        } else {
            Err(INVALID)
        }
    }
}

/// Where a block's output goes.
struct Writer<'a> {
    output: &'a mut [u8],
    at: usize,
    literals: &'a [u8],
    offsets: [usize; 3],
}

impl Writer<'_> {
    #[inline(always)]
    fn step(&mut self, sequence: Sequence) -> Result<(), Why> {
        self.take_literals(sequence.literals)?;
        let offset = self.offset(sequence.offset as usize, sequence.literals == 0);
        self.copy(offset, sequence.length)
    }

    #[inline(always)]
    fn take_literals(&mut self, count: usize) -> Result<(), Why> {
        let (taken, rest) = self.literals.split_at_checked(count).ok_or(INVALID)?;
        let place = self.output.get_mut(self.at..).unwrap_or(&mut []);
        if count <= SHORT
            && let Some(place) = place.first_chunk_mut::<SHORT>()
            && let Some(bytes) = self.literals.first_chunk::<SHORT>()
        {
            // What is too much is overwritten by what follows.
            *place = *bytes;
        } else {
            place
                .get_mut(..count)
                .ok_or(TOO_LONG)?
                .copy_from_slice(taken);
        }
        self.literals = rest;
        self.at += count;
        Ok(())
    }

    /// The offset meant, and the recent ones after it ("Repeat Offsets").
    #[inline(always)]
    fn offset(&mut self, value: usize, without_literals: bool) -> usize {
        let [first, second, third] = self.offsets;
        if value > 3 {
            self.offsets = [value - 3, first, second];
        } else {
            match value + usize::from(without_literals) {
                1 => {}
                2 => self.offsets = [second, first, third],
                3 => self.offsets = [third, first, second],
                _ => self.offsets = [first.wrapping_sub(1), first, second],
            }
        }
        self.offsets[0]
    }

    #[inline(always)]
    fn copy(&mut self, offset: usize, length: usize) -> Result<(), Why> {
        let from = self.at.checked_sub(offset).ok_or(INVALID)?;
        let end = self.at + length;
        if end > self.output.len() {
            return Err(TOO_LONG);
        }
        if offset >= SHORT && length <= SHORT && self.at + SHORT <= self.output.len() {
            // What is too much is overwritten by what follows.
            self.output.copy_within(from..from + SHORT, self.at);
        } else if offset >= length {
            self.output.copy_within(from..from + length, self.at);
        } else {
            self.repeat(offset, length)?;
        }
        self.at = end;
        Ok(())
    }

    /// A copy that reaches into itself: the last `offset` bytes over and over.
    fn repeat(&mut self, offset: usize, length: usize) -> Result<(), Why> {
        if offset == 0 {
            return Err(INVALID);
        }
        let from = self.at - offset;
        let mut done = 0;
        while done < length {
            // What is there doubles each time.
            let count = (offset + done).min(length - done);
            self.output.copy_within(from..from + count, self.at + done);
            done += count;
        }
        Ok(())
    }
}
