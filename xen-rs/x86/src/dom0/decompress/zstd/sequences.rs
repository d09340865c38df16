//! The sequences section of a block: literals to take and matches to copy, in turn (RFC 8878, sections 3.1.1.3.2 and 3.1.1.5).

use alloc::boxed::Box;

use super::bits::Backward;
use super::fse::{Distribution, LOG_MAX};
use super::window::Window;
use super::{CUT_SHORT, INVALID, Why, boxed_array};

/// Offsets a frame starts with.
const FIRST_OFFSETS: [usize; 3] = [1, 4, 8];
/// Offset values up to this name one of the last three offsets.
const REPEAT_VALUES: usize = 3;

/// The three kinds of codes.
#[derive(Copy, Clone)]
enum Kind {
    LiteralLength,
    Offset,
    MatchLength,
}

impl Kind {
    /// Largest table, as a power of two.
    const fn log_max(self) -> u8 {
        match self {
            Self::LiteralLength | Self::MatchLength => 9,
            Self::Offset => 8,
        }
    }

    const fn symbols(self) -> usize {
        match self {
            Self::LiteralLength => 36,
            Self::Offset => 32,
            Self::MatchLength => 53,
        }
    }

    /// The distribution of blocks that bring none ("Default Distributions").
    fn predefined(self) -> Distribution {
        const LITERAL_LENGTH: [i16; 36] = [
            4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1,
            1, 1, 1, -1, -1, -1, -1,
        ];
        const OFFSET: [i16; 29] = [
            1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1,
            -1,
        ];
        const MATCH_LENGTH: [i16; 53] = [
            1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
        ];
        match self {
            Self::LiteralLength => Distribution::new(&LITERAL_LENGTH, 6),
            Self::Offset => Distribution::new(&OFFSET, 5),
            Self::MatchLength => Distribution::new(&MATCH_LENGTH, 6),
        }
    }

    /// Smallest value of a symbol and the number of bits to add to it.
    const fn value(self, symbol: u8) -> (u32, u8) {
        const LITERAL_BITS: [u8; 20] = [
            1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
        ];
        const MATCH_BITS: [u8; 21] = [
            1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
        ];
        match self {
            Self::LiteralLength => stepped(symbol, 16, 0, &LITERAL_BITS),
            Self::MatchLength => stepped(symbol, 32, 3, &MATCH_BITS),
            Self::Offset => (1 << (symbol & 31), symbol & 31),
        }
    }
}

/// Values of a code whose first `plain` symbols stand for themselves plus `base` and whose later ones cover ranges of growing size.
const fn stepped(symbol: u8, plain: u8, base: u32, bits: &[u8]) -> (u32, u8) {
    if symbol < plain {
        return (base + symbol as u32, 0);
    }
    let mut value = base + plain as u32;
    let mut index = 0;
    while index < (symbol - plain) as usize && index + 1 < bits.len() {
        value += 1 << bits[index];
        index += 1;
    }
    (value, bits[index])
}

/// One state of a decoding table.
#[derive(Copy, Clone, Default)]
struct State {
    /// Smallest value of the symbol.
    value: u32,
    /// Base of the next state.
    next: u16,
    /// Bits to add to `value`.
    value_bits: u8,
    /// Bits to add to `next`.
    next_bits: u8,
}

/// Decoding table of one kind.
struct Table {
    states: Box<[State; 1 << LOG_MAX]>,
    log: u8,
    /// Whether it was filled since the frame began.
    is_set: bool,
}

impl Table {
    fn new() -> Self {
        Self {
            states: boxed_array(State::default()),
            log: 0,
            is_set: false,
        }
    }

