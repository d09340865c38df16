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
            literals: Vec::with_capacity(BLOCK_MAX + SHORT),
        }
    }
}

impl Decoder {
    /// Unpacks a block to `start` of the frame's output, and gives its length.
    pub fn block(&mut self, data: &[u8], output: &mut [u8], start: usize) -> Result<usize, Why> {
        let rest = literals::read(data, &mut self.huffman, &mut self.literals)?;
        let count = self.literals.len();
        // So that the last literals are copied as the others are.
        self.literals.resize(count + SHORT, 0);
        let mut writer = Writer {
            output,
            at: start,
            literals: &self.literals,
            taken: 0,
            offsets: self.offsets,
        };
        sequences::read(rest, &mut self.tables, |sequences| {
            let mut sequences = sequences.iter();
            sequences.try_for_each(|sequence| writer.step(sequence))
        })?;
        let remaining = count.checked_sub(writer.taken).ok_or(INVALID)?;
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
    /// The block's, then [`SHORT`] bytes that are none.
    literals: &'a [u8],
    taken: usize,
    offsets: [usize; 3],
}

impl Writer<'_> {
    #[inline(always)]
    fn step(&mut self, sequence: &Sequence) -> Result<(), Why> {
        let literals = sequence.literals as usize;
        let length = sequence.length as usize;
        let offset = self.offset(sequence.offset as usize, literals == 0);
        if literals <= SHORT
            && length <= SHORT
            && length <= offset
            && let Some(done) = self.short_step(literals, offset, length)
        {
            return done;
        }
        self.take_literals(literals)?;
        self.copy(offset, length)
    }

    /// A step that copies more than it has to, which the next one overwrites. `None` where there is no room for that.
    #[inline(always)]
    fn short_step(
        &mut self,
        literals: usize,
        offset: usize,
        length: usize,
    ) -> Option<Result<(), Why>> {
        let bytes: [u8; SHORT] = *self.literals.get(self.taken..)?.first_chunk()?;
        let place: &mut [u8; 2 * SHORT] = self.output.get_mut(self.at..)?.first_chunk_mut()?;
        *place.first_chunk_mut()? = bytes;
        let to = self.at + literals;
        let Some(from) = to.checked_sub(offset) else {
            return Some(Err(INVALID));
        };
        self.output.copy_within(from..from + SHORT, to);
        self.taken += literals;
        self.at = to + length;
        Some(Ok(()))
    }

    fn take_literals(&mut self, count: usize) -> Result<(), Why> {
        let end = self.taken + count;
        let bytes = self.literals.get(self.taken..end).ok_or(INVALID)?;
        let place = self.output.get_mut(self.at..self.at + count);
        place.ok_or(TOO_LONG)?.copy_from_slice(bytes);
        self.taken = end;
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

    fn copy(&mut self, offset: usize, length: usize) -> Result<(), Why> {
        let from = self.at.checked_sub(offset).ok_or(INVALID)?;
        let end = self.at + length;
        if end > self.output.len() {
            return Err(TOO_LONG);
        }
        if offset >= length {
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
