//! The output as the place literals go to and matches are copied from.

use super::{BLOCK_MAX, INVALID, TOO_LONG, Why};

/// Unit of the fast copies: they may write up to this many bytes past what was asked for, where later output goes anyway.
const STEP: usize = 16;

/// Output of one frame. `start <= at <= block_end <= output.len()`.
pub(super) struct Window<'a> {
    output: &'a mut [u8],
    /// Matches reach back to here.
    start: usize,
    /// Next byte to write.
    at: usize,
    /// The current block may write up to here.
    block_end: usize,
}

impl<'a> Window<'a> {
    /// The frame's content goes to `output` from `start` on.
    pub fn new(output: &'a mut [u8], start: usize) -> Self {
        let block_end = output.len();
        Self {
            output,
            start,
            at: start,
            block_end,
        }
    }

    /// Position after what was written.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Allows one block's worth of output from here.
    pub fn begin_block(&mut self) {
        self.block_end = self.at.saturating_add(BLOCK_MAX).min(self.output.len());
    }

    /// Appends a block's bytes as they are.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Why> {
        self.begin_block();
        self.push_from(bytes, 0, bytes.len())
    }

    /// Appends a block of one byte repeated.
    pub fn fill(&mut self, byte: u8, len: usize) -> Result<(), Why> {
        self.begin_block();
        let end = self.end_after(len)?;
        self.output
            .get_mut(self.at..end)
            .ok_or(TOO_LONG)?
            .fill(byte);
        self.at = end;
        Ok(())
    }

    /// Appends `len` bytes of `literals` from `from` on.
    #[inline]
    pub fn push_from(&mut self, literals: &[u8], from: usize, len: usize) -> Result<(), Why> {
        let end = self.end_after(len)?;
        let at = self.at;
        self.at = end;
        if len <= STEP
            && let Some(chunk) = literals.get(from..).and_then(<[u8]>::first_chunk::<STEP>)
            && let Some(place) = self
                .output
                .get_mut(at..)
                .and_then(<[u8]>::first_chunk_mut::<STEP>)
        {
            *place = *chunk;
            return Ok(());
        }
        let source = literals
            .get(from..)
            .and_then(|rest| rest.get(..len))
            .ok_or(INVALID)?;
        self.output
            .get_mut(at..end)
            .ok_or(TOO_LONG)?
            .copy_from_slice(source);
        Ok(())
    }

    /// Appends `len` bytes that begin `offset` bytes back. They may overlap what is written.
    #[inline]
    pub fn repeat(&mut self, offset: usize, len: usize) -> Result<(), Why> {
        let end = self.end_after(len)?;
        let mut at = self.at;
        self.at = end;
        if offset == 0 || offset > at - self.start {
            return Err(INVALID);
        }
        let mut from = at - offset;
        if offset >= STEP && len <= 4 * STEP && end.saturating_add(STEP) <= self.output.len() {
            while at < end {
                let Some(chunk) = self
                    .output
                    .get(from..)
                    .and_then(<[u8]>::first_chunk::<STEP>)
                    .copied()
                else {
                    return Err(INVALID);
                };
                let Some(place) = self
                    .output
                    .get_mut(at..)
                    .and_then(<[u8]>::first_chunk_mut::<STEP>)
                else {
                    return Err(TOO_LONG);
                };
                *place = chunk;
                from += STEP;
                at += STEP;
            }
            return Ok(());
        }
        self.repeat_exactly(from, at, end)
    }

    /// Copies from `from` to `at..end` as if byte by byte: each pass doubles what can be copied at once.
    fn repeat_exactly(&mut self, from: usize, mut at: usize, end: usize) -> Result<(), Why> {
        while at < end {
            let len = (at - from).min(end - at);
            // `from < at`, and `at + len <= end`, which `end_after` found inside the output.
            self.output.copy_within(from..from + len, at);
            at += len;
        }
        Ok(())
    }

    fn end_after(&self, len: usize) -> Result<usize, Why> {
        if len <= self.block_end - self.at {
            Ok(self.at + len)
        } else if self.block_end == self.output.len() {
            Err(TOO_LONG)
        } else {
            Err(INVALID)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_of_every_offset_and_length_equal_a_bytewise_copy() {
        for offset in 1..40 {
            for len in 0..90 {
                let mut output = [0; 160];
                let seed: [u8; 40] = core::array::from_fn(|n| (n * 7 + 1) as u8);
                let mut window = Window::new(&mut output, 0);
                window.push(&seed).unwrap();
                window.begin_block();
                window.repeat(offset, len).unwrap();
                let mut expected: alloc::vec::Vec<u8> = seed.to_vec();
                (0..len).for_each(|_| expected.push(expected[expected.len() - offset]));
                assert_eq!(output[..40 + len], expected, "{offset} {len}");
            }
        }
    }

    #[test]
    fn nothing_is_written_past_the_end_or_read_before_the_start() {
        let mut output = [0; 32];
        let mut window = Window::new(&mut output, 8);
        window.push(b"abcd").unwrap();
        window.begin_block();
        assert_eq!(window.repeat(5, 1), Err(INVALID));
        let mut window = Window::new(&mut output, 8);
        window.push(b"abcd").unwrap();
        window.begin_block();
        assert_eq!(window.repeat(0, 1), Err(INVALID));
        let mut window = Window::new(&mut output, 8);
        assert_eq!(window.fill(1, 25), Err(TOO_LONG));
        assert_eq!(window.push(&[0; 25]), Err(TOO_LONG));
        assert_eq!(window.fill(1, 24), Ok(()));
    }
}
