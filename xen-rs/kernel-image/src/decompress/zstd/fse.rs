//! Tables of finite state entropy codes (RFC 8878, "FSE").

use alloc::vec;
use alloc::vec::Vec;

use super::super::Why;
use super::INVALID;
use super::bits::Forward;

/// Largest table, as a power of two.
const LOG_MAX: u32 = 9;

/// How often each symbol occurs; -1: less than once.
pub struct Counts {
    /// By symbol.
    pub counts: Vec<i16>,
    /// The table's size as a power of two.
    pub log: u32,
}

impl Counts {
    /// Reads a table's description; gives what follows, too.
    pub fn read(data: &[u8], log_max: u32, symbol_max: usize) -> Result<(Self, &[u8]), Why> {
        let mut bits = Forward::new(data);
        let log = bits.read(4) + 5;
        if log > log_max.min(LOG_MAX) {
            return Err(INVALID);
        }
        let mut counts = Vec::new();
        let mut remaining = (1_i32 << log) + 1;
        let mut width = log + 1;
        while remaining > 1 {
            if counts.len() > symbol_max {
                return Err(INVALID);
            }
            let count = Self::one(&mut bits, remaining, width);
            remaining -= i32::from(count.abs());
            counts.push(count);
            while width > 1 && remaining < 1 << (width - 1) {
                width -= 1;
            }
            while count == 0 && counts.len() <= symbol_max {
                let zeroes = bits.read(2);
                counts.extend((0..zeroes).map(|_| 0));
                if zeroes < 3 {
                    break;
                }
            }
        }
        let rest = bits.rest().ok_or(INVALID)?;
        if remaining != 1 || counts.len() > symbol_max + 1 {
            return Err(INVALID);
        }
        Ok((Self { counts, log }, rest))
    }

    /// A count of up to `remaining`: small ones have a bit less.
    fn one(bits: &mut Forward<'_>, remaining: i32, width: u32) -> i16 {
        let threshold = 1_i32 << (width - 1);
        let short = 2 * threshold - 1 - remaining;
        let value = bits.peek(width) as i32;
        let low = value & (threshold - 1);
        let count = if low < short {
            bits.take(width - 1);
            low
        } else {
            bits.take(width);
            if value >= threshold {
                value - short
            } else {
                value
            }
        };
        (count - 1) as i16
    }

    /// For each state: symbol, bits to read for the next state, and what is added to them.
    pub fn states(&self) -> Result<Vec<State>, Why> {
        let size = 1_usize << self.log;
        let mut states = vec![State::default(); size];
        let mut high = size;
        for (symbol, _) in self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count == -1)
        {
            high = high.checked_sub(1).ok_or(INVALID)?;
            states.get_mut(high).ok_or(INVALID)?.symbol = symbol as u8;
        }
        let step = (size >> 1) + (size >> 3) + 3;
        let mut at = 0;
        for (symbol, count) in self.counts.iter().enumerate() {
            for _ in 0..*count {
                states.get_mut(at).ok_or(INVALID)?.symbol = symbol as u8;
                at = (at + step) & (size - 1);
                while at >= high {
                    at = (at + step) & (size - 1);
                    if high == 0 {
                        return Err(INVALID);
                    }
                }
            }
        }
        let mut next: Vec<u32> = self
            .counts
            .iter()
            .map(|count| count.unsigned_abs().into())
            .collect();
        for state in &mut states {
            let number = next.get_mut(usize::from(state.symbol)).ok_or(INVALID)?;
            if *number == 0 {
                return Err(INVALID);
            }
            let bits = self.log - number.ilog2();
            state.bits = bits as u8;
            state.base = ((*number << bits) - size as u32) as u16;
            *number += 1;
        }
        Ok(states)
    }
}

/// See [`Counts::states`].
#[derive(Copy, Clone, Debug, Default)]
pub struct State {
    /// What it stands for.
    pub symbol: u8,
    /// Bits to read for the next state.
    pub bits: u8,
    /// Added to those bits.
    pub base: u16,
}
