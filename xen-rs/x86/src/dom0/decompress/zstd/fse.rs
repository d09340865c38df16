//! Finite state entropy: reading a distribution and building its decoding table (RFC 8878, section 4.1).

use super::bits::Forward;
use super::{INVALID, Why};

/// Largest table of any use, as a power of two.
pub(super) const LOG_MAX: u8 = 9;
/// Most symbols of any use.
pub(super) const SYMBOLS_MAX: usize = 64;

/// Share of each symbol, -1 for "less than one".
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    shares: [i16; SYMBOLS_MAX],
    symbols: usize,
    /// Shares add up to two to this.
    log: u8,
}

impl Distribution {
    /// A predefined distribution.
    pub fn new(shares: &[i16], log: u8) -> Self {
        let mut distribution = Self {
            shares: [0; SYMBOLS_MAX],
            symbols: shares.len(),
            log,
        };
        distribution
            .shares
            .iter_mut()
            .zip(shares)
            .for_each(|(place, share)| *place = *share);
        distribution
    }

    /// Reads a description of at most `symbols_max` symbols with a table of at most `log_max`, and returns what follows.
    pub fn read(data: &[u8], symbols_max: usize, log_max: u8) -> Result<(Self, &[u8]), Why> {
        let mut bits = Forward::new(data);
        let log = bits.peek(4) as u8 + 5;
        bits.skip(4);
        if log > log_max.min(LOG_MAX) {
            return Err(INVALID);
        }
        let mut distribution = Self {
            shares: [0; SYMBOLS_MAX],
            symbols: 0,
            log,
        };
        let mut left = 1_i32 << log;
        while left > 0 {
            // Never more than what is left.
            let share = read_share(&mut bits, left as u32);
            left -= i32::from(share.abs());
            distribution.push(share, symbols_max)?;
            if share == 0 {
                // Runs of zeroes: two bits count further ones, three of them mean that more follow.
                loop {
                    let zeroes = bits.peek(2);
                    bits.skip(2);
                    for _ in 0..zeroes {
                        distribution.push(0, symbols_max)?;
                    }
                    if zeroes != 3 {
                        break;
                    }
                }
            }
        }
        Ok((distribution, bits.rest().ok_or(INVALID)?))
    }

    fn push(&mut self, share: i16, symbols_max: usize) -> Result<(), Why> {
        let limit = symbols_max.min(SYMBOLS_MAX);
        let place = self
            .shares
            .get_mut(self.symbols)
            .filter(|_| self.symbols < limit)
            .ok_or(INVALID)?;
        *place = share;
        self.symbols += 1;
        Ok(())
    }

    /// Fills `table` with the states and returns their number's logarithm. `entry` makes one from symbol, bits to read and base of the
    /// next state.
    pub fn build<T: Copy>(
        &self,
        table: &mut [T; 1 << LOG_MAX],
        entry: impl Fn(u8, u8, u16) -> T,
    ) -> Result<u8, Why> {
        let size = 1_usize << self.log;
        let symbols = self.spread()?;
        let mut next = [0_u16; SYMBOLS_MAX];
        next.iter_mut()
            .zip(self.shares)
            .for_each(|(next, share)| *next = share.unsigned_abs());
        for (place, symbol) in table.iter_mut().zip(symbols).take(size) {
            let state = &mut next[usize::from(symbol) % SYMBOLS_MAX];
            let bits = self
                .log
                .saturating_sub(state.checked_ilog2().ok_or(INVALID)? as u8);
            let base = (u32::from(*state) << bits).wrapping_sub(size as u32);
            *place = entry(symbol, bits, base as u16);
            *state += 1;
        }
        Ok(self.log)
    }

    /// Symbol of each state.
    fn spread(&self) -> Result<[u8; 1 << LOG_MAX], Why> {
        let size = 1_usize << self.log;
        let mut symbols = [0_u8; 1 << LOG_MAX];
        let mut high = size;
        let shares = self.shares.iter().take(self.symbols).zip(0_u8..);
        for (_, symbol) in shares.clone().filter(|(share, _)| **share < 0) {
            high = high.checked_sub(1).ok_or(INVALID)?;
            symbols[high % (1 << LOG_MAX)] = symbol;
        }
        let step = (size >> 1) + (size >> 3) + 3;
        let mut at = 0;
        for (share, symbol) in shares.filter(|(share, _)| **share > 0) {
            for _ in 0..*share {
                symbols[at % (1 << LOG_MAX)] = symbol;
                at = (at + step) & (size - 1);
                // At most as many steps as there are rare symbols: the walk visits every place once.
                while at >= high && high != 0 {
                    at = (at + step) & (size - 1);
                }
            }
        }
        if at == 0 { Ok(symbols) } else { Err(INVALID) }
    }
}

/// Reads one share out of `left`: values are one higher, and small ones have a bit less when the range is no power of two.
fn read_share(bits: &mut Forward<'_>, left: u32) -> i16 {
    let max = left + 1;
    let len = max.ilog2() + 1;
    let short = (1 << len) - 1 - max;
    let value = bits.peek(len);
    let low = value & ((1 << (len - 1)) - 1);
    let value = if low < short {
        bits.skip(len - 1);
        low
    } else {
        bits.skip(len);
        if value == low { value } else { value - short }
    };
    value as i16 - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_a_small_distribution_is_the_documented_spread() {
        let mut table = [(0, 0, 0); 1 << LOG_MAX];
        let log = Distribution::new(&[16, 8, 7, -1], 5)
            .build(&mut table, |symbol, bits, base| (symbol, bits, base))
            .unwrap();
        assert_eq!(log, 5);
        let count = |symbol| table[..32].iter().filter(|entry| entry.0 == symbol).count();
        assert_eq!([0, 1, 2, 3].map(count), [16, 8, 7, 1]);
        assert_eq!(table[31], (3, 5, 0));
        // Every state of a symbol reads into a range; together they cover the table once.
        let covered: usize = table[..32]
            .iter()
            .filter(|entry| entry.0 == 2)
            .map(|entry| 1 << entry.1)
            .sum();
        assert_eq!(covered, 32);
    }

    #[test]
    fn any_description_is_read_or_refused() {
        for first in 0..=255_u8 {
            for second in 0..=255 {
                let data = [
                    first,
                    second,
                    first ^ 0x5a,
                    second.wrapping_mul(31),
                    0xff,
                    first,
                ];
                for len in 0..=data.len() {
                    if let Ok((distribution, _)) = Distribution::read(&data[..len], 53, 9) {
                        let mut table = [0_u8; 1 << LOG_MAX];
                        let _ = distribution.build(&mut table, |symbol, _, _| symbol);
                    }
                }
            }
        }
    }
}
