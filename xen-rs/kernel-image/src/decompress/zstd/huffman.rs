//! Huffman codes of literals (RFC 8878, "Huffman Coding").

use alloc::vec::Vec;

use super::super::{CUT_SHORT, Why};
use super::INVALID;
use super::bits::{Reversed, upper};
use super::fse::Counts;

/// Longest code, in bits.
const BITS_MAX: u32 = 11;
/// Largest table of the codes of weights, as a power of two.
const WEIGHTS_LOG_MAX: u32 = 6;
/// Codes that are surely in a window of 56 bits.
const AT_ONCE: usize = 5;

/// Symbol and length for each beginning of the input.
#[derive(Clone, Debug)]
pub struct Table {
    codes: Vec<[u8; 2]>,
    bits: u32,
}

impl Table {
    /// Reads a table's description; gives what follows, too.
    pub fn read(data: &[u8]) -> Result<(Self, &[u8]), Why> {
        let (first, data) = data.split_first().ok_or(CUT_SHORT)?;
        if *first < 128 {
            let (packed, rest) = data
                .split_at_checked(usize::from(*first))
                .ok_or(CUT_SHORT)?;
            return Ok((Self::new(packed_weights(packed)?)?, rest));
        }
        let count = usize::from(first - 127);
        let (bytes, rest) = data.split_at_checked(count.div_ceil(2)).ok_or(CUT_SHORT)?;
        let weights = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        Ok((Self::new(weights.take(count).collect())?, rest))
    }

    /// The table of these weights; the last symbol's is what is missing.
    fn new(mut weights: Vec<u8>) -> Result<Self, Why> {
        if weights.iter().any(|weight| u32::from(*weight) > BITS_MAX) {
            return Err(INVALID);
        }
        let share = |weight: u8| {
            if weight == 0 {
                0
            } else {
                1_u32 << (weight - 1)
            }
        };
        let sum: u32 = weights.iter().map(|weight| share(*weight)).sum();
        let bits = sum.checked_ilog2().ok_or(INVALID)? + 1;
        let missing = (1 << bits) - sum;
        if bits > BITS_MAX || !missing.is_power_of_two() || weights.len() > 255 {
            return Err(INVALID);
        }
        weights.push(missing.ilog2() as u8 + 1);
        let mut codes = Vec::with_capacity(1 << bits);
        for weight in 1..=bits as u8 {
            let of_weight = weights
                .iter()
                .enumerate()
                .filter(|(_, other)| **other == weight);
            for (symbol, _) in of_weight {
                let code = [symbol as u8, bits as u8 + 1 - weight];
                codes.extend(core::iter::repeat_n(code, share(weight) as usize));
            }
        }
        match codes.len() == 1 << bits {
            true => Ok(Self { codes, bits }),
            false => Err(INVALID),
        }
    }

    /// Unpacks a stream that fills `output`.
    pub fn unpack(&self, stream: &[u8], output: &mut [u8]) -> Result<(), Why> {
        let mut stream = Reversed::new(stream)?;
        let mut groups = output.chunks_exact_mut(AT_ONCE);
        for group in &mut groups {
            let mut window = stream.window();
            let mut used = 0;
            for byte in group {
                let [symbol, bits] = self.code(window)?;
                *byte = symbol;
                window <<= bits;
                used += u32::from(bits);
            }
            stream.take(used);
        }
        for byte in groups.into_remainder() {
            let [symbol, bits] = self.code(stream.window())?;
            *byte = symbol;
            stream.take(bits.into());
        }
        if stream.left() == 0 {
            Ok(())
        } else {
            Err(INVALID)
        }
    }

    #[inline(always)]
    fn code(&self, window: u64) -> Result<[u8; 2], Why> {
        let index = upper(window, self.bits) as usize;
        self.codes.get(index).copied().ok_or(INVALID)
    }
}

/// Weights as two interleaved sequences of FSE codes.
fn packed_weights(data: &[u8]) -> Result<Vec<u8>, Why> {
    const SYMBOL_MAX: usize = 255;
    let (counts, stream) = Counts::read(data, WEIGHTS_LOG_MAX, SYMBOL_MAX)?;
    let states = counts.states()?;
    let mut stream = Reversed::new(stream)?;
    let mut pair = [stream.read(counts.log), stream.read(counts.log)];
    let mut weights = Vec::new();
    while weights.len() < SYMBOL_MAX {
        let state = states.get(pair[0] as usize).ok_or(INVALID)?;
        weights.push(state.symbol);
        let next = u32::from(state.base) + stream.read(state.bits.into());
        if stream.left() < 0 {
            let last = states.get(pair[1] as usize).ok_or(INVALID)?;
            weights.push(last.symbol);
            return Ok(weights);
        }
        pair = [pair[1], next];
    }
    Err(INVALID)
}
