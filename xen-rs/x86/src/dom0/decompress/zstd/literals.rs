//! The literals section of a block (RFC 8878, section 3.1.1.3.1).

use alloc::boxed::Box;
use alloc::vec;

use super::huffman::Table;
use super::{BLOCK_MAX, CUT_SHORT, INVALID, Why};
use crate::dom0::little_endian::u16_at;

/// Decoded literals and the Huffman codes, which later blocks may use again.
pub(super) struct Literals {
    buffer: Box<[u8]>,
    table: Table,
}

/// The section's header.
struct Header {
    kind: u8,
    /// Bytes of literals.
    len: usize,
    /// Bytes they take, for compressed ones.
    packed_len: usize,
    has_four_streams: bool,
}

impl Literals {
    /// Allocates the buffers.
    pub fn new() -> Self {
        Self {
            buffer: vec![0; BLOCK_MAX].into_boxed_slice(),
            table: Table::new(),
        }
    }

    /// Forgets the codes, for a new frame.
    pub fn reset(&mut self) {
        self.table.reset();
    }

    /// Reads the section at the start of `block` and returns the literals and what follows.
    pub fn read<'a>(&'a mut self, block: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Why> {
        let (header, data) = Header::read(block)?;
        let place = self.buffer.get_mut(..header.len).ok_or(INVALID)?;
        match header.kind {
            0 => data.split_at_checked(header.len).ok_or(CUT_SHORT),
            1 => {
                let (byte, rest) = data.split_first().ok_or(CUT_SHORT)?;
                place.fill(*byte);
                Ok((place, rest))
            }
            kind => {
                let (mut packed, rest) =
                    data.split_at_checked(header.packed_len).ok_or(CUT_SHORT)?;
                if kind == 2 {
                    packed = self.table.read(packed)?;
                }
                if self.table.is_empty() {
                    return Err(INVALID);
                }
                if header.has_four_streams {
                    decode_four(&self.table, packed, place)?;
                } else {
                    self.table.decode(packed, place)?;
                }
                Ok((place, rest))
            }
        }
    }
}

impl Header {
    fn read(block: &[u8]) -> Result<(Self, &[u8]), Why> {
        let first = *block.first().ok_or(CUT_SHORT)?;
        let (kind, format) = (first & 3, (first >> 2) & 3);
        // Length of the header, where the sizes begin in it, and their width.
        let (header_len, shift, width) = match (kind, format) {
            (0 | 1, 0 | 2) => (1, 3, 5),
            (0 | 1, 1) => (2, 4, 12),
            (0 | 1, _) => (3, 4, 20),
            (_, 0 | 1) => (3, 4, 10),
            (_, 2) => (4, 4, 14),
            _ => (5, 4, 18),
        };
        let (header, rest) = block.split_at_checked(header_len).ok_or(CUT_SHORT)?;
        let value = header
            .iter()
            .rev()
            .fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
            >> shift;
        let mask = (1_u64 << width) - 1;
        let len = (value & mask) as usize;
        let packed_len = ((value >> width) & mask) as usize;
        Ok((
            Self {
                kind,
                len,
                packed_len,
                has_four_streams: format != 0,
            },
            rest,
        ))
    }
}

/// Four streams behind the lengths of the first three; each but the last holds a quarter, rounded up.
fn decode_four(table: &Table, packed: &[u8], place: &mut [u8]) -> Result<(), Why> {
    let (lengths, mut streams) = packed.split_at_checked(6).ok_or(CUT_SHORT)?;
    let quarter = place.len().div_ceil(4);
    let mut place = place;
    for index in 0..3 {
        let len = usize::from(u16_at(lengths, 2 * index).ok_or(CUT_SHORT)?);
        let (stream, rest) = streams.split_at_checked(len).ok_or(CUT_SHORT)?;
        let (part, others) = place.split_at_mut_checked(quarter).ok_or(INVALID)?;
        table.decode(stream, part)?;
        (streams, place) = (rest, others);
    }
    table.decode(streams, place)
}
