//! A block's sequences of literals and copies (RFC 8878, "Sequences_Section").

use alloc::vec;
use alloc::vec::Vec;

use super::super::{CUT_SHORT, Why};
use super::INVALID;
use super::bits::Reversed;
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

/// States of the largest table.
const STATES: usize = 512;

/// A state of a table: what it stands for, and how the next is found.
#[derive(Copy, Clone, Debug, Default)]
struct State {
    base: u32,
    next: u16,
    extra: u8,
    bits: u8,
}

/// A table for one kind of codes.
#[derive(Clone, Debug, Default)]
struct Table {
    /// As many as the largest table has, so that no number need be checked; those that are too many are never reached.
    states: Vec<State>,
    log: u32,
}

impl Table {
    fn new(kind: &Kind, counts: &Counts) -> Result<Self, Why> {
        let mut states = Vec::with_capacity(STATES);
        for state in counts.states()? {
            let (base, extra) = (kind.meaning)(state.symbol).ok_or(INVALID)?;
            states.push(State {
                base,
                extra,
                bits: state.bits,
                next: state.base,
            });
        }
        states.resize(STATES, State::default());
        Ok(Self {
            states,
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
            states: vec![state; STATES],
            log: 0,
        })
    }

    /// Its states, and the first of them that a block is in.
    fn start<'a>(table: &'a Option<Self>, stream: &mut Reversed<'_>) -> Result<Place<'a>, Why> {
        let table = table.as_ref().ok_or(INVALID)?;
        let states = table.states.first_chunk().ok_or(INVALID)?;
        let state = states[stream.read(table.log) as usize % STATES];
        Ok(Place { states, state })
    }
}

/// Where in a table a block is.
struct Place<'a> {
    states: &'a [State; STATES],
    state: State,
}

impl Place<'_> {
    #[inline(always)]
    fn value(&self, window: &mut Window) -> u32 {
        self.state.base.wrapping_add(window.read(self.state.extra))
    }

    #[inline(always)]
    fn advance(&mut self, window: &mut Window) {
        let number = u32::from(self.state.next).wrapping_add(window.read(self.state.bits));
        self.state = self.states[number as usize % STATES];
    }
}

/// The tables of the last block that had some.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    literal_lengths: Option<Table>,
    offsets: Option<Table>,
    match_lengths: Option<Table>,
}

impl Tables {
    /// Reads the modes and the tables they announce, and gives what follows.
    fn read<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8], Why> {
        let (modes, data) = data.split_first().ok_or(CUT_SHORT)?;
        if modes & 3 != 0 {
            return Err(INVALID);
        }
        let literal_lengths = &mut self.literal_lengths;
        let data = table(&LITERAL_LENGTHS, modes >> 6, data, literal_lengths)?;
        let data = table(&OFFSETS, modes >> 4 & 3, data, &mut self.offsets)?;
        table(
            &MATCH_LENGTHS,
            modes >> 2 & 3,
            data,
            &mut self.match_lengths,
        )
    }
}

/// A step: so many literals, then a copy of earlier output.
#[derive(Copy, Clone, Debug, Default)]
pub struct Sequence {
    /// Literals to be taken.
    pub literals: u32,
    /// Bytes to be copied after them.
    pub length: u32,
    /// Up to 3 one of the recent offsets, else the offset plus 3.
    pub offset: u32,
}

/// Sequences handed over at a time.
const AT_ONCE: usize = 64;

/// Reads the section and hands its sequences to `step`.
pub fn read(
    data: &[u8],
    tables: &mut Tables,
    mut step: impl FnMut(&[Sequence]) -> Result<(), Why>,
) -> Result<(), Why> {
    let (mut left, data) = count(data)?;
    if left == 0 {
        return if data.is_empty() {
            Ok(())
        } else {
            Err(INVALID)
        };
    }
    let data = tables.read(data)?;
    let mut reader = Reader::new(data, tables)?;
    let mut sequences = [Sequence::default(); AT_ONCE];
    while left > AT_ONCE {
        sequences.fill_with(|| reader.sequence(false));
        step(&sequences)?;
        left -= AT_ONCE;
    }
    for (index, sequence) in sequences.iter_mut().take(left).enumerate() {
        *sequence = reader.sequence(index + 1 == left);
    }
    step(sequences.get(..left).unwrap_or(&[]))?;
    if reader.stream.left() == 0 {
        Ok(())
    } else {
        Err(INVALID)
    }
}

/// A block's stream of codes.
struct Reader<'a> {
    stream: Reversed<'a>,
    literals: Place<'a>,
    offsets: Place<'a>,
    lengths: Place<'a>,
}

impl<'a> Reader<'a> {
    fn new(data: &'a [u8], tables: &'a Tables) -> Result<Self, Why> {
        let mut stream = Reversed::new(data)?;
        Ok(Self {
            literals: Table::start(&tables.literal_lengths, &mut stream)?,
            offsets: Table::start(&tables.offsets, &mut stream)?,
            lengths: Table::start(&tables.match_lengths, &mut stream)?,
            stream,
        })
    }

    /// The next sequence. After the last there are no bits for other states.
    #[inline(always)]
    fn sequence(&mut self, last: bool) -> Sequence {
        /// Of a window's 56 bits, those that other states do not need.
        const EXTRA_MAX: u32 = 56 - 26;
        let mut window = Window::of(&self.stream);
        // Up to 31 and 16 bits.
        let offset = self.offsets.value(&mut window);
        let length = self.lengths.value(&mut window);
        if window.used.wrapping_add(self.literals.state.extra.into()) > EXTRA_MAX {
            self.stream.take(window.used);
            window = Window::of(&self.stream);
        }
        let literals = self.literals.value(&mut window);
        if !last {
            self.literals.advance(&mut window);
            self.lengths.advance(&mut window);
            self.offsets.advance(&mut window);
        }
        self.stream.take(window.used);
        Sequence {
            literals,
            length,
            offset,
        }
    }
}

/// So many ones as the index says.
const ONES: [u32; 32] = {
    let mut ones = [0; 32];
    let mut count = 1;
    while count < 32 {
        ones[count] = u32::MAX >> (32 - count);
        count += 1;
    }
    ones
};

/// Bits of a stream being taken.
struct Window {
    /// The next bits in the upper end; those that were taken are in the lower.
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
        self.bits = self.bits.rotate_left(count.into());
        self.used = self.used.wrapping_add(count.into());
        self.bits as u32 & ONES[usize::from(count % 32)]
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
