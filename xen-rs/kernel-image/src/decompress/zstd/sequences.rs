//! A block's sequences of literals and copies (RFC 8878, "Sequences_Section").

use alloc::vec;
use alloc::vec::Vec;

use super::super::{CUT_SHORT, Why};
use super::INVALID;
use super::bits::{Reversed, upper};
use super::fse::Counts;
use crate::little_endian::bytes_at;

/// What a code stands for: a number to which extra bits are added.
type Meaning = (u32, u8);

/// One of the three kinds of codes.
struct Kind {
    log_max: u32,
    default_log: u32,
    default: &'static [i16],
    meaning: fn(u8) -> Option<Meaning>,
    symbol_max: usize,
}

const LITERAL_LENGTHS: Kind = Kind {
    log_max: 9,
    default_log: 6,
    default: &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1,
        1, 1, -1, -1, -1, -1,
    ],
    meaning: literal_length,
    symbol_max: 35,
};

const OFFSETS: Kind = Kind {
    log_max: 8,
    default_log: 5,
    default: &[
        1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
    ],
    meaning: offset,
    symbol_max: 31,
};

const MATCH_LENGTHS: Kind = Kind {
    log_max: 9,
    default_log: 6,
    default: &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    meaning: match_length,
    symbol_max: 52,
};

fn literal_length(code: u8) -> Option<Meaning> {
    const LONG: [Meaning; 20] = [
        (16, 1),
        (18, 1),
        (20, 1),
        (22, 1),
        (24, 2),
        (28, 2),
        (32, 3),
        (40, 3),
        (48, 4),
        (64, 6),
        (128, 7),
        (256, 8),
        (512, 9),
        (1024, 10),
        (2048, 11),
        (4096, 12),
        (8192, 13),
        (16384, 14),
        (32768, 15),
        (65536, 16),
    ];
    match code {
        0..16 => Some((code.into(), 0)),
        _ => LONG.get(usize::from(code - 16)).copied(),
    }
}

fn match_length(code: u8) -> Option<Meaning> {
    const LONG: [Meaning; 21] = [
        (35, 1),
        (37, 1),
        (39, 1),
        (41, 1),
        (43, 2),
        (47, 2),
        (51, 3),
        (59, 3),
        (67, 4),
        (83, 4),
        (99, 5),
        (131, 7),
        (259, 8),
        (515, 9),
        (1027, 10),
        (2051, 11),
        (4099, 12),
        (8195, 13),
        (16387, 14),
        (32771, 15),
        (65539, 16),
    ];
    match code {
        0..32 => Some((u32::from(code) + 3, 0)),
        _ => LONG.get(usize::from(code - 32)).copied(),
    }
}

fn offset(code: u8) -> Option<Meaning> {
    Some((1_u32.checked_shl(code.into())?, code))
}

/// A state of a table: what it stands for, and how the next is found.
#[derive(Copy, Clone, Debug, Default)]
struct State {
    base: u32,
    extra: u8,
    bits: u8,
    next: u16,
}

/// A table for one kind of codes.
#[derive(Clone, Debug, Default)]
struct Table {
    states: Vec<State>,
    log: u32,
}

impl Table {
    fn new(kind: &Kind, counts: &Counts) -> Result<Self, Why> {
        let states = counts.states()?;
        let states = states.iter().map(|state| {
            let (base, extra) = (kind.meaning)(state.symbol)?;
            Some(State {
                base,
                extra,
                bits: state.bits,
                next: state.base,
            })
        });
        Ok(Self {
            states: states.collect::<Option<_>>().ok_or(INVALID)?,
            log: counts.log,
        })
    }

    /// A table for a single code.
    fn of_one(kind: &Kind, code: u8) -> Result<Self, Why> {
        let (base, extra) = (kind.meaning)(code).ok_or(INVALID)?;
        let state = State {
            base,
            extra,
            ..State::default()
        };
        Ok(Self {
            states: vec![state],
            log: 0,
        })
    }

    #[inline(always)]
    fn state(&self, number: usize) -> Result<State, Why> {
        self.states.get(number).copied().ok_or(INVALID)
    }
}

/// The tables of the last block that had some.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    literal_lengths: Option<Table>,
    offsets: Option<Table>,
    match_lengths: Option<Table>,
}

/// A step: so many literals, then a copy of earlier output.
#[derive(Copy, Clone, Debug)]
pub struct Sequence {
    /// Literals to be taken.
    pub literals: usize,
    /// Bytes to be copied after them.
    pub length: usize,
    /// Up to 3 one of the recent offsets, else the offset plus 3.
    pub offset: u32,
}

