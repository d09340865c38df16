//! zstd (RFC 8878), unpacked straight into the output, which is the window too.
//!
//! Unpacking takes longer than all else when dom0 starts and when the first guest of a kernel is made. The `ruzstd` crate (0.9) keeps a window
//! of its own whatever it is asked to write to, so that each byte is copied twice and 128 MiB of heap are needed. On an emulated processor
//! that executes an instruction each nanosecond, `xl create` with Debian's kernel of 58 MB took 3.26 s with it, 1.35 s with this, and 1.13 s
//! where Xen's own tools call the C library. Dictionaries are not supported: kernels have none.

mod bits;
mod block;
mod fse;
mod huffman;
mod literals;
mod sequences;

use twox_hash::XxHash64;

use super::{CUT_SHORT, TOO_LONG, Why};
use crate::little_endian::{bytes_at, u16_at, u32_at, u64_at};
use block::Decoder;

const MAGIC: u32 = 0xfd2f_b528;
/// Skipped frames begin with one of 16 numbers from here on.
const MAGIC_SKIPPED: u32 = 0x184d_2a50;
/// Largest block, in bytes.
const BLOCK_MAX: usize = 128 << 10;

/// One block's literals, and tables.
pub(super) const HEAP_NEED: usize = 2 * BLOCK_MAX;

const INVALID: Why = "its compressed data is invalid";

/// Unpacks all frames of `data` and returns the length.
pub(super) fn unpack(mut data: &[u8], output: &mut [u8]) -> Result<usize, Why> {
    let mut written = 0;
    while !data.is_empty() {
        let magic = u32_at(data, 0).ok_or(CUT_SHORT)?;
        let rest = data.get(4..).unwrap_or(&[]);
        data = if magic & !0xf == MAGIC_SKIPPED {
            let length = u32_at(rest, 0).ok_or(CUT_SHORT)? as usize;
            rest.get(4..)
                .and_then(|rest| rest.get(length..))
                .ok_or(CUT_SHORT)?
        } else if magic == MAGIC {
            let room = output.get_mut(written..).unwrap_or(&mut []);
            let (length, rest) = frame(rest, room)?;
            written += length;
            rest
        } else {
            return Err("it does not begin with a frame");
        };
    }
    Ok(written)
}

/// "Frame_Header".
struct Header {
    /// Bytes of the content, where they are told.
    content: Option<u64>,
    has_checksum: bool,
    /// Bytes of the header.
    length: usize,
}

fn header(data: &[u8]) -> Result<Header, Why> {
    const HAS_CHECKSUM: u8 = 1 << 2;
    const RESERVED: u8 = 1 << 3;
    const SINGLE_SEGMENT: u8 = 1 << 5;
    let [descriptor] = bytes_at(data, 0).ok_or(CUT_SHORT)?;
    if descriptor & RESERVED != 0 {
        return Err("its frame header is invalid");
    }
    let single = descriptor & SINGLE_SEGMENT != 0;
    let window = usize::from(!single);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let at = 1 + window;
    let id = data.get(at..at + dictionary).ok_or(CUT_SHORT)?;
    if id.iter().any(|byte| *byte != 0) {
        return Err("it needs a dictionary");
    }
    let at = at + dictionary;
    let (content, size) = match (descriptor >> 6, single) {
        (0, false) => (Some(None), 0),
        (0, true) => (bytes_at(data, at).map(|[byte]| Some(u64::from(byte))), 1),
        (1, _) => (u16_at(data, at).map(|size| Some(u64::from(size) + 256)), 2),
        (2, _) => (u32_at(data, at).map(|size| Some(size.into())), 4),
        _ => (u64_at(data, at).map(Some), 8),
    };
    Ok(Header {
        content: content.ok_or(CUT_SHORT)?,
        has_checksum: descriptor & HAS_CHECKSUM != 0,
        length: at + size,
    })
}

