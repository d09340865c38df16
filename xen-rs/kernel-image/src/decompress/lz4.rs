//! LZ4's legacy frame, the only one kernels use (lz4_Frame_format.md, "Legacy frame"): a magic number, then blocks, each behind its
//! compressed size and unpacking to 8 MiB, the last to less.

use super::{CUT_SHORT, TOO_LONG, Why};
use crate::little_endian::u32_at;

const MAGIC: u32 = 0x184c_2102;
/// Most bytes a block unpacks to.
const BLOCK_MAX: usize = 8 << 20;

/// Unpacks `data` and returns the length.
pub(super) fn unpack(data: &[u8], output: &mut [u8]) -> Result<usize, Why> {
    let mut rest = data;
    let mut written = 0;
    while !rest.is_empty() {
        let size = u32_at(rest, 0).ok_or(CUT_SHORT)?;
        rest = rest.get(4..).unwrap_or(&[]);
        // Frames may follow each other; a block is never as large as the magic number.
        if size == MAGIC {
            continue;
        }
        let block = rest.get(..size as usize).ok_or(CUT_SHORT)?;
        rest = rest.get(size as usize..).unwrap_or(&[]);
        written += unpack_block(block, output.get_mut(written..).unwrap_or(&mut []))?;
    }
    Ok(written)
}

fn unpack_block(block: &[u8], room: &mut [u8]) -> Result<usize, Why> {
    use lz4_flex::block::{DecompressError, decompress_into};
    let room_len = room.len().min(BLOCK_MAX);
    decompress_into(block, room.get_mut(..room_len).unwrap_or(&mut [])).map_err(|error| match error
    {
        DecompressError::OutputTooSmall { .. } => TOO_LONG,
        _ => "its compressed data is invalid",
    })
}