/// Reads the section and hands each sequence to `step`.
pub fn read(
    data: &[u8],
    tables: &mut Tables,
    mut step: impl FnMut(Sequence) -> Result<(), Why>,
) -> Result<(), Why> {
    let (count, data) = count(data)?;
    if count == 0 {
        return if data.is_empty() {
            Ok(())
        } else {
            Err(INVALID)
        };
    }
    let [modes] = bytes_at(data, 0).ok_or(CUT_SHORT)?;
    if modes & 3 != 0 {
        return Err(INVALID);
    }
    let data = data.get(1..).unwrap_or(&[]);
    let data = table(
        &LITERAL_LENGTHS,
        modes >> 6,
        data,
        &mut tables.literal_lengths,
    )?;
    let data = table(&OFFSETS, modes >> 4 & 3, data, &mut tables.offsets)?;
    let data = table(
        &MATCH_LENGTHS,
        modes >> 2 & 3,
        data,
        &mut tables.match_lengths,
    )?;
    let (Some(literals), Some(offsets), Some(lengths)) = (
        &tables.literal_lengths,
        &tables.offsets,
        &tables.match_lengths,
    ) else {
        return Err(INVALID);
    };
    let mut stream = Reversed::new(data)?;
    let mut literal = literals.state(stream.read(literals.log) as usize)?;
    let mut offset = offsets.state(stream.read(offsets.log) as usize)?;
    let mut length = lengths.state(stream.read(lengths.log) as usize)?;
    for left in (0..count).rev() {
        // Up to 31 and 16 bits of one window, then up to 16 and 26 of the next.
        let mut window = Window::of(&stream);
        let offset_value = offset.base.wrapping_add(window.read(offset.extra));
        let match_length = length.base + window.read(length.extra);
        stream.take(window.used);
        let mut window = Window::of(&stream);
        let literal_length = literal.base + window.read(literal.extra);
        if left != 0 {
            literal =
                literals.state(usize::from(literal.next) + window.read(literal.bits) as usize)?;
            length = lengths.state(usize::from(length.next) + window.read(length.bits) as usize)?;
            offset = offsets.state(usize::from(offset.next) + window.read(offset.bits) as usize)?;
        }
        stream.take(window.used);
        step(Sequence {
            literals: literal_length as usize,
            length: match_length as usize,
            offset: offset_value,
        })?;
    }
    if stream.left() == 0 {
        Ok(())
    } else {
        Err(INVALID)
    }
}

/// Bits of a stream being taken.
struct Window {
    bits: u64,
    used: u32,
}

impl Window {
    #[inline(always)]
    fn of(stream: &Reversed<'_>) -> Self {
        Self {
            bits: stream.window(),
            used: 0,
        }
    }

    #[inline(always)]
    fn read(&mut self, count: u8) -> u32 {
        let value = upper(self.bits, count.into());
        self.bits <<= count & 63;
        self.used += u32::from(count);
        value as u32
    }
}

/// How many sequences there are, and what follows.
fn count(data: &[u8]) -> Result<(usize, &[u8]), Why> {
    let [first] = bytes_at(data, 0).ok_or(CUT_SHORT)?;
    let byte = |at: usize| data.get(at).copied().map(usize::from).ok_or(CUT_SHORT);
    let (count, header) = match first {
        0..128 => (usize::from(first), 1),
        128..255 => (usize::from(first - 128) << 8 | byte(1)?, 2),
        255 => ((byte(1)? | byte(2)? << 8) + 0x7f00, 3),
    };
    Ok((count, data.get(header..).unwrap_or(&[])))
}

/// Makes the table for one kind of codes, and gives what follows its description.
fn table<'a>(
    kind: &Kind,
    mode: u8,
    data: &'a [u8],
    table: &mut Option<Table>,
) -> Result<&'a [u8], Why> {
    match mode {
        0 => {
            let counts = Counts {
                counts: kind.default.to_vec(),
                log: kind.default_log,
            };
            *table = Some(Table::new(kind, &counts)?);
            Ok(data)
        }
        1 => {
            let (code, rest) = data.split_first().ok_or(CUT_SHORT)?;
            *table = Some(Table::of_one(kind, *code)?);
            Ok(rest)
        }
        2 => {
            let (counts, rest) = Counts::read(data, kind.log_max, kind.symbol_max)?;
            *table = Some(Table::new(kind, &counts)?);
            Ok(rest)
        }
        _ => Ok(data),
    }
}