/// Unpacks a frame behind its magic number; gives the length and what follows.
fn frame<'a>(data: &'a [u8], output: &mut [u8]) -> Result<(usize, &'a [u8]), Why> {
    let header = header(data)?;
    let mut rest = data.get(header.length..).ok_or(CUT_SHORT)?;
    let mut decoder = Decoder::default();
    let mut written = 0;
    loop {
        let [low, middle, high] = bytes_at(rest, 0).ok_or(CUT_SHORT)?;
        let block = u32::from_le_bytes([low, middle, high, 0]);
        rest = rest.get(3..).unwrap_or(&[]);
        let size = (block >> 3) as usize;
        let (length, used) = match block >> 1 & 3 {
            0 => (raw(rest, size, output, written)?, size),
            1 => (repeated(rest, size, output, written)?, 1),
            2 => {
                let block = rest.get(..size).ok_or(CUT_SHORT)?;
                (decoder.block(block, output, written)?, size)
            }
            _ => return Err(INVALID),
        };
        written += length;
        rest = rest.get(used..).ok_or(CUT_SHORT)?;
        if block & 1 != 0 {
            break;
        }
    }
    if header
        .content
        .is_some_and(|content| content != written as u64)
    {
        return Err("a frame has not the length it says");
    }
    if header.has_checksum {
        let stored = u32_at(rest, 0).ok_or(CUT_SHORT)?;
        let content = output.get(..written).unwrap_or(&[]);
        if stored != XxHash64::oneshot(0, content) as u32 {
            return Err("its checksum does not match");
        }
        rest = rest.get(4..).unwrap_or(&[]);
    }
    Ok((written, rest))
}

fn raw(data: &[u8], size: usize, output: &mut [u8], at: usize) -> Result<usize, Why> {
    let bytes = data.get(..size).ok_or(CUT_SHORT)?;
    place(output, at, size)?.copy_from_slice(bytes);
    Ok(size)
}

fn repeated(data: &[u8], size: usize, output: &mut [u8], at: usize) -> Result<usize, Why> {
    let [byte] = bytes_at(data, 0).ok_or(CUT_SHORT)?;
    place(output, at, size)?.fill(byte);
    Ok(size)
}

/// Where `size` bytes go.
fn place(output: &mut [u8], at: usize, size: usize) -> Result<&mut [u8], Why> {
    if size > BLOCK_MAX {
        return Err(INVALID);
    }
    output.get_mut(at..at + size).ok_or(TOO_LONG)
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    /// A frame header without sizes, then blocks.
    fn frame_of(window: u8, blocks: &[&[u8]]) -> Vec<u8> {
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, window], &*blocks.concat()].concat()
    }

    /// A last block of the two bytes.
    const LAST_RAW: &[u8] = &[2 << 3 | 1, 0, 0, b'o', b'k'];

    #[test]
    fn frames_follow_each_other_with_skipped_ones_between() {
        let one = frame_of(0x50, &[LAST_RAW]);
        let skipped = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
        let data = [&one[..], &skipped, &one, &skipped].concat();
        let mut output = [0; 5];
        assert_eq!(unpack(&data, &mut output), Ok(4));
        assert_eq!(&output, b"okok\0");
        assert_eq!(unpack(&data[..data.len() - 1], &mut output), Err(CUT_SHORT));
    }

    #[test]
    fn limits_are_errors_with_their_reason() {
        let mut output = [0; 2];
        let mut unpack = |data: &[u8]| super::unpack(data, &mut output);
        assert_eq!(unpack(b"ELF!"), Err("it does not begin with a frame"));
        assert_eq!(unpack(&frame_of(0x50, &[&[6, 0, 0]])), Err(INVALID));
        assert_eq!(unpack(&frame_of(0x50, &[])), Err(CUT_SHORT));
        // A repeated byte of length 3.
        assert_eq!(
            unpack(&frame_of(0x50, &[&[3 << 3 | 3, 0, 0, 7]])),
            Err(TOO_LONG)
        );
        let dictionary = [0x28, 0xb5, 0x2f, 0xfd, 1, 0x50, 7];
        assert_eq!(unpack(&dictionary), Err("it needs a dictionary"));
        // A single segment that says three bytes and has two.
        let length = [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 3], LAST_RAW].concat();
        assert_eq!(unpack(&length), Err("a frame has not the length it says"));
    }

    #[test]
    fn wrong_checksum_is_an_error() {
        let mut data = include_bytes!("../testdata/text.zst3").to_vec();
        let mut output = vec![0; 1 << 20];
        assert!(unpack(&data, &mut output).is_ok());
        *data.last_mut().unwrap() ^= 1;
        assert_eq!(
            unpack(&data, &mut output),
            Err("its checksum does not match")
        );
    }
}
