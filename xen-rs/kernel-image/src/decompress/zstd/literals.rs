//! A block's literals (RFC 8878, "Literals_Section").

use alloc::vec::Vec;

use super::super::{CUT_SHORT, Why};
use super::huffman::Table;
use super::{BLOCK_MAX, INVALID};
use crate::little_endian::{bytes_at, u16_at};

/// Reads the section into `literals`, and gives what follows. `table` is the last one there was, and the next.
pub fn read<'a>(
    data: &'a [u8],
    table: &mut Option<Table>,
    literals: &mut Vec<u8>,
) -> Result<&'a [u8], Why> {
    let [first] = bytes_at(data, 0).ok_or(CUT_SHORT)?;
    let (kind, format) = (first & 3, first >> 2 & 3);
    literals.clear();
    if kind < 2 {
        let (size, header) = match format {
            0 | 2 => (usize::from(first >> 3), 1),
            1 => (number(data, 2)? >> 4, 2),
            _ => (number(data, 3)? >> 4, 3),
        };
        let rest = data.get(header..).ok_or(CUT_SHORT)?;
        return plain(rest, kind == 1, size, literals);
    }
    let (width, header) = [(10, 3), (10, 3), (14, 4), (18, 5)][usize::from(format)];
    let word = number(data, header)? >> 4;
    let (size, packed) = (word & ((1 << width) - 1), word >> width);
    let rest = data.get(header..).ok_or(CUT_SHORT)?;
    let (mut streams, rest) = rest.split_at_checked(packed).ok_or(CUT_SHORT)?;
    if size > BLOCK_MAX {
        return Err(INVALID);
    }
    if kind == 2 {
        let (new, after) = Table::read(streams)?;
        *table = Some(new);
        streams = after;
    }
    let table = table.as_ref().ok_or(INVALID)?;
    literals.resize(size, 0);
    if format == 0 {
        table.unpack(streams, literals)?;
    } else {
        unpack_four(table, streams, literals)?;
    }
    Ok(rest)
}

/// The first bytes as a number.
fn number(data: &[u8], bytes: usize) -> Result<usize, Why> {
    let bytes = data.get(..bytes).ok_or(CUT_SHORT)?;
    Ok(bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

fn plain<'a>(
    data: &'a [u8],
    repeated: bool,
    size: usize,
    literals: &mut Vec<u8>,
) -> Result<&'a [u8], Why> {
    if size > BLOCK_MAX {
        return Err(INVALID);
    }
    let taken = if repeated { 1 } else { size };
    let (bytes, rest) = data.split_at_checked(taken).ok_or(CUT_SHORT)?;
    match (repeated, bytes) {
        (true, [byte]) => literals.resize(size, *byte),
        _ => literals.extend_from_slice(bytes),
    }
    Ok(rest)
}

/// Four streams behind the sizes of the first three, each for a quarter.
fn unpack_four(table: &Table, data: &[u8], literals: &mut [u8]) -> Result<(), Why> {
    let quarter = literals.len().div_ceil(4);
    let mut sizes = [0; 3];
    for (index, size) in sizes.iter_mut().enumerate() {
        *size = usize::from(u16_at(data, 2 * index).ok_or(CUT_SHORT)?);
    }
    let mut rest = data.get(6..).ok_or(CUT_SHORT)?;
    let mut output = literals;
    for size in sizes {
        let (stream, after) = rest.split_at_checked(size).ok_or(CUT_SHORT)?;
        let (part, others) = output.split_at_mut_checked(quarter).ok_or(INVALID)?;
        table.unpack(stream, part)?;
        (rest, output) = (after, others);
    }
    table.unpack(rest, output)
}
