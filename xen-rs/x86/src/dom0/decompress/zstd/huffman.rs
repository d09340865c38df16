//! Huffman codes of literals (RFC 8878, section 4.2).

use alloc::boxed::Box;

use super::bits::Backward;
use super::fse::{Distribution, LOG_MAX};
use super::{CUT_SHORT, INVALID, Why, boxed_array};

/// Longest code in bits.
const BITS_MAX: u8 = 11;
const TABLE_LEN: usize = 1 << BITS_MAX;
/// Largest table for the weights, as a power of two.
const WEIGHT_LOG_MAX: u8 = 6;
/// Most weights described; the last symbol's is implied.
const WEIGHTS_MAX: usize = 255;

/// Decoding table: index by the next bits, get symbol and length of its code.
pub(super) struct Table {
    entries: Box<[Entry; TABLE_LEN]>,
    /// Bits that index the table; 0 before the first description.
    bits: u8,
}

#[derive(Copy, Clone)]
struct Entry {
    symbol: u8,
    bits: u8,
}

impl Table {
    /// An empty table.
    pub fn new() -> Self {
        Self {
            entries: boxed_array(Entry { symbol: 0, bits: 0 }),
            bits: 0,
        }
    }

    /// Forgets the codes.
    pub fn reset(&mut self) {
        self.bits = 0;
    }

    /// Whether there are codes.
    pub fn is_empty(&self) -> bool {
        self.bits == 0
    }

    /// Reads a description and returns what follows.
    pub fn read<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8], Why> {
        let (kind, data) = data.split_first().ok_or(CUT_SHORT)?;
        let kind = usize::from(*kind);
        let mut weights = [0_u8; WEIGHTS_MAX + 1];
        let (count, rest) = if kind < 128 {
            let (packed, rest) = data.split_at_checked(kind).ok_or(CUT_SHORT)?;
            (read_packed_weights(packed, &mut weights)?, rest)
        } else {
            let count = kind - 127;
            let (nibbles, rest) = data.split_at_checked(count.div_ceil(2)).ok_or(CUT_SHORT)?;
            let values = nibbles.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
            weights
                .iter_mut()
                .zip(values.take(count))
                .for_each(|(weight, value)| *weight = value);
            (count, rest)
        };
        self.build(&mut weights, count)?;
        Ok(rest)
    }

    /// Makes the table from `count` weights; the one after them is what fills the code space.
    fn build(&mut self, weights: &mut [u8; WEIGHTS_MAX + 1], count: usize) -> Result<(), Why> {
        self.bits = 0;
        let described = weights.get(..count).ok_or(INVALID)?;
        if described.iter().any(|weight| *weight > BITS_MAX) {
            return Err(INVALID);
        }
        let sum: u32 = described.iter().map(|weight| (1_u32 << weight) >> 1).sum();
        let bits = sum.checked_ilog2().ok_or(INVALID)? as u8 + 1;
        let left = (1_u32 << bits) - sum;
        if bits > BITS_MAX || !left.is_power_of_two() {
            return Err(INVALID);
        }
        *weights.get_mut(count).ok_or(INVALID)? = left.ilog2() as u8 + 1;
        let symbols = weights.get(..=count).ok_or(INVALID)?;
        let mut at = 0;
        for weight in 1..=bits {
            let len = 1_usize << (weight - 1);
            for (_, symbol) in symbols
                .iter()
                .zip(0_u8..=255)
                .filter(|(other, _)| **other == weight)
            {
                self.entries
                    .get_mut(at..at + len)
                    .ok_or(INVALID)?
                    .fill(Entry {
                        symbol,
                        bits: bits + 1 - weight,
                    });
                at += len;
            }
        }
        self.bits = bits;
        Ok(())
    }

    /// Decodes one stream, which fills `output` exactly.
    pub fn decode(&self, stream: &[u8], output: &mut [u8]) -> Result<(), Why> {
        let mut bits = Backward::new(stream).ok_or(INVALID)?;
        // Five codes fit the 56 bits of one refill.
        let mut groups = output.chunks_exact_mut(5);
        for group in &mut groups {
            bits.refill();
            for place in group {
                *place = self.symbol(&mut bits);
            }
        }
        bits.refill();
        for place in groups.into_remainder() {
            *place = self.symbol(&mut bits);
        }
        if bits.is_finished() {
            Ok(())
        } else {
            Err(INVALID)
        }
    }

    #[inline]
    fn symbol(&self, bits: &mut Backward<'_>) -> u8 {
        let entry = self.entries[bits.peek(self.bits) as usize % TABLE_LEN];
        bits.skip(entry.bits);
        entry.symbol
    }
}

/// Weights packed with two interleaved states; returns their number.
fn read_packed_weights(data: &[u8], weights: &mut [u8; WEIGHTS_MAX + 1]) -> Result<usize, Why> {
    let (distribution, stream) =
        Distribution::read(data, usize::from(BITS_MAX) + 2, WEIGHT_LOG_MAX)?;
    let mut table = [(0_u8, 0_u8, 0_u16); 1 << LOG_MAX];
    let log = distribution.build(&mut table, |symbol, bits, base| (symbol, bits, base))?;
    let mut bits = Backward::new(stream).ok_or(INVALID)?;
    let mut states = [0; 2].map(|_: u16| bits.read(log) as u16);
    if bits.is_overdrawn() {
        return Err(CUT_SHORT);
    }
    let mut turn = 0;
    for count in 0..WEIGHTS_MAX {
        let (symbol, len, base) = table[usize::from(states[turn]) % (1 << LOG_MAX)];
        weights[count] = symbol;
        states[turn] = base.wrapping_add(bits.read(len) as u16);
        turn ^= 1;
        // When the bits are used up, the other state still holds one symbol.
        if bits.is_overdrawn() {
            let (symbol, _, _) = table[usize::from(states[turn]) % (1 << LOG_MAX)];
            *weights
                .get_mut(count + 1)
                .filter(|_| count + 1 < WEIGHTS_MAX)
                .ok_or(INVALID)? = symbol;
            return Ok(count + 2);
        }
    }
    Err(INVALID)
}
