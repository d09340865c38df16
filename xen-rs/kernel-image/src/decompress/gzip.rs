//! gzip (RFC 1952) around deflate.

use alloc::boxed::Box;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::{CUT_SHORT, TOO_LONG, Why};
use crate::little_endian::{bytes_at, u16_at, u32_at};

/// The decoder's state; the output is its window.
pub(super) const HEAP_NEED: usize = 16 << 10;

const HAS_HEADER_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;

/// Unpacks the first member of `data` and returns the length.
pub(super) fn unpack(data: &[u8], output: &mut [u8]) -> Result<usize, Why> {
    let body = body(data).ok_or("its header is malformed")?;
    let mut state = Box::<DecompressorOxide>::default();
    let (status, read, written) = decompress(
        &mut state,
        body,
        output,
        0,
        TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
    );
    match status {
        TINFLStatus::Done => {}
        TINFLStatus::HasMoreOutput => return Err(TOO_LONG),
        TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => {
            return Err(CUT_SHORT);
        }
        _ => return Err("its compressed data is invalid"),
    }
    let trailer = body.get(read..).unwrap_or(&[]);
    let unpacked = output.get(..written).unwrap_or(&[]);
    let (crc, len) = u32_at(trailer, 0)
        .zip(u32_at(trailer, 4))
        .ok_or(CUT_SHORT)?;
    // The length is stored modulo 2^32.
    if crc == crc32fast::hash(unpacked) && len == written as u32 {
        Ok(written)
    } else {
        Err("its checksum does not match")
    }
}

/// What follows the member's header.
fn body(data: &[u8]) -> Option<&[u8]> {
    let [0x1f, 0x8b, 8, flags] = bytes_at(data, 0)? else {
        return None;
    };
    let mut at = 10;
    if flags & HAS_EXTRA != 0 {
        at += 2 + usize::from(u16_at(data, at)?);
    }
    for flag in [HAS_NAME, HAS_COMMENT] {
        if flags & flag != 0 {
            at += data.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    if flags & HAS_HEADER_CRC != 0 {
        at += 2;
    }
    data.get(at..)
}