    /// Sets the table as the two bits of `mode` say and returns what follows its description.
    fn set<'a>(&mut self, kind: Kind, mode: u8, data: &'a [u8]) -> Result<&'a [u8], Why> {
        let rest = match mode & 3 {
            0 => {
                self.fill(kind, &kind.predefined())?;
                data
            }
            1 => {
                let (symbol, rest) = data.split_first().ok_or(CUT_SHORT)?;
                if usize::from(*symbol) >= kind.symbols() {
                    return Err(INVALID);
                }
                let (value, value_bits) = kind.value(*symbol);
                self.states[0] = State {
                    value,
                    value_bits,
                    ..State::default()
                };
                self.log = 0;
                rest
            }
            2 => {
                let (distribution, rest) =
                    Distribution::read(data, kind.symbols(), kind.log_max())?;
                self.fill(kind, &distribution)?;
                rest
            }
            _ if self.is_set => data,
            _ => return Err(INVALID),
        };
        self.is_set = true;
        Ok(rest)
    }

    fn fill(&mut self, kind: Kind, distribution: &Distribution) -> Result<(), Why> {
        self.log = distribution.build(&mut self.states, |symbol, next_bits, next| {
            let (value, value_bits) = kind.value(symbol);
            State {
                value,
                next,
                value_bits,
                next_bits,
            }
        })?;
        Ok(())
    }

    #[inline]
    fn state(&self, index: u16) -> State {
        self.states[usize::from(index) % (1 << LOG_MAX)]
    }
}

/// Tables and offsets, which carry over from block to block.
pub(super) struct Sequences {
    tables: [Table; 3],
    offsets: [usize; 3],
}

impl Sequences {
    /// Allocates the tables.
    pub fn new() -> Self {
        Self {
            tables: [Table::new(), Table::new(), Table::new()],
            offsets: FIRST_OFFSETS,
        }
    }

    /// Forgets what earlier blocks left, for a new frame.
    pub fn reset(&mut self) {
        self.offsets = FIRST_OFFSETS;
        self.tables
            .iter_mut()
            .for_each(|table| table.is_set = false);
    }

    /// Reads the section and carries it out: the block's output goes to `window`.
    pub fn run(
        &mut self,
        section: &[u8],
        literals: &[u8],
        window: &mut Window<'_>,
    ) -> Result<(), Why> {
        let (count, data) = count(section)?;
        let mut used = 0;
        if count != 0 {
            let (modes, mut data) = data.split_first().ok_or(CUT_SHORT)?;
            if modes & 3 != 0 {
                return Err(INVALID);
            }
            let kinds = [
                (Kind::LiteralLength, 6),
                (Kind::Offset, 4),
                (Kind::MatchLength, 2),
            ];
            for (table, (kind, shift)) in self.tables.iter_mut().zip(kinds) {
                data = table.set(kind, modes >> shift, data)?;
            }
            used = self.execute(count, data, literals, window)?;
        }
        window.push_from(literals, used, literals.len() - used)
    }

    /// Carries out `count` sequences and returns the number of literals used.
    fn execute(
        &mut self,
        count: usize,
        stream: &[u8],
        literals: &[u8],
        window: &mut Window<'_>,
    ) -> Result<usize, Why> {
        let [literal_table, offset_table, match_table] = &self.tables;
        let mut bits = Backward::new(stream).ok_or(INVALID)?;
        let mut literal_state = literal_table.state(bits.read(literal_table.log) as u16);
        let mut offset_state = offset_table.state(bits.read(offset_table.log) as u16);
        let mut match_state = match_table.state(bits.read(match_table.log) as u16);
        let mut used = 0;
        let mut left = count;
        loop {
            // At most 31 bits, then 32, then 26: each group needs a refill, a cheap one when there is enough.
            bits.refill();
            let offset_value =
                offset_state.value as usize + bits.take(offset_state.value_bits) as usize;
            bits.refill();
            let match_len = match_state.value as usize + bits.take(match_state.value_bits) as usize;
            let literal_len =
                literal_state.value as usize + bits.take(literal_state.value_bits) as usize;
            if literal_len > literals.len() - used {
                return Err(INVALID);
            }
            window.push_from(literals, used, literal_len)?;
            used += literal_len;
            window.repeat(
                next_offset(&mut self.offsets, offset_value, literal_len == 0)?,
                match_len,
            )?;
            left -= 1;
            if left == 0 {
                break;
            }
            bits.refill();
            literal_state = literal_table.state(
                literal_state
                    .next
                    .wrapping_add(bits.take(literal_state.next_bits) as u16),
            );
            match_state = match_table.state(
                match_state
                    .next
                    .wrapping_add(bits.take(match_state.next_bits) as u16),
            );
            offset_state = offset_table.state(
                offset_state
                    .next
                    .wrapping_add(bits.take(offset_state.next_bits) as u16),
            );
            if bits.is_overdrawn() {
                return Err(INVALID);
            }
        }
        if bits.is_finished() {
            Ok(used)
        } else {
            Err(INVALID)
        }
    }
}

