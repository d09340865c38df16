//! zstd (RFC 8878), decoded straight into the output.
//!
//! Kernels are packed with a window of 128 MiB. A decoder with a window of its own would need that much heap during boot; here the output
//! is the window and the heap holds tables and one block's literals. Dictionaries are not supported: kernels have none.

mod bits;
mod fse;
mod huffman;
mod literals;
mod sequences;
mod window;
mod xxh64;

use alloc::boxed::Box;
use alloc::vec;

use super::{CUT_SHORT, TOO_LONG, Why};
use crate::dom0::little_endian::{bytes_at, u32_at};
use literals::Literals;
use sequences::Sequences;
use window::Window;

/// Literals of one block, a Huffman table and three state tables, with room to spare.
pub(super) const HEAP_NEED: usize = 192 << 10;

const MAGIC: u32 = 0xfd2f_b528;
/// Frames to be skipped have this number with any low four bits.
const SKIPPABLE: u32 = 0x184d_2a50;
/// Most bytes a block is made of or unpacks to.
const BLOCK_MAX: usize = 128 << 10;

const INVALID: Why = "its compressed data is invalid";

/// Unpacks all frames of `data` and returns the length. Bytes of `output` behind it may have been used as scratch.
pub(super) fn unpack(data: &[u8], output: &mut [u8]) -> Result<usize, Why> {
    let mut literals = Literals::new();
    let mut sequences = Sequences::new();
    let mut input = Input { rest: data };
    let mut written = 0;
    while !input.rest.is_empty() {
        let magic = input.u32()?;
        if magic & !0xf == SKIPPABLE {
            let len = input.u32()?;
            input.take(len as usize)?;
            continue;
        }
        if magic != MAGIC {
            return Err("it does not begin with a frame");
        }
        let header = Header::read(&mut input)?;
        let mut window = Window::new(output, written);
        literals.reset();
        sequences.reset();
        while !block(&mut input, &mut literals, &mut sequences, &mut window)? {}
        let end = window.at();
        check_end(&mut input, &header, output.get(written..end).unwrap_or(&[]))?;
        written = end;
    }
    Ok(written)
}

/// An array on the heap that never was on the stack, which is small during boot.
fn boxed_array<T: Copy, const N: usize>(value: T) -> Box<[T; N]> {
    let slice = vec![value; N].into_boxed_slice();
    slice
        .try_into()
        .unwrap_or_else(|_| unreachable!("a vector of N elements is an array of N elements"))
}

/// What is left of the compressed data.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Why> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Why> {
        self.take(1)?.first().copied().ok_or(CUT_SHORT)
    }

    fn u32(&mut self) -> Result<u32, Why> {
        u32_at(self.take(4)?, 0).ok_or(CUT_SHORT)
    }

    /// A number of up to 8 bytes.
    fn number(&mut self, len: usize) -> Result<u64, Why> {
        let mut bytes = [0; 8];
        bytes
            .get_mut(..len)
            .ok_or(INVALID)?
            .copy_from_slice(self.take(len)?);
        Ok(u64::from_le_bytes(bytes))
    }
}

/// What matters of a frame header.
struct Header {
    content_len: Option<u64>,
    has_checksum: bool,
}

impl Header {
    fn read(input: &mut Input<'_>) -> Result<Self, Why> {
        let descriptor = input.u8()?;
        let is_single_segment = descriptor & 0x20 != 0;
        if descriptor & 0x08 != 0 {
            return Err("its frame header is invalid");
        }
        if !is_single_segment {
            // The window's size; the output is large enough for any.
            input.u8()?;
        }
        let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let content_field_len =
            [usize::from(is_single_segment), 2, 4, 8][usize::from(descriptor >> 6)];
        if input.number(dictionary_len)? != 0 {
            return Err("it needs a dictionary");
        }
        let content_len = input.number(content_field_len)?;
        let content_len = match content_field_len {
            0 => None,
            2 => Some(content_len + 256),
            _ => Some(content_len),
        };
        Ok(Self {
            content_len,
            has_checksum: descriptor & 0x04 != 0,
        })
    }
}

/// Unpacks one block; true after the last.
fn block(
    input: &mut Input<'_>,
    literals: &mut Literals,
    sequences: &mut Sequences,
    window: &mut Window<'_>,
) -> Result<bool, Why> {
    let [b0, b1, b2] = bytes_at(input.take(3)?, 0).ok_or(CUT_SHORT)?;
    let header = u32::from_le_bytes([b0, b1, b2, 0]);
    let len = (header >> 3) as usize;
    match (header >> 1) & 3 {
        0 => window.push(input.take(len)?)?,
        1 => window.fill(input.u8()?, len)?,
        2 if len <= BLOCK_MAX => {
            let data = input.take(len)?;
            window.begin_block();
            let (literals, rest) = literals.read(data)?;
            sequences.run(rest, literals, window)?;
        }
        _ => return Err(INVALID),
    }
    Ok(header & 1 != 0)
}

fn check_end(input: &mut Input<'_>, header: &Header, content: &[u8]) -> Result<(), Why> {
    if header
        .content_len
        .is_some_and(|len| len != content.len() as u64)
    {
        return Err("a frame has not the length it says");
    }
    if header.has_checksum && input.u32()? != xxh64::low_half(content) {
        return Err("its checksum does not match");
    }
    Ok(())
}