/// Number of sequences, and what follows it.
fn count(section: &[u8]) -> Result<(usize, &[u8]), Why> {
    match *section {
        [first @ 0..=127, ref rest @ ..] => Ok((usize::from(first), rest)),
        [255, low, high, ref rest @ ..] => {
            Ok((usize::from(u16::from_le_bytes([low, high])) + 0x7f00, rest))
        }
        [first @ 128..=254, second, ref rest @ ..] => {
            Ok((usize::from(first - 128) << 8 | usize::from(second), rest))
        }
        _ => Err(CUT_SHORT),
    }
}

/// The offset an offset value stands for; keeps the last three. Without literals the repeat values mean the next older one, and the third
/// the last offset less one.
#[inline]
fn next_offset(offsets: &mut [usize; 3], value: usize, no_literals: bool) -> Result<usize, Why> {
    let [first, second, third] = *offsets;
    if value > REPEAT_VALUES {
        *offsets = [value - REPEAT_VALUES, first, second];
        return Ok(offsets[0]);
    }
    *offsets = match value + usize::from(no_literals) {
        1 => *offsets,
        2 => [second, first, third],
        3 => [third, first, second],
        4 => [first.checked_sub(1).ok_or(INVALID)?, first, second],
        _ => return Err(INVALID),
    };
    Ok(offsets[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_values_are_the_documented_ones() {
        let literal = |symbol| Kind::LiteralLength.value(symbol);
        assert_eq!(
            [
                literal(0),
                literal(15),
                literal(16),
                literal(20),
                literal(25),
                literal(35)
            ],
            [(0, 0), (15, 0), (16, 1), (24, 2), (64, 6), (65536, 16)]
        );
        let matched = |symbol| Kind::MatchLength.value(symbol);
        assert_eq!(
            [
                matched(0),
                matched(31),
                matched(32),
                matched(43),
                matched(52)
            ],
            [(3, 0), (34, 0), (35, 1), (131, 7), (65539, 16)]
        );
        assert_eq!(Kind::Offset.value(31), (1 << 31, 31));
    }

    #[test]
    fn repeat_offsets_shift_when_there_are_no_literals() {
        let mut offsets = [10, 20, 30];
        assert_eq!(next_offset(&mut offsets, 2, false), Ok(20));
        assert_eq!(offsets, [20, 10, 30]);
        assert_eq!(next_offset(&mut offsets, 2, true), Ok(30));
        assert_eq!(offsets, [30, 20, 10]);
        assert_eq!(next_offset(&mut offsets, 3, true), Ok(29));
        assert_eq!(offsets, [29, 30, 20]);
        assert_eq!(next_offset(&mut offsets, 103, false), Ok(100));
        assert_eq!(offsets, [100, 29, 30]);
    }

    #[test]
    fn sequence_counts_have_three_forms() {
        assert_eq!(count(&[5, 9]), Ok((5, &[9_u8][..])));
        assert_eq!(count(&[0x81, 2]), Ok((0x102, &[][..])));
        assert_eq!(count(&[255, 1, 2]), Ok((0x8101, &[][..])));
        assert!(count(&[]).is_err() && count(&[200]).is_err() && count(&[255, 1]).is_err());
    }
}
